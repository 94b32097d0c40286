//! Wakes a guest that sleeps, so that it need not look again and again.
//!
//! A guest has one thread and no pipes, but it can listen on loopback. It tells a port and a secret;
//! the plugin connects, shows the secret, and from then on writes one byte whenever a model has
//! something new for any reader. The guest waits for the socket with everything else it waits for.
//!
//! Invariant: after news a byte is unread or on its way, unless the guest has looked since; and a guest
//! that does not read never holds up the model's thread.

use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// On loopback the system answers for the guest, at once or never.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);

/// Lengths of a secret, in characters.
pub(crate) const SECRET_LEN_MIN: usize = 16;
pub(crate) const SECRET_LEN_MAX: usize = 64;

/// Where a guest listens for its bell, and how it knows that it is the plugin that connects.
#[derive(Clone, PartialEq, Default)]
pub(crate) struct Wake {
    pub port: Option<u16>,
    pub secret: String,
}

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Wake");
        shown.field("port", &self.port).finish_non_exhaustive()
    }
}

/// A connection to the guest.
#[derive(Debug)]
pub(crate) struct Doorbell {
    stream: TcpStream,
    /// Whether it was rung since the guest looked last.
    rung: AtomicBool,
}

impl Doorbell {
    /// Connects to where the guest listens and shows the secret.
    pub fn connect(port: u16, secret: &str) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIME_MAX)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        stream.write_all(secret.as_bytes())?;
        Ok(Self {
            stream,
            rung: AtomicBool::new(false),
        })
    }

    /// There is something new. Never waits.
    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            // A full buffer is full of bytes that will wake the guest; a closed one wakes nobody.
            let _ = (&self.stream).write(&[1]);
        }
    }

    /// The guest is about to look: what is new from here on rings again.
    pub fn heard(&self) {
        self.rung.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn hung() -> (Doorbell, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let bell = Doorbell::connect(port, SECRET).unwrap();
        let mut guest = listener.accept().unwrap().0;
        let mut shown = [0; SECRET.len()];
        guest.read_exact(&mut shown).unwrap();
        assert_eq!(shown, SECRET.as_bytes());
        (bell, guest)
    }

    #[test]
    fn it_rings_once_until_it_is_heard() {
        let (bell, mut guest) = hung();
        for _ in 0..5 {
            bell.ring();
        }
        bell.heard();
        bell.ring();
        drop(bell);
        let mut bytes = Vec::new();
        guest.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 2);
    }

    #[test]
    fn a_guest_that_never_reads_holds_up_nobody() {
        let (bell, guest) = hung();
        for _ in 0..100_000 {
            bell.heard();
            bell.ring();
        }
        drop(guest);
        bell.heard();
        bell.ring();
    }

    #[test]
    fn nobody_there_is_an_error() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(Doorbell::connect(port, SECRET).is_err());
    }
}
