//! Images: names, store, registries, archives and the built-in ones.
//!
//! On disk, beneath `ROOT/images`: `blobs/sha256/HEX` holds manifests and configurations, `layers/HEX` each
//! unpacked layer once (named by its uncompressed digest), `index.json` which images there are. Compressed
//! layers are dropped once unpacked.
//!
//! Map: `name` references, `document` manifests and configurations, `store` the index and the blobs, `layer`
//! unpacking, `archive` import, `registry` the HTTP side, `pull` how an image is fetched, `builtin` the images
//! that are part of this program.

mod archive;
mod builtin;
mod document;
mod layer;
mod name;
mod pull;
mod registry;
mod store;

pub(crate) use archive::import as import_archive;
pub(crate) use builtin::install as install_builtin;
pub(crate) use document::architecture;
pub use name::normalize;
pub(crate) use pull::Puller;
pub(crate) use store::Store;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What an image says about running it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// `user[:group]`, names or numbers; empty is root.
    pub user: String,
    /// `KEY=VALUE`.
    pub env: Vec<String>,
    /// Program and first arguments.
    pub entrypoint: Vec<String>,
    /// Arguments that a container may replace.
    pub cmd: Vec<String>,
    /// Working directory; empty is `/`.
    pub working_dir: String,
    /// Signal that asks it to stop, for example `SIGQUIT`; empty is SIGTERM.
    pub stop_signal: String,
    /// Directories that want a volume.
    pub volumes: Vec<String>,
    /// Ports it listens on, `8080/tcp`.
    pub exposed_ports: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl ImageConfig {
    /// The user as a number when it is one (`runAsNonRoot` asks); root when none is named.
    pub fn uid(&self) -> Option<u32> {
        let user = self.user.split(':').next().unwrap_or_default();
        if user.is_empty() { Some(0) } else { user.parse().ok() }
    }
}

/// An image of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageInfo {
    /// Digest of its configuration, `sha256:...`.
    pub id: String,
    /// Normalised names, `docker.io/library/busybox:latest`.
    pub names: Vec<String>,
    /// Normalised names with the manifest's digest, `docker.io/library/busybox@sha256:...`.
    pub digests: Vec<String>,
    /// Bytes of its blobs.
    pub size: u64,
    /// How to run it.
    pub config: ImageConfig,
}
