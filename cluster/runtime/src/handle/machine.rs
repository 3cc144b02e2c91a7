//! What the machine is and has.

use std::path::Path;

use crate::cgroup::{Layout, Mode};
use crate::status::{Capacity, FsUsage, VersionInfo};

fn text(path: &str) -> String {
    std::fs::read_to_string(path).map(|t| t.trim().to_owned()).unwrap_or_default()
}

/// Size of the machine, and of the file system of `root`.
pub fn capacity(root: &Path) -> Capacity {
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let memory = text("/proc/meminfo");
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib =
        total.and_then(|t| t.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    let mut capacity = Capacity { cpus, memory_bytes: kib * 1024, ..Capacity::default() };
    if let Ok(fs) = rustix::fs::statvfs(root) {
        capacity.disk_bytes = fs.f_blocks * fs.f_frsize;
        capacity.disk_available_bytes = fs.f_bavail * fs.f_frsize;
        capacity.disk_inodes = fs.f_files;
        capacity.disk_inodes_available = fs.f_favail;
    }
    capacity
}

/// Names and versions.
pub fn version(layout: &Layout) -> VersionInfo {
    let machine_id = text("/etc/machine-id");
    let uuid = text("/sys/class/dmi/id/product_uuid");
    VersionInfo {
        runtime_name: "trireme".to_owned(),
        runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel_version: rustix::system::uname().release().to_string_lossy().into_owned(),
        os_image: os_image(&text("/etc/os-release")),
        operating_system: "linux".to_owned(),
        architecture: crate::image::architecture().to_owned(),
        system_uuid: if uuid.is_empty() { machine_id.clone() } else { uuid },
        machine_id,
        boot_id: text("/proc/sys/kernel/random/boot_id"),
        cgroups: match layout.mode {
            Mode::V2 => "v2",
            Mode::V1 => "v1",
            Mode::Hybrid => "hybrid",
            Mode::None => "none",
        }
        .to_owned(),
    }
}

fn os_image(release: &str) -> String {
    let value = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    value.map_or_else(|| "Linux".to_owned(), |v| v.trim_matches('"').to_owned())
}

/// Adds up a directory tree. What vanishes meanwhile is not counted.
pub fn usage(dir: &Path) -> FsUsage {
    use std::os::unix::fs::MetadataExt;
    let mut usage = FsUsage::default();
    let Ok(entries) = std::fs::read_dir(dir) else { return usage };
    for entry in entries.flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        usage.used_bytes += meta.blocks() * 512;
        usage.inodes += 1;
        if meta.is_dir() {
            let beneath = self::usage(&entry.path());
            usage.used_bytes += beneath.used_bytes;
            usage.inodes += beneath.inodes;
        }
    }
    usage
}
