//! The agent's end of a connection to a shim.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::sys;
use crate::wire::{self, Reply, Request};

/// A connection to a shim.
pub struct ShimConnection {
    stream: UnixStream,
    buffer: Vec<u8>,
    /// Descriptors received and not yet taken.
    pub descriptors: Vec<OwnedFd>,
}

impl ShimConnection {
    /// Connects through the descriptor of the sandbox's directory: its path may be too long for a socket.
    pub async fn open(dir: &OwnedFd) -> io::Result<ShimConnection> {
        let stream = UnixStream::connect(sys::fd_path(dir).join(wire::SOCKET)).await?;
        Ok(ShimConnection { stream, buffer: Vec::new(), descriptors: Vec::new() })
    }

    /// Sends a request, descriptors going along.
    pub async fn send(&mut self, request: &Request, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let frame = wire::encode(request)?;
        let mut sent = 0;
        while sent < frame.len() {
            let fds = if sent == 0 { fds } else { &[] };
            let write = || wire::send(self.stream.as_fd(), &frame[sent..], fds);
            sent += self.stream.async_io(Interest::WRITABLE, write).await?;
        }
        Ok(())
    }

    /// The next answer; `None` when the shim has closed the connection. Safe to cancel.
    pub async fn next(&mut self) -> io::Result<Option<Reply>> {
        loop {
            if let Some(reply) = wire::decode(&mut self.buffer)? {
                return Ok(Some(reply));
            }
            let (mut chunk, mut fds) = (vec![0; 64 << 10], Vec::new());
            let read = || wire::receive(self.stream.as_fd(), &mut chunk, &mut fds);
            let count = match self.stream.async_io(Interest::READABLE, read).await {
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => 0,
                other => other?,
            };
            self.descriptors.append(&mut fds);
            if count == 0 {
                return Ok(None);
            }
            self.buffer.extend_from_slice(&chunk[..count]);
        }
    }

    /// The next answer, where one must come.
    pub async fn answer(&mut self) -> io::Result<Reply> {
        let closed = || io::Error::new(io::ErrorKind::UnexpectedEof, "the shim closed the connection");
        self.next().await?.ok_or_else(closed)
    }
}
