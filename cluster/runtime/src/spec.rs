//! What to run: the specifications the agent hands over.
//!
//! They name files, users and limits of this machine; nothing of the Kubernetes API enters here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How [`crate::Runtime::open`] finds its directory, its shim and its registries.
#[derive(Debug, Clone, Default)]
pub struct RuntimeConfig {
    /// Directory of everything: images, layers, sandboxes. Created when absent; must be on a file
    /// system that can be an overlay's upper layer (ext4, xfs, btrfs, tmpfs).
    pub root: PathBuf,
    /// Program started as `shim_exe shim ...`: it must call [`crate::shim::main`] at once.
    pub shim_exe: PathBuf,
    /// Cgroup under which all pods live, relative to the cgroup root, for example `trireme/node-1`.
    pub cgroup_parent: String,
    /// Where images come from.
    pub registries: RegistryConfig,
}

/// Which registries are spoken to, and how.
#[derive(Debug, Clone, Default)]
pub struct RegistryConfig {
    /// Registry hosts (`host[:port]`) reached over plain HTTP. `localhost` and `127.0.0.1` always are.
    pub insecure_http: Vec<String>,
    /// For a registry host, the hosts asked before it, in order.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Forward proxy `http://IP:PORT`: CONNECT for https, absolute-form requests for http.
    pub proxy: Option<String>,
    /// Hosts reached without the proxy.
    pub no_proxy: Vec<String>,
}

/// A credential for pulling. The most specific `registry` that is a prefix of the image's name wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryAuth {
    /// Registry host, with an optional path prefix; empty matches every registry.
    pub registry: String,
    /// User name of basic authentication.
    pub username: String,
    /// Password of basic authentication.
    pub password: String,
    /// Bearer token, used instead of user name and password when set.
    pub token: Option<String>,
}

/// Limits of one cgroup. Absent means unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Relative CPU weight in cgroup v1 shares (2..=262144; 1024 is one CPU's request).
    pub cpu_shares: Option<u64>,
    /// CPU time in microseconds per `cpu_period`.
    pub cpu_quota: Option<i64>,
    /// Length of a period in microseconds; 100,000 when absent.
    pub cpu_period: Option<u64>,
    /// Bytes of memory.
    pub memory_limit: Option<u64>,
    /// Number of processes and threads.
    pub pids: Option<u64>,
}

/// Where a pod's cgroup lives and what it may use as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupSpec {
    /// Path below `RuntimeConfig::cgroup_parent`, by quality of service: `` for guaranteed,
    /// `burstable`, `besteffort`.
    pub parent: String,
    /// Limits of the whole pod.
    pub resources: Resources,
}

/// A pod sandbox: the namespaces, hostname and cgroup that its containers share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// The pod's uid; `[A-Za-z0-9_.-]`, at most 128 characters.
    pub id: String,
    /// The pod's name.
    pub name: String,
    /// The pod's namespace (of the Kubernetes kind).
    pub namespace: String,
    /// Host name inside; the machine's when empty.
    pub hostname: String,
    /// Use the agent's network namespace.
    pub host_network: bool,
    /// Use the machine's process namespace.
    pub host_pid: bool,
    /// Use the machine's IPC namespace and `/dev/shm`.
    pub host_ipc: bool,
    /// One process namespace for all containers.
    pub share_pid: bool,
    /// Kernel parameters of the pod's namespaces, `net.ipv4.ip_unprivileged_port_start` form.
    pub sysctls: BTreeMap<String, String>,
    /// Kept, not interpreted.
    pub labels: BTreeMap<String, String>,
    /// Kept, not interpreted.
    pub annotations: BTreeMap<String, String>,
    /// How many sandboxes this pod had before.
    pub attempt: u32,
    /// The pod's cgroup.
    pub cgroup: CgroupSpec,
    /// Directory for log files, created when absent.
    pub log_dir: PathBuf,
}

/// How mounts made later on one side are seen by the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// Not at all.
    #[default]
    Private,
    /// New mounts of the host appear in the container.
    HostToContainer,
    /// Both ways.
    Bidirectional,
}

/// A file or directory of the machine inside a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path on the machine. With `sub_path` set, that path is resolved beneath it.
    pub host_path: PathBuf,
    /// Path beneath `host_path`, which can not lead out of it (symbolic links included). Created
    /// as a directory when absent.
    pub sub_path: Option<PathBuf>,
    /// Absolute path in the container, created when absent.
    pub container_path: PathBuf,
    /// Refuse writes through this mount.
    pub read_only: bool,
    /// Refuse writes also through mounts beneath it.
    pub recursive_read_only: bool,
    /// Propagation of later mounts.
    pub propagation: Propagation,
}

/// A device node of the machine made available in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Path on the machine.
    pub host_path: PathBuf,
    /// Path in the container.
    pub container_path: PathBuf,
    /// Any of `r`, `w`, `m`. Without `w` it is mounted read-only.
    pub permissions: String,
}

/// System call filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    /// What ordinary programs need; the rest answers `EPERM` or `ENOSYS`.
    #[default]
    RuntimeDefault,
    /// No filter.
    Unconfined,
}

/// Whom the container runs as. Absent parts come from the image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSpec {
    /// Numeric user; the image's when absent.
    pub uid: Option<u32>,
    /// Numeric primary group; looked up for the user in the image when absent.
    pub gid: Option<u32>,
    /// Added to the groups that the image's `/etc/group` gives the user (`fsGroup`, `supplementalGroups`).
    pub supplemental_groups: Vec<u32>,
    /// Leave out the groups of the image's `/etc/group`.
    pub strict_groups: bool,
}

/// Soft and hard limit of a resource, by its name without `RLIMIT_`, for example `NOFILE`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// Name, upper case.
    pub name: String,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// One container of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Its name in the pod.
    pub name: String,
    /// How many containers of that name ran before.
    pub attempt: u32,
    /// Image id (`sha256:...`) or any name of a present image.
    pub image_id: String,
    /// The name the user asked for; reported as `image_ref` beside the id. May be empty.
    pub image: String,
    /// Replaces the image's entry point when not empty.
    pub command: Vec<String>,
    /// Replaces the image's arguments when not empty, or when `command` is given.
    pub args: Vec<String>,
    /// Added to the image's environment; the later wins.
    pub env: Vec<(String, String)>,
    /// Working directory; the image's when empty.
    pub working_dir: String,
    /// Mounts, applied in order of their container path.
    pub mounts: Vec<Mount>,
    /// User and groups.
    pub user: UserSpec,
    /// All capabilities, all devices, no masked paths, no system call filter.
    pub privileged: bool,
    /// Capabilities beyond the default set (`NET_ADMIN`, with or without `CAP_`, or `ALL`).
    pub cap_add: Vec<String>,
    /// Capabilities taken from the default set, or `ALL`.
    pub cap_drop: Vec<String>,
    /// Root file system read-only.
    pub read_only_root: bool,
    /// Forbid gaining privileges by executing set-uid programs.
    pub no_new_privs: bool,
    /// System call filter.
    pub seccomp: Seccomp,
    /// Extra devices.
    pub devices: Vec<Device>,
    /// Give it a terminal; standard error is then merged into standard output.
    pub tty: bool,
    /// Keep standard input open for `attach`.
    pub stdin: bool,
    /// Close standard input when the first attached client closes it.
    pub stdin_once: bool,
    /// Limits.
    pub resources: Resources,
    /// Process limits.
    pub rlimits: Vec<Rlimit>,
    /// CRI log file. No log when empty.
    pub log_path: PathBuf,
    /// Paths hidden from the container; the usual list when `None`.
    pub masked_paths: Option<Vec<PathBuf>>,
    /// Paths that can not be written; the usual list when `None`.
    pub readonly_paths: Option<Vec<PathBuf>>,
    /// Kept, not interpreted.
    pub labels: BTreeMap<String, String>,
    /// Kept, not interpreted.
    pub annotations: BTreeMap<String, String>,
    /// Badness offset for the out-of-memory killer, -1000..=1000.
    pub oom_score_adj: i32,
}

impl Default for ContainerSpec {
    fn default() -> Self {
        ContainerSpec {
            name: String::new(),
            attempt: 0,
            image_id: String::new(),
            image: String::new(),
            command: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            working_dir: String::new(),
            mounts: Vec::new(),
            user: UserSpec::default(),
            privileged: false,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            read_only_root: false,
            no_new_privs: false,
            seccomp: Seccomp::Unconfined,
            devices: Vec::new(),
            tty: false,
            stdin: false,
            stdin_once: false,
            resources: Resources::default(),
            rlimits: Vec::new(),
            log_path: PathBuf::new(),
            masked_paths: None,
            readonly_paths: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            oom_score_adj: 0,
        }
    }
}

/// A process to run inside a running container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSpec {
    /// Program and arguments.
    pub cmd: Vec<String>,
    /// Give it a terminal.
    pub tty: bool,
    /// Give it a standard input.
    pub stdin: bool,
    /// Added to the container's environment.
    pub env: Vec<(String, String)>,
}
