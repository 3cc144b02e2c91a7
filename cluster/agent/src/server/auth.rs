//! Who may use the agent's server: clients with a certificate of the cluster's CA, and bearers of tokens that the API
//! knows. Administrators and the API server may do all; others what the API says (`nodes/log`, `nodes/proxy`, ...).

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, header::AUTHORIZATION};
use hyper::body::Incoming;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::answer::{Body, Query, text};
use crate::config::{AgentError, ServingIdentity};

const ADMIN_GROUPS: [&str; 2] = ["system:masters", "kubeadm:cluster-admins"];
const API_SERVER: &str = "kube-apiserver-kubelet-client";

/// Who sent a request, as far as the connection says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    Unknown,
    Certificate { user: String, groups: Vec<String> },
}

/// The server's TLS: client certificates are asked for, and verified when given.
pub fn tls_config(identity: &ServingIdentity) -> Result<Arc<rustls::ServerConfig>, AgentError> {
    let bad = |e: String| AgentError::Certificate(e);
    let certs = |pem: &str| -> Result<Vec<CertificateDer<'static>>, AgentError> {
        CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|e| bad(e.to_string()))
    };
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).map_err(|e| bad(e.to_string()))?;
    let mut roots = rustls::RootCertStore::empty();
    for ca in certs(&identity.client_ca_pem)? {
        roots.add(ca).map_err(|e| bad(e.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|e| bad(e.to_string()))?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| bad(e.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certs(&identity.cert_pem)?, key)
        .map_err(|e| bad(e.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// User (common name) and groups (organizations) of a verified certificate.
pub fn of_certificate(der: &[u8]) -> Caller {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Caller::Unknown };
    let subject = certificate.subject();
    let user = subject.iter_common_name().find_map(|a| a.as_str().ok());
    let Some(user) = user else { return Caller::Unknown };
    let groups = subject.iter_organization().filter_map(|a| a.as_str().ok()).map(str::to_owned).collect();
    Caller::Certificate { user: user.to_owned(), groups }
}

/// Asks the API about tokens and permissions.
#[derive(Clone)]
pub struct Auth {
    client: kube::Client,
}

type Refusal = Response<Body>;

impl Auth {
    pub fn new(client: kube::Client) -> Self {
        Auth { client }
    }

    /// Whether the request may be served; `Err` is the answer to give instead.
    pub async fn check(
        &self,
        request: &Request<Incoming>,
        caller: Caller,
        what: &str,
        _query: &Query,
    ) -> Result<(), Refusal> {
        let user = match caller {
            Caller::Certificate { user, groups } => {
                if user == API_SERVER || groups.iter().any(|g| ADMIN_GROUPS.contains(&g.as_str())) {
                    return Ok(());
                }
                UserInfo { username: Some(user), groups: Some(groups), ..UserInfo::default() }
            }
            Caller::Unknown => self.by_token(request).await?,
        };
        self.allowed(user, request.method(), what).await
    }

    async fn by_token(&self, request: &Request<Incoming>) -> Result<UserInfo, Refusal> {
        let unauthorized = || text(StatusCode::UNAUTHORIZED, "Unauthorized");
        let header = request.headers().get(AUTHORIZATION).and_then(|h| h.to_str().ok());
        let token = header.and_then(|h| h.strip_prefix("Bearer ")).ok_or_else(unauthorized)?;
        let review = TokenReview {
            spec: TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let answer = api.create(&PostParams::default(), &review).await.map_err(|e| unavailable(&e))?;
        let status = answer.status.unwrap_or_default();
        if status.authenticated != Some(true) {
            return Err(unauthorized());
        }
        status.user.ok_or_else(unauthorized)
    }

    async fn allowed(&self, user: UserInfo, method: &Method, what: &str) -> Result<(), Refusal> {
        let verb = match *method {
            Method::GET | Method::HEAD => "get",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            _ => "delete",
        };
        let subresource = match what {
            "metrics" => "metrics",
            "stats" => "stats",
            "containerLogs" => "log",
            "pods" | "runningpods" => "pods",
            "configz" => "configz",
            _ => "proxy",
        };
        let name = user.username.clone().unwrap_or_default();
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: user.username,
                groups: user.groups,
                uid: user.uid,
                extra: user.extra,
                resource_attributes: Some(ResourceAttributes {
                    resource: Some("nodes".to_owned()),
                    subresource: Some(subresource.to_owned()),
                    verb: Some(verb.to_owned()),
                    version: Some("v1".to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let answer = api.create(&PostParams::default(), &review).await.map_err(|e| unavailable(&e))?;
        if answer.status.is_some_and(|s| s.allowed) {
            return Ok(());
        }
        let message =
            format!("Forbidden (user={name}, verb={verb}, resource=nodes, subresource={subresource})");
        Err(text(StatusCode::FORBIDDEN, &message))
    }
}

fn unavailable(error: &kube::Error) -> Refusal {
    tracing::warn!(%error, "the API did not say whether a request is allowed");
    text(StatusCode::INTERNAL_SERVER_ERROR, "Authorization error")
}
