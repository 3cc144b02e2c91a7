//! Validation of a pod spec as a whole.

use serde_json::Value;

use super::{containers, placement, volumes};
use crate::kinds::checks::Errors;
use crate::names;
use crate::value::{flag, get, has, int, items, members, text, texts};

/// What the pod spec belongs to.
#[derive(Clone, Copy)]
pub struct Holder<'a> {
    /// The pod's name, "" in a template.
    pub name: &'a str,
    /// True for a pod, false for a template.
    pub is_pod: bool,
}

/// Refusals of the pod template at `path` (`spec.template`).
pub fn validate_template(object: &Value, path: &str, errors: &mut Errors) {
    validate_template_value(get(object, path), path, errors);
}

/// As [`validate_template`], given the template itself.
pub fn validate_template_value(template: &Value, path: &str, errors: &mut Errors) {
    errors.labels(get(template, "metadata.labels"), &format!("{path}.metadata.labels"));
    let annotations = get(template, "metadata.annotations");
    let at = format!("{path}.metadata.annotations");
    crate::meta::validate_annotations(annotations, &at, &mut errors.0);
    let holder = Holder { name: "", is_pod: false };
    validate_spec(get(template, "spec"), &format!("{path}.spec"), holder, errors);
    if !items(template, "spec.ephemeralContainers").is_empty() {
        let detail = "ephemeral containers not allowed in pod template";
        errors.forbidden(format!("{path}.spec.ephemeralContainers"), detail);
    }
}

/// Refusals of the pod spec at `path`.
pub fn validate_spec(spec: &Value, path: &str, holder: Holder<'_>, errors: &mut Errors) {
    let volumes = volumes::validate(items(spec, "volumes"), &format!("{path}.volumes"), holder, errors);
    containers::validate(spec, path, &volumes, errors);
    host_network(spec, path, holder, errors);
    let restart = text(spec, "restartPolicy");
    errors.one_of(&format!("{path}.restartPolicy"), restart, &["Always", "OnFailure", "Never"]);
    let dns = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    errors.one_of(&format!("{path}.dnsPolicy"), text(spec, "dnsPolicy"), &dns);
    errors.labels(get(spec, "nodeSelector"), &format!("{path}.nodeSelector"));
    security_context(spec, path, errors);
    placement::validate(spec, path, errors);
    dns_config(spec, &format!("{path}.dnsConfig"), errors);
    gates(spec, path, errors);
    identity(spec, path, errors);
    host_aliases(spec, path, errors);
    overhead_and_os(spec, path, errors);
}

fn host_network(spec: &Value, path: &str, holder: Holder<'_>, errors: &mut Errors) {
    if !flag(spec, "hostNetwork") {
        return;
    }
    for (i, container) in items(spec, "containers").iter().enumerate() {
        for (j, port) in items(container, "ports").iter().enumerate() {
            let host = int(port, "hostPort").unwrap_or_default();
            let inner = int(port, "containerPort").unwrap_or_default();
            if (holder.is_pod || host != 0) && host != inner {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                errors.invalid(format!("{path}.containers[{i}].ports[{j}].hostPort"), host, detail);
            }
        }
    }
}

/// Largest user and group id.
pub(super) const MAX_ID: i64 = i32::MAX as i64;

fn security_context(spec: &Value, path: &str, errors: &mut Errors) {
    let context = get(spec, "securityContext");
    let at = format!("{path}.securityContext");
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        errors.in_range(context, &at, field, 0, MAX_ID);
    }
    for (i, group) in items(context, "supplementalGroups").iter().enumerate() {
        let group = group.as_i64().unwrap_or_default();
        if !(0..=MAX_ID).contains(&group) {
            let detail = names::range(0, MAX_ID);
            errors.invalid(format!("{at}.supplementalGroups[{i}]"), group, detail);
        }
    }
    if flag(spec, "shareProcessNamespace") && flag(spec, "hostPID") {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.invalid(format!("{at}.shareProcessNamespace"), true, detail);
    }
    let policy = text(context, "fsGroupChangePolicy");
    errors.one_of_or_empty(&format!("{at}.fsGroupChangePolicy"), policy, &["OnRootMismatch", "Always"]);
    let policy = text(context, "supplementalGroupsPolicy");
    errors.one_of_or_empty(&format!("{at}.supplementalGroupsPolicy"), policy, &["Merge", "Strict"]);
    seccomp(get(context, "seccompProfile"), &format!("{at}.seccompProfile"), errors);
    for (i, sysctl) in items(context, "sysctls").iter().enumerate() {
        errors.present(sysctl, &format!("{at}.sysctls[{i}]"), "name");
    }
    host_users(spec, path, errors);
}

/// A pod with its own users can not share the host's namespaces.
fn host_users(spec: &Value, path: &str, errors: &mut Errors) {
    if get(spec, "hostUsers") != &Value::Bool(false) {
        return;
    }
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        if flag(spec, field) {
            let detail = "when `hostUsers` is false";
            errors.forbidden(format!("{path}.{field}"), detail);
        }
    }
}

pub(super) fn seccomp(profile: &Value, path: &str, errors: &mut Errors) {
    if profile.is_null() {
        return;
    }
    let kind = text(profile, "type");
    let local = text(profile, "localhostProfile");
    match kind {
        "Localhost" if !has(profile, "localhostProfile") => {
            let detail = "must be set when seccomp type is Localhost ";
            errors.required(format!("{path}.localhostProfile"), detail);
        }
        "Localhost" => volumes::descending_path(local, &format!("{path}.localhostProfile"), errors),
        _ if has(profile, "localhostProfile") => {
            let detail = "can only be set when seccomp type is Localhost";
            errors.invalid(format!("{path}.localhostProfile"), local, detail);
        }
        _ => {}
    }
    if kind.is_empty() {
        errors.required(format!("{path}.type"), "type is required when seccompProfile is set");
    } else {
        let kinds = ["Localhost", "RuntimeDefault", "Unconfined"];
        errors.one_of_or_empty(&format!("{path}.type"), kind, &kinds);
    }
}

const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_CHARS: usize = 2048;

fn dns_config(spec: &Value, path: &str, errors: &mut Errors) {
    let config = get(spec, "dnsConfig");
    let servers = items(config, "nameservers");
    if text(spec, "dnsPolicy") == "None" {
        if config.is_null() {
            errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        }
        if servers.is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.required(format!("{path}.nameservers"), detail);
            return;
        }
    }
    if servers.len() > MAX_NAMESERVERS {
        let detail = format!("must not have more than {MAX_NAMESERVERS} nameservers");
        errors.invalid(format!("{path}.nameservers"), servers.to_vec(), detail);
    }
    for (i, server) in texts(config, "nameservers").enumerate() {
        errors.ip(&format!("{path}.nameservers[{i}]"), server);
    }
    let searches: Vec<&str> = texts(config, "searches").collect();
    if searches.len() > MAX_SEARCHES {
        let detail = format!("must not have more than {MAX_SEARCHES} search paths");
        errors.invalid(format!("{path}.searches"), get(config, "searches").clone(), detail);
    }
    if searches.join(" ").len() > MAX_SEARCH_CHARS {
        let detail = format!(
            "must not have more than {MAX_SEARCH_CHARS} characters (including spaces) in the search list"
        );
        errors.invalid(format!("{path}.searches"), get(config, "searches").clone(), detail);
    }
    for (i, search) in searches.iter().enumerate().filter(|(_, s)| **s != ".") {
        let search = search.trim_end_matches('.');
        let reasons = names::subdomain_with_underscore(search);
        errors.reasons(&format!("{path}.searches[{i}]"), search, reasons);
    }
    for (i, option) in items(config, "options").iter().enumerate() {
        if text(option, "name").is_empty() {
            errors.required(format!("{path}.options[{i}]"), "must not be empty");
        }
    }
}

fn gates(spec: &Value, path: &str, errors: &mut Errors) {
    for (i, gate) in items(spec, "readinessGates").iter().enumerate() {
        let kind = text(gate, "conditionType");
        let at = format!("{path}.readinessGates[{i}].conditionType");
        errors.reasons(&at, kind, names::qualified(kind));
    }
    let mut seen: Vec<&str> = Vec::new();
    for (i, gate) in items(spec, "schedulingGates").iter().enumerate() {
        let name = text(gate, "name");
        let at = format!("{path}.schedulingGates[{i}]");
        errors.reasons(&at, name, names::qualified(name));
        if seen.contains(&name) {
            errors.duplicate(at, name);
        }
        seen.push(name);
    }
}

/// Names that the spec gives: service account, node, host, priority class.
fn identity(spec: &Value, path: &str, errors: &mut Errors) {
    type Check = fn(&str) -> Vec<String>;
    let checks: [(&str, Check); 6] = [
        ("serviceAccountName", names::subdomain),
        ("nodeName", names::subdomain),
        ("hostname", names::label),
        ("subdomain", names::label),
        ("priorityClassName", names::subdomain),
        ("runtimeClassName", names::subdomain),
    ];
    for (field, check) in checks {
        let value = text(spec, field);
        if !value.is_empty() {
            errors.reasons(&format!("{path}.{field}"), value, check(value));
        }
    }
    errors.in_range(spec, path, "activeDeadlineSeconds", 1, MAX_ID);
    let policy = text(spec, "preemptionPolicy");
    let policies = ["PreemptLowerPriority", "Never"];
    errors.one_of_or_empty(&format!("{path}.preemptionPolicy"), policy, &policies);
}

fn host_aliases(spec: &Value, path: &str, errors: &mut Errors) {
    for (i, alias) in items(spec, "hostAliases").iter().enumerate() {
        let at = format!("{path}.hostAliases[{i}]");
        errors.ip(&format!("{at}.ip"), text(alias, "ip"));
        for (j, name) in texts(alias, "hostnames").enumerate() {
            errors.reasons(&format!("{at}.hostnames[{j}]"), name, names::subdomain(name));
        }
    }
}

fn overhead_and_os(spec: &Value, path: &str, errors: &mut Errors) {
    for (name, value) in members(spec, "overhead") {
        errors.quantity(value, &format!("{path}.overhead[{name}]"));
    }
    let os = get(spec, "os");
    if !os.is_null() {
        errors.one_of(&format!("{path}.os.name"), text(os, "name"), &["linux", "windows"]);
    }
}
