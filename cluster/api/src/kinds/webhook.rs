//! MutatingWebhookConfiguration and ValidatingWebhookConfiguration.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col};
use crate::names;
use crate::table::{age_cell, name_cell};
use crate::value::{get, has, int, items, items_mut, set_default, text, texts};

pub const MUTATING_WEBHOOK_CONFIGURATION: Builtin = Builtin::new(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    "Sqi0GUgDaX0=",
)
.categories(&["api-extensions"])
.columns(MUTATING_WEBHOOK_CONFIGURATION_COLUMNS)
.conditional_update()
.generation()
.strategy(&MUTATING);

pub const VALIDATING_WEBHOOK_CONFIGURATION: Builtin = Builtin::new(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    "B0wHjQmsGNk=",
)
.categories(&["api-extensions"])
.columns(VALIDATING_WEBHOOK_CONFIGURATION_COLUMNS)
.conditional_update()
.generation()
.strategy(&VALIDATING);

const MUTATING_WEBHOOK_CONFIGURATION_COLUMNS: &[Col] =
    &[("Name", "string", "name", 0), ("Webhooks", "integer", "", 0), ("Age", "string", "", 0)];

const VALIDATING_WEBHOOK_CONFIGURATION_COLUMNS: &[Col] =
    &[("Name", "string", "name", 0), ("Webhooks", "integer", "", 0), ("Age", "string", "", 0)];

struct Webhooks {
    mutating: bool,
}

const MUTATING: Webhooks = Webhooks { mutating: true };
const VALIDATING: Webhooks = Webhooks { mutating: false };

impl Strategy for Webhooks {
    fn default(&self, _r: &Resource, object: &mut Value) {
        for hook in items_mut(object, "webhooks") {
            set_default(hook, "failurePolicy", "Fail");
            set_default(hook, "matchPolicy", "Equivalent");
            set_default(hook, "namespaceSelector", serde_json::json!({}));
            set_default(hook, "objectSelector", serde_json::json!({}));
            set_default(hook, "timeoutSeconds", 10);
            if self.mutating {
                set_default(hook, "reinvocationPolicy", "Never");
            }
            for rule in items_mut(hook, "rules") {
                set_default(rule, "scope", "*");
            }
            if has(hook, "clientConfig.service") {
                set_default(hook, "clientConfig.service.port", 443);
            }
        }
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let mut seen: Vec<&str> = Vec::new();
        for (i, hook) in items(object, "webhooks").iter().enumerate() {
            let path = format!("webhooks[{i}]");
            let name = text(hook, "name");
            validate_hook(hook, &path, &mut errors);
            if seen.contains(&name) {
                errors.duplicate(format!("{path}.name"), name);
            }
            seen.push(name);
            if self.mutating {
                let policy = text(hook, "reinvocationPolicy");
                let at = format!("{path}.reinvocationPolicy");
                errors.one_of_or_empty(&at, policy, &["IfNeeded", "Never"]);
            }
        }
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![name_cell(object), items(object, "webhooks").len().into(), age_cell(object, now)]
    }
}

fn validate_hook(hook: &Value, path: &str, errors: &mut Errors) {
    let name = text(hook, "name");
    let at = format!("{path}.name");
    match name {
        "" => errors.required(at.as_str(), ""),
        name if !names::subdomain(name).is_empty() => {
            errors.invalid(at.as_str(), name, names::subdomain(name).join(","));
        }
        name if name.split('.').count() < 3 => {
            let detail = "should be a domain with at least three segments separated by dots";
            errors.invalid(at.as_str(), name, detail);
        }
        _ => {}
    }
    let versions: Vec<&str> = texts(hook, "admissionReviewVersions").collect();
    let at = format!("{path}.admissionReviewVersions");
    if versions.is_empty() {
        errors.required(at, "must specify one of v1, v1beta1");
    } else if !versions.iter().any(|v| matches!(*v, "v1" | "v1beta1")) {
        let detail = "must include at least one of v1, v1beta1";
        errors.invalid(at, get(hook, "admissionReviewVersions").clone(), detail);
    }
    let effects = text(hook, "sideEffects");
    match effects {
        "" => errors.required(format!("{path}.sideEffects"), "must specify one of None, NoneOnDryRun"),
        effects => {
            errors.one_of(&format!("{path}.sideEffects"), effects, &["None", "NoneOnDryRun"]);
        }
    }
    for (i, rule) in items(hook, "rules").iter().enumerate() {
        validate_rule(rule, &format!("{path}.rules[{i}]"), errors);
    }
    let policy = text(hook, "failurePolicy");
    errors.one_of_or_empty(&format!("{path}.failurePolicy"), policy, &["Fail", "Ignore"]);
    let policy = text(hook, "matchPolicy");
    errors.one_of_or_empty(&format!("{path}.matchPolicy"), policy, &["Equivalent", "Exact"]);
    if let Some(seconds) = int(hook, "timeoutSeconds")
        && !(1..=30).contains(&seconds)
    {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.invalid(format!("{path}.timeoutSeconds"), seconds, detail);
    }
    errors.label_selector(get(hook, "namespaceSelector"), &format!("{path}.namespaceSelector"));
    errors.label_selector(get(hook, "objectSelector"), &format!("{path}.objectSelector"));
    client_config(get(hook, "clientConfig"), &format!("{path}.clientConfig"), errors);
}

/// Where a webhook is: a URL or a Service, not both.
pub fn client_config(config: &Value, path: &str, errors: &mut Errors) {
    let url = text(config, "url");
    match (url.is_empty(), has(config, "service")) {
        (true, false) | (false, true) => {
            errors.required(path, "exactly one of url or service is required");
        }
        (false, false) if !url.starts_with("https://") => {
            let detail = "'https' is the only allowed URL scheme; desired format: https://host[/path]";
            errors.invalid(format!("{path}.url"), url, detail);
        }
        (false, false) => {}
        (true, true) => {
            let service = get(config, "service");
            let path = format!("{path}.service");
            errors.present(service, &path, "name");
            errors.present(service, &path, "namespace");
            errors.in_range(service, &path, "port", 1, 65535);
        }
    }
}

/// Operations and resources that a webhook or policy is about.
pub fn validate_rule(rule: &Value, path: &str, errors: &mut Errors) {
    let lists = [
        ("operations", "operations"),
        ("apiGroups", "apiGroups"),
        ("apiVersions", "apiVersions"),
        ("resources", "resources"),
    ];
    for (field, word) in lists {
        let values = items(rule, field);
        let at = format!("{path}.{field}");
        if values.is_empty() {
            errors.required(at, "");
        } else if values.len() > 1 && values.iter().any(|v| v == "*") {
            let detail = format!("if '*' is present, must not specify other {word}");
            errors.invalid(at, get(rule, field).clone(), detail);
        }
    }
    for (i, operation) in texts(rule, "operations").enumerate() {
        let at = format!("{path}.operations[{i}]");
        errors.one_of(&at, operation, &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"]);
    }
    let scope = text(rule, "scope");
    errors.one_of_or_empty(&format!("{path}.scope"), scope, &["*", "Cluster", "Namespaced"]);
}
