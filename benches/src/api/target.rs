//! Where the servers are and how they know us: a kubeconfig's current context.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig {
    current_context: String,
    contexts: Vec<Named<Context_>>,
    clusters: Vec<Named<Cluster>>,
    users: Vec<Named<User>>,
}

/// An entry; its content stands under a name of its own kind.
#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "context", alias = "cluster", alias = "user")]
    content: T,
}

#[derive(Deserialize)]
struct Context_ {
    cluster: String,
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<String>,
    certificate_authority_data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    token: Option<String>,
    client_certificate: Option<String>,
    client_certificate_data: Option<String>,
    client_key: Option<String>,
    client_key_data: Option<String>,
}

/// Servers, and what a client needs to talk to them.
#[derive(Clone)]
pub struct Target {
    /// `HOST:PORT`
    pub servers: Vec<String>,
    pub tls: Arc<ClientConfig>,
    pub token: Option<String>,
    /// What is asked for.
    pub accept: &'static str,
}

impl Target {
    pub fn from_kubeconfig(path: &Path, servers: &[String], protobuf: bool) -> Result<Target> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let config: Kubeconfig = serde_saphyr::from_str(&text)?;
        let context = find(&config.contexts, &config.current_context)?;
        let (cluster, user) =
            (find(&config.clusters, &context.cluster)?, find(&config.users, &context.user)?);
        let mut roots = RootCertStore::empty();
        let authority = pem(&cluster.certificate_authority, &cluster.certificate_authority_data)?;
        for certificate in CertificateDer::pem_slice_iter(&authority.context("no certificate authority")?) {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let chain = pem(&user.client_certificate, &user.client_certificate_data)?;
        let key = pem(&user.client_key, &user.client_key_data)?;
        let mut tls = match (chain, key) {
            (Some(chain), Some(key)) => {
                let chain = CertificateDer::pem_slice_iter(&chain).collect::<Result<_, _>>()?;
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&key)?)?
            }
            _ => builder.with_no_client_auth(),
        };
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let own = [cluster.server.clone()];
        let servers = if servers.is_empty() { &own } else { servers };
        Ok(Target {
            servers: servers.iter().map(|url| authority_of(url)).collect::<Result<_>>()?,
            tls: Arc::new(tls),
            token: user.token.clone(),
            accept: if protobuf { "application/vnd.kubernetes.protobuf" } else { "application/json" },
        })
    }
}

fn find<'c, T>(list: &'c [Named<T>], name: &str) -> Result<&'c T> {
    let found = list.iter().find(|entry| entry.name == name);
    found.map(|entry| &entry.content).with_context(|| format!("the kubeconfig has no {name:?}"))
}

fn pem(file: &Option<String>, data: &Option<String>) -> Result<Option<Vec<u8>>> {
    match (data, file) {
        (Some(data), _) => Ok(Some(STANDARD.decode(data.trim())?)),
        (None, Some(file)) => Ok(Some(std::fs::read(file).with_context(|| file.clone())?)),
        (None, None) => Ok(None),
    }
}

fn authority_of(url: &str) -> Result<String> {
    let Some(authority) = url.strip_prefix("https://") else { bail!("{url} is not https") };
    let authority = authority.trim_end_matches('/');
    Ok(if authority.contains(':') { authority.to_owned() } else { format!("{authority}:443") })
}
