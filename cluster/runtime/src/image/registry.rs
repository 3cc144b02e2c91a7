//! Speaking to a registry over HTTP: the pull half of the OCI distribution protocol.
//!
//! Not `oci-client`, which aborts on machines without certificates of their own, hides why a token was
//! refused, and reads manifests of any size.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use crate::spec::{RegistryAuth, RegistryConfig};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Longest silence in the middle of an answer.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// Largest token or error document read.
const MAX_DOCUMENT: usize = 1 << 20;
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How a registry refuses or fails.
#[derive(Debug)]
pub enum Refusal {
    /// No such repository, tag or blob.
    NotFound,
    /// Credentials are missing or wrong.
    Unauthorized(String),
    /// No answer.
    Unreachable(String),
    /// Another error, in its words.
    Other(String),
}

/// HTTP clients and tokens for all registries.
pub struct Registries {
    cfg: RegistryConfig,
    client: Mutex<Option<reqwest::Client>>,
    tokens: Mutex<HashMap<String, String>>,
}

/// One repository on one host.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Host with optional port.
    pub host: String,
    /// Repository.
    pub repository: String,
    /// Credential, if any.
    pub auth: Option<RegistryAuth>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// With the causes: the outermost error only says that something failed.
fn unreachable(error: reqwest::Error) -> Refusal {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(e) = cause {
        let words = e.to_string();
        if !text.ends_with(&words) {
            text = if text.is_empty() { words } else { format!("{text}: {words}") };
        }
        cause = e.source();
    }
    Refusal::Unreachable(text)
}

impl Registries {
    /// Clients are made at first use.
    pub fn new(cfg: RegistryConfig) -> Registries {
        Registries { cfg, client: Mutex::default(), tokens: Mutex::default() }
    }

    /// Hosts to ask for an image of `registry`, in order: its mirrors, then itself.
    pub fn hosts(&self, registry: &str) -> Vec<String> {
        let mut hosts = self.cfg.mirrors.get(registry).cloned().unwrap_or_default();
        hosts.push(match registry {
            "docker.io" => "registry-1.docker.io".to_owned(),
            other => other.to_owned(),
        });
        hosts
    }

    fn scheme(&self, host: &str) -> &'static str {
        let name = host.split(':').next().unwrap_or(host);
        let local = name == "localhost" || name == "127.0.0.1" || host.starts_with("[::1]");
        if local || self.cfg.insecure_http.iter().any(|h| h == host || h == name) { "http" } else { "https" }
    }

    fn client(&self) -> Result<reqwest::Client, Refusal> {
        let mut slot = self.client.lock();
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        let client = build_client(&self.cfg).map_err(|e| Refusal::Other(format!("HTTP client: {e}")))?;
        *slot = Some(client.clone());
        Ok(client)
    }

    /// Reads a manifest: its media type and bytes.
    pub async fn manifest(
        &self,
        endpoint: &Endpoint,
        reference: &str,
        accepted: &[&str],
        limit: u64,
    ) -> Result<Vec<u8>, Refusal> {
        let path = format!("manifests/{reference}");
        let response = self.get(endpoint, &path, &accepted.join(", ")).await?;
        read_limited(response, limit as usize).await
    }

    /// Opens a blob.
    pub async fn blob(&self, endpoint: &Endpoint, digest: &str) -> Result<Response, Refusal> {
        self.get(endpoint, &format!("blobs/{digest}"), "*/*").await
    }

    async fn get(&self, endpoint: &Endpoint, path: &str, accept: &str) -> Result<Response, Refusal> {
        let host = &endpoint.host;
        let url = format!("{}://{host}/v2/{}/{path}", self.scheme(host), endpoint.repository);
        let key = format!("{host}/{} {:?}", endpoint.repository, endpoint.auth.as_ref().map(|a| &a.username));
        let known = self.tokens.lock().get(&key).cloned();
        let response = self.send(&url, accept, known.as_deref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return accepted(response).await;
        }
        let authorization = self.authorize(endpoint, response.headers()).await?;
        self.tokens.lock().insert(key, authorization.clone());
        accepted(self.send(&url, accept, Some(&authorization)).await?).await
    }

    async fn send(&self, url: &str, accept: &str, authorization: Option<&str>) -> Result<Response, Refusal> {
        let mut request = self.client()?.get(url).header(ACCEPT, accept);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        request.send().await.map_err(unreachable)
    }

    /// Answers a challenge; returns the value of the `Authorization` header.
    async fn authorize(&self, endpoint: &Endpoint, headers: &HeaderMap) -> Result<String, Refusal> {
        let challenges = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|v| v.to_str().ok());
        let challenges: Vec<Challenge> = challenges.filter_map(Challenge::parse).collect();
        let auth = endpoint.auth.as_ref();
        if let Some(token) = auth.and_then(|a| a.token.as_ref()) {
            return Ok(format!("Bearer {token}"));
        }
        let basic = auth.filter(|a| !a.username.is_empty()).map(|a| basic(&a.username, &a.password));
        if let Some(bearer) = challenges.iter().find(|c| c.scheme == "bearer") {
            return self.fetch_token(endpoint, bearer, basic).await;
        }
        match (challenges.iter().any(|c| c.scheme == "basic"), basic) {
            (true, Some(basic)) => Ok(basic),
            (true, None) => Err(Refusal::Unauthorized("no basic auth credentials".into())),
            (false, _) => Err(Refusal::Unauthorized("401 Unauthorized".into())),
        }
    }

    async fn fetch_token(
        &self,
        endpoint: &Endpoint,
        challenge: &Challenge,
        basic: Option<String>,
    ) -> Result<String, Refusal> {
        let realm =
            challenge.get("realm").ok_or_else(|| Refusal::Unauthorized("challenge without realm".into()))?;
        let scope = format!("repository:{}:pull", endpoint.repository);
        let scope = challenge.get("scope").unwrap_or(&scope);
        let mut url = reqwest::Url::parse(realm).map_err(|e| Refusal::Other(format!("token realm: {e}")))?;
        if url.scheme() != "https" && self.scheme(&endpoint.host) == "https" {
            return Err(Refusal::Other("the registry wants credentials sent in the clear".into()));
        }
        url.query_pairs_mut().append_pair("scope", scope);
        if let Some(service) = challenge.get("service") {
            url.query_pairs_mut().append_pair("service", service);
        }
        let response = self.send(url.as_str(), "application/json", basic.as_deref()).await?;
        let status = response.status();
        let body = read_limited(response, MAX_DOCUMENT).await?;
        if !status.is_success() {
            return Err(Refusal::Unauthorized(format!("token service answered {status}: {}", words(&body))));
        }
        let token: Token =
            serde_json::from_slice(&body).map_err(|e| Refusal::Other(format!("token service: {e}")))?;
        let token = token.token.or(token.access_token);
        token
            .map(|t| format!("Bearer {t}"))
            .ok_or_else(|| Refusal::Other("token service sent no token".into()))
    }
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

async fn accepted(response: Response) -> Result<Response, Refusal> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = read_limited(response, MAX_DOCUMENT).await.unwrap_or_default();
    let text = format!("{status}: {}", words(&body));
    Err(match status {
        StatusCode::NOT_FOUND => Refusal::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Refusal::Unauthorized(text),
        _ => Refusal::Other(text),
    })
}

/// The messages of an error document, or the beginning of whatever it is.
fn words(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let errors = json.as_ref().and_then(|v| v["errors"].as_array());
    let messages: Vec<&str> = errors.into_iter().flatten().filter_map(|e| e["message"].as_str()).collect();
    if messages.is_empty() {
        String::from_utf8_lossy(&body[..body.len().min(200)]).trim().to_owned()
    } else {
        messages.join(", ")
    }
}

async fn read_limited(mut response: Response, limit: usize) -> Result<Vec<u8>, Refusal> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > limit {
            return Err(Refusal::Other(format!("the answer is larger than {limit} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A `WWW-Authenticate` header: `Bearer realm="...",service="..."`.
struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    fn parse(header: &str) -> Option<Challenge> {
        let (scheme, mut rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        let mut parameters = Vec::new();
        while let Some((key, after)) = rest.split_once('=') {
            let key = key.trim_matches([' ', ',']).to_ascii_lowercase();
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(',').unwrap_or((after, "")),
            };
            parameters.push((key, value.to_owned()));
            rest = after;
        }
        Some(Challenge { scheme: scheme.to_ascii_lowercase(), parameters })
    }

    fn get(&self, key: &str) -> Option<&String> {
        self.parameters.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }
}

fn build_client(cfg: &RegistryConfig) -> Result<reqwest::Client, reqwest::Error> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_LIMIT)
        .read_timeout(READ_LIMIT)
        .user_agent(concat!("trireme/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls());
    if let Some(proxy) = &cfg.proxy {
        let exempt = reqwest::NoProxy::from_string(&cfg.no_proxy.join(","));
        builder = builder.no_proxy().proxy(reqwest::Proxy::all(proxy)?.no_proxy(exempt));
    }
    builder.build()
}

/// The machine's certificates, or the usual ones where it has none.
fn tls() -> rustls::ClientConfig {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    if let Ok(certificates) = CertificateDer::pem_file_iter(SYSTEM_ROOTS) {
        roots.add_parsable_certificates(certificates.flatten());
    }
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    match builder.with_safe_default_protocol_versions() {
        Ok(builder) => builder.with_root_certificates(roots).with_no_client_auth(),
        Err(e) => unreachable!("the provider has the default versions: {e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let header =
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a:b,c""#;
        let challenge = Challenge::parse(header).expect("parse");
        assert_eq!(challenge.scheme, "bearer");
        assert_eq!(challenge.get("realm").map(String::as_str), Some("https://auth.docker.io/token"));
        assert_eq!(challenge.get("service").map(String::as_str), Some("registry.docker.io"));
        assert_eq!(challenge.get("scope").map(String::as_str), Some("a:b,c"));
        assert_eq!(
            Challenge::parse("Basic realm=x").expect("parse").get("realm").map(String::as_str),
            Some("x")
        );
    }

    #[test]
    fn schemes_and_hosts() {
        let cfg = RegistryConfig {
            insecure_http: vec!["reg.lan:5000".into()],
            mirrors: [("docker.io".to_owned(), vec!["mirror.lan".to_owned()])].into(),
            ..RegistryConfig::default()
        };
        let registries = Registries::new(cfg);
        assert_eq!(registries.hosts("docker.io"), ["mirror.lan", "registry-1.docker.io"]);
        for (host, scheme) in [
            ("reg.lan:5000", "http"),
            ("127.0.0.1:5000", "http"),
            ("localhost", "http"),
            ("quay.io", "https"),
        ] {
            assert_eq!(registries.scheme(host), scheme, "{host}");
        }
        assert!(registries.client().is_ok(), "also where the machine has no certificates");
    }
}
