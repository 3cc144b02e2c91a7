//! What the API is told about a pod: a pure function of the worker's state.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{HostIP, PodCondition, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions;
use super::container_status;
use super::qos;
use super::spec::{self, Role};
use super::state::{Part, PodState, Run};

/// The status of the pod at `now`. `previous` is the last one generated (or the API's): times of transitions and a phase
/// that can not be left come from it.
pub fn generate(state: &PodState, host_ips: &[String], previous: &PodStatus, now: Timestamp) -> PodStatus {
    let pod = &state.pod;
    let of = |roles: &[Role]| -> Option<Vec<_>> {
        let list: Vec<_> = state
            .containers
            .iter()
            .filter(|c| roles.contains(&c.role))
            .map(|c| container_status::generate(state, c))
            .collect();
        (!list.is_empty()).then_some(list)
    };
    let (phase, reason, message) = phase_of(state, previous);
    let ips = pod_ips(state, host_ips, previous);
    let mut status = PodStatus {
        observed_generation: pod.metadata.generation,
        phase: Some(phase.clone()),
        reason,
        message,
        host_ip: host_ips.first().cloned(),
        host_ips: Some(host_ips.iter().map(|ip| HostIP { ip: ip.clone() }).collect()),
        pod_ip: ips.first().cloned(),
        pod_ips: (!ips.is_empty()).then(|| ips.into_iter().map(|ip| PodIP { ip }).collect()),
        start_time: Some(Time(state.started_at)),
        qos_class: Some(qos::class(pod).as_str().to_owned()),
        init_container_statuses: of(&[Role::Init, Role::Sidecar]),
        container_statuses: of(&[Role::Main]),
        ephemeral_container_statuses: of(&[Role::Ephemeral]),
        ..PodStatus::default()
    };
    status.conditions = Some(conditions::generate(state, &status, &phase, previous, now));
    status
}

fn pod_ips(state: &PodState, host_ips: &[String], previous: &PodStatus) -> Vec<String> {
    if spec::spec(&state.pod).host_network == Some(true) {
        return host_ips.to_vec();
    }
    if state.ips.is_empty() {
        return previous.pod_ips.iter().flatten().map(|p| p.ip.clone()).collect();
    }
    state.ips.iter().map(ToString::to_string).collect()
}

/// Phase, reason and message.
fn phase_of(state: &PodState, previous: &PodStatus) -> (String, Option<String>, Option<String>) {
    let ended = |phase: Option<&str>| matches!(phase, Some("Succeeded" | "Failed"));
    for known in [Some(previous), state.pod.status.as_ref()].into_iter().flatten() {
        if ended(known.phase.as_deref()) {
            return (known.phase.clone().unwrap_or_default(), known.reason.clone(), known.message.clone());
        }
    }
    if let Some(verdict) = &state.verdict {
        return ("Failed".to_owned(), Some(verdict.reason.clone()), Some(verdict.message.clone()));
    }
    (phase(state).to_owned(), None, None)
}

#[derive(Default)]
struct Count {
    running: u32,
    waiting: u32,
    stopped: u32,
    succeeded: u32,
    restartable: u32,
}

/// The phase by what the containers do.
fn phase(state: &PodState) -> &'static str {
    let final_end = !state.is_live() && state.containers.iter().all(|c| !c.run.is_active());
    let mut pending_init = 0;
    let mut pending_sidecars = 0;
    let mut count = Count::default();
    for c in &state.containers {
        let end = match &c.run {
            Run::Terminated(t) => Some(t),
            Run::Running(_) | Run::Stopping { .. } => None,
            _ => c.last.as_ref(),
        };
        let again = |code: i32| spec::restarts(&state.pod, c.role, &c.spec, code);
        match c.role {
            Role::Init => match end {
                Some(t) if t.exit_code != 0 && !again(t.exit_code) => return "Failed",
                Some(_) => {}
                None => pending_init += 1,
            },
            Role::Sidecar => match (&c.run, end) {
                (Run::Running(_) | Run::Stopping { .. }, _) => {
                    count.running += 1;
                    pending_sidecars += u32::from(!c.started);
                }
                (_, Some(_)) => {}
                (_, None) => {
                    count.waiting += 1;
                    pending_sidecars += 1;
                }
            },
            Role::Main => match (&c.run, end) {
                (Run::Running(_) | Run::Stopping { .. }, _) => count.running += 1,
                (_, Some(t)) => {
                    count.stopped += 1;
                    count.succeeded += u32::from(t.exit_code == 0);
                    count.restartable += u32::from(!final_end && again(t.exit_code));
                }
                (_, None) => count.waiting += 1,
            },
            Role::Ephemeral => {}
        }
    }
    let begun = state.of_role(Role::Main).any(|i| state.containers[i].created);
    if pending_init > 0 || (pending_sidecars > 0 && !begun) {
        return if final_end { ended_without_running(state) } else { "Pending" };
    }
    by_count(&count, final_end)
}

/// A pod that is taken down before its containers ever ran has failed, unless its object goes away anyway.
fn ended_without_running(state: &PodState) -> &'static str {
    if state.is_deleting() || state.removed { "Failed" } else { "Pending" }
}

fn by_count(count: &Count, final_end: bool) -> &'static str {
    let verdict =
        || if count.stopped > 0 && count.stopped == count.succeeded { "Succeeded" } else { "Failed" };
    if count.waiting > 0 {
        return if final_end { "Failed" } else { "Pending" };
    }
    if count.running > 0 {
        return "Running";
    }
    if count.stopped == 0 {
        return "Pending";
    }
    if count.restartable > 0 { "Running" } else { verdict() }
}

/// Whether sandbox and network are there; found again after a restart they are, as long as a container runs in them.
pub fn sandbox_ready(state: &PodState) -> bool {
    state.sandbox == Part::Ready || state.containers.iter().any(|c| c.run.instance().is_some())
}

/// The condition of `kind`, if there is one.
pub fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a PodCondition> {
    status.conditions.iter().flatten().find(|c| c.type_ == kind)
}
