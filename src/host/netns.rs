//! Network namespaces: made, pinned under `/run/netns`, entered by one thread, removed.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// Makes a namespace pinned at `path`; one that stands there already is kept.
pub fn ensure(path: &Path) -> Result<()> {
    if is_namespace(path) {
        return Ok(());
    }
    let folder = path.parent().context("a namespace path has a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    File::create(path).with_context(|| format!("create {}", path.display()))?;
    let path = path.to_owned();
    on_a_thread(move || {
        // SAFETY: only this thread's network namespace changes, and the thread ends here.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
            .context("make a network namespace (are you root, with CAP_SYS_ADMIN?)")?;
        let own = format!("/proc/self/task/{}/ns/net", rustix::thread::gettid().as_raw_nonzero());
        rustix::mount::mount(&own, &path, "", MountFlags::BIND, None)
            .with_context(|| format!("pin a network namespace at {}", path.display()))
    })
}

/// Unpins and removes the namespace at `path`; what is not there is no error.
pub fn remove(path: &Path) -> Result<()> {
    while is_namespace(path) {
        rustix::mount::unmount(path, UnmountFlags::DETACH)
            .with_context(|| format!("unmount {}", path.display()))?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Whether a namespace is pinned at `path` (and not only an empty file left over).
pub fn is_namespace(path: &Path) -> bool {
    const NSFS_MAGIC: u64 = 0x6e73_6673;
    rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type as u64 == NSFS_MAGIC)
}

/// Moves the calling thread into the namespace.
pub fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?)
}

/// Runs `work` on a thread of its own inside the namespace at `path`.
pub fn inside<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let namespace = File::open(path).with_context(|| format!("open {}", path.display()))?;
    on_a_thread(move || {
        enter(namespace.as_fd()).context("enter a network namespace")?;
        work()
    })
}

fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let thread = std::thread::Builder::new().name("netns".into()).spawn(work).context("start a thread")?;
    thread.join().map_err(|_| anyhow::anyhow!("a thread inside a network namespace panicked"))?
}
