//! The conditions of a pod that the agent owns. Pure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::spec;
use super::state::PodState;
use super::status;

/// The conditions that only the agent writes.
pub const OWNED: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

struct Verdict {
    status: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Verdict {
    fn yes() -> Self {
        Verdict { status: true, reason: None, message: None }
    }

    fn no(reason: &'static str, message: String) -> Self {
        Verdict { status: false, reason: Some(reason), message: (!message.is_empty()).then_some(message) }
    }
}

/// All owned conditions; `new` has the container statuses already.
pub fn generate(
    state: &PodState,
    new: &PodStatus,
    phase: &str,
    previous: &PodStatus,
    now: Timestamp,
) -> Vec<PodCondition> {
    let sandbox = Verdict { status: status::sandbox_ready(state), reason: None, message: None };
    let verdicts = [
        sandbox,
        initialized(state, new, phase),
        ready(state, new, phase),
        containers_ready(state, new, phase),
        Verdict::yes(),
    ];
    OWNED.into_iter().zip(verdicts).map(|(kind, v)| build(state, kind, v, previous, now)).collect()
}

fn build(state: &PodState, kind: &str, v: Verdict, previous: &PodStatus, now: Timestamp) -> PodCondition {
    let value = if v.status { "True" } else { "False" };
    let before = status::condition(previous, kind).filter(|c| c.status == value);
    PodCondition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: v.reason.map(str::to_owned),
        message: v.message,
        observed_generation: state.pod.metadata.generation,
        last_transition_time: before.and_then(|c| c.last_transition_time.clone()).or(Some(Time(now))),
        last_probe_time: None,
    }
}

fn find<'a>(statuses: &'a Option<Vec<ContainerStatus>>, name: &str) -> Option<&'a ContainerStatus> {
    statuses.iter().flatten().find(|s| s.name == name)
}

fn list(names: &[&str]) -> String {
    format!("[{}]", names.join(" "))
}

fn initialized(state: &PodState, new: &PodStatus, phase: &str) -> Verdict {
    if phase == "Succeeded" {
        return Verdict { status: true, reason: Some("PodCompleted"), message: None };
    }
    let begun = new.container_statuses.iter().flatten().any(|s| {
        let now = s.state.as_ref();
        s.last_state.as_ref().is_some_and(|l| l.terminated.is_some())
            || now.is_some_and(|n| n.running.is_some() || n.terminated.is_some())
    });
    if begun {
        return Verdict::yes();
    }
    let incomplete: Vec<&str> = spec::spec(&state.pod)
        .init_containers
        .iter()
        .flatten()
        .filter(|c| {
            let sidecar = c.restart_policy.as_deref() == Some("Always");
            let status = find(&new.init_container_statuses, &c.name);
            !status.is_some_and(|s| if sidecar { s.started == Some(true) } else { s.ready })
        })
        .map(|c| c.name.as_str())
        .collect();
    if incomplete.is_empty() {
        return Verdict::yes();
    }
    let message = format!("containers with incomplete status: {}", list(&incomplete));
    Verdict::no("ContainersNotInitialized", message)
}

fn containers_ready(state: &PodState, new: &PodStatus, phase: &str) -> Verdict {
    match phase {
        "Failed" => return Verdict::no("PodFailed", String::new()),
        "Succeeded" => return Verdict::no("PodCompleted", String::new()),
        _ => {}
    }
    let pod_spec = spec::spec(&state.pod);
    let sidecars =
        pod_spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let unready: Vec<&str> = sidecars
        .map(|c| (c, find(&new.init_container_statuses, &c.name)))
        .chain(pod_spec.containers.iter().map(|c| (c, find(&new.container_statuses, &c.name))))
        .filter(|(_, status)| !status.is_some_and(|s| s.ready))
        .map(|(c, _)| c.name.as_str())
        .collect();
    if unready.is_empty() {
        return Verdict::yes();
    }
    Verdict::no("ContainersNotReady", format!("containers with unready status: {}", list(&unready)))
}

fn ready(state: &PodState, new: &PodStatus, phase: &str) -> Verdict {
    let containers = containers_ready(state, new, phase);
    if !containers.status {
        return containers;
    }
    let current = state.pod.status.clone().unwrap_or_default();
    let mut missing = Vec::new();
    for gate in spec::spec(&state.pod).readiness_gates.iter().flatten() {
        let kind = &gate.condition_type;
        match status::condition(&current, kind) {
            None => {
                missing.push(format!(
                    "corresponding condition of pod readiness gate \"{kind}\" does not exist."
                ));
            }
            Some(c) if c.status != "True" => missing.push(format!(
                "the status of pod readiness gate \"{kind}\" is not \"True\", but {}",
                c.status
            )),
            Some(_) => {}
        }
    }
    if missing.is_empty() {
        return Verdict::yes();
    }
    Verdict::no("ReadinessGatesNotReady", missing.join(", "))
}
