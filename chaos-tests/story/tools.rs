//! Programs of the machine that the story needs.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

#[path = "../debian.rs"]
mod debian;

pub use debian::busybox;

/// kubectl: `$KUBECTL`, the one on the PATH, or Debian's.
pub fn kubectl() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| match std::env::var_os("KUBECTL") {
        Some(given) => given.into(),
        None => debian::installed("kubectl", "kubernetes-client"),
    })
}

/// Debian's registry of images.
pub fn docker_registry() -> PathBuf {
    debian::installed("docker-registry", "docker-registry")
}
