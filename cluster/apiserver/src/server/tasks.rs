//! What a server does on its own: bootstrap, and keeping in memory what requests ask of the store.

mod cleanup;
mod endpoints;
mod signing;

use std::sync::Arc;
use std::time::Duration;

use api::Resource;
use futures::StreamExt;
use store::{Event, EventKind, View, WatchItem, WatchRequest};
use tokio_util::task::TaskTracker;

use super::{DEFINITIONS, Server};
use crate::identity::User;
use crate::pipeline::Write;
use crate::{authz, bootstrap};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(super) fn spawn_all(server: &Arc<Server>, tasks: &TaskTracker) {
    tasks.spawn(until_stop(server.clone(), bootstrap_task(server.clone())));
    tasks.spawn(until_stop(server.clone(), rbac_task(server.clone())));
    tasks.spawn(until_stop(server.clone(), definitions_task(server.clone())));
    tasks.spawn(until_stop(server.clone(), cleanup::task(server.clone())));
    tasks.spawn(until_stop(server.clone(), signing::task(server.clone())));
    tasks.spawn(endpoints::task(server.clone()));
}

async fn until_stop(server: Arc<Server>, task: impl Future<Output = ()>) {
    tokio::select! {
        () = task => {}
        () = server.stop.cancelled() => {}
    }
}

/// Pauses that grow up to a limit.
struct Backoff(Duration);

impl Backoff {
    fn new() -> Self {
        Self(FIRST_PAUSE)
    }

    async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}

async fn bootstrap_task(server: Arc<Server>) {
    let mut backoff = Backoff::new();
    loop {
        let outcome = match server.fresh_view().await {
            Ok(_) => bootstrap::run(&server).await,
            Err(status) => Err(status),
        };
        match outcome {
            Ok(()) => break,
            // Nothing is wrong while the cluster is being formed.
            Err(status) if status.code == 503 => tracing::debug!("bootstrap waits: {status}"),
            Err(status) => tracing::warn!("bootstrap: {status}"),
        }
        backoff.pause().await;
    }
    server.bootstrapped.send_replace(true);
    tracing::info!("bootstrap objects are there");
}

async fn rbac_task(server: Arc<Server>) {
    follow(
        &server,
        authz::PREFIX,
        |view| {
            let mut index = authz::Index::default();
            for object in view.range(authz::PREFIX, None) {
                index.set(&object.key, Some(&object.value));
            }
            *server.rbac.write() = index;
        },
        |event| {
            let value = (event.kind == EventKind::Put).then_some(&event.object.value[..]);
            server.rbac.write().set(&event.object.key, value);
        },
    )
    .await;
}

async fn definitions_task(server: Arc<Server>) {
    // The definitions of a view are few; reading them all is simpler than following each.
    let mut backoff = Backoff::new();
    loop {
        let Ok(view) = server.local_view().await else {
            backoff.pause().await;
            continue;
        };
        server.serving.refresh(&view);
        let request = WatchRequest { prefix: DEFINITIONS.to_owned(), from: view.revision(), field: None };
        let Ok(mut events) = server.store.watch(request) else { continue };
        while let Some(Ok(item)) = events.next().await {
            if matches!(item, WatchItem::Event(_))
                && let Ok(view) = server.local_view().await
            {
                server.serving.refresh(&view);
            }
        }
        backoff.pause().await;
    }
}

/// Shows everything below a prefix, then every change, for ever.
async fn follow(
    server: &Arc<Server>,
    prefix: &str,
    mut reset: impl FnMut(&View),
    mut change: impl FnMut(&Event),
) {
    let mut backoff = Backoff::new();
    loop {
        let Ok(view) = server.local_view().await else {
            backoff.pause().await;
            continue;
        };
        reset(&view);
        let request = WatchRequest { prefix: prefix.to_owned(), from: view.revision(), field: None };
        drop(view);
        let Ok(mut events) = server.store.watch(request) else { continue };
        while let Some(Ok(item)) = events.next().await {
            if let WatchItem::Event(event) = item {
                change(&event);
            }
        }
        backoff.pause().await;
    }
}

/// A write of the server's own.
fn write_of<'c>(
    server: &'c Arc<Server>,
    resource: &'c Arc<Resource>,
    namespace: &'c str,
    user: &'c User,
) -> Write<'c> {
    Write {
        server,
        resource,
        storage: resource,
        subresource: None,
        namespace,
        user,
        manager: "trireme",
        dry_run: false,
        fence: None,
    }
}
