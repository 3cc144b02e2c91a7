//! Probes and the HTTP parts of hooks: one task per probe, which reports only when a threshold is crossed.

mod grpc;
pub mod http;
mod threshold;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use runtime::{ExecError, Runtime};

use crate::pod::machine::ProbeKind;
use threshold::{Counter, Early, Thresholds};

/// What a probe needs to know of its container.
#[derive(Clone)]
pub struct Target {
    pub runtime: Arc<Runtime>,
    pub container: Arc<Container>,
    pub id: String,
    pub started_at: Timestamp,
    pub pod_ip: IpAddr,
    pub kind: ProbeKind,
}

/// The outcome of one attempt.
pub type Outcome = Result<(), String>;

/// Probes until the caller drops the future. `report` gets the state whenever it changes and, for those who tell users,
/// every failure through `unhealthy`; `counted` hears of each attempt.
pub async fn run(
    target: Target,
    report: impl Fn(bool, String),
    unhealthy: impl Fn(String),
    counted: impl Fn(bool),
) {
    let Some(probe) = probe_of(&target) else { return };
    let period = Duration::from_secs(probe.period_seconds.unwrap_or(10).max(1) as u64);
    let delay = Duration::from_secs(probe.initial_delay_seconds.unwrap_or(0).max(0) as u64);
    let running = Timestamp::now().duration_since(target.started_at);
    let first = if delay.is_zero() && target.kind == ProbeKind::Liveness { period } else { delay };
    tokio::time::sleep(first.saturating_sub(running.try_into().unwrap_or_default())).await;
    let mut early = Early::new(target.kind, period);
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut counter = Counter::new(Thresholds::of(&probe, target.kind));
    loop {
        let outcome = attempt(&target, &probe).await;
        counted(outcome.is_ok());
        if outcome.is_err()
            && let Some(wait) = early.next()
        {
            tokio::time::sleep(wait).await;
            continue;
        }
        early.end();
        if let Err(message) = &outcome {
            unhealthy(format!("{} probe failed: {message}", target.kind.name()));
        }
        if let Some(healthy) = counter.note(outcome.is_ok()) {
            report(healthy, outcome.err().unwrap_or_default());
        }
        ticks.tick().await;
    }
}

fn probe_of(target: &Target) -> Option<Probe> {
    match target.kind {
        ProbeKind::Startup => target.container.startup_probe.clone(),
        ProbeKind::Liveness => target.container.liveness_probe.clone(),
        ProbeKind::Readiness => target.container.readiness_probe.clone(),
    }
}

async fn attempt(target: &Target, probe: &Probe) -> Outcome {
    let timeout = Duration::from_secs(probe.timeout_seconds.unwrap_or(1).max(1) as u64);
    if let Some(exec) = &probe.exec {
        return exec_in(target, exec.command.clone().unwrap_or_default(), timeout).await;
    }
    let work = async {
        if let Some(get) = &probe.http_get {
            http::get(get, &target.container, target.pod_ip, "kube-probe/1.36").await
        } else if let Some(tcp) = &probe.tcp_socket {
            let host =
                tcp.host.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| target.pod_ip.to_string());
            let port = port(&tcp.port, &target.container)?;
            http::connect(&host, port).await.map(drop)
        } else if let Some(grpc) = &probe.grpc {
            grpc::check(target.pod_ip, grpc.port, grpc.service.as_deref().unwrap_or("")).await
        } else {
            Ok(())
        }
    };
    match tokio::time::timeout(timeout, work).await {
        Ok(outcome) => outcome,
        Err(_) if probe.http_get.is_some() => {
            Err("context deadline exceeded (Client.Timeout exceeded while awaiting headers)".into())
        }
        Err(_) => Err("i/o timeout".into()),
    }
}

async fn exec_in(target: &Target, command: Vec<String>, timeout: Duration) -> Outcome {
    match target.runtime.exec_sync(&target.id, command, timeout).await {
        Ok(out) if out.exit_code == 0 => Ok(()),
        Ok(out) => {
            let mut text = String::from_utf8_lossy(&out.stdout).into_owned();
            text.push_str(&String::from_utf8_lossy(&out.stderr));
            Err(text.chars().take(10 * 1024).collect())
        }
        Err(ExecError::Timeout(_)) => {
            Err(format!("command timed out: \"{}\" timed out after {}s", target.id, timeout.as_secs()))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The number of a port that is given by number or by name.
pub fn port(given: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match given {
        IntOrString::Int(n) => Some(*n),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|p| p.name.as_deref() == Some(name));
            named.map(|p| p.container_port).or_else(|| name.parse().ok())
        }
    };
    number
        .and_then(|n| u16::try_from(n).ok())
        .filter(|n| *n > 0)
        .ok_or_else(|| format!("invalid port {given:?}"))
}

/// Host, port and path of an HTTP request to a container.
pub fn address(
    get: &HTTPGetAction,
    container: &Container,
    pod_ip: IpAddr,
) -> Result<(String, u16, String), String> {
    let host = get.host.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| pod_ip.to_string());
    let path = get.path.clone().unwrap_or_default();
    let path = if path.starts_with('/') { path } else { format!("/{path}") };
    Ok((host, port(&get.port, container)?, path))
}
