//! Containers and images on one Linux machine.
//!
//! What it owns: a directory (`RuntimeConfig::root`) with the image store, the layers, and one
//! directory per pod sandbox; a cgroup subtree; and one small **shim** process per sandbox. The shim
//! (this program executed again, see [`shim`]) holds the pod's namespaces, forks its containers, writes
//! their logs and keeps their exit codes. The [`Runtime`] handle inside the agent only talks to shims
//! and to registries, so that it may die and come back while containers run.
//!
//! Invariants:
//! - Nothing is mounted in the host's mount namespace: a container's mounts live in its own and vanish
//!   with it.
//! - Only the shim forks, and the shim has one thread.
//! - Every path inside a root file system is resolved with `openat2(RESOLVE_IN_ROOT)`, or after the
//!   process has moved into that root.
//! - An exit is recorded on disk before it is reported; a container id is never used twice.
//! - A blob is readable in the store only after its digest was verified.
//!
//! Map: [`spec`] what to run, [`status`] what runs, [`error`] how it fails, [`handle`] the agent's half,
//! [`shim`] the other half, `wire` what they say to each other, `container` how a process gets into its box,
//! `cgroup` limits and counters, [`image`] names, store, registries, archives and the built-in images,
//! `purge` how everything ends.

mod cgroup;
mod container;
pub mod error;
pub mod handle;
pub mod image;
mod purge;
pub mod shim;
pub mod spec;
pub mod status;
mod sys;
mod wire;

pub use error::{ExecError, ImageError, OpenError, PullError, RuntimeError};
pub use handle::{ExecSession, Runtime};
pub use image::{ImageConfig, ImageInfo};
pub use spec::*;
pub use status::*;
