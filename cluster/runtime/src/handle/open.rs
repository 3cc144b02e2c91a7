//! Opening a root: the check of the kernel, the lock, and the adoption of what runs.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::broadcast;

use super::Runtime;
use super::prepare::dir_name;
use super::shared::{Entry, Shared};
use crate::cgroup::{Group, Layout};
use crate::error::{ImageError, OpenError};
use crate::image::{Puller, Store};
use crate::spec::RuntimeConfig;
use crate::wire::{self, ShimSpec, State};

/// Events kept for a slow reader.
const EVENT_BACKLOG: usize = 4096;
/// How long a shim may take to answer when its agent comes back.
const ADOPT_LIMIT: Duration = Duration::from_secs(5);

fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError + '_ {
    move |source| OpenError::Root { path: path.to_path_buf(), source }
}

/// See [`Runtime::open`].
pub async fn open(cfg: RuntimeConfig) -> Result<Arc<Runtime>, OpenError> {
    check_kernel()?;
    let root = cfg.root.clone();
    for sub in ["", "sandboxes", "containers", "images"] {
        let path = root.join(sub);
        std::fs::create_dir_all(&path).map_err(at(&path))?;
    }
    let lock = lock(&root)?;
    let layout = Layout::detect().map_err(OpenError::Cgroup)?;
    Group::new(&layout, &cfg.cgroup_parent).create().map_err(OpenError::Cgroup)?;
    let images = root.join("images");
    let opened = tokio::task::spawn_blocking(move || {
        let store = Store::open(images)?;
        crate::image::install_builtin(&store)?;
        Ok::<_, ImageError>(Arc::new(store))
    });
    let store = opened.await.map_err(|e| at(&root)(io::Error::other(e)))??;
    let puller = Puller::new(store.clone(), cfg.registries.clone());
    let (events, _) = broadcast::channel(EVENT_BACKLOG);
    let shared = Arc::new(Shared { cfg, layout, store, sandboxes: Mutex::default(), events });
    adopt_all(&shared).await?;
    remove_orphans(&shared)?;
    Ok(Arc::new(Runtime { shared, puller, _lock: lock }))
}

/// The youngest of the system calls that everything stands on is mount_setattr (5.12).
fn check_kernel() -> Result<(), OpenError> {
    use crate::sys;
    match sys::mount_setattr(sys::CWD, c"/", false, sys::MountAttr::default()) {
        Err(e) if e.raw_os_error() == Some(libc::ENOSYS) => {
            Err(OpenError::Kernel("mount_setattr is missing: Linux 5.12 or later is needed"))
        }
        _ => Ok(()),
    }
}

fn lock(root: &Path) -> Result<File, OpenError> {
    let path = root.join("lock");
    let file = File::create(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Busy(root.to_path_buf())),
        Err(TryLockError::Error(e)) => Err(at(&path)(e)),
    }
}

async fn adopt_all(shared: &Arc<Shared>) -> Result<(), OpenError> {
    let dir = shared.cfg.root.join("sandboxes");
    let mut tasks = tokio::task::JoinSet::new();
    for item in std::fs::read_dir(&dir).map_err(at(&dir))? {
        let path = item.map_err(at(&dir))?.path();
        tasks.spawn(adopt(shared.clone(), path));
    }
    while let Some(done) = tasks.join_next().await {
        if let Err(e) = done {
            tracing::error!("adopting a sandbox: {e}");
        }
    }
    Ok(())
}

async fn adopt(shared: Arc<Shared>, path: std::path::PathBuf) {
    let spec = std::fs::read(path.join(wire::SPEC)).and_then(|b| Ok(serde_json::from_slice::<ShimSpec>(&b)?));
    let entry = match spec.and_then(|spec| Entry::open(path.clone(), spec)) {
        Ok(entry) => Arc::new(entry),
        Err(e) => {
            // An agent that died while making it: no shim can live in it.
            tracing::warn!(path = %path.display(), "unusable sandbox: {e}");
            if let Err(e) = std::fs::remove_dir_all(&path) {
                tracing::warn!(path = %path.display(), "unusable sandbox: {e}");
            }
            return;
        }
    };
    shared.sandboxes.lock().insert(entry.id().to_owned(), entry.clone());
    let followed = tokio::time::timeout(ADOPT_LIMIT, shared.follow(&entry)).await;
    if matches!(followed, Ok(Ok(()))) {
        return;
    }
    crate::purge::kill_shim(&path);
    let state = std::fs::read(path.join(wire::STATE)).map(|b| serde_json::from_slice::<State>(&b));
    match state {
        Ok(Ok(state)) => entry.known.lock().adopt(state),
        Ok(Err(e)) => tracing::warn!(sandbox = entry.id(), "state file: {e}"),
        Err(e) => tracing::warn!(sandbox = entry.id(), "state file: {e}"),
    }
    shared.lost(&entry).await;
}

/// Directories of containers that no sandbox knows.
fn remove_orphans(shared: &Shared) -> Result<(), OpenError> {
    let entries: Vec<_> = shared.sandboxes.lock().values().cloned().collect();
    let ids = entries.iter().flat_map(|e| e.known.lock().containers.keys().cloned().collect::<Vec<_>>());
    let known: std::collections::HashSet<String> = ids.map(|id| dir_name(&id).to_owned()).collect();
    let dir = shared.cfg.root.join("containers");
    for item in std::fs::read_dir(&dir).map_err(at(&dir))? {
        let item = item.map_err(at(&dir))?;
        if !known.contains(&*item.file_name().to_string_lossy()) {
            std::fs::remove_dir_all(item.path()).map_err(at(&item.path()))?;
        }
    }
    Ok(())
}
