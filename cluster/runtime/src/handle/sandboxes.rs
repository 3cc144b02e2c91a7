//! Operations on sandboxes.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use super::Runtime;
use super::prepare::{self, dir_name};
use super::shared::Entry;
use crate::cgroup::Group;
use crate::error::RuntimeError;
use crate::spec::SandboxSpec;
use crate::status::{ContainerState, Sandbox, Stats};
use crate::wire::{self, Request, ShimSpec};

/// How long a shim may take to be ready.
const BIRTH_LIMIT: Duration = Duration::from_secs(30);
/// How long a shim may take to kill its containers and leave, before it is killed itself.
const DEATH_LIMIT: Duration = Duration::from_secs(20);

fn at(path: &Path) -> impl FnOnce(io::Error) -> RuntimeError + '_ {
    move |source| RuntimeError::Io { path: path.to_path_buf(), source }
}

impl Runtime {
    /// Starts a sandbox's shim. The same id and attempt again returns the running one; what is left of
    /// an earlier attempt is removed first.
    pub async fn create_sandbox(&self, spec: SandboxSpec) -> Result<Sandbox, RuntimeError> {
        prepare::check_id(&spec.id)?;
        let id = spec.id.clone();
        let present = self.shared.sandboxes.lock().get(&id).cloned();
        if let Some(entry) = present {
            let sandbox = entry.sandbox();
            if sandbox.ready && sandbox.attempt == spec.attempt {
                return Ok(sandbox);
            }
            self.remove_sandbox(&id).await?;
        }
        let path = self.shared.cfg.root.join("sandboxes").join(&id);
        match std::fs::create_dir(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(RuntimeError::WrongState { what: "sandbox", id, state: "being created".into() });
            }
            other => other.map_err(at(&path))?,
        }
        match self.start_shim(&path, spec).await {
            Ok(entry) => Ok(entry.sandbox()),
            Err(e) => {
                self.shared.sandboxes.lock().remove(&id);
                crate::purge::kill_shim(&path);
                if let Err(e) = std::fs::remove_dir_all(&path) {
                    tracing::warn!(sandbox = id, "leftover of a failed start: {e}");
                }
                Err(e)
            }
        }
    }

    async fn start_shim(&self, path: &Path, sandbox: SandboxSpec) -> Result<Arc<Entry>, RuntimeError> {
        let cfg = &self.shared.cfg;
        let (id, log_dir) = (sandbox.id.clone(), sandbox.log_dir.clone());
        if !log_dir.as_os_str().is_empty() {
            std::fs::create_dir_all(&log_dir).map_err(at(&log_dir))?;
        }
        let spec = ShimSpec {
            sandbox,
            root: cfg.root.clone(),
            cgroup_parent: cfg.cgroup_parent.clone(),
            created_at: jiff::Timestamp::now(),
        };
        let bytes = serde_json::to_vec(&spec).map_err(|e| RuntimeError::SandboxSetup(e.to_string()))?;
        let spec_path = path.join(wire::SPEC);
        crate::sys::replace_file(&spec_path, &bytes, false).map_err(at(&spec_path))?;
        let mut command = tokio::process::Command::new(&cfg.shim_exe);
        command.arg("shim").arg(path).env_clear().current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let output = tokio::time::timeout(BIRTH_LIMIT, command.output())
            .await
            .map_err(|_| RuntimeError::SandboxSetup(format!("the shim is not ready after {BIRTH_LIMIT:?}")))?
            .map_err(at(&cfg.shim_exe))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let words = if words.is_empty() { output.status.to_string() } else { words };
            return Err(RuntimeError::SandboxSetup(words));
        }
        let entry = Arc::new(Entry::open(path.to_path_buf(), spec).map_err(at(path))?);
        self.shared.follow(&entry).await?;
        self.shared.sandboxes.lock().insert(id, entry.clone());
        Ok(entry)
    }

    /// Kills its containers and its shim. Exit codes stay readable. Idempotent.
    pub async fn stop_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        let Ok(entry) = self.shared.sandbox(id) else { return Ok(()) };
        {
            let mut known = entry.known.lock();
            if known.pid == 0 {
                return Ok(());
            }
            known.stopping = true;
        }
        let asked = tokio::time::timeout(DEATH_LIMIT, entry.ask_with(&Request::Shutdown, &[])).await;
        if !matches!(asked, Ok(Ok(_))) {
            tracing::warn!(sandbox = id, "the shim does not shut down: killing it");
            let path = entry.path.clone();
            let killed = tokio::task::spawn_blocking(move || crate::purge::kill_shim(&path)).await;
            killed.map_err(|e| RuntimeError::SandboxSetup(e.to_string()))?;
        }
        self.shared.lost(&entry).await;
        Ok(())
    }

    /// Stops it and forgets it and its containers. Idempotent.
    pub async fn remove_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        let Ok(entry) = self.shared.sandbox(id) else { return Ok(()) };
        self.stop_sandbox(id).await?;
        let containers: Vec<String> = entry.known.lock().containers.keys().cloned().collect();
        let (root, path) = (self.shared.cfg.root.clone(), entry.path.clone());
        let removed = tokio::task::spawn_blocking(move || {
            for container in &containers {
                remove_dir(&root.join("containers").join(dir_name(container)))?;
            }
            remove_dir(&path)
        });
        removed.await.map_err(|e| RuntimeError::SandboxSetup(e.to_string()))??;
        entry.known.lock().containers.clear();
        self.shared.sandboxes.lock().remove(id);
        Ok(())
    }

    /// All sandboxes.
    pub fn sandboxes(&self) -> Vec<Sandbox> {
        self.shared.sandboxes.lock().values().map(|entry| entry.sandbox()).collect()
    }

    /// One sandbox.
    pub fn sandbox(&self, id: &str) -> Option<Sandbox> {
        self.shared.sandboxes.lock().get(id).map(|entry| entry.sandbox())
    }

    /// Counters of a whole pod.
    pub fn sandbox_stats(&self, id: &str) -> Result<Stats, RuntimeError> {
        let path = self.shared.sandbox(id)?.cgroup();
        let stats = Group::new(&self.shared.layout, &path).stats();
        stats.map_err(|source| RuntimeError::Cgroup { path, source })
    }

    /// Whether a sandbox has running containers.
    pub fn is_sandbox_busy(&self, id: &str) -> bool {
        self.shared.sandbox(id).is_ok_and(|entry| {
            entry.known.lock().containers.values().any(|c| c.state == ContainerState::Running)
        })
    }
}

/// Removes a directory tree; absent is fine.
pub fn remove_dir(path: &Path) -> Result<(), RuntimeError> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(at(path)),
    }
}
