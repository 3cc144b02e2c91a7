//! Background processes: started in a namespace, remembered in a file, found again, ended.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process that was started, as its file under `DIR/run` remembers it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    /// Clock ticks after boot at which it started: tells it from a later process of the same pid.
    pub started_ticks: u64,
}

/// What to start.
pub struct Spawn<'a> {
    pub arguments: Vec<String>,
    pub environment: Vec<(&'a str, String)>,
    /// Network namespace to start in; `None` is this process' own.
    pub namespace: Option<&'a Path>,
    pub log: &'a Path,
    pub record: &'a Path,
}

impl Process {
    /// The process that `record` remembers, if it still runs.
    pub fn find(record: &Path) -> Option<Process> {
        let known: Process = serde_json::from_slice(&std::fs::read(record).ok()?).ok()?;
        (started_ticks(known.pid) == Some(known.started_ticks)).then_some(known)
    }

    /// Starts this program again, detached, in its own session.
    pub fn start(spawn: &Spawn<'_>) -> Result<Process> {
        let log = OpenOptions::new().create(true).append(true).open(spawn.log);
        let log = log.with_context(|| format!("open {}", spawn.log.display()))?;
        let program = std::env::current_exe().context("find this program's own file")?;
        let mut command = Command::new(&program);
        command.args(&spawn.arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.envs(spawn.environment.iter().map(|(name, value)| (name, value)));
        let namespace = spawn.namespace.map(File::open).transpose().context("open a network namespace")?;
        // SAFETY: between fork and exec only two system calls are made, both safe there.
        unsafe {
            command.pre_exec(move || detach(namespace.as_ref()));
        }
        let child = command.spawn().with_context(|| format!("start {}", program.display()))?;
        let pid = i32::try_from(child.id()).context("pid out of range")?;
        let started_ticks = started_ticks(pid).context("the process ended at once")?;
        let process = Process { pid, started_ticks };
        std::fs::write(spawn.record, serde_json::to_vec(&process)?)
            .with_context(|| format!("write {}", spawn.record.display()))?;
        Ok(process)
    }

    /// Asks it to end, waits up to `patience`, then kills it. Returns once it is gone.
    pub fn end(&self, patience: Duration) -> Result<()> {
        let Some(handle) = self.handle()? else { return Ok(()) };
        send(&handle, Signal::TERM)?;
        if !ended_within(&handle, patience)? {
            send(&handle, Signal::KILL)?;
            if !ended_within(&handle, Duration::from_secs(5))? {
                bail!("process {} does not end, not even by SIGKILL", self.pid);
            }
        }
        Ok(())
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> Option<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid)).ok()?;
        let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
        Some(pages * rustix::param::page_size() as u64)
    }

    fn handle(&self) -> Result<Option<OwnedFd>> {
        let pid = Pid::from_raw(self.pid).context("pid 0")?;
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => Ok((started_ticks(self.pid) == Some(self.started_ticks)).then_some(handle)),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("open process {}", self.pid)),
        }
    }
}

fn detach(namespace: Option<&File>) -> io::Result<()> {
    rustix::process::setsid()?;
    match namespace {
        Some(namespace) => super::netns::enter(namespace.as_fd()),
        None => Ok(()),
    }
}

fn send(handle: &OwnedFd, signal: Signal) -> Result<()> {
    match pidfd_send_signal(handle, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("signal process by fd {}", handle.as_raw_fd())),
    }
}

fn ended_within(handle: &OwnedFd, patience: Duration) -> Result<bool> {
    let timeout = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
    let mut waited = [PollFd::new(handle, PollFlags::IN)];
    Ok(poll(&mut waited, Some(&timeout)).context("wait for a process")? > 0)
}

/// Start time of a running process from `/proc/PID/stat` (proc(5), field 22); a zombie counts as ended.
fn started_ticks(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = &stat[stat.rfind(')')? + 2..];
    let fields: Vec<&str> = after_name.split(' ').collect();
    if matches!(fields.first(), Some(&"Z" | &"X")) {
        return None;
    }
    fields.get(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_and_another_start_time_is_not() {
        let own = std::process::id() as i32;
        let ticks = started_ticks(own).expect("this process runs");
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("p.json");
        for (ticks, expected) in [(ticks, true), (ticks + 1, false)] {
            let process = Process { pid: own, started_ticks: ticks };
            std::fs::write(&record, serde_json::to_vec(&process).unwrap()).unwrap();
            assert_eq!(Process::find(&record).is_some(), expected);
        }
    }

    #[test]
    fn a_process_that_ignores_the_request_is_killed() {
        let mut child = Command::new("sh").args(["-c", "trap '' TERM; sleep 60 & wait"]).spawn().unwrap();
        let pid = child.id() as i32;
        let process = Process { pid, started_ticks: started_ticks(pid).unwrap() };
        process.end(Duration::from_millis(50)).unwrap();
        assert!(!child.wait().unwrap().success());
        assert!(process.handle().unwrap().is_none());
    }
}
