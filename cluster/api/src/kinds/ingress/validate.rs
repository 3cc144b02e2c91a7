//! Validation of Ingress and IngressClass.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::field::FieldError;
use crate::kinds::checks::Errors;
use crate::names;
use crate::value::{get, has, int, items, text, texts};

const LONGEST_CONTROLLER: usize = 250;
const PATH: &str = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+";

static PATH_RE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!("^{PATH}$")).expect("a valid pattern"));

/// What a path may not contain and not end with.
const BAD_PARTS: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const BAD_ENDS: [&str; 2] = ["/..", "/."];

pub fn ingress(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let (rules, default) = (items(object, "spec.rules"), get(object, "spec.defaultBackend"));
    if rules.is_empty() && default.is_null() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.invalid("spec", rules.to_vec(), detail);
    }
    if !default.is_null() {
        backend(default, "spec.defaultBackend", &mut errors);
    }
    for (i, of) in rules.iter().enumerate() {
        rule(of, &format!("spec.rules[{i}]"), &mut errors);
    }
    for (i, tls) in items(object, "spec.tls").iter().enumerate() {
        let path = format!("spec.tls[{i}]");
        for (j, name) in texts(tls, "hosts").enumerate() {
            host(name, &format!("{path}.hosts[{j}]"), &mut errors);
        }
        let secret = text(tls, "secretName");
        if !secret.is_empty() {
            errors.reasons(&format!("{path}.secretName"), secret, names::subdomain(secret));
        }
    }
    if let Some(class) = get(object, "spec.ingressClassName").as_str() {
        errors.reasons("spec.ingressClassName", class, names::subdomain(class));
    }
    errors.0
}

fn host(host: &str, path: &str, errors: &mut Errors) {
    let reasons = match host.contains('*') {
        true => names::wildcard_subdomain(host),
        false => names::subdomain(host),
    };
    errors.reasons(path, host, reasons);
}

const NO_NAME: &str = "must be a DNS name, not an IP address";

fn is_address(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok()
}

fn rule(rule: &Value, path: &str, errors: &mut Errors) {
    let name = text(rule, "host");
    if !name.is_empty() {
        if is_address(name) {
            errors.invalid(format!("{path}.host"), name, NO_NAME);
        }
        host(name, &format!("{path}.host"), errors);
    }
    if !has(rule, "http") {
        return;
    }
    let paths = items(rule, "http.paths");
    if paths.is_empty() {
        errors.required(format!("{path}.http.paths"), "");
    }
    for (i, of) in paths.iter().enumerate() {
        http_path(of, &format!("{path}.http.paths[{i}]"), errors);
    }
}

fn http_path(of: &Value, path: &str, errors: &mut Errors) {
    let (value, at) = (text(of, "path"), format!("{path}.path"));
    let absolute = value.starts_with('/');
    match text(of, "pathType") {
        "" if !has(of, "pathType") => {
            return errors.required(format!("{path}.pathType"), "pathType must be specified");
        }
        "Exact" | "Prefix" => {
            if !absolute {
                errors.invalid(at.as_str(), value, "must be an absolute path");
            }
            for part in BAD_PARTS.iter().filter(|part| value.contains(**part)) {
                errors.invalid(at.as_str(), value, format!("must not contain '{part}'"));
            }
            for end in BAD_ENDS.iter().filter(|end| value.ends_with(**end)) {
                errors.invalid(at.as_str(), value, format!("cannot end with '{end}'"));
            }
        }
        "ImplementationSpecific" if !value.is_empty() && !absolute => {
            errors.invalid(at, value, "must be an absolute path");
        }
        "ImplementationSpecific" => {}
        kind => {
            let kinds = ["Exact", "ImplementationSpecific", "Prefix"];
            errors.0.push(FieldError::not_supported(format!("{path}.pathType"), kind, kinds));
        }
    }
    backend(get(of, "backend"), &format!("{path}.backend"), errors);
}

fn backend(backend: &Value, path: &str, errors: &mut Errors) {
    let (service, resource) = (get(backend, "service"), get(backend, "resource"));
    match (service.is_null(), resource.is_null()) {
        (false, false) => errors.invalid(path, "", "cannot set both resource and service backends"),
        (true, true) => errors.invalid(path, "", "resource or service backend is required"),
        (true, false) => reference(resource, &format!("{path}.resource"), errors),
        (false, true) => {
            let name = text(service, "name");
            let at = format!("{path}.service");
            if errors.present(service, &at, "name") {
                errors.reasons(&format!("{at}.name"), name, names::label(name));
            }
            let (number, named) =
                (int(service, "port.number").unwrap_or_default(), text(service, "port.name"));
            match (number, named) {
                (0, "") => errors.required(path, "port name or number is required"),
                (0, name) => errors.reasons(&format!("{at}.port.name"), name, names::port_name(name)),
                (_, name) if !name.is_empty() => {
                    errors.invalid(path, "", "cannot set both port name & port number");
                }
                (number, _) => errors.port(&format!("{at}.port.number"), number),
            }
        }
    }
}

/// A reference to an object by group, kind and name.
fn reference(reference: &Value, path: &str, errors: &mut Errors) {
    if let Some(group) = get(reference, "apiGroup").as_str() {
        errors.reasons(&format!("{path}.apiGroup"), group, names::subdomain(group));
    }
    for field in ["kind", "name"] {
        let value = text(reference, field);
        if errors.present(reference, path, field) {
            errors.reasons(&format!("{path}.{field}"), value, names::path_segment(value));
        }
    }
}

/// Where an ingress is reached.
pub fn status(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    for (i, point) in items(object, "status.loadBalancer.ingress").iter().enumerate() {
        let path = format!("status.loadBalancer.ingress[{i}]");
        let (address, name) = (text(point, "ip"), text(point, "hostname"));
        if !address.is_empty() {
            errors.ip(&format!("{path}.ip"), address);
        }
        if !name.is_empty() {
            errors.reasons(&format!("{path}.hostname"), name, names::subdomain(name));
            if is_address(name) {
                errors.invalid(format!("{path}.hostname"), name, NO_NAME);
            }
        }
    }
    errors.0
}

/// The spec of an IngressClass.
pub fn class(spec: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    controller(text(spec, "controller"), &mut errors);
    const PARAMETERS: &str = "spec.parameters";
    let parameters = get(spec, "parameters");
    if parameters.is_null() {
        return errors.0;
    }
    reference(parameters, PARAMETERS, &mut errors);
    let (scope, namespace) = (text(parameters, "scope"), get(parameters, "namespace").as_str());
    let at = format!("{PARAMETERS}.namespace");
    match (scope, namespace) {
        ("Namespace", None) => errors.required(at, "`parameters.scope` is set to 'Namespace'"),
        ("Namespace", Some(namespace)) => errors.reasons(&at, namespace, names::label(namespace)),
        ("Cluster", Some(_)) => errors.forbidden(at, "`parameters.scope` is set to 'Cluster'"),
        ("Cluster", None) => {}
        (scope, _) => {
            let scopes = ["Cluster", "Namespace"];
            errors.0.push(FieldError::not_supported(format!("{PARAMETERS}.scope"), scope, scopes));
        }
    }
    errors.0
}

/// `DOMAIN/PATH`.
fn controller(controller: &str, errors: &mut Errors) {
    const AT: &str = "spec.controller";
    if controller.len() > LONGEST_CONTROLLER {
        errors.0.push(FieldError::too_long(AT, LONGEST_CONTROLLER));
    }
    match controller.split_once('/') {
        _ if controller.is_empty() => errors.required(AT, ""),
        Some((domain, path)) if !domain.is_empty() && !path.is_empty() => {
            errors.reasons(AT, domain, names::subdomain(domain));
            if !PATH_RE.is_match(path) {
                errors.invalid(AT, path, format!("Invalid path (regex used for validation is '{PATH}')"));
            }
        }
        _ => {
            let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            errors.invalid(AT, controller, detail);
        }
    }
}
