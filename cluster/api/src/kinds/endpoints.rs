//! Endpoints.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col};
use super::warn;
use crate::names;
use crate::table::{age_cell, name_cell};
use crate::value::{get, int, items, items_mut, set_text, text};

pub const ENDPOINTS: Builtin = Builtin::new("", "v1", "Endpoints", "endpoints", "fWeeMqaN/OA=")
    .namespaced()
    .short(&["ep"])
    .columns(ENDPOINTS_COLUMNS)
    .create_on_update()
    .strategy(&Endpoints);

const ENDPOINTS_COLUMNS: &[Col] =
    &[("Name", "string", "name", 0), ("Endpoints", "string", "", 0), ("Age", "string", "", 0)];

struct Endpoints;

impl Strategy for Endpoints {
    fn default(&self, _r: &Resource, object: &mut Value) {
        for subset in items_mut(object, "subsets") {
            for port in items_mut(subset, "ports") {
                set_text(port, "protocol", "TCP");
            }
        }
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        for (i, subset) in items(object, "subsets").iter().enumerate() {
            let path = format!("subsets[{i}]");
            validate_subset(subset, &path, &mut errors);
        }
        errors.0
    }

    fn warnings(&self, _r: &Resource, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut found = Vec::new();
        for (i, subset) in items(object, "subsets").iter().enumerate() {
            for list in ["addresses", "notReadyAddresses"] {
                for (j, address) in items(subset, list).iter().enumerate() {
                    let at = format!("subsets[{i}].{list}[{j}].ip");
                    warn::ip(&at, text(address, "ip"), &mut found);
                }
            }
        }
        found
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![name_cell(object), shown(object).into(), age_cell(object, now)]
    }
}

fn validate_subset(subset: &Value, path: &str, errors: &mut Errors) {
    if items(subset, "addresses").is_empty() && items(subset, "notReadyAddresses").is_empty() {
        errors.required(path, "must specify `addresses` or `notReadyAddresses`");
    }
    for list in ["addresses", "notReadyAddresses"] {
        for (i, address) in items(subset, list).iter().enumerate() {
            let path = format!("{path}.{list}[{i}]");
            endpoint_ip(text(address, "ip"), &format!("{path}.ip"), errors);
            let name = text(address, "hostname");
            if !name.is_empty() {
                errors.reasons(&format!("{path}.hostname"), name, names::label(name));
            }
            if let Some(node) = get(address, "nodeName").as_str() {
                errors.reasons(&format!("{path}.nodeName"), node, names::subdomain(node));
            }
        }
    }
    let ports = items(subset, "ports");
    for (i, port) in ports.iter().enumerate() {
        let path = format!("{path}.ports[{i}]");
        match text(port, "name") {
            "" if ports.len() > 1 => errors.required(format!("{path}.name"), ""),
            "" => {}
            name => errors.reasons(&format!("{path}.name"), name, names::label(name)),
        }
        errors.port(&format!("{path}.port"), int(port, "port").unwrap_or_default());
        errors.one_of(&format!("{path}.protocol"), text(port, "protocol"), &["SCTP", "TCP", "UDP"]);
        if let Some(protocol) = get(port, "appProtocol").as_str() {
            errors.reasons(&format!("{path}.appProtocol"), protocol, names::qualified(protocol));
        }
    }
}

/// An address that traffic may be sent to.
pub fn endpoint_ip(value: &str, path: &str, errors: &mut Errors) {
    let Some(ip) = errors.ip(path, value) else {
        return;
    };
    let detail = match ip {
        ip if ip.is_unspecified() => format!("may not be unspecified ({ip})"),
        ip if ip.is_loopback() => "may not be in the loopback range (127.0.0.0/8, ::1/128)".into(),
        ip if is_link_local(ip) => "may not be in the link-local range (169.254.0.0/16, fe80::/10)".into(),
        ip if is_local_multicast(ip) => {
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".into()
        }
        _ => return,
    };
    errors.invalid(path, value, detail);
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn is_local_multicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
        IpAddr::V6(ip) => ip.octets()[0] == 0xff && ip.octets()[1] & 0x0f == 2,
    }
}

/// The first three addresses, with ports.
fn shown(object: &Value) -> String {
    const MAX: usize = 3;
    let mut list: Vec<String> = Vec::new();
    for subset in items(object, "subsets") {
        let addresses = items(subset, "addresses").iter().map(|a| text(a, "ip"));
        let ports = items(subset, "ports");
        if ports.is_empty() {
            list.extend(addresses.map(str::to_owned));
            continue;
        }
        let addresses: Vec<&str> = addresses.collect();
        for port in ports {
            let number = int(port, "port").unwrap_or_default();
            for address in &addresses {
                list.push(match address.contains(':') {
                    true => format!("[{address}]:{number}"),
                    false => format!("{address}:{number}"),
                });
            }
        }
    }
    listed(&list, MAX, "<none>")
}

/// A list cut after `max` items: `a,b,c + 2 more...`.
pub fn listed(list: &[String], max: usize, none: &str) -> String {
    match list.len() {
        0 => none.to_owned(),
        count if count > max => format!("{} + {} more...", list[..max].join(","), count - max),
        _ => list.join(","),
    }
}
