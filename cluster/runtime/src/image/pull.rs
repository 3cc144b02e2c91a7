//! Fetching an image: manifest, configuration, layers; each at most once at a time.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt, Shared};
use futures::stream::{self, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::ImageInfo;
use super::document::{ACCEPTED, Config, Descriptor, MAX_CONFIG, MAX_MANIFEST, Manifest};
use super::name::Name;
use super::registry::{Endpoint, Refusal, Registries};
use super::store::{Store, digest_of};
use crate::error::{ImageError, PullError};
use crate::spec::{RegistryAuth, RegistryConfig};

/// Layers of one image fetched at a time.
const CONCURRENT_LAYERS: usize = 4;
/// Largest compressed layer.
const MAX_LAYER: u64 = 32 << 30;

type Outcome = Result<ImageInfo, Arc<PullError>>;
/// The image's name and the credentials in use.
type Key = (String, Vec<String>);
type Running = Shared<BoxFuture<'static, Outcome>>;

/// Pulls images into a store.
pub struct Puller {
    inner: Arc<Inner>,
    running: Arc<Mutex<HashMap<Key, Running>>>,
}

struct Inner {
    store: Arc<Store>,
    registries: Registries,
}

/// One image on its way.
struct Job {
    inner: Arc<Inner>,
    name: Name,
    endpoint: Endpoint,
}

impl Puller {
    /// Pulls into `store`.
    pub fn new(store: Arc<Store>, cfg: RegistryConfig) -> Puller {
        let inner = Arc::new(Inner { store, registries: Registries::new(cfg) });
        Puller { inner, running: Arc::default() }
    }

    /// Pulls an image, or waits for the pull of it that is going on with the same credentials.
    pub async fn pull(&self, image: &str, auth: &[RegistryAuth]) -> Result<ImageInfo, PullError> {
        let name = Name::parse(image).map_err(|e| match e {
            ImageError::InvalidName { name, reason } => PullError::InvalidName { name, reason },
            source => PullError::Store { image: image.to_owned(), source },
        })?;
        let credentials = candidates(&name, auth);
        let who =
            credentials.iter().map(|c| c.as_ref().map_or(String::new(), |a| format!("{a:?}"))).collect();
        let key = (name.to_string(), who);
        let running = {
            let mut running = self.running.lock();
            match running.get(&key) {
                Some(pull) => pull.clone(),
                None => {
                    let (inner, all, done) = (self.inner.clone(), self.running.clone(), key.clone());
                    let work = async move {
                        let outcome = pull_anywhere(&inner, &name, &credentials).await.map_err(Arc::new);
                        all.lock().remove(&done);
                        outcome
                    };
                    // A task of its own: it goes on when the one who asked first goes away.
                    let task = tokio::spawn(work);
                    let image = key.0.clone();
                    let pull = async move {
                        task.await.unwrap_or_else(|e| {
                            let source = ImageError::Document(format!("the pull was aborted: {e}"));
                            Err(Arc::new(PullError::Store { image, source }))
                        })
                    };
                    let pull = pull.boxed().shared();
                    running.insert(key, pull.clone());
                    pull
                }
            }
        };
        running.await.map_err(|e| Arc::try_unwrap(e).unwrap_or_else(PullError::Shared))
    }
}

/// Credentials that fit a name, the most specific first; without any, none.
fn candidates(name: &Name, auth: &[RegistryAuth]) -> Vec<Option<RegistryAuth>> {
    let base = name.base();
    let trimmed = |registry: &str| {
        let plain =
            registry.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
        match plain {
            "index.docker.io/v1" | "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
            other => other.to_owned(),
        }
    };
    let fits = |a: &&RegistryAuth| {
        let prefix = trimmed(&a.registry);
        prefix.is_empty()
            || base.strip_prefix(&prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut found: Vec<RegistryAuth> = auth.iter().filter(fits).cloned().collect();
    found.sort_by_key(|a| std::cmp::Reverse(trimmed(&a.registry).len()));
    if found.is_empty() { vec![None] } else { found.into_iter().map(Some).collect() }
}

/// Tries every credential on every host; a refusal that another credential or host may not give goes on.
async fn pull_anywhere(
    inner: &Arc<Inner>,
    name: &Name,
    credentials: &[Option<RegistryAuth>],
) -> Result<ImageInfo, PullError> {
    let hosts = inner.registries.hosts(&name.registry);
    let mut last = None;
    for host in &hosts {
        for auth in credentials {
            let endpoint =
                Endpoint { host: host.clone(), repository: name.repository.clone(), auth: auth.clone() };
            let job = Job { inner: inner.clone(), name: name.clone(), endpoint };
            match job.run().await {
                Ok(image) => return Ok(image),
                Err(e @ (PullError::Store { .. } | PullError::InvalidName { .. })) => return Err(e),
                Err(e) => {
                    let unauthorized = matches!(e, PullError::Unauthorized { .. });
                    last = Some(e);
                    if !unauthorized {
                        break;
                    }
                }
            }
        }
    }
    Err(last.unwrap_or_else(|| PullError::NotFound { image: name.to_string() }))
}

impl Job {
    fn refused(&self, refusal: Refusal) -> PullError {
        let (image, registry) = (self.name.to_string(), self.endpoint.host.clone());
        match refusal {
            Refusal::NotFound => PullError::NotFound { image },
            Refusal::Unauthorized(reason) => PullError::Unauthorized { image, reason },
            Refusal::Unreachable(reason) => PullError::Unreachable { image, registry, reason },
            Refusal::Other(reason) => PullError::Registry { image, registry, reason },
        }
    }

    fn stored(&self, error: ImageError) -> PullError {
        let image = self.name.to_string();
        match error {
            ImageError::BadDigest { expected, got } => PullError::BadDigest { image, expected, got },
            ImageError::Document(reason) => PullError::Manifest { image, reason },
            source => PullError::Store { image, source },
        }
    }

    async fn run(&self) -> Result<ImageInfo, PullError> {
        let _arriving = self.inner.store.arriving();
        let image = || self.name.to_string();
        let reference = self.name.reference();
        let top = self.fetch_manifest(reference, self.name.digest.as_deref()).await?;
        let top_digest = digest_of(&top);
        let mut bytes = top;
        let mut manifest = Manifest::parse(&bytes).map_err(|e| self.stored(e))?;
        if manifest.config.is_none() {
            let reason = format!("no matching manifest for linux/{}", super::document::architecture());
            let found = manifest.for_this_machine().cloned();
            let found = found.ok_or_else(|| PullError::Manifest { image: image(), reason })?;
            bytes = self.fetch_manifest(&found.digest, Some(&found.digest)).await?;
            manifest = Manifest::parse(&bytes).map_err(|e| self.stored(e))?;
        }
        let missing =
            || PullError::Manifest { image: image(), reason: "manifest without configuration".into() };
        let descriptor = manifest.config.clone().ok_or_else(missing)?;
        let config_bytes = self.fetch_config(&descriptor).await?;
        let config = Config::parse(&config_bytes).map_err(|e| self.stored(e))?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            let reason = "configuration and manifest disagree about the layers".to_owned();
            return Err(PullError::Manifest { image: image(), reason });
        }
        self.fetch_layers(&config.rootfs.diff_ids, &manifest.layers).await?;
        let size = manifest.layers.iter().map(|l| l.size).sum::<u64>() + config_bytes.len() as u64;
        let (store, names) = (self.inner.store.clone(), [self.name.clone()]);
        let digests = [self.name.with_digest(&top_digest)];
        let enter = move || store.enter(&config_bytes, Some(&bytes), &names, &digests, size);
        self.blocking(enter).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
    ) -> Result<T, PullError> {
        let result = tokio::task::spawn_blocking(work).await;
        let result =
            result.unwrap_or_else(|e| Err(ImageError::Document(format!("unpacking was aborted: {e}"))));
        result.map_err(|e| self.stored(e))
    }

    async fn fetch_manifest(&self, reference: &str, digest: Option<&str>) -> Result<Vec<u8>, PullError> {
        let manifest = self.inner.registries.manifest(&self.endpoint, reference, ACCEPTED, MAX_MANIFEST);
        let bytes = manifest.await.map_err(|e| self.refused(e))?;
        self.verify(digest, digest_of(&bytes))?;
        Ok(bytes)
    }

    fn verify(&self, expected: Option<&str>, got: String) -> Result<(), PullError> {
        match expected {
            Some(expected) if expected != got => {
                let image = self.name.to_string();
                Err(PullError::BadDigest { image, expected: expected.to_owned(), got })
            }
            _ => Ok(()),
        }
    }

    async fn fetch_config(&self, descriptor: &Descriptor) -> Result<Vec<u8>, PullError> {
        if let Ok(bytes) = self.inner.store.blob(&descriptor.digest) {
            return Ok(bytes);
        }
        let file = self.download(descriptor, MAX_CONFIG).await?;
        let io_error = |source| ImageError::Io { path: file.path().to_owned(), source };
        std::fs::read(file.path()).map_err(io_error).map_err(|e| self.stored(e))
    }

    /// Fetches and unpacks what is missing of the layers. The first failure ends the other downloads; when
    /// this returns, nothing of them is going on or left behind.
    async fn fetch_layers(&self, diff_ids: &[String], layers: &[Descriptor]) -> Result<(), PullError> {
        let failed = CancellationToken::new();
        let mut fetches: Vec<BoxFuture<'_, Result<(), PullError>>> = Vec::new();
        for (diff_id, layer) in diff_ids.iter().zip(layers) {
            fetches.push(self.fetch_layer(diff_id, layer, &failed).boxed());
        }
        let outcomes: Vec<_> = stream::iter(fetches)
            .buffer_unordered(CONCURRENT_LAYERS)
            .inspect_err(|_| failed.cancel())
            .collect()
            .await;
        outcomes.into_iter().collect()
    }

    /// One layer; nothing is done, and that is no error, once another has failed.
    async fn fetch_layer(
        &self,
        diff_id: &str,
        layer: &Descriptor,
        failed: &CancellationToken,
    ) -> Result<(), PullError> {
        let store = self.inner.store.clone();
        if store.has_compressed(&layer.digest) || store.has_layer(diff_id) {
            return Ok(());
        }
        let Some(file) = failed.run_until_cancelled(self.download(layer, MAX_LAYER)).await else {
            return Ok(());
        };
        let file = file?;
        let (diff_id, digest) = (diff_id.to_owned(), layer.digest.clone());
        let unpack = move || store.unpack_layer(&diff_id, Some(&digest), || File::open(file.path()));
        self.blocking(unpack).await
    }

    /// Downloads a blob into a temporary file and verifies it.
    async fn download(&self, descriptor: &Descriptor, limit: u64) -> Result<Temporary, PullError> {
        let blob = self.inner.registries.blob(&self.endpoint, &descriptor.digest);
        let mut response = blob.await.map_err(|e| self.refused(e))?;
        let path = self.inner.store.temporary();
        let io_error = |source| self.stored(ImageError::Io { path: path.clone(), source });
        let mut file = File::create(&path).map_err(io_error)?;
        let temporary = Temporary(path.clone());
        let (mut hash, mut total) = (Sha256::new(), 0u64);
        while let Some(chunk) = response.chunk().await.map_err(|e| self.broken(e))? {
            total += chunk.len() as u64;
            if total > limit {
                return Err(self.stored(ImageError::TooLarge { what: "blob", limit }));
            }
            hash.update(&chunk);
            // A page cache write: shorter than handing it to another thread.
            file.write_all(&chunk).map_err(io_error)?;
        }
        self.verify(Some(&descriptor.digest), hex_digest(hash))?;
        Ok(temporary)
    }

    fn broken(&self, error: reqwest::Error) -> PullError {
        self.refused(Refusal::Unreachable(error.without_url().to_string()))
    }
}

/// A file on its way into the store; it is removed however its way ends.
struct Temporary(PathBuf);

impl Temporary {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), "leftover of a download: {e}");
        }
    }
}

fn hex_digest(hash: Sha256) -> String {
    format!("sha256:{}", hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_credential_comes_first() {
        let auth = |registry: &str| RegistryAuth { registry: registry.into(), ..RegistryAuth::default() };
        let all = [
            auth(""),
            auth("quay.io"),
            auth("https://index.docker.io/v1/"),
            auth("quay.io/team"),
            auth("quay.io/te"),
        ];
        let order = |image: &str| -> Vec<String> {
            let name = Name::parse(image).expect("name");
            candidates(&name, &all).into_iter().flatten().map(|a| a.registry).collect()
        };
        assert_eq!(order("quay.io/team/app"), ["quay.io/team", "quay.io", ""]);
        assert_eq!(order("busybox"), ["https://index.docker.io/v1/", ""]);
        assert_eq!(candidates(&Name::parse("a").expect("name"), &[]), [None]);
    }
}
