//! Runs a controller: keys from changes, one worker per key at a time, failures repeated.

use crate::Acting;
use async_trait::async_trait;
use client::{Cache, Cacheable, Change, ObjectKey, Queue};
use futures::{FutureExt, StreamExt, stream::BoxStream};
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// A stream of keys to look at.
pub(crate) type Keys = BoxStream<'static, ObjectKey>;

/// How many keys of one controller are worked on at the same time.
pub(crate) const WORKERS: usize = 5;

/// Brings one object closer to what it should be.
#[async_trait]
pub(crate) trait Controller: Send + Sync + 'static {
    /// The name of its queue in the metrics.
    fn name(&self) -> &'static str;

    /// Looks at one object (which may be gone). Answers when to look again even if nothing changes.
    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error>;
}

/// The keys that `keys` says each change concerns.
pub(crate) fn on<K, I>(cache: &Cache<K>, mut keys: impl FnMut(&Change<K>) -> I + Send + 'static) -> Keys
where
    K: Cacheable,
    I: IntoIterator<Item = ObjectKey>,
{
    let changes = cache.changes();
    changes
        .flat_map(move |change| futures::stream::iter(keys(&change).into_iter().collect::<Vec<_>>()))
        .boxed()
}

/// The keys of the changed objects themselves.
pub(crate) fn on_self<K: Cacheable>(cache: &Cache<K>) -> Keys {
    cache.changes().map(|change| change.key).boxed()
}

/// Runs `controller` until the leadership ends.
pub(crate) async fn drive<C: Controller>(acting: Acting, controller: C, sources: Vec<Keys>) {
    let name = controller.name();
    let queue = Queue::named(name, &acting.metrics);
    let controller = Arc::new(controller);
    let mut tasks = JoinSet::new();
    for _ in 0..WORKERS {
        tasks.spawn(work(controller.clone(), queue.clone()));
    }
    let mut keys = futures::stream::select_all(sources);
    let adds = queue.clone();
    tasks.spawn(async move {
        while let Some(key) = keys.next().await {
            adds.add(key);
        }
    });
    acting.stop.cancelled().await;
    queue.close();
    // What is under way ends here: its writes carry an epoch that has passed.
    tasks.shutdown().await;
}

async fn work<C: Controller>(controller: Arc<C>, queue: Queue<ObjectKey>) {
    let name = controller.name();
    while let Some(key) = queue.next().await {
        match AssertUnwindSafe(controller.reconcile(&key)).catch_unwind().await {
            Ok(Ok(again)) => {
                queue.forget(&key);
                if let Some(delay) = again {
                    queue.add_after(key.clone(), delay);
                }
            }
            Ok(Err(error)) if is_ending(&error) => queue.forget(&key),
            Ok(Err(error)) => {
                report(name, &key, &error);
                queue.retry(key.clone());
            }
            Err(_) => {
                tracing::error!(controller = name, %key, "reconciling panicked");
                queue.retry(key.clone());
            }
        }
        queue.done(&key);
    }
}

/// Whether something was refused because its namespace is being deleted: it will not be wanted.
fn is_ending(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 403 && causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// What the API said, without the client's decoration.
pub(crate) fn cause(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

fn report(controller: &'static str, key: &ObjectKey, error: &kube::Error) {
    match error {
        // Somebody else changed the object: the next look decides on its new state.
        kube::Error::Api(status) if matches!(status.code, 404 | 409) => {
            tracing::debug!(controller, %key, error = cause(error), "will look again");
        }
        _ => tracing::warn!(controller, %key, error = cause(error), "will try again"),
    }
}

/// Whether the API answered with this HTTP status.
pub(crate) fn is_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

/// An object that is gone already needs no further deletion or change.
pub(crate) fn gone_is_fine<T>(result: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_code(&error, 404) => Ok(None),
        Err(error) => Err(error),
    }
}
