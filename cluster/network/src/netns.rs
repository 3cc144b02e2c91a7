//! Work inside another network namespace.
//!
//! A namespace belongs to a thread, so a thread of its own does it and ends: a worker of the runtime never leaves
//! its namespace.

use std::fs::File;
use std::future::Future;
use std::io;
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::AsFd;
use tokio::sync::oneshot;

/// Opens a namespace, for example `/proc/PID/ns/net`.
pub fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Runs `work` on a new thread inside `namespace`, with a runtime of its own.
pub async fn run<F, Fut, T>(namespace: &File, work: F) -> io::Result<T>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = T>,
    T: Send + 'static,
{
    let namespace = namespace.try_clone()?;
    let (done, result) = oneshot::channel();
    std::thread::Builder::new().name("netns".into()).spawn(move || {
        let outcome = enter(&namespace)
            .and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build())
            .map(|runtime| runtime.block_on(work()));
        // The caller may have given up.
        let _ = done.send(outcome);
    })?;
    result.await.unwrap_or_else(|_| Err(io::Error::other("the thread in the namespace panicked")))
}

/// Moves the calling thread into `namespace`, for good.
pub fn enter(namespace: &File) -> io::Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}
