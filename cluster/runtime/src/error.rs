//! How operations fail: one enum per family, each variant saying what happened.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Opening the runtime failed.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A directory or file of the root could not be made or read.
    #[error("runtime root {path}: {source}")]
    Root {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No usable cgroup hierarchy.
    #[error("cgroups: {0}")]
    Cgroup(io::Error),
    /// The image store or the built-in images are damaged.
    #[error(transparent)]
    Images(#[from] ImageError),
    /// Another live agent owns this root.
    #[error("runtime root {0} is in use by another process")]
    Busy(PathBuf),
    /// The kernel lacks something this runtime stands on.
    #[error("this kernel is too old or restricted: {0}")]
    Kernel(&'static str),
}

/// An operation on a sandbox or container failed.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// No such sandbox.
    #[error("sandbox {0} not found")]
    SandboxNotFound(String),
    /// No such container.
    #[error("container {0} not found")]
    ContainerNotFound(String),
    /// A specification that can not be run.
    #[error("invalid {field}: {reason}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// It already exists with another specification, or is in a state that forbids the operation.
    #[error("{what} {id} is {state}")]
    WrongState {
        /// `container` or `sandbox`.
        what: &'static str,
        /// Its id.
        id: String,
        /// The state it is in.
        state: String,
    },
    /// The image is not present.
    #[error("image {0:?} not found")]
    ImageNotFound(String),
    /// The container's first process could not be executed; the container is `Exited`.
    #[error("{message}")]
    Start {
        /// As Kubernetes shows it: 127 not found, 126 not executable, 128 otherwise.
        exit_code: i32,
        /// For example `exec: "foo": executable file not found in $PATH`.
        message: String,
    },
    /// The sandbox could not be set up.
    #[error("sandbox setup: {0}")]
    SandboxSetup(String),
    /// The shim does not answer or is gone.
    #[error("shim of sandbox {sandbox}: {source}")]
    Shim {
        /// Sandbox.
        sandbox: String,
        /// Why.
        source: io::Error,
    },
    /// The shim answered something that can not be.
    #[error("shim of sandbox {sandbox} broke the protocol: {detail}")]
    Protocol {
        /// Sandbox.
        sandbox: String,
        /// What it said.
        detail: String,
    },
    /// A file or directory.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Reading or writing cgroup files.
    #[error("cgroup {path}: {source}")]
    Cgroup {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Images.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// Running a process inside a container failed.
#[derive(Debug, Error)]
pub enum ExecError {
    /// The program could not be executed.
    #[error("{message}")]
    Start {
        /// 127 not found, 126 not executable, 128 otherwise.
        exit_code: i32,
        /// For example `exec: "foo": executable file not found in $PATH`.
        message: String,
    },
    /// It did not end in time and was killed.
    #[error("command timed out after {0:?}")]
    Timeout(Duration),
    /// Everything else.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// Pulling an image failed. The variant is the reason a pod's status shows.
#[derive(Debug, Error)]
pub enum PullError {
    /// The name is not a valid reference.
    #[error("couldn't parse image name {name:?}: {reason}")]
    InvalidName {
        /// The name.
        name: String,
        /// Why.
        reason: String,
    },
    /// The registry has no such repository or tag.
    #[error("failed to pull image {image:?}: not found")]
    NotFound {
        /// The image.
        image: String,
    },
    /// The registry wants (other) credentials.
    #[error("failed to pull image {image:?}: authorization failed: {reason}")]
    Unauthorized {
        /// The image.
        image: String,
        /// The registry's words.
        reason: String,
    },
    /// The registry can not be reached.
    #[error("failed to pull image {image:?}: registry {registry} is unreachable: {reason}")]
    Unreachable {
        /// The image.
        image: String,
        /// Which registry.
        registry: String,
        /// Why.
        reason: String,
    },
    /// The registry answered with an error.
    #[error("failed to pull image {image:?}: registry {registry} answered: {reason}")]
    Registry {
        /// The image.
        image: String,
        /// Which registry.
        registry: String,
        /// What.
        reason: String,
    },
    /// Neither an index nor a manifest this runtime knows, or none for this architecture.
    #[error("failed to pull image {image:?}: {reason}")]
    Manifest {
        /// The image.
        image: String,
        /// Why.
        reason: String,
    },
    /// What arrived is not what was asked for.
    #[error("failed to pull image {image:?}: digest mismatch: expected {expected}, got {got}")]
    BadDigest {
        /// The image.
        image: String,
        /// Asked for.
        expected: String,
        /// Received.
        got: String,
    },
    /// Storing or unpacking failed.
    #[error("failed to pull image {image:?}: {source}")]
    Store {
        /// The image.
        image: String,
        /// Why.
        source: ImageError,
    },
    /// Another task pulled the same image and failed like this.
    #[error("{0}")]
    Shared(std::sync::Arc<PullError>),
}

impl PullError {
    /// The error behind [`PullError::Shared`].
    pub fn root(&self) -> &PullError {
        match self {
            PullError::Shared(inner) => inner.root(),
            other => other,
        }
    }
}

/// The image store failed.
#[derive(Debug, Error)]
pub enum ImageError {
    /// No such image.
    #[error("image {0:?} not found")]
    NotFound(String),
    /// Containers use it.
    #[error("image {image:?} is in use by container {container}")]
    InUse {
        /// The image.
        image: String,
        /// One container that uses it.
        container: String,
    },
    /// The name is not a valid reference.
    #[error("invalid image name {name:?}: {reason}")]
    InvalidName {
        /// The name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A file of the store.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The list of images can not be read.
    #[error(
        "the list of images {path} is damaged ({reason}): remove the folder it is in and start again; \
         images are then pulled again, imported ones must be imported again"
    )]
    DamagedIndex {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// An archive that is neither a docker-save nor an OCI layout, or is damaged.
    #[error("archive {path}: {reason}")]
    Archive {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A layer that can not be unpacked.
    #[error("layer {digest}: {reason}")]
    Layer {
        /// Which.
        digest: String,
        /// Why.
        reason: String,
    },
    /// A blob whose content is not its digest.
    #[error("digest mismatch: expected {expected}, got {got}")]
    BadDigest {
        /// Asked for.
        expected: String,
        /// Received.
        got: String,
    },
    /// A manifest or configuration that can not be understood.
    #[error("image document: {0}")]
    Document(String),
    /// Larger than a named limit.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}
