//! What all workers of the node share.

use std::sync::Arc;

use client::{Cache, EventType, Recorder};
use k8s_openapi::api::core::v1::{Container, ObjectReference, Pod, Service};
use network::PodNetwork;
use runtime::{Runtime, VersionInfo};
use tokio_util::sync::CancellationToken;

use crate::config::AgentConfig;
use crate::env::Place;
use crate::metrics::Metrics;
use crate::pod::spec;
use crate::sources::Sources;
use crate::volumes::Layout;

/// The node's parts, for whoever runs or reports on pods.
pub struct Host {
    pub cfg: AgentConfig,
    pub client: kube::Client,
    pub runtime: Arc<Runtime>,
    pub network: Arc<dyn PodNetwork>,
    pub recorder: Recorder,
    pub sources: Sources,
    pub services: Cache<Service>,
    pub layout: Layout,
    pub metrics: Metrics,
    pub machine: Machine,
    pub version: VersionInfo,
    /// Cancelled when the agent ends: workers stop, containers do not.
    pub shutdown: CancellationToken,
}

/// The size of the machine, and what of it pods may use.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    pub cpu_milli: i64,
    pub memory_bytes: i64,
    pub disk_bytes: i64,
    pub reserved_cpu_milli: i64,
    pub reserved_memory_bytes: i64,
}

impl Host {
    pub fn host_ips(&self) -> Vec<String> {
        vec![self.cfg.node_ip.to_string()]
    }

    /// Where a pod with the addresses `pod_ips` runs.
    pub fn place(&self, pod_ips: Vec<String>) -> Place {
        Place {
            pod_ips,
            host_ips: self.host_ips(),
            cpu_milli: self.machine.cpu_milli - self.machine.reserved_cpu_milli,
            memory_bytes: self.machine.memory_bytes - self.machine.reserved_memory_bytes,
            disk_bytes: self.machine.disk_bytes,
        }
    }

    pub fn event(
        &self,
        pod: &Pod,
        container: Option<&Container>,
        warning: bool,
        reason: &str,
        message: String,
    ) {
        let kind = if warning { EventType::Warning } else { EventType::Normal };
        self.recorder.event(&reference(pod, container), kind, reason, message);
    }
}

/// How events name a pod, or one container of it.
pub fn reference(pod: &Pod, container: Option<&Container>) -> ObjectReference {
    let field_path = container.map(|c| {
        let s = spec::spec(pod);
        let has = |list: Option<&Vec<Container>>| list.is_some_and(|l| l.iter().any(|o| o.name == c.name));
        let list = if has(Some(&s.containers)) {
            "containers"
        } else if has(s.init_containers.as_ref()) {
            "initContainers"
        } else {
            "ephemeralContainers"
        };
        format!("spec.{list}{{{}}}", c.name)
    });
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        resource_version: pod.metadata.resource_version.clone(),
        field_path,
    }
}
