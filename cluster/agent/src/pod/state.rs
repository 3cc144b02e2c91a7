//! The state of one pod on this node: plain values, changed only by `machine::step`.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::backoff::Backoff;
use super::spec::{self, Role};

/// Everything the worker of a pod knows.
#[derive(Clone, Debug)]
pub struct PodState {
    /// The newest version seen.
    pub pod: Arc<Pod>,
    pub stage: Stage,
    pub volumes: Part,
    /// Sandbox and network.
    pub sandbox: Part,
    /// How many sandboxes there were before this one.
    pub sandbox_attempt: u32,
    pub ips: Vec<IpAddr>,
    /// In the order of [`spec::units`].
    pub containers: Vec<ContainerState>,
    /// All init containers have done their work in this sandbox.
    pub initialized: bool,
    /// When this node took the pod: `status.startTime`.
    pub started_at: Timestamp,
    /// Why the pod failed as a whole, whatever its containers did.
    pub verdict: Option<Verdict>,
    /// No server can be reached: nothing may run.
    pub fenced: bool,
    /// The object is gone from the API.
    pub removed: bool,
    /// The final delete was asked for.
    pub delete_sent: bool,
}

/// Where a pod is in its life on this node. Only forward, except that a lost sandbox leads from `Running` to `Starting`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Volumes, sandbox and network are made.
    Starting,
    /// Containers are started, restarted, probed.
    Running,
    /// Containers are being stopped; by `deadline` they are killed.
    Stopping { deadline: Timestamp },
    /// Sandbox, network and volumes are being taken back.
    Cleaning,
    /// Nothing is left but logs and ended containers; waits for the object's removal.
    Finished,
    /// The last traces are being removed.
    Purging,
    /// The worker can end.
    Gone,
}

/// Something that is made once and may fail and be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Idle,
    Busy { failures: u32 },
    Ready,
    Failed { message: String, failures: u32, retry_at: Timestamp },
}

/// A pod that failed as a whole: `status.reason` and `status.message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub reason: String,
    pub message: String,
}

/// One container of the pod over all its instances.
#[derive(Clone, Debug)]
pub struct ContainerState {
    pub role: Role,
    pub spec: Arc<Container>,
    pub run: Run,
    /// The instance before the one that `run` speaks of.
    pub last: Option<Terminated>,
    /// The number of the newest instance: `restartCount`.
    pub attempt: u32,
    /// Whether any instance was ever made.
    pub created: bool,
    pub restarts: Backoff,
    pub pulls: Backoff,
    /// Startup probe passed (or there is none) and postStart done.
    pub started: bool,
    /// The newest answer of the readiness probe.
    pub probed_ready: bool,
    /// It is to run again, whatever the restart policy says and without delay.
    pub force_restart: bool,
    pub image_id: String,
}

/// What the newest instance of a container does.
#[derive(Clone, Debug, PartialEq)]
pub enum Run {
    /// Not yet, or not again before `until`.
    Waiting {
        why: Why,
        until: Option<Timestamp>,
    },
    /// Its image is looked for, perhaps pulled.
    Pulling,
    /// It is being made and started, postStart included.
    Starting,
    Running(Instance),
    Stopping {
        instance: Instance,
        deadline: Timestamp,
    },
    Terminated(Terminated),
}

/// Why a container waits: `state.waiting`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing is wrong: its turn has not come.
    Turn,
    CrashLoop {
        delay_s: u32,
    },
    /// The pull just failed with this reason (`ErrImagePull`, ...).
    Pull {
        reason: &'static str,
        message: String,
    },
    /// The next pull waits.
    PullBackOff {
        error: String,
    },
    /// `CreateContainerConfigError`, `CreateContainerError`.
    Create {
        reason: &'static str,
        message: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// 64 hexadecimal digits.
    pub id: String,
    pub started_at: Timestamp,
}

/// An instance that has ended: `state.terminated`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminated {
    /// Empty when the container could not even be made, or is no longer known.
    pub id: String,
    pub exit_code: i32,
    pub signal: Option<i32>,
    pub reason: String,
    pub message: String,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

impl Run {
    /// The instance that is alive.
    pub fn instance(&self) -> Option<&Instance> {
        match self {
            Run::Running(instance) | Run::Stopping { instance, .. } => Some(instance),
            _ => None,
        }
    }

    /// Whether a process may exist, or may come to exist by what is under way.
    pub fn is_active(&self) -> bool {
        matches!(self, Run::Starting | Run::Running(_) | Run::Stopping { .. })
    }
}

impl ContainerState {
    fn new(role: Role, spec: Container) -> Self {
        ContainerState {
            role,
            spec: Arc::new(spec),
            run: Run::Waiting { why: Why::Turn, until: None },
            last: None,
            attempt: 0,
            created: false,
            restarts: Backoff::RESTART,
            pulls: Backoff::PULL,
            started: false,
            probed_ready: false,
            force_restart: false,
            image_id: String::new(),
        }
    }

    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The number of the instance that is made next.
    pub fn next_attempt(&self) -> u32 {
        if self.created { self.attempt + 1 } else { self.attempt }
    }

    /// `ready` of the container's status.
    pub fn is_ready(&self) -> bool {
        match (&self.role, &self.run) {
            (Role::Init, Run::Terminated(t)) => t.exit_code == 0,
            (Role::Init | Role::Ephemeral, _) => false,
            (_, Run::Running(_) | Run::Stopping { .. }) => {
                self.started && (self.spec.readiness_probe.is_none() || self.probed_ready)
            }
            _ => false,
        }
    }
}

impl PodState {
    /// A pod that this node has not run yet.
    pub fn new(pod: Arc<Pod>, now: Timestamp) -> Self {
        let containers = spec::units(&pod).into_iter().map(|(r, c)| ContainerState::new(r, c)).collect();
        let started_at = pod.status.as_ref().and_then(|s| s.start_time.as_ref()).map_or(now, |t| t.0);
        PodState {
            pod,
            stage: Stage::Starting,
            volumes: Part::Idle,
            sandbox: Part::Idle,
            sandbox_attempt: 0,
            ips: Vec::new(),
            containers,
            initialized: false,
            started_at,
            verdict: None,
            fenced: false,
            removed: false,
            delete_sent: false,
        }
    }

    /// Takes a newer version of the object; ephemeral containers may have come.
    pub fn update_pod(&mut self, pod: Arc<Pod>) {
        for (role, unit) in spec::units(&pod) {
            match self.containers.iter_mut().find(|c| c.name() == unit.name) {
                Some(known) => known.spec = Arc::new(unit),
                None => self.containers.push(ContainerState::new(role, unit)),
            }
        }
        self.pod = pod;
    }

    pub fn by_name(&self, name: &str) -> Option<usize> {
        self.containers.iter().position(|c| c.name() == name)
    }

    /// The container whose newest, living instance is `id`.
    pub fn by_id(&self, id: &str) -> Option<usize> {
        self.containers.iter().position(|c| c.run.instance().is_some_and(|i| i.id == id))
    }

    pub fn of_role(&self, role: Role) -> impl Iterator<Item = usize> {
        self.containers.iter().enumerate().filter(move |(_, c)| c.role == role).map(|(i, _)| i)
    }

    pub fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Whether the object's deletion was asked for.
    pub fn is_deleting(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }

    /// Whether the API says that the pod has ended: there is no way back.
    pub fn is_terminal_in_api(&self) -> bool {
        let phase = self.pod.status.as_ref().and_then(|s| s.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    }

    /// Whether containers may still be started.
    pub fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Starting | Stage::Running)
    }
}
