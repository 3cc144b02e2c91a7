//! `list`: the stored bytes of all that match, streamed from one view.

use std::io::Write as _;
use std::sync::Arc;

use api::Status;
use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, HeaderValue, VARY};
use serde_json::{Value, json};
use store::Object;

use super::page::Page;
use super::select::Selection;
use crate::body::{ApiBody, BoxError};
use crate::call::Call;
use crate::reply::{self, Reply};
use crate::request::{As, Shape};

/// Bytes of one piece of a streamed list.
const PIECE: usize = 64 << 10;
/// Answers smaller than this are one piece, and never compressed (Kubernetes' threshold).
const SMALL: usize = 128 << 10;

pub(crate) async fn list(call: &Call) -> Result<Reply, Status> {
    let selection = Selection::of(call)?;
    let page = Page::of(call).await?;
    let (objects, next, remaining) = cut(&selection, &page);
    let mut meta = json!({"resourceVersion": page.view.revision().to_string()});
    if let Some(last) = next {
        meta["continue"] = page.token_after(&last).into();
        if selection.is_everything() {
            meta["remainingItemCount"] = remaining.into();
        }
    }
    if call.accept.r#as == As::Object
        && call.accept.shape == Shape::Json
        && !call.resource.converts()
        && !call.pretty()
    {
        return Ok(raw(call, &meta, objects));
    }
    let items = objects.iter().map(|o| call.served(&o.value)).collect::<Result<Vec<_>, _>>()?;
    Ok(formed(call, meta, items))
}

/// The objects of the page, the last key when more follow, and how many follow.
fn cut(selection: &Selection, page: &Page) -> (Vec<Arc<Object>>, Option<String>, usize) {
    let mut matching = selection.objects(&page.view, page.after.as_deref());
    let Some(limit) = page.limit else { return (matching.collect(), None, 0) };
    let objects: Vec<_> = matching.by_ref().take(limit).collect();
    let remaining = if selection.is_everything() { matching.count() } else { matching.take(1).count() };
    let last = objects.last().filter(|_| remaining > 0).map(|o| o.key.to_string());
    (objects, last, remaining)
}

/// A list that must be made: converted, a table, metadata only, YAML, pretty.
fn formed(call: &Call, meta: Value, items: Vec<Value>) -> Reply {
    let body = match call.accept.r#as {
        As::Table => {
            let now = jiff::Timestamp::now();
            api::table::table(&call.resource, &items, meta, call.include(), true, now)
        }
        As::Metadata => json!({
            "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta,
            "items": items.iter().map(api::table::partial_metadata).collect::<Vec<_>>(),
        }),
        As::Object => json!({
            "kind": call.resource.list_kind, "apiVersion": call.resource.api_version(), "metadata": meta,
            "items": items,
        }),
    };
    reply::value(StatusCode::OK, call.accept, &body, call.pretty())
}

fn raw(call: &Call, meta: &Value, objects: Vec<Arc<Object>>) -> Reply {
    let head = format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{meta},\"items\":[",
        Value::from(call.resource.list_kind.as_str()),
        Value::from(call.resource.api_version()),
    );
    let size = head.len() + 3 + objects.iter().map(|o| o.value.len() + 1).sum::<usize>();
    let mut pieces = Pieces { head: Some(head), objects: objects.into_iter(), begun: false, ended: false };
    if size <= SMALL {
        let mut all = BytesMut::with_capacity(size);
        while pieces.append(&mut all, usize::MAX) {}
        return reply::bytes(StatusCode::OK, "application/json", all.freeze());
    }
    let gzip = accepts_gzip(call.request.header(http::header::ACCEPT_ENCODING));
    let body = if gzip { compressed(pieces) } else { plain(pieces) };
    let mut reply = reply::bytes(StatusCode::OK, "application/json", Bytes::new());
    *reply.body_mut() = body;
    if gzip {
        reply.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        reply.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    reply
}

fn accepts_gzip(header: &str) -> bool {
    header.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next() == Some("gzip") && parts.next() != Some("q=0")
    })
}

/// The text of a list, made piece by piece.
struct Pieces {
    head: Option<String>,
    objects: std::vec::IntoIter<Arc<Object>>,
    begun: bool,
    ended: bool,
}

impl Pieces {
    /// Appends until `buffer` holds `enough`; false when nothing is left.
    fn append(&mut self, buffer: &mut BytesMut, enough: usize) -> bool {
        if let Some(head) = self.head.take() {
            buffer.extend_from_slice(head.as_bytes());
        }
        while buffer.len() < enough {
            match self.objects.next() {
                Some(object) => {
                    if self.begun {
                        buffer.extend_from_slice(b",");
                    }
                    self.begun = true;
                    buffer.extend_from_slice(&object.value);
                }
                None if self.ended => return false,
                None => {
                    self.ended = true;
                    buffer.extend_from_slice(b"]}\n");
                }
            }
        }
        true
    }
}

fn plain(pieces: Pieces) -> ApiBody {
    ApiBody::stream(stream::unfold(pieces, |mut pieces| async move {
        let mut buffer = BytesMut::with_capacity(PIECE + 4096);
        pieces.append(&mut buffer, PIECE);
        (!buffer.is_empty()).then(|| (Ok::<_, BoxError>(buffer.freeze()), pieces))
    }))
}

fn compressed(pieces: Pieces) -> ApiBody {
    let encoder = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    ApiBody::stream(stream::try_unfold((pieces, encoder), |(mut pieces, mut encoder)| async move {
        let Some(mut gzip) = encoder.take() else { return Ok::<_, BoxError>(None) };
        let mut buffer = BytesMut::with_capacity(PIECE + 4096);
        loop {
            buffer.clear();
            let more = pieces.append(&mut buffer, PIECE);
            gzip.write_all(&buffer)?;
            if !more {
                return Ok(Some((Bytes::from(gzip.finish()?), (pieces, None))));
            }
            if gzip.get_ref().len() >= PIECE / 4 {
                let ready = std::mem::take(gzip.get_mut());
                return Ok(Some((Bytes::from(ready), (pieces, Some(gzip)))));
            }
            // A large list must not keep other requests from this thread.
            tokio::task::yield_now().await;
        }
    }))
}
