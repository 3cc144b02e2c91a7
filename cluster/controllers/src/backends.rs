//! Which pods are behind a Service, on which ports: what EndpointSlices and Endpoints both say.

use crate::{
    objects::{labels, name, namespace, uid},
    pods::{is_deleting, is_ready, is_terminal, node_name},
};
use k8s_openapi::{
    api::core::v1::{ContainerPort, ObjectReference, Pod, Service, ServicePort},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::core::{Selector, SelectorExt};
use std::sync::Arc;

/// One port of a Service as a pod serves it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Port {
    pub name: String,
    pub protocol: String,
    pub port: i32,
    pub app_protocol: Option<String>,
}

/// One pod behind a Service.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    pub pod: Arc<Pod>,
    pub ready: bool,
    pub serving: bool,
    pub terminating: bool,
    /// Only in the Service that gives the pod its subdomain.
    pub hostname: Option<String>,
    pub ports: Vec<Port>,
}

/// What a Service selects pods by; `None` for one whose endpoints somebody else maintains.
pub(crate) fn selector(service: &Service) -> Option<Selector> {
    let spec = service.spec.as_ref()?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    let selector = spec.selector.as_ref().filter(|s| !s.is_empty())?;
    Some(selector.clone().into_iter().collect())
}

pub(crate) fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

/// The pods behind the Service (of all `pods` of its namespace), those on their way out included.
pub(crate) fn backends(service: &Service, pods: &[Arc<Pod>]) -> Vec<Backend> {
    let Some(selector) = selector(service) else { return Vec::new() };
    let publishes_all = service.spec.as_ref().and_then(|s| s.publish_not_ready_addresses).unwrap_or(false);
    let selected = pods.iter().filter(|pod| selector.matches(labels(&pod.metadata)) && !is_terminal(pod));
    let backend = |pod: &Arc<Pod>| {
        let (serving, terminating) = (is_ready(pod), is_deleting(pod));
        Some(Backend {
            ready: publishes_all || (serving && !terminating),
            serving: serving || publishes_all,
            terminating,
            hostname: hostname(service, pod),
            ports: ports(service, pod)?,
            pod: pod.clone(),
        })
    };
    selected.filter(|pod| !addresses(pod).is_empty()).filter_map(backend).collect()
}

/// All addresses of the pod.
pub(crate) fn addresses(pod: &Pod) -> Vec<String> {
    let Some(status) = &pod.status else { return Vec::new() };
    let all: Vec<String> =
        status.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).filter(|ip| !ip.is_empty()).collect();
    if !all.is_empty() {
        return all;
    }
    status.pod_ip.iter().filter(|ip| !ip.is_empty()).cloned().collect()
}

/// The pod's first address of the family `IPv4` or `IPv6`.
pub(crate) fn address(pod: &Pod, family: &str) -> Option<String> {
    addresses(pod).into_iter().find(|ip| ip.contains(':') == (family == "IPv6"))
}

pub(crate) fn reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".into()),
        namespace: Some(namespace(&pod.metadata).into()),
        name: Some(name(&pod.metadata).into()),
        uid: Some(uid(&pod.metadata).into()),
        ..ObjectReference::default()
    }
}

pub(crate) fn node(pod: &Pod) -> Option<String> {
    node_name(pod).map(str::to_owned)
}

fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let hostname = spec.hostname.clone().filter(|h| !h.is_empty())?;
    (spec.subdomain.as_deref() == Some(name(&service.metadata))).then_some(hostname)
}

/// The ports of the Service that the pod serves; `None` when it has ports, but the pod none of them.
fn ports(service: &Service, pod: &Pod) -> Option<Vec<Port>> {
    let wanted = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or(&[]);
    let mut found: Vec<Port> = wanted
        .iter()
        .filter_map(|port| {
            Some(Port {
                name: port.name.clone().unwrap_or_default(),
                protocol: protocol(port.protocol.as_deref()),
                port: target(port, pod)?,
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect();
    found.sort();
    (wanted.is_empty() || !found.is_empty()).then_some(found)
}

fn protocol(protocol: Option<&str>) -> String {
    protocol.filter(|p| !p.is_empty()).unwrap_or("TCP").to_owned()
}

fn target(port: &ServicePort, pod: &Pod) -> Option<i32> {
    match port.target_port.as_ref() {
        None | Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(wanted)) => {
            let spec = pod.spec.as_ref()?;
            let sidecars = spec.init_containers.iter().flatten();
            let sidecars = sidecars.filter(|c| c.restart_policy.as_deref() == Some("Always"));
            let all = spec.containers.iter().chain(sidecars).flat_map(|c| c.ports.iter().flatten());
            let fits = |p: &&ContainerPort| {
                p.name.as_deref() == Some(wanted)
                    && protocol(p.protocol.as_deref()) == protocol(port.protocol.as_deref())
            };
            all.into_iter().find(fits).map(|p| p.container_port)
        }
    }
}
