//! The end of everything that a root has started, with or without an agent.

use std::io;
use std::path::{Path, PathBuf};

use crate::cgroup::{Group, Layout};
use crate::error::RuntimeError;
use crate::wire::{self, State};

/// How often a directory is removed in which somebody writes at the same time.
const REMOVE_TRIES: u32 = 100;

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> RuntimeError + '_ {
    move |source| RuntimeError::Io { path: path.to_path_buf(), source }
}

/// Kills all shims and containers, removes their cgroups, mounts and directories. Images stay.
pub fn purge(root: &Path, cgroup_parent: &str) -> Result<(), RuntimeError> {
    if cgroup_parent.split('/').all(|part| part.is_empty() || part == ".") || cgroup_parent.contains("..") {
        let reason = format!("{cgroup_parent:?} is not a cgroup of its own");
        return Err(RuntimeError::Invalid { field: "cgroup_parent", reason });
    }
    let sandboxes = root.join("sandboxes");
    for dir in directories(&sandboxes)? {
        kill_shim(&dir);
    }
    let layout = Layout::detect().map_err(io_error(Path::new("/proc/self/mountinfo")))?;
    let group = Group::new(&layout, cgroup_parent);
    group.destroy().map_err(|source| RuntimeError::Cgroup { path: cgroup_parent.into(), source })?;
    unmount_beneath(root)?;
    remove_dir(&sandboxes)?;
    remove_dir(&root.join("containers"))
}

/// A handle that still lives notes the end of its shims in these directories: then once more.
fn remove_dir(dir: &Path) -> Result<(), RuntimeError> {
    let mut tries = 0..REMOVE_TRIES;
    loop {
        match std::fs::remove_dir_all(dir) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty && tries.next().is_some() => {}
            Err(e) => return Err(io_error(dir)(e)),
        }
    }
}

fn directories(dir: &Path) -> Result<Vec<PathBuf>, RuntimeError> {
    match std::fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(io_error(dir)(e)),
        Ok(entries) => entries.map(|e| e.map(|e| e.path()).map_err(io_error(dir))).collect(),
    }
}

/// Kills the shim of a sandbox directory; its containers die with it. The number in the state file is
/// believed only when that process works in the directory, as a shim does.
pub fn kill_shim(dir: &Path) {
    let state: Option<State> =
        std::fs::read(dir.join(wire::STATE)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(pid) = state.map(|s| s.shim_pid as i32).and_then(rustix::process::Pid::from_raw) else { return };
    let Ok(fd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else { return };
    let cwd = std::fs::metadata(format!("/proc/{}/cwd", pid.as_raw_nonzero()));
    let same = |a: std::fs::Metadata, b: std::fs::Metadata| {
        use std::os::unix::fs::MetadataExt;
        (a.dev(), a.ino()) == (b.dev(), b.ino())
    };
    if let (Ok(cwd), Ok(dir)) = (cwd, std::fs::metadata(dir))
        && same(cwd, dir)
    {
        // It may end by itself at this moment: that is what is wanted.
        let _gone = rustix::process::pidfd_send_signal(&fd, rustix::process::Signal::KILL);
        let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
        let limit = rustix::time::Timespec { tv_sec: 5, tv_nsec: 0 };
        let _ended = rustix::event::poll(&mut fds, Some(&limit));
    }
}

/// Nothing is mounted there by this runtime; volumes of the agent may be.
fn unmount_beneath(root: &Path) -> Result<(), RuntimeError> {
    let table = Path::new("/proc/self/mountinfo");
    let text = std::fs::read_to_string(table).map_err(io_error(table))?;
    let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape);
    let mut points: Vec<PathBuf> = points.filter(|p| p.starts_with(root) && p != root).collect();
    points.sort_by_key(|p| std::cmp::Reverse(p.components().count()));
    for point in points {
        rustix::mount::unmount(&point, rustix::mount::UnmountFlags::DETACH)
            .map_err(|e| io_error(&point)(e.into()))?;
    }
    Ok(())
}

/// Undoes the octal escapes of the mount table.
fn unescape(text: &str) -> PathBuf {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                out.push(code as char);
                rest = &rest[at + 4..];
            }
            None => {
                out.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    PathBuf::from(out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_machine_is_not_purged() {
        for parent in ["", "/", "/./", "a/../.."] {
            assert!(matches!(purge(Path::new("/nowhere"), parent), Err(RuntimeError::Invalid { .. })));
        }
        assert_eq!(unescape("/a\\040b"), PathBuf::from("/a b"));
    }
}
