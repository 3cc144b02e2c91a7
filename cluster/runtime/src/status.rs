//! What runs: what the runtime reports about sandboxes, containers and the machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A pod sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The pod's uid.
    pub id: String,
    /// The pod's name.
    pub name: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The shim, in whose namespaces the pod lives. 0 when not ready.
    pub pid: u32,
    /// The network namespace, `/proc/PID/ns/net`.
    pub netns: PathBuf,
    /// Whether its shim runs.
    pub ready: bool,
    /// Uses the agent's network namespace.
    pub host_network: bool,
    /// As in the specification.
    pub attempt: u32,
    /// Creation time.
    pub created_at: jiff::Timestamp,
    /// As in the specification.
    pub labels: BTreeMap<String, String>,
    /// As in the specification.
    pub annotations: BTreeMap<String, String>,
    /// As in the specification.
    pub log_dir: PathBuf,
}

/// The life of a container: `Created -> Running -> Exited`, or `Created -> Exited` when it can not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerState {
    /// Known, not started.
    Created,
    /// Its first process runs.
    Running,
    /// Its first process has ended, and so has every other one.
    Exited,
}

/// A container, as its shim last reported it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The sandbox it belongs to.
    pub sandbox_id: String,
    /// Its name in the pod.
    pub name: String,
    /// As in the specification.
    pub attempt: u32,
    /// Where in its life it is.
    pub state: ContainerState,
    /// First process, as this machine numbers it; 0 unless running.
    pub pid: u32,
    /// Creation time.
    pub created_at: jiff::Timestamp,
    /// When its first process was executed.
    pub started_at: Option<jiff::Timestamp>,
    /// When its first process ended.
    pub finished_at: Option<jiff::Timestamp>,
    /// Exit code; 128 + signal when a signal ended it; 128 when it could not be started.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The kernel killed one of its processes for want of memory.
    pub oom_killed: bool,
    /// Why it could not start, as Kubernetes shows it; empty otherwise.
    pub message: String,
    /// Image id, `sha256:...` of its configuration.
    pub image_id: String,
    /// The name it was asked for by, or the id.
    pub image_ref: String,
    /// As in the specification.
    pub labels: BTreeMap<String, String>,
    /// As in the specification.
    pub annotations: BTreeMap<String, String>,
    /// CRI log file.
    pub log_path: PathBuf,
}

/// What happened, pushed the moment it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// A container runs.
    Started,
    /// A container ended: read its status.
    Exited,
    /// The kernel killed a process of it for want of memory (`Exited` follows when it was the first).
    Oom,
    /// The sandbox's shim is gone; `container_id` is empty.
    SandboxLost,
}

/// An event of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeEvent {
    /// The container.
    pub container_id: String,
    /// Its sandbox.
    pub sandbox_id: String,
    /// What happened.
    pub kind: EventKind,
}

/// Counters of a container or of a whole pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// CPU time used, nanoseconds.
    pub cpu_ns: u64,
    /// Memory in use, bytes, page cache included.
    pub memory_usage: u64,
    /// Memory in use less inactive page cache, bytes: what eviction looks at.
    pub memory_working_set: u64,
    /// Anonymous memory, bytes.
    pub memory_rss: u64,
    /// Major page faults.
    pub major_page_faults: u64,
    /// Page faults.
    pub page_faults: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// Bytes and inodes of a file tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FsUsage {
    /// Bytes used.
    pub used_bytes: u64,
    /// Inodes used.
    pub inodes: u64,
}

/// What the machine has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Logical CPUs.
    pub cpus: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of the file system that holds the root directory.
    pub disk_bytes: u64,
    /// Bytes of it still available.
    pub disk_available_bytes: u64,
    /// Inodes of it.
    pub disk_inodes: u64,
    /// Inodes of it still available.
    pub disk_inodes_available: u64,
}

/// Names and versions for a node's status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionInfo {
    /// `trireme`.
    pub runtime_name: String,
    /// Version of this crate.
    pub runtime_version: String,
    /// Release of the kernel.
    pub kernel_version: String,
    /// `PRETTY_NAME` of os-release.
    pub os_image: String,
    /// `linux`.
    pub operating_system: String,
    /// Architecture as Go names it: `amd64`, `arm64`.
    pub architecture: String,
    /// `/etc/machine-id`, or empty.
    pub machine_id: String,
    /// SMBIOS uuid, or the machine id.
    pub system_uuid: String,
    /// Boot id of the kernel.
    pub boot_id: String,
    /// `v1`, `v2` or `hybrid`.
    pub cgroups: String,
}
