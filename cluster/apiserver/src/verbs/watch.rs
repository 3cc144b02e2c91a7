//! `watch`: what is there (when asked for), then every change, as one stream that ends by time, by
//! the server's stop, or with an ERROR event.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use api::{Resource, Status};
use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt, stream};
use http::StatusCode;
use rand::RngExt;
use store::{Object, Revision, WatchEnd, WatchItem, WatchRequest, WatchStream};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::select::Selection;
use super::watch_encode::{Encoder, Initial, error};
use crate::body::{ApiBody, BoxError};
use crate::call::Call;
use crate::convert;
use crate::failure::expired;
use crate::metrics::LongRunning;
use crate::reply::{self, Reply};
use crate::request::{Shape, VersionMatch};
use crate::server::Server;

/// Events that are ready together go out together, up to this many bytes.
const BATCH: usize = 64 << 10;
/// Between two bookmarks of one watch.
const BOOKMARK_EVERY: Duration = Duration::from_secs(10);
/// A watch without timeoutSeconds ends after 30 to 60 minutes (Kubernetes' --min-request-timeout),
/// so that load spreads again after a restart.
const LEAST_SECONDS: u64 = 1800;

/// Where a watch begins.
struct Start {
    from: Revision,
    /// What is sent as ADDED first.
    initial: VecDeque<Initial>,
    /// A bookmark ends the initial events.
    marks_end: bool,
}

pub(crate) async fn watch(call: &Call) -> Result<Reply, Status> {
    let selection = Selection::of(call)?;
    let query = &call.request.query;
    let accept = call.accept.streamed()?;
    let include = call.include()?;
    let start = begin(call, &selection).await?;
    let request =
        WatchRequest { prefix: selection.prefix.clone(), from: start.from, field: selection.indexed() };
    let content_type = match accept.shape {
        Shape::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        _ => accept.content_type(),
    };
    let mut reply = reply::bytes(StatusCode::OK, content_type, Bytes::new());
    let events = match call.server.store.watch(request) {
        Ok(events) => events,
        Err(compacted) => {
            *reply.body_mut() = ApiBody::full(error(accept.shape, &expired(&compacted)));
            return Ok(reply);
        }
    };
    let timeout = match query.number("timeoutSeconds")? {
        Some(seconds) if seconds > 0 => Duration::from_secs(seconds),
        _ => Duration::from_secs(LEAST_SECONDS + rand::rng().random_range(0..LEAST_SECONDS)),
    };
    let watching = Watching {
        encoder: Encoder {
            server: call.server.clone(),
            resource: call.resource.clone(),
            accept,
            include,
            headers: true,
        },
        redefined: Box::pin(redefined(call.server.clone(), call.resource.clone())),
        selection,
        bookmarks: query.flag("allowWatchBookmarks"),
        sent: start.from,
        marked: start.from,
        marked_at: Instant::now(),
        start,
        events,
        deadline: Box::pin(tokio::time::sleep(timeout)),
        stop: Box::pin(CancellationToken::cancelled_owned(call.server.stop.clone())),
        count: call.server.metrics.watch_events(
            &call.resource.group,
            &call.resource.version,
            &call.resource.plural,
        ),
        _open: call.server.metrics.long_running(&call.request.info),
        ended: false,
    };
    *reply.body_mut() = ApiBody::stream(stream::unfold(watching, Watching::next));
    Ok(reply)
}

/// Kubernetes' table of resourceVersion, resourceVersionMatch and sendInitialEvents.
async fn begin(call: &Call, selection: &Selection) -> Result<Start, Status> {
    let query = &call.request.query;
    let version = query.resource_version()?;
    let matching = query.version_match()?;
    let forbidden = |message: &str| {
        Status::failure(422, "Invalid", format!("ListOptions.meta.k8s.io \"\" is invalid: {message}"))
    };
    let initial = query.optional_flag("sendInitialEvents");
    match (initial, matching) {
        (Some(_), Some(VersionMatch::NotOlderThan)) | (None, None) => {}
        (Some(_), _) => {
            return Err(forbidden(
                "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        (None, Some(_)) => {
            return Err(forbidden(
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
    }
    let from_newest = matches!(version, None | Some(0));
    let wants_initial = initial.unwrap_or(from_newest);
    if !wants_initial && !from_newest {
        return Ok(Start { from: version.unwrap_or(0), initial: VecDeque::new(), marks_end: false });
    }
    let view = call.view().await?;
    let objects = if wants_initial { selection.objects(&view, None).collect() } else { Vec::new() };
    let objects = initial_events(call, selection, objects).await?;
    Ok(Start { from: view.revision(), initial: objects, marks_end: initial == Some(true) })
}

/// Custom resources whose form is not the stored one are converted all at once.
async fn initial_events(
    call: &Call,
    selection: &Selection,
    objects: Vec<Arc<Object>>,
) -> Result<VecDeque<Initial>, Status> {
    let resource = &call.resource;
    if resource.custom.is_none() || objects.iter().all(|o| resource.serves_stored(o.revision)) {
        return Ok(objects.into_iter().map(Initial::Stored).collect());
    }
    let mut served = convert::served_objects(&call.server, resource, &objects).await?;
    served.retain(|object| selection.matches_served(resource, object));
    Ok(served.into_iter().map(Initial::Served).collect())
}

/// Ends when the definition of a custom resource changes what is served: clients begin anew.
async fn redefined(server: Arc<Server>, resource: Arc<Resource>) {
    if resource.custom.is_none() {
        return std::future::pending().await;
    }
    let mut changes = server.serving.changes();
    loop {
        let serving = server.serving.get();
        let now = serving.registry.get(&resource.group, &resource.version, &resource.plural);
        if now.is_none_or(|now| !Arc::ptr_eq(now, &resource)) || changes.changed().await.is_err() {
            return;
        }
    }
}

/// One watch that is being answered.
struct Watching {
    encoder: Encoder,
    selection: Selection,
    bookmarks: bool,
    start: Start,
    /// Every event up to here was looked at.
    sent: Revision,
    /// The last bookmark's revision and time.
    marked: Revision,
    marked_at: Instant,
    events: WatchStream,
    deadline: std::pin::Pin<Box<Sleep>>,
    stop: std::pin::Pin<Box<WaitForCancellationFutureOwned>>,
    redefined: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
    count: prometheus::IntCounter,
    _open: LongRunning,
    ended: bool,
}

impl Watching {
    /// The next piece of the body.
    async fn next(mut self) -> Option<(Result<Bytes, BoxError>, Self)> {
        if self.ended {
            return None;
        }
        let mut batch = Batch::default();
        self.fill_initial(&mut batch);
        while batch.is_empty() && !self.ended {
            let item = tokio::select! {
                item = self.events.next() => item,
                () = self.deadline.as_mut() => None,
                () = self.stop.as_mut() => None,
                () = self.redefined.as_mut() => {
                    self.last_events(&mut batch).await;
                    None
                }
            };
            self.take(item, &mut batch).await;
        }
        while !self.ended && batch.len() < BATCH {
            match self.events.next().now_or_never() {
                Some(item) => self.take(item, &mut batch).await,
                None => break,
            }
        }
        let bytes = batch.into_bytes()?;
        Some((Ok(bytes), self))
    }

    fn fill_initial(&mut self, batch: &mut Batch) {
        while batch.len() < BATCH {
            match self.start.initial.pop_front() {
                Some(object) => {
                    self.count.inc();
                    batch.push(self.encoder.initial(object));
                }
                None => {
                    if std::mem::take(&mut self.start.marks_end) && self.bookmarks {
                        batch.push(self.encoder.bookmark(self.start.from, true));
                    }
                    return;
                }
            }
        }
    }

    /// What is there already.
    async fn last_events(&mut self, batch: &mut Batch) {
        while let Some(Some(item)) = self.events.next().now_or_never() {
            self.take(Some(item), batch).await;
        }
    }

    async fn take(&mut self, item: Option<Result<WatchItem, WatchEnd>>, batch: &mut Batch) {
        match item {
            Some(Ok(WatchItem::Event(event))) => {
                self.sent = event.revision;
                let line = match self.encoder.resource.custom {
                    None => Ok(self.encoder.event(&self.selection, &event)),
                    Some(_) => self.encoder.custom_event(&self.selection, &event).await,
                };
                match line {
                    Ok(Some(line)) => {
                        self.count.inc();
                        batch.push(line);
                    }
                    Ok(None) => {}
                    Err(status) => {
                        batch.push(error(self.encoder.accept.shape, &status));
                        self.ended = true;
                    }
                }
            }
            Some(Ok(WatchItem::Progress(revision))) => self.progress(revision, batch),
            Some(Err(WatchEnd::Compacted)) => {
                let status = Status::expired(format!("too old resource version: {}", self.sent));
                batch.push(error(self.encoder.accept.shape, &status));
                self.ended = true;
            }
            // The client resumes from the last event it saw.
            Some(Err(WatchEnd::Lagged | WatchEnd::Shutdown)) | None => self.ended = true,
        }
    }

    fn progress(&mut self, revision: Revision, batch: &mut Batch) {
        self.sent = self.sent.max(revision);
        if self.bookmarks && self.sent > self.marked && self.marked_at.elapsed() >= BOOKMARK_EVERY {
            self.marked = self.sent;
            self.marked_at = Instant::now();
            batch.push(self.encoder.bookmark(self.sent, false));
        }
    }
}

/// Lines that go out together; a single one is not copied.
#[derive(Default)]
struct Batch {
    first: Option<Bytes>,
    joined: BytesMut,
}

impl Batch {
    fn push(&mut self, line: Bytes) {
        match (&self.first, self.joined.is_empty()) {
            (None, true) => self.first = Some(line),
            _ => {
                if let Some(first) = self.first.take() {
                    self.joined.extend_from_slice(&first);
                }
                self.joined.extend_from_slice(&line);
            }
        }
    }

    fn len(&self) -> usize {
        self.first.as_ref().map_or(0, Bytes::len) + self.joined.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn into_bytes(self) -> Option<Bytes> {
        self.first.or_else(|| (!self.joined.is_empty()).then(|| self.joined.freeze()))
    }
}
