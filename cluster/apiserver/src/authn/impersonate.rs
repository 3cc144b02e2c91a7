//! Impersonation: `Impersonate-User` and its companions, each permitted on its own.

use std::sync::Arc;

use api::Status;
use percent_encoding::percent_decode_str;

use crate::authz::{self, Attributes, Target};
use crate::identity::{UNAUTHENTICATED, User};
use crate::request::Request;
use crate::server::Server;

const EXTRA: &str = "impersonate-extra-";

/// The user a request wants to be taken for, or the one it is.
pub(super) async fn impersonated(
    server: &Arc<Server>,
    request: &Request,
    user: User,
) -> Result<User, Status> {
    let name = request.header("impersonate-user");
    let asks_more = request.headers.keys().any(|k| k.as_str().starts_with("impersonate-"));
    if name.is_empty() {
        return match asks_more {
            true => Err(Status::bad_request("requested [groups, uid or extra] without impersonating a user")),
            false => Ok(user),
        };
    }
    let mut wanted = User { name: name.to_owned(), ..User::default() };
    for value in request.headers.get_all("impersonate-group") {
        wanted.groups.extend(value.to_str().ok().map(str::to_owned));
    }
    wanted.uid = request.header("impersonate-uid").to_owned();
    for (header, value) in &request.headers {
        let Some(key) = header.as_str().strip_prefix(EXTRA) else { continue };
        let key = percent_decode_str(key).decode_utf8_lossy().into_owned();
        let value = value.to_str().unwrap_or_default().to_owned();
        wanted.extra.entry(key).or_default().push(value);
    }
    check(server, &user, &wanted).await?;
    if let Some((namespace, _)) = wanted.service_account().filter(|_| wanted.groups.is_empty()) {
        let all = format!("system:serviceaccounts:{namespace}");
        wanted.groups.extend(["system:serviceaccounts".to_owned(), all]);
    }
    if wanted.name == "system:anonymous" {
        if wanted.groups.is_empty() {
            wanted.groups.push(UNAUTHENTICATED.to_owned());
        }
        return Ok(wanted);
    }
    Ok(wanted.authenticated())
}

async fn check(server: &Arc<Server>, user: &User, wanted: &User) -> Result<(), Status> {
    const AUTHENTICATION: &str = "authentication.k8s.io";
    match wanted.service_account() {
        Some((namespace, name)) => one(server, user, ("", "serviceaccounts", ""), namespace, name).await?,
        None => one(server, user, ("", "users", ""), "", &wanted.name).await?,
    }
    for group in &wanted.groups {
        one(server, user, ("", "groups", ""), "", group).await?;
    }
    if !wanted.uid.is_empty() {
        one(server, user, (AUTHENTICATION, "uids", ""), "", &wanted.uid).await?;
    }
    for (key, values) in &wanted.extra {
        for value in values {
            one(server, user, (AUTHENTICATION, "userextras", key), "", value).await?;
        }
    }
    Ok(())
}

async fn one(
    server: &Arc<Server>,
    user: &User,
    (group, resource, subresource): (&str, &str, &str),
    namespace: &str,
    name: &str,
) -> Result<(), Status> {
    let target = Target::Resource { group, resource, subresource, namespace, name, fields: "" };
    authz::require(server, user, &Attributes { verb: "impersonate", target }).await
}
