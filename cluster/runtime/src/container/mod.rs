//! How a process gets into its box: namespaces, mounts, devices, user, capabilities, system call filter.
//!
//! Runs inside the shim and in the processes it forks. `spawn` is the parent's side, `setup` what the child
//! does before it executes the program, `mounts` and `devices` the root file system, `identity` users and
//! privileges, `seccomp` the filter, `program` the last step.

mod capability;
mod devices;
mod identity;
mod mounts;
mod program;
mod seccomp;
mod seccomp_table;
mod setup;
mod spawn;

use std::fmt::Display;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use capability::resolve as resolve_capabilities;
pub use mounts::{DEFAULT_MASKED, DEFAULT_READONLY, make_shm_namespace};
pub use spawn::{Io, exec, start};

use crate::cgroup::Layout;
use crate::spec::{Device, Mount, Resources, Rlimit, Seccomp, UserSpec};

/// Everything the shim needs to start a container, nothing left to look up outside of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Launch {
    /// Container id.
    pub id: String,
    /// Directory beneath `ROOT/containers`, with `u`pper, `w`ork and `m`ount point.
    pub dir: String,
    /// Layer directories beneath `ROOT/images/layers`, uppermost first.
    pub layers: Vec<String>,
    /// Program and arguments.
    pub args: Vec<String>,
    /// Environment, each key once.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub cwd: String,
    /// The image's `user[:group]`.
    pub image_user: String,
    /// What the specification says about the user.
    pub user: UserSpec,
    /// Capabilities as a bit set.
    pub capabilities: u64,
    /// As specified.
    pub privileged: bool,
    /// As specified.
    pub read_only_root: bool,
    /// As specified.
    pub no_new_privs: bool,
    /// As specified.
    pub seccomp: Seccomp,
    /// As specified, in order of container path.
    pub mounts: Vec<Mount>,
    /// As specified.
    pub devices: Vec<Device>,
    /// Paths hidden.
    pub masked_paths: Vec<PathBuf>,
    /// Paths made read-only.
    pub readonly_paths: Vec<PathBuf>,
    /// As specified.
    pub tty: bool,
    /// As specified.
    pub stdin: bool,
    /// As specified.
    pub stdin_once: bool,
    /// As specified.
    pub resources: Resources,
    /// As specified.
    pub rlimits: Vec<Rlimit>,
    /// As specified.
    pub oom_score_adj: i32,
    /// Cgroup, relative to the hierarchies' roots.
    pub cgroup: PathBuf,
    /// CRI log file, or empty.
    pub log_path: PathBuf,
}

/// What a sandbox gives to all its containers.
pub struct Surroundings {
    /// The runtime's root directory, as this process sees it.
    pub root: PathBuf,
    /// Hierarchies of this machine.
    pub layout: Layout,
    /// The mount namespace the shim lives in.
    pub host_mounts: OwnedFd,
    /// A mount namespace whose root is the pod's `/dev/shm`; the machine's is used without.
    pub shm: Option<OwnedFd>,
    /// The process namespace the shim lives in.
    pub own_pids: OwnedFd,
    /// The process namespace all containers share, if they do.
    pub shared_pids: Option<OwnedFd>,
    /// Containers live in the machine's process namespace.
    pub host_pids: bool,
}

/// Why a program could not be executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// 127 not found, 126 not executable, 128 anything else.
    pub exit_code: i32,
    /// For people.
    pub message: String,
}

impl Failure {
    /// A failure of the setup.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { exit_code: 128, message: message.into() }
    }
}

/// The error's text as C programs show it: without the number, in lower case.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    first + letters.as_str()
}

/// Names the step that failed.
trait Step<T> {
    fn step(self, what: impl Display) -> Result<T, Failure>;
}

impl<T> Step<T> for io::Result<T> {
    fn step(self, what: impl Display) -> Result<T, Failure> {
        self.map_err(|e| Failure::new(format!("{what}: {}", plain(&e))))
    }
}

impl<T> Step<T> for Result<T, rustix::io::Errno> {
    fn step(self, what: impl Display) -> Result<T, Failure> {
        self.map_err(io::Error::from).step(what)
    }
}
