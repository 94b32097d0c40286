//! Small questions to a service on loopback.

use std::time::Duration;

use super::state::Service;

/// What a service said to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 2xx.
    Yes,
    /// Any other status: alive, but no.
    No(u16),
    /// None in time.
    Nothing,
}

/// Asks `GET path` of `service`; waits at most `limit`.
pub async fn ask(service: &Service, path: &'static str, limit: Duration) -> Answer {
    let (url, key) = (format!("{}{path}", service.url), service.key.clone());
    let question = tokio::task::spawn_blocking(move || ask_blocking(&url, &key, limit));
    question.await.unwrap_or(Answer::Nothing)
}

/// As [`ask`], for threads that may wait.
pub fn ask_blocking(url: &str, key: &str, limit: Duration) -> Answer {
    let agent = ureq::Agent::new_with_config(
        ureq::Agent::config_builder()
            // A proxy is for the way out; this talks to this machine only.
            .proxy(None)
            .timeout_global(Some(limit))
            .http_status_as_error(false)
            .build(),
    );
    let mut request = agent.get(url);
    if !key.is_empty() {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    match request.call() {
        Ok(reply) if reply.status().is_success() => Answer::Yes,
        Ok(reply) => Answer::No(reply.status().as_u16()),
        Err(_) => Answer::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    fn check(reply: &'static str, expected: Answer) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ready", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(reply.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        assert_eq!(ask_blocking(&url, "wk", Duration::from_secs(5)), expected);
        let request = server.join().unwrap();
        assert!(request.contains("Bearer wk"), "{request}");
    }

    #[test]
    fn answers() {
        check("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Answer::Yes);
        check(
            "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n",
            Answer::No(503),
        );
        check("garbage\r\n\r\n", Answer::Nothing);
        let nobody = ask_blocking("http://127.0.0.1:1/", "", Duration::from_secs(5));
        assert_eq!(nobody, Answer::Nothing);
    }
}
