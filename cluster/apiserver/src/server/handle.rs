//! One request from its headers to its response: identify, permit, dispatch, record.

use std::sync::Arc;
use std::time::Instant;

use api::Status;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderValue};
use http::request::Parts;

use super::Server;
use crate::identity::MASTERS;
use crate::reply::{self, Reply};
use crate::request::{Negotiated, Peer, Query, Request, RequestBody, RequestInfo};
use crate::{authn, authz, routes};

/// Answers one request.
pub(crate) async fn handle(
    server: Arc<Server>,
    parts: Parts,
    body: RequestBody,
    peer: Peer,
    upgrade: Option<hyper::upgrade::OnUpgrade>,
) -> Reply {
    let start = Instant::now();
    let query = Query::parse(parts.uri.query());
    let name = query.selected_name();
    let info = RequestInfo::parse(&parts.method, parts.uri.path(), query.flag("watch"), name.as_deref());
    let dry_run = info.is_write() && !query.get("dryRun").is_empty();
    let known = info.is_resource
        && server.serving.get().registry.get(&info.group, &info.version, &info.resource).is_some();
    let record = info.clone();
    let header = |name| parts.headers.get(name).cloned();
    let (accept, encodings) = (header(ACCEPT), header(ACCEPT_ENCODING));
    let request = Request {
        method: parts.method,
        headers: parts.headers,
        info,
        query,
        body,
        peer,
        upgrade: parking_lot::Mutex::new(upgrade),
    };
    let pretty = request.pretty();
    let mut reply = match within(&server, request).await {
        Ok(reply) => reply,
        Err(status) => {
            if status.code >= 500 {
                tracing::warn!(path = record.path, verb = record.verb, code = status.code, "{status}");
            }
            reply::status(&status, Negotiated::for_error(text(accept.as_ref())), pretty)
        }
    };
    if record.is_resource {
        reply::compress(&mut reply, text(encodings.as_ref()));
    }
    server.metrics.request(&record, known, reply.status().as_u16(), dry_run, start);
    reply
}

fn text(header: Option<&HeaderValue>) -> &str {
    header.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The answer, in the time that the client or the server allows.
async fn within(server: &Arc<Server>, request: Request) -> Result<Reply, Status> {
    // What concerns the servers themselves takes the time that the store takes.
    if request.info.is_long_running() || request.info.path.starts_with("/trireme/") {
        return answer(server, request).await;
    }
    let longest = server.cfg.request_timeout;
    let limit = request.query.timeout()?.filter(|asked| *asked < longest).unwrap_or(longest);
    match tokio::time::timeout(limit, answer(server, request)).await {
        Ok(answered) => answered,
        // A write that was under way may still be applied: the reason says so, as with any lost answer.
        Err(_) => Err(Status::timeout(format!("{} s", limit.as_secs_f32()))),
    }
}

async fn answer(server: &Arc<Server>, request: Request) -> Result<Reply, Status> {
    let start = Instant::now();
    let identified = authn::identify(server, request).await?;
    server.metrics.stage("authenticate", start);
    let info = identified.info();
    let exempt = identified.user().is_in(MASTERS) || !info.is_resource;
    let _place = match info.is_long_running() {
        true => None,
        false => Some(server.limits.enter(info.is_write(), exempt)?),
    };
    let start = Instant::now();
    let permitted = authz::permit(server, identified).await?;
    server.metrics.stage("authorize", start);
    routes::dispatch(server, permitted).await
}
