//! What the files of a volume are: ConfigMaps, Secrets, the downward API, and projections of them. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, ServiceAccountTokenProjection, Volume,
    VolumeProjection,
};

use crate::env::{self, EnvError, Objects, Place, SourceRef};

/// Relative paths and what is there.
pub type Payload = BTreeMap<String, File>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub data: Vec<u8>,
    pub mode: u32,
    /// Belongs to this user instead of root.
    pub owner: Option<u32>,
}

/// Why a volume has no content (yet).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    #[error("{kind} \"{name}\" not found")]
    NotFound { kind: &'static str, name: String },
    #[error("configmap references non-existent config key: {0}")]
    NoConfigKey(String),
    #[error("references non-existent secret key: {0}")]
    NoSecretKey(String),
    #[error(transparent)]
    Field(#[from] EnvError),
    #[error("no token for path {0} yet")]
    NoToken(String),
    #[error("{0} volumes are not supported by this node")]
    Unsupported(&'static str),
}

/// What a volume's content is made from.
pub struct Facts<'a> {
    pub pod: &'a Pod,
    pub place: &'a Place,
    pub objects: &'a Objects,
    /// By volume name and path of the projection.
    pub tokens: &'a BTreeMap<(String, String), String>,
}

const DEFAULT_MODE: i32 = 0o644;

/// The ConfigMaps and Secrets that a volume refers to.
pub fn references(volume: &Volume) -> Vec<SourceRef> {
    let mut refs = Vec::new();
    refs.extend(volume.config_map.iter().map(|c| SourceRef::ConfigMap(c.name.clone())));
    refs.extend(volume.secret.iter().filter_map(|s| s.secret_name.clone()).map(SourceRef::Secret));
    for source in projections(volume) {
        refs.extend(source.config_map.iter().map(|c| SourceRef::ConfigMap(c.name.clone())));
        refs.extend(source.secret.iter().map(|s| SourceRef::Secret(s.name.clone())));
    }
    refs
}

/// The service account tokens that a volume wants.
pub fn token_projections(volume: &Volume) -> impl Iterator<Item = &ServiceAccountTokenProjection> {
    projections(volume).filter_map(|p| p.service_account_token.as_ref())
}

fn projections(volume: &Volume) -> impl Iterator<Item = &VolumeProjection> {
    volume.projected.iter().flat_map(|p| p.sources.iter().flatten())
}

/// The files of a volume; `None` for volumes that are not made of files of the API.
pub fn payload(facts: &Facts<'_>, volume: &Volume) -> Result<Option<Payload>, ContentError> {
    let mut out = Payload::new();
    if let Some(source) = &volume.config_map {
        let mode = mode(source.default_mode);
        config_map(facts, &source.name, source.items.as_deref(), source.optional, mode, &mut out)?;
    } else if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        secret(facts, name, source.items.as_deref(), source.optional, mode(source.default_mode), &mut out)?;
    } else if let Some(source) = &volume.downward_api {
        downward(facts, source.items.iter().flatten(), mode(source.default_mode), &mut out)?;
    } else if let Some(source) = &volume.projected {
        let mode = mode(source.default_mode);
        for projection in source.sources.iter().flatten() {
            project(facts, volume, projection, mode, &mut out)?;
        }
    } else {
        return Ok(None);
    }
    Ok(Some(out))
}

fn mode(given: Option<i32>) -> u32 {
    (given.unwrap_or(DEFAULT_MODE) & 0o777) as u32
}

fn project(
    facts: &Facts<'_>,
    volume: &Volume,
    p: &VolumeProjection,
    mode: u32,
    out: &mut Payload,
) -> Result<(), ContentError> {
    if let Some(s) = &p.config_map {
        config_map(facts, &s.name, s.items.as_deref(), s.optional, mode, out)?;
    }
    if let Some(s) = &p.secret {
        secret(facts, &s.name, s.items.as_deref(), s.optional, mode, out)?;
    }
    if let Some(s) = &p.downward_api {
        downward(facts, s.items.iter().flatten(), mode, out)?;
    }
    if let Some(s) = &p.service_account_token {
        let token = facts.tokens.get(&(volume.name.clone(), s.path.clone()));
        let token = token.ok_or_else(|| ContentError::NoToken(s.path.clone()))?;
        let owner = common_user(facts.pod);
        let has_group =
            facts.pod.spec.as_ref().and_then(|s| s.security_context.as_ref()).and_then(|c| c.fs_group);
        let mode = if owner.is_some() || has_group.is_some() { 0o600 } else { mode };
        out.insert(s.path.clone(), File { data: token.clone().into_bytes(), mode, owner });
    }
    if p.cluster_trust_bundle.is_some() {
        return Err(ContentError::Unsupported("clusterTrustBundle"));
    }
    if p.pod_certificate.is_some() {
        return Err(ContentError::Unsupported("podCertificate"));
    }
    Ok(())
}

/// The user of all containers, when they have one in common: tokens are its.
fn common_user(pod: &Pod) -> Option<u32> {
    let spec = pod.spec.as_ref()?;
    let of_pod = spec.security_context.as_ref().and_then(|s| s.run_as_user);
    let mut users = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten())
        .map(|c| c.security_context.as_ref().and_then(|s| s.run_as_user).or(of_pod));
    let first = users.next()??;
    users.all(|u| u == Some(first)).then(|| u32::try_from(first).ok()).flatten()
}

fn config_map(
    facts: &Facts<'_>,
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: u32,
    out: &mut Payload,
) -> Result<(), ContentError> {
    let optional = optional == Some(true);
    let Some(object) = facts.objects.config_maps.get(name) else {
        if optional {
            return Ok(());
        }
        return Err(ContentError::NotFound { kind: "configmap", name: name.to_owned() });
    };
    let all = config_map_data(object);
    pick(&all, items, optional, mode, out).map_err(ContentError::NoConfigKey)
}

fn config_map_data(object: &ConfigMap) -> BTreeMap<String, Vec<u8>> {
    let text = object.data.iter().flatten().map(|(k, v)| (k.clone(), v.clone().into_bytes()));
    let binary = object.binary_data.iter().flatten().map(|(k, v)| (k.clone(), v.0.clone()));
    text.chain(binary).collect()
}

fn secret(
    facts: &Facts<'_>,
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: u32,
    out: &mut Payload,
) -> Result<(), ContentError> {
    let optional = optional == Some(true);
    let Some(object) = facts.objects.secrets.get(name) else {
        if optional {
            return Ok(());
        }
        return Err(ContentError::NotFound { kind: "secret", name: name.to_owned() });
    };
    pick(&secret_data(object), items, optional, mode, out).map_err(ContentError::NoSecretKey)
}

fn secret_data(object: &Secret) -> BTreeMap<String, Vec<u8>> {
    object.data.iter().flatten().map(|(k, v)| (k.clone(), v.0.clone())).collect()
}

/// All keys, or the listed ones under their paths; `Err` is the missing key.
fn pick(
    all: &BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    optional: bool,
    mode: u32,
    out: &mut Payload,
) -> Result<(), String> {
    let Some(items) = items.filter(|i| !i.is_empty()) else {
        out.extend(all.iter().map(|(k, v)| (k.clone(), File { data: v.clone(), mode, owner: None })));
        return Ok(());
    };
    for item in items {
        match all.get(&item.key) {
            Some(data) => {
                let mode = item.mode.map_or(mode, |m| (m & 0o777) as u32);
                out.insert(item.path.clone(), File { data: data.clone(), mode, owner: None });
            }
            None if optional => {}
            None => return Err(item.key.clone()),
        }
    }
    Ok(())
}

fn downward<'a>(
    facts: &Facts<'_>,
    items: impl Iterator<Item = &'a DownwardAPIVolumeFile>,
    mode: u32,
    out: &mut Payload,
) -> Result<(), ContentError> {
    for item in items {
        let text = match (&item.field_ref, &item.resource_field_ref) {
            (Some(f), _) => env::field(facts.pod, facts.place, f)?,
            (None, Some(r)) => env::resource(facts.pod, None, facts.place, r)?,
            (None, None) => String::new(),
        };
        let mode = item.mode.map_or(mode, |m| (m & 0o777) as u32);
        out.insert(item.path.clone(), File { data: text.into_bytes(), mode, owner: None });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::collections::HashMap;
    use std::sync::Arc;

    fn files(volume: Value) -> Result<Vec<String>, ContentError> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "labels": {"a": "b\"c", "d": "e"}},
            "spec": {"containers": [{"name": "c", "resources": {"limits": {"memory": "2Mi"}}}]}}))
        .unwrap();
        let config: ConfigMap =
            serde_json::from_value(json!({"data": {"k": "v"}, "binaryData": {"bin": "AAE="}})).unwrap();
        let secret: Secret = serde_json::from_value(json!({"data": {"s": "eA=="}})).unwrap();
        let objects = Objects {
            config_maps: HashMap::from([("c".to_owned(), Arc::new(config))]),
            secrets: HashMap::from([("s".to_owned(), Arc::new(secret))]),
        };
        let tokens = BTreeMap::from([(("v".to_owned(), "token".to_owned()), "T".to_owned())]);
        let mut volume = volume;
        volume["name"] = json!("v");
        let volume: Volume = serde_json::from_value(volume).unwrap();
        let facts = Facts { pod: &pod, place: &Place::default(), objects: &objects, tokens: &tokens };
        let payload = payload(&facts, &volume)?.unwrap();
        Ok(payload
            .iter()
            .map(|(p, f)| format!("{p}:{:o}:{}", f.mode, String::from_utf8_lossy(&f.data)))
            .collect())
    }

    #[test]
    fn contents_of_every_kind() {
        let cases = [
            (json!({"configMap": {"name": "c"}}), vec!["bin:644:\0\x01", "k:644:v"]),
            (
                json!({"configMap": {"name": "c", "defaultMode": 0o400, "items": [
                    {"key": "k", "path": "dir/x"}, {"key": "bin", "path": "y", "mode": 0o777}]}}),
                vec!["dir/x:400:v", "y:777:\0\x01"],
            ),
            (json!({"configMap": {"name": "no", "optional": true}}), vec![]),
            (json!({"secret": {"secretName": "s"}}), vec!["s:644:x"]),
            (
                json!({"downwardAPI": {"items": [
                    {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                    {"path": "mem", "resourceFieldRef": {"containerName": "c", "resource": "limits.memory"}}]}}),
                vec!["labels:644:a=\"b\\\"c\"\nd=\"e\"", "mem:644:2097152"],
            ),
            (
                json!({"projected": {"defaultMode": 0o600, "sources": [
                    {"serviceAccountToken": {"path": "token"}},
                    {"configMap": {"name": "c", "items": [{"key": "k", "path": "ca"}]}},
                    {"downwardAPI": {"items": [{"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}]}}),
                vec!["ca:600:v", "ns:600:ns", "token:600:T"],
            ),
        ];
        for (volume, expected) in cases {
            assert_eq!(files(volume.clone()).unwrap(), expected, "{volume}");
        }
    }

    #[test]
    fn missing_sources_are_named() {
        let cases = [
            (json!({"configMap": {"name": "no"}}), "configmap \"no\" not found"),
            (json!({"secret": {"secretName": "no"}}), "secret \"no\" not found"),
            (
                json!({"configMap": {"name": "c", "items": [{"key": "z", "path": "z"}]}}),
                "configmap references non-existent config key: z",
            ),
            (
                json!({"secret": {"secretName": "s", "items": [{"key": "z", "path": "z"}]}}),
                "references non-existent secret key: z",
            ),
        ];
        for (volume, expected) in cases {
            assert_eq!(files(volume).unwrap_err().to_string(), expected);
        }
    }
}
