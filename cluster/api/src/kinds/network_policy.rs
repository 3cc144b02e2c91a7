//! NetworkPolicy.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col};
use super::warn;
use crate::selector;
use crate::table::{age_cell, name_cell};
use crate::value::{get, has, int, items, items_mut, set, set_text, text, texts};

pub const NETWORK_POLICY: Builtin =
    Builtin::new("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", "YpfwF18m1G8=")
        .namespaced()
        .short(&["netpol"])
        .columns(NETWORK_POLICY_COLUMNS)
        .generation()
        .strategy(&NetworkPolicy);

const NETWORK_POLICY_COLUMNS: &[Col] =
    &[("Name", "string", "name", 0), ("Pod-Selector", "string", "", 0), ("Age", "string", "", 0)];

struct NetworkPolicy;

impl Strategy for NetworkPolicy {
    fn default(&self, _r: &Resource, object: &mut Value) {
        for list in ["spec.ingress", "spec.egress"] {
            for rule in items_mut(object, list) {
                for port in items_mut(rule, "ports") {
                    set_text(port, "protocol", "TCP");
                }
            }
        }
        if items(object, "spec.policyTypes").is_empty() {
            let types: &[&str] = match items(object, "spec.egress").is_empty() {
                true => &["Ingress"],
                false => &["Ingress", "Egress"],
            };
            set(object, "spec.policyTypes", types);
        }
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.label_selector(get(object, "spec.podSelector"), "spec.podSelector");
        for (list, peers) in [("ingress", "from"), ("egress", "to")] {
            for (i, rule) in items(object, &format!("spec.{list}")).iter().enumerate() {
                let path = format!("spec.{list}[{i}]");
                for (j, port) in items(rule, "ports").iter().enumerate() {
                    validate_port(port, &format!("{path}.ports[{j}]"), &mut errors);
                }
                for (j, peer) in items(rule, peers).iter().enumerate() {
                    validate_peer(peer, &format!("{path}.{peers}[{j}]"), &mut errors);
                }
            }
        }
        let kinds = items(object, "spec.policyTypes");
        if kinds.len() > 2 {
            errors.invalid("spec.policyTypes", kinds.to_vec(), "may not specify more than two policyTypes");
            return errors.0;
        }
        for (i, kind) in texts(object, "spec.policyTypes").enumerate() {
            let known = ["Ingress", "Egress"];
            if !known.contains(&kind) {
                errors.0.push(FieldError::not_supported(format!("spec.policyTypes[{i}]"), kind, known));
            }
        }
        errors.0
    }

    fn warnings(&self, _r: &Resource, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut found = Vec::new();
        for (list, peers) in [("ingress", "from"), ("egress", "to")] {
            for (i, rule) in items(get(object, "spec"), list).iter().enumerate() {
                for (j, peer) in items(rule, peers).iter().enumerate() {
                    let at = format!("spec.{list}[{i}].{peers}[{j}].ipBlock");
                    let block = get(peer, "ipBlock");
                    warn::cidr(&format!("{at}.cidr"), text(block, "cidr"), &mut found);
                    for (k, except) in texts(block, "except").enumerate() {
                        warn::cidr(&format!("{at}.except[{k}]"), except, &mut found);
                    }
                }
            }
        }
        found
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            name_cell(object),
            selector::format_value(get(object, "spec.podSelector")).into(),
            age_cell(object, now),
        ]
    }
}

fn validate_port(port: &Value, path: &str, errors: &mut Errors) {
    errors.one_of_or_empty(&format!("{path}.protocol"), text(port, "protocol"), &["TCP", "UDP", "SCTP"]);
    let number = get(port, "port");
    if !number.is_null() {
        errors.port_or_name(&format!("{path}.port"), number);
    }
    let Some(end) = int(port, "endPort") else {
        return;
    };
    match number {
        Value::Null => {
            errors.invalid(
                format!("{path}.endPort"),
                end,
                "may not be specified when `port` is not specified",
            );
        }
        Value::String(_) => {
            errors.invalid(format!("{path}.endPort"), end, "may not be specified when `port` is non-numeric");
        }
        number => {
            if number.as_i64().is_some_and(|start| end < start) {
                let detail = "must be greater than or equal to `port`";
                // The value in the message is Kubernetes'.
                errors.invalid(format!("{path}.endPort"), number.clone(), detail);
            }
            errors.port(&format!("{path}.endPort"), end);
        }
    }
}

fn validate_peer(peer: &Value, path: &str, errors: &mut Errors) {
    let (pods, namespaces) = (has(peer, "podSelector"), has(peer, "namespaceSelector"));
    errors.label_selector(get(peer, "podSelector"), &format!("{path}.podSelector"));
    errors.label_selector(get(peer, "namespaceSelector"), &format!("{path}.namespaceSelector"));
    let block = get(peer, "ipBlock");
    if block.is_null() {
        if !pods && !namespaces {
            errors.required(path, "must specify a peer");
        }
        return;
    }
    if pods || namespaces {
        errors.forbidden(path, "may not specify both ipBlock and another peer");
    }
    match text(block, "cidr") {
        "" => errors.required(format!("{path}.ipBlock.cidr"), ""),
        cidr => {
            let whole = errors.cidr(&format!("{path}.ipBlock.cidr"), cidr);
            for (i, except) in texts(block, "except").enumerate() {
                let at = format!("{path}.ipBlock.except[{i}]");
                if let (Some(whole), Some(part)) = (whole, errors.cidr(&at, except))
                    && (!whole.contains(&part) || whole.prefix_len() >= part.prefix_len())
                {
                    errors.invalid(at, except, "must be a strict subset of `cidr`");
                }
            }
        }
    }
}
