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

/// Debian's Python, which finds Debian's package of the Kubernetes client.
pub fn python_with_client() -> PathBuf {
    let module = Path::new("/usr/lib/python3/dist-packages/kubernetes/__init__.py");
    debian::brought(module, "python3-kubernetes");
    PathBuf::from("/usr/bin/python3")
}

/// Debian's registry of images.
pub fn docker_registry() -> PathBuf {
    debian::installed("docker-registry", "docker-registry")
}
