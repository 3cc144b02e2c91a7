//! The volumes of pods: made before the first container, kept current while the pod lives, removed with it.
//!
//! - `content`: which files (pure); `atomic`: how they are written; `token`: service account tokens
//! - `host_path`: paths of the node
//!
//! Secrets and tokens are kept in one tmpfs below the agent's directory, so that they never reach a disk. What is mounted
//! is found again in `/proc/self/mountinfo`: that is the journal.

pub mod atomic;
pub mod content;
mod host_path;
mod token;

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Volume};

use crate::env::{Objects, Place};
use crate::pod::spec;
use crate::quantity;
use content::ContentError;
use host_path::HostPathError;
use token::{TokenError, Tokens};

/// Why a volume is not there.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    HostPath(#[from] HostPathError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Sources(#[from] crate::sources::NotSynced),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the {0} volume type is not supported by this node yet")]
    Unsupported(&'static str),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> VolumeError + '_ {
    move |source| VolumeError::Io { path: path.to_owned(), source }
}

/// Where the agent keeps the files of pods.
#[derive(Clone, Debug)]
pub struct Layout {
    data_dir: PathBuf,
}

impl Layout {
    pub fn new(data_dir: &Path) -> Self {
        Layout { data_dir: data_dir.to_owned() }
    }

    /// Makes the directories, and the tmpfs for secrets when it is not mounted yet. Blocking.
    pub fn prepare(&self) -> io::Result<()> {
        fs::create_dir_all(self.data_dir.join("pods"))?;
        let memory = self.memory();
        fs::create_dir_all(&memory)?;
        fs::set_permissions(&memory, fs::Permissions::from_mode(0o711))?;
        if mounts_below(&memory)?.contains(&memory) {
            return Ok(());
        }
        mount_tmpfs(&memory, "mode=0711")
    }

    fn memory(&self) -> PathBuf {
        self.data_dir.join("memory")
    }

    pub fn pods(&self) -> PathBuf {
        self.data_dir.join("pods")
    }

    pub fn pod(&self, uid: &str) -> PathBuf {
        self.pods().join(uid)
    }

    fn pod_memory(&self, uid: &str) -> PathBuf {
        self.memory().join(uid)
    }

    /// The directory (or, for a hostPath, the path) that is mounted for a volume.
    pub fn volume(&self, uid: &str, volume: &Volume) -> PathBuf {
        if let Some(h) = &volume.host_path {
            return PathBuf::from(&h.path);
        }
        let (base, kind) = if volume.empty_dir.is_some() {
            (self.pod(uid), "kubernetes.io~empty-dir")
        } else if volume.config_map.is_some() {
            (self.pod(uid), "kubernetes.io~configmap")
        } else if volume.secret.is_some() {
            (self.pod_memory(uid), "kubernetes.io~secret")
        } else if volume.downward_api.is_some() {
            (self.pod(uid), "kubernetes.io~downward-api")
        } else {
            (self.pod_memory(uid), "kubernetes.io~projected")
        };
        base.join("volumes").join(kind).join(&volume.name)
    }

    /// Where a container writes its last words.
    pub fn termination_log(&self, uid: &str, container: &str, attempt: u32) -> PathBuf {
        self.pod(uid).join("containers").join(container).join(attempt.to_string())
    }

    /// Unmounts and removes everything of a pod. Blocking.
    pub fn remove_pod(&self, uid: &str) -> io::Result<()> {
        for dir in [self.pod(uid), self.pod_memory(uid)] {
            unmount_below(&dir)?;
            remove_tree(&dir)?;
        }
        Ok(())
    }

    /// Removes a finished pod's volumes, but not what its logs and status need. Blocking.
    pub fn remove_volumes(&self, uid: &str) -> io::Result<()> {
        unmount_below(&self.pod(uid))?;
        remove_tree(&self.pod(uid).join("volumes"))?;
        remove_tree(&self.pod_memory(uid))
    }

    /// The uids of all pods that have a directory. Blocking.
    pub fn known_pods(&self) -> io::Result<Vec<String>> {
        let mut uids = Vec::new();
        for dir in [self.pods(), self.memory()] {
            for entry in fs::read_dir(dir)? {
                uids.push(entry?.file_name().to_string_lossy().into_owned());
            }
        }
        uids.sort();
        uids.dedup();
        Ok(uids)
    }

    /// Unmounts everything below the agent's directory. Blocking.
    pub fn unmount_all(&self) -> io::Result<()> {
        unmount_below(&self.data_dir)
    }
}

fn remove_tree(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn mount_tmpfs(target: &Path, options: &str) -> io::Result<()> {
    let options = std::ffi::CString::new(options).map_err(io::Error::other)?;
    let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
    rustix::mount::mount("tmpfs", target, "tmpfs", flags, Some(options.as_c_str())).map_err(io::Error::from)
}

/// Mount points at or below `dir`, the deepest first.
fn mounts_below(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let mut found: Vec<PathBuf> = text
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|p| PathBuf::from(p.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")))
        .filter(|p| p.starts_with(dir))
        .collect();
    found.sort();
    found.reverse();
    Ok(found)
}

fn unmount_below(dir: &Path) -> io::Result<()> {
    for mount in mounts_below(dir)? {
        rustix::mount::unmount(&mount, rustix::mount::UnmountFlags::DETACH)?;
    }
    Ok(())
}

/// The volumes of one pod: made by [`PodVolumes::prepare`], kept current by [`PodVolumes::refresh`].
pub struct PodVolumes {
    layout: Layout,
    client: kube::Client,
    /// Held while files are written: there is one writer.
    tokens: tokio::sync::Mutex<Tokens>,
}

impl PodVolumes {
    pub fn new(layout: Layout, client: kube::Client) -> Self {
        PodVolumes { layout, client, tokens: tokio::sync::Mutex::default() }
    }

    /// Makes every volume, or makes good what is missing. The message of an error names the volume.
    pub async fn prepare(&self, pod: &Arc<Pod>, objects: &Objects, place: &Place) -> Result<(), String> {
        self.write(pod, objects, place, true).await
    }

    /// Writes what changed in ConfigMaps, Secrets, the pod's own fields and tokens.
    pub async fn refresh(&self, pod: &Arc<Pod>, objects: &Objects, place: &Place) -> Result<(), String> {
        self.write(pod, objects, place, false).await
    }

    /// When a token wants to be renewed.
    pub async fn renew_at(&self) -> Option<Timestamp> {
        self.tokens.lock().await.renew_at()
    }

    async fn write(&self, pod: &Arc<Pod>, objects: &Objects, place: &Place, all: bool) -> Result<(), String> {
        let mut held = self.tokens.lock().await;
        if let Err(e) = held.renew(&self.client, pod, Timestamp::now()).await {
            let volumes = || spec::spec(pod).volumes.iter().flatten();
            let volume = volumes().find(|v| content::token_projections(v).next().is_some());
            return Err(set_up_failed(volume.map_or("", |v| &v.name), &e.into()));
        }
        let tokens = held.values();
        let (pod, objects, place, layout) =
            (pod.clone(), objects.clone(), place.clone(), self.layout.clone());
        let work = move || {
            let facts = content::Facts { pod: &pod, place: &place, objects: &objects, tokens: &tokens };
            for volume in spec::spec(&pod).volumes.iter().flatten() {
                set_up(&layout, &facts, volume, all).map_err(|e| set_up_failed(&volume.name, &e))?;
            }
            Ok(())
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| e.to_string())?
    }
}

fn set_up_failed(volume: &str, error: &VolumeError) -> String {
    format!("MountVolume.SetUp failed for volume \"{volume}\" : {error}")
}

/// Whether containers may not write into the volume, whatever their mounts say.
pub fn is_api_data(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
}

fn set_up(
    layout: &Layout,
    facts: &content::Facts<'_>,
    volume: &Volume,
    all: bool,
) -> Result<(), VolumeError> {
    let uid = spec::uid(facts.pod);
    let dir = layout.volume(uid, volume);
    let group = fs_group(facts.pod);
    if let Some(payload) = content::payload(facts, volume)? {
        fs::create_dir_all(&dir).map_err(at(&dir))?;
        let mode = if group.is_some() { 0o2775 } else { 0o755 };
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).map_err(at(&dir))?;
        atomic::write(&dir, &payload, group, Timestamp::now()).map_err(at(&dir))?;
        return Ok(());
    }
    if !all {
        return Ok(());
    }
    if let Some(source) = &volume.empty_dir {
        if dir.exists() {
            return Ok(());
        }
        fs::create_dir_all(&dir).map_err(at(&dir))?;
        if source.medium.as_deref() == Some("Memory") {
            let limit = source.size_limit.as_ref().map(quantity::value).filter(|l| *l > 0);
            let size = limit.map_or(String::new(), |l| format!(",size={l}"));
            mount_tmpfs(&dir, &format!("mode=0777{size}")).map_err(at(&dir))?;
        }
        let mode = if group.is_some() { 0o2777 } else { 0o777 };
        chown(&dir, None, group).map_err(at(&dir))?;
        return fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).map_err(at(&dir));
    }
    if let Some(source) = &volume.host_path {
        return Ok(host_path::check(&source.path, source.type_.as_deref().unwrap_or(""))?);
    }
    Err(VolumeError::Unsupported(kind(volume)))
}

/// The group that owns the pod's volumes.
pub fn fs_group(pod: &Pod) -> Option<u32> {
    let context = spec::spec(pod).security_context.as_ref()?;
    context.fs_group.and_then(|g| u32::try_from(g).ok())
}

fn kind(volume: &Volume) -> &'static str {
    let kinds = [
        (volume.persistent_volume_claim.is_some(), "persistentVolumeClaim"),
        (volume.csi.is_some(), "csi"),
        (volume.ephemeral.is_some(), "ephemeral"),
        (volume.nfs.is_some(), "nfs"),
        (volume.image.is_some(), "image"),
        (volume.iscsi.is_some(), "iscsi"),
    ];
    kinds.into_iter().find(|(is, _)| *is).map_or("given", |(_, name)| name)
}
