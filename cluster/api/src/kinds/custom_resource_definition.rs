//! CustomResourceDefinition.

use serde_json::{Value, json};

use super::builtin::{Builtin, GET_PATCH_UPDATE};
use super::checks::Errors;
use super::webhook::client_config;
use crate::field::FieldError;
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

    fn warnings(&self, _r: &Resource, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let config = get(object, "spec.conversion.webhook.clientConfig");
        match webhook_has_bad_bundle(config) {
            true => vec![
                "spec.conversion.webhook.clientConfig.caBundle: unable to load root certificates: unable to parse bytes as PEM block".into(),
            ],
            false => Vec::new(),
        }
    }

    fn prepare_delete(&self, _r: &Resource, object: &mut Value, ctx: &Ctx) {
        let condition = json!({
            "type": "Terminating", "status": "True", "reason": "InstanceDeletionInProgress",
            "message": "CustomResource deletion is in progress",
            "lastTransitionTime": ctx.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        });
        let mut conditions = items(object, "status.conditions").to_vec();
        if !conditions.iter().any(|c| text(c, "type") == "Terminating") {
            conditions.push(condition);
            set(object, "status.conditions", conditions);
        }
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
        // What was accepted once and stays as it is can always be written again.
        if get(new, "spec") != get(old, "spec") {
            validate_spec(new, Some(old), &mut errors);
        }
        validate_approval(new, Some(old), &mut errors);
        if flag(new, "spec.preserveUnknownFields") && !flag(old, "spec.preserveUnknownFields") {
            preserved(&mut errors);
        }
        stored_versions(new, &mut errors);
        errors.0
    }

    fn validate_create(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        validate_spec(object, None, &mut errors);
        validate_approval(object, None, &mut errors);
        if flag(object, "spec.preserveUnknownFields") {
            preserved(&mut errors);
        }
        errors.0
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        stored_versions(new, &mut errors);
        check_names(get(new, "status.acceptedNames"), "status.acceptedNames", &mut errors);
        errors.0
    }
}

fn validate_spec(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    validate_group(object, errors);
    match text(object, "spec.scope") {
        "" => errors.required("spec.scope", ""),
        scope => errors.one_of("spec.scope", scope, &["Cluster", "Namespaced"]),
    }
    validate_versions(object, old, errors);
    validate_names(get(object, "spec.names"), errors);
    validate_conversion(get(object, "spec.conversion"), errors);
}

fn preserved(errors: &mut Errors) {
    let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
    errors.invalid("spec.preserveUnknownFields", true, detail);
}

fn webhook_has_bad_bundle(config: &Value) -> bool {
    use base64::Engine;
    let decoded = base64::engine::general_purpose::STANDARD.decode(text(config, "caBundle"));
    decoded.is_ok_and(|bytes| {
        !bytes.trim_ascii().is_empty()
            && !String::from_utf8_lossy(&bytes).contains("-----BEGIN CERTIFICATE-----")
    })
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
    const PATH: &str = "status.storedVersions";
    let (value, current) = (get(object, PATH).clone(), storage_version(object));
    if items(object, PATH).is_empty() {
        errors.invalid(PATH, json!([]), "must have at least one stored version");
        return;
    }
    if !current.is_empty() && !texts(object, PATH).any(|v| v == current) {
        errors.invalid(PATH, value, format!("must have the storage version {current}"));
    }
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
}

/// Groups of the Kubernetes project are for definitions that it has approved. What an update
/// does not touch is not judged again.
fn validate_approval(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let group = text(object, "spec.group");
    let protected = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group == *domain || group.ends_with(&format!(".{domain}")));
    let annotation = |object: &Value| {
        let text = get(object, "metadata.annotations").get(APPROVED).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let given = annotation(object);
    let is_url = |text: &str| text.starts_with("https://") || text.starts_with("http://");
    let state = |text: &str| (text.is_empty(), text.starts_with("unapproved"), is_url(text));
    if !protected || old.is_some_and(|old| state(&annotation(old)) == state(&given)) {
        return;
    }
    let at = format!("metadata.annotations[{APPROVED}]");
    match state(&given) {
        (true, ..) => {
            let detail = format!(
                "protected groups must have approval annotation {APPROVED:?}, see https://github.com/kubernetes/enhancements/pull/1111"
            );
            errors.required(at, detail);
        }
        (_, true, _) | (.., true) => {}
        _ => {
            let detail = format!(
                "protected groups must have approval annotation {APPROVED:?} with either a URL or a reason starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111"
            );
            errors.invalid(at, given, detail);
        }
    }
}

fn validate_names(given: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.names";
    for field in ["plural", "singular", "kind", "listKind"] {
        errors.present(given, PATH, field);
    }
    check_names(given, PATH, errors);
}

fn check_names(given: &Value, path: &str, errors: &mut Errors) {
    let mut check = |field: String, value: &str, prefix: &str| {
        let reasons =
            names::label_1035(&if prefix.is_empty() { value.to_owned() } else { value.to_lowercase() });
        if !value.is_empty() && !reasons.is_empty() {
            errors.invalid(format!("{path}.{field}"), value, format!("{prefix}{}", reasons.join(",")));
        }
    };
    const MIXED: &str = "may have mixed case, but should otherwise match: ";
    for (field, prefix) in [("plural", ""), ("singular", ""), ("kind", MIXED), ("listKind", MIXED)] {
        check(field.to_owned(), text(given, field), prefix);
    }
    for list in ["shortNames", "categories"] {
        for (i, name) in texts(given, list).enumerate() {
            check(format!("{list}[{i}]"), name, "");
        }
    }
    let (kind, list) = (text(given, "kind"), text(given, "listKind"));
    if !kind.is_empty() && kind == list {
        errors.invalid(format!("{path}.listKind"), list, "kind and listKind may not be the same");
    }
}

fn validate_versions(object: &Value, old: Option<&Value>, errors: &mut Errors) {
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
        let known = old.map_or(&[][..], |old| items(old, PATH)).iter().find(|v| text(v, "name") == name);
        validate_version(version, known, &at, errors);
    }
    if versions.iter().filter(|v| flag(v, "storage")).count() != 1 {
        errors.invalid(PATH, shown(), "must have exactly one version marked as storage version");
    }
}

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
/// More fields than this can not be selected by.
const MOST_SELECTABLE: usize = 8;

/// `old`: the version as it was, whose schema is not judged again.
fn validate_version(version: &Value, old: Option<&Value>, path: &str, errors: &mut Errors) {
    validate_deprecation(version, path, errors);
    let at = format!("{path}.schema.openAPIV3Schema");
    let given = get(version, "schema.openAPIV3Schema");
    match given {
        Value::Null => errors.required(at, ""),
        given if old.is_some_and(|old| get(old, "schema.openAPIV3Schema") == given) => {}
        given => errors.0.extend(schema::check_definition(given, &at)),
    }
    validate_scale(get(version, "subresources.scale"), &format!("{path}.subresources"), errors);
    for (i, column) in items(version, "additionalPrinterColumns").iter().enumerate() {
        validate_column(column, &format!("{path}.additionalPrinterColumns[{i}]"), errors);
    }
    let at = format!("{path}.selectableFields");
    let mut seen: Vec<&str> = Vec::new();
    for (i, field) in items(version, "selectableFields").iter().enumerate() {
        let at = format!("{at}[{i}].jsonPath");
        let json_path = text(field, "jsonPath");
        if json_path.is_empty() {
            errors.required(at, "");
            continue;
        }
        if let Err(detail) = schema::check_selectable(given, json_path) {
            errors.invalid(at, json_path, detail);
        } else if seen.contains(&json_path) {
            errors.duplicate(at, json_path);
        } else {
            seen.push(json_path);
        }
    }
    if seen.len() > MOST_SELECTABLE {
        errors.0.push(FieldError::too_many(at, seen.len(), MOST_SELECTABLE));
    }
}

fn validate_deprecation(version: &Value, path: &str, errors: &mut Errors) {
    let Value::String(warning) = get(version, "deprecationWarning") else { return };
    let at = format!("{path}.deprecationWarning");
    let mut refuse = |detail: String| errors.invalid(at.as_str(), warning.as_str(), detail);
    if !flag(version, "deprecated") {
        return refuse("can only be set for deprecated versions".into());
    }
    if warning.len() > 256 {
        refuse("must be <= 256 characters long".into());
    }
    if warning.is_empty() {
        refuse("must not be an empty string".into());
    }
    if let Some((at, _)) = warning.char_indices().find(|(_, c)| c.is_control()) {
        refuse(format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {at}"
        ));
    }
}

fn validate_scale(scale: &Value, path: &str, errors: &mut Errors) {
    if scale.is_null() {
        return;
    }
    let fields = [
        ("specReplicasPath", &[".spec."][..], ".spec", true),
        ("statusReplicasPath", &[".status."], ".status", true),
        ("labelSelectorPath", &[".spec.", ".status."], "either .spec or .status", false),
    ];
    for (field, prefixes, below, required) in fields {
        let (value, at) = (text(scale, field), format!("{path}.scale.{field}"));
        if value.is_empty() {
            if required {
                errors.required(at, "");
            }
        } else if !value.starts_with('.') {
            errors.invalid(at, value, "must be a simple json path starting with .");
        } else if !prefixes.iter().any(|prefix| value.starts_with(prefix)) {
            errors.invalid(at, value, format!("should be a json path under {below}"));
        }
    }
}

fn validate_column(column: &Value, path: &str, errors: &mut Errors) {
    errors.present(column, path, "name");
    let one_of = |words: &[&str]| format!("must be one of {}", words.join(","));
    match text(column, "type") {
        "" => errors.required(format!("{path}.type"), one_of(&COLUMN_TYPES)),
        kind if !COLUMN_TYPES.contains(&kind) => {
            errors.invalid(format!("{path}.type"), kind, one_of(&COLUMN_TYPES));
        }
        _ => {}
    }
    let format = text(column, "format");
    if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
        errors.invalid(format!("{path}.format"), format, one_of(&COLUMN_FORMATS));
    }
    let (json_path, at) = (text(column, "jsonPath"), format!("{path}.JSONPath"));
    if json_path.is_empty() {
        errors.required(at, "");
    } else if !json_path.starts_with('.') {
        errors.invalid(at, json_path, "must be a simple json path starting with .");
    }
}

fn validate_conversion(conversion: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.conversion";
    let strategy = text(conversion, "strategy");
    errors.one_of(&format!("{PATH}.strategy"), strategy, &["None", "Webhook"]);
    let webhook = get(conversion, "webhook");
    let config = format!("{PATH}.webhookClientConfig");
    match (strategy, webhook.is_null()) {
        ("Webhook", _) => {
            match get(webhook, "clientConfig") {
                Value::Null => errors.required(config, "required when strategy is set to Webhook"),
                given => client_config(given, &config, errors),
            }
            review_versions(webhook, errors);
        }
        (_, false) => errors.forbidden(config, "should not be set when strategy is not set to Webhook"),
        _ => {}
    }
}

fn review_versions(webhook: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.conversion.conversionReviewVersions";
    let versions: Vec<&str> = texts(webhook, "conversionReviewVersions").collect();
    if versions.is_empty() {
        errors.required(PATH, "");
        return;
    }
    for (i, version) in versions.iter().enumerate() {
        let at = format!("{PATH}[{i}]");
        if versions[..i].contains(version) {
            errors.invalid(at, *version, "duplicate version");
            continue;
        }
        for reason in names::label_1035(version) {
            errors.invalid(at.as_str(), *version, reason);
        }
    }
    if !versions.iter().any(|v| matches!(*v, "v1" | "v1beta1")) {
        let value = get(webhook, "conversionReviewVersions").clone();
        errors.invalid(PATH, value, "must include at least one of v1, v1beta1");
    }
}
