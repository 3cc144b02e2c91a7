//! What the server says about itself: discovery, OpenAPI, version, health, metrics, token keys.

mod discovery;
mod health;

pub(crate) use discovery::{
    core_versions, group, groups, openapi_v2, openapi_v3, openapi_v3_index, resources,
};
pub(crate) use health::health;

use std::sync::Arc;

use api::Status;
use http::StatusCode;
use serde_json::json;

use crate::authn::issuer;
use crate::reply::{self, Reply};
use crate::request::{Negotiated, Request};
use crate::server::Server;

/// `/`: the paths there are.
pub(crate) fn root(request: &Request) -> Result<Reply, Status> {
    let paths = [
        "/api",
        "/api/v1",
        "/apis",
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/readyz",
        "/version",
    ];
    Ok(reply::value(StatusCode::OK, Negotiated::JSON, &json!({"paths": paths}), request.pretty()))
}

/// `/version`.
pub(crate) fn version(request: &Request) -> Result<Reply, Status> {
    let version = json!({
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": "v1.36.2+trireme",
        "gitCommit": option_env!("TRIREME_COMMIT").unwrap_or_default(),
        "gitTreeState": "clean",
        "buildDate": option_env!("TRIREME_BUILD_DATE").unwrap_or("1970-01-01T00:00:00Z"),
        "goVersion": "none (rust)",
        "compiler": "rustc",
        "platform": format!("linux/{}", match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }),
    });
    Ok(reply::value(StatusCode::OK, Negotiated::JSON, &version, request.pretty()))
}

/// `/metrics`.
pub(crate) async fn metrics(server: &Arc<Server>) -> Result<Reply, Status> {
    let view = server.local_view().await?;
    let serving = server.serving.get();
    let stored = serving.registry.iter().filter(|r| r.is_stored());
    let mut counts: Vec<(String, usize)> =
        stored.map(|r| (api::status::qualified(&r.plural, &r.group), view.count(&r.key_prefix()))).collect();
    counts.dedup();
    let text = server
        .metrics
        .render(server.limits.current(), counts.into_iter())
        .map_err(|e| Status::internal(format!("metrics: {e}")))?;
    Ok(reply::bytes(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text))
}

/// `/.well-known/openid-configuration`: where the keys of the service-account tokens are.
pub(crate) fn token_issuer(server: &Arc<Server>) -> Result<Reply, Status> {
    let issuer = issuer(&server.cfg);
    let document = json!({
        "issuer": issuer,
        "jwks_uri": format!("https://{}/openid/v1/jwks", server.cfg.advertise),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    });
    Ok(reply::value(StatusCode::OK, Negotiated::JSON, &document, false))
}

/// `/openid/v1/jwks`.
pub(crate) fn token_keys(server: &Arc<Server>) -> Result<Reply, Status> {
    let keys = server.cfg.pki.signer().key_set().to_string();
    Ok(reply::bytes(StatusCode::OK, "application/jwk-set+json", keys))
}
