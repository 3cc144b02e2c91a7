//! Authorization: system:masters, then the nodes' own rules, then RBAC.

mod bootstrap;
mod node;
mod policy;
mod rbac;
mod rules;
#[cfg(test)]
mod tests;

pub(crate) use policy::bootstrap_objects;
pub(crate) use rbac::{Index, PREFIX, RoleRef};
pub(crate) use rules::{PolicyRule, uncovered};

use std::sync::Arc;

use api::Status;

use crate::authn::Identified;
use crate::identity::{MASTERS, User};
use crate::request::{Request, RequestInfo};
use crate::server::Server;

/// What is to be done, in the words of authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attributes<'a> {
    pub verb: &'a str,
    pub target: Target<'a>,
}

/// What it is to be done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    Resource {
        group: &'a str,
        resource: &'a str,
        subresource: &'a str,
        /// Empty for all namespaces and for what has none.
        namespace: &'a str,
        /// Empty for all names.
        name: &'a str,
        /// The raw field selector of a list or watch.
        fields: &'a str,
    },
    Url(&'a str),
}

/// The third stage: a request its user may make. Only [`permit`] makes one.
pub(crate) struct Permitted {
    pub request: Request,
    pub user: User,
    _seal: (),
}

/// Asked before the policy is there, and of no use to anybody who wants to do harm.
const ALWAYS: [&str; 3] = ["/healthz", "/livez", "/readyz"];

/// Lets a request pass, or refuses it with 403.
pub(crate) async fn permit(server: &Arc<Server>, identified: Identified) -> Result<Permitted, Status> {
    let open = {
        let info = identified.info();
        !info.is_resource
            && (ALWAYS.contains(&info.path.as_str()) || info.path.starts_with("/trireme/v1/join/"))
    };
    if !open {
        let request = identified.request();
        let fields = request.query.get("fieldSelector");
        let attributes = attributes_of(&request.info, fields);
        require(server, identified.user(), &attributes).await?;
        if is_session(request) && attributes.verb == "get" {
            // A WebSocket begins with a GET, and is worth as much as the POST it stands for.
            require(server, identified.user(), &Attributes { verb: "create", ..attributes }).await?;
        }
    }
    let (request, user) = identified.into_parts();
    Ok(Permitted { request, user, _seal: () })
}

fn is_session(request: &Request) -> bool {
    request.info.resource == "pods"
        && matches!(request.info.subresource.as_str(), "exec" | "attach" | "portforward")
}

fn attributes_of<'a>(info: &'a RequestInfo, fields: &'a str) -> Attributes<'a> {
    let target = match info.is_resource {
        false => Target::Url(&info.path),
        true => Target::Resource {
            group: &info.group,
            resource: &info.resource,
            subresource: &info.subresource,
            namespace: &info.namespace,
            name: &info.name,
            fields,
        },
    };
    Attributes { verb: info.verb, target }
}

/// The user may do it.
pub(crate) async fn allowed(
    server: &Arc<Server>,
    user: &User,
    attributes: &Attributes<'_>,
) -> Result<bool, Status> {
    if user.is_in(MASTERS) {
        return Ok(true);
    }
    if user.node().is_some() && node::allows(server, user, attributes).await? {
        return Ok(true);
    }
    Ok(server.rbac.read().allows(user, attributes))
}

/// 403 unless the user may do it.
pub(crate) async fn require(
    server: &Arc<Server>,
    user: &User,
    attributes: &Attributes<'_>,
) -> Result<(), Status> {
    match allowed(server, user, attributes).await? {
        true => Ok(()),
        false => Err(forbidden(user, attributes)),
    }
}

fn forbidden(user: &User, attributes: &Attributes<'_>) -> Status {
    let (who, verb) = (&user.name, attributes.verb);
    match &attributes.target {
        Target::Url(path) => {
            Status::forbidden("", "", "", format!("User {who:?} cannot {verb} path {path:?}"))
        }
        Target::Resource { group, resource, subresource, namespace, name, .. } => {
            let full = match *subresource {
                "" => (*resource).to_owned(),
                sub => format!("{resource}/{sub}"),
            };
            let place = match *namespace {
                "" => "at the cluster scope".to_owned(),
                ns => format!("in the namespace {ns:?}"),
            };
            let why = format!("User {who:?} cannot {verb} resource {full:?} in API group {group:?} {place}");
            Status::forbidden(group, resource, name, why)
        }
    }
}
