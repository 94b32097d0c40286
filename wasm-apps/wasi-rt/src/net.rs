//! TCP on WasmEdge's socket calls, as futures and as hyper's `rt` traits.
//!
//! Every socket is non-blocking. A call that would block leaves its waker with the reactor. A stream is used at
//! most [`IO_BUDGET`](crate::IO_BUDGET) times a turn in each direction, so that one fast peer leaves the others
//! their share.

use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use wasmedge_wasi_socket::socket::{
    AddressFamily, Socket, SocketOptLevel, SocketOptName, SocketType,
};

use crate::executor::{Budget, with_reactor};
use crate::reactor::Direction;
use crate::sleep;

const BACKLOG: i32 = 1024;
// WASI's number; `std` has no `ErrorKind` for it.
const EINPROGRESS: i32 = 26;
// A peer that resets between its connect and our accept is its own affair; running out of descriptors is not
// over after one turn.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A listening socket.
#[derive(Debug)]
pub struct TcpListener {
    socket: Socket,
}

impl TcpListener {
    /// Listens on `address`; port 0 takes any free one.
    ///
    /// # Errors
    /// What the system says, for instance that the port is taken.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(AddressFamily::from(&address), SocketType::Stream)?;
        socket.setsockopt(SocketOptLevel::SolSocket, SocketOptName::SoReuseaddr, 1i32)?;
        socket.bind(&address)?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// The address really bound, with the port chosen for port 0.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_local()
    }

    /// Waits for the next connection. Errors of single peers are skipped.
    pub async fn accept(&self) -> TcpStream {
        loop {
            match poll_fn(|cx| self.poll_accept(cx)).await {
                Ok(stream) => return stream,
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        match self.socket.accept(true) {
            Ok(socket) => Poll::Ready(Ok(TcpStream::new(socket))),
            Err(error) if would_block(&error) => {
                wait_for(&self.socket, Direction::Read, cx);
                Poll::Pending
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        with_reactor(|reactor| reactor.forget(self.socket.as_raw_fd()));
    }
}

/// A connected socket.
#[derive(Debug)]
pub struct TcpStream {
    socket: Socket,
    reads: Budget,
    writes: Budget,
}

impl TcpStream {
    fn new(socket: Socket) -> Self {
        Self {
            socket,
            reads: Budget::default(),
            writes: Budget::default(),
        }
    }

    /// Connects to an IPv4 `address` (WasmEdge has no other).
    ///
    /// # Errors
    /// What the system says; `Unsupported` for IPv6.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(AddressFamily::from(&address), SocketType::Stream)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address) {
            Ok(()) => return Ok(Self::new(socket)),
            Err(error) if error.raw_os_error() == Some(EINPROGRESS) || would_block(&error) => {}
            Err(error) => return Err(error),
        }
        let mut waited = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            wait_for(&socket, Direction::Write, cx);
            Poll::Pending
        })
        .await;
        socket.take_error()?;
        Ok(Self::new(socket))
    }

    /// Waits until there is something to read and reads it, at most `buffer`; 0 is the end.
    ///
    /// # Errors
    /// What the system says.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Waiting first saves the call that finds nothing.
            self.readable().await;
            match self.socket.recv(buffer) {
                Err(error) if would_block(&error) => {}
                result => return result,
            }
        }
    }

    // Whether the reactor still waits for what an earlier call did not find.
    fn is_awaited(&self, direction: Direction) -> bool {
        with_reactor(|reactor| reactor.is_registered(self.socket.as_raw_fd(), direction))
    }

    async fn readable(&self) {
        let mut waited = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            wait_for(&self.socket, Direction::Read, cx);
            Poll::Pending
        })
        .await;
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// What the system says, mostly that the peer is gone.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = poll_fn(|cx| Pin::new(&mut *self).poll_write(cx, bytes)).await?;
            bytes = bytes.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// Reads what is there, at most `buffer`; 0 is the end.
    pub(crate) fn poll_read_slice(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_awaited(Direction::Read) {
            // Nothing came since the last call, so there is nothing to call for.
            wait_for(&self.socket, Direction::Read, cx);
            return Poll::Pending;
        }
        if !self.reads.take() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.socket.recv(buffer) {
            Err(error) if would_block(&error) => {
                wait_for(&self.socket, Direction::Read, cx);
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        with_reactor(|reactor| reactor.forget(self.socket.as_raw_fd()));
    }
}

impl Read for TcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let wanted = buffer.remaining();
        let space = buffer.initialize_unfilled();
        let count = ready!(self.poll_read_slice(cx, space))?;
        // SAFETY: the whole of the unfilled part is initialised, and the host filled `count` bytes of it.
        unsafe { buffer.advance(count.min(wanted)) };
        Poll::Ready(Ok(()))
    }
}

impl Write for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.writes.take() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.socket.send(bytes) {
            Err(error) if would_block(&error) => {
                wait_for(&self.socket, Direction::Write, cx);
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    // A peer that is gone already makes this fail, which changes nothing.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _gone = self.socket.shutdown(Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

fn wait_for(socket: &Socket, direction: Direction, cx: &Context<'_>) {
    with_reactor(|reactor| reactor.register(socket.as_raw_fd(), direction, cx.waker()));
}
