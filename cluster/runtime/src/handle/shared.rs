//! What the handle knows: sandboxes, their containers, and how to ask their shims.
//!
//! A task per sandbox listens to its shim and keeps the picture up to date; methods read the picture.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::broadcast;

use super::connection::ShimConnection;
use crate::cgroup::{Group, Layout};
use crate::error::RuntimeError;
use crate::image::Store;
use crate::spec::RuntimeConfig;
use crate::status::{ContainerState, ContainerStatus, EventKind, RuntimeEvent, Sandbox};
use crate::wire::{self, Reply, Request, ShimSpec, State};

/// Everything the handle's parts share.
pub struct Shared {
    /// As configured.
    pub cfg: RuntimeConfig,
    /// Hierarchies of this machine.
    pub layout: Layout,
    /// Images.
    pub store: Arc<Store>,
    /// By id.
    pub sandboxes: Mutex<BTreeMap<String, Arc<Entry>>>,
    /// What happens.
    pub events: broadcast::Sender<RuntimeEvent>,
}

/// A sandbox.
pub struct Entry {
    /// What it was started with.
    pub spec: ShimSpec,
    /// Its directory.
    pub path: PathBuf,
    /// Its directory, for reaching the socket.
    pub dir: OwnedFd,
    /// What is known of it.
    pub known: Mutex<Known>,
}

/// What is known of a sandbox.
#[derive(Default)]
pub struct Known {
    /// The shim's process; 0 when there is none.
    pub pid: u32,
    /// The end of the shim is asked for.
    pub stopping: bool,
    /// By id.
    pub containers: BTreeMap<String, ContainerStatus>,
}

impl Known {
    /// Takes a status in; a container never goes back in its life.
    pub fn update(&mut self, status: ContainerStatus) {
        let rank = |state: ContainerState| match state {
            ContainerState::Created => 0,
            ContainerState::Running => 1,
            ContainerState::Exited => 2,
        };
        match self.containers.get_mut(&status.id) {
            Some(known) if rank(known.state) > rank(status.state) => {}
            Some(known) => *known = status,
            // Removed in the meantime.
            None => {}
        }
    }

    /// Takes in what the shim knows, containers unknown so far included.
    pub fn adopt(&mut self, state: State) {
        self.pid = state.shim_pid;
        for status in state.containers {
            self.containers.entry(status.id.clone()).or_insert_with(|| status.clone());
            self.update(status);
        }
    }
}

impl Entry {
    /// Opens a sandbox's directory.
    pub fn open(path: PathBuf, spec: ShimSpec) -> io::Result<Entry> {
        let dir = std::fs::File::open(&path)?.into();
        Ok(Entry { spec, path, dir, known: Mutex::default() })
    }

    /// What it is called.
    pub fn id(&self) -> &str {
        &self.spec.sandbox.id
    }

    /// As the agent sees it.
    pub fn sandbox(&self) -> Sandbox {
        let (spec, pid) = (&self.spec.sandbox, self.known.lock().pid);
        Sandbox {
            id: spec.id.clone(),
            name: spec.name.clone(),
            namespace: spec.namespace.clone(),
            pid,
            netns: if pid == 0 { PathBuf::new() } else { format!("/proc/{pid}/ns/net").into() },
            ready: pid != 0,
            host_network: spec.host_network,
            attempt: spec.attempt,
            created_at: self.spec.created_at,
            labels: spec.labels.clone(),
            annotations: spec.annotations.clone(),
            log_dir: spec.log_dir.clone(),
        }
    }

    /// Its cgroup, relative to the hierarchies' roots.
    pub fn cgroup(&self) -> PathBuf {
        let spec = &self.spec.sandbox;
        Path::new(&self.spec.cgroup_parent).join(&spec.cgroup.parent).join(format!("pod{}", spec.id))
    }

    /// Asks the shim and returns its first answer, and the connection for what follows.
    pub async fn ask_with(
        &self,
        request: &Request,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(Reply, ShimConnection), RuntimeError> {
        let gone = |source| RuntimeError::Shim { sandbox: self.id().to_owned(), source };
        let mut connection = ShimConnection::open(&self.dir).await.map_err(gone)?;
        connection.send(request, fds).await.map_err(gone)?;
        let reply = connection.answer().await.map_err(gone)?;
        Ok((reply, connection))
    }

    /// Writes what is known down for a shim that is gone.
    pub fn save(&self) -> io::Result<()> {
        let known = self.known.lock();
        let state = State { shim_pid: known.pid, containers: known.containers.values().cloned().collect() };
        drop(known);
        crate::sys::replace_file(&self.path.join(wire::STATE), &serde_json::to_vec(&state)?, true)
    }
}

/// Asks a shim for its state and for what happens from now on.
async fn watch(entry: &Entry) -> Result<ShimConnection, RuntimeError> {
    let (reply, connection) = entry.ask_with(&Request::Watch, &[]).await?;
    match reply {
        Reply::State(state) => {
            entry.known.lock().adopt(state);
            Ok(connection)
        }
        other => Err(RuntimeError::Protocol { sandbox: entry.id().to_owned(), detail: format!("{other:?}") }),
    }
}

impl Shared {
    /// A sandbox by id.
    pub fn sandbox(&self, id: &str) -> Result<Arc<Entry>, RuntimeError> {
        self.sandboxes.lock().get(id).cloned().ok_or_else(|| RuntimeError::SandboxNotFound(id.to_owned()))
    }

    /// A container and the sandbox it is in.
    pub fn container(&self, id: &str) -> Result<(Arc<Entry>, ContainerStatus), RuntimeError> {
        let entries: Vec<Arc<Entry>> = self.sandboxes.lock().values().cloned().collect();
        let find = |entry: Arc<Entry>| {
            let status = entry.known.lock().containers.get(id).cloned();
            status.map(|status| (entry, status))
        };
        entries.into_iter().find_map(find).ok_or_else(|| RuntimeError::ContainerNotFound(id.to_owned()))
    }

    /// Asks the shim of a container; an answer that refuses is an error.
    pub async fn ask_container(&self, id: &str, request: Request) -> Result<Reply, RuntimeError> {
        let (entry, _) = self.container(id)?;
        let (reply, _) = entry.ask_with(&request, &[]).await?;
        self.accept(&entry, id, reply)
    }

    /// Turns refusals into errors and takes in what an answer tells about the container.
    pub fn accept(&self, entry: &Entry, id: &str, reply: Reply) -> Result<Reply, RuntimeError> {
        match reply {
            Reply::NotFound => Err(RuntimeError::ContainerNotFound(id.to_owned())),
            Reply::WrongState(state) => {
                Err(RuntimeError::WrongState { what: "container", id: id.to_owned(), state })
            }
            Reply::Failed { failure, status } => {
                if let Some(status) = status {
                    entry.known.lock().update(*status);
                }
                Err(RuntimeError::Start { exit_code: failure.exit_code, message: failure.message })
            }
            Reply::Status(status) => {
                entry.known.lock().update((*status).clone());
                Ok(Reply::Status(status))
            }
            other => Ok(other),
        }
    }

    /// Tells all who listen.
    pub fn publish(&self, container_id: &str, sandbox_id: &str, kind: EventKind) {
        let event =
            RuntimeEvent { container_id: container_id.to_owned(), sandbox_id: sandbox_id.to_owned(), kind };
        // Nobody may be listening, and that is fine.
        let _unheard = self.events.send(event);
    }

    /// Waits for a container's end and returns its exit code.
    pub async fn await_exit(&self, id: &str) -> Result<i32, RuntimeError> {
        let mut events = self.events.subscribe();
        loop {
            let (_, status) = self.container(id)?;
            if status.state == ContainerState::Exited {
                return Ok(status.exit_code.unwrap_or(128));
            }
            match events.recv().await {
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => {
                    return Err(RuntimeError::ContainerNotFound(id.to_owned()));
                }
            }
        }
    }

    /// Connects to a running shim, takes its state in and follows it in the background.
    pub async fn follow(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<(), RuntimeError> {
        let mut connection = watch(entry).await?;
        let (shared, entry) = (Arc::downgrade(self), entry.clone());
        tokio::spawn(async move {
            loop {
                let message = connection.next().await;
                let Some(shared) = shared.upgrade() else { return };
                match message {
                    Ok(Some(Reply::Event { kind, status })) => {
                        let id = status.id.clone();
                        entry.known.lock().update(*status);
                        shared.publish(&id, entry.id(), kind);
                        continue;
                    }
                    Ok(Some(other)) => tracing::warn!(sandbox = entry.id(), "unexpected answer {other:?}"),
                    Ok(None) => {}
                    Err(e) => tracing::warn!(sandbox = entry.id(), "connection to the shim: {e}"),
                }
                // The connection has ended: perhaps only it, perhaps the shim.
                match watch(&entry).await {
                    Ok(again) => connection = again,
                    Err(_) => return shared.lost(&entry).await,
                }
            }
        });
        Ok(())
    }

    /// The shim is gone: so are its containers, and what is left of them is removed.
    pub async fn lost(self: &Arc<Self>, entry: &Arc<Entry>) {
        let (ended, expected) = {
            let mut known = entry.known.lock();
            known.pid = 0;
            let running = known.containers.values_mut().filter(|c| c.state == ContainerState::Running);
            let mut ended = Vec::new();
            for status in running {
                status.state = ContainerState::Exited;
                status.pid = 0;
                status.exit_code = Some(128 + libc::SIGKILL);
                status.signal = Some(libc::SIGKILL);
                status.message = "its shim has ended".to_owned();
                status.finished_at = Some(jiff::Timestamp::now());
                ended.push(status.id.clone());
            }
            (ended, known.stopping)
        };
        let (shared, this) = (self.clone(), entry.clone());
        let clean = tokio::task::spawn_blocking(move || {
            let killed = Group::new(&shared.layout, this.cgroup()).destroy();
            if this.path.exists() { killed.and(this.save()) } else { killed }
        });
        match clean.await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => tracing::warn!(sandbox = entry.id(), "cleaning up after the shim: {e}"),
            Err(e) => tracing::error!(sandbox = entry.id(), "cleaning up after the shim: {e}"),
        }
        for id in ended {
            self.publish(&id, entry.id(), EventKind::Exited);
        }
        if !expected {
            self.publish("", entry.id(), EventKind::SandboxLost);
        }
    }
}
