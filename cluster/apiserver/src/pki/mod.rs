//! The cluster's keys: the CA, certificates for every identity, the service accounts' signing key,
//! join tokens and both halves of joining, kubeconfig files.
//!
//! On disk a server keeps four keys: the cluster CA, the CA of the Raft peers (so that no client
//! certificate opens the peer port) and the service accounts' key. Certificates of the server itself are
//! issued at start, kept in memory and renewed while it runs.

mod issue;
mod join;
mod kubeconfig;
mod renew;
mod signer;
#[cfg(test)]
mod tests;
mod tls;
mod token;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(crate) use issue::Requested;
pub use issue::{CsrProblem, Issued};
pub use join::{JoinError, NodeCredentials, join_agent, join_member, join_server, load_node};
pub(crate) use join::{NodeJoinRequest, NodeJoinResponse};
pub use kubeconfig::kubeconfig;
pub(crate) use signer::SigningKey;
pub use tls::PeerTls;
pub(crate) use token::random_text;
pub use token::{BadToken, JoinRole, JoinToken};

/// What can be wrong with keys and certificates.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A key or a certificate is damaged, or could not be made.
    #[error("{what}: {source}")]
    Certificate {
        /// Of whom.
        what: String,
        /// Why.
        source: rcgen::Error,
    },
    /// Not PEM, or not the kind of PEM that is needed.
    #[error("{what} is not usable PEM: {source}")]
    Pem {
        /// Which file or document.
        what: String,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// TLS does not accept the certificate or key.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The verifier of certificates could not be made.
    #[error("TLS verifier: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The service accounts' key is not a P-256 key.
    #[error("service-account key: {0}")]
    SigningKey(ring::error::KeyRejected),
    /// A certificate holds one group.
    #[error("a certificate can hold one group, not {0}")]
    Groups(usize),
    /// A serving certificate's name is neither a DNS name nor an address.
    #[error("{0:?} is not a DNS name")]
    Name(String),
}

/// The keys every server of a cluster shares, as they travel to a joining server. All PEM.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct KeyFiles {
    pub ca_cert: String,
    pub ca_key: String,
    pub peer_ca_cert: String,
    pub peer_ca_key: String,
    pub service_account_key: String,
}

/// File names, in the order of [`KeyFiles`].
const FILES: [&str; 5] = ["ca.crt", "ca.key", "peer-ca.crt", "peer-ca.key", "sa.key"];

struct Inner {
    files: KeyFiles,
    ca_der: CertificateDer<'static>,
    ca_key: KeyPair,
    peer_ca_der: CertificateDer<'static>,
    peer_ca_key: KeyPair,
    signer: SigningKey,
}

/// The cluster's CA and signing keys, as every server holds them. Cheap to clone.
#[derive(Clone)]
pub struct Pki {
    inner: Arc<Inner>,
}

impl Pki {
    /// Makes the keys of a new cluster in `dir`; loads them when they are there already.
    ///
    /// # Errors
    /// A file can not be read or written, or is damaged.
    pub fn create(dir: &Path) -> Result<Pki, PkiError> {
        if FILES.iter().all(|f| dir.join(f).exists()) {
            return Self::load(dir);
        }
        let (ca_cert, ca_key) = issue::new_ca("kubernetes")?;
        let (peer_ca_cert, peer_ca_key) = issue::new_ca("trireme-peers")?;
        let service_account_key = issue::new_key("service-account key")?.serialize_pem();
        let files = KeyFiles { ca_cert, ca_key, peer_ca_cert, peer_ca_key, service_account_key };
        Self::adopt(files, dir)
    }

    /// Loads the keys from `dir`.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub fn load(dir: &Path) -> Result<Pki, PkiError> {
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read_to_string(&path).map_err(|source| PkiError::File { path, source })
        };
        let [ca, ca_key, peer, peer_key, sa] = FILES.map(read);
        Self::parse(KeyFiles {
            ca_cert: ca?,
            ca_key: ca_key?,
            peer_ca_cert: peer?,
            peer_ca_key: peer_key?,
            service_account_key: sa?,
        })
    }

    /// Checks keys that came from elsewhere and keeps them in `dir`.
    pub(crate) fn adopt(files: KeyFiles, dir: &Path) -> Result<Pki, PkiError> {
        let pki = Self::parse(files.clone())?;
        let texts =
            [files.ca_cert, files.ca_key, files.peer_ca_cert, files.peer_ca_key, files.service_account_key];
        for (name, text) in FILES.iter().zip(texts) {
            write_private(&dir.join(name), &text)?;
        }
        Ok(pki)
    }

    fn parse(files: KeyFiles) -> Result<Pki, PkiError> {
        let key = |pem: &str, what: &str| {
            KeyPair::from_pem(pem).map_err(|source| PkiError::Certificate { what: what.to_owned(), source })
        };
        let inner = Inner {
            ca_der: certificate_der(&files.ca_cert, "ca.crt")?,
            ca_key: key(&files.ca_key, "ca.key")?,
            peer_ca_der: certificate_der(&files.peer_ca_cert, "peer-ca.crt")?,
            peer_ca_key: key(&files.peer_ca_key, "peer-ca.key")?,
            signer: SigningKey::from_key(&key(&files.service_account_key, "sa.key")?)?,
            files,
        };
        Ok(Pki { inner: Arc::new(inner) })
    }

    /// The CA's certificate, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.inner.files.ca_cert
    }

    /// SHA-256 of the CA certificate's DER: what a join token pins.
    #[must_use]
    pub fn ca_hash(&self) -> [u8; 32] {
        Sha256::digest(&self.inner.ca_der).into()
    }

    pub(crate) fn files(&self) -> &KeyFiles {
        &self.inner.files
    }

    pub(crate) fn signer(&self) -> &SigningKey {
        &self.inner.signer
    }

    /// A kubeconfig of the administrator.
    ///
    /// # Errors
    /// The certificate can not be made.
    pub fn admin_kubeconfig(&self, server_url: &str) -> Result<String, PkiError> {
        let admin = self.issue_client("kubernetes-admin", &["system:masters"])?;
        Ok(kubeconfig("trireme", server_url, self.ca_pem(), "kubernetes-admin", &admin))
    }

    /// Credentials of a node without a network round trip, for an agent in a server's process.
    ///
    /// # Errors
    /// The certificates can not be made.
    pub fn issue_node(&self, node_name: &str, addresses: &[IpAddr]) -> Result<NodeCredentials, PkiError> {
        let mut names = vec![node_name.to_owned()];
        names.extend(addresses.iter().map(IpAddr::to_string));
        let user = format!("system:node:{node_name}");
        Ok(NodeCredentials {
            ca_pem: self.ca_pem().to_owned(),
            client: self.issue_client(&user, &["system:nodes"])?,
            serving: self.issue_server(&user, &names)?,
        })
    }
}

fn certificate_der(pem: &str, what: &str) -> Result<CertificateDer<'static>, PkiError> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|source| PkiError::Pem { what: what.to_owned(), source })
}

/// Writes a file that only its owner can read, through a rename: there is never half a key.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), PkiError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let write = || {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let temporary = path.with_extension("new");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|source| PkiError::File { path: path.to_owned(), source })
}
