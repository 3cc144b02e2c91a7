//! Where work goes that waits for the disk: to threads of the host, or, in the simulator, to the
//! one thread there is, on virtual time.

use std::io;
use std::sync::Arc;

use futures::future::BoxFuture;

/// Passes the time that one piece of work takes.
pub type Pace = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// How blocking work is done.
#[derive(Clone, Default)]
pub enum Work {
    /// By threads of the host.
    #[default]
    Threads,
    /// By a task, in one go, after this time has passed.
    Paced(Pace),
}

impl Work {
    /// Does the work; it is finished even when the caller is cancelled.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let done = match self {
            Work::Threads => tokio::task::spawn_blocking(work).await,
            Work::Paced(pace) => {
                let pace = pace();
                let paced = async move {
                    pace.await;
                    work()
                };
                tokio::spawn(paced).await
            }
        };
        done.map_err(io::Error::other)
    }
}
