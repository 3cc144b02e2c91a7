//! Streams of `exec` and `attach`.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;

use super::connection::ShimConnection;
use super::shared::Shared;
use crate::error::RuntimeError;
use crate::wire::{Reply, Request};

/// Reads what a process writes.
pub type Reader = Pin<Box<dyn AsyncRead + Send + Sync>>;
/// Writes what a process reads.
pub type Writer = Pin<Box<dyn AsyncWrite + Send + Sync>>;

/// A process that runs in a container, or a container attached to.
///
/// Dropping an exec session kills the process; dropping an attach session only detaches.
pub struct ExecSession {
    /// Its standard input, when asked for. Drop it to close.
    pub stdin: Option<Writer>,
    /// Its standard output, with a terminal also standard error.
    pub stdout: Option<Reader>,
    /// Its standard error; `None` with a terminal.
    pub stderr: Option<Reader>,
    resizer: Resizer,
    end: End,
}

/// Where the end of a session is heard of.
enum End {
    Process { sandbox: String, connection: ShimConnection },
    Container { shared: Arc<Shared>, id: String },
}

/// Changes the size of a session's terminal.
#[derive(Clone)]
pub struct Resizer(Target);

#[derive(Clone)]
enum Target {
    None,
    Terminal(Arc<Terminal>),
    Container(Arc<Shared>, String),
}

impl Resizer {
    /// Changes the size of the terminal; ignored without one.
    pub async fn resize(&self, rows: u16, cols: u16) -> Result<(), RuntimeError> {
        match &self.0 {
            Target::None => Ok(()),
            Target::Terminal(terminal) => terminal
                .resize(rows, cols)
                .map_err(|source| RuntimeError::Io { path: "terminal".into(), source }),
            Target::Container(shared, id) => {
                let request = Request::Resize { id: id.clone(), rows, cols };
                shared.ask_container(id, request).await.map(drop)
            }
        }
    }
}

impl ExecSession {
    /// A process with pipes.
    pub fn of_pipes(
        sandbox: String,
        connection: ShimConnection,
        streams: (Option<Writer>, Reader, Reader),
    ) -> ExecSession {
        let end = End::Process { sandbox, connection };
        let (stdin, stdout, stderr) = streams;
        ExecSession { stdin, stdout: Some(stdout), stderr: Some(stderr), resizer: Resizer(Target::None), end }
    }

    /// A process with a terminal.
    pub fn of_terminal(
        sandbox: String,
        connection: ShimConnection,
        master: OwnedFd,
        stdin: bool,
    ) -> io::Result<ExecSession> {
        let terminal = Arc::new(Terminal::new(master)?);
        let stdin: Option<Writer> = if stdin { Some(Box::pin(Side(terminal.clone()))) } else { None };
        Ok(ExecSession {
            stdin,
            stdout: Some(Box::pin(Side(terminal.clone()))),
            stderr: None,
            resizer: Resizer(Target::Terminal(terminal)),
            end: End::Process { sandbox, connection },
        })
    }

    /// A container's own streams.
    pub fn of_container(
        shared: Arc<Shared>,
        id: String,
        tty: bool,
        streams: (Option<Writer>, Reader, Reader),
    ) -> ExecSession {
        let (stdin, stdout, stderr) = streams;
        let target = if tty { Target::Container(shared.clone(), id.clone()) } else { Target::None };
        let stderr = if tty { None } else { Some(stderr) };
        let end = End::Container { shared, id };
        ExecSession { stdin, stdout: Some(stdout), stderr, resizer: Resizer(target), end }
    }

    /// Changes the size of the terminal; ignored without one.
    pub async fn resize(&self, rows: u16, cols: u16) -> Result<(), RuntimeError> {
        self.resizer.resize(rows, cols).await
    }

    /// A handle for resizing from another task.
    pub fn resizer(&self) -> Resizer {
        self.resizer.clone()
    }

    /// Waits for the end: exit code, or 128 + signal. Take the streams out first.
    pub async fn wait(self) -> Result<i32, RuntimeError> {
        let ExecSession { end, .. } = self;
        match end {
            End::Container { shared, id } => shared.await_exit(&id).await,
            End::Process { sandbox, mut connection } => match connection.answer().await {
                Ok(Reply::ExecExited(code)) => Ok(code),
                Ok(other) => Err(RuntimeError::Protocol { sandbox, detail: format!("{other:?}") }),
                Err(source) => Err(RuntimeError::Shim { sandbox, source }),
            },
        }
    }
}

/// A pipe whose reading end is the agent's: the end for the process, and the reader.
pub fn output_pipe() -> io::Result<(OwnedFd, Reader)> {
    let (read, write) = io::pipe()?;
    let read = OwnedFd::from(read);
    rustix::io::ioctl_fionbio(&read, true)?;
    Ok((write.into(), Box::pin(pipe::Receiver::from_owned_fd(read)?)))
}

/// A pipe whose writing end is the agent's: the end for the process, and the writer.
pub fn input_pipe() -> io::Result<(OwnedFd, Writer)> {
    let (read, write) = io::pipe()?;
    let write = OwnedFd::from(write);
    rustix::io::ioctl_fionbio(&write, true)?;
    Ok((read.into(), Box::pin(pipe::Sender::from_owned_fd(write)?)))
}

/// The master side of a terminal.
struct Terminal(AsyncFd<OwnedFd>);

impl Terminal {
    fn new(master: OwnedFd) -> io::Result<Terminal> {
        rustix::io::ioctl_fionbio(&master, true)?;
        // SAFETY: an owned descriptor always answers with itself, and lives as long as the registration.
        Ok(Terminal(unsafe { AsyncFd::register(master)? }))
    }

    fn resize(&self, rows: u16, cols: u16) -> io::Result<()> {
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(rustix::termios::tcsetwinsize(self.0.get_ref(), size)?)
    }
}

/// One direction of a terminal.
struct Side(Arc<Terminal>);

impl AsyncRead for Side {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.0.poll_read_ready(cx))?;
            let read = guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), buf.initialize_unfilled())?));
            match read {
                Ok(Ok(count)) => {
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
                // No process has the terminal open any more: the end.
                Ok(Err(e)) if e.raw_os_error() == Some(libc::EIO) => return Poll::Ready(Ok(())),
                Ok(Err(e)) => return Poll::Ready(Err(e)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Side {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.0.poll_write_ready(cx))?;
            if let Ok(done) = guard.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?)) {
                return Poll::Ready(done);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
