//! What clients are warned about: accepted, but deprecated or hardly meant. Texts of warning headers.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use serde_json::Value;

use crate::names;
use crate::quantity::Quantity;
use crate::value::{get, items, text, texts};

/// Labels of nodes that have other names now.
const NODE_LABELS: [(&str, &str); 8] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    (
        "scheduler.alpha.kubernetes.io/preferAvoidPods",
        "deprecated since v1.22; use Taints and Tolerations instead",
    ),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
];

/// What is to be said about a label of nodes.
pub fn node_label(key: &str) -> Option<&'static str> {
    NODE_LABELS.iter().find(|(known, _)| *known == key).map(|(_, words)| *words)
}

/// Deprecated keys of requirements; and, where asked for, values that no label can have.
pub fn requirements(list: &[Value], path: &str, values: bool, found: &mut Vec<String>) {
    for (i, requirement) in list.iter().enumerate() {
        let (at, key) = (format!("{path}[{i}]"), text(requirement, "key"));
        if let Some(words) = node_label(key) {
            found.push(format!("{at}.key: {key} is {words}"));
        }
        for (i, value) in texts(requirement, "values").enumerate().filter(|_| values) {
            for reason in names::label_value(value) {
                found.push(format!("{at}.values[{i}]: {value} is invalid, {reason}"));
            }
        }
    }
}

/// The terms of a node selector.
pub fn node_selector(terms: &[Value], path: &str, found: &mut Vec<String>) {
    for (i, term) in terms.iter().enumerate() {
        let path = format!("{path}[{i}].matchExpressions");
        requirements(items(term, "matchExpressions"), &path, false, found);
    }
}

/// Annotations that have become fields, or mean nothing any more.
pub fn annotations(object: &Value, path: &str, known: &[(&str, &str)], found: &mut Vec<String>) {
    let annotations = get(object, "metadata.annotations");
    for (key, words) in known.iter().filter(|(key, _)| annotations.get(key).is_some()) {
        found.push(format!("{path}metadata.annotations[{key}]: {words}"));
    }
}

/// An amount of bytes that is no whole number.
pub fn fraction(amounts: &Value, name: &str, path: &str, found: &mut Vec<String>) {
    let Some(value) = amounts.get(name).and_then(Value::as_str) else { return };
    if Quantity::parse(value).is_ok_and(|q| !q.is_whole()) {
        found.push(format!("{path}[{name}]: fractional byte value {value:?} is invalid, must be an integer"));
    }
}

/// `resources` of a claim's spec.
pub fn claim_spec(spec: &Value, path: &str, found: &mut Vec<String>) {
    for list in ["requests", "limits"] {
        let amounts = get(get(spec, "resources"), list);
        fraction(amounts, "storage", &format!("{path}.resources.{list}"), found);
    }
}

/// A name that is not a DNS label becomes a part of host names.
pub fn pod_names(object: &Value, what: &str, found: &mut Vec<String>) {
    let reasons = names::label(crate::meta::name(object));
    if !reasons.is_empty() {
        found.push(format!(
            "metadata.name: this is used in {what}, which can result in surprising behavior; a DNS label is recommended: [{}]",
            reasons.join(" ")
        ));
    }
}

/// An address that is not written as it should be.
pub fn ip(path: &str, value: &str, found: &mut Vec<String>) {
    let Ok(IpAddr::V6(address)) = value.parse() else { return };
    match address.to_ipv4_mapped() {
        Some(inner) => {
            found.push(format!("{path}: non-standard IP address {value:?} is invalid: use \"{inner}\""));
        }
        None if address.to_string() != value => found.push(format!(
            "{path}: IPv6 address {value:?} should be in RFC 5952 canonical format (\"{address}\")"
        )),
        None => {}
    }
}

/// A network that is not written as it should be.
pub fn cidr(path: &str, value: &str, found: &mut Vec<String>) {
    let Ok(network) = value.parse::<IpNet>() else { return };
    let before = found.len();
    let (address, whole) = (network.addr(), network.trunc());
    if network.network() != address {
        found.push(format!(
            "{path}: CIDR value {value:?} is ambiguous in this context (should be \"{whole}\" or \"{address}/{}\"?)",
            network.max_prefix_len()
        ));
    }
    let mapped = matches!(address, IpAddr::V6(v6) if Ipv6Addr::to_ipv4_mapped(&v6).is_some());
    if mapped {
        found.push(format!("{path}: non-standard CIDR value {value:?} is invalid: use \"{whole}\""));
    }
    if found.len() == before && address.is_ipv6() && network.to_string() != value {
        found.push(format!(
            "{path}: IPv6 CIDR value {value:?} should be in RFC 5952 canonical format (\"{network}\")"
        ));
    }
}

/// Deprecated labels in a map of labels.
pub fn node_labels(labels: &Value, path: impl Fn(&str) -> String, found: &mut Vec<String>) {
    for key in labels.as_object().into_iter().flat_map(|map| map.keys()) {
        if let Some(words) = node_label(key) {
            found.push(format!("{}: {words}", path(key)));
        }
    }
}
