//! Programs of the machine that the story needs; what is missing is installed from Debian.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// kubectl: `$KUBECTL`, the one on the PATH, or Debian's.
pub fn kubectl() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| match std::env::var_os("KUBECTL") {
        Some(given) => given.into(),
        None => installed("kubectl", "kubernetes-client"),
    })
}

/// Debian's registry of images.
pub fn docker_registry() -> PathBuf {
    installed("docker-registry", "docker-registry")
}

/// A static busybox, which a container needs no library for.
pub fn busybox() -> PathBuf {
    // The plain `busybox` package is dynamic and may be there already: ask for the static one.
    let path = PathBuf::from("/bin/busybox");
    let is_static = std::fs::read(&path).is_ok_and(|bytes| !contains(&bytes, b"/lib64/ld-linux"));
    if !is_static {
        install("busybox-static");
    }
    path
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn installed(program: &str, package: &str) -> PathBuf {
    on_path(program).unwrap_or_else(|| {
        install(package);
        on_path(program).unwrap_or_else(|| panic!("{package} brings no {program}"))
    })
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.exists())
}

fn install(package: &str) {
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        command.output().expect("apt-get runs (the story installs what it needs from Debian)")
    };
    println!("installing {package}");
    apt(&["update", "-qq"]);
    let output = apt(&["install", "-y", "-qq", "--no-install-recommends", package]);
    assert!(output.status.success(), "install {package}: {}", String::from_utf8_lossy(&output.stderr));
}
