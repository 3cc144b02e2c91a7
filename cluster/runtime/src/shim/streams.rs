//! A container's input and output: to its log file, and to and from attached clients.
//!
//! A client that reads slowly slows the container down, as a terminal does; one that reads nothing at all
//! for a while is let go.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::log::{LogFile, Stream};

/// Bytes read at once.
const CHUNK: usize = 64 << 10;
/// Bytes that wait for a client, or for the container's input, before their source is not read any more.
const HIGH_WATER: usize = 256 << 10;
/// How long a client may take nothing while there is something for it.
const STALL_LIMIT: Duration = Duration::from_secs(10);

/// What `poll` said about each descriptor.
#[derive(Default)]
pub struct Ready(pub HashMap<RawFd, PollFlags>);

impl Ready {
    /// Whether anything happened that wakes a reader: data, the end, an error.
    pub fn readable(&self, fd: impl AsFd) -> bool {
        self.get(fd).intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
    }

    /// Whether it can be written, or will refuse for good.
    pub fn writable(&self, fd: impl AsFd) -> bool {
        self.get(fd).intersects(PollFlags::OUT | PollFlags::ERR | PollFlags::HUP)
    }

    /// Whether the other side is gone.
    pub fn broken(&self, fd: impl AsFd) -> bool {
        self.get(fd).intersects(PollFlags::ERR)
    }

    fn get(&self, fd: impl AsFd) -> PollFlags {
        self.0.get(&fd.as_fd().as_raw_fd()).copied().unwrap_or(PollFlags::empty())
    }
}

/// What to wait for.
pub type Interests<'a> = Vec<(BorrowedFd<'a>, PollFlags)>;

/// The container's ends of its streams.
#[derive(Default)]
pub struct Ends {
    /// What it writes to standard output.
    pub stdout: Option<OwnedFd>,
    /// What it writes to standard error.
    pub stderr: Option<OwnedFd>,
    /// Its terminal, instead of the others.
    pub master: Option<OwnedFd>,
    /// Its standard input, kept open for clients.
    pub stdin: Option<OwnedFd>,
}

/// Bytes on their way to a descriptor.
struct Outlet {
    fd: Option<OwnedFd>,
    pending: Vec<u8>,
    stalled_since: Option<Instant>,
}

impl Outlet {
    fn new(fd: Option<OwnedFd>) -> Outlet {
        Outlet { fd, pending: Vec::new(), stalled_since: None }
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.fd.is_some() {
            self.pending.extend_from_slice(bytes);
            self.flush();
        }
    }

    fn flush(&mut self) {
        let Some(fd) = &self.fd else { return };
        while !self.pending.is_empty() {
            match rustix::io::write(fd, &self.pending) {
                Ok(count) => {
                    self.pending.drain(..count);
                    self.stalled_since = None;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    self.stalled_since.get_or_insert_with(Instant::now);
                    return;
                }
                Err(_) => return self.close(),
            }
        }
    }

    fn close(&mut self) {
        self.fd = None;
        self.pending.clear();
        self.stalled_since = None;
    }

    fn is_full(&self) -> bool {
        self.pending.len() >= HIGH_WATER
    }

    fn has_stalled(&self, now: Instant) -> bool {
        self.stalled_since.is_some_and(|since| now.duration_since(since) > STALL_LIMIT)
    }

    /// Also with nothing to write: to learn that the other side has gone.
    fn interest<'a>(&'a self, into: &mut Interests<'a>) {
        if let Some(fd) = &self.fd {
            let flags = if self.pending.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            into.push((fd.as_fd(), flags));
        }
    }

    fn service(&mut self, ready: &Ready) {
        if let Some(fd) = &self.fd {
            if ready.broken(fd) {
                self.close();
            } else if ready.writable(fd) {
                self.flush();
            }
        }
    }
}

/// An attached client.
struct Client {
    out: Outlet,
    err: Outlet,
    input: Option<OwnedFd>,
}

/// All of a container's streams.
pub struct Streams {
    ends: Ends,
    stdin_once: bool,
    to_stdin: Vec<u8>,
    close_stdin: bool,
    log: LogFile,
    clients: Vec<Client>,
    ended: bool,
}

impl Streams {
    /// Starts copying.
    pub fn new(ends: Ends, log: LogFile, stdin_once: bool) -> io::Result<Streams> {
        for fd in [&ends.stdout, &ends.stderr, &ends.master, &ends.stdin].into_iter().flatten() {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        let clients = Vec::new();
        Ok(Streams { ends, stdin_once, to_stdin: Vec::new(), close_stdin: false, log, clients, ended: false })
    }

    /// Connects a client.
    pub fn attach(&mut self, out: OwnedFd, err: Option<OwnedFd>, input: Option<OwnedFd>) -> io::Result<()> {
        for fd in [Some(&out), err.as_ref(), input.as_ref()].into_iter().flatten() {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        self.clients.push(Client { out: Outlet::new(Some(out)), err: Outlet::new(err), input });
        Ok(())
    }

    /// The terminal.
    pub fn master(&self) -> Option<&OwnedFd> {
        self.ends.master.as_ref()
    }

    /// Writes to a new file from now on.
    pub fn reopen_log(&mut self) -> io::Result<()> {
        self.log.reopen()
    }

    /// Whether nothing is left to do after the container's end.
    pub fn is_idle(&self) -> bool {
        self.ended && self.clients.is_empty()
    }

    /// Adds what to wait for.
    pub fn interests<'a>(&'a self, into: &mut Interests<'a>) {
        let crowded = self.clients.iter().any(|c| c.out.is_full() || c.err.is_full());
        for end in [&self.ends.stdout, &self.ends.stderr, &self.ends.master].into_iter().flatten() {
            let terminal_input = self.ends.master.is_some() && !self.to_stdin.is_empty();
            let mut flags = if crowded { PollFlags::empty() } else { PollFlags::IN };
            if terminal_input {
                flags |= PollFlags::OUT;
            }
            if !flags.is_empty() {
                into.push((end.as_fd(), flags));
            }
        }
        if let Some(stdin) = self.ends.stdin.as_ref().filter(|_| !self.to_stdin.is_empty()) {
            into.push((stdin.as_fd(), PollFlags::OUT));
        }
        for client in &self.clients {
            client.out.interest(into);
            client.err.interest(into);
            if let Some(input) = client.input.as_ref().filter(|_| self.to_stdin.len() < HIGH_WATER) {
                into.push((input.as_fd(), PollFlags::IN));
            }
        }
    }

    /// When a stalled client must be looked at again.
    pub fn deadline(&self) -> Option<Instant> {
        let since =
            self.clients.iter().flat_map(|c| [c.out.stalled_since, c.err.stalled_since]).flatten().min();
        since.map(|at| at + STALL_LIMIT)
    }

    /// Copies what can be copied.
    pub fn service(&mut self, ready: &Ready, now: Instant) {
        for client in &mut self.clients {
            client.out.service(ready);
            client.err.service(ready);
        }
        self.read_input(ready);
        self.write_stdin();
        self.read_output(|fd| ready.readable(fd));
        self.drop_dead_clients(now);
    }

    fn drop_dead_clients(&mut self, now: Instant) {
        let ended = self.ended;
        self.clients.retain(|c| {
            let stalled = c.out.has_stalled(now) || c.err.has_stalled(now);
            let flushed = c.out.pending.is_empty() && c.err.pending.is_empty();
            c.out.fd.is_some() && !stalled && !(ended && flushed)
        });
    }

    fn read_input(&mut self, ready: &Ready) {
        let mut closed = false;
        for client in &mut self.clients {
            let Some(input) = client.input.as_ref().filter(|fd| ready.readable(fd)) else { continue };
            let mut chunk = vec![0; CHUNK];
            match rustix::io::read(input, &mut chunk[..]) {
                Ok(0) => {
                    client.input = None;
                    closed = true;
                }
                Ok(count) => self.to_stdin.extend_from_slice(&chunk[..count]),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(_) => client.input = None,
            }
        }
        self.close_stdin |= closed && self.stdin_once;
    }

    fn write_stdin(&mut self) {
        let Some(fd) = self.ends.stdin.as_ref().or(self.ends.master.as_ref()) else {
            self.to_stdin.clear();
            return;
        };
        while !self.to_stdin.is_empty() {
            match rustix::io::write(fd, &self.to_stdin) {
                Ok(count) => drop(self.to_stdin.drain(..count)),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                Err(_) => {
                    // The container has closed its input: what comes for it goes nowhere.
                    self.to_stdin.clear();
                    self.ends.stdin = None;
                    return;
                }
            }
        }
        if self.close_stdin {
            self.ends.stdin = None;
        }
    }

    fn read_output(&mut self, wanted: impl Fn(BorrowedFd<'_>) -> bool) {
        let read = |end: &mut Option<OwnedFd>| {
            let fd = end.as_ref().filter(|fd| wanted(fd.as_fd()))?;
            let mut chunk = vec![0; CHUNK];
            match rustix::io::read(fd, &mut chunk[..]) {
                Ok(count) if count > 0 => {
                    chunk.truncate(count);
                    return Some(chunk);
                }
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                // The end; a terminal without a process answers EIO.
                _ => *end = None,
            }
            None
        };
        let stdout = read(&mut self.ends.stdout).or_else(|| read(&mut self.ends.master));
        let stderr = read(&mut self.ends.stderr);
        if let Some(bytes) = stdout {
            self.log.write(Stream::Stdout, &bytes);
            self.clients.iter_mut().for_each(|c| c.out.push(&bytes));
        }
        if let Some(bytes) = stderr {
            self.log.write(Stream::Stderr, &bytes);
            self.clients.iter_mut().for_each(|c| c.err.push(&bytes));
        }
    }

    /// The container has ended: takes what is still in the pipes and closes everything.
    pub fn finish(&mut self) {
        // A pipe holds at most 1 MiB unless a privileged process widened it, and nobody writes any more.
        for _ in 0..(4 << 20) / CHUNK {
            self.read_output(|_| true);
        }
        self.ends = Ends::default();
        self.log.finish(Stream::Stdout);
        self.log.finish(Stream::Stderr);
        self.ended = true;
        self.drop_dead_clients(Instant::now());
    }
}
