//! CustomResourceDefinition.

use serde_json::{Value, json};

use super::builtin::{Builtin, GET_PATCH_UPDATE};
use super::checks::Errors;
use super::webhook::client_config;
use crate::field::FieldError;
use crate::jsonpath;
use crate::meta;
use crate::names;
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::schema;
use crate::strategy::Strategy;
use crate::value::{flag, get, has, items, set, set_default, set_text, text, texts};

pub const CUSTOM_RESOURCE_DEFINITION: Builtin = Builtin::new(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    "jfWCUB31mvA=",
)
.short(&["crd", "crds"])
.categories(&["api-extensions"])
.subresources(&[("status", "CustomResourceDefinition", GET_PATCH_UPDATE)])
.conditional_update()
.generation()
.status_keeps_metadata()
.strategy(&Definition);

struct Definition;

impl Strategy for Definition {
    fn default(&self, _r: &Resource, object: &mut Value) {
        let kind = text(object, "spec.names.kind").to_owned();
        set_text(object, "spec.names.singular", kind.to_lowercase());
        set_text(object, "spec.names.listKind", format!("{kind}List"));
        set_text(object, "spec.conversion.strategy", "None");
        const SERVICE: &str = "spec.conversion.webhook.clientConfig.service";
        if has(object, SERVICE) {
            set_default(object, &format!("{SERVICE}.port"), 443);
        }
    }

    fn prepare_create(&self, _r: &Resource, object: &mut Value, _ctx: &Ctx) {
        let status = json!({
            "conditions": [],
            "acceptedNames": {"plural": "", "kind": ""},
            "storedVersions": [],
        });
        set(object, "status", status);
        remember_stored_version(object);
    }

    fn prepare_update(&self, _r: &Resource, new: &mut Value, _old: &Value, _ctx: &Ctx) {
        remember_stored_version(new);
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        validate_group(object, &mut errors);
        validate_names(get(object, "spec.names"), &mut errors);
        let scope = text(object, "spec.scope");
        errors.one_of("spec.scope", scope, &["Cluster", "Namespaced"]);
        validate_versions(object, &mut errors);
        validate_conversion(get(object, "spec.conversion"), &mut errors);
        if flag(object, "spec.preserveUnknownFields") {
            let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
            errors.invalid("spec.preserveUnknownFields", true, detail);
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "spec.group");
        errors.immutable(new, old, "spec.names.plural");
        let established = |c: &Value| text(c, "type") == "Established" && text(c, "status") == "True";
        if items(old, "status.conditions").iter().any(established) {
            errors.immutable(new, old, "spec.scope");
            errors.immutable(new, old, "spec.names.kind");
        }
        stored_versions(new, &mut errors);
        errors.0
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        stored_versions(new, &mut errors);
        let current = storage_version(old);
        if !texts(new, "status.storedVersions").any(|v| v == current) {
            let value = get(new, "status.storedVersions").clone();
            let detail = format!("must have the storage version {current}");
            errors.invalid("status.storedVersions", value, detail);
        }
        errors.0
    }
}

fn storage_version(object: &Value) -> &str {
    let found = items(object, "spec.versions").iter().find(|v| flag(v, "storage"));
    found.map_or("", |v| text(v, "name"))
}

/// Objects may be stored in any version that ever was the storage version.
fn remember_stored_version(object: &mut Value) {
    let current = storage_version(object).to_owned();
    let mut stored = items(object, "status.storedVersions").to_vec();
    if !current.is_empty() && !stored.iter().any(|v| *v == current.as_str()) {
        stored.push(current.into());
        set(object, "status.storedVersions", stored);
    }
}

fn stored_versions(object: &Value, errors: &mut Errors) {
    let served: Vec<&str> = items(object, "spec.versions").iter().map(|v| text(v, "name")).collect();
    for (i, version) in texts(object, "status.storedVersions").enumerate() {
        if !served.contains(&version) {
            let detail = format!(
                "missing from spec.versions; {version} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {version} and removes {version} from status.storedVersions"
            );
            errors.invalid(format!("status.storedVersions[{i}]"), version, detail);
        }
    }
}

/// The annotation that a definition in a group of the project's own domains needs.
const APPROVED: &str = "api-approved.kubernetes.io";

fn validate_group(object: &Value, errors: &mut Errors) {
    let (name, group) = (meta::name(object), text(object, "spec.group"));
    let wanted = format!("{}.{group}", text(object, "spec.names.plural"));
    if name != wanted {
        errors.invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group");
    }
    match group {
        "" => errors.required("spec.group", ""),
        group if !names::subdomain(group).is_empty() => {
            errors.invalid("spec.group", group, names::subdomain(group).join(","));
        }
        group if !group.contains('.') => {
            errors.invalid("spec.group", group, "should be a domain with at least one dot");
        }
        _ => {}
    }
    let protected = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group == *domain || group.ends_with(&format!(".{domain}")));
    let approved = get(object, "metadata.annotations").get(APPROVED).and_then(Value::as_str);
    if protected && approved.unwrap_or_default().is_empty() {
        let detail = format!(
            "protected groups must have approval annotation {APPROVED:?}, see https://github.com/kubernetes/enhancements/pull/1111"
        );
        errors.required(format!("metadata.annotations[{APPROVED}]"), detail);
    }
}

fn validate_names(given: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.names";
    let mut check = |field: &str, value: &str| {
        let reasons = names::label_1035(&value.to_lowercase());
        if !reasons.is_empty() {
            errors.invalid(format!("{PATH}.{field}"), value, reasons.join(","));
        }
    };
    for field in ["plural", "singular", "kind", "listKind"] {
        let value = text(given, field);
        if !value.is_empty() {
            check(field, value);
        }
    }
    for (i, name) in texts(given, "shortNames").enumerate() {
        check(&format!("shortNames[{i}]"), name);
    }
    for (i, name) in texts(given, "categories").enumerate() {
        check(&format!("categories[{i}]"), name);
    }
    for field in ["plural", "kind"] {
        errors.present(given, PATH, field);
    }
    let (kind, list) = (text(given, "kind"), text(given, "listKind"));
    if !kind.is_empty() && kind == list {
        errors.invalid(format!("{PATH}.listKind"), list, "kind and listKind may not be the same");
    }
}

fn validate_versions(object: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.versions";
    let versions = items(object, PATH);
    let shown = || get(object, PATH).clone();
    if versions.is_empty() {
        errors.required(PATH, "must have at least one version");
        return;
    }
    let mut seen: Vec<&str> = Vec::new();
    for (i, version) in versions.iter().enumerate() {
        let at = format!("{PATH}[{i}]");
        let name = text(version, "name");
        let reasons = names::label_1035(name);
        if !reasons.is_empty() {
            errors.invalid(format!("{at}.name"), name, reasons.join(","));
        }
        if seen.contains(&name) {
            errors.invalid(PATH, name, "must contain unique version names");
        }
        seen.push(name);
        validate_version(version, &at, errors);
    }
    if versions.iter().filter(|v| flag(v, "storage")).count() != 1 {
        errors.invalid(PATH, shown(), "must have exactly one version marked as storage version");
    }
}

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];

fn validate_version(version: &Value, path: &str, errors: &mut Errors) {
    let at = format!("{path}.schema.openAPIV3Schema");
    match get(version, "schema.openAPIV3Schema") {
        Value::Null => errors.required(at, "schemas are required"),
        given => {
            if let Err(found) = schema::from_crd(given) {
                errors.0.extend(found.into_iter().map(|mut error| {
                    error.path = match error.path.as_str() {
                        "" => at.clone(),
                        inner => format!("{at}.{inner}"),
                    };
                    error
                }));
            }
        }
    }
    for (i, column) in items(version, "additionalPrinterColumns").iter().enumerate() {
        let at = format!("{path}.additionalPrinterColumns[{i}]");
        errors.present(column, &at, "name");
        let kind = text(column, "type");
        errors.one_of(&format!("{at}.type"), kind, &COLUMN_TYPES);
        json_path(column, &at, "jsonPath", errors);
    }
    for (i, field) in items(version, "selectableFields").iter().enumerate() {
        json_path(field, &format!("{path}.selectableFields[{i}]"), "jsonPath", errors);
    }
    let scale = get(version, "subresources.scale");
    if !scale.is_null() {
        let at = format!("{path}.subresources.scale");
        for (field, prefix) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")] {
            json_path(scale, &at, field, errors);
            let value = text(scale, field);
            if !value.is_empty() && !value.starts_with(prefix) {
                let detail = format!("should be a json path under {}", prefix.trim_end_matches('.'));
                errors.invalid(format!("{at}.{field}"), value, detail);
            }
        }
    }
}

fn json_path(object: &Value, path: &str, field: &str, errors: &mut Errors) {
    let value = text(object, field);
    let at = format!("{path}.{field}");
    if value.is_empty() {
        errors.required(at, "");
    } else if !jsonpath::is_valid(value) {
        errors.invalid(at, value, "is an invalid path: does not start with .");
    }
}

fn validate_conversion(conversion: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.conversion";
    let strategy = text(conversion, "strategy");
    errors.one_of(&format!("{PATH}.strategy"), strategy, &["None", "Webhook"]);
    let webhook = get(conversion, "webhook");
    match (strategy, webhook.is_null()) {
        ("Webhook", true) => {
            let detail = "required when strategy is set to Webhook";
            errors.required(format!("{PATH}.webhook.clientConfig"), detail);
        }
        ("Webhook", false) => {
            let at = format!("{PATH}.webhook");
            client_config(get(webhook, "clientConfig"), &format!("{at}.clientConfig"), errors);
            if items(webhook, "conversionReviewVersions").is_empty() {
                errors.required(format!("{at}.conversionReviewVersions"), "");
            }
        }
        (_, false) => {
            let detail = "should not be set when strategy is not set to Webhook";
            errors.forbidden(format!("{PATH}.webhook"), detail);
        }
        _ => {}
    }
}
