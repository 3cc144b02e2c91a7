//! What an administrator does with the store of a running cluster: its members, its snapshots.
//!
//! Paths under `/trireme/v1/`, which RBAC lets `system:masters` use and nobody else, unless a role
//! names them (`nonResourceURLs`). The store decides what is safe; here it is only said in HTTP.

use std::sync::Arc;

use api::Status;
use futures::StreamExt;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Member, MembershipError};

use crate::authz::Permitted;
use crate::body::ApiBody;
use crate::failure::unreadable;
use crate::reply::{self, Reply};
use crate::request::Negotiated;
use crate::server::Server;

/// The word that stands for whichever member fits best.
const ANY: &str = "any";

#[derive(Deserialize)]
struct NewMember {
    id: u64,
    addr: String,
    /// It gets no vote until it is promoted.
    #[serde(default)]
    learner: bool,
}

/// GET: the members. POST: takes a member in, or corrects its address.
pub(crate) async fn members(server: &Arc<Server>, permitted: &Permitted) -> Result<Reply, Status> {
    match permitted.request.info.verb {
        "get" => {}
        "post" => {
            let body = permitted.request.body.read().await?;
            let NewMember { id, addr, learner } =
                serde_json::from_slice(&body).map_err(|e| Status::bad_request(format!("member: {e}")))?;
            tracing::info!(id, addr, learner, user = permitted.user.name, "a member joins the store");
            let added = match learner {
                true => server.store.add_learner(id, addr).await,
                false => server.store.add_member(id, addr).await,
            };
            added.map_err(|e| unchanged(&e))?;
        }
        _ => return Err(Status::method_not_allowed("", "", "")),
    }
    told(server, permitted).await
}

/// DELETE of one member.
pub(crate) async fn remove(server: &Arc<Server>, permitted: &Permitted) -> Result<Reply, Status> {
    let id = member_id(named(permitted))?;
    tracing::info!(id, user = permitted.user.name, "a member leaves the store");
    server.store.remove_member(id).await.map_err(|e| unchanged(&e))?;
    told(server, permitted).await
}

/// Gives a member its vote.
pub(crate) async fn promote(server: &Arc<Server>, permitted: &Permitted) -> Result<Reply, Status> {
    let id = member_id(named(permitted))?;
    tracing::info!(id, user = permitted.user.name, "a member is promoted");
    server.store.promote_member(id).await.map_err(|e| unchanged(&e))?;
    told(server, permitted).await
}

/// Makes a member lead.
pub(crate) async fn lead(server: &Arc<Server>, permitted: &Permitted) -> Result<Reply, Status> {
    let name = named(permitted);
    let id = if name == ANY { None } else { Some(member_id(name)?) };
    tracing::info!(?id, user = permitted.user.name, "leadership is handed over");
    server.store.lead(id).await.map_err(|e| unchanged(&e))?;
    told(server, permitted).await
}

/// Streams everything, history included: see `store::offline` for what can be done with it.
pub(crate) async fn snapshot(server: &Arc<Server>, permitted: &Permitted) -> Result<Reply, Status> {
    tracing::info!(user = permitted.user.name, "a snapshot of the store is taken");
    let pieces = server.store.snapshot().await.map_err(|e| unreadable(&e))?;
    let mut reply = Response::new(ApiBody::stream(pieces.map(|piece| piece.map_err(Into::into))));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(reply)
}

/// The segment after `members`.
fn named(permitted: &Permitted) -> &str {
    let path = permitted.request.info.path.as_str();
    path.split('/').filter(|segment| !segment.is_empty()).nth(3).unwrap_or_default()
}

fn member_id(name: &str) -> Result<u64, Status> {
    name.parse().map_err(|_| Status::bad_request(format!("a member is named by its number, not {name:?}")))
}

/// This replica and the members: as the leader knows them, or else as this replica does.
async fn told(server: &Server, permitted: &Permitted) -> Result<Reply, Status> {
    let status = server.store.status();
    let (members, doubt) = match server.store.members().await {
        Ok(members) => (members, None),
        Err(error) => (status.members, Some(error.to_string())),
    };
    let list: Vec<Value> = members.iter().map(|member| told_member(member, status.leader)).collect();
    let body = json!({
        "id": status.id, "leader": status.leader, "term": status.term, "applied": status.applied,
        "revision": status.revision, "bytes": status.bytes, "objects": status.objects,
        "healthy": status.healthy.is_ok(), "problem": status.healthy.err().or(doubt), "members": list,
    });
    Ok(reply::value(StatusCode::OK, Negotiated::JSON, &body, permitted.request.pretty()))
}

fn told_member(member: &Member, leader: Option<u64>) -> Value {
    json!({
        "id": member.id, "addr": member.addr, "voter": member.voter, "leader": leader == Some(member.id),
        "matched": member.matched, "behind": member.behind, "silentMs": member.silent_ms,
    })
}

fn unchanged(error: &MembershipError) -> Status {
    let message = error.to_string();
    match error {
        MembershipError::Unsafe { .. } => Status::failure(422, "Invalid", message),
        MembershipError::Busy => Status::failure(409, "Conflict", message),
        MembershipError::Unknown { .. } => Status::timeout(message),
        MembershipError::AlreadyMember { .. } => Status::bad_request(message),
        MembershipError::NoQuorum { .. }
        | MembershipError::NotReady
        | MembershipError::CatchingUp { .. }
        | MembershipError::ShuttingDown => Status::service_unavailable(message).with_retry_after(1),
    }
}
