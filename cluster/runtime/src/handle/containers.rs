//! Operations on containers.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::Runtime;
use super::machine;
use super::prepare::{self, dir_name};
use super::sandboxes::remove_dir;
use super::session::{ExecSession, Writer, input_pipe, output_pipe};
use crate::cgroup::Group;
use crate::error::{ExecError, RuntimeError};
use crate::spec::{ContainerSpec, ExecSpec, Resources};
use crate::status::{ContainerState, ContainerStatus, FsUsage, Stats};
use crate::wire::{Reply, Request};

/// Most output that `exec_sync` keeps of each stream; more is read and dropped.
const MAX_SYNC_OUTPUT: u64 = 16 << 20;
/// How long `exec_sync` waits for output after the process has ended: a child it left may hold the pipe.
const LATE_OUTPUT: Duration = Duration::from_secs(1);

/// What [`Runtime::exec_sync`] collects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Exit code, or 128 + signal.
    pub exit_code: i32,
    /// At most 16 MiB.
    pub stdout: Vec<u8>,
    /// At most 16 MiB.
    pub stderr: Vec<u8>,
}

impl Runtime {
    /// Makes a container known; nothing runs yet. Returns its id.
    pub async fn create_container(
        &self,
        sandbox_id: &str,
        spec: ContainerSpec,
    ) -> Result<String, RuntimeError> {
        let entry = self.shared.sandbox(sandbox_id)?;
        let (launch, status) = prepare::prepare(&self.shared, &entry, spec)?;
        let id = launch.id.clone();
        prepare::make_dirs(&self.shared.cfg.root, &launch)?;
        // Known before it is asked for: its events must find it.
        entry.known.lock().containers.insert(id.clone(), status.clone());
        let request = Request::Create { launch: Box::new(launch), status: Box::new(status) };
        let answer = entry.ask_with(&request, &[]).await;
        let answer = answer.and_then(|(reply, _)| self.shared.accept(&entry, &id, reply));
        if let Err(e) = answer {
            entry.known.lock().containers.remove(&id);
            remove_dir(&self.shared.cfg.root.join("containers").join(dir_name(&id)))?;
            return Err(e);
        }
        Ok(id)
    }

    /// Starts it; returns when its program was executed.
    pub async fn start_container(&self, id: &str) -> Result<(), RuntimeError> {
        self.shared.ask_container(id, Request::Start { id: id.to_owned() }).await.map(drop)
    }

    /// Sends `signal` (for example 15), and after `grace` kills everything in it. Returns when it has ended.
    pub async fn stop_container(&self, id: &str, signal: i32, grace: Duration) -> Result<(), RuntimeError> {
        let (_, status) = self.shared.container(id)?;
        if status.state == ContainerState::Exited {
            return Ok(());
        }
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.shared.ask_container(id, Request::Stop { id: id.to_owned(), signal, grace_ms }).await.map(drop)
    }

    /// Sends a signal to its first process.
    pub async fn signal_container(&self, id: &str, signal: i32) -> Result<(), RuntimeError> {
        self.shared.ask_container(id, Request::Signal { id: id.to_owned(), signal }).await.map(drop)
    }

    /// Kills it when it runs, and forgets it. The log stays. Idempotent.
    pub async fn remove_container(&self, id: &str) -> Result<(), RuntimeError> {
        let Ok((entry, status)) = self.shared.container(id) else { return Ok(()) };
        let alive = entry.known.lock().pid != 0;
        if alive {
            if status.state == ContainerState::Running {
                self.stop_container(id, libc::SIGKILL, Duration::ZERO).await?;
            }
            match self.shared.ask_container(id, Request::Remove { id: id.to_owned() }).await {
                Ok(_) | Err(RuntimeError::ContainerNotFound(_)) => {}
                Err(e) => return Err(e),
            }
        }
        let dir = self.shared.cfg.root.join("containers").join(dir_name(id));
        let removed = tokio::task::spawn_blocking(move || remove_dir(&dir)).await;
        removed.map_err(|e| RuntimeError::SandboxSetup(e.to_string()))??;
        entry.known.lock().containers.remove(id);
        if !alive && entry.path.exists() {
            entry.save().map_err(|source| RuntimeError::Io { path: entry.path.clone(), source })?;
        }
        Ok(())
    }

    /// All containers.
    pub fn containers(&self) -> Vec<ContainerStatus> {
        let entries: Vec<_> = self.shared.sandboxes.lock().values().cloned().collect();
        entries.iter().flat_map(|e| e.known.lock().containers.values().cloned().collect::<Vec<_>>()).collect()
    }

    /// One container.
    pub fn container(&self, id: &str) -> Option<ContainerStatus> {
        self.shared.container(id).ok().map(|(_, status)| status)
    }

    /// Changes the limits of a running container.
    pub async fn update_resources(&self, id: &str, resources: Resources) -> Result<(), RuntimeError> {
        let (entry, _) = self.shared.container(id)?;
        let path = entry.cgroup().join(id);
        let limited = Group::new(&self.shared.layout, &path).limit(&resources);
        limited.map_err(|source| RuntimeError::Cgroup { path, source })
    }

    /// Runs a process in a running container.
    pub async fn exec(&self, id: &str, spec: ExecSpec) -> Result<ExecSession, ExecError> {
        let (entry, _) = self.shared.container(id)?;
        let sandbox = entry.id().to_owned();
        let broken = |source| RuntimeError::Shim { sandbox: entry.id().to_owned(), source };
        let request = Request::Exec { id: id.to_owned(), args: spec.cmd, env: spec.env, tty: spec.tty };
        if spec.tty {
            let (reply, mut connection) = entry.ask_with(&request, &[]).await?;
            self.exec_started(&entry, id, reply)?;
            let master = connection.descriptors.pop();
            let master = master.ok_or_else(|| broken(std::io::ErrorKind::InvalidData.into()))?;
            let session = ExecSession::of_terminal(sandbox, connection, master, spec.stdin);
            return Ok(session.map_err(broken)?);
        }
        let (stdin, writer) = stdin_for(spec.stdin).map_err(broken)?;
        let (stdout, out) = output_pipe().map_err(broken)?;
        let (stderr, err) = output_pipe().map_err(broken)?;
        let fds = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let (reply, connection) = entry.ask_with(&request, &fds).await?;
        self.exec_started(&entry, id, reply)?;
        Ok(ExecSession::of_pipes(sandbox, connection, (writer, out, err)))
    }

    fn exec_started(&self, entry: &super::shared::Entry, id: &str, reply: Reply) -> Result<(), ExecError> {
        match self.shared.accept(entry, id, reply) {
            Ok(Reply::ExecStarted) => Ok(()),
            Ok(other) => {
                let (sandbox, detail) = (entry.id().to_owned(), format!("{other:?}"));
                Err(RuntimeError::Protocol { sandbox, detail }.into())
            }
            Err(RuntimeError::Start { exit_code, message }) => Err(ExecError::Start { exit_code, message }),
            Err(e) => Err(e.into()),
        }
    }

    /// Runs a process and collects its output; kills it at the timeout.
    pub async fn exec_sync(
        &self,
        id: &str,
        cmd: Vec<String>,
        timeout: Duration,
    ) -> Result<ExecOutput, ExecError> {
        let run = async {
            let mut session = self.exec(id, ExecSpec { cmd, ..ExecSpec::default() }).await?;
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let (stdout, stderr) = (session.stdout.take(), session.stderr.take());
            let mut ended = None;
            {
                let mut wait = std::pin::pin!(session.wait());
                let mut read = std::pin::pin!(async {
                    tokio::join!(collect(stdout, &mut out), collect(stderr, &mut err));
                });
                tokio::select! {
                    () = &mut read => {}
                    code = &mut wait => {
                        ended = Some(code);
                        // What does not come in time is left out: a process in the background keeps it.
                        let _late = tokio::time::timeout(LATE_OUTPUT, &mut read).await;
                    }
                }
                if ended.is_none() {
                    ended = Some(wait.await);
                }
            }
            let exit_code = ended.unwrap_or(Ok(128))?;
            Ok(ExecOutput { exit_code, stdout: out, stderr: err })
        };
        tokio::time::timeout(timeout, run).await.unwrap_or(Err(ExecError::Timeout(timeout)))
    }

    /// Connects to a running container's streams; `stdin` only when the container has one.
    pub async fn attach(&self, id: &str, stdin: bool) -> Result<ExecSession, RuntimeError> {
        let (entry, _) = self.shared.container(id)?;
        let broken = |source| RuntimeError::Shim { sandbox: entry.id().to_owned(), source };
        let (stdout, out) = output_pipe().map_err(broken)?;
        let (stderr, err) = output_pipe().map_err(broken)?;
        let (input, writer) = stdin_for(stdin).map_err(broken)?;
        let fds = [stdout.as_fd(), stderr.as_fd(), input.as_fd()];
        let request = Request::Attach { id: id.to_owned(), stdin };
        let (reply, _) = entry.ask_with(&request, &fds).await?;
        match self.shared.accept(&entry, id, reply)? {
            Reply::Attached { tty } => {
                Ok(ExecSession::of_container(self.shared.clone(), id.to_owned(), tty, (writer, out, err)))
            }
            other => Err(RuntimeError::Protocol { sandbox: entry.id().into(), detail: format!("{other:?}") }),
        }
    }

    /// Changes the size of a container's terminal.
    pub async fn resize(&self, id: &str, rows: u16, cols: u16) -> Result<(), RuntimeError> {
        self.shared.ask_container(id, Request::Resize { id: id.to_owned(), rows, cols }).await.map(drop)
    }

    /// Makes the shim write to a new file at the log path (after the old one was renamed).
    pub async fn reopen_log(&self, id: &str) -> Result<(), RuntimeError> {
        self.shared.ask_container(id, Request::ReopenLog { id: id.to_owned() }).await.map(drop)
    }

    /// Counters of a container.
    pub fn stats(&self, id: &str) -> Result<Stats, RuntimeError> {
        let (entry, _) = self.shared.container(id)?;
        let path = entry.cgroup().join(id);
        let stats = Group::new(&self.shared.layout, &path).stats();
        stats.map_err(|source| RuntimeError::Cgroup { path, source })
    }

    /// Bytes written by a container into its root file system.
    pub async fn container_fs_usage(&self, id: &str) -> Result<FsUsage, RuntimeError> {
        self.shared.container(id)?;
        let dir = self.shared.cfg.root.join("containers").join(dir_name(id)).join("u");
        let usage = tokio::task::spawn_blocking(move || machine::usage(&dir)).await;
        usage.map_err(|e| RuntimeError::SandboxSetup(e.to_string()))
    }
}

/// The process's end, and the agent's end when it wants one; without, the process reads the end at once.
fn stdin_for(wanted: bool) -> std::io::Result<(OwnedFd, Option<Writer>)> {
    let (end, writer) = input_pipe()?;
    Ok((end, wanted.then_some(writer)))
}

async fn collect(stream: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    // A pipe of this process does not fail; if it ever did, what was read so far is the output.
    let _read = (&mut stream).take(MAX_SYNC_OUTPUT).read_to_end(into).await;
    let _rest = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}
