//! Authentication: client certificates, service-account tokens, bootstrap tokens, else anonymous;
//! then impersonation.

mod bootstrap;
mod certificate;
mod impersonate;
mod service_account;

pub(crate) use certificate::user_of_certificate;
pub(crate) use service_account::{Authenticated, TokenCache, issuer, verify_service_account};

use std::sync::Arc;

use api::Status;

use crate::identity::User;
use crate::request::{Request, RequestInfo};
use crate::server::Server;

/// The second stage: a request of a known user. Only [`identify`] makes one.
pub(crate) struct Identified {
    request: Request,
    user: User,
}

impl Identified {
    pub(crate) fn info(&self) -> &RequestInfo {
        &self.request.info
    }

    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    pub(crate) fn user(&self) -> &User {
        &self.user
    }

    pub(crate) fn into_parts(self) -> (Request, User) {
        (self.request, self.user)
    }
}

/// Finds out who sent a request; 401 when credentials are shown and wrong.
pub(crate) async fn identify(server: &Arc<Server>, request: Request) -> Result<Identified, Status> {
    let user = match &request.peer.user {
        Some(user) => user.clone().authenticated(),
        None => match bearer(&request) {
            Some(token) => user_of_token(server, token, &[]).await?.user.authenticated(),
            None => User::anonymous(),
        },
    };
    let user = impersonate::impersonated(server, &request, user).await?;
    Ok(Identified { request, user })
}

fn bearer(request: &Request) -> Option<&str> {
    let value = request.headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    Some(token.trim()).filter(|t| scheme.eq_ignore_ascii_case("bearer") && !t.is_empty())
}

/// The user a bearer token stands for, when it is meant for one of `audiences` (empty: for us).
pub(crate) async fn user_of_token(
    server: &Arc<Server>,
    token: &str,
    audiences: &[String],
) -> Result<Authenticated, Status> {
    // A token issued by another replica a moment ago may be of objects that are not here yet.
    let local = server.local_view().await?;
    if let Some(found) = token_in(server, &local, token, audiences)? {
        return Ok(found);
    }
    let fresh = server.fresh_view().await?;
    token_in(server, &fresh, token, audiences)?.ok_or_else(Status::unauthorized)
}

/// None: an object that the token depends on is not in the view.
fn token_in(
    server: &Server,
    view: &store::View,
    token: &str,
    audiences: &[String],
) -> Result<Option<Authenticated>, Status> {
    match token.bytes().filter(|b| *b == b'.').count() {
        2 => verify_service_account(server, view, token, audiences),
        1 => Ok(bootstrap::user_of(view, token)
            .filter(|_| audiences.is_empty())
            .map(|user| Authenticated { user, audiences: Vec::new() })),
        _ => Err(Status::unauthorized()),
    }
}
