//! The client of a cluster: over TLS to one of several servers, or in the same process.

use crate::transport::{Server, Transport};
use http::{HeaderValue, Request, Response, Uri};
use kube::client::Body;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use std::sync::Arc;
use tower::{BoxError, Service};

/// The port of an apiserver when its URL names none.
const DEFAULT_PORT: u16 = 443;

/// Where a cluster is and who we are to it.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// `https://host:port` of every server, in order of preference.
    pub urls: Vec<String>,
    /// The certificate authority (or several) that signs the servers' certificates, as PEM.
    pub ca_pem: String,
    /// Client certificate (chain) and private key, as PEM.
    pub identity: Option<(String, String)>,
    /// A bearer token, sent with every request.
    pub token: Option<String>,
}

/// Why no client could be made of the given [`Endpoints`].
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The list of servers is empty.
    #[error("no server given: name at least one https://HOST:PORT")]
    NoServer,
    /// One of the servers is not an `https://HOST[:PORT]` URL.
    #[error("server {url:?} is not an https://HOST:PORT address")]
    BadUrl { url: String },
    /// The certificate authority is not PEM, or holds no certificate.
    #[error("the certificate authority is not usable: {0}")]
    BadCa(String),
    /// The client certificate or its key is not usable.
    #[error("the client certificate or its key is not usable: {0}")]
    BadIdentity(String),
    /// The token holds bytes that an HTTP header can not carry.
    #[error("the token can not be sent in an HTTP header")]
    BadToken,
}

/// A client that speaks HTTP/2 over TLS to the first server that answers, stays with it while it
/// answers, and goes on with another one as soon as it does not (about a second for a server
/// that vanished without closing its connections). Connects lazily; must be called within a tokio
/// runtime.
///
/// A read that was under way when its server died is repeated at another one. A write is repeated
/// only when it surely was not sent; otherwise it fails, and whoever made it decides whether to
/// repeat it. Watches made through [`crate::Cache`] resume by themselves.
pub fn connect(endpoints: Endpoints) -> Result<kube::Client, ConnectError> {
    if endpoints.urls.is_empty() {
        return Err(ConnectError::NoServer);
    }
    let servers = endpoints.urls.iter().map(|url| server(url)).collect::<Result<Vec<_>, _>>()?;
    let authorization = match &endpoints.token {
        None => None,
        Some(token) => {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| ConnectError::BadToken)?;
            value.set_sensitive(true);
            Some(value)
        }
    };
    let transport = Transport::new(servers, Arc::new(tls(&endpoints)?), authorization);
    Ok(in_process(transport))
}

/// The same client type over a service in this process. Must be called within a tokio runtime.
pub fn in_process<S, B>(service: S) -> kube::Client
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    kube::Client::new(service, "default")
}

fn server(url: &str) -> Result<Server, ConnectError> {
    let bad = || ConnectError::BadUrl { url: url.to_owned() };
    let uri: Uri = url.parse().map_err(|_| bad())?;
    if uri.scheme_str() != Some("https") || !matches!(uri.path(), "" | "/") {
        return Err(bad());
    }
    let authority = uri.authority().ok_or_else(bad)?.clone();
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host.clone()).map_err(|_| bad())?;
    let port = authority.port_u16().unwrap_or(DEFAULT_PORT);
    Ok(Server { host, port, name, authority })
}

fn tls(endpoints: &Endpoints) -> Result<ClientConfig, ConnectError> {
    let bad_ca = |e: &dyn std::fmt::Display| ConnectError::BadCa(e.to_string());
    let bad_identity = |e: &dyn std::fmt::Display| ConnectError::BadIdentity(e.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(endpoints.ca_pem.as_bytes()) {
        roots.add(certificate.map_err(|e| bad_ca(&e))?).map_err(|e| bad_ca(&e))?;
    }
    if roots.is_empty() {
        return Err(ConnectError::BadCa("it holds no PEM certificate".into()));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| bad_ca(&e))?
        .with_root_certificates(roots);
    let mut config = match &endpoints.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|e| bad_identity(&e))?;
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| bad_identity(&e))?;
            builder.with_client_auth_cert(chain, key).map_err(|e| bad_identity(&e))?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
