//! One container's life: `Created -> Running -> Exited`.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use jiff::Timestamp;
use rustix::fs::{Mode, OFlags};

use super::log::LogFile;
use super::streams::{Ends, Streams};
use crate::cgroup::Group;
use crate::container::{self, Failure, Io, Launch, Surroundings, plain};
use crate::status::{ContainerState, ContainerStatus};

/// A container as its shim knows it.
pub struct Container {
    /// How to start it, and others in it.
    pub launch: Launch,
    /// What to report.
    pub status: ContainerStatus,
    /// Its streams while it runs, and after that until its clients have read everything.
    pub streams: Option<Streams>,
    /// When everything in it is killed.
    pub kill_at: Option<Instant>,
    /// Connections to answer when it has ended.
    pub waiting: Vec<u64>,
}

/// How a process ended, from its wait status.
pub fn exit_of(status: i32) -> (i32, Option<i32>) {
    if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        (128 + signal, Some(signal))
    } else {
        (libc::WEXITSTATUS(status), None)
    }
}

impl Container {
    /// A container that does not run yet.
    pub fn new(launch: Launch, status: ContainerStatus) -> Container {
        Container { launch, status, streams: None, kill_at: None, waiting: Vec::new() }
    }

    /// Its first process, when it runs.
    pub fn pid(&self) -> Option<i32> {
        (self.status.state == ContainerState::Running).then_some(self.status.pid as i32)
    }

    /// Starts it. A failure ends its life.
    pub fn start(&mut self, around: &Surroundings) -> Result<(), Failure> {
        match self.try_start(around) {
            Ok(()) => Ok(()),
            Err(failure) => {
                let group = self.group(around);
                if let Err(e) = group.destroy() {
                    eprintln!("container {}: {e}", self.launch.id);
                }
                self.streams = None;
                self.status.state = ContainerState::Exited;
                self.status.exit_code = Some(128);
                self.status.message = failure.message.clone();
                self.status.finished_at = Some(Timestamp::now());
                Err(failure)
            }
        }
    }

    fn try_start(&mut self, around: &Surroundings) -> Result<(), Failure> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |e: io::Error| Failure::new(format!("{what}: {}", plain(&e)))
        };
        let log = LogFile::open(&self.launch.log_path).map_err(failed("open the log file"))?;
        let group = self.group(around);
        group.create().map_err(failed("make the cgroup"))?;
        group.limit(&self.launch.resources).map_err(failed("set limits"))?;
        let (io, mut ends) = self.make_streams().map_err(failed("make streams"))?;
        let spawned = container::start(around, &self.launch, io)?;
        for warning in &spawned.warnings {
            eprintln!("container {}: {warning}", self.launch.id);
        }
        ends.master = spawned.master;
        self.streams = Some(Streams::new(ends, log, self.launch.stdin_once).map_err(failed("copy streams"))?);
        self.status.state = ContainerState::Running;
        self.status.pid = spawned.pid as u32;
        self.status.started_at = Some(Timestamp::now());
        Ok(())
    }

    fn make_streams(&self) -> io::Result<(Io, Ends)> {
        if self.launch.tty {
            return Ok((Io::Terminal, Ends::default()));
        }
        let pipe = || io::pipe().map(|(r, w)| (OwnedFd::from(r), OwnedFd::from(w)));
        let (out_read, out_write) = pipe()?;
        let (err_read, err_write) = pipe()?;
        let (stdin, kept) = if self.launch.stdin {
            let (read, write) = pipe()?;
            (read, Some(write))
        } else {
            (empty_input()?, None)
        };
        let ends = Ends { stdout: Some(out_read), stderr: Some(err_read), master: None, stdin: kept };
        Ok((Io::Streams([stdin, out_write, err_write]), ends))
    }

    /// Its cgroup.
    pub fn group<'a>(&self, around: &'a Surroundings) -> Group<'a> {
        Group::new(&around.layout, &self.launch.cgroup)
    }

    /// Signals its first process.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        // SAFETY: plain call. The process is this one's child and not yet reaped: the number is its own.
        crate::sys::check(unsafe { libc::kill(pid, signal) }).map(drop)
    }

    /// Kills everything in it.
    pub fn kill(&mut self, around: &Surroundings) {
        self.kill_at = None;
        if let Err(e) = self.signal(libc::SIGKILL) {
            eprintln!("container {}: kill: {e}", self.launch.id);
        }
        self.group(around).kill();
    }

    /// Its first process has ended: ends the others, takes the last output, notes how it went.
    pub fn ended(&mut self, around: &Surroundings, wait_status: i32) {
        let group = self.group(around);
        let oom_kills = group.oom_kills();
        // In a process namespace of its own everything is dead already.
        if let Err(e) = group.destroy() {
            eprintln!("container {}: {e}", self.launch.id);
        }
        if let Some(streams) = &mut self.streams {
            streams.finish();
        }
        let (code, signal) = exit_of(wait_status);
        self.kill_at = None;
        self.status.state = ContainerState::Exited;
        self.status.pid = 0;
        self.status.exit_code = Some(code);
        self.status.signal = signal;
        self.status.oom_killed = oom_kills > 0;
        self.status.finished_at = Some(Timestamp::now());
    }
}

/// `/dev/null`, or where there is none a pipe that nobody writes to.
fn empty_input() -> io::Result<OwnedFd> {
    match rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
        Ok(fd) => Ok(fd),
        Err(_) => io::pipe().map(|(read, _)| read.into()),
    }
}
