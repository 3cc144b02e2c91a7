//! `list`: the stored bytes of all that match, streamed from one view.

use std::sync::Arc;

use api::Status;
use api::protobuf::ListWriter;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use store::Object;

use super::list_body::{Former, Pieces, Writer, body};
use super::page::Page;
use super::select::Selection;
use crate::call::Call;
use crate::convert;
use crate::reply::{self, Reply};
use crate::request::{As, Shape};

pub(crate) async fn list(call: &Call) -> Result<Reply, Status> {
    let selection = Selection::of(call)?;
    let page = Page::of(call).await?;
    if call.accept.r#as == As::Metadata {
        return Err(call.is_a_list());
    }
    let (objects, next, remaining) = cut(&selection, &page);
    let mut meta = json!({"resourceVersion": page.view.revision().to_string()});
    if let Some(last) = next {
        meta["continue"] = page.token_after(&last).into();
        if selection.is_everything() {
            meta["remainingItemCount"] = remaining.into();
        }
    }
    let serves = objects.iter().all(|o| call.resource.serves_stored(o.revision));
    let whole = call.accept.r#as == As::Object && serves;
    let metadata = call.accept.metadata() && (serves || call.resource.custom.is_none());
    match call.accept.shape {
        Shape::Json if whole && !call.pretty() => return json_list(call, &meta, objects),
        Shape::Protobuf if whole || metadata => return protobuf_list(call, &meta, objects).await,
        Shape::Json if (serves || call.resource.custom.is_none()) && !call.pretty() => {
            return formed_list(call, &meta, objects);
        }
        _ => {}
    }
    let mut items = convert::served_objects(&call.server, &call.resource, &objects).await?;
    items.retain(|item| selection.matches_served(&call.resource, item));
    call.list_reply(meta, items)
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

fn json_list(call: &Call, meta: &Value, objects: Vec<Arc<Object>>) -> Result<Reply, Status> {
    let head = head(&call.resource.list_kind, &call.resource.api_version(), meta);
    let size = head.len() + 3 + objects.iter().map(|o| o.value.len() + 1).sum::<usize>();
    answer(call, Pieces::new(head.into(), objects, Writer::Json), size)
}

/// What stands in front of the items.
fn head(kind: &str, api_version: &str, meta: &Value) -> String {
    let (kind, api_version) = (Value::from(kind), Value::from(api_version));
    format!("{{\"kind\":{kind},\"apiVersion\":{api_version},\"metadata\":{meta},\"items\":[")
}

/// Tables, metadata, and objects of another version than the stored one.
fn formed_list(call: &Call, meta: &Value, objects: Vec<Arc<Object>>) -> Result<Reply, Status> {
    let former = Former {
        resource: call.resource.clone(),
        accept: call.accept,
        include: call.include()?,
        now: jiff::Timestamp::now(),
    };
    let head = match call.accept.r#as {
        As::Table => {
            let table = call.accept.versioned(api::table::empty(&call.resource, meta.clone(), true));
            let mut text = table.to_string();
            text.truncate(text.len() - 1);
            text + ",\"rows\":["
        }
        As::Metadata | As::MetadataList => {
            head("PartialObjectMetadataList", call.accept.metadata_version(), meta)
        }
        As::Object => head(&call.resource.list_kind, &call.resource.api_version(), meta),
    };
    let size = head.len() + 3 + objects.iter().map(|o| o.value.len() + 1).sum::<usize>();
    answer(call, Pieces::new(head.into(), objects, Writer::Formed(former)), size)
}

/// The lengths of protobuf stand in front: the items are measured first. What is measured is kept, up to a
/// limit; the rest is made a second time when it is sent.
async fn protobuf_list(call: &Call, meta: &Value, objects: Vec<Arc<Object>>) -> Result<Reply, Status> {
    let refused = |e| reply::unencodable(&e);
    let own = call.resource.api_version();
    let (version, kind, list_kind) = match call.accept.r#as {
        As::Object => (own.as_str(), call.resource.kind.as_str(), call.resource.list_kind.as_str()),
        _ => (call.accept.metadata_version(), "PartialObjectMetadata", "PartialObjectMetadataList"),
    };
    let writer = ListWriter::new(version, kind).map_err(refused)?;
    let mut pieces = Pieces::new(Bytes::new(), objects, Writer::Protobuf(writer));
    let items = pieces.measure().await.map_err(refused)?;
    let head = ListWriter::head(version, list_kind, meta.to_string().as_bytes(), items).map_err(refused)?;
    let size = head.len() + items + ListWriter::TAIL.len();
    answer(call, pieces.with_head(head.into()), size)
}

fn answer(call: &Call, pieces: Pieces, size: usize) -> Result<Reply, Status> {
    let gzip = size > reply::SMALL && reply::accepts_gzip(call.request.header(http::header::ACCEPT_ENCODING));
    let mut reply = reply::bytes(StatusCode::OK, call.accept.content_type(), Bytes::new());
    *reply.body_mut() =
        body(pieces, size, gzip).map_err(|e| Status::internal(format!("a stored object: {e}")))?;
    if gzip {
        reply::mark_compressed(&mut reply);
    }
    Ok(reply)
}
