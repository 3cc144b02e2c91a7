//! The service accounts' signing key: ES256 JSON Web Tokens (RFC 7515, RFC 7518 section 3.4).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PublicKeyData};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::PkiError;

/// Tokens longer than this are not looked at.
const LONGEST_TOKEN: usize = 16 * 1024;

/// Why a token is not one of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenProblem {
    #[error("not a JSON web token")]
    Malformed,
    #[error("signed by another key or algorithm")]
    ForeignKey,
    #[error("the signature does not verify")]
    BadSignature,
}

pub(crate) struct SigningKey {
    pair: EcdsaKeyPair,
    /// The uncompressed point: 0x04, x, y.
    public: Vec<u8>,
    key_id: String,
    random: SystemRandom,
}

impl SigningKey {
    pub(super) fn from_key(key: &KeyPair) -> Result<Self, PkiError> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der(), &random)
            .map_err(PkiError::SigningKey)?;
        // The same key id as Kubernetes gives: the hash of the public key's SPKI.
        let key_id = URL_SAFE_NO_PAD.encode(Sha256::digest(key.subject_public_key_info()));
        Ok(Self { pair, public: key.public_key_raw().to_vec(), key_id, random })
    }

    /// A compact JWS of these claims.
    pub(crate) fn sign(&self, claims: &Value) -> Result<String, ring::error::Unspecified> {
        let header = json!({"alg": "ES256", "kid": self.key_id});
        let encode = |v: &Value| URL_SAFE_NO_PAD.encode(v.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let signature = self.pair.sign(&self.random, signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims of a token that this key signed. Times and audiences are the caller's to check.
    pub(crate) fn verify(&self, token: &str) -> Result<Value, TokenProblem> {
        if token.len() > LONGEST_TOKEN {
            return Err(TokenProblem::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenProblem::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenProblem::Malformed)?;
        let header = decode_json(header)?;
        if header["alg"] != "ES256" || header["kid"] != self.key_id.as_str() {
            return Err(TokenProblem::ForeignKey);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenProblem::Malformed)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.public)
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| TokenProblem::BadSignature)?;
        decode_json(claims)
    }

    /// The JSON Web Key Set that lets others verify the tokens.
    pub(crate) fn key_set(&self) -> Value {
        let half = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&self.public[range]);
        json!({"keys": [{
            "use": "sig", "kty": "EC", "kid": self.key_id, "alg": "ES256", "crv": "P-256",
            "x": half(1..33), "y": half(33..65),
        }]})
    }
}

fn decode_json(part: &str) -> Result<Value, TokenProblem> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenProblem::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenProblem::Malformed)
}
