//! Control groups: limits, counters and the end of everything inside.
//!
//! Three layouts: v2 (one hierarchy), v1 (one per controller), and hybrid (v1 controllers, with a v2 hierarchy
//! beside them that has none and serves to kill). A machine without any is served too, without limits.

mod layout;
mod limits;
mod stats;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use layout::{Hierarchy, Layout, Mode};

use crate::spec::Resources;
use crate::status::Stats;
use crate::sys::write_control;

/// How long the kernel may take to end killed processes before this gives up (each is a wait in the
/// kernel for a process stuck there, on a dead network file system for example).
const KILL_DEADLINE: Duration = Duration::from_secs(10);

/// One cgroup: the same path in every hierarchy.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    layout: &'a Layout,
    path: PathBuf,
}

impl<'a> Group<'a> {
    /// The cgroup at `path`, relative to the hierarchies' roots; nothing is made yet.
    pub fn new(layout: &'a Layout, path: impl Into<PathBuf>) -> Group<'a> {
        let path: PathBuf = path.into();
        Group { layout, path: path.strip_prefix("/").map(Path::to_path_buf).unwrap_or(path) }
    }

    fn dirs(&self) -> impl Iterator<Item = (&'a Hierarchy, PathBuf)> + '_ {
        self.layout.hierarchies.iter().map(|h| (h, h.mount.join(&self.path)))
    }

    /// Makes it, and its parents; in v2 its controllers are those its parents delegate.
    pub fn create(&self) -> io::Result<()> {
        for (hierarchy, dir) in self.dirs() {
            if dir.is_dir() {
                continue;
            }
            if hierarchy.is_v2() && self.layout.mode == Mode::V2 {
                layout::delegate_to(hierarchy, &self.path)?;
            }
            std::fs::create_dir_all(&dir).map_err(|e| annotate(e, &dir))?;
        }
        Ok(())
    }

    /// Applies limits; what is absent stays as it is.
    pub fn limit(&self, resources: &Resources) -> io::Result<()> {
        for (hierarchy, dir) in self.dirs() {
            limits::apply(hierarchy, &dir, resources)?;
        }
        Ok(())
    }

    /// The files into which `0` moves the writing process.
    pub fn entry_files(&self) -> Vec<PathBuf> {
        self.dirs().map(|(_, dir)| dir.join("cgroup.procs")).collect()
    }

    /// The directory a child can be born in; only where there is no other hierarchy to be entered.
    pub fn birthplace(&self) -> io::Result<Option<OwnedFd>> {
        match self.dirs().next() {
            Some((_, dir)) if self.layout.mode == Mode::V2 => {
                std::fs::File::open(dir).map(|f| Some(f.into()))
            }
            _ => Ok(None),
        }
    }

    /// Moves the calling process into it.
    pub fn enter(&self) -> io::Result<()> {
        for file in self.entry_files() {
            write_control(&file, "0").map_err(|e| annotate(e, &file))?;
        }
        Ok(())
    }

    /// Counters.
    pub fn stats(&self) -> io::Result<Stats> {
        let dirs: Vec<_> = self.dirs().collect();
        stats::read(&dirs)
    }

    /// How often the kernel killed a process in it for want of memory.
    pub fn oom_kills(&self) -> u64 {
        self.dirs().map(|(_, dir)| stats::oom_kills(&dir)).max().unwrap_or(0)
    }

    /// All processes in it and beneath it.
    pub fn processes(&self) -> Vec<i32> {
        let mut found = Vec::new();
        for (_, dir) in self.dirs() {
            collect_processes(&dir, &mut found);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Sends SIGKILL to everything in it, without waiting.
    pub fn kill(&self) {
        let by_kernel =
            self.dirs().any(|(h, dir)| h.is_v2() && write_control(&dir.join("cgroup.kill"), "1").is_ok());
        if !by_kernel || self.layout.mode != Mode::V2 {
            for pid in self.processes() {
                kill_process(pid);
            }
        }
    }

    /// Kills until nothing is left, then removes it and what is beneath it.
    pub fn destroy(&self) -> io::Result<()> {
        let deadline = Instant::now() + KILL_DEADLINE;
        loop {
            self.kill();
            let processes = self.processes();
            if processes.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                let left = format!("processes {processes:?} survive SIGKILL");
                return Err(io::Error::new(io::ErrorKind::TimedOut, left));
            }
            await_end(processes[0], Duration::from_millis(20));
        }
        self.remove()
    }

    /// Removes it and what is beneath it; it must be empty of processes.
    pub fn remove(&self) -> io::Result<()> {
        let mut result = Ok(());
        for (_, dir) in self.dirs() {
            if let Err(e) = remove_tree(&dir) {
                result = Err(annotate(e, &dir));
            }
        }
        result
    }
}

fn annotate(error: io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Kills a process by its number in this process namespace. It is taken from a cgroup file a moment ago.
fn kill_process(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        // It may have ended by itself: then there is nothing to kill.
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// Waits until a process has ended, at most `limit`.
fn await_end(pid: i32, limit: Duration) {
    let Some(pid) = rustix::process::Pid::from_raw(pid) else { return };
    let Ok(fd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else { return };
    let timeout = rustix::time::Timespec { tv_sec: 0, tv_nsec: limit.as_nanos() as _ };
    let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
    // Its end, a signal or the time: the caller looks again in every case.
    let _any = rustix::event::poll(&mut fds, Some(&timeout));
}

fn collect_processes(dir: &Path, into: &mut Vec<i32>) {
    if let Ok(text) = std::fs::read_to_string(dir.join("cgroup.procs")) {
        into.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    }
    for child in child_dirs(dir) {
        collect_processes(&child, into);
    }
}

fn child_dirs(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let is_dir = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.flatten().filter(is_dir).map(|entry| entry.path()).collect()
}

/// Removes directories from the leaves up. A process that is just ending keeps its cgroup busy for
/// a moment, so that EBUSY is tried again until a deadline.
fn remove_tree(dir: &Path) -> io::Result<()> {
    for child in child_dirs(dir) {
        remove_tree(&child)?;
    }
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        match std::fs::remove_dir(dir) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(e) => return Err(e),
        }
    }
}
