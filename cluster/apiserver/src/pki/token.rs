//! Join tokens. A token pins the cluster's CA and carries a bootstrap token, which the cluster
//! keeps as a Secret of type `bootstrap.kubernetes.io/token` in kube-system.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::seq::IndexedRandom;
use serde_json::json;

use super::Pki;

/// What a joiner may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinRole {
    /// A worker: gets a node's certificates.
    Node,
    /// A server: gets the cluster's keys too.
    Server,
}

impl JoinRole {
    /// The group that bearers of such a token are in.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            JoinRole::Node => "system:bootstrappers:trireme:nodes",
            JoinRole::Server => "system:bootstrappers:trireme:servers",
        }
    }
}

/// `T1<sha256 hex of the CA's DER>::<id>.<secret>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinToken {
    /// SHA-256 of the CA certificate's DER.
    pub ca_hash: [u8; 32],
    /// Six characters of `[a-z0-9]`; public.
    pub id: String,
    /// Sixteen characters of `[a-z0-9]`.
    pub secret: String,
}

impl JoinToken {
    /// A new random token for the cluster of this CA.
    #[must_use]
    pub fn generate(pki: &Pki) -> JoinToken {
        JoinToken { ca_hash: pki.ca_hash(), id: random_text(6), secret: random_text(16) }
    }

    /// What goes after `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }

    /// The bootstrap-token Secret (as JSON, for kube-system) that makes this token valid.
    #[must_use]
    pub fn secret_object(&self, role: JoinRole, ttl: Option<Duration>) -> serde_json::Value {
        let encode = |text: &str| STANDARD.encode(text);
        let mut data = json!({
            "token-id": encode(&self.id),
            "token-secret": encode(&self.secret),
            "usage-bootstrap-authentication": encode("true"),
            "usage-bootstrap-signing": encode("true"),
            "auth-extra-groups": encode(role.group()),
        });
        if let Some(ttl) = ttl {
            let ttl = jiff::SignedDuration::try_from(ttl).unwrap_or(jiff::SignedDuration::MAX);
            let end = jiff::Timestamp::now().saturating_add(ttl).unwrap_or(jiff::Timestamp::MAX);
            data["expiration"] = encode(&end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).into();
        }
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "bootstrap.kubernetes.io/token",
            "metadata": { "name": format!("bootstrap-token-{}", self.id), "namespace": "kube-system" },
            "data": data,
        })
    }
}

/// `count` random characters of `[a-z0-9]`.
pub(crate) fn random_text(count: usize) -> String {
    const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut rng = rand::rng();
    (0..count).map(|_| *ALPHABET.choose(&mut rng).unwrap_or(&b'a') as char).collect()
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T1{}::{}.{}", hex::encode(self.ca_hash), self.id, self.secret)
    }
}

/// Not a join token.
#[derive(Debug, thiserror::Error)]
#[error("not a join token: expected T1<sha256 of the CA>::<id>.<secret>")]
pub struct BadToken;

impl FromStr for JoinToken {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let (hash, bearer) =
            text.trim().strip_prefix("T1").and_then(|t| t.split_once("::")).ok_or(BadToken)?;
        let (id, secret) = bearer.split_once('.').ok_or(BadToken)?;
        let plain = |s: &str| s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if id.len() != 6 || secret.len() != 16 || !plain(id) || !plain(secret) {
            return Err(BadToken);
        }
        let mut ca_hash = [0; 32];
        hex::decode_to_slice(hash, &mut ca_hash).map_err(|_| BadToken)?;
        Ok(JoinToken { ca_hash, id: id.to_owned(), secret: secret.to_owned() })
    }
}
