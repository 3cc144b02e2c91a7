//! The JSON documents of an image: index, manifest, configuration. Only the fields that matter here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ImageConfig;
use crate::error::ImageError;

/// Largest manifest or index.
pub const MAX_MANIFEST: u64 = 4 << 20;
/// Largest configuration.
pub const MAX_CONFIG: u64 = 8 << 20;
/// Most layers: what the overlay mount takes with room to spare.
pub const MAX_LAYERS: usize = 200;

/// What a registry may be asked for.
pub const ACCEPTED: &[&str] = &[
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// Points at a blob.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// `sha256:...`.
    pub digest: String,
    /// Bytes.
    #[serde(default)]
    pub size: u64,
    /// For which machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Names, in OCI layouts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A kind of machine.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Platform {
    /// As Go names it.
    #[serde(default)]
    pub architecture: String,
    /// As Go names it.
    #[serde(default)]
    pub os: String,
}

/// An index or a manifest, told apart by what is in it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    #[serde(default)]
    pub schema_version: u32,
    /// Of an index.
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    /// Of a manifest.
    pub config: Option<Descriptor>,
    /// Of a manifest, lowest first.
    #[serde(default)]
    pub layers: Vec<Descriptor>,
}

impl Manifest {
    /// Parses one of a version that is understood.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, ImageError> {
        let manifest: Manifest =
            serde_json::from_slice(bytes).map_err(|e| ImageError::Document(format!("manifest: {e}")))?;
        if manifest.schema_version != 2 {
            let version = manifest.schema_version;
            return Err(ImageError::Document(format!("manifest schema version {version} is not supported")));
        }
        if manifest.layers.len() > MAX_LAYERS {
            return Err(ImageError::Document(format!("more than {MAX_LAYERS} layers")));
        }
        let all = manifest.manifests.iter().chain(&manifest.config).chain(&manifest.layers);
        for descriptor in all {
            if !super::name::is_digest(&descriptor.digest) {
                return Err(ImageError::Document(format!("unsupported digest {:?}", descriptor.digest)));
            }
        }
        Ok(manifest)
    }

    /// The manifest of an index for this machine.
    pub fn for_this_machine(&self) -> Option<&Descriptor> {
        let fits = |p: &Platform| p.os == "linux" && p.architecture == architecture();
        let exact = self.manifests.iter().find(|d| d.platform.as_ref().is_some_and(fits));
        // An index of one image need not say for which machine it is.
        exact.or_else(|| self.manifests.first().filter(|d| self.manifests.len() == 1 && d.platform.is_none()))
    }
}

/// The name Go has for this machine's architecture.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An image's configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Config {
    /// As Go names it.
    #[serde(default)]
    pub architecture: String,
    /// As Go names it.
    #[serde(default)]
    pub os: String,
    /// How to run it.
    #[serde(default)]
    pub config: Option<RunConfig>,
    /// Its layers.
    pub rootfs: RootFs,
}

/// The layers of a configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Digests of the uncompressed layers, lowest first.
    #[serde(default)]
    pub diff_ids: Vec<String>,
}

/// The part of a configuration that says how to run the image. Docker writes `null` for what is empty.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RunConfig {
    /// User.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// Program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Keys are paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<BTreeMap<String, serde_json::Value>>,
    /// Keys are ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
}

impl Config {
    /// Parses a configuration whose layers have digests that are understood.
    pub fn parse(bytes: &[u8]) -> Result<Config, ImageError> {
        let config: Config =
            serde_json::from_slice(bytes).map_err(|e| ImageError::Document(format!("configuration: {e}")))?;
        if let Some(bad) = config.rootfs.diff_ids.iter().find(|d| !super::name::is_digest(d)) {
            return Err(ImageError::Document(format!("unsupported layer digest {bad:?}")));
        }
        if config.rootfs.diff_ids.len() > MAX_LAYERS {
            return Err(ImageError::Document(format!("more than {MAX_LAYERS} layers")));
        }
        Ok(config)
    }

    /// What containers need of it.
    pub fn image_config(&self) -> ImageConfig {
        let run = self.config.clone().unwrap_or_default();
        let keys = |map: Option<BTreeMap<String, serde_json::Value>>| {
            map.unwrap_or_default().into_keys().collect::<Vec<_>>()
        };
        ImageConfig {
            user: run.user.unwrap_or_default(),
            env: run.env.unwrap_or_default(),
            entrypoint: run.entrypoint.unwrap_or_default(),
            cmd: run.cmd.unwrap_or_default(),
            working_dir: run.working_dir.unwrap_or_default(),
            stop_signal: run.stop_signal.unwrap_or_default(),
            volumes: keys(run.volumes),
            exposed_ports: keys(run.exposed_ports),
            labels: run.labels.unwrap_or_default(),
        }
    }
}
