//! The table row of a pod: what its statuses come to in one word.

use jiff::Timestamp;
use serde_json::Value;

use crate::meta;
use crate::table::{age_cell, human_duration, name_cell, or_none};
use crate::value::{flag, get, has, int, items, text};

/// What the row sums up.
#[derive(Default)]
struct Summary {
    reason: String,
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

impl Summary {
    fn restarted(&mut self, status: &Value) {
        self.restarts += int(status, "restartCount").unwrap_or_default();
        let finished = text(status, "lastState.terminated.finishedAt");
        self.last_restart = self.last_restart.max(meta::parse_time(finished));
    }
}

pub fn row(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = summarize(pod);
    let restarts = match summary.last_restart {
        Some(at) if summary.restarts != 0 => {
            let ago = human_duration(now.as_second() - at.as_second());
            format!("{} ({ago} ago)", summary.restarts)
        }
        _ => summary.restarts.to_string(),
    };
    let ip = items(pod, "status.podIPs").first().map_or("", |ip| text(ip, "ip"));
    vec![
        name_cell(pod),
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.reason.into(),
        restarts.into(),
        age_cell(pod, now),
        or_none(ip).into(),
        or_none(text(pod, "spec.nodeName")).into(),
        or_none(text(pod, "status.nominatedNodeName")).into(),
        readiness_gates(pod).into(),
    ]
}

fn summarize(pod: &Value) -> Summary {
    let phase = text(pod, "status.phase");
    let mut summary = Summary {
        reason: match text(pod, "status.reason") {
            "" => phase.to_owned(),
            reason => reason.to_owned(),
        },
        total: items(pod, "spec.containers").len(),
        ..Summary::default()
    };
    let gated = |c: &Value| text(c, "type") == "PodScheduled" && text(c, "reason") == "SchedulingGated";
    if items(pod, "status.conditions").iter().any(gated) {
        summary.reason = "SchedulingGated".into();
    }
    summary.total += items(pod, "spec.initContainers").iter().filter(|c| is_sidecar(c)).count();
    let sidecars = match init_containers(pod, &mut summary) {
        Some(sidecars) => sidecars,
        None if condition(pod, "Initialized") => Summary::default(),
        None => return terminating(pod, phase, summary),
    };
    summary.restarts = sidecars.restarts;
    summary.last_restart = sidecars.last_restart;
    containers(pod, &mut summary);
    terminating(pod, phase, summary)
}

fn terminating(pod: &Value, phase: &str, mut summary: Summary) -> Summary {
    if meta::is_deleting(pod) {
        if text(pod, "status.reason") == "NodeLost" {
            summary.reason = "Unknown".into();
        } else if !matches!(phase, "Succeeded" | "Failed") {
            summary.reason = "Terminating".into();
        }
    }
    summary
}

fn is_sidecar(container: &Value) -> bool {
    text(container, "restartPolicy") == "Always"
}

fn condition(pod: &Value, kind: &str) -> bool {
    let is_it = |c: &&Value| text(c, "type") == kind;
    let found = items(pod, "status.conditions").iter().find(is_it);
    found.is_some_and(|c| text(c, "status") == "True")
}

/// Goes through the init containers. Answers the restarts of the sidecars when all others are
/// done; `None` while the pod initializes, with the reason set.
fn init_containers(pod: &Value, summary: &mut Summary) -> Option<Summary> {
    let specs = items(pod, "spec.initContainers");
    let mut sidecars = Summary::default();
    for (i, status) in items(pod, "status.initContainerStatuses").iter().enumerate() {
        summary.restarted(status);
        let spec = specs.iter().find(|c| text(c, "name") == text(status, "name"));
        let sidecar = spec.is_some_and(is_sidecar);
        if sidecar {
            sidecars.restarted(status);
        }
        let terminated = get(status, "state.terminated");
        let waiting = text(status, "state.waiting.reason");
        if !terminated.is_null() && int(terminated, "exitCode").unwrap_or_default() == 0 {
            continue;
        }
        if sidecar && flag(status, "started") {
            summary.ready += usize::from(flag(status, "ready"));
            continue;
        }
        summary.reason = if !terminated.is_null() {
            format!("Init:{}", terminated_reason(terminated))
        } else if !matches!(waiting, "" | "PodInitializing") {
            format!("Init:{waiting}")
        } else {
            format!("Init:{i}/{}", specs.len())
        };
        return None;
    }
    Some(sidecars)
}

fn terminated_reason(terminated: &Value) -> String {
    match (text(terminated, "reason"), int(terminated, "signal").unwrap_or_default()) {
        ("", 0) => format!("ExitCode:{}", int(terminated, "exitCode").unwrap_or_default()),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn containers(pod: &Value, summary: &mut Summary) {
    let mut running = false;
    let mut failure = String::new();
    for status in items(pod, "status.containerStatuses").iter().rev() {
        summary.restarted(status);
        let terminated = get(status, "state.terminated");
        let waiting = text(status, "state.waiting.reason");
        if !waiting.is_empty() {
            summary.reason = waiting.to_owned();
        } else if !terminated.is_null() {
            summary.reason = terminated_reason(terminated);
            if int(terminated, "exitCode").unwrap_or_default() != 0 {
                failure.clone_from(&summary.reason);
            }
        } else if flag(status, "ready") && has(status, "state.running") {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" {
        if running && condition(pod, "Ready") {
            summary.reason = "Running".into();
        } else if !failure.is_empty() {
            summary.reason = failure;
        } else if running {
            summary.reason = "NotReady".into();
        }
    }
}

fn readiness_gates(pod: &Value) -> String {
    let gates = items(pod, "spec.readinessGates");
    if gates.is_empty() {
        return "<none>".into();
    }
    let ready = gates.iter().filter(|gate| condition(pod, text(gate, "conditionType"))).count();
    format!("{ready}/{}", gates.len())
}
