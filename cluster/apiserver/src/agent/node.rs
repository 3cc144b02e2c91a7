//! Where things are: the agent of a node, the address of a pod, an endpoint of a service.

use std::net::IpAddr;

use api::Status;
use serde_json::Value;
use store::View;

use super::dial::Target;
use crate::call::Call;

/// The agent's API, unless the node says otherwise.
const AGENT_PORT: u16 = 10250;

/// The agent of the node that a pod is bound to.
pub(super) async fn agent_of_pod(call: &Call, pod: &Value) -> Result<Target, Status> {
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    if node.is_empty() {
        return Err(Status::bad_request(format!("pod {} does not have a host assigned", call.name())));
    }
    agent_of_node(&call.server.local_view().await?, node)
}

pub(super) fn agent_of_node(view: &View, name: &str) -> Result<Target, Status> {
    let node =
        view.get(&format!("/core/nodes/{name}")).ok_or_else(|| Status::not_found("", "nodes", name))?;
    let node: Value =
        serde_json::from_slice(&node.value).map_err(|e| Status::internal(format!("node: {e}")))?;
    let address = |kind: &str| {
        let mut list = node["status"]["addresses"].as_array().into_iter().flatten();
        list.find(|a| a["type"] == kind).and_then(|a| a["address"].as_str()).map(str::to_owned)
    };
    let host = address("InternalIP")
        .or_else(|| address("ExternalIP"))
        .or_else(|| address("Hostname"))
        .ok_or_else(|| Status::failure(502, "", format!("node {name} has no address yet")))?;
    let port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_u64();
    let port = port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p != 0).unwrap_or(AGENT_PORT);
    Ok(Target { host, port, tls: true, what: format!("the agent of node {name}") })
}

/// `[scheme:]name[:port]`, as the proxy subresources take it.
pub(super) struct ProxyName<'n> {
    pub https: bool,
    pub name: &'n str,
    pub port: &'n str,
}

impl<'n> ProxyName<'n> {
    pub(super) fn parse(text: &'n str) -> Result<Self, Status> {
        let parts: Vec<&str> = text.split(':').collect();
        let (scheme, name, port) = match parts.as_slice() {
            [name] => ("", *name, ""),
            [name, port] => ("", *name, *port),
            [scheme, name, port] => (*scheme, *name, *port),
            _ => return Err(Status::bad_request(format!("invalid request {text:?}"))),
        };
        match scheme {
            "" | "http" => Ok(Self { https: false, name, port }),
            "https" => Ok(Self { https: true, name, port }),
            _ => Err(Status::bad_request(format!("invalid scheme {scheme:?}"))),
        }
    }
}

pub(super) fn pod_target(call: &Call, view: &View, name: &ProxyName<'_>) -> Result<Target, Status> {
    let key = call.storage.key(call.namespace(), name.name);
    let pod = view.get(&key).ok_or_else(|| Status::not_found("", "pods", name.name))?;
    let pod: Value = serde_json::from_slice(&pod.value).map_err(|e| Status::internal(format!("pod: {e}")))?;
    let host = pod["status"]["podIP"].as_str().unwrap_or_default();
    let host: IpAddr =
        host.parse().map_err(|_| Status::bad_request("address not allowed: the pod has no IP yet"))?;
    let ports = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut ports = ports.flat_map(|c| c["ports"].as_array().into_iter().flatten());
    let port = match name.port {
        "" => ports.next().and_then(|p| p["containerPort"].as_u64()).unwrap_or(80),
        text => match text.parse() {
            Ok(number) => number,
            Err(_) => ports
                .find(|p| p["name"] == text)
                .and_then(|p| p["containerPort"].as_u64())
                .ok_or_else(|| Status::bad_request(format!("pod {} has no port {text:?}", name.name)))?,
        },
    };
    target(host, port, name.https, format!("pod {}", name.name))
}

pub(super) fn service_target(call: &Call, view: &View, name: &ProxyName<'_>) -> Result<Target, Status> {
    let (host, port) = service_endpoint(view, call.namespace(), name.name, name.port)?;
    target(host, port.into(), name.https, format!("service {}", name.name))
}

/// Some ready endpoint of a service's port, which is given by name or number, or is the first.
pub(crate) fn service_endpoint(
    view: &View,
    namespace: &str,
    name: &str,
    port: &str,
) -> Result<(IpAddr, u16), Status> {
    let key = format!("/core/services/{namespace}/{name}");
    let service = view.get(&key).ok_or_else(|| Status::not_found("", "services", name))?;
    let service: Value =
        serde_json::from_slice(&service.value).map_err(|e| Status::internal(format!("service: {e}")))?;
    let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let chosen = ports.find(|p| match port {
        "" => true,
        text => p["name"] == text || p["port"].as_u64().map(|n| n.to_string()).as_deref() == Some(text),
    });
    let port_name = chosen.map(|p| p["name"].as_str().unwrap_or_default().to_owned()).ok_or_else(|| {
        Status::service_unavailable(format!("no service port {port:?} found for service {name:?}"))
    })?;
    let prefix = format!("/discovery.k8s.io/endpointslices/{namespace}/");
    let slices = view.range(&prefix, None).filter(|o| o.label("kubernetes.io/service-name") == Some(name));
    let mut found: Vec<(IpAddr, u64)> = Vec::new();
    for slice in slices {
        let Ok(slice) = serde_json::from_slice::<Value>(&slice.value) else { continue };
        let ports = slice["ports"].as_array().into_iter().flatten();
        let port = ports
            .filter(|p| p["name"].as_str().unwrap_or_default() == port_name)
            .find_map(|p| p["port"].as_u64());
        let Some(port) = port else { continue };
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            if endpoint["conditions"]["ready"] == false {
                continue;
            }
            let addresses = endpoint["addresses"].as_array().into_iter().flatten();
            found.extend(addresses.filter_map(|a| Some((a.as_str()?.parse().ok()?, port))));
        }
    }
    use rand::seq::IndexedRandom;
    let (host, port) = found
        .choose(&mut rand::rng())
        .ok_or_else(|| Status::service_unavailable(format!("no endpoints available for service {name:?}")))?;
    let port = u16::try_from(*port).map_err(|_| Status::bad_request(format!("invalid port {port}")))?;
    Ok((*host, port))
}

/// Addresses that are the server's own are not for others to reach through it.
fn target(host: IpAddr, port: u64, tls: bool, what: String) -> Result<Target, Status> {
    let forbidden = host.is_loopback()
        || host.is_unspecified()
        || host.is_multicast()
        || matches!(host, IpAddr::V4(v4) if v4.is_link_local());
    if forbidden {
        return Err(Status::forbidden("", "", "", format!("address {host} not allowed")));
    }
    let port = u16::try_from(port).map_err(|_| Status::bad_request(format!("invalid port {port}")))?;
    Ok(Target { host: host.to_string(), port, tls, what })
}
