//! One connection of the agent: frames in, frames out, never blocking.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::PollFlags;

use super::streams::{Interests, Ready};
use crate::wire::{self, Reply, Request};

/// Most bytes waiting for an agent that does not read; then the connection is closed, and it asks anew.
const MAX_BACKLOG: usize = 16 << 20;
const CHUNK: usize = 64 << 10;

/// A connection.
pub struct Connection {
    stream: UnixStream,
    incoming: Vec<u8>,
    descriptors: Vec<OwnedFd>,
    outgoing: Vec<u8>,
    /// Wants events.
    pub watching: bool,
    /// The process it has started by `Exec` and that still runs.
    pub exec: Option<i32>,
    /// Closed by either side.
    pub closed: bool,
}

impl Connection {
    /// Takes an accepted connection.
    pub fn new(stream: UnixStream) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            incoming: Vec::new(),
            descriptors: Vec::new(),
            outgoing: Vec::new(),
            watching: false,
            exec: None,
            closed: false,
        })
    }

    /// Adds what to wait for.
    pub fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        let out = if self.outgoing.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        into.push((self.stream.as_fd(), PollFlags::IN | out));
    }

    /// Reads and writes what it can; returns whole requests with the descriptors that came along.
    pub fn service(&mut self, ready: &Ready) -> Vec<(Request, Vec<OwnedFd>)> {
        if ready.writable(&self.stream) {
            self.flush();
        }
        if !ready.readable(&self.stream) {
            return Vec::new();
        }
        self.closed |= !self.read();
        let mut requests = Vec::new();
        loop {
            match wire::decode(&mut self.incoming) {
                Ok(Some(request)) => requests.push((request, std::mem::take(&mut self.descriptors))),
                Ok(None) => return requests,
                Err(e) => {
                    eprintln!("agent: {e}");
                    self.closed = true;
                    return requests;
                }
            }
        }
    }

    /// False when the other side has closed.
    fn read(&mut self) -> bool {
        let mut chunk = vec![0; CHUNK];
        loop {
            match wire::receive(&self.stream, &mut chunk, &mut self.descriptors) {
                Ok(0) => return false,
                Ok(count) => self.incoming.extend_from_slice(&chunk[..count]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return true,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// Answers.
    pub fn reply(&mut self, reply: &Reply) {
        match wire::encode(reply) {
            Ok(frame) if self.outgoing.len() + frame.len() <= MAX_BACKLOG => {
                self.outgoing.extend_from_slice(&frame);
                self.flush();
            }
            Ok(_) => self.closed = true,
            Err(e) => {
                eprintln!("agent: {e}");
                self.closed = true;
            }
        }
    }

    /// Answers, a descriptor going along. Only as the first answer of a connection, when nothing waits.
    pub fn reply_with(&mut self, reply: &Reply, fd: &OwnedFd) {
        let sent = wire::encode(reply).and_then(|frame| {
            let count = wire::send(&self.stream, &frame, &[fd.as_fd()])?;
            self.outgoing.extend_from_slice(&frame[count..]);
            Ok(())
        });
        self.closed |= sent.is_err();
    }

    fn flush(&mut self) {
        while !self.outgoing.is_empty() {
            match wire::send(&self.stream, &self.outgoing, &[]) {
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.closed = true;
                    return;
                }
            }
        }
    }
}
