//! One table of what is answered by whom.

use std::sync::Arc;

use api::Status;

use crate::authz::Permitted;
use crate::call::Call;
use crate::reply::{self, Reply};
use crate::server::Server;
use crate::{agent, join, meta, operate, sub, verbs};

/// Paths that are no resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plain {
    Root,
    Health,
    Metrics,
    Version,
    CoreVersions,
    Groups,
    Group,
    Resources,
    OpenapiV2,
    OpenapiV3Index,
    OpenapiV3,
    TokenIssuer,
    TokenKeys,
    JoinServer,
    JoinNode,
    Members,
    Member,
    PromoteMember,
    LeadMember,
    Snapshot,
}

/// Method (`*`: any) and path; a segment `*` stands for one segment, a last `**` for any rest.
const PLAIN: &[(&str, &str, Plain)] = &[
    ("get", "/", Plain::Root),
    ("get", "/healthz/**", Plain::Health),
    ("get", "/livez/**", Plain::Health),
    ("get", "/readyz/**", Plain::Health),
    ("get", "/metrics", Plain::Metrics),
    ("get", "/version", Plain::Version),
    ("get", "/api", Plain::CoreVersions),
    ("get", "/apis", Plain::Groups),
    ("get", "/api/*", Plain::Resources),
    ("get", "/apis/*", Plain::Group),
    ("get", "/apis/*/*", Plain::Resources),
    ("get", "/openapi/v2", Plain::OpenapiV2),
    ("get", "/openapi/v3", Plain::OpenapiV3Index),
    ("get", "/openapi/v3/**", Plain::OpenapiV3),
    ("get", "/.well-known/openid-configuration", Plain::TokenIssuer),
    ("get", "/openid/v1/jwks", Plain::TokenKeys),
    ("post", "/trireme/v1/join/server", Plain::JoinServer),
    ("post", "/trireme/v1/join/node", Plain::JoinNode),
    ("*", "/trireme/v1/members", Plain::Members),
    ("delete", "/trireme/v1/members/*", Plain::Member),
    ("post", "/trireme/v1/members/*/promote", Plain::PromoteMember),
    ("post", "/trireme/v1/members/*/lead", Plain::LeadMember),
    ("get", "/trireme/v1/snapshot", Plain::Snapshot),
];

/// What answers a subresource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sub {
    /// A part of the object, written like the object.
    Part,
    Scale,
    Binding,
    Eviction,
    Token,
    /// The agent of the pod's node.
    Log,
    Session,
    /// A pod, a service or a node behind the server.
    Proxy,
}

/// Resource (`*`: any), subresource.
const SUBRESOURCES: &[(&str, &str, Sub)] = &[
    ("*", "status", Sub::Part),
    ("*", "scale", Sub::Scale),
    ("*", "proxy", Sub::Proxy),
    ("namespaces", "finalize", Sub::Part),
    ("certificatesigningrequests", "approval", Sub::Part),
    ("pods", "ephemeralcontainers", Sub::Part),
    ("pods", "resize", Sub::Part),
    ("pods", "binding", Sub::Binding),
    ("pods", "eviction", Sub::Eviction),
    ("pods", "log", Sub::Log),
    ("pods", "exec", Sub::Session),
    ("pods", "attach", Sub::Session),
    ("pods", "portforward", Sub::Session),
    ("serviceaccounts", "token", Sub::Token),
];

/// Answers a permitted request.
pub(crate) async fn dispatch(server: &Arc<Server>, permitted: Permitted) -> Result<Reply, Status> {
    if permitted.request.info.is_resource {
        let call = Call::new(server, permitted).await?;
        let mut reply = resource(&call).await?;
        if let Some(warning) = call.resource.deprecation() {
            reply::warn(&mut reply, &[warning]);
        }
        return Ok(reply);
    }
    plain(server, permitted).await
}

fn path_matches(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/').filter(|s| !s.is_empty());
    for expected in pattern.split('/').filter(|s| !s.is_empty()) {
        match (expected, segments.next()) {
            ("**", _) => return true,
            ("*", Some(_)) => {}
            (word, Some(segment)) if word == segment => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

/// What answers a path and a method that are no resource.
fn find_plain(path: &str, verb: &str) -> Result<Plain, Status> {
    // A HEAD is a GET whose body is not sent.
    let verb = if verb == "head" { "get" } else { verb };
    let known: Vec<_> = PLAIN.iter().filter(|(_, pattern, _)| path_matches(pattern, path)).collect();
    if known.is_empty() {
        return Err(Status::no_such_path());
    }
    let found = known.iter().find(|(method, ..)| matches!(*method, "*") || *method == verb);
    found.map(|(.., route)| *route).ok_or_else(|| Status::method_not_allowed("", "", ""))
}

fn find_subresource(resource: &str, name: &str) -> Result<Sub, Status> {
    SUBRESOURCES
        .iter()
        .find(|(of, sub, _)| *sub == name && (*of == "*" || *of == resource))
        .map(|(.., handler)| *handler)
        .ok_or_else(Status::no_such_path)
}

async fn plain(server: &Arc<Server>, permitted: Permitted) -> Result<Reply, Status> {
    let route = find_plain(&permitted.request.info.path, permitted.request.info.verb)?;
    let request = &permitted.request;
    match route {
        Plain::Root => meta::root(request),
        Plain::Health => meta::health(server, request).await,
        Plain::Metrics => meta::metrics(server).await,
        Plain::Version => meta::version(request),
        Plain::CoreVersions => meta::core_versions(server, request),
        Plain::Groups => meta::groups(server, request),
        Plain::Group => meta::group(server, request).await,
        Plain::Resources => meta::resources(server, request).await,
        Plain::OpenapiV2 => meta::openapi_v2(server, request),
        Plain::OpenapiV3Index => meta::openapi_v3_index(server, request),
        Plain::OpenapiV3 => meta::openapi_v3(server, request).await,
        Plain::TokenIssuer => meta::token_issuer(server),
        Plain::TokenKeys => meta::token_keys(server),
        Plain::JoinServer => join::server(server, &permitted),
        Plain::JoinNode => join::node(server, &permitted).await,
        Plain::Members => operate::members(server, &permitted).await,
        Plain::Member => operate::remove(server, &permitted).await,
        Plain::PromoteMember => operate::promote(server, &permitted).await,
        Plain::LeadMember => operate::lead(server, &permitted).await,
        Plain::Snapshot => operate::snapshot(server, &permitted).await,
    }
}

async fn resource(call: &Call) -> Result<Reply, Status> {
    let info = &call.request.info;
    if !info.subresource.is_empty() {
        return subresource(call).await;
    }
    let not_allowed = || Status::method_not_allowed(&call.resource.group, &call.resource.plural, "");
    if !call.resource.allows(info.verb) || (info.verb == "create" && !info.name.is_empty()) {
        return Err(not_allowed());
    }
    if !call.resource.is_stored() {
        return sub::virtual_resource(call).await;
    }
    match info.verb {
        "get" => verbs::get(call).await,
        "list" => verbs::list(call).await,
        "watch" => verbs::watch(call).await,
        "create" => verbs::create(call).await,
        "update" if !info.name.is_empty() => verbs::update(call, None).await,
        "patch" if !info.name.is_empty() => verbs::patch(call, None).await,
        "delete" => verbs::delete(call).await,
        "deletecollection" => verbs::delete_collection(call).await,
        _ => Err(not_allowed()),
    }
}

async fn subresource(call: &Call) -> Result<Reply, Status> {
    let info = &call.request.info;
    let name = info.subresource.as_str();
    let known = call.resource.subresource(name).ok_or_else(Status::no_such_path)?;
    if !known.verbs.iter().any(|v| v == info.verb) {
        return Err(Status::method_not_allowed(&call.resource.group, &call.resource.plural, ""));
    }
    let handler = find_subresource(&info.resource, name)?;
    match (handler, info.verb) {
        (Sub::Part, "get") => verbs::get(call).await,
        (Sub::Part, "update") => verbs::update(call, Some(name)).await,
        (Sub::Part, _) => verbs::patch(call, Some(name)).await,
        (Sub::Scale, _) => verbs::scale(call).await,
        (Sub::Binding, _) => sub::bind_pod(call).await,
        (Sub::Eviction, _) => sub::evict(call).await,
        (Sub::Token, _) => sub::request_token(call).await,
        (Sub::Log, _) => agent::log(call).await,
        (Sub::Session, _) => agent::session(call).await,
        (Sub::Proxy, _) => agent::proxy(call).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let table = [
            ("/healthz/**", "/healthz", true),
            ("/readyz/**", "/readyz/ping", true),
            ("/api/*", "/api/v1", true),
            ("/api/*", "/api", false),
            ("/apis/*/*", "/apis/apps/v1/", true),
            ("/", "/", true),
            ("/", "/x", false),
            ("/openapi/v3/**", "/openapi/v3/apis/apps/v1", true),
        ];
        for (pattern, path, expected) in table {
            assert_eq!(path_matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}
