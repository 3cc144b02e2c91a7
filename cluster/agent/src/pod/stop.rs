//! How a pod ends: main and init containers first, then sidecars in reverse order, all within the grace period; then
//! sandbox, network and volumes. Part of `machine::step`.

use jiff::Timestamp;

use super::backoff::after;
use super::machine::{Effect, RESTARTING_PROBES};
use super::spec::{self, Role};
use super::state::{Part, PodState, Run, Stage, Why};

/// Every container has at least this long between the stop signal and the kill, unless the pod's grace period is shorter.
const LEAST_WINDOW_S: i64 = 2;

/// Begins the end of the pod.
pub fn begin(state: &mut PodState, now: Timestamp, fx: &mut Vec<Effect>) {
    let grace_s = spec::grace_s(&state.pod);
    let deadline = after(now, grace_s);
    state.stage = Stage::Stopping { deadline };
    for i in 0..state.containers.len() {
        if state.containers[i].role != Role::Sidecar {
            stop_one(state, i, grace_s, None, now, fx);
        }
    }
}

/// Goes on with the end: sidecars when their turn comes, and the clean-up when nothing runs.
pub fn go_on(state: &mut PodState, deadline: Timestamp, now: Timestamp, fx: &mut Vec<Effect>) {
    let busy = |i: usize| state.containers[i].run.is_active();
    let others = (0..state.containers.len()).filter(|i| state.containers[*i].role != Role::Sidecar).any(busy);
    if others && now < deadline {
        return;
    }
    let sidecars: Vec<usize> = state.of_role(Role::Sidecar).collect();
    let left_s = (deadline.as_second() - now.as_second()).max(LEAST_WINDOW_S);
    for i in sidecars.into_iter().rev() {
        if state.containers[i].run.is_active() {
            stop_one(state, i, left_s, None, now, fx);
            if now < deadline {
                break;
            }
        }
    }
    let setting_up = [&state.sandbox, &state.volumes].into_iter().any(|p| matches!(p, Part::Busy { .. }));
    if state.containers.iter().any(|c| c.run.is_active()) || setting_up {
        return;
    }
    state.stage = Stage::Cleaning;
    state.sandbox = Part::Idle;
}

/// Stops everything at once: there is no time for an order.
pub fn stop_all(state: &mut PodState, grace_s: i64, now: Timestamp, fx: &mut Vec<Effect>) {
    for i in 0..state.containers.len() {
        match state.containers[i].run {
            Run::Stopping { .. } => shorten_one(state, i, grace_s, now, fx),
            _ => stop_one(state, i, grace_s, None, now, fx),
        }
    }
}

/// The deletion's grace period became shorter.
pub fn shorten(state: &mut PodState, grace_s: i64, now: Timestamp, fx: &mut Vec<Effect>) {
    if let Stage::Stopping { deadline } = &mut state.stage {
        *deadline = (*deadline).min(after(now, grace_s));
    }
    for i in 0..state.containers.len() {
        shorten_one(state, i, grace_s, now, fx);
    }
}

fn shorten_one(state: &mut PodState, i: usize, grace_s: i64, now: Timestamp, fx: &mut Vec<Effect>) {
    if let Run::Stopping { instance, deadline } = &mut state.containers[i].run
        && after(now, grace_s) < *deadline
    {
        *deadline = after(now, grace_s);
        let id = instance.id.clone();
        fx.push(Effect::Stop { container: i, id, grace_s, hook: false });
    }
}

/// Stops one container that runs; one that waits or pulls just never starts.
pub fn stop_one(
    state: &mut PodState,
    i: usize,
    grace_s: i64,
    why: Option<String>,
    now: Timestamp,
    fx: &mut Vec<Effect>,
) {
    let c = &mut state.containers[i];
    match &c.run {
        Run::Running(instance) => {
            let instance = instance.clone();
            let id = instance.id.clone();
            c.run = Run::Stopping { instance, deadline: after(now, grace_s) };
            fx.push(Effect::StopProbes { container: i, kinds: RESTARTING_PROBES });
            let message = why.unwrap_or_else(|| format!("Stopping container {}", c.name()));
            fx.push(Effect::Event { warning: false, reason: "Killing", message, container: Some(i) });
            fx.push(Effect::Stop { container: i, id, grace_s, hook: true });
        }
        Run::Pulling => c.run = Run::Waiting { why: Why::Turn, until: None },
        _ => {}
    }
}
