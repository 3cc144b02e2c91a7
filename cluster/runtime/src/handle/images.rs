//! Operations on images.

use std::path::Path;

use super::{Runtime, machine, prepare};
use crate::error::{ImageError, PullError};
use crate::image::ImageInfo;
use crate::spec::RegistryAuth;
use crate::status::FsUsage;

impl Runtime {
    /// Pulls an image from its registry. Pulls of the same image share one transfer.
    pub async fn pull(&self, image: &str, auth: &[RegistryAuth]) -> Result<ImageInfo, PullError> {
        self.puller.pull(image, auth).await
    }

    /// A present image, by any name, digest or id.
    pub fn image(&self, image: &str) -> Option<ImageInfo> {
        self.shared.store.find(image).map(|record| record.info)
    }

    /// All present images.
    pub fn images(&self) -> Vec<ImageInfo> {
        self.shared.store.list()
    }

    /// Removes a name, or by id the whole image; refused while containers use it unless forced.
    pub async fn remove_image(&self, image: &str, force: bool) -> Result<(), ImageError> {
        let users: Vec<(String, String)> =
            self.containers().into_iter().map(|status| (status.image_id, status.id)).collect();
        let (shared, image) = (self.shared.clone(), image.to_owned());
        blocking(move || {
            let user = |id: &str| users.iter().find(|(image, _)| image == id).map(|(_, c)| c.clone());
            shared.store.remove(&image, force, user)?;
            shared.store.collect_garbage(&prepare::layers_in_use(&shared.cfg.root))
        })
        .await
    }

    /// Imports a docker-save or OCI-layout archive, plain or gzip.
    pub async fn import_archive(&self, path: &Path) -> Result<Vec<ImageInfo>, ImageError> {
        let (store, path) = (self.shared.store.clone(), path.to_path_buf());
        blocking(move || crate::image::import_archive(&store, &path)).await
    }

    /// Bytes used by images and layers.
    pub async fn image_fs_usage(&self) -> Result<FsUsage, ImageError> {
        let dir = self.shared.cfg.root.join("images");
        blocking(move || Ok(machine::usage(&dir))).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(e) => Err(ImageError::Io { path: "images".into(), source: std::io::Error::other(e) }),
        },
    }
}
