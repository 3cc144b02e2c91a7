//! The content-addressed store: blobs, layers and the index of images.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::document::{Config, MAX_CONFIG};
use super::name::{self, Name};
use super::{ImageInfo, layer};
use crate::error::ImageError;
use crate::sys;

/// Hexadecimal digits of a layer's directory name: enough to never collide, short enough for 200 of them
/// to fit a page of mount options.
const LAYER_NAME: usize = 16;

/// An image as the index keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// What is told about it; `names` and `digests` are the ones it is found by.
    pub info: ImageInfo,
    /// Digests of its uncompressed layers, lowest first.
    pub diff_ids: Vec<String>,
    /// Digests of the blobs kept for it.
    pub blobs: BTreeSet<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Index {
    images: BTreeMap<String, Record>,
    /// Digest of a compressed layer to the digest of what is in it.
    #[serde(default)]
    compressed: BTreeMap<String, String>,
}

/// The image store of one root. All methods block.
pub struct Store {
    dir: PathBuf,
    index: Mutex<Index>,
    /// Layers that are being unpacked, each under a lock of its own.
    unpacking: Mutex<HashMap<String, Arc<Mutex<()>>>>,
    /// How many images are on their way in: their layers belong to no image yet.
    arriving: Arc<()>,
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> ImageError + '_ {
    move |source| ImageError::Io { path: path.to_path_buf(), source }
}

/// Digest of some bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

impl Store {
    /// Opens `dir`, making it when absent, and clears what an interrupted process has left.
    pub fn open(dir: PathBuf) -> Result<Store, ImageError> {
        for sub in ["blobs/sha256", "layers"] {
            let path = dir.join(sub);
            std::fs::create_dir_all(&path).map_err(io_error(&path))?;
        }
        let temporary = dir.join("tmp");
        match std::fs::remove_dir_all(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io_error(&temporary)(e)),
            _ => std::fs::create_dir(&temporary).map_err(io_error(&temporary))?,
        }
        let path = dir.join("index.json");
        let index = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|e| ImageError::DamagedIndex { path, reason: e.to_string() })?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Index::default(),
            Err(e) => return Err(io_error(&path)(e)),
        };
        let store =
            Store { dir, index: Mutex::new(index), unpacking: Mutex::default(), arriving: Arc::new(()) };
        store.forget_broken()?;
        Ok(store)
    }

    /// Forgets the images of which a part is gone, so that they are pulled again rather than fail to start.
    fn forget_broken(&self) -> Result<(), ImageError> {
        let mut index = self.index.lock();
        let whole = |record: &Record| {
            record.diff_ids.iter().all(|layer| self.has_layer(layer)) && self.blob(&record.info.id).is_ok()
        };
        let broken: Vec<String> =
            index.images.iter().filter(|(_, record)| !whole(record)).map(|(id, _)| id.clone()).collect();
        for id in &broken {
            let record = index.images.remove(id);
            let names = record.map(|record| record.info.names).unwrap_or_default();
            tracing::warn!(image = %id, ?names, "a part of this image is missing or damaged: it is forgotten; pull or import it again");
        }
        if broken.is_empty() { Ok(()) } else { self.save(&index) }
    }

    /// Keeps the garbage collector away while the returned value lives.
    pub fn arriving(&self) -> Arc<()> {
        let index = self.index.lock();
        let arriving = self.arriving.clone();
        drop(index);
        arriving
    }

    /// A new path for a temporary file or directory on the store's file system.
    pub fn temporary(&self) -> PathBuf {
        self.dir.join("tmp").join(uuid::Uuid::new_v4().simple().to_string())
    }

    fn blob_path(&self, digest: &str) -> PathBuf {
        self.dir.join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
    }

    /// Directory name of a layer, beneath `layers`.
    pub fn layer_name(diff_id: &str) -> &str {
        let hex = diff_id.trim_start_matches("sha256:");
        &hex[..LAYER_NAME.min(hex.len())]
    }

    fn layer_path(&self, diff_id: &str) -> PathBuf {
        self.dir.join("layers").join(Store::layer_name(diff_id))
    }

    /// Whether an unpacked layer is present.
    pub fn has_layer(&self, diff_id: &str) -> bool {
        self.layer_path(diff_id).is_dir()
    }

    /// Whether the content of a compressed layer is present.
    pub fn has_compressed(&self, digest: &str) -> bool {
        let known = self.index.lock().compressed.get(digest).cloned();
        known.is_some_and(|diff_id| self.has_layer(&diff_id))
    }

    /// Stores a small blob.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<String, ImageError> {
        let digest = digest_of(bytes);
        let path = self.blob_path(&digest);
        if self.blob(&digest).is_err() {
            sys::replace_file(&path, bytes, true).map_err(io_error(&path))?;
        }
        Ok(digest)
    }

    /// Reads a small blob, verifying it.
    pub fn blob(&self, digest: &str) -> Result<Vec<u8>, ImageError> {
        let path = self.blob_path(digest);
        let mut bytes = Vec::new();
        let file = File::open(&path).map_err(io_error(&path))?;
        file.take(MAX_CONFIG + 1).read_to_end(&mut bytes).map_err(io_error(&path))?;
        let got = digest_of(&bytes);
        if got != digest {
            return Err(ImageError::BadDigest { expected: digest.to_owned(), got });
        }
        Ok(bytes)
    }

    /// Unpacks a layer unless it is present; the content must be what `diff_id` says.
    pub fn unpack_layer(
        &self,
        diff_id: &str,
        compressed: Option<&str>,
        source: impl FnOnce() -> io::Result<File>,
    ) -> Result<(), ImageError> {
        let turn = self.unpacking.lock().entry(diff_id.to_owned()).or_default().clone();
        let guard = turn.lock();
        let result = if self.has_layer(diff_id) { Ok(()) } else { self.unpack_absent(diff_id, source) };
        drop(guard);
        self.unpacking.lock().remove(diff_id);
        result?;
        if let Some(compressed) = compressed {
            self.index.lock().compressed.insert(compressed.to_owned(), diff_id.to_owned());
        }
        Ok(())
    }

    fn unpack_absent(
        &self,
        diff_id: &str,
        source: impl FnOnce() -> io::Result<File>,
    ) -> Result<(), ImageError> {
        let layer_error =
            |e: io::Error| ImageError::Layer { digest: diff_id.to_owned(), reason: e.to_string() };
        let temporary = self.temporary();
        std::fs::create_dir(&temporary).map_err(io_error(&temporary))?;
        let unpacked = source().and_then(|file| layer::unpack(file, &temporary)).map_err(layer_error);
        let checked = unpacked.and_then(|got| match got == diff_id {
            true => Ok(()),
            false => Err(ImageError::BadDigest { expected: diff_id.to_owned(), got }),
        });
        let done = checked.and_then(|()| {
            let dir = File::open(&temporary).map_err(io_error(&temporary))?;
            // Before it gets its name, so that a name always stands for a whole layer.
            rustix::fs::syncfs(&dir).map_err(|e| io_error(&temporary)(e.into()))?;
            let path = self.layer_path(diff_id);
            std::fs::rename(&temporary, &path).map_err(io_error(&path))
        });
        if done.is_err()
            && let Err(e) = std::fs::remove_dir_all(&temporary)
        {
            tracing::warn!(path = %temporary.display(), "leftover of a failed unpacking: {e}");
        }
        done
    }

    /// Enters an image whose layers are present. Names move from other images to it.
    pub fn enter(
        &self,
        config_bytes: &[u8],
        manifest: Option<&[u8]>,
        names: &[Name],
        repo_digests: &[String],
        size: u64,
    ) -> Result<ImageInfo, ImageError> {
        let config = Config::parse(config_bytes)?;
        let id = self.put_blob(config_bytes)?;
        let mut blobs = BTreeSet::from([id.clone()]);
        if let Some(manifest) = manifest {
            blobs.insert(self.put_blob(manifest)?);
        }
        let mut index = self.index.lock();
        let names: Vec<String> = names.iter().filter(|n| n.digest.is_none()).map(Name::to_string).collect();
        for record in index.images.values_mut() {
            record.info.names.retain(|n| !names.contains(n));
        }
        let record = index.images.entry(id.clone()).or_insert_with(|| Record {
            info: ImageInfo { id, size, config: config.image_config(), ..ImageInfo::default() },
            diff_ids: config.rootfs.diff_ids.clone(),
            blobs: BTreeSet::new(),
        });
        record.blobs.extend(blobs);
        add_missing(&mut record.info.names, names);
        add_missing(&mut record.info.digests, repo_digests.iter().cloned());
        let info = record.info.clone();
        self.save(&index)?;
        Ok(info)
    }

    fn save(&self, index: &Index) -> Result<(), ImageError> {
        let path = self.dir.join("index.json");
        let bytes = serde_json::to_vec(index).map_err(|e| ImageError::Document(e.to_string()))?;
        sys::replace_file(&path, &bytes, true).map_err(io_error(&path))
    }

    /// Finds an image by id, unambiguous beginning of an id, name, or name with digest.
    pub fn find(&self, image: &str) -> Option<Record> {
        let index = self.index.lock();
        let id = if name::is_hex(image) { format!("sha256:{image}") } else { image.to_owned() };
        if let Some(record) = index.images.get(&id) {
            return Some(record.clone());
        }
        let full = Name::parse(image).ok()?.to_string();
        let has = |r: &&Record| r.info.names.contains(&full) || r.info.digests.contains(&full);
        index.images.values().find(has).cloned()
    }

    /// All images.
    pub fn list(&self) -> Vec<ImageInfo> {
        self.index.lock().images.values().map(|r| r.info.clone()).collect()
    }

    /// Removes a name, and the image with its last one; or by id the image with all names.
    /// `users` gives a container that uses an image id.
    pub fn remove(
        &self,
        image: &str,
        force: bool,
        users: impl Fn(&str) -> Option<String>,
    ) -> Result<(), ImageError> {
        let record = self.find(image).ok_or_else(|| ImageError::NotFound(image.to_owned()))?;
        let id = record.info.id.clone();
        let by_id = image == id || name::is_hex(image);
        let full = Name::parse(image).ok().map(|n| n.to_string()).unwrap_or_default();
        let left = |all: &[String]| all.iter().filter(|n| **n != full).cloned().collect::<Vec<_>>();
        let (names, digests) = (left(&record.info.names), left(&record.info.digests));
        let last = by_id || names.is_empty();
        if last
            && !force
            && let Some(container) = users(&id)
        {
            return Err(ImageError::InUse { image: image.to_owned(), container });
        }
        let mut index = self.index.lock();
        if last {
            index.images.remove(&id);
        } else if let Some(record) = index.images.get_mut(&id) {
            (record.info.names, record.info.digests) = (names, digests);
        }
        self.save(&index)
    }

    /// Removes blobs and layers that no image and no container uses (`in_use` holds layer directory names).
    pub fn collect_garbage(&self, in_use: &BTreeSet<String>) -> Result<(), ImageError> {
        let mut index = self.index.lock();
        if Arc::strong_count(&self.arriving) > 1 {
            return Ok(());
        }
        let layers: BTreeSet<&str> =
            index.images.values().flat_map(|r| &r.diff_ids).map(|d| Store::layer_name(d)).collect();
        let blobs: BTreeSet<&str> =
            index.images.values().flat_map(|r| &r.blobs).map(String::as_str).collect();
        let layer_dir = self.dir.join("layers");
        for name in entries(&layer_dir)? {
            if !layers.contains(name.as_str()) && !in_use.contains(&name) {
                // Renamed first, so that a half-removed layer never bears its name.
                let (path, temporary) = (layer_dir.join(&name), self.temporary());
                std::fs::rename(&path, &temporary).map_err(io_error(&path))?;
                std::fs::remove_dir_all(&temporary).map_err(io_error(&temporary))?;
            }
        }
        let blob_dir = self.dir.join("blobs/sha256");
        for name in entries(&blob_dir)? {
            if !blobs.contains(format!("sha256:{name}").as_str()) {
                let path = blob_dir.join(&name);
                std::fs::remove_file(&path).map_err(io_error(&path))?;
            }
        }
        index.compressed.retain(|_, diff_id| self.has_layer(diff_id));
        self.save(&index)
    }

    /// Copies a stream into a temporary file; returns it with its digest and length.
    pub fn spool(&self, mut source: impl Read, limit: u64) -> Result<(PathBuf, String, u64), ImageError> {
        let path = self.temporary();
        let mut file = File::create(&path).map_err(io_error(&path))?;
        let (mut hash, mut total) = (Sha256::new(), 0u64);
        let mut chunk = vec![0; 256 << 10];
        loop {
            let count = source.read(&mut chunk).map_err(io_error(&path))?;
            if count == 0 {
                break;
            }
            total += count as u64;
            if total > limit {
                return Err(ImageError::TooLarge { what: "blob", limit });
            }
            hash.update(&chunk[..count]);
            file.write_all(&chunk[..count]).map_err(io_error(&path))?;
        }
        Ok((path, format!("sha256:{}", hex::encode(hash.finalize())), total))
    }
}

fn add_missing(list: &mut Vec<String>, new: impl IntoIterator<Item = String>) {
    for item in new {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

fn entries(dir: &Path) -> Result<Vec<String>, ImageError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io_error(dir))? {
        names.push(entry.map_err(io_error(dir))?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
