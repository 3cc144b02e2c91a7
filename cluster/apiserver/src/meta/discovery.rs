//! Discovery and OpenAPI. A group or version that is not known is looked for again after the
//! definitions of custom resources were read afresh.

use std::sync::Arc;

use api::{Status, discovery};
use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCEPT, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use serde_json::Value;

use crate::reply::{self, Reply};
use crate::request::{Negotiated, Offer, Request};
use crate::server::Server;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// What older clients ask for. It is not a well-formed media type, so that Go can not read it in
/// an answer: the answer always bears the newer name.
const PROTOBUF_ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// The client prefers the aggregated form (v2; the older v2beta1 is not served).
fn wants_aggregated(request: &Request) -> bool {
    let accept = request.header(ACCEPT);
    accept.split(',').any(|clause| {
        let has = |word: &str| clause.split(';').any(|p| p.trim() == word);
        has("g=apidiscovery.k8s.io") && has("v=v2") && has("as=APIGroupDiscoveryList")
    })
}

fn document(request: &Request, value: &Value) -> Result<Reply, Status> {
    // Clauses of forms that are not served are passed over, not refused, when JSON is accepted too.
    let accept = Negotiated::from_accept(request.header(ACCEPT), Offer::Document)?;
    Ok(reply::value(StatusCode::OK, accept, value, request.pretty()))
}

pub(crate) fn core_versions(server: &Arc<Server>, request: &Request) -> Result<Reply, Status> {
    if wants_aggregated(request) {
        return Ok(tagged(request, AGGREGATED, server.serving.get().aggregated(true)));
    }
    document(request, &discovery::core_versions(&server.cfg.advertise))
}

pub(crate) fn groups(server: &Arc<Server>, request: &Request) -> Result<Reply, Status> {
    if wants_aggregated(request) {
        return Ok(tagged(request, AGGREGATED, server.serving.get().aggregated(false)));
    }
    document(request, &discovery::groups(&server.serving.get().registry))
}

pub(crate) async fn group(server: &Arc<Server>, request: &Request) -> Result<Reply, Status> {
    let name = segment(request, 1);
    let find = || discovery::group(&server.serving.get().registry, name);
    let found = refreshed(server, find).await?;
    document(request, &found)
}

pub(crate) async fn resources(server: &Arc<Server>, request: &Request) -> Result<Reply, Status> {
    let (group, version) = match segment(request, 0) {
        "api" => ("", segment(request, 1)),
        _ => (segment(request, 1), segment(request, 2)),
    };
    let find = || discovery::resources(&server.serving.get().registry, group, version);
    let found = refreshed(server, find).await?;
    document(request, &found)
}

fn segment(request: &Request, index: usize) -> &str {
    request.info.path.split('/').filter(|s| !s.is_empty()).nth(index).unwrap_or_default()
}

async fn refreshed<T>(server: &Arc<Server>, find: impl Fn() -> Option<T>) -> Result<T, Status> {
    if let Some(found) = find() {
        return Ok(found);
    }
    server.serving.refresh(&server.fresh_view().await?);
    find().ok_or_else(Status::no_such_path)
}

/// `/openapi/v2`.
pub(crate) fn openapi_v2(server: &Arc<Server>, request: &Request) -> Result<Reply, Status> {
    let serving = server.serving.get();
    let accept = request.header(ACCEPT);
    let clause = |c: &str| c.split(';').next().unwrap_or_default().trim().to_owned();
    for wanted in accept.split(',').map(clause) {
        match wanted.as_str() {
            PROTOBUF | PROTOBUF_ASKED => return Ok(tagged(request, PROTOBUF, serving.openapi_v2_protobuf())),
            "application/json" | "*/*" | "application/*" | "" => break,
            _ => {}
        }
    }
    Negotiated::from_accept(accept, Offer::Document)?;
    Ok(tagged(request, "application/json", serving.openapi_v2_json()))
}

/// `/openapi/v3`.
pub(crate) fn openapi_v3_index(server: &Arc<Server>, request: &Request) -> Result<Reply, Status> {
    Ok(tagged(request, "application/json", server.serving.get().openapi_v3_index()))
}

/// `/openapi/v3/apis/GROUP/VERSION`. The hash in the query makes it cacheable for ever.
pub(crate) async fn openapi_v3(server: &Arc<Server>, request: &Request) -> Result<Reply, Status> {
    let path = request.info.path.strip_prefix("/openapi/v3/").unwrap_or_default().trim_end_matches('/');
    Negotiated::from_accept(request.header(ACCEPT), Offer::Document)?;
    let (bytes, etag) = refreshed(server, || server.serving.get().openapi_v3(path)).await?;
    if request.header(IF_NONE_MATCH).trim_matches('"') == etag {
        return Ok(reply::bytes(StatusCode::NOT_MODIFIED, "application/json", Bytes::new()));
    }
    let mut reply = reply::bytes(StatusCode::OK, "application/json", bytes);
    set_etag(&mut reply, &etag);
    if request.query.get("hash") == server.serving.get().v3_hash(path) {
        let forever = HeaderValue::from_static("public, immutable");
        reply.headers_mut().insert(http::header::CACHE_CONTROL, forever);
    }
    Ok(reply)
}

fn tagged(request: &Request, content_type: &'static str, bytes: Bytes) -> Reply {
    let etag = short_tag(&bytes);
    if request.header(IF_NONE_MATCH).trim_matches('"') == etag {
        return reply::bytes(StatusCode::NOT_MODIFIED, content_type, Bytes::new());
    }
    let mut reply = reply::bytes(StatusCode::OK, content_type, bytes);
    reply.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    set_etag(&mut reply, &etag);
    reply
}

fn set_etag(reply: &mut Reply, etag: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{etag}\"")) {
        reply.headers_mut().insert(ETAG, value);
    }
}

/// The length and a checksum: enough to notice a change, cheap for documents of megabytes.
fn short_tag(bytes: &Bytes) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    format!("{:X}-{:08X}", bytes.len(), crc.sum())
}
