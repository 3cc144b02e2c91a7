//! TLS configurations, all with ring and all made here.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::renew::Renewed;
use super::{Issued, Pki, PkiError};

/// The name in every peer certificate: peers are known by their CA, not by their address.
const PEER_NAME: &str = "peer.trireme.internal";

/// The mutual TLS of the Raft peers.
#[derive(Clone)]
pub struct PeerTls {
    /// For the peer listener: demands a peer certificate.
    pub server: Arc<ServerConfig>,
    /// For connections to peers.
    pub client: Arc<ClientConfig>,
    /// The name every peer certificate carries.
    pub server_name: String,
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(ca: &CertificateDer<'static>) -> Result<Arc<RootCertStore>, PkiError> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone())?;
    Ok(Arc::new(roots))
}

/// The chain and key of an identity, as rustls takes them.
pub(super) fn chain_and_key(
    identity: &Issued,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), PkiError> {
    let pem = |what: &str| {
        let what = what.to_owned();
        move |source| PkiError::Pem { what, source }
    };
    let chain = CertificateDer::pem_slice_iter(identity.cert_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(pem("certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).map_err(pem("key"))?;
    Ok((chain, key))
}

impl Pki {
    /// What the Raft peers authenticate each other with.
    ///
    /// # Errors
    /// The certificate can not be made.
    pub fn peer_tls(&self, name: &str) -> Result<PeerTls, PkiError> {
        let common_name = format!("trireme:peer:{name}");
        let pki = self.clone();
        let identity = Renewed::new(move || pki.issue_peer(&common_name, PEER_NAME))?;
        let roots = roots(&self.inner.peer_ca_der)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider()).build()?;
        let server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(identity.clone());
        let client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_client_cert_resolver(identity);
        Ok(PeerTls { server: Arc::new(server), client: Arc::new(client), server_name: PEER_NAME.to_owned() })
    }

    /// The API listener: client certificates are welcome, not demanded.
    pub(crate) fn api_tls(&self, common_name: &str, names: Vec<String>) -> Result<ServerConfig, PkiError> {
        let (pki, common_name) = (self.clone(), common_name.to_owned());
        let identity = Renewed::new(move || pki.issue_server(&common_name, &names))?;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots(&self.inner.ca_der)?, provider())
            .allow_unauthenticated()
            .build()?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(identity);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Connections to the agents, with the identity they expect of an API server.
    pub(crate) fn agent_tls(&self) -> Result<ClientConfig, PkiError> {
        let pki = self.clone();
        let identity = Renewed::new(move || {
            pki.issue_client("kube-apiserver-kubelet-client", &["kubeadm:cluster-admins"])
        })?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(&self.inner.ca_der)?)
            .with_client_cert_resolver(identity);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// A client of the API servers with this identity.
    pub(super) fn client_tls(&self, identity: &Issued) -> Result<ClientConfig, PkiError> {
        let (chain, key) = chain_and_key(identity)?;
        Ok(ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(&self.inner.ca_der)?)
            .with_client_auth_cert(chain, key)?)
    }
}
