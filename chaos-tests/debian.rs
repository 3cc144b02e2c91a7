//! Programs of the machine that tests need; what is missing is installed from Debian.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Tests of one program run at the same time; installing is done by one.
static INSTALLING: Mutex<()> = Mutex::new(());

/// A static busybox, which a container needs no library for.
pub fn busybox() -> PathBuf {
    let _turn = INSTALLING.lock().expect("nobody failed to install");
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

/// The path of `program`, which `package` brings.
#[allow(dead_code, reason = "not every test needs more than busybox")]
pub fn installed(program: &str, package: &str) -> PathBuf {
    let _turn = INSTALLING.lock().expect("nobody failed to install");
    on_path(program).unwrap_or_else(|| {
        install(package);
        on_path(program).unwrap_or_else(|| panic!("{package} brings no {program}"))
    })
}

/// Sees to it that `file`, which `package` brings, is there.
#[allow(dead_code, reason = "as above")]
pub fn brought(file: &Path, package: &str) {
    let _turn = INSTALLING.lock().expect("nobody failed to install");
    if !file.exists() {
        install(package);
        assert!(file.exists(), "{package} brings no {}", file.display());
    }
}

#[allow(dead_code, reason = "as above")]
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.exists())
}

/// apt-get waits for another process's turn by itself.
fn install(package: &str) {
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["-o", "DPkg::Lock::Timeout=300"]).args(arguments);
        command.env("DEBIAN_FRONTEND", "noninteractive").output().expect("apt-get runs")
    };
    println!("installing {package}");
    apt(&["update", "-qq"]);
    let output = apt(&["install", "-y", "-qq", "--no-install-recommends", package]);
    assert!(output.status.success(), "install {package}: {}", String::from_utf8_lossy(&output.stderr));
}
