//! kubeconfig files.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Issued;

/// A kubeconfig with one cluster, one user, one context, all data inline.
#[must_use]
pub fn kubeconfig(cluster: &str, server_url: &str, ca_pem: &str, user: &str, identity: &Issued) -> String {
    let ca = STANDARD.encode(ca_pem);
    let cert = STANDARD.encode(&identity.cert_pem);
    let key = STANDARD.encode(&identity.key_pem);
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: {cluster}
  cluster:
    server: {server_url}
    certificate-authority-data: {ca}
users:
- name: {user}
  user:
    client-certificate-data: {cert}
    client-key-data: {key}
contexts:
- name: {user}@{cluster}
  context:
    cluster: {cluster}
    user: {user}
current-context: {user}@{cluster}
"
    )
}
