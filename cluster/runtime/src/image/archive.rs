//! Importing archives: `docker save` and OCI image layouts, plain or compressed.
//!
//! The files of the archive are spooled flat into temporary files under names of our own; the names in
//! the archive are only keys.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::ImageInfo;
use super::document::{Config, Descriptor, MAX_CONFIG, Manifest};
use super::layer;
use super::name::Name;
use super::store::Store;
use crate::error::ImageError;

/// Largest file in an archive, which is a layer.
const MAX_FILE: u64 = 64 << 30;
/// Most files in an archive.
const MAX_FILES: usize = 100_000;
/// How deep an index may point to other indexes.
const MAX_NESTING: usize = 4;
/// Annotations that hold a name.
const NAME_ANNOTATIONS: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

/// An entry of docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

enum Item {
    File { path: PathBuf, digest: String, size: u64 },
    Link(String),
}

struct Spool<'a> {
    archive: &'a Path,
    store: &'a Store,
    items: HashMap<String, Item>,
}

impl Drop for Spool<'_> {
    fn drop(&mut self) {
        for item in self.items.values() {
            if let Item::File { path, .. } = item
                && let Err(e) = std::fs::remove_file(path)
            {
                tracing::warn!(path = %path.display(), "leftover of an import: {e}");
            }
        }
    }
}

/// Imports all images of an archive under their names.
pub fn import(store: &Store, path: &Path) -> Result<Vec<ImageInfo>, ImageError> {
    let _arriving = store.arriving();
    let spool = Spool::read(store, path)?;
    if spool.items.contains_key("manifest.json") {
        return spool.docker_images();
    }
    if spool.items.contains_key("index.json") {
        let index = Manifest::parse(&spool.bytes("index.json")?)?;
        let mut images = Vec::new();
        for descriptor in &index.manifests {
            images.extend(spool.oci_image(descriptor, &names_of(descriptor)?, 0)?);
        }
        return Ok(images);
    }
    Err(spool.damaged("neither manifest.json nor index.json: not an image archive"))
}

fn names_of(descriptor: &Descriptor) -> Result<Vec<Name>, ImageError> {
    let value = NAME_ANNOTATIONS.iter().find_map(|key| descriptor.annotations.get(*key));
    // The second annotation may hold a mere tag, of a repository that the archive does not name.
    let full = value.filter(|v| v.contains(['/', ':']));
    full.map(|v| Name::parse(v)).into_iter().collect()
}

impl<'a> Spool<'a> {
    fn read(store: &'a Store, archive: &'a Path) -> Result<Spool<'a>, ImageError> {
        let mut spool = Spool { archive, store, items: HashMap::new() };
        let file =
            File::open(archive).map_err(|source| ImageError::Io { path: archive.to_path_buf(), source })?;
        let damaged =
            |e: io::Error| ImageError::Archive { path: archive.to_path_buf(), reason: e.to_string() };
        let mut tar = tar::Archive::new(layer::decompress(file).map_err(damaged)?);
        for entry in tar.entries().map_err(damaged)? {
            let entry = entry.map_err(damaged)?;
            let name = clean(&entry.path().map_err(damaged)?);
            if spool.items.len() >= MAX_FILES {
                return Err(spool.damaged("too many files"));
            }
            let kind = entry.header().entry_type();
            if kind.is_file() {
                let (path, digest, size) = store.spool(entry, MAX_FILE)?;
                spool.items.insert(name, Item::File { path, digest, size });
            } else if kind.is_symlink() || kind.is_hard_link() {
                let target = entry.link_name().map_err(damaged)?.unwrap_or_default();
                // A hard link's target is a path of the archive, a symbolic link's is relative to its own.
                let target = match (kind.is_symlink(), Path::new(&name).parent()) {
                    (true, Some(parent)) => clean(&parent.join(&target)),
                    _ => clean(&target),
                };
                spool.items.insert(name, Item::Link(target));
            }
        }
        Ok(spool)
    }

    fn damaged(&self, reason: impl Into<String>) -> ImageError {
        ImageError::Archive { path: self.archive.to_path_buf(), reason: reason.into() }
    }

    fn file(&self, name: &str) -> Result<(&Path, &str, u64), ImageError> {
        let mut name = name.to_owned();
        for _ in 0..8 {
            match self.items.get(&clean(Path::new(&name))) {
                Some(Item::File { path, digest, size }) => return Ok((path, digest, *size)),
                Some(Item::Link(target)) => name = target.clone(),
                None => break,
            }
        }
        Err(self.damaged(format!("{name} is missing")))
    }

    /// A document.
    fn bytes(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let (path, _, size) = self.file(name)?;
        if size > MAX_CONFIG {
            return Err(ImageError::TooLarge { what: "image document", limit: MAX_CONFIG });
        }
        std::fs::read(path).map_err(|source| ImageError::Io { path: path.to_path_buf(), source })
    }

    /// A blob of an OCI layout; its content must be its name.
    fn blob(&self, digest: &str) -> Result<(&Path, u64), ImageError> {
        let (path, got, size) = self.file(&blob_name(digest))?;
        if got != digest {
            return Err(ImageError::BadDigest { expected: digest.to_owned(), got: got.to_owned() });
        }
        Ok((path, size))
    }

    fn docker_images(&self) -> Result<Vec<ImageInfo>, ImageError> {
        let list: Vec<DockerImage> = serde_json::from_slice(&self.bytes("manifest.json")?)
            .map_err(|e| self.damaged(format!("manifest.json: {e}")))?;
        let mut images = Vec::new();
        for image in list {
            let config_bytes = self.bytes(&image.config)?;
            let names = image.repo_tags.unwrap_or_default();
            let names = names.iter().map(|n| Name::parse(n)).collect::<Result<Vec<_>, _>>()?;
            let mut layers = Vec::new();
            for layer in &image.layers {
                let (path, _, size) = self.file(layer)?;
                layers.push((path, None, size));
            }
            images.push(self.enter(&config_bytes, None, &layers, &names, &[])?);
        }
        Ok(images)
    }

    /// What a descriptor of an index points to; nothing when it is for other machines.
    fn oci_image(
        &self,
        descriptor: &Descriptor,
        names: &[Name],
        depth: usize,
    ) -> Result<Option<ImageInfo>, ImageError> {
        if depth > MAX_NESTING {
            return Err(self.damaged("indexes point to indexes too deeply"));
        }
        self.blob(&descriptor.digest)?;
        let manifest_bytes = self.bytes(&blob_name(&descriptor.digest))?;
        let manifest = Manifest::parse(&manifest_bytes)?;
        let Some(config) = &manifest.config else {
            return match manifest.for_this_machine() {
                Some(inner) => self.oci_image(inner, names, depth + 1),
                None => Ok(None),
            };
        };
        self.blob(&config.digest)?;
        let config_bytes = self.bytes(&blob_name(&config.digest))?;
        let mut layers = Vec::new();
        for layer in &manifest.layers {
            let (path, size) = self.blob(&layer.digest)?;
            layers.push((path, Some(layer.digest.as_str()), size));
        }
        let digests: Vec<String> = names.iter().map(|n| n.with_digest(&descriptor.digest)).collect();
        self.enter(&config_bytes, Some(&manifest_bytes), &layers, names, &digests).map(Some)
    }

    fn enter(
        &self,
        config_bytes: &[u8],
        manifest: Option<&[u8]>,
        layers: &[(&Path, Option<&str>, u64)],
        names: &[Name],
        digests: &[String],
    ) -> Result<ImageInfo, ImageError> {
        let config = Config::parse(config_bytes)?;
        if config.rootfs.diff_ids.len() != layers.len() {
            return Err(self.damaged("configuration and manifest disagree about the layers"));
        }
        for (diff_id, (path, compressed, _)) in config.rootfs.diff_ids.iter().zip(layers) {
            self.store.unpack_layer(diff_id, *compressed, || File::open(path))?;
        }
        let size = layers.iter().map(|(_, _, size)| size).sum::<u64>() + config_bytes.len() as u64;
        self.store.enter(config_bytes, manifest, names, digests, size)
    }
}

fn blob_name(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

/// A key for a path: without dots; what climbs above the archive stays at its top.
fn clean(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    parts.join("/")
}
