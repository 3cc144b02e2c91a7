//! Images of containers: present, pulled, or a reason why not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::{EventType, Recorder};
use k8s_openapi::api::core::v1::{Container, ObjectReference, Secret};
use runtime::{ImageInfo, PullError, RegistryAuth, Runtime};

use crate::env::Objects;
use crate::pod::machine::PullFailure;

/// Repositories that are part of the program and in no registry.
const BUILT_IN: &str = "docker.io/trireme/";

/// What the pull policy demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Always,
    IfNotPresent,
    Never,
}

fn policy(container: &Container) -> Policy {
    match container.image_pull_policy.as_deref() {
        Some("Always") => Policy::Always,
        Some("Never") => Policy::Never,
        _ => Policy::IfNotPresent,
    }
}

/// Has the image of `container` at hand. Events say what happened, as users know it.
pub async fn ensure(
    runtime: &Arc<Runtime>,
    container: &Container,
    auth: &[RegistryAuth],
    recorder: &Recorder,
    about: &ObjectReference,
) -> Result<ImageInfo, PullFailure> {
    let image = container.image.as_deref().unwrap_or_default();
    let present = runtime.image(image);
    let event = |kind, reason: &str, message: String| recorder.event(about, kind, reason, message);
    let policy = policy(container);
    let built_in = present.as_ref().is_some_and(|i| i.names.iter().any(|n| n.starts_with(BUILT_IN)));
    match (present, policy) {
        (Some(info), Policy::IfNotPresent | Policy::Never) => {
            event(
                EventType::Normal,
                "Pulled",
                format!("Container image \"{image}\" already present on machine"),
            );
            return Ok(info);
        }
        (Some(info), Policy::Always) if built_in => {
            event(EventType::Normal, "Pulled", format!("Container image \"{image}\" is part of this node"));
            return Ok(info);
        }
        (None, Policy::Never) => {
            let message = format!("Container image \"{image}\" is not present with pull policy of Never");
            event(EventType::Warning, "ErrImageNeverPull", message.clone());
            return Err(PullFailure { reason: "ErrImageNeverPull", message });
        }
        _ => {}
    }
    event(EventType::Normal, "Pulling", format!("Pulling image \"{image}\""));
    let begun = Instant::now();
    match runtime.pull(image, auth).await {
        Ok(info) => {
            let took = seconds(begun.elapsed());
            let size = info.size;
            let message = format!(
                "Successfully pulled image \"{image}\" in {took} ({took} including waiting). Image size: {size} bytes."
            );
            event(EventType::Normal, "Pulled", message);
            Ok(info)
        }
        Err(error) => {
            let failure = failure(image, &error);
            let text = if failure.reason == "InvalidImageName" {
                failure.message.clone()
            } else {
                error.to_string()
            };
            let reason = if failure.reason == "InvalidImageName" { "InspectFailed" } else { "Failed" };
            event(EventType::Warning, reason, format!("Failed to pull image \"{image}\": {text}"));
            Err(failure)
        }
    }
}

fn failure(image: &str, error: &PullError) -> PullFailure {
    match error.root() {
        PullError::InvalidName { .. } => PullFailure {
            reason: "InvalidImageName",
            message: format!(
                "Failed to apply default image tag \"{image}\": couldn't parse image name \"{image}\": \
                 invalid reference format"
            ),
        },
        other => PullFailure { reason: "ErrImagePull", message: other.to_string() },
    }
}

/// As Go prints durations of at least a millisecond: `350ms`, `1.204s`.
fn seconds(d: Duration) -> String {
    let ms = d.as_millis();
    if ms < 1000 { format!("{ms}ms") } else { format!("{}.{:03}s", ms / 1000, ms % 1000) }
}

/// The reference of an image in a container's status.
pub fn reference(info: &ImageInfo) -> String {
    info.digests.first().cloned().unwrap_or_else(|| info.id.clone())
}

/// The credentials in the pull secrets `names`; secrets that are absent or damaged are skipped, as in Kubernetes.
pub fn credentials(names: impl Iterator<Item = String>, objects: &Objects) -> Vec<RegistryAuth> {
    names.filter_map(|n| objects.secrets.get(&n).cloned()).flat_map(|s| of_secret(&s)).collect()
}

fn of_secret(secret: &Secret) -> Vec<RegistryAuth> {
    let data = |key: &str| secret.data.as_ref()?.get(key).map(|b| b.0.as_slice());
    let parsed = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let entries = match (data(".dockerconfigjson").and_then(parsed), data(".dockercfg").and_then(parsed)) {
        (Some(config), _) => config.get("auths").cloned(),
        (None, old) => old,
    };
    let Some(serde_json::Value::Object(entries)) = entries else { return Vec::new() };
    entries.iter().map(|(registry, entry)| one(registry, entry)).collect()
}

fn one(registry: &str, entry: &serde_json::Value) -> RegistryAuth {
    let text = |key: &str| entry.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    let (mut username, mut password) = (text("username"), text("password"));
    if let Some(decoded) = STANDARD.decode(text("auth")).ok().and_then(|b| String::from_utf8(b).ok())
        && let Some((user, pass)) = decoded.split_once(':')
    {
        (username, password) = (user.to_owned(), pass.trim_end_matches('\0').to_owned());
    }
    let host = registry.trim_start_matches("https://").trim_start_matches("http://");
    let host = host.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches("/v2");
    let host = if host == "index.docker.io" { "docker.io" } else { host };
    let token = Some(text("registrytoken")).filter(|t| !t.is_empty());
    RegistryAuth { registry: host.to_owned(), username, password, token }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::HashMap;

    #[test]
    fn pull_secrets_of_both_forms_are_read() {
        let new = json!({"auths": {"https://index.docker.io/v1/": {"auth": STANDARD.encode("u:p:w")},
            "r.example:5000": {"username": "a", "password": "b"}}});
        let secret = |key: &str, v: &serde_json::Value| -> Arc<Secret> {
            Arc::new(serde_json::from_value(json!({"data": {key: STANDARD.encode(v.to_string())}})).unwrap())
        };
        let objects = Objects {
            secrets: HashMap::from([
                ("new".to_owned(), secret(".dockerconfigjson", &new)),
                (
                    "old".to_owned(),
                    secret(".dockercfg", &json!({"q.io": {"username": "x", "password": "y"}})),
                ),
                ("bad".to_owned(), secret(".dockercfg", &json!("?"))),
            ]),
            ..Objects::default()
        };
        let names = ["new", "old", "bad", "none"].map(str::to_owned);
        let found = credentials(names.into_iter(), &objects);
        let text: Vec<String> =
            found.iter().map(|a| format!("{} {} {}", a.registry, a.username, a.password)).collect();
        assert_eq!(text, ["docker.io u p:w", "r.example:5000 a b", "q.io x y"]);
    }
}
