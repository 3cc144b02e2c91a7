//! Which hierarchies this machine has, found in the mount table.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::sys::write_control;

/// Controllers this runtime uses; the others are left alone.
const USED: [&str; 5] = ["cpu", "cpuacct", "memory", "pids", "cpuset"];
/// Version 1 hierarchies whose new cgroups can be entered at once (cpuset needs CPUs assigned first).
const USED_V1: [&str; 4] = ["cpu", "cpuacct", "memory", "pids"];

/// How cgroups are set up here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One unified hierarchy.
    V2,
    /// One hierarchy per controller.
    V1,
    /// Version 1 controllers with a version 2 hierarchy beside them.
    Hybrid,
    /// None.
    None,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Its version 1 controllers; empty for version 2.
    pub controllers: Vec<String>,
}

impl Hierarchy {
    /// Whether it is the unified one.
    pub fn is_v2(&self) -> bool {
        self.controllers.is_empty()
    }

    /// Whether it is of version 1 and has this controller.
    pub fn has_v1(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }
}

/// The hierarchies this runtime makes cgroups in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// How they are set up.
    pub mode: Mode,
    /// All of them.
    pub hierarchies: Vec<Hierarchy>,
}

impl Layout {
    /// Reads the mount table.
    pub fn detect() -> io::Result<Layout> {
        Ok(Layout::from_mountinfo(&std::fs::read_to_string("/proc/self/mountinfo")?))
    }

    fn from_mountinfo(text: &str) -> Layout {
        let mut hierarchies: Vec<Hierarchy> = Vec::new();
        let mut unified = None;
        for line in text.lines() {
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let Some(mount) = left.split(' ').nth(4).map(PathBuf::from) else { continue };
            let mut right = right.split(' ');
            let (kind, options) = (right.next().unwrap_or(""), right.nth(1).unwrap_or(""));
            match kind {
                "cgroup2" if unified.is_none() => unified = Some(mount),
                "cgroup" => {
                    let used: BTreeSet<&str> = options.split(',').filter(|c| USED_V1.contains(c)).collect();
                    let new = used.iter().all(|c| !hierarchies.iter().any(|h| h.has_v1(c)));
                    if !used.is_empty() && new {
                        let controllers = used.into_iter().map(str::to_owned).collect();
                        hierarchies.push(Hierarchy { mount, controllers });
                    }
                }
                _ => {}
            }
        }
        let v1 = !hierarchies.is_empty();
        let mode = match (v1, unified.is_some()) {
            (true, true) => Mode::Hybrid,
            (true, false) => Mode::V1,
            (false, true) => Mode::V2,
            (false, false) => Mode::None,
        };
        hierarchies.extend(unified.map(|mount| Hierarchy { mount, controllers: Vec::new() }));
        Layout { mode, hierarchies }
    }
}

/// Enables the controllers from the root down to the parent of `path`, making those directories.
pub fn delegate_to(hierarchy: &Hierarchy, path: &Path) -> io::Result<()> {
    let mut dir = hierarchy.mount.clone();
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        enable_controllers(&dir)?;
        dir.push(part);
        if parts.peek().is_some() {
            match std::fs::create_dir(&dir) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
        }
    }
    Ok(())
}

fn enable_controllers(dir: &Path) -> io::Result<()> {
    let available = std::fs::read_to_string(dir.join("cgroup.controllers"))?;
    let control = dir.join("cgroup.subtree_control");
    let enabled = std::fs::read_to_string(&control)?;
    let has = |list: &str, c: &str| list.split_whitespace().any(|x| x == c);
    for controller in USED.iter().filter(|c| has(&available, c) && !has(&enabled, c)) {
        let line = format!("+{controller}");
        match write_control(&control, &line) {
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {
                evacuate(dir)?;
                write_control(&control, &line)?;
            }
            other => other?,
        }
    }
    Ok(())
}

/// Moves the processes of a cgroup into a leaf beneath it: only a cgroup without processes may hand its
/// controllers down. Happens when the machine is itself a container.
fn evacuate(dir: &Path) -> io::Result<()> {
    let leaf = dir.join("host");
    match std::fs::create_dir(&leaf) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    for pid in std::fs::read_to_string(dir.join("cgroup.procs"))?.lines() {
        match write_control(&leaf.join("cgroup.procs"), pid) {
            // It ended in the meantime.
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => {}
            other => other?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:3 - cgroup2 cgroup2 rw
";

    #[test]
    fn hybrid_is_told_from_v2() {
        let layout = Layout::from_mountinfo(HYBRID);
        assert_eq!(layout.mode, Mode::Hybrid);
        assert_eq!(layout.hierarchies.len(), 3);
        assert!(layout.hierarchies[0].has_v1("cpu") && layout.hierarchies[0].has_v1("cpuacct"));
        assert!(layout.hierarchies[2].is_v2());
        let v2 = "30 22 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(Layout::from_mountinfo(v2).mode, Mode::V2);
        assert_eq!(Layout::from_mountinfo("").mode, Mode::None);
    }
}
