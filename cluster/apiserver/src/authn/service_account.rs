//! Service-account tokens: ES256 JWTs, bound to objects that must still exist.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use api::Status;
use lru::LruCache;
use parking_lot::Mutex;
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::View;

use crate::config::Config;
use crate::identity::User;
use crate::server::Server;

/// Tokens whose signature was checked, by hash: the check costs more than all else of a small
/// request. Whether the objects still exist is looked up each time.
pub(crate) struct TokenCache(Mutex<LruCache<[u8; 32], std::sync::Arc<Value>>>);

const CACHED_TOKENS: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

impl Default for TokenCache {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(CACHED_TOKENS)))
    }
}

/// A user, and the audiences of the token it showed that were asked for.
#[derive(Debug)]
pub(crate) struct Authenticated {
    pub user: User,
    pub audiences: Vec<String>,
}

/// Who issues the tokens, and their default audience.
pub(crate) fn issuer(cfg: &Config) -> String {
    format!("https://kubernetes.default.svc.{}", cfg.cluster_domain)
}

/// Checks a token. `Ok(None)`: an object it is bound to is not in the view.
pub(crate) fn verify_service_account(
    server: &Server,
    view: &View,
    token: &str,
    audiences: &[String],
) -> Result<Option<Authenticated>, Status> {
    let claims = signed_claims(server, token)?;
    let issuer = issuer(&server.cfg);
    check_times(&claims, &issuer)?;
    let ours = [issuer];
    let wanted = if audiences.is_empty() { &ours[..] } else { audiences };
    let meant: Vec<String> = match &claims["aud"] {
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(one) => vec![one.clone()],
        _ => Vec::new(),
    };
    let audiences: Vec<String> = wanted.iter().filter(|w| meant.contains(w)).cloned().collect();
    if audiences.is_empty() {
        return Err(Status::unauthorized());
    }
    Ok(live_user(view, &claims["kubernetes.io"], claims["jti"].as_str())
        .map(|user| Authenticated { user, audiences }))
}

fn signed_claims(server: &Server, token: &str) -> Result<std::sync::Arc<Value>, Status> {
    let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    if let Some(known) = server.tokens.0.lock().get(&hash) {
        return Ok(known.clone());
    }
    let claims = server.cfg.pki.signer().verify(token).map_err(|problem| {
        tracing::debug!(%problem, "bearer token");
        Status::unauthorized()
    })?;
    let claims = std::sync::Arc::new(claims);
    server.tokens.0.lock().put(hash, claims.clone());
    Ok(claims)
}

fn check_times(claims: &Value, issuer: &str) -> Result<(), Status> {
    let now = jiff::Timestamp::now().as_second();
    let begun = claims["nbf"].as_i64().is_none_or(|t| t <= now + 60);
    let not_over = claims["exp"].as_i64().is_some_and(|t| t > now);
    match begun && not_over && claims["iss"] == issuer {
        true => Ok(()),
        false => Err(Status::unauthorized()),
    }
}

/// The user, when all that the token is bound to still exists.
fn live_user(view: &View, bound: &Value, id: Option<&str>) -> Option<User> {
    let namespace = bound["namespace"].as_str()?;
    let account = &bound["serviceaccount"];
    let (name, uid) = (account["name"].as_str()?, account["uid"].as_str()?);
    if !lives(view, &format!("/core/serviceaccounts/{namespace}/{name}"), uid) {
        return None;
    }
    let mut extra = BTreeMap::new();
    let mut add = |key: &str, value: &str| {
        extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
    };
    for (kind, prefix, must_live) in [
        ("pod", format!("/core/pods/{namespace}/"), true),
        ("secret", format!("/core/secrets/{namespace}/"), true),
        ("node", "/core/nodes/".to_owned(), bound["pod"].is_null()),
    ] {
        let (Some(name), Some(uid)) = (bound[kind]["name"].as_str(), bound[kind]["uid"].as_str()) else {
            continue;
        };
        if must_live && !lives(view, &format!("{prefix}{name}"), uid) {
            return None;
        }
        if kind != "secret" {
            add(&format!("{kind}-name"), name);
            add(&format!("{kind}-uid"), uid);
        }
    }
    if let Some(id) = id {
        add("credential-id", &format!("JTI={id}"));
    }
    let all_in_namespace = format!("system:serviceaccounts:{namespace}");
    let user = User::new(
        &format!("system:serviceaccount:{namespace}:{name}"),
        &["system:serviceaccounts", &all_in_namespace],
    );
    Some(User { uid: uid.to_owned(), extra, ..user })
}

/// The object exists with this uid. A pod that is terminating keeps its token until it is gone.
fn lives(view: &View, key: &str, uid: &str) -> bool {
    let Some(object) = view.get(key) else { return false };
    serde_json::from_slice::<Value>(&object.value).is_ok_and(|v| v["metadata"]["uid"] == uid)
}
