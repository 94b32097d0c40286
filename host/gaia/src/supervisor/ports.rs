//! A port on loopback that is kept for the worker.
//!
//! Invariant: while it is held the system gives it to nobody who asks for any free port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

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
}
