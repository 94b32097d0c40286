//! HTTP/1.1 as cheap as it gets: one blocking socket a stream, nothing between the socket and the clock.
//!
//! The measuring program runs on the machine it measures, so what it burns is missing there. Connections are
//! kept and used again, as the clients of both servers do.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Nothing measured here is silent for so long; a server that is counts as broken.
const SILENCE_MAX: Duration = Duration::from_secs(120);
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// One server, and the connections to it that wait for their next request.
pub struct Client {
    address: SocketAddr,
    idle: Mutex<Vec<BufReader<Connection>>>,
    hangs_up: Option<Instant>,
}

/// A connection that is over at a certain time, whatever is still to come.
struct Connection {
    stream: TcpStream,
    hangs_up: Option<Instant>,
}

impl Connection {
    fn open(address: SocketAddr, hangs_up: Option<Instant>) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        Ok(Self { stream, hangs_up })
    }
}

impl Read for Connection {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if let Some(at) = self.hangs_up {
            match at.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Err(io::ErrorKind::TimedOut.into()),
                left => self.stream.set_read_timeout(Some(left.min(SILENCE_MAX)))?,
            }
        }
        self.stream.read(to)
    }
}

/// The head of an answer; its body is still to be read.
pub struct Response<'a> {
    /// The status code.
    pub status: u16,
    /// The seconds of `Retry-After`.
    pub retry_after: Option<u32>,
    client: &'a Client,
    body: Body,
    keep: bool,
}

struct Body {
    from: BufReader<Connection>,
    length: Length,
}

enum Length {
    Left(u64),
    /// What is left of this chunk.
    Chunks(u64),
    Ended,
    Open,
}

impl Client {
    /// A client of the server at `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            idle: Mutex::default(),
            hangs_up: None,
        }
    }

    /// As this one, but all its connections end at `time`, in the middle of whatever they carry.
    pub fn until(&self, time: Instant) -> Self {
        Self {
            hangs_up: Some(time),
            ..Self::new(self.address)
        }
    }

    /// Sends a request and reads the head of the answer.
    ///
    /// # Errors
    /// The connection failed or the answer is no HTTP.
    pub fn send(&self, method: &str, path: &str, body: &str) -> io::Result<Response<'_>> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        // A kept connection may have been closed meanwhile; that is not the answer's fault.
        let kept = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        if let Some(connection) = kept
            && let Ok(response) = self.ask(connection, &head)
        {
            return Ok(response);
        }
        let connection = Connection::open(self.address, self.hangs_up)?;
        self.ask(BufReader::new(connection), &head)
    }

    fn ask(&self, mut from: BufReader<Connection>, request: &str) -> io::Result<Response<'_>> {
        from.get_mut().stream.write_all(request.as_bytes())?;
        let status_line = line(&mut from)?;
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok());
        let mut response = Response {
            status: status.ok_or_else(|| invalid("no status"))?,
            retry_after: None,
            client: self,
            body: Body {
                from,
                length: Length::Open,
            },
            keep: true,
        };
        response.read_headers()?;
        Ok(response)
    }
}

impl Response<'_> {
    fn read_headers(&mut self) -> io::Result<()> {
        loop {
            let header = line(&mut self.body.from)?;
            let Some((name, value)) = header.split_once(':') else {
                return Ok(());
            };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    let length = value.parse().map_err(|_| invalid("content-length"))?;
                    self.body.length = Length::Left(length);
                }
                "transfer-encoding" => self.body.length = Length::Chunks(0),
                "connection" => self.keep = !value.eq_ignore_ascii_case("close"),
                "retry-after" => self.retry_after = value.parse().ok(),
                _ => (),
            }
        }
    }

    /// Gives each `data:` line of an event stream to `event`, as soon as it is there.
    ///
    /// # Errors
    /// The connection broke before the end.
    pub fn events(mut self, mut event: impl FnMut(&str)) -> io::Result<()> {
        let mut pending = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            let count = self.body.read(&mut buffer)?;
            if count == 0 {
                return self.finish();
            }
            pending.extend_from_slice(&buffer[..count]);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line = pending.drain(..=end).collect::<Vec<_>>();
                if let Some(data) = String::from_utf8_lossy(&line).strip_prefix("data:") {
                    event(data.trim());
                }
            }
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// The connection broke before the end.
    pub fn text(mut self) -> io::Result<String> {
        let mut text = Vec::new();
        self.body.read_to_end(&mut text)?;
        self.finish()?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn finish(self) -> io::Result<()> {
        let ended = matches!(self.body.length, Length::Ended | Length::Left(0));
        if self.keep
            && ended
            && let Ok(mut idle) = self.client.idle.lock()
        {
            idle.push(self.body.from);
        }
        Ok(())
    }
}

impl Read for Body {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = match self.length {
            Length::Ended | Length::Left(0) => return Ok(0),
            Length::Open => return self.from.read(to),
            Length::Left(left) => left,
            Length::Chunks(0) => match self.next_chunk()? {
                0 => return Ok(0),
                length => length,
            },
            Length::Chunks(left) => left,
        };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(to.len());
        let count = self.from.read(&mut to[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let left = left - count as u64;
        match self.length {
            Length::Chunks(_) if left == 0 => {
                line(&mut self.from)?;
                self.length = Length::Chunks(0);
            }
            Length::Chunks(_) => self.length = Length::Chunks(left),
            _ => self.length = Length::Left(left),
        }
        Ok(count)
    }
}

impl Body {
    /// Reads the head of the next chunk; 0 is the end.
    fn next_chunk(&mut self) -> io::Result<u64> {
        let head = line(&mut self.from)?;
        let digits = head.split(';').next().unwrap_or_default().trim();
        let length = u64::from_str_radix(digits, 16).map_err(|_| invalid("chunk"))?;
        self.length = match length {
            0 => {
                line(&mut self.from)?;
                Length::Ended
            }
            length => Length::Chunks(length),
        };
        Ok(length)
    }
}

/// A line without its end; an error at the end of the stream.
fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if from.take(LINE_BYTES_MAX).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("bad {what} in an answer"),
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What a client makes of `answers`, given one after the other on one connection.
    fn served(answers: &'static [&'static str]) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::new(listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = BufReader::new(stream);
            for answer in answers {
                while !line(&mut stream).unwrap().is_empty() {}
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        client
    }

    #[test]
    fn reads_bodies_of_both_kinds_on_one_connection() {
        let client = served(&[
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            "HTTP/1.1 429 No\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n",
        ]);
        let first = client.send("GET", "/", "").unwrap();
        assert_eq!(first.status, 200);
        assert_eq!(first.text().unwrap(), "abc");
        let second = client.send("GET", "/", "").unwrap();
        assert_eq!((second.status, second.retry_after), (429, Some(7)));
        assert_eq!(second.text().unwrap(), "def");
    }

    #[test]
    fn events_may_be_torn_anywhere() {
        let client = served(&[
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ndata: a\r\n9\r\n\n\ndata: b\r\n2\r\n\n\n\r\n0\r\n\r\n",
        ]);
        let mut seen = Vec::new();
        let response = client.send("GET", "/", "").unwrap();
        response.events(|data| seen.push(data.to_owned())).unwrap();
        assert_eq!(seen, ["a", "b"]);
    }

    #[test]
    fn a_broken_body_is_an_error() {
        let client = served(&["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"]);
        assert!(client.send("GET", "/", "").unwrap().text().is_err());
    }

    #[test]
    fn hangs_up_in_the_middle_of_an_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let soon = Instant::now() + Duration::from_millis(50);
        let client = Client::new(listener.local_addr().unwrap()).until(soon);
        // Nobody accepts and nobody answers, but the system takes the connection.
        let Err(error) = client.send("GET", "/", "") else {
            panic!("nobody answered");
        };
        assert!(Instant::now() >= soon);
        // Linux says that it would block where the time for reading is over.
        let over = [io::ErrorKind::TimedOut, io::ErrorKind::WouldBlock];
        assert!(over.contains(&error.kind()), "{error}");
        assert!(client.send("GET", "/", "").is_err());
    }
}
