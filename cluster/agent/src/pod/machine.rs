//! The life of a pod: `step(state, input, now) -> effects`. No clock, no files, no waiting.
//!
//! An input changes the facts in [`PodState`]; then `advance` looks at all facts and asks for what is to be done next.
//! So one path serves a new pod, one found again after a restart, and one that changed. Effects are carried out by the
//! worker, whose answers are inputs again.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::backoff::after;
use super::spec::{self, Role};
use super::state::{Instance, Part, PodState, Run, Stage, Terminated, Verdict, Why};
use super::{drive, stop};

/// What the worker learned.
#[derive(Clone, Debug)]
pub enum Input {
    /// Nothing new but the time; also the first input of every worker.
    Wake,
    /// The API has a newer version of the object.
    Updated(Arc<Pod>),
    /// The object is gone from the API.
    Removed,
    VolumesReady(Result<(), String>),
    SandboxReady(Result<Vec<IpAddr>, String>),
    SandboxLost,
    /// Something that a container waits for (a ConfigMap, a Secret) changed.
    SourcesChanged,
    Image {
        container: usize,
        result: Result<String, PullFailure>,
    },
    Started {
        container: usize,
        attempt: u32,
        result: Result<Instance, StartFailure>,
    },
    Exited(Terminated),
    Probed {
        id: String,
        kind: ProbeKind,
        healthy: bool,
        message: String,
    },
    /// No server has been reachable for too long.
    Fenced {
        grace_s: i64,
    },
    Unfenced,
    CleanedUp(Result<(), String>),
    Purged,
}

/// Why there is no image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullFailure {
    /// `ErrImagePull`, `ErrImageNeverPull`, `InvalidImageName`, ...
    pub reason: &'static str,
    pub message: String,
}

/// Why a container did not come to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartFailure {
    /// It could not be made: `CreateContainerConfigError` or `CreateContainerError`; tried again.
    NotCreated { reason: &'static str, message: String },
    /// It was made and has ended: its program could not be executed, or its postStart hook failed.
    Ended(Terminated),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProbeKind {
    Startup,
    Liveness,
    Readiness,
}

impl ProbeKind {
    /// As in messages and metrics.
    pub fn name(self) -> &'static str {
        match self {
            ProbeKind::Startup => "Startup",
            ProbeKind::Liveness => "Liveness",
            ProbeKind::Readiness => "Readiness",
        }
    }
}

/// What the worker is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    PrepareVolumes,
    CreateSandbox {
        attempt: u32,
    },
    /// Have the image at hand, pulling it when the policy says so.
    EnsureImage {
        container: usize,
    },
    Start {
        container: usize,
        attempt: u32,
    },
    /// preStop hook (when `hook`), the stop signal, and after `grace_s` in all the kill.
    Stop {
        container: usize,
        id: String,
        grace_s: i64,
        hook: bool,
    },
    /// The limits of a running container changed.
    Resize {
        container: usize,
        id: String,
    },
    /// An ended instance that nothing refers to any more.
    Forget {
        id: String,
    },
    Probe {
        container: usize,
        instance: Instance,
        kind: ProbeKind,
    },
    /// Ends the named probes of the container, or all.
    StopProbes {
        container: usize,
        kinds: &'static [ProbeKind],
    },
    Event {
        warning: bool,
        reason: &'static str,
        message: String,
        container: Option<usize>,
    },
    /// Sandbox, network and volumes.
    CleanUp,
    /// Writes the last status, then deletes the object from the API with grace period 0.
    DeleteFromApi,
    /// Logs, containers, the pod's directory.
    Purge,
}

/// All kinds of probes.
pub const ALL_PROBES: &[ProbeKind] = &[ProbeKind::Startup, ProbeKind::Liveness, ProbeKind::Readiness];
/// The probes that end when a pod is being stopped; readiness goes on until the end.
pub const RESTARTING_PROBES: &[ProbeKind] = &[ProbeKind::Startup, ProbeKind::Liveness];

/// Delay before a failed sandbox or volume is tried again, doubling with each failure.
const FIRST_RETRY_MS: i64 = 500;
const MAX_RETRY_MS: i64 = 60_000;

/// The one transition function of a pod.
pub fn step(state: &mut PodState, input: Input, now: Timestamp) -> Vec<Effect> {
    let mut fx = Vec::new();
    note(state, input, now, &mut fx);
    advance(state, now, &mut fx);
    fx
}

/// The probes of containers that run already, when their pod was found again after a restart of the agent.
pub fn resume(state: &PodState, fx: &mut Vec<Effect>) {
    drive::resume_probes(state, fx);
}

/// When `step` wants to be called with `Wake`, if nothing happens before.
pub fn next_wake(state: &PodState) -> Option<Timestamp> {
    let mut times: Vec<Timestamp> = Vec::new();
    for part in [&state.volumes, &state.sandbox] {
        if let Part::Failed { retry_at, .. } = part {
            times.push(*retry_at);
        }
    }
    if state.is_live() && !state.fenced {
        times.extend(state.containers.iter().filter_map(|c| match &c.run {
            Run::Waiting { until, .. } => *until,
            _ => None,
        }));
        times.extend(deadline(state));
    }
    if let Stage::Stopping { deadline } = state.stage
        && state.of_role(Role::Sidecar).any(|i| matches!(state.containers[i].run, Run::Running(_)))
    {
        times.push(deadline);
    }
    times.into_iter().min()
}

fn note(state: &mut PodState, input: Input, now: Timestamp, fx: &mut Vec<Effect>) {
    match input {
        Input::Wake => {}
        Input::Updated(pod) => drive::pod_changed(state, pod, now, fx),
        Input::Removed => state.removed = true,
        Input::VolumesReady(result) => {
            state.volumes = part_after(&state.volumes, result, "FailedMount", "", now, fx);
        }
        Input::SandboxReady(Ok(ips)) => {
            state.ips = ips;
            state.sandbox = Part::Ready;
        }
        Input::SandboxReady(Err(message)) => {
            let prefix = "Failed to create pod sandbox: ";
            state.sandbox =
                part_after(&state.sandbox, Err(message), "FailedCreatePodSandBox", prefix, now, fx);
        }
        Input::SandboxLost => drive::sandbox_lost(state, now, fx),
        Input::SourcesChanged => sources_changed(state, now),
        Input::Image { container, result } => drive::image_result(state, container, result, now, fx),
        Input::Started { container, attempt, result } => {
            drive::start_result(state, container, attempt, result, now, fx);
        }
        Input::Exited(terminated) => drive::exited(state, terminated, fx),
        Input::Probed { id, kind, healthy, message } => {
            drive::probed(state, &id, kind, healthy, message, now, fx)
        }
        Input::Fenced { grace_s } => {
            state.fenced = true;
            stop::stop_all(state, grace_s, now, fx);
        }
        Input::Unfenced => state.fenced = false,
        Input::CleanedUp(Ok(())) => state.stage = Stage::Finished,
        Input::CleanedUp(Err(message)) => {
            let failed =
                part_after(&state.sandbox, Err(message), "FailedKillPod", "error killing pod: ", now, fx);
            state.sandbox = failed;
        }
        Input::Purged => state.stage = Stage::Gone,
    }
}

fn part_after(
    before: &Part,
    result: Result<(), String>,
    reason: &'static str,
    prefix: &str,
    now: Timestamp,
    fx: &mut Vec<Effect>,
) -> Part {
    let Err(message) = result else { return Part::Ready };
    let failures = match before {
        Part::Busy { failures } | Part::Failed { failures, .. } => failures + 1,
        Part::Idle | Part::Ready => 1,
    };
    let delay_ms = FIRST_RETRY_MS.saturating_mul(1 << (failures - 1).min(10)).min(MAX_RETRY_MS);
    let retry_at = now.checked_add(jiff::SignedDuration::from_millis(delay_ms)).unwrap_or(Timestamp::MAX);
    let text = format!("{prefix}{message}");
    fx.push(Effect::Event { warning: true, reason, message: text, container: None });
    Part::Failed { message, failures, retry_at }
}

fn sources_changed(state: &mut PodState, now: Timestamp) {
    if let Part::Failed { retry_at, .. } = &mut state.volumes {
        *retry_at = now;
    }
    for c in &mut state.containers {
        if let Run::Waiting { why: Why::Create { .. }, until } = &mut c.run {
            *until = Some(now);
        }
    }
}

/// Looks at all facts and asks for what is next, until nothing more follows.
fn advance(state: &mut PodState, now: Timestamp, fx: &mut Vec<Effect>) {
    loop {
        judge(state, now);
        let before = state.stage;
        match state.stage {
            Stage::Starting | Stage::Running if wants_end(state) => stop::begin(state, now, fx),
            Stage::Starting => set_up(state, now, fx),
            Stage::Running => drive::containers(state, now, fx),
            Stage::Stopping { deadline } => stop::go_on(state, deadline, now, fx),
            Stage::Cleaning => {
                if due(&state.sandbox, now) {
                    state.sandbox = busy(&state.sandbox);
                    fx.push(Effect::CleanUp);
                }
            }
            Stage::Finished => finish(state, fx),
            Stage::Purging | Stage::Gone => {}
        }
        if state.stage == before {
            return;
        }
    }
}

/// A pod that is past its deadline has failed.
fn judge(state: &mut PodState, now: Timestamp) {
    if state.is_live() && deadline(state).is_some_and(|deadline| now >= deadline) {
        let message = "Pod was active on the node longer than the specified deadline".to_owned();
        state.verdict = Some(Verdict { reason: "DeadlineExceeded".to_owned(), message });
    }
}

/// Whether nothing is to be started any more.
fn wants_end(state: &PodState) -> bool {
    state.removed
        || state.is_deleting()
        || state.is_terminal_in_api()
        || state.verdict.is_some()
        || drive::all_done(state)
}

fn deadline(state: &PodState) -> Option<Timestamp> {
    let seconds = spec::spec(&state.pod).active_deadline_seconds?;
    state.verdict.is_none().then(|| after(state.started_at, seconds))
}

fn set_up(state: &mut PodState, now: Timestamp, fx: &mut Vec<Effect>) {
    if state.fenced {
        return;
    }
    if due(&state.volumes, now) {
        state.volumes = busy(&state.volumes);
        fx.push(Effect::PrepareVolumes);
    }
    if due(&state.sandbox, now) {
        state.sandbox = busy(&state.sandbox);
        fx.push(Effect::CreateSandbox { attempt: state.sandbox_attempt });
    }
    if state.volumes == Part::Ready && state.sandbox == Part::Ready {
        state.stage = Stage::Running;
    }
}

fn due(part: &Part, now: Timestamp) -> bool {
    match part {
        Part::Idle => true,
        Part::Failed { retry_at, .. } => now >= *retry_at,
        Part::Busy { .. } | Part::Ready => false,
    }
}

fn busy(part: &Part) -> Part {
    let failures = if let Part::Failed { failures, .. } = part { *failures } else { 0 };
    Part::Busy { failures }
}

fn finish(state: &mut PodState, fx: &mut Vec<Effect>) {
    if state.removed {
        state.stage = Stage::Purging;
        fx.push(Effect::Purge);
    } else if state.is_deleting() && !state.delete_sent {
        state.delete_sent = true;
        fx.push(Effect::DeleteFromApi);
    }
}
