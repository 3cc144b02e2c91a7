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

/// How long a killed process may take to be gone.
const DEATH: Duration = Duration::from_secs(5);

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
    /// The process that `record` remembers, if it still runs. One that is dying is waited for: its files are
    /// locked until its last thread is gone, which is after `kill` has returned.
    ///
    /// # Errors
    /// It was killed and does not end.
    pub fn find(record: &Path) -> Result<Option<Process>> {
        let Ok(bytes) = std::fs::read(record) else { return Ok(None) };
        let Ok(known) = serde_json::from_slice::<Process>(&bytes) else { return Ok(None) };
        let Some(handle) = known.handle()? else { return Ok(None) };
        if !is_dying(known.pid) {
            return Ok(Some(known));
        }
        if !ended_within(&handle, DEATH)? {
            bail!("process {} was killed and does not end", known.pid);
        }
        Ok(None)
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
            if !ended_within(&handle, DEATH)? {
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

/// Start time of a process from `/proc/PID/stat` (proc(5), field 22).
fn started_ticks(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = &stat[stat.rfind(')')? + 2..];
    after_name.split(' ').nth(19)?.parse().ok()
}

/// Whether its first thread has ended, or SIGKILL is on its way to it.
fn is_dying(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/status")).map_or(true, |status| tells_of_death(&status))
}

/// Reads `/proc/PID/status` (proc(5)): the state, and the sets of pending signals.
fn tells_of_death(status: &str) -> bool {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim();
    let killed = |name| {
        u64::from_str_radix(field(name), 16).is_ok_and(|set| set & 1 << (Signal::KILL.as_raw() - 1) != 0)
    };
    field("State:").starts_with(['Z', 'X']) || killed("SigPnd:") || killed("ShdPnd:")
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
            assert_eq!(Process::find(&record).unwrap().is_some(), expected);
        }
    }

    #[test]
    fn a_killed_process_is_not_found_however_soon_one_looks() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("p.json");
        for _ in 0..50 {
            let mut child = Command::new("sleep").arg("60").spawn().unwrap();
            let pid = child.id() as i32;
            let process = Process { pid, started_ticks: started_ticks(pid).unwrap() };
            std::fs::write(&record, serde_json::to_vec(&process).unwrap()).unwrap();
            child.kill().unwrap();
            assert!(Process::find(&record).unwrap().is_none());
            child.wait().unwrap();
        }
    }

    #[test]
    fn death_is_told_by_the_state_and_by_pending_signals() {
        let status = |state: &str, thread: &str, shared: &str| {
            format!("Name:\tx\nState:\t{state}\nSigPnd:\t{thread}\nShdPnd:\t{shared}\n")
        };
        for (state, thread, shared, expected) in [
            ("S (sleeping)", "0000000000000000", "0000000000000000", false),
            ("R (running)", "0000000000000000", "0000000000004000", false),
            ("Z (zombie)", "0000000000000000", "0000000000000000", true),
            ("S (sleeping)", "0000000000000100", "0000000000000000", true),
            ("S (sleeping)", "0000000000000000", "0000000000004100", true),
        ] {
            assert_eq!(tells_of_death(&status(state, thread, shared)), expected, "{state} {thread} {shared}");
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
