//! Tokens of service accounts for pods: asked for with TokenRequest, renewed at four fifths of their life.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::Api;
use kube::api::PostParams;

use super::content::token_projections;
use crate::pod::spec;

const DEFAULT_LIFE_S: i64 = 3600;
/// Even a token that lives longer is renewed after this.
const LONGEST_USE_S: i64 = 24 * 3600;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("failed to fetch token: {0}")]
    Api(#[from] kube::Error),
    #[error("failed to fetch token: the server answered without one")]
    Empty,
}

#[derive(Clone, Debug)]
struct Held {
    token: String,
    renew_at: Timestamp,
}

/// The tokens of one pod, by volume and path.
#[derive(Default)]
pub struct Tokens {
    held: BTreeMap<(String, String), Held>,
}

impl Tokens {
    /// Asks for every token that is missing or old at `now`.
    pub async fn renew(
        &mut self,
        client: &kube::Client,
        pod: &Pod,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        for volume in spec::spec(pod).volumes.iter().flatten() {
            for projection in token_projections(volume) {
                let key = (volume.name.clone(), projection.path.clone());
                if self.held.get(&key).is_some_and(|h| h.renew_at > now) {
                    continue;
                }
                let life_s = projection.expiration_seconds.unwrap_or(DEFAULT_LIFE_S);
                match request(client, pod, projection.audience.as_deref(), life_s, now).await {
                    Ok(held) => {
                        self.held.insert(key, held);
                    }
                    // The old one is still good for a while: keep it, and try again soon.
                    Err(error) if self.held.contains_key(&key) => {
                        tracing::warn!(pod = %spec::display(pod), %error, "token not renewed");
                        if let Some(old) = self.held.get_mut(&key) {
                            old.renew_at = now + SignedDuration::from_secs(10);
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// The tokens as they are.
    pub fn values(&self) -> BTreeMap<(String, String), String> {
        self.held.iter().map(|(k, h)| (k.clone(), h.token.clone())).collect()
    }

    /// When the next one wants to be renewed.
    pub fn renew_at(&self) -> Option<Timestamp> {
        self.held.values().map(|h| h.renew_at).min()
    }
}

async fn request(
    client: &kube::Client,
    pod: &Pod,
    audience: Option<&str>,
    life_s: i64,
    now: Timestamp,
) -> Result<Held, TokenError> {
    let account = spec::spec(pod).service_account_name.as_deref().unwrap_or("default");
    let asked = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: audience.filter(|a| !a.is_empty()).map(|a| vec![a.to_owned()]),
            expiration_seconds: Some(life_s),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".into()),
                kind: Some("Pod".into()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
        }),
        ..TokenRequest::default()
    };
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), spec::namespace(pod));
    let answer: TokenRequest =
        api.create_subresource("token", account, &PostParams::default(), &asked).await?;
    let status = answer.status.ok_or(TokenError::Empty)?;
    let token = status.token.filter(|t| !t.is_empty()).ok_or(TokenError::Empty)?;
    let life_s = status.expiration_timestamp.map_or(life_s, |t| t.0.as_second() - now.as_second()).max(0);
    let use_s = (life_s * 4 / 5).min(LONGEST_USE_S);
    Ok(Held { token, renew_at: now + SignedDuration::from_secs(use_s) })
}
