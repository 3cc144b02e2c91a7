//! EndpointSlice.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col};
use super::endpoints::{endpoint_ip, listed};
use super::warn;
use crate::names;
use crate::table::{age_cell, name_cell, text_cell};
use crate::value::{get, has, int, items, items_mut, set_default, set_text, text, texts};

pub const ENDPOINT_SLICE: Builtin =
    Builtin::new("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "qgS0xkrxYAI=")
        .namespaced()
        .columns(ENDPOINT_SLICE_COLUMNS)
        .generation()
        .strategy(&EndpointSlice);

const ENDPOINT_SLICE_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("AddressType", "string", "", 0),
    ("Ports", "string", "", 0),
    ("Endpoints", "string", "", 0),
    ("Age", "string", "", 0),
];

const MAX_ENDPOINTS: usize = 1000;
const MAX_PORTS: usize = 20000;
const MAX_ADDRESSES: usize = 100;
const MAX_TOPOLOGY: usize = 16;
const MAX_HINTS: usize = 8;

struct EndpointSlice;

impl Strategy for EndpointSlice {
    fn default(&self, _r: &Resource, object: &mut Value) {
        for port in items_mut(object, "ports") {
            set_default(port, "name", "");
            set_text(port, "protocol", "TCP");
        }
    }

    fn prepare_update(&self, _r: &Resource, new: &mut Value, old: &Value, _ctx: &Ctx) {
        // Labels say which Service the slice is for, so that they count as a change.
        let labels = |o: &Value| get(o, "metadata.labels").clone();
        if !crate::value::same(&labels(new), &labels(old)) {
            crate::meta::raise_generation(new, old);
        }
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let kind = text(object, "addressType");
        errors.one_of("addressType", kind, &["FQDN", "IPv4", "IPv6"]);
        let endpoints = items(object, "endpoints");
        if endpoints.len() > MAX_ENDPOINTS {
            errors.0.push(FieldError::too_many("endpoints", endpoints.len(), MAX_ENDPOINTS));
            return errors.0;
        }
        for (i, endpoint) in endpoints.iter().enumerate() {
            validate_endpoint(endpoint, kind, &format!("endpoints[{i}]"), &mut errors);
        }
        validate_ports(items(object, "ports"), &mut errors);
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "addressType");
        errors.0
    }

    fn warnings(&self, _r: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
        let mut found = Vec::new();
        if old.is_none() && text(object, "addressType") == "FQDN" {
            found.push("spec.addressType: FQDN endpoints are deprecated".into());
        }
        for (i, endpoint) in items(object, "endpoints").iter().enumerate() {
            for (j, address) in texts(endpoint, "addresses").enumerate() {
                warn::ip(&format!("endpoints[{i}].addresses[{j}]"), address, &mut found);
            }
        }
        found
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let port = |port: &Value| {
            let name = text(port, "name");
            match int(port, "port") {
                Some(number) => number.to_string(),
                None if name.is_empty() => "*".into(),
                None => name.to_owned(),
            }
        };
        let ports: Vec<String> = items(object, "ports").iter().map(port).collect();
        let endpoints = items(object, "endpoints").iter();
        let addresses: Vec<String> =
            endpoints.flat_map(|e| texts(e, "addresses")).map(str::to_owned).collect();
        vec![
            name_cell(object),
            text_cell(object, "addressType"),
            listed(&ports, 3, "<unset>").into(),
            listed(&addresses, 3, "<unset>").into(),
            age_cell(object, now),
        ]
    }
}

fn validate_endpoint(endpoint: &Value, kind: &str, path: &str, errors: &mut Errors) {
    let addresses: Vec<&str> = texts(endpoint, "addresses").collect();
    if addresses.is_empty() {
        errors.required(format!("{path}.addresses"), "must contain at least 1 address");
    } else if addresses.len() > MAX_ADDRESSES {
        let path = format!("{path}.addresses");
        errors.0.push(FieldError::too_many(path, addresses.len(), MAX_ADDRESSES));
    }
    for (i, address) in addresses.iter().enumerate() {
        let path = format!("{path}.addresses[{i}]");
        match kind {
            "FQDN" => errors.reasons(&path, address, names::subdomain(address)),
            "IPv4" | "IPv6" => {
                let v6 = address.parse().map(|ip: std::net::IpAddr| ip.is_ipv6());
                if v6.is_ok_and(|v6| v6 != (kind == "IPv6")) {
                    let detail = format!("must be an {kind} address");
                    errors.invalid(path.as_str(), *address, detail);
                }
                endpoint_ip(address, &path, errors);
            }
            _ => {}
        }
    }
    let node = text(endpoint, "nodeName");
    if !node.is_empty() {
        errors.reasons(&format!("{path}.nodeName"), node, names::subdomain(node));
    }
    let host = text(endpoint, "hostname");
    if has(endpoint, "hostname") {
        errors.reasons(&format!("{path}.hostname"), host, names::label(host));
    }
    let topology = get(endpoint, "deprecatedTopology");
    if topology.as_object().is_some_and(|labels| labels.len() > MAX_TOPOLOGY) {
        let count = topology.as_object().map_or(0, serde_json::Map::len);
        errors.0.push(FieldError::too_many(format!("{path}.deprecatedTopology"), count, MAX_TOPOLOGY));
    }
    errors.labels(topology, &format!("{path}.deprecatedTopology"));
    let nodes = |name: &str| names::subdomain(name);
    hints(endpoint, "forZones", names::label_value, &format!("{path}.hints"), errors);
    hints(endpoint, "forNodes", nodes, &format!("{path}.hints"), errors);
}

/// Whom an endpoint is for.
fn hints(
    endpoint: &Value,
    field: &str,
    reasons: impl Fn(&str) -> Vec<String>,
    path: &str,
    errors: &mut Errors,
) {
    let list = items(get(endpoint, "hints"), field);
    let path = format!("{path}.{field}");
    if list.len() > MAX_HINTS {
        return errors.0.push(FieldError::too_many(path, list.len(), MAX_HINTS));
    }
    for (i, hint) in list.iter().enumerate() {
        let (at, name) = (format!("{path}[{i}].name"), text(hint, "name"));
        if list[..i].iter().any(|other| text(other, "name") == name) {
            errors.duplicate(at.as_str(), name);
        }
        errors.reasons(&at, name, reasons(name));
    }
}

fn validate_ports(ports: &[Value], errors: &mut Errors) {
    if ports.len() > MAX_PORTS {
        errors.0.push(FieldError::too_many("ports", ports.len(), MAX_PORTS));
        return;
    }
    let mut seen: Vec<&str> = Vec::new();
    for (i, port) in ports.iter().enumerate() {
        let path = format!("ports[{i}]");
        let name = text(port, "name");
        if !name.is_empty() {
            errors.reasons(&format!("{path}.name"), name, names::label(name));
        }
        if seen.contains(&name) {
            errors.duplicate(format!("{path}.name"), name);
        }
        seen.push(name);
        errors.one_of(&format!("{path}.protocol"), text(port, "protocol"), &["SCTP", "TCP", "UDP"]);
        let protocol = text(port, "appProtocol");
        if has(port, "appProtocol") {
            errors.reasons(&format!("{path}.appProtocol"), protocol, names::qualified(protocol));
        }
    }
}
