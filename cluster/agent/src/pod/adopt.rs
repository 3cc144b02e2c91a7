//! A pod found again after the agent was restarted: its state from what the runtime has and what the API remembers. Pure.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::backoff::Backoff;
use super::container_status::bare_id;
use super::spec::Role;
use super::state::{ContainerState, Instance, Part, PodState, Run, Stage, Terminated, Verdict, Why};

/// A container that the runtime has.
#[derive(Clone, Debug)]
pub struct Observed {
    pub name: String,
    pub attempt: u32,
    pub image_id: String,
    pub what: Life,
}

#[derive(Clone, Debug)]
pub enum Life {
    /// Made and never started: the agent died in between.
    Created {
        id: String,
    },
    Running(Instance),
    Exited(Terminated),
}

/// The state of `pod` when the runtime has `observed` of it. `sandbox_attempt` is that of its running sandbox, if any.
/// The second value are ids of containers that nothing refers to.
pub fn adopt(
    pod: Arc<Pod>,
    sandbox_attempt: Option<u32>,
    mut observed: Vec<Observed>,
    now: Timestamp,
) -> (PodState, Vec<String>) {
    let mut state = PodState::new(pod.clone(), now);
    let addresses = pod.status.iter().flat_map(|s| s.pod_ips.iter().flatten());
    state.ips = addresses.filter_map(|p| p.ip.parse().ok()).collect();
    let mut unwanted = Vec::new();
    observed.sort_by_key(|o| o.attempt);
    for seen in observed {
        match (seen.what, state.by_name(&seen.name)) {
            (Life::Created { id }, _) => unwanted.push(id),
            (Life::Running(i), None) => unwanted.push(i.id),
            (Life::Exited(t), None) => unwanted.push(t.id),
            (Life::Running(instance), Some(i)) => {
                put(
                    &mut state.containers[i],
                    seen.attempt,
                    seen.image_id,
                    Run::Running(instance),
                    &mut unwanted,
                );
            }
            (Life::Exited(t), Some(i)) => {
                put(&mut state.containers[i], seen.attempt, seen.image_id, Run::Terminated(t), &mut unwanted);
            }
        }
    }
    let statuses = pod.status.iter().flat_map(|s| {
        let all = [&s.init_container_statuses, &s.container_statuses, &s.ephemeral_container_statuses];
        all.into_iter().flat_map(|list| list.iter().flatten())
    });
    for known in statuses {
        if let Some(i) = state.by_name(&known.name) {
            remember(&mut state.containers[i], known, now);
        }
    }
    state.initialized =
        sandbox_attempt.is_some() && state.of_role(Role::Main).any(|i| state.containers[i].created);
    state.sandbox_attempt = sandbox_attempt.unwrap_or_else(|| next_sandbox(&state));
    if sandbox_attempt.is_none() {
        restart_init(&mut state);
    }
    if state.is_terminal_in_api() {
        end(&mut state, &pod);
    }
    (state, unwanted)
}

/// Notes a newer instance.
fn put(c: &mut ContainerState, attempt: u32, image_id: String, run: Run, unwanted: &mut Vec<String>) {
    if let Run::Terminated(before) = std::mem::replace(&mut c.run, run)
        && let Some(older) = c.last.replace(before)
    {
        unwanted.push(older.id);
    }
    c.attempt = attempt;
    c.created = true;
    c.image_id = image_id;
    let since = match &c.run {
        Run::Running(i) => Some(i.started_at),
        Run::Terminated(t) => t.started_at,
        _ => None,
    };
    if let Some(at) = since {
        c.restarts = Backoff::RESTART;
        for _ in 0..=attempt.min(6) {
            c.restarts.advance(at);
        }
    }
    if attempt == 0 {
        c.restarts = Backoff::RESTART;
    }
}

/// What only the API still knows: readiness of a running container, the end of one that the runtime forgot.
fn remember(c: &mut ContainerState, known: &ContainerStatus, now: Timestamp) {
    let known_id = known.container_id.as_deref().map(bare_id).unwrap_or_default();
    if let Run::Running(instance) = &c.run {
        let same = instance.id == known_id;
        c.started = c.spec.startup_probe.is_none() || (same && known.started == Some(true));
        c.probed_ready = same && known.ready;
    }
    let ended = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
        state.as_ref().and_then(|s| s.terminated.as_ref()).map(|t| Terminated {
            id: t.container_id.as_deref().map(bare_id).unwrap_or_default().to_owned(),
            exit_code: t.exit_code,
            signal: t.signal,
            reason: t.reason.clone().unwrap_or_default(),
            message: t.message.clone().unwrap_or_default(),
            started_at: t.started_at.as_ref().map(|t| t.0),
            finished_at: t.finished_at.as_ref().map(|t| t.0),
        })
    };
    let last = ended(&known.last_state);
    if c.created {
        let own = |t: &Terminated| c.run.instance().is_some_and(|i| i.id == t.id);
        if c.last.is_none() {
            c.last = last.filter(|t| !own(t));
        }
        return;
    }
    let was_running = known.state.as_ref().and_then(|s| s.running.as_ref());
    let lost = was_running.map(|r| Terminated {
        id: known_id.to_owned(),
        exit_code: 137,
        signal: None,
        reason: "ContainerStatusUnknown".to_owned(),
        message: "The container could not be located when the pod was terminated".to_owned(),
        started_at: r.started_at.as_ref().map(|t| t.0),
        finished_at: Some(now),
    });
    if let Some(t) = lost.or_else(|| ended(&known.state)) {
        c.run = Run::Terminated(t);
        c.last = last;
    } else if let Some(t) = last {
        c.run = Run::Waiting { why: Why::Turn, until: None };
        c.last = Some(t);
    } else {
        return;
    }
    c.created = true;
    c.attempt = known.restart_count.max(0) as u32;
    c.image_id = known.image_id.clone();
}

/// A new sandbox has a number that no earlier one had.
fn next_sandbox(state: &PodState) -> u32 {
    state.containers.iter().filter(|c| c.created).map(|c| c.attempt + 1).max().unwrap_or(0)
}

/// Without its sandbox a pod begins with its init containers again.
fn restart_init(state: &mut PodState) {
    for c in state.containers.iter_mut().filter(|c| c.role == Role::Init) {
        c.force_restart = matches!(c.run, Run::Terminated(_));
        if let Run::Terminated(t) = &c.run
            && t.exit_code == 0
        {
            c.last = Some(t.clone());
            c.run = Run::Waiting { why: Why::Turn, until: None };
            c.force_restart = false;
        }
    }
}

fn end(state: &mut PodState, pod: &Pod) {
    let status = pod.status.clone().unwrap_or_default();
    if status.phase.as_deref() == Some("Failed")
        && let (Some(reason), message) = (status.reason, status.message)
    {
        state.verdict = Some(Verdict { reason, message: message.unwrap_or_default() });
    }
    if !state.containers.iter().any(|c| c.run.is_active()) {
        state.stage = Stage::Cleaning;
        state.sandbox = Part::Idle;
    }
}
