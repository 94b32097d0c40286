//! Ports on loopback: one that is kept for the worker, and those around a worker that somebody else keeps.
//!
//! Invariant: while a port is held the system gives it to nobody who asks for any free port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use tokio::net::TcpSocket;

/// A port that is bound here and listened on by nobody; whoever asks for it by its number, and allows sharing as
/// servers do, may listen on it.
#[derive(Debug)]
pub struct HeldPort {
    _socket: TcpSocket,
    port: u16,
}

impl HeldPort {
    /// Any that is free.
    pub fn hold() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let port = socket.local_addr()?.port();
        Ok(Self {
            _socket: socket,
            port,
        })
    }

    /// Its number.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// How many ports behind the worker's own are taken for it: the host's, the store's, its bell's.
pub const PORTS_BEHIND: u16 = 3;

/// The ports around a worker that the node does not start: its own, and behind it those where it finds its host
/// and the vector store. They stay the same, since such a worker is told of them once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutsidePorts {
    worker: u16,
}

impl OutsidePorts {
    /// From an address such as `http://127.0.0.1:9080`; none if it is not on loopback, or leaves no room behind.
    pub fn parse(url: &str) -> Option<Self> {
        let address = url.strip_prefix("http://")?.trim_end_matches('/');
        let address = address.replacen("localhost", "127.0.0.1", 1);
        let address: SocketAddrV4 = address.parse().ok()?;
        let is_right = *address.ip() == Ipv4Addr::LOCALHOST
            && (1..=u16::MAX - PORTS_BEHIND).contains(&address.port());
        is_right.then_some(Self {
            worker: address.port(),
        })
    }

    /// Where the worker listens.
    pub fn worker(self) -> u16 {
        self.worker
    }

    /// Where the worker asks its host for what it cannot do by itself.
    pub fn back(self) -> u16 {
        self.worker + 1
    }

    /// Where the node's own vector store listens.
    pub fn store(self) -> u16 {
        self.worker + 2
    }

    /// Where the worker wakes itself.
    pub fn bell(self) -> u16 {
        self.worker + PORTS_BEHIND
    }
}

/// The address of `port` on loopback.
pub fn loopback_url(port: u16) -> String {
    format!("http://{}", SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_held_port_can_be_listened_on_again_and_again() {
        let held = HeldPort::hold().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, held.port()));
        for _ in 0..3 {
            let listener = TcpListener::bind(address).unwrap();
            let client = TcpStream::connect(address).unwrap();
            let (served, _) = listener.accept().unwrap();
            drop((served, client, listener));
        }
        assert!(TcpStream::connect(address).is_err(), "nobody listens");
    }

    #[test]
    fn ports_around_a_worker_that_somebody_else_keeps() {
        let check = |url: &str, expected| {
            let ports = OutsidePorts::parse(url);
            let all =
                ports.map(|ports| [ports.worker(), ports.back(), ports.store(), ports.bell()]);
            assert_eq!(all, expected, "{url}");
        };
        check("http://127.0.0.1:9080", Some([9080, 9081, 9082, 9083]));
        check("http://localhost:9080/", Some([9080, 9081, 9082, 9083]));
        check("http://127.0.0.1:65532", Some([65532, 65533, 65534, 65535]));
        for wrong in [
            "http://127.0.0.1:65533",
            "http://127.0.0.1:0",
            "http://127.0.0.1",
            "http://10.0.0.1:9080",
            "https://127.0.0.1:9080",
            "http://[::1]:9080",
            "127.0.0.1:9080",
        ] {
            check(wrong, None);
        }
    }
}
