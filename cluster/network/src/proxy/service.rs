//! What one Service asks of the proxy. Pure.
//!
//! Rules of Kubernetes kept here: endpoints that are ready are used, and only when there are none those that are
//! terminating but still serving; `internalTrafficPolicy` and `externalTrafficPolicy`; topology hints.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use crate::{HostPort, Protocol};

/// `sessionAffinityConfig.clientIP.timeoutSeconds` when it is not given.
const DEFAULT_AFFINITY_SECONDS: u32 = 10_800;
/// Services with this label are served by somebody else.
const FOREIGN_PROXY_LABEL: &str = "service.kubernetes.io/service-proxy-name";

/// Where a service is reached. The address 0.0.0.0 stands for every address of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frontend {
    pub address: Ipv4Addr,
    pub protocol: Protocol,
    pub port: u16,
}

/// Where connections to a frontend go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Balance(Backend),
    /// Silently: what `externalTrafficPolicy: Local` does on a node without endpoints.
    Drop,
    Reject,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Not empty, without duplicates. The order is the kernel's numbering.
    pub endpoints: Vec<SocketAddrV4>,
    /// Keep a client at its endpoint until it was silent for so many seconds.
    pub affinity_seconds: Option<u32>,
    /// Endpoints see an address of this node as the client.
    pub masquerade: bool,
}

/// All frontends of one Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceRules {
    /// For clients in pods and on this node, and for the others where `outside` says nothing.
    pub inside: BTreeMap<Frontend, Target>,
    /// For clients elsewhere.
    pub outside: BTreeMap<Frontend, Target>,
    /// Endpoints on this node: a pod that reaches itself through the service must be masqueraded.
    pub local_endpoints: BTreeSet<Ipv4Addr>,
}

/// Where this proxy runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    pub node_name: String,
    /// `topology.kubernetes.io/zone`.
    pub zone: Option<String>,
    /// Frontends with this address are left out: the cluster DNS is served by the node itself.
    pub dns_ip: Option<Ipv4Addr>,
}

#[derive(Clone, Debug)]
struct Candidate<'a> {
    address: SocketAddrV4,
    endpoint: &'a Endpoint,
    local: bool,
}

/// What `service` asks for, given its EndpointSlices.
pub fn service_rules(service: &Service, slices: &[&EndpointSlice], placement: &Placement) -> ServiceRules {
    let mut rules = ServiceRules::default();
    let Some(spec) = &service.spec else { return rules };
    let cluster_ips = cluster_ips(spec);
    let foreign = service.metadata.labels.as_ref().is_some_and(|l| l.contains_key(FOREIGN_PROXY_LABEL));
    if foreign || spec.type_.as_deref() == Some("ExternalName") || cluster_ips.is_empty() {
        return rules;
    }
    let external_ips = external_ips(service, spec);
    let affinity_seconds = affinity_seconds(spec);
    for port in spec.ports.iter().flatten() {
        let Some(protocol) = protocol(port.protocol.as_deref()) else { continue };
        let candidates = candidates(port, protocol, slices, placement);
        let everywhere = usable(&candidates, |_| true);
        let here = usable(&candidates, |c| c.local);
        rules.local_endpoints.extend(here.iter().map(|e| *e.ip()));
        let backend = |endpoints: &[SocketAddrV4], masquerade| {
            let endpoints = endpoints.to_vec();
            (!endpoints.is_empty()).then_some(Target::Balance(Backend {
                endpoints,
                affinity_seconds,
                masquerade,
            }))
        };
        let internal_local = spec.internal_traffic_policy.as_deref() == Some("Local");
        let internal =
            if internal_local { here.clone() } else { prefer_near(&candidates, &everywhere, placement) };
        for &address in cluster_ips.iter().filter(|a| Some(**a) != placement.dns_ip) {
            let frontend = Frontend { address, protocol, port: port.port as u16 };
            // Without endpoints nothing is said: the ruleset rejects what is left over for the service CIDR.
            rules.inside.extend(backend(&internal, false).map(|t| (frontend, t)));
        }
        let external_local = spec.external_traffic_policy.as_deref() == Some("Local");
        let mut frontends: Vec<_> = external_ips
            .iter()
            .map(|&address| Frontend { address, protocol, port: port.port as u16 })
            .collect();
        frontends.extend(node_port(port, protocol));
        for frontend in frontends {
            match backend(&everywhere, true) {
                Some(target) => rules.inside.insert(frontend, target),
                // Nothing listens on the node port: the kernel rejects. An external address may be foreign.
                None if frontend.address.is_unspecified() => None,
                None => rules.inside.insert(frontend, Target::Reject),
            };
            if external_local && !everywhere.is_empty() {
                rules.outside.insert(frontend, backend(&here, false).unwrap_or(Target::Drop));
            }
        }
    }
    rules
}

/// What a pod's host ports ask for.
pub fn host_port_rules(pod: Ipv4Addr, ports: &[HostPort]) -> ServiceRules {
    let mut rules = ServiceRules::default();
    for port in ports {
        let address = match port.host_ip {
            None => Ipv4Addr::UNSPECIFIED,
            Some(IpAddr::V4(address)) => address,
            Some(IpAddr::V6(address)) if address.is_unspecified() => Ipv4Addr::UNSPECIFIED,
            Some(IpAddr::V6(_)) => continue,
        };
        let backend = Backend {
            endpoints: vec![SocketAddrV4::new(pod, port.container_port)],
            affinity_seconds: None,
            masquerade: false,
        };
        let frontend = Frontend { address, protocol: port.protocol, port: port.host_port };
        rules.inside.insert(frontend, Target::Balance(backend));
        rules.local_endpoints.insert(pod);
    }
    rules
}

/// The IPv4 cluster addresses; none for a headless service.
fn cluster_ips(spec: &ServiceSpec) -> Vec<Ipv4Addr> {
    let one = spec.cluster_ip.iter();
    let all = spec.cluster_ips.iter().flatten();
    let addresses: BTreeSet<Ipv4Addr> = one.chain(all).filter_map(|a| a.parse().ok()).collect();
    addresses.into_iter().collect()
}

fn external_ips(service: &Service, spec: &ServiceSpec) -> BTreeSet<Ipv4Addr> {
    let ingress = service
        .status
        .iter()
        .filter_map(|s| s.load_balancer.as_ref())
        .flat_map(|l| l.ingress.iter().flatten());
    let ingress = ingress.filter(|i| i.ip_mode.as_deref() != Some("Proxy")).filter_map(|i| i.ip.as_deref());
    let external = spec.external_ips.iter().flatten().map(String::as_str);
    external.chain(ingress).filter_map(|a| a.parse().ok()).collect()
}

fn node_port(port: &ServicePort, protocol: Protocol) -> Option<Frontend> {
    let number = port.node_port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p != 0)?;
    Some(Frontend { address: Ipv4Addr::UNSPECIFIED, protocol, port: number })
}

fn affinity_seconds(spec: &ServiceSpec) -> Option<u32> {
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return None;
    }
    let configured = spec
        .session_affinity_config
        .as_ref()
        .and_then(|c| c.client_ip.as_ref())
        .and_then(|c| c.timeout_seconds);
    Some(configured.and_then(|s| u32::try_from(s).ok()).unwrap_or(DEFAULT_AFFINITY_SECONDS))
}

fn protocol(name: Option<&str>) -> Option<Protocol> {
    match name {
        None | Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some("SCTP") => Some(Protocol::Sctp),
        Some(_) => None,
    }
}

/// The endpoints of a service port, ready or not, by address.
fn candidates<'a>(
    port: &ServicePort,
    protocol_wanted: Protocol,
    slices: &[&'a EndpointSlice],
    placement: &Placement,
) -> BTreeMap<SocketAddrV4, Candidate<'a>> {
    let mut found = BTreeMap::new();
    for slice in slices.iter().filter(|s| s.address_type == "IPv4") {
        let wanted = port.name.as_deref().unwrap_or("");
        let number = slice.ports.iter().flatten().find_map(|p| {
            let same = p.name.as_deref().unwrap_or("") == wanted
                && protocol(p.protocol.as_deref()) == Some(protocol_wanted);
            if same { p.port.and_then(|n| u16::try_from(n).ok()) } else { None }
        });
        let Some(number) = number else { continue };
        for endpoint in slice.endpoints.iter().flatten() {
            let local = endpoint.node_name.as_deref() == Some(&placement.node_name);
            // The addresses of an endpoint are fungible: the API asks to use the first.
            let Some(address) = endpoint.addresses.first().and_then(|a| a.parse().ok()) else { continue };
            let address = SocketAddrV4::new(address, number);
            let candidate = Candidate { address, endpoint, local };
            // An address may be in two slices while it moves between them: a ready entry wins.
            match found.get(&address) {
                Some(known) if is_ready(known) || !is_ready(&candidate) => {}
                _ => {
                    found.insert(address, candidate);
                }
            }
        }
    }
    found
}

fn is_ready(candidate: &Candidate) -> bool {
    candidate.endpoint.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true)
}

fn is_serving_while_terminating(candidate: &Candidate) -> bool {
    let Some(conditions) = &candidate.endpoint.conditions else { return false };
    let serving = conditions.serving.or(conditions.ready).unwrap_or(true);
    serving && conditions.terminating == Some(true)
}

fn usable(
    candidates: &BTreeMap<SocketAddrV4, Candidate>,
    eligible: impl Fn(&Candidate) -> bool,
) -> Vec<SocketAddrV4> {
    let select = |wanted: fn(&Candidate) -> bool| -> Vec<SocketAddrV4> {
        candidates.values().filter(|c| eligible(c) && wanted(c)).map(|c| c.address).collect()
    };
    let ready = select(is_ready);
    if ready.is_empty() { select(is_serving_while_terminating) } else { ready }
}

/// Follows topology hints: the endpoints meant for this node, else for this zone, else all. Hints are only
/// followed when every ready endpoint has them.
fn prefer_near(
    candidates: &BTreeMap<SocketAddrV4, Candidate>,
    everywhere: &[SocketAddrV4],
    placement: &Placement,
) -> Vec<SocketAddrV4> {
    let ready: Vec<&Candidate> = candidates.values().filter(|c| is_ready(c)).collect();
    let select = |meant: &dyn Fn(&Candidate) -> Option<bool>| -> Option<Vec<SocketAddrV4>> {
        let verdicts: Option<Vec<bool>> = ready.iter().map(|c| meant(c)).collect();
        let near =
            ready.iter().zip(verdicts?).filter_map(|(c, near)| near.then_some(c.address)).collect::<Vec<_>>();
        (!near.is_empty()).then_some(near)
    };
    let for_node = |c: &Candidate| {
        let nodes = c.endpoint.hints.as_ref()?.for_nodes.as_ref().filter(|n| !n.is_empty())?;
        Some(nodes.iter().any(|n| n.name == placement.node_name))
    };
    let for_zone = |c: &Candidate| {
        let zones = c.endpoint.hints.as_ref()?.for_zones.as_ref().filter(|z| !z.is_empty())?;
        Some(zones.iter().any(|z| Some(&z.name) == placement.zone.as_ref()))
    };
    select(&for_node).or_else(|| select(&for_zone)).unwrap_or_else(|| everywhere.to_vec())
}
