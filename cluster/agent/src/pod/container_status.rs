//! The status of one container. Pure.

use k8s_openapi::api::core::v1::{
    ContainerState as ApiState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::drive;
use super::spec::Role;
use super::state::{ContainerState, PodState, Run, Terminated, Why};

/// How container ids are written in the API: the runtime's name before them.
pub const ID_PREFIX: &str = "trireme://";

/// The id without the runtime's name.
pub fn bare_id(id: &str) -> &str {
    id.strip_prefix(ID_PREFIX).unwrap_or(id)
}

/// `trireme://ID`; empty for no id.
pub fn full_id(id: &str) -> String {
    if id.is_empty() { String::new() } else { format!("{ID_PREFIX}{id}") }
}

pub fn generate(pod: &PodState, c: &ContainerState) -> ContainerStatus {
    let shown = shown(pod, c);
    let id = match (&c.run, &shown.state, &shown.last) {
        (Run::Running(i) | Run::Stopping { instance: i, .. }, ..) => i.id.clone(),
        (_, Some(t), _) => t.id.clone(),
        (_, None, Some(t)) => t.id.clone(),
        _ => String::new(),
    };
    let resources = c.spec.resources.clone();
    ContainerStatus {
        name: c.name().to_owned(),
        image: c.spec.image.clone().unwrap_or_default(),
        image_id: c.image_id.clone(),
        container_id: (!id.is_empty()).then(|| full_id(&id)),
        ready: c.is_ready(),
        started: Some(c.started && c.run.instance().is_some()),
        restart_count: c.attempt as i32,
        state: Some(state_of(pod, c, shown.state)),
        last_state: Some(ApiState { terminated: shown.last.map(terminated), ..ApiState::default() }),
        allocated_resources: resources.as_ref().and_then(|r| r.requests.clone()),
        resources: (c.role != Role::Ephemeral).then_some(resources).flatten(),
        volume_mounts: mounts(c),
        ..ContainerStatus::default()
    }
}

/// Which ended instances are shown as `state` and `lastState`.
struct Shown<'a> {
    state: Option<&'a Terminated>,
    last: Option<&'a Terminated>,
}

/// While a new instance is on its way (and did not fail to be made), the one before it is still the state.
fn shown<'a>(pod: &PodState, c: &'a ContainerState) -> Shown<'a> {
    match &c.run {
        Run::Terminated(t) => Shown { state: Some(t), last: c.last.as_ref() },
        Run::Pulling | Run::Starting | Run::Waiting { why: Why::Turn, .. } => {
            Shown { state: c.last.as_ref(), last: None }
        }
        Run::Waiting { .. } if !pod.is_live() => Shown { state: c.last.as_ref(), last: None },
        _ => Shown { state: None, last: c.last.as_ref() },
    }
}

fn state_of(pod: &PodState, c: &ContainerState, ended: Option<&Terminated>) -> ApiState {
    if let Run::Running(i) | Run::Stopping { instance: i, .. } = &c.run {
        let running = ContainerStateRunning { started_at: Some(Time(i.started_at)) };
        return ApiState { running: Some(running), ..ApiState::default() };
    }
    if let Some(t) = ended {
        return ApiState { terminated: Some(terminated(t)), ..ApiState::default() };
    }
    let (reason, message) = match &c.run {
        Run::Waiting { why, .. } => waiting(pod, c, why),
        _ => (turn(pod), None),
    };
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    ApiState { waiting: Some(waiting), ..ApiState::default() }
}

fn turn(pod: &PodState) -> &'static str {
    let has_init = pod.containers.iter().any(|c| matches!(c.role, Role::Init | Role::Sidecar));
    if has_init && !pod.initialized { "PodInitializing" } else { "ContainerCreating" }
}

fn waiting(pod: &PodState, c: &ContainerState, why: &Why) -> (&'static str, Option<String>) {
    match why {
        Why::Turn => (turn(pod), None),
        Why::CrashLoop { delay_s } => {
            ("CrashLoopBackOff", Some(drive::crash_loop_message(&pod.pod, c.name(), *delay_s)))
        }
        Why::Pull { reason, message } | Why::Create { reason, message } => (reason, Some(message.clone())),
        Why::PullBackOff { error } => {
            let image = c.spec.image.as_deref().unwrap_or_default();
            ("ImagePullBackOff", Some(format!("Back-off pulling image \"{image}\": {error}")))
        }
    }
}

fn terminated(t: &Terminated) -> ContainerStateTerminated {
    let time = |at: Option<jiff::Timestamp>| at.map(Time);
    ContainerStateTerminated {
        container_id: (!t.id.is_empty()).then(|| full_id(&t.id)),
        exit_code: t.exit_code,
        signal: None,
        reason: (!t.reason.is_empty()).then(|| t.reason.clone()),
        message: (!t.message.is_empty()).then(|| t.message.clone()),
        started_at: time(t.started_at),
        finished_at: time(t.finished_at),
    }
}

fn mounts(c: &ContainerState) -> Option<Vec<VolumeMountStatus>> {
    let mounts = c.spec.volume_mounts.as_ref().filter(|m| !m.is_empty())?;
    let status = |m: &k8s_openapi::api::core::v1::VolumeMount| VolumeMountStatus {
        name: m.name.clone(),
        mount_path: m.mount_path.clone(),
        read_only: m.read_only,
        recursive_read_only: (m.read_only == Some(true))
            .then(|| m.recursive_read_only.clone().unwrap_or_else(|| "Disabled".to_owned())),
        ..VolumeMountStatus::default()
    };
    Some(mounts.iter().map(status).collect())
}
