//! Ingress and IngressClass.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use super::service::load_balancers;
use crate::names;
use crate::table::{age_cell, name_cell, or_none, text_cell};
use crate::value::{get, has, int, items, set_default, text, texts};

pub const INGRESS_CLASS: Builtin =
    Builtin::new("networking.k8s.io", "v1", "IngressClass", "ingressclasses", "l/iqIbDgFyQ=")
        .columns(INGRESS_CLASS_COLUMNS)
        .generation()
        .strategy(&IngressClass);

pub const INGRESS: Builtin = Builtin::new("networking.k8s.io", "v1", "Ingress", "ingresses", "39NQlfNR+bo=")
    .namespaced()
    .short(&["ing"])
    .subresources(&[("status", "Ingress", GET_PATCH_UPDATE)])
    .columns(INGRESS_COLUMNS)
    .generation()
    .strategy(&Ingress);

const INGRESS_CLASS_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Controller", "string", "", 0),
    ("Parameters", "string", "", 0),
    ("Age", "string", "", 0),
];

const INGRESS_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Class", "string", "", 0),
    ("Hosts", "string", "", 0),
    ("Address", "string", "", 0),
    ("Ports", "string", "", 0),
    ("Age", "string", "", 0),
];

struct Ingress;

impl Strategy for Ingress {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        for (i, tls) in items(object, "spec.tls").iter().enumerate() {
            for (j, host) in texts(tls, "hosts").enumerate() {
                validate_host(host, &format!("spec.tls[{i}].hosts[{j}]"), &mut errors);
            }
        }
        let (rules, backend) = (items(object, "spec.rules"), get(object, "spec.defaultBackend"));
        if rules.is_empty() && backend.is_null() {
            let detail = "either `defaultBackend` or `rules` must be specified";
            errors.invalid("spec", get(object, "spec").clone(), detail);
        }
        if !backend.is_null() {
            validate_backend(backend, "spec.defaultBackend", &mut errors);
        }
        for (i, rule) in rules.iter().enumerate() {
            validate_rule(rule, &format!("spec.rules[{i}]"), &mut errors);
        }
        let class = text(object, "spec.ingressClassName");
        if has(object, "spec.ingressClassName") {
            errors.reasons("spec.ingressClassName", class, names::subdomain(class));
        }
        errors.0
    }

    fn warnings(&self, _r: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
        const CLASS: &str = "kubernetes.io/ingress.class";
        let annotated = get(object, "metadata.annotations").get(CLASS).is_some();
        match old.is_none() && annotated && !has(object, "spec.ingressClassName") {
            true => vec![format!(
                "annotation {CLASS:?} is deprecated, please use 'spec.ingressClassName' instead"
            )],
            false => Vec::new(),
        }
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let secure = !items(object, "spec.tls").is_empty();
        vec![
            name_cell(object),
            or_none(text(object, "spec.ingressClassName")).into(),
            hosts(object).into(),
            load_balancers(object).join(",").into(),
            if secure { "80, 443" } else { "80" }.into(),
            age_cell(object, now),
        ]
    }
}

fn hosts(object: &Value) -> String {
    const MAX: usize = 3;
    let rules = items(object, "spec.rules");
    let mut list: Vec<&str> = Vec::new();
    let mut more = false;
    for host in rules.iter().map(|r| text(r, "host")) {
        more |= list.len() == MAX;
        if !more && !host.is_empty() {
            list.push(host);
        }
    }
    match (list.is_empty(), more) {
        (true, _) => "*".into(),
        (false, true) => format!("{} + {} more...", list.join(","), rules.len() - MAX),
        (false, false) => list.join(","),
    }
}

fn validate_host(host: &str, path: &str, errors: &mut Errors) {
    let reasons = match host.contains('*') {
        true => names::wildcard_subdomain(host),
        false => names::subdomain(host),
    };
    errors.reasons(path, host, reasons);
}

fn validate_rule(rule: &Value, path: &str, errors: &mut Errors) {
    let host = text(rule, "host");
    if !host.is_empty() {
        if host.parse::<std::net::IpAddr>().is_ok() {
            errors.invalid(format!("{path}.host"), host, "must be a DNS name, not an IP address");
        }
        validate_host(host, &format!("{path}.host"), errors);
    }
    if !has(rule, "http") {
        return;
    }
    let paths = items(rule, "http.paths");
    if paths.is_empty() {
        errors.required(format!("{path}.http.paths"), "");
    }
    for (i, entry) in paths.iter().enumerate() {
        let at = format!("{path}.http.paths[{i}]");
        let (kind, value) = (text(entry, "pathType"), text(entry, "path"));
        match kind {
            "" => errors.required(format!("{at}.pathType"), "pathType must be specified"),
            "Exact" | "Prefix" if !value.starts_with('/') => {
                errors.invalid(format!("{at}.path"), value, "must be an absolute path");
            }
            "ImplementationSpecific" if !value.is_empty() && !value.starts_with('/') => {
                errors.invalid(format!("{at}.path"), value, "must be an absolute path");
            }
            kind => {
                let kinds = ["Exact", "ImplementationSpecific", "Prefix"];
                errors.one_of(&format!("{at}.pathType"), kind, &kinds);
            }
        }
        validate_backend(get(entry, "backend"), &format!("{at}.backend"), errors);
    }
}

fn validate_backend(backend: &Value, path: &str, errors: &mut Errors) {
    let service = get(backend, "service");
    match (service.is_null(), has(backend, "resource")) {
        (false, true) => {
            let detail = "cannot set both resource and service backends";
            errors.invalid(path, "", detail);
        }
        (true, true) => {
            let path = format!("{path}.resource");
            errors.present(get(backend, "resource"), &path, "kind");
            errors.present(get(backend, "resource"), &path, "name");
        }
        _ => {
            let name = text(service, "name");
            match name {
                "" => errors.required(format!("{path}.service.name"), ""),
                name => {
                    let path = format!("{path}.service.name");
                    errors.reasons(&path, name, names::label_1035(name));
                }
            }
            let (number, named) = (int(service, "port.number"), text(service, "port.name"));
            let path = format!("{path}.service.port");
            match (number.unwrap_or_default(), named) {
                (0, "") => errors.required(path, "port name or number is required"),
                (0, name) => errors.reasons(&format!("{path}.name"), name, names::port_name(name)),
                (_, name) if !name.is_empty() => {
                    errors.invalid(path, "", "cannot set both port name & port number");
                }
                (number, _) => errors.port(&format!("{path}.number"), number),
            }
        }
    }
}

struct IngressClass;

impl Strategy for IngressClass {
    fn default(&self, _r: &Resource, object: &mut Value) {
        if has(object, "spec.parameters") {
            set_default(object, "spec.parameters.scope", "Cluster");
        }
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let controller = text(object, "spec.controller");
        if controller.is_empty() {
            errors.required("spec.controller", "");
        } else if !controller.contains('/') {
            let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            errors.invalid("spec.controller", controller, detail);
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "spec.controller");
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let parameters = get(object, "spec.parameters");
        let shown = match parameters.is_null() {
            true => "<none>".into(),
            false => {
                let kind = match text(parameters, "apiGroup") {
                    "" => text(parameters, "kind").to_owned(),
                    group => format!("{}.{group}", text(parameters, "kind")),
                };
                format!("{kind}/{}", text(parameters, "name"))
            }
        };
        vec![
            with_default_mark(object, "ingressclass.kubernetes.io/is-default-class"),
            text_cell(object, "spec.controller"),
            shown.into(),
            age_cell(object, now),
        ]
    }
}

/// The name, with `(default)` when the annotation says that the class is the default.
pub fn with_default_mark(object: &Value, annotation: &str) -> Value {
    let marked = get(object, "metadata.annotations").get(annotation);
    let name = crate::meta::name(object);
    match marked.and_then(Value::as_str) {
        Some("true") => format!("{name} (default)").into(),
        _ => name.into(),
    }
}
