//! What the agent can ask of a shim.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::container::Container;
use super::event_loop::Shim;
use crate::container::{self, Failure, Io, Launch};
use crate::status::{ContainerState, ContainerStatus, EventKind};
use crate::wire::{Reply, Request};

impl Shim {
    /// Does one request of a connection.
    pub fn handle(&mut self, connection: u64, request: Request, fds: Vec<OwnedFd>) {
        let reply = match request {
            Request::Watch => self.watch(connection),
            Request::Create { launch, status } => self.create(*launch, *status),
            Request::Start { id } => self.start(&id),
            Request::Signal { id, signal } => self.signal(&id, signal),
            Request::Stop { id, signal, grace_ms } => self.stop(connection, &id, signal, grace_ms),
            Request::Remove { id } => self.remove(&id),
            Request::Exec { id, args, env, tty } => self.exec(connection, &id, &args, &env, tty, fds),
            Request::Attach { id, stdin } => Some(self.attach(&id, stdin, fds)),
            Request::Resize { id, rows, cols } => Some(self.resize(&id, rows, cols)),
            Request::ReopenLog { id } => Some(self.reopen_log(&id)),
            Request::Shutdown => {
                self.begin_shutdown(Some(connection));
                None
            }
        };
        if let Some(reply) = reply {
            self.reply(connection, &reply);
        }
    }

    fn watch(&mut self, connection: u64) -> Option<Reply> {
        self.connections.get_mut(&connection)?.watching = true;
        Some(Reply::State(self.state()))
    }

    fn create(&mut self, launch: Launch, status: ContainerStatus) -> Option<Reply> {
        if self.shutdown.is_some() {
            return Some(Reply::WrongState("shutting down".into()));
        }
        self.containers.insert(launch.id.clone(), Container::new(launch, status));
        Some(self.saved())
    }

    fn saved(&self) -> Reply {
        match self.save(false) {
            Ok(()) => Reply::Done,
            Err(e) => failed(format!("write the state file: {e}")),
        }
    }

    fn start(&mut self, id: &str) -> Option<Reply> {
        let shutting_down = self.shutdown.is_some();
        let Some(container) = self.containers.get_mut(id) else { return Some(Reply::NotFound) };
        if container.status.state != ContainerState::Created || shutting_down {
            return Some(Reply::WrongState(state_name(container.status.state).into()));
        }
        match container.start(&self.born.around) {
            Ok(()) => {
                let reply = self.saved();
                self.publish(id, EventKind::Started);
                Some(if matches!(reply, Reply::Done) { self.status_of(id) } else { reply })
            }
            Err(failure) => {
                self.record_exit(id);
                let status = self.containers.get(id).map(|c| Box::new(c.status.clone()));
                Some(Reply::Failed { failure, status })
            }
        }
    }

    /// What a container is now.
    pub fn status_of(&self, id: &str) -> Reply {
        match self.containers.get(id) {
            Some(container) => Reply::Status(Box::new(container.status.clone())),
            None => Reply::NotFound,
        }
    }

    fn signal(&mut self, id: &str, signal: i32) -> Option<Reply> {
        let Some(container) = self.containers.get(id) else { return Some(Reply::NotFound) };
        if container.pid().is_none() {
            return Some(Reply::WrongState(state_name(container.status.state).into()));
        }
        Some(match container.signal(signal) {
            Ok(()) => Reply::Done,
            Err(e) => failed(format!("send signal {signal}: {e}")),
        })
    }

    /// A second stop can only shorten the grace of the first.
    fn stop(&mut self, connection: u64, id: &str, signal: i32, grace_ms: u64) -> Option<Reply> {
        let Some(container) = self.containers.get_mut(id) else { return Some(Reply::NotFound) };
        match container.status.state {
            ContainerState::Exited => return Some(self.status_of(id)),
            ContainerState::Created => {
                container.status.state = ContainerState::Exited;
                container.status.exit_code = Some(128 + libc::SIGKILL);
                container.status.finished_at = Some(jiff::Timestamp::now());
                self.record_exit(id);
                return Some(self.status_of(id));
            }
            ContainerState::Running => {}
        }
        container.waiting.push(connection);
        if grace_ms == 0 {
            container.kill(&self.born.around);
            return None;
        }
        if let Err(e) = container.signal(signal) {
            eprintln!("container {id}: signal {signal}: {e}");
        }
        let at = Instant::now() + Duration::from_millis(grace_ms);
        container.kill_at = Some(container.kill_at.map_or(at, |before| before.min(at)));
        None
    }

    fn remove(&mut self, id: &str) -> Option<Reply> {
        match self.containers.get(id).map(|c| c.status.state) {
            None => Some(Reply::NotFound),
            Some(ContainerState::Running) => Some(Reply::WrongState("running".into())),
            Some(_) => {
                self.containers.remove(id);
                Some(self.saved())
            }
        }
    }

    fn exec(
        &mut self,
        connection: u64,
        id: &str,
        args: &[String],
        env: &[(String, String)],
        tty: bool,
        fds: Vec<OwnedFd>,
    ) -> Option<Reply> {
        let Some(container) = self.containers.get(id) else { return Some(Reply::NotFound) };
        let Some(pid) = container.pid() else {
            return Some(Reply::WrongState(state_name(container.status.state).into()));
        };
        let io = match (tty, <[OwnedFd; 3]>::try_from(fds)) {
            (true, _) => Io::Terminal,
            (false, Ok(fds)) => Io::Streams(fds),
            (false, Err(_)) => return Some(failed("exec needs three descriptors")),
        };
        let mut launch = container.launch.clone();
        launch.tty = tty;
        match container::exec(&self.born.around, &launch, pid, args, env, io) {
            Err(failure) => Some(Reply::Failed { failure, status: None }),
            Ok(spawned) => {
                let connection_id = connection;
                let connection = self.connections.get_mut(&connection)?;
                connection.exec = Some(spawned.pid);
                self.execs.insert(spawned.pid, connection_id);
                match &spawned.master {
                    Some(master) => connection.reply_with(&Reply::ExecStarted, master),
                    None => connection.reply(&Reply::ExecStarted),
                }
                None
            }
        }
    }

    fn attach(&mut self, id: &str, stdin: bool, fds: Vec<OwnedFd>) -> Reply {
        let Some(container) = self.containers.get_mut(id) else { return Reply::NotFound };
        let state = container.status.state;
        let Some(streams) = container.streams.as_mut().filter(|_| state == ContainerState::Running) else {
            return Reply::WrongState(state_name(state).into());
        };
        let mut fds = fds.into_iter();
        let (Some(out), err) = (fds.next(), fds.next()) else {
            return failed("attach needs descriptors");
        };
        let input = if stdin { fds.next() } else { None };
        match streams.attach(out, err, input) {
            Ok(()) => Reply::Attached { tty: container.launch.tty },
            Err(e) => failed(format!("attach: {e}")),
        }
    }

    fn resize(&mut self, id: &str, rows: u16, cols: u16) -> Reply {
        let Some(container) = self.containers.get(id) else { return Reply::NotFound };
        let Some(master) = container.streams.as_ref().and_then(|s| s.master()) else { return Reply::Done };
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        match rustix::termios::tcsetwinsize(master, size) {
            Ok(()) => Reply::Done,
            Err(e) => failed(format!("resize: {e}")),
        }
    }

    fn reopen_log(&mut self, id: &str) -> Reply {
        let Some(container) = self.containers.get_mut(id) else { return Reply::NotFound };
        let Some(streams) = &mut container.streams else { return Reply::Done };
        match streams.reopen_log() {
            Ok(()) => Reply::Done,
            Err(e) => failed(format!("reopen the log: {e}")),
        }
    }
}

fn failed(message: impl Into<String>) -> Reply {
    Reply::Failed { failure: Failure::new(message), status: None }
}

fn state_name(state: ContainerState) -> &'static str {
    match state {
        ContainerState::Created => "created",
        ContainerState::Running => "running",
        ContainerState::Exited => "exited",
    }
}
