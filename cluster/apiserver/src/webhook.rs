//! Calls to webhooks: a JSON body to an HTTPS URL or to a Service, whose certificate the
//! configuration's `caBundle` vouches for.
//!
//! A Service is reached at one of its ready endpoints: the server needs neither cluster DNS nor the
//! service proxy of a node.

use std::sync::Arc;
use std::time::Duration;

use api::Status;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::agent::service_endpoint;
use crate::server::Server;

/// A webhook must answer with less than this.
const LARGEST_ANSWER: usize = 16 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("{0}")]
    Unresolved(Status),
    #[error("invalid webhook configuration: {0}")]
    Config(String),
    #[error("Post {url:?}: {why}")]
    Failed { url: String, why: String },
    #[error("Post {url:?}: context deadline exceeded")]
    TooLate { url: String },
    #[error("the server answered with status {code}: {text}")]
    Refused { code: u16, text: String },
}

/// Where a `clientConfig` leads.
struct Target {
    /// As errors name it.
    url: String,
    host: String,
    port: u16,
    /// Whom the certificate must be for.
    name: String,
    path: String,
}

/// Sends `body` and reads the JSON answer, all within `limit`.
pub(crate) async fn call(
    server: &Arc<Server>,
    config: &Value,
    body: &Value,
    limit: Duration,
) -> Result<Value, CallError> {
    let target = resolve(server, config).await?;
    let tls = tls(config)?;
    let url = target.url.clone();
    match tokio::time::timeout(limit, exchange(&target, tls, body)).await {
        Ok(answer) => answer,
        Err(_) => Err(CallError::TooLate { url }),
    }
}

async fn resolve(server: &Arc<Server>, config: &Value) -> Result<Target, CallError> {
    if let Some(url) = config["url"].as_str() {
        return by_url(url);
    }
    let service = &config["service"];
    let text = |field: &str| service[field].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    let port = service["port"].as_u64().unwrap_or(443);
    let view = server.local_view().await.map_err(CallError::Unresolved)?;
    let found = service_endpoint(&view, namespace, name, &port.to_string());
    let (host, to) = found.map_err(CallError::Unresolved)?;
    let path = format!("/{}", text("path").trim_start_matches('/'));
    let dns = format!("{name}.{namespace}.svc");
    Ok(Target {
        url: format!("https://{dns}:{port}{path}?timeout=30s"),
        host: host.to_string(),
        port: to,
        name: dns,
        path,
    })
}

fn by_url(url: &str) -> Result<Target, CallError> {
    let bad = |why: &str| CallError::Config(format!("{url:?}: {why}"));
    let uri: Uri = url.parse().map_err(|_| bad("not a URL"))?;
    if uri.scheme_str() != Some("https") {
        return Err(bad("only https is allowed"));
    }
    let host = uri.host().ok_or_else(|| bad("no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let path = uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
    let port = uri.port_u16().unwrap_or(443);
    Ok(Target { url: url.to_owned(), name: host.clone(), host, port, path })
}

/// Trusts the bundle, or what the public trusts when there is none.
fn tls(config: &Value) -> Result<TlsConnector, CallError> {
    let mut roots = RootCertStore::empty();
    match config["caBundle"].as_str().unwrap_or_default() {
        "" => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        bundle => {
            let invalid = |why: String| CallError::Config(format!("caBundle: {why}"));
            let pem = STANDARD.decode(bundle).map_err(|e| invalid(e.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|e| invalid(e.to_string()))?;
                roots.add(certificate).map_err(|e| invalid(e.to_string()))?;
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| CallError::Config(e.to_string()))?;
    Ok(TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
}

async fn exchange(target: &Target, tls: TlsConnector, body: &Value) -> Result<Value, CallError> {
    let failed = |why: String| CallError::Failed { url: target.url.clone(), why };
    let tcp = TcpStream::connect((target.host.as_str(), target.port)).await;
    let tcp = tcp.map_err(|e| failed(e.to_string()))?;
    let name = ServerName::try_from(target.name.clone()).map_err(|e| failed(e.to_string()))?;
    let stream = tls.connect(name, tcp).await.map_err(|e| failed(e.to_string()))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|e| failed(e.to_string()))?;
    // Ends with the exchange: the sender is dropped then.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to a webhook");
        }
    });
    let request = Request::builder()
        .method(Method::POST)
        .uri(&target.path)
        .header(HOST, format!("{}:{}", target.name, target.port))
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .map_err(|e| failed(e.to_string()))?;
    let answer = sender.send_request(request).await.map_err(|e| failed(e.to_string()))?;
    let code = answer.status();
    let bytes = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await;
    let bytes = bytes.map_err(|e| failed(e.to_string()))?.to_bytes();
    if !code.is_success() {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).into_owned();
        return Err(CallError::Refused { code: code.as_u16(), text });
    }
    serde_json::from_slice(&bytes).map_err(|e| failed(format!("the answer is no JSON: {e}")))
}
