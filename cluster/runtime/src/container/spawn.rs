//! The parent's side of starting a process: fork into the right process namespace, then listen to the child
//! until it has executed its program or failed.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};

use super::{Failure, Launch, Step, Surroundings, setup};
use crate::cgroup::Group;
use crate::sys::{self, Fork};
use crate::wire;

/// How long a child may take from fork to exec: mounts of dead network file systems would hang it forever.
const SETUP_LIMIT: Duration = Duration::from_secs(60);

/// Standard streams of a new process.
pub enum Io {
    /// Input, output, error.
    Streams([OwnedFd; 3]),
    /// A terminal, whose master is returned.
    Terminal,
}

/// A process that executes its program.
pub struct Spawned {
    /// As the shim numbers it.
    pub pid: i32,
    /// Master of its terminal.
    pub master: Option<OwnedFd>,
    /// What could not be done as asked, but does not matter enough to fail.
    pub warnings: Vec<String>,
}

/// What the child says before it executes its program.
#[derive(Serialize, Deserialize)]
enum Note {
    Warning(String),
    Failed(Failure),
    Master,
}

/// The child's line to its parent.
pub struct Channel(OwnedFd);

impl Channel {
    /// Reports something that is not as asked.
    pub fn warn(&self, text: String) {
        self.say(&Note::Warning(text), None);
    }

    /// Hands the terminal's master over.
    pub fn give_master(&self, master: &OwnedFd) {
        self.say(&Note::Master, Some(master));
    }

    fn say(&self, note: &Note, fd: Option<&OwnedFd>) {
        let Ok(bytes) = serde_json::to_vec(note) else { return };
        let fds: Vec<_> = fd.iter().map(|fd| fd.as_fd()).collect();
        // When the parent is gone nobody is left to tell: this process dies with it.
        let _lost = wire::send(&self.0, &bytes, &fds);
    }
}

/// Starts a container's first process.
pub fn start(around: &Surroundings, launch: &Launch, io: Io) -> Result<Spawned, Failure> {
    let filter = super::seccomp::compile(launch)?;
    let pids = match (&around.shared_pids, around.host_pids) {
        (_, true) => Pids::Own,
        (Some(shared), false) => Pids::Join(shared),
        (None, false) => Pids::New,
    };
    spawn(around, launch, pids, |channel| setup::start(around, launch, io, &filter, channel))
}

/// Runs another process in the container whose first process is `pid`.
pub fn exec(
    around: &Surroundings,
    launch: &Launch,
    pid: i32,
    args: &[String],
    env: &[(String, String)],
    io: Io,
) -> Result<Spawned, Failure> {
    let filter = super::seccomp::compile(launch)?;
    let open = |kind: &str| std::fs::File::open(format!("/proc/{pid}/ns/{kind}")).map(OwnedFd::from);
    let mounts = open("mnt").step("open the container's mount namespace")?;
    let cgroups = open("cgroup").ok();
    let pids = open("pid").step("open the container's process namespace")?;
    let inside = setup::Inside { mounts, cgroups, args, env };
    spawn(around, launch, Pids::Join(&pids), |channel| setup::exec(launch, &inside, io, &filter, channel))
}

enum Pids<'a> {
    Own,
    New,
    Join(&'a OwnedFd),
}

fn spawn(
    around: &Surroundings,
    launch: &Launch,
    pids: Pids<'_>,
    child: impl FnOnce(&Channel) -> Result<Infallible, Failure>,
) -> Result<Spawned, Failure> {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .step("make a socket pair")?;
    let group = Group::new(&around.layout, &launch.cgroup);
    let birthplace = group.birthplace().step("open the cgroup")?;
    let (forked, placed) = fork_into(around, pids, birthplace.as_ref()).step("fork")?;
    match forked {
        Fork::Child => {
            drop(ours);
            let channel = Channel(theirs);
            let entered = if placed { Ok(()) } else { group.enter().step("enter the cgroup") };
            let failure = match entered.and_then(|()| child(&channel)) {
                Ok(never) => match never {},
                Err(failure) => failure,
            };
            let code = failure.exit_code;
            channel.say(&Note::Failed(failure), None);
            sys::exit_now(code);
        }
        Fork::Parent(pid) => {
            drop(theirs);
            listen(&ours, pid)
        }
    }
}

/// The new process is a member of the namespace; the shim itself stays where it is.
fn fork_into(around: &Surroundings, pids: Pids<'_>, cgroup: Option<&OwnedFd>) -> io::Result<(Fork, bool)> {
    match pids {
        Pids::Own => return sys::fork_in_cgroup(cgroup),
        Pids::New => sys::unshare(libc::CLONE_NEWPID)?,
        Pids::Join(fd) => sys::setns(fd, libc::CLONE_NEWPID)?,
    }
    let forked = sys::fork_in_cgroup(cgroup);
    if !matches!(forked, Ok((Fork::Child, _))) {
        sys::setns(&around.own_pids, libc::CLONE_NEWPID)?;
    }
    forked
}

/// Reads notes until the line is closed: by `exec`, or by the child's end.
fn listen(line: &OwnedFd, pid: i32) -> Result<Spawned, Failure> {
    rustix::net::sockopt::set_socket_timeout(line, rustix::net::sockopt::Timeout::Recv, Some(SETUP_LIMIT))
        .step("set a timeout")?;
    let mut spawned = Spawned { pid, master: None, warnings: Vec::new() };
    let mut buffer = vec![0; 64 << 10];
    loop {
        let mut fds = Vec::new();
        let length = match wire::receive(line, &mut buffer, &mut fds) {
            Ok(0) => return Ok(spawned),
            Ok(length) => length,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(give_up(pid, Failure::new(format!("container setup: {e}")))),
        };
        match serde_json::from_slice(&buffer[..length]) {
            Ok(Note::Warning(text)) => spawned.warnings.push(text),
            Ok(Note::Master) => spawned.master = fds.pop(),
            Ok(Note::Failed(failure)) => return Err(give_up(pid, failure)),
            Err(e) => return Err(give_up(pid, Failure::new(format!("container setup: {e}")))),
        }
    }
}

/// Ends a child that has not executed its program, and reaps it.
fn give_up(pid: i32, failure: Failure) -> Failure {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        // It may be gone already; reaping tells in any case.
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        let _reaped = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
    }
    failure
}
