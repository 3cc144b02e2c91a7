//! Validation of webhooks, and of the rules and conditions that policies share with them.

use serde_json::Value;

use crate::field::FieldError;
use crate::kinds::checks::Errors;
use crate::names;
use crate::value::{get, has, int, items, text, texts};

const ACCEPTED: [&str; 2] = ["v1", "v1beta1"];
const NO_SIDE_EFFECTS: [&str; 2] = ["None", "NoneOnDryRun"];
const SIDE_EFFECTS: [&str; 4] = ["None", "NoneOnDryRun", "Some", "Unknown"];
const MAX_CONDITIONS: usize = 64;

/// What an update need not hold to, because what was there did not either.
struct Lenient {
    side_effects: bool,
    versions: bool,
    names: bool,
}

/// What is wrong with the webhooks of a configuration, given what they were.
pub fn hooks(object: &Value, old: Option<&Value>, mutating: bool) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let before = old.map_or(&[][..], |old| items(old, "webhooks"));
    let lenient = Lenient {
        side_effects: !before.iter().all(|h| NO_SIDE_EFFECTS.contains(&text(h, "sideEffects"))),
        versions: !before.iter().all(|h| {
            let mut versions = texts(h, "admissionReviewVersions").peekable();
            versions.peek().is_none() || versions.any(|v| ACCEPTED.contains(&v))
        }),
        names: (1..before.len()).any(|i| before[..i].iter().any(|h| h["name"] == before[i]["name"])),
    };
    let mut seen: Vec<&str> = Vec::new();
    let hooks = items(object, "webhooks");
    let same_conditions = old.is_some()
        && hooks.len() == before.len()
        && hooks.iter().zip(before).all(|(new, old)| new["matchConditions"] == old["matchConditions"]);
    for (i, hook) in hooks.iter().enumerate() {
        let path = format!("webhooks[{i}]");
        let name = text(hook, "name");
        fully_qualified(name, &format!("{path}.name"), &mut errors);
        hook_policies(hook, &path, &lenient, mutating, &mut errors);
        if !same_conditions {
            match_conditions(items(hook, "matchConditions"), &format!("{path}.matchConditions"), &mut errors);
        }
        review_versions(hook, &format!("{path}.admissionReviewVersions"), &lenient, &mut errors);
        if !lenient.names && !name.is_empty() && seen.contains(&name) {
            errors.duplicate(format!("{path}.name"), name);
        }
        seen.push(name);
    }
    errors.0
}

fn hook_policies(hook: &Value, path: &str, lenient: &Lenient, mutating: bool, errors: &mut Errors) {
    for (i, rule) in items(hook, "rules").iter().enumerate() {
        rule_with_operations(rule, &format!("{path}.rules[{i}]"), errors);
    }
    let policies: [(&str, &[&str]); 3] = [
        ("failurePolicy", &["Fail", "Ignore"]),
        ("matchPolicy", &["Equivalent", "Exact"]),
        ("reinvocationPolicy", &["IfNeeded", "Never"]),
    ];
    for (field, words) in policies.into_iter().take(if mutating { 3 } else { 2 }) {
        errors.one_of_or_empty(&format!("{path}.{field}"), text(hook, field), words);
    }
    let allowed = if lenient.side_effects { &SIDE_EFFECTS[..] } else { &NO_SIDE_EFFECTS[..] };
    let at = format!("{path}.sideEffects");
    match text(hook, "sideEffects") {
        "" => errors.required(at, format!("must specify one of {}", allowed.join(", "))),
        effects => errors.one_of(&at, effects, allowed),
    }
    if let Some(seconds) = int(hook, "timeoutSeconds").filter(|s| !(1..=30).contains(s)) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.invalid(format!("{path}.timeoutSeconds"), seconds, detail);
    }
    errors.label_selector(get(hook, "namespaceSelector"), &format!("{path}.namespaceSelector"));
    errors.label_selector(get(hook, "objectSelector"), &format!("{path}.objectSelector"));
    client_config(get(hook, "clientConfig"), &format!("{path}.clientConfig"), errors);
}

/// A name of at least three parts: `hook.example.com`.
fn fully_qualified(name: &str, path: &str, errors: &mut Errors) {
    match name {
        "" => errors.required(path, ""),
        name if !names::subdomain(name).is_empty() => {
            errors.invalid(path, name, names::subdomain(name).join(","));
        }
        name if name.split('.').count() < 3 => {
            let detail = "should be a domain with at least three segments separated by dots";
            errors.invalid(path, name, detail);
        }
        _ => {}
    }
}

fn review_versions(hook: &Value, path: &str, lenient: &Lenient, errors: &mut Errors) {
    let versions: Vec<&str> = texts(hook, "admissionReviewVersions").collect();
    if versions.is_empty() {
        return errors.required(path, format!("must specify one of {}", ACCEPTED.join(", ")));
    }
    for (i, version) in versions.iter().enumerate() {
        let at = format!("{path}[{i}]");
        match versions[..i].contains(version) {
            true => errors.invalid(at, *version, "duplicate version"),
            false => errors.reasons(&at, version, names::label_1035(version)),
        }
    }
    if !lenient.versions && !versions.iter().any(|version| ACCEPTED.contains(version)) {
        let detail = format!("must include at least one of {}", ACCEPTED.join(", "));
        errors.invalid(path, get(hook, "admissionReviewVersions").clone(), detail);
    }
}

/// Where a webhook is: a URL or a Service, not both.
pub fn client_config(config: &Value, path: &str, errors: &mut Errors) {
    match (has(config, "url"), has(config, "service")) {
        (true, true) | (false, false) => {
            errors.required(path, "exactly one of url or service is required");
        }
        (true, false) => url(text(config, "url"), &format!("{path}.url"), errors),
        (false, true) => service(get(config, "service"), &format!("{path}.service"), errors),
    }
}

fn url(url: &str, path: &str, errors: &mut Errors) {
    const FORM: &str = "; desired format: https://host[/path]";
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let host = match scheme {
        "" => "",
        _ => rest.split('/').next().unwrap_or_default(),
    };
    let (user, host) = host.rsplit_once('@').map_or((None, host), |(user, host)| (Some(user), host));
    if scheme != "https" {
        errors.invalid(path, scheme, format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if host.is_empty() {
        errors.invalid(path, host, format!("host must be specified{FORM}"));
    }
    if let Some(user) = user {
        errors.invalid(path, user, "user information is not permitted in the URL");
    }
    if !fragment.is_empty() {
        errors.invalid(path, fragment, "fragments are not permitted in the URL");
    }
    if !query.is_empty() {
        errors.invalid(path, query, "query parameters are not permitted in the URL");
    }
}

fn service(service: &Value, path: &str, errors: &mut Errors) {
    errors.present(service, path, "name");
    errors.present(service, path, "namespace");
    let port = int(service, "port").unwrap_or_default();
    let reasons = names::port(port);
    if !reasons.is_empty() {
        errors.invalid(format!("{path}.port"), port, format!("port is not valid: {}", reasons.join(", ")));
    }
    let (at, route) = (format!("{path}.path"), text(service, "path"));
    match route {
        "" | "/" => return,
        "//" => return errors.invalid(at, route, "segment[0] may not be empty"),
        _ if !route.starts_with('/') => errors.invalid(at.as_str(), route, "must start with a '/'"),
        _ => {}
    }
    let mut letters = route.chars();
    letters.next();
    let steps = letters.as_str();
    for (i, step) in steps.strip_suffix('/').unwrap_or(steps).split('/').enumerate() {
        if step.is_empty() {
            errors.invalid(at.as_str(), route, format!("segment[{i}] may not be empty"));
            continue;
        }
        for reason in names::subdomain(step) {
            errors.invalid(at.as_str(), route, format!("segment[{i}]: {reason}"));
        }
    }
}

/// Operations and resources that a webhook or policy is about.
pub fn rule_with_operations(rule: &Value, path: &str, errors: &mut Errors) {
    for (field, words) in
        [("operations", "operations"), ("apiGroups", "API groups"), ("apiVersions", "API versions")]
    {
        let (values, at) = (items(rule, field), format!("{path}.{field}"));
        if values.is_empty() {
            errors.required(at, "");
        } else if values.len() > 1 && values.iter().any(|v| v == "*") {
            let detail = format!("if '*' is present, must not specify other {words}");
            errors.invalid(at, values.to_vec(), detail);
        }
    }
    for (i, operation) in texts(rule, "operations").enumerate() {
        let known = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
        if !known.contains(&operation) {
            errors.0.push(FieldError::not_supported(format!("{path}.operations[{i}]"), operation, known));
        }
    }
    for (i, _) in texts(rule, "apiVersions").enumerate().filter(|(_, version)| version.is_empty()) {
        errors.required(format!("{path}.apiVersions[{i}]"), "");
    }
    resources(items(rule, "resources"), &format!("{path}.resources"), errors);
    let scope = text(rule, "scope");
    errors.one_of_or_empty(&format!("{path}.scope"), scope, &["*", "Cluster", "Namespaced"]);
}

/// `pods`, `pods/status`, `pods/*`, `*/scale`, `*/*`: none that another one covers.
fn resources(list: &[Value], path: &str, errors: &mut Errors) {
    if list.is_empty() {
        errors.required(path, "");
    }
    let (mut whole, mut subs): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut plain = false;
    for (i, resource) in list.iter().map(|v| v.as_str().unwrap_or_default()).enumerate() {
        let at = format!("{path}[{i}]");
        if resource.is_empty() {
            errors.required(at, "");
            continue;
        }
        let Some((name, sub)) = resource.split_once('/') else {
            plain = resource != "*";
            continue;
        };
        if whole.contains(&name) {
            let detail = format!("if '{name}/*' is present, must not specify {resource}");
            errors.invalid(at.as_str(), resource, detail);
        }
        if subs.contains(&sub) {
            let detail = format!("if '*/{sub}' is present, must not specify {resource}");
            errors.invalid(at, resource, detail);
        }
        if sub == "*" {
            whole.push(name);
        }
        if name == "*" {
            subs.push(sub);
        }
    }
    if list.len() > 1 && list.iter().any(|v| v == "*/*") {
        let detail = "if '*/*' is present, must not specify other resources";
        errors.invalid(path, list.to_vec(), detail);
    }
    if plain && list.iter().any(|v| v == "*") {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.invalid(path, list.to_vec(), detail);
    }
}

/// Conditions in CEL on the requests of a webhook or policy.
pub fn match_conditions(conditions: &[Value], path: &str, errors: &mut Errors) {
    if conditions.len() > MAX_CONDITIONS {
        errors.0.push(FieldError::too_many(path, conditions.len(), MAX_CONDITIONS));
    }
    let mut seen: Vec<&str> = Vec::new();
    for (i, condition) in conditions.iter().enumerate() {
        let path = format!("{path}[{i}]");
        if text(condition, "expression").trim().is_empty() {
            errors.required(format!("{path}.expression"), "");
        }
        let (name, at) = (text(condition, "name"), format!("{path}.name"));
        match name {
            "" => errors.required(at, ""),
            name => {
                errors.reasons(&at, name, names::qualified(name));
                if seen.contains(&name) {
                    errors.duplicate(at, name);
                }
                seen.push(name);
            }
        }
    }
}
