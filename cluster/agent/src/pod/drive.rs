//! Which container runs next: init containers in order, sidecars beside them, then all others; restarts and their delays;
//! what probes and pulls change. Part of `machine::step`.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::backoff::{after, go_seconds};
use super::machine::{ALL_PROBES, Effect, ProbeKind, PullFailure, StartFailure};
use super::qos;
use super::spec::{self, Role};
use super::state::{Instance, Part, PodState, Run, Stage, Terminated, Why};
use super::stop;

/// How long `ErrImagePull` is shown before `ImagePullBackOff`.
const PULL_ERROR_SHOWN_S: i64 = 2;
/// Before a container that could not be made is tried again, unless something it waits for changes first.
const CREATE_RETRY_S: i64 = 5;

/// Starts what is to run.
pub fn containers(state: &mut PodState, now: Timestamp, fx: &mut Vec<Effect>) {
    if state.fenced {
        return;
    }
    if !initialize(state, now, fx) {
        keep_up_role(state, Role::Ephemeral, now, fx);
        return;
    }
    for role in [Role::Sidecar, Role::Main, Role::Ephemeral] {
        keep_up_role(state, role, now, fx);
    }
}

/// Whether all main containers have ended for good, or an init container failed for good.
pub fn all_done(state: &PodState) -> bool {
    let ended =
        |i: usize| matches!(&state.containers[i].run, Run::Terminated(t) if !restarts(state, i, t.exit_code));
    let init_failed = state.of_role(Role::Init).any(|i| match &state.containers[i].run {
        Run::Terminated(t) => t.exit_code != 0 && !restarts(state, i, t.exit_code),
        _ => false,
    });
    let mut mains = state.of_role(Role::Main).peekable();
    (!state.initialized && init_failed) || (mains.peek().is_some() && mains.all(ended))
}

fn restarts(state: &PodState, i: usize, exit_code: i32) -> bool {
    let c = &state.containers[i];
    c.force_restart || spec::restarts(&state.pod, c.role, &c.spec, exit_code)
}

/// Goes on with the init containers; whether all are done.
fn initialize(state: &mut PodState, now: Timestamp, fx: &mut Vec<Effect>) -> bool {
    if state.initialized {
        return true;
    }
    for i in 0..state.containers.len() {
        match state.containers[i].role {
            Role::Init => {
                if matches!(&state.containers[i].run, Run::Terminated(t) if t.exit_code == 0) {
                    continue;
                }
                keep_up(state, i, now, fx);
                return false;
            }
            Role::Sidecar => {
                keep_up(state, i, now, fx);
                if !state.containers[i].started {
                    return false;
                }
            }
            Role::Main | Role::Ephemeral => {}
        }
    }
    state.initialized = true;
    true
}

fn keep_up_role(state: &mut PodState, role: Role, now: Timestamp, fx: &mut Vec<Effect>) {
    let of_role: Vec<usize> = state.of_role(role).collect();
    for i in of_role {
        keep_up(state, i, now, fx);
    }
}

/// Starts a container whose time has come; gives an ended one a time to start again.
fn keep_up(state: &mut PodState, i: usize, now: Timestamp, fx: &mut Vec<Effect>) {
    if let Run::Terminated(t) = &state.containers[i].run {
        if !restarts(state, i, t.exit_code) {
            return;
        }
        plan_restart(state, i, now, fx);
    }
    let c = &mut state.containers[i];
    let Run::Waiting { why, until } = &c.run else { return };
    if until.is_some_and(|t| now < t) {
        return;
    }
    if let Why::Pull { reason: "ErrImagePull", message } = why {
        let error = format!("ErrImagePull: {message}");
        let retry_at = after(now, i64::from(c.pulls.delay_s(now)) - PULL_ERROR_SHOWN_S);
        c.run = Run::Waiting { why: Why::PullBackOff { error }, until: Some(retry_at) };
        let image = c.spec.image.clone().unwrap_or_default();
        let message = format!("Back-off pulling image \"{image}\"");
        fx.push(Effect::Event { warning: false, reason: "BackOff", message, container: Some(i) });
        let message = "Error: ImagePullBackOff".to_owned();
        fx.push(Effect::Event { warning: true, reason: "Failed", message, container: Some(i) });
        return;
    }
    if matches!(why, Why::CrashLoop { .. }) {
        c.restarts.advance(now);
    }
    c.run = Run::Pulling;
    fx.push(Effect::EnsureImage { container: i });
}

fn plan_restart(state: &mut PodState, i: usize, now: Timestamp, fx: &mut Vec<Effect>) {
    let display = spec::display(&state.pod);
    let c = &mut state.containers[i];
    let Run::Terminated(ended) = c.run.clone() else { return };
    let finished_at = ended.finished_at.unwrap_or(now);
    let delay_s = if std::mem::take(&mut c.force_restart) { 0 } else { c.restarts.delay_s(finished_at) };
    if let Some(older) = c.last.replace(ended)
        && !older.id.is_empty()
    {
        fx.push(Effect::Forget { id: older.id });
    }
    if delay_s == 0 {
        c.restarts.advance(now);
        c.run = Run::Waiting { why: Why::Turn, until: None };
        return;
    }
    c.run =
        Run::Waiting { why: Why::CrashLoop { delay_s }, until: Some(after(finished_at, i64::from(delay_s))) };
    let message = format!("Back-off restarting failed container {} in pod {display}", c.name());
    fx.push(Effect::Event { warning: true, reason: "BackOff", message, container: Some(i) });
}

/// The message of `CrashLoopBackOff`.
pub fn crash_loop_message(pod: &Pod, container: &str, delay_s: u32) -> String {
    let delay = go_seconds(delay_s);
    format!("back-off {delay} restarting failed container={container} pod={}", spec::display(pod))
}

pub fn image_result(
    state: &mut PodState,
    i: usize,
    result: Result<String, PullFailure>,
    now: Timestamp,
    fx: &mut Vec<Effect>,
) {
    let startable = matches!(state.stage, Stage::Running) && !state.fenced;
    let c = &mut state.containers[i];
    if c.run != Run::Pulling {
        return;
    }
    match result {
        Ok(image_id) if startable => {
            c.image_id = image_id;
            c.run = Run::Starting;
            fx.push(Effect::Start { container: i, attempt: c.next_attempt() });
        }
        Ok(_) => c.run = Run::Waiting { why: Why::Turn, until: None },
        Err(PullFailure { reason, message }) => {
            c.pulls.advance(now);
            let wait_s =
                if reason == "ErrImagePull" { PULL_ERROR_SHOWN_S } else { i64::from(c.pulls.delay_s(now)) };
            let text = format!("Error: {reason}");
            fx.push(Effect::Event { warning: true, reason: "Failed", message: text, container: Some(i) });
            let until = Some(after(now, wait_s));
            c.run = Run::Waiting { why: Why::Pull { reason, message }, until };
        }
    }
}

pub fn start_result(
    state: &mut PodState,
    i: usize,
    attempt: u32,
    result: Result<Instance, StartFailure>,
    now: Timestamp,
    fx: &mut Vec<Effect>,
) {
    let deleting = !state.is_live() || state.fenced;
    let c = &mut state.containers[i];
    if c.run != Run::Starting {
        return;
    }
    match result {
        Ok(instance) => {
            c.attempt = attempt;
            c.created = true;
            c.started = c.spec.startup_probe.is_none();
            c.probed_ready = false;
            c.run = Run::Running(instance.clone());
            begin_probes(state, i, instance, fx);
            if deleting {
                let grace_s = spec::grace_s(&state.pod);
                stop::stop_one(state, i, grace_s, None, now, fx);
            }
        }
        Err(StartFailure::Ended(terminated)) => {
            c.attempt = attempt;
            c.created = true;
            c.run = Run::Terminated(terminated);
        }
        Err(StartFailure::NotCreated { reason, message }) => {
            let until = Some(after(now, CREATE_RETRY_S));
            c.run = Run::Waiting { why: Why::Create { reason, message }, until };
        }
    }
}

fn begin_probes(state: &PodState, i: usize, instance: Instance, fx: &mut Vec<Effect>) {
    let c = &state.containers[i];
    if !c.role.is_service() {
        return;
    }
    let kinds: &[(ProbeKind, bool)] = if c.started {
        &[
            (ProbeKind::Liveness, c.spec.liveness_probe.is_some()),
            (ProbeKind::Readiness, c.spec.readiness_probe.is_some()),
        ]
    } else {
        &[(ProbeKind::Startup, c.spec.startup_probe.is_some())]
    };
    for (kind, wanted) in kinds {
        if *wanted {
            fx.push(Effect::Probe { container: i, instance: instance.clone(), kind: *kind });
        }
    }
}

/// Probes of a container that runs already: found again after a restart of the agent.
pub fn resume_probes(state: &PodState, fx: &mut Vec<Effect>) {
    for (i, c) in state.containers.iter().enumerate() {
        if let Run::Running(instance) = &c.run {
            begin_probes(state, i, instance.clone(), fx);
        }
    }
}

pub fn exited(state: &mut PodState, terminated: Terminated, fx: &mut Vec<Effect>) {
    let Some(i) = state.by_id(&terminated.id) else { return };
    let c = &mut state.containers[i];
    c.started = false;
    c.probed_ready = false;
    c.run = Run::Terminated(terminated);
    fx.push(Effect::StopProbes { container: i, kinds: ALL_PROBES });
}

pub fn probed(
    state: &mut PodState,
    id: &str,
    kind: ProbeKind,
    healthy: bool,
    message: String,
    now: Timestamp,
    fx: &mut Vec<Effect>,
) {
    let Some(i) = state.by_id(id) else { return };
    let live = state.is_live();
    let c = &mut state.containers[i];
    match (kind, healthy) {
        (ProbeKind::Readiness, _) => c.probed_ready = healthy,
        (ProbeKind::Liveness, true) => {}
        (ProbeKind::Startup, true) => {
            if let (false, Run::Running(instance)) = (c.started, &c.run) {
                let instance = instance.clone();
                c.started = true;
                fx.push(Effect::StopProbes { container: i, kinds: &[ProbeKind::Startup] });
                begin_probes(state, i, instance, fx);
            }
        }
        (ProbeKind::Startup | ProbeKind::Liveness, false) if live => {
            let probe = match kind {
                ProbeKind::Startup => c.spec.startup_probe.as_ref(),
                _ => c.spec.liveness_probe.as_ref(),
            };
            let grace_s = spec::probe_grace_s(&state.pod, probe);
            let what = kind.name().to_lowercase();
            let again =
                if spec::restarts(&state.pod, c.role, &c.spec, 137) { ", will be restarted" } else { "" };
            let why = format!("Container {} failed {what} probe{again}", c.name());
            tracing::debug!(pod = %spec::display(&state.pod), container = c.name(), %message, "probe failed");
            stop::stop_one(state, i, grace_s, Some(why), now, fx);
        }
        (ProbeKind::Startup | ProbeKind::Liveness, false) => {}
    }
}

/// A newer version of the object: a changed image restarts its container, changed
/// resources apply in place, a deletion may come or get shorter.
pub fn pod_changed(state: &mut PodState, pod: Arc<Pod>, now: Timestamp, fx: &mut Vec<Effect>) {
    let old: Vec<Arc<Container>> = state.containers.iter().map(|c| c.spec.clone()).collect();
    let old_grace = state.is_deleting().then(|| spec::grace_s(&state.pod));
    state.update_pod(pod);
    if state.is_live() {
        for before in old {
            container_changed(state, &before, now, fx);
        }
    } else if let Some(before) = old_grace
        && state.is_deleting()
        && spec::grace_s(&state.pod) < before
    {
        stop::shorten(state, spec::grace_s(&state.pod), now, fx);
    }
}

fn container_changed(state: &mut PodState, before: &Container, now: Timestamp, fx: &mut Vec<Effect>) {
    let Some(i) = state.by_name(&before.name) else { return };
    let c = &mut state.containers[i];
    let new_image = c.spec.image != before.image;
    let resized = c.spec.resources != before.resources;
    if new_image {
        c.pulls = super::backoff::Backoff::PULL;
    }
    match &mut c.run {
        Run::Running(instance) if resized && !new_image && !resize_restarts(&c.spec, before) => {
            fx.push(Effect::Resize { container: i, id: instance.id.clone() });
        }
        Run::Running(_) if new_image || resized => {
            c.force_restart = true;
            let what = if new_image { "definition changed" } else { "resize requires restart" };
            let why = format!("Container {} {what}, will be restarted", before.name);
            let grace_s = spec::grace_s(&state.pod);
            stop::stop_one(state, i, grace_s, Some(why), now, fx);
        }
        Run::Waiting { until, .. } if new_image => *until = None,
        _ => {}
    }
}

/// Whether the container wants a restart when one of the changed resources changes.
fn resize_restarts(new: &Container, old: &Container) -> bool {
    let policies = new.resize_policy.iter().flatten().filter(|p| p.restart_policy == "RestartContainer");
    let differs = |name: &str| {
        qos::request_milli(new, name) != qos::request_milli(old, name)
            || qos::limit_milli(new, name) != qos::limit_milli(old, name)
    };
    policies.into_iter().any(|p| differs(&p.resource_name))
}

/// The sandbox's shim is gone, and all containers with it: begin again, init containers included.
pub fn sandbox_lost(state: &mut PodState, now: Timestamp, fx: &mut Vec<Effect>) {
    for i in 0..state.containers.len() {
        let Some(instance) = state.containers[i].run.instance().cloned() else {
            let c = &mut state.containers[i];
            if c.run == Run::Starting {
                c.run = Run::Waiting { why: Why::Turn, until: None };
            }
            continue;
        };
        let lost = Terminated {
            id: instance.id,
            exit_code: 137,
            signal: None,
            reason: "ContainerStatusUnknown".to_owned(),
            message: "The container could not be located when the pod was terminated".to_owned(),
            started_at: Some(instance.started_at),
            finished_at: Some(now),
        };
        exited(state, lost, fx);
    }
    let ended_for_good = all_done(state) || state.is_deleting() || state.removed || state.verdict.is_some();
    if !state.is_live() || state.sandbox != Part::Ready || ended_for_good {
        return;
    }
    let message = "Pod sandbox changed, it will be killed and re-created.".to_owned();
    fx.push(Effect::Event { warning: false, reason: "SandboxChanged", message, container: None });
    state.stage = Stage::Starting;
    state.sandbox = Part::Idle;
    state.sandbox_attempt += 1;
    state.initialized = false;
    for i in state.of_role(Role::Init).collect::<Vec<_>>() {
        let c = &mut state.containers[i];
        if let Run::Terminated(_) = c.run {
            c.force_restart = true;
            plan_restart(state, i, now, fx);
        }
    }
}
