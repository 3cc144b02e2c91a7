//! What the DNS says of one Service. Pure.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

/// A named port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortName {
    /// Empty for the only port of a service without names: such a port has no SRV record of its own.
    pub name: String,
    /// Lower case: `tcp`.
    pub protocol: String,
    pub number: u16,
}

/// One endpoint under the name of its service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointName {
    /// The pod's hostname, or its address with dashes.
    pub host: String,
    pub address: IpAddr,
    pub ports: Vec<PortName>,
}

/// The names of one Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Empty for a headless service.
    pub cluster_ips: Vec<IpAddr>,
    /// Lower case, for a service of type ExternalName.
    pub external_name: Option<String>,
    pub ports: Vec<PortName>,
    /// Those that are ready.
    pub endpoints: Vec<EndpointName>,
}

impl Entry {
    pub fn is_headless(&self) -> bool {
        self.cluster_ips.is_empty() && self.external_name.is_none()
    }
}

/// The names of `service`, given its EndpointSlices.
pub fn entry(service: &Service, slices: &[&EndpointSlice]) -> Entry {
    let spec = service.spec.clone().unwrap_or_default();
    let external = spec.type_.as_deref() == Some("ExternalName");
    let external_name =
        spec.external_name.filter(|_| external).map(|n| n.trim_end_matches('.').to_lowercase());
    let mut cluster_ips: Vec<IpAddr> = spec
        .cluster_ip
        .iter()
        .chain(spec.cluster_ips.iter().flatten())
        .filter_map(|a| a.parse().ok())
        .collect();
    cluster_ips.sort();
    cluster_ips.dedup();
    let ports = spec.ports.iter().flatten();
    let ports = ports.map(|p| port_name(p.name.as_deref(), p.protocol.as_deref(), p.port)).collect();
    let mut endpoints: Vec<EndpointName> = slices
        .iter()
        .flat_map(|s| s.endpoints.iter().flatten().filter_map(|e| endpoint_name(s, e)))
        .collect();
    endpoints.sort();
    endpoints.dedup();
    Entry { cluster_ips, external_name, ports, endpoints }
}

fn endpoint_name(slice: &EndpointSlice, endpoint: &Endpoint) -> Option<EndpointName> {
    if endpoint.conditions.as_ref().and_then(|c| c.ready) == Some(false) {
        return None;
    }
    let address: IpAddr = endpoint.addresses.first()?.parse().ok()?;
    let host = match endpoint.hostname.as_deref() {
        Some(host) if !host.is_empty() => host.to_lowercase(),
        _ => dashed(address),
    };
    let ports = slice.ports.iter().flatten();
    let ports =
        ports.filter_map(|p| Some(port_name(p.name.as_deref(), p.protocol.as_deref(), p.port?))).collect();
    Some(EndpointName { host, address, ports })
}

fn port_name(name: Option<&str>, protocol: Option<&str>, number: i32) -> PortName {
    PortName {
        name: name.unwrap_or_default().to_lowercase(),
        protocol: protocol.unwrap_or("TCP").to_lowercase(),
        number: u16::try_from(number).unwrap_or_default(),
    }
}

/// An address as a label: `10-244-1-2`.
fn dashed(address: IpAddr) -> String {
    address.to_string().replace(['.', ':'], "-")
}
