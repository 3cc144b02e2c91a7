//! The agent's half: an async handle to images, sandboxes and containers.
//!
//! Map: `open` finding what runs, `shared` the picture of it, `sandboxes`, `containers` and `images` the
//! operations, `prepare` from specification to launch plan, `session` streams, `connection` the way to a shim,
//! `machine` the machine.

mod connection;
mod containers;
mod images;
mod machine;
mod open;
mod prepare;
mod sandboxes;
mod session;
mod shared;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::broadcast;

pub use containers::ExecOutput;
pub use session::{ExecSession, Reader, Resizer, Writer};

use crate::error::{OpenError, RuntimeError};
use crate::image::Puller;
use crate::spec::RuntimeConfig;
use crate::status::{Capacity, RuntimeEvent, VersionInfo};
use shared::Shared;

/// Containers and images of this machine. See the crate's description.
pub struct Runtime {
    shared: Arc<Shared>,
    puller: Puller,
    _lock: File,
}

impl Runtime {
    /// Opens the root and adopts what runs.
    pub async fn open(cfg: RuntimeConfig) -> Result<Arc<Runtime>, OpenError> {
        open::open(cfg).await
    }

    /// Kills all shims and containers of a root, removes mounts and cgroups. Blocking; needs no agent.
    /// Images stay.
    pub fn purge(root: &Path, cgroup_parent: &str) -> Result<(), RuntimeError> {
        crate::purge::purge(root, cgroup_parent)
    }

    /// What happens from now on. After a `Lagged` error read [`Runtime::containers`] anew.
    pub fn events(&self) -> broadcast::Receiver<RuntimeEvent> {
        self.shared.events.subscribe()
    }

    /// Size of the machine.
    pub fn capacity(&self) -> Capacity {
        machine::capacity(&self.shared.cfg.root)
    }

    /// Names and versions.
    pub fn version(&self) -> VersionInfo {
        machine::version(&self.shared.layout)
    }
}
