//! What wakes the shim: children that end, the agent's requests, output, and deadlines.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::birth::Born;
use super::connection::Connection;
use super::container::{Container, exit_of};
use super::streams::{Interests, Ready};
use crate::status::{ContainerState, EventKind};
use crate::wire::{self, Reply, State};

/// How long killed containers may take to end before the shim leaves without them.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(15);
/// How long the last answers may take to be read.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

/// The shim's whole state.
pub struct Shim {
    /// How it was set up.
    pub born: Born,
    /// By id.
    pub containers: BTreeMap<String, Container>,
    /// By number of acceptance.
    pub connections: BTreeMap<u64, Connection>,
    /// Processes of `Exec` and the connections that wait for them.
    pub execs: HashMap<i32, u64>,
    /// Since when it shuts down, and whom to tell.
    pub shutdown: Option<(Instant, Vec<u64>)>,
    next_connection: u64,
}

/// Runs until shut down; returns the exit code.
pub fn run(born: Born) -> i32 {
    let mut shim = Shim {
        born,
        containers: BTreeMap::new(),
        connections: BTreeMap::new(),
        execs: HashMap::new(),
        shutdown: None,
        next_connection: 0,
    };
    if let Err(e) = shim.save(false) {
        eprintln!("{}: {e}", wire::STATE);
        return 1;
    }
    loop {
        match shim.turn() {
            Ok(true) => {}
            Ok(false) => return 0,
            Err(e) => {
                // Without the ability to wait nothing can be done; the containers end with the shim.
                eprintln!("shim: {e}");
                return 1;
            }
        }
    }
}

impl Shim {
    /// Waits once and does what is to be done; false at the end.
    fn turn(&mut self) -> io::Result<bool> {
        let ready = self.wait()?;
        let now = Instant::now();
        if ready.readable(&self.born.signals) {
            self.take_signals();
        }
        for container in self.containers.values_mut() {
            if let Some(streams) = &mut container.streams {
                streams.service(&ready, now);
                if streams.is_idle() {
                    container.streams = None;
                }
            }
            if container.kill_at.is_some_and(|at| at <= now) {
                container.kill(&self.born.around);
            }
        }
        if ready.readable(&self.born.listener) {
            self.accept();
        }
        self.serve(&ready);
        Ok(!self.may_leave(now))
    }

    fn wait(&self) -> io::Result<Ready> {
        let mut interests: Interests<'_> =
            vec![(self.born.signals.as_fd(), PollFlags::IN), (self.born.listener.as_fd(), PollFlags::IN)];
        self.connections.values().for_each(|c| c.interests(&mut interests));
        self.containers.values().filter_map(|c| c.streams.as_ref()).for_each(|s| s.interests(&mut interests));
        let mut fds: Vec<PollFd<'_>> =
            interests.into_iter().map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)).collect();
        let timeout = self.deadline().map(|at| {
            let left = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            rustix::time::Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ }
        });
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let hits = fds.iter().filter(|fd| !fd.revents().is_empty());
        Ok(Ready(hits.map(|fd| (fd.as_fd().as_raw_fd(), fd.revents())).collect()))
    }

    fn deadline(&self) -> Option<Instant> {
        let kills = self.containers.values().filter_map(|c| c.kill_at);
        let stalls = self.containers.values().filter_map(|c| c.streams.as_ref()?.deadline());
        let leave = self.shutdown.as_ref().map(|(since, _)| {
            let limit = if self.any_running() { SHUTDOWN_LIMIT } else { FAREWELL_LIMIT };
            *since + limit
        });
        kills.chain(stalls).chain(leave).min()
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.born.listener.accept() {
            match Connection::new(stream) {
                Ok(connection) => {
                    self.connections.insert(self.next_connection, connection);
                    self.next_connection += 1;
                }
                Err(e) => eprintln!("accept: {e}"),
            }
        }
    }

    fn serve(&mut self, ready: &Ready) {
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        for id in ids {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            for (request, fds) in connection.service(ready) {
                self.handle(id, request, fds);
            }
        }
        let closed = self.connections.extract_if(.., |_, c| c.closed);
        for (_, connection) in closed {
            if let Some(pid) = connection.exec.filter(|pid| self.execs.remove(pid).is_some()) {
                // SAFETY: plain call; the process is not reaped yet, or it would not be listed.
                let _gone = unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        }
    }

    fn take_signals(&mut self) {
        let mut records = [0u8; 16 * size_of::<libc::signalfd_siginfo>()];
        while let Ok(count) = rustix::io::read(&self.born.signals, &mut records[..]) {
            for record in records[..count].chunks_exact(size_of::<libc::signalfd_siginfo>()) {
                // The signal's number is the first field of each record.
                let number = record.first_chunk::<4>().map_or(0, |n| u32::from_ne_bytes(*n) as i32);
                if number == libc::SIGTERM || number == libc::SIGINT {
                    self.begin_shutdown(None);
                }
            }
        }
        self.reap();
    }

    /// Takes the exit of every child that has ended: containers, processes of `Exec`, orphans.
    fn reap(&mut self) {
        let mut ended = Vec::new();
        loop {
            let mut status = 0;
            // SAFETY: the status lives through the call.
            let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
            if pid <= 0 {
                break;
            }
            if let Some(connection) = self.execs.remove(&pid) {
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.exec = None;
                    connection.reply(&Reply::ExecExited(exit_of(status).0));
                }
            } else if let Some((id, _)) = self.containers.iter().find(|(_, c)| c.pid() == Some(pid)) {
                ended.push((id.clone(), status));
            } else if self.born.pause == Some(pid) {
                eprintln!("the shared process namespace has ended");
            }
        }
        for (id, status) in ended {
            if let Some(container) = self.containers.get_mut(&id) {
                container.ended(&self.born.around, status);
                self.record_exit(&id);
            }
        }
    }

    /// Writes the exit down, then tells everybody who waits for it.
    pub fn record_exit(&mut self, id: &str) {
        if let Err(e) = self.save(true) {
            eprintln!("{}: {e}", wire::STATE);
        }
        if self.containers.get(id).is_some_and(|c| c.status.oom_killed) {
            self.publish(id, EventKind::Oom);
        }
        self.publish(id, EventKind::Exited);
        let waiting = self.containers.get_mut(id).map(|c| std::mem::take(&mut c.waiting)).unwrap_or_default();
        let status = self.status_of(id);
        for connection in waiting {
            self.reply(connection, &status);
        }
    }

    /// Sends an event to all who watch.
    pub fn publish(&mut self, id: &str, kind: EventKind) {
        let Some(container) = self.containers.get(id) else { return };
        let event = Reply::Event { kind, status: Box::new(container.status.clone()) };
        self.connections.values_mut().filter(|c| c.watching).for_each(|c| c.reply(&event));
    }

    /// Answers a connection, unless it is gone.
    pub fn reply(&mut self, connection: u64, reply: &Reply) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.reply(reply);
        }
    }

    /// Everything there is to know.
    pub fn state(&self) -> State {
        let containers = self.containers.values().map(|c| c.status.clone()).collect();
        State { shim_pid: std::process::id(), containers }
    }

    /// Writes the state file.
    pub fn save(&self, sync: bool) -> io::Result<()> {
        crate::sys::replace_file(Path::new(wire::STATE), &serde_json::to_vec(&self.state())?, sync)
    }

    fn any_running(&self) -> bool {
        self.containers.values().any(|c| c.status.state == ContainerState::Running)
    }

    /// Kills all containers; the shim leaves when they have ended.
    pub fn begin_shutdown(&mut self, connection: Option<u64>) {
        let (_, waiting) = self.shutdown.get_or_insert_with(|| (Instant::now(), Vec::new()));
        waiting.extend(connection);
        for container in self.containers.values_mut().filter(|c| c.pid().is_some()) {
            container.kill(&self.born.around);
        }
    }

    fn may_leave(&mut self, now: Instant) -> bool {
        let running = self.any_running();
        let Some((since, waiting)) = &mut self.shutdown else { return false };
        if running && now < *since + SHUTDOWN_LIMIT {
            return false;
        }
        for connection in std::mem::take(waiting) {
            if let Some(connection) = self.connections.get_mut(&connection) {
                connection.reply(&Reply::Done);
            }
        }
        true
    }
}
