//! The servers' half of joining.

use std::net::IpAddr;
use std::sync::Arc;

use api::Status;
use http::StatusCode;

use crate::authz::Permitted;
use crate::bootstrap::serving_names;
use crate::identity::{MASTERS, User};
use crate::pki::{CsrProblem, JoinRole, NodeJoinRequest, NodeJoinResponse};
use crate::reply::{self, Reply};
use crate::server::Server;

fn require_role(user: &User, role: JoinRole) -> Result<(), Status> {
    match user.is_in(role.group()) || user.is_in(MASTERS) {
        true => Ok(()),
        false => Err(Status::forbidden(
            "",
            "",
            "",
            format!(
                "{:?} is no token that lets join as this: the group {:?} is needed",
                user.name,
                role.group()
            ),
        )),
    }
}

/// The cluster's keys, for a server that joins.
pub(crate) fn server(server: &Arc<Server>, permitted: &Permitted) -> Result<Reply, Status> {
    require_role(&permitted.user, JoinRole::Server)?;
    let files = serde_json::to_string(server.cfg.pki.files()).map_err(|e| Status::internal(e.to_string()))?;
    tracing::info!(user = permitted.user.name, "a server joins");
    Ok(reply::bytes(StatusCode::OK, "application/json", files))
}

/// Certificates for a node that joins. A server token is good for this, too.
pub(crate) async fn node(server: &Arc<Server>, permitted: &Permitted) -> Result<Reply, Status> {
    if require_role(&permitted.user, JoinRole::Server).is_err() {
        require_role(&permitted.user, JoinRole::Node)?;
    }
    let body = permitted.request.body.read().await?;
    let request: NodeJoinRequest =
        serde_json::from_slice(&body).map_err(|e| Status::bad_request(format!("join request: {e}")))?;
    check_names(server, &request)?;
    let user = format!("system:node:{}", request.node_name);
    let pki = &server.cfg.pki;
    let mut names = vec![request.node_name.clone()];
    names.extend(request.addresses.iter().map(IpAddr::to_string));
    let refused = |problem: CsrProblem| match problem {
        CsrProblem::Unusable(_) | CsrProblem::NotAllowed(_) => Status::bad_request(problem.to_string()),
        CsrProblem::Pki(error) => Status::internal(error.to_string()),
    };
    let response = NodeJoinResponse {
        ca: pki.ca_pem().to_owned(),
        client_certificate: pki
            .sign_request(&request.client_request, &user, &["system:nodes"], None)
            .map_err(refused)?,
        serving_certificate: pki
            .sign_request(&request.serving_request, &user, &[], Some(&names))
            .map_err(refused)?,
    };
    tracing::info!(node = request.node_name, "a node joins");
    let text = serde_json::to_string(&response).map_err(|e| Status::internal(e.to_string()))?;
    Ok(reply::bytes(StatusCode::OK, "application/json", text))
}

/// A node gets no certificate with which it could pose as a server.
fn check_names(server: &Server, request: &NodeJoinRequest) -> Result<(), Status> {
    let name = &request.node_name;
    let label = |l: &str| {
        !l.is_empty()
            && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err(Status::bad_request(format!(
            "{name:?} is no node name: a DNS name in lower case is needed"
        )));
    }
    let reserved =
        name == "localhost" || name.split('.').any(|l| l == "svc") || name.starts_with("kubernetes.");
    let ours = serving_names(&server.cfg);
    if reserved || name == "kubernetes" || (ours.contains(name) && *name != server.cfg.name) {
        return Err(Status::bad_request(format!("the node name {name:?} is reserved")));
    }
    let strange = |a: &&IpAddr| {
        a.is_loopback()
            || a.is_unspecified()
            || a.is_multicast()
            || matches!(a, IpAddr::V4(v4) if server.cfg.service_cidr.contains(v4))
    };
    match request.addresses.iter().find(strange) {
        Some(address) => Err(Status::bad_request(format!("{address} can not be a node's address"))),
        None => Ok(()),
    }
}
