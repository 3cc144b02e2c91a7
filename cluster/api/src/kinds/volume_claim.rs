//! PersistentVolumeClaim and PersistentVolume.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::checks::Errors;
use crate::field::FieldError;
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use super::{pod_spec, volume_spec, warn};
use crate::meta;
use crate::names;
use crate::table::{age_cell, name_cell, text_cell};
use crate::value::{copy, get, has, items, members, same, set, set_default, set_text, text, texts};

pub const PERSISTENT_VOLUME_CLAIM: Builtin =
    Builtin::new("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", "QWTyNDq0dC4=")
        .namespaced()
        .short(&["pvc"])
        .subresources(&[("status", "PersistentVolumeClaim", GET_PATCH_UPDATE)])
        .columns(PERSISTENT_VOLUME_CLAIM_COLUMNS)
        .strategy(&Claim);

pub const PERSISTENT_VOLUME: Builtin =
    Builtin::new("", "v1", "PersistentVolume", "persistentvolumes", "HN/zwEC+JgM=")
        .short(&["pv"])
        .subresources(&[("status", "PersistentVolume", GET_PATCH_UPDATE)])
        .columns(PERSISTENT_VOLUME_COLUMNS)
        .strategy(&Volume);

const PERSISTENT_VOLUME_CLAIM_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Status", "string", "", 0),
    ("Volume", "string", "", 0),
    ("Capacity", "string", "", 0),
    ("Access Modes", "string", "", 0),
    ("StorageClass", "string", "", 0),
    ("VolumeAttributesClass", "string", "", 0),
    ("Age", "string", "", 0),
    ("VolumeMode", "string", "", 1),
];

const PERSISTENT_VOLUME_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Capacity", "string", "", 0),
    ("Access Modes", "string", "", 0),
    ("Reclaim Policy", "string", "", 0),
    ("Status", "string", "", 0),
    ("Claim", "string", "", 0),
    ("StorageClass", "string", "", 0),
    ("VolumeAttributesClass", "string", "", 0),
    ("Reason", "string", "", 0),
    ("Age", "string", "", 0),
    ("VolumeMode", "string", "", 1),
];

/// Annotations that have become fields.
const STORAGE_CLASS: (&str, &str) = (
    "volume.beta.kubernetes.io/storage-class",
    "deprecated since v1.8; use \"storageClassName\" attribute instead",
);
const MOUNT_OPTIONS: (&str, &str) = (
    "volume.beta.kubernetes.io/mount-options",
    "deprecated since v1.31; use \"mountOptions\" attribute instead",
);

struct Claim;

impl Strategy for Claim {
    fn default(&self, _r: &Resource, object: &mut Value) {
        set_text(object, "spec.volumeMode", "Filesystem");
        set_text(object, "status.phase", "Pending");
    }

    fn prepare_create(&self, _r: &Resource, object: &mut Value, _ctx: &Ctx) {
        set(object, "status", json!({"phase": "Pending"}));
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        pod_spec::validate_claim_spec(get(object, "spec"), "spec", &mut errors);
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        claim_changes(new, old, &mut errors);
        claim_sizes(new, old, &mut errors);
        if !same(get(new, "spec.volumeMode"), get(old, "spec.volumeMode")) {
            errors.invalid("volumeMode", get(new, "spec.volumeMode").clone(), meta::IMMUTABLE);
        }
        const CLASS: &str = "spec.volumeAttributesClassName";
        let wanted = get(new, CLASS).as_str();
        if has(old, "status.currentVolumeAttributesClassName") && wanted.is_none_or(str::is_empty) {
            let what = if wanted.is_none() { "nil" } else { "empty string" };
            let detail = format!(
                "update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil"
            );
            errors.forbidden(CLASS, detail);
        }
        errors.0
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        claim_status(get(new, "status"), &mut errors);
        errors.0
    }

    fn warnings(&self, _r: &Resource, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut found = Vec::new();
        warn::annotations(object, "", &[STORAGE_CLASS], &mut found);
        warn::claim_spec(get(object, "spec"), "spec", &mut found);
        found
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let volume = text(object, "spec.volumeName");
        let (capacity, modes) = match volume.is_empty() {
            true => (String::new(), String::new()),
            false => (
                text(object, "status.capacity.storage").to_owned(),
                access_modes(object, "status.accessModes"),
            ),
        };
        vec![
            name_cell(object),
            phase(object).into(),
            volume.into(),
            capacity.into(),
            modes.into(),
            text_cell(object, "spec.storageClassName"),
            or_unset(object, "spec.volumeAttributesClassName").into(),
            age_cell(object, now),
            or_unset(object, "spec.volumeMode").into(),
        ]
    }
}

/// The spec stays, but for what a controller fills in once and what a bound claim may ask for anew.
fn claim_changes(new: &Value, old: &Value, errors: &mut Errors) {
    const CLASS: &str = "spec.storageClassName";
    let mut compared = new.clone();
    if text(old, "spec.volumeName").is_empty() {
        copy(old, &mut compared, "spec.volumeName");
    }
    let annotation = |o: &Value| get(o, "metadata.annotations").get(STORAGE_CLASS.0).cloned();
    let (was, is) = (annotation(old), annotation(new));
    let named = get(new, CLASS);
    let fits = was.as_ref().is_none_or(|was| was == named);
    if !has(old, CLASS) && has(new, CLASS) && fits {
        copy(old, &mut compared, CLASS);
    }
    // The annotation may go when the field takes its place.
    let replaced = was.as_ref() == Some(named) && !has(old, CLASS) && (is.is_none() || is == was);
    if is != was && !replaced {
        let at = format!("metadata.annotations.{}", STORAGE_CLASS.0);
        errors.invalid(at, is.unwrap_or_else(|| "".into()), meta::IMMUTABLE);
    }
    if text(new, "status.phase") == "Bound" {
        copy(old, &mut compared, "spec.resources.requests.storage");
        copy(old, &mut compared, "spec.volumeAttributesClassName");
    }
    if !same(get(&compared, "spec"), get(old, "spec")) {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n";
        errors.forbidden("spec", detail);
    }
}

/// A claim may ask for less again when its volume could not be made larger, but not for what it has.
fn claim_sizes(new: &Value, old: &Value, errors: &mut Errors) {
    const REQUEST: &str = "spec.resources.requests.storage";
    let size = |object: &Value, path: &str| crate::amounts::quantity(get(object, path));
    let (is, was) = (size(new, REQUEST), size(old, REQUEST));
    if is < was && is <= size(old, "status.capacity.storage") {
        errors.forbidden(REQUEST, "field can not be less than status.capacity");
    }
}

fn claim_status(status: &Value, errors: &mut Errors) {
    const STATES: [&str; 5] = [
        "ControllerResizeInProgress",
        "ControllerResizeInfeasible",
        "NodeResizeInProgress",
        "NodeResizeInfeasible",
        "NodeResizePending",
    ];
    let amount = |value: &Value, path: String, errors: &mut Errors| {
        let negative = crate::amounts::quantity(value).filter(|q| q.is_negative());
        if let Some(quantity) = negative {
            errors.invalid(path, quantity.value(), "must be a valid resource quantity");
        }
    };
    let known = |name: &str, path: &str, errors: &mut Errors| {
        let native = !name.contains('/') || name.contains("kubernetes.io/");
        errors.reasons(path, name, names::qualified(name));
        if native && name != "storage" {
            errors.0.push(FieldError::not_supported(path, name, ["storage"]));
        }
    };
    for (name, value) in members(status, "capacity") {
        amount(value, format!("status.capacity[{name}]"), errors);
    }
    for (name, state) in members(status, "allocatedResourceStatuses") {
        const AT: &str = "status.allocatedResourceStatuses";
        known(name, AT, errors);
        if !state.as_str().is_some_and(|state| STATES.contains(&state)) {
            errors.0.push(FieldError::not_supported(AT, name.as_str(), STATES));
        }
    }
    for (name, value) in members(status, "allocatedResources") {
        known(name, "status.allocatedResources", errors);
        amount(value, format!("status.allocatedResources[{name}]"), errors);
    }
}

struct Volume;

impl Strategy for Volume {
    fn default(&self, _r: &Resource, object: &mut Value) {
        set_text(object, "status.phase", "Pending");
        set_text(object, "spec.persistentVolumeReclaimPolicy", "Retain");
        set_text(object, "spec.volumeMode", "Filesystem");
        for (source, field, value) in pod_spec::volume_source_defaults() {
            let path = format!("spec.{source}");
            if has(object, &path) {
                set_default(object, &format!("{path}.{field}"), value);
            }
        }
    }

    fn prepare_create(&self, _r: &Resource, object: &mut Value, ctx: &Ctx) {
        let at = meta::time(ctx.now);
        set(object, "status", json!({"phase": "Pending", "lastPhaseTransitionTime": at}));
    }

    fn prepare_subresource(&self, _r: &Resource, _s: &str, new: &mut Value, old: &Value, ctx: &Ctx) {
        const TIME: &str = "status.lastPhaseTransitionTime";
        let changed = text(new, "status.phase") != text(old, "status.phase");
        if !changed && !has(new, TIME) {
            copy(old, new, TIME);
        } else if changed && (!has(new, TIME) || get(new, TIME) == get(old, TIME)) {
            set(new, TIME, meta::time(ctx.now));
        }
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        volume_spec::validate(get(object, "spec"), meta::name(object), "spec", &mut errors);
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        volume_spec::validate_update(get(new, "spec"), get(old, "spec"), &mut errors);
        errors.0
    }

    fn warnings(&self, _r: &Resource, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut found = Vec::new();
        warn::annotations(object, "", &[STORAGE_CLASS, MOUNT_OPTIONS], &mut found);
        if text(object, "spec.persistentVolumeReclaimPolicy") == "Recycle" {
            found.push("spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.".into());
        }
        const TERMS: &str = "spec.nodeAffinity.required.nodeSelectorTerms";
        warn::node_selector(items(object, TERMS), TERMS, &mut found);
        let spec = get(object, "spec");
        // Of two more sources the pods that use them are warned.
        let silent = |field: &str| matches!(field, "flocker" | "quobyte");
        for (field, name, words) in pod_spec::DEPRECATED_VOLUMES {
            if has(spec, field) && !silent(field) {
                found.push(format!("spec.{name}: {words}"));
            }
        }
        found
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let claim = match get(object, "spec.claimRef") {
            Value::Null => String::new(),
            claim => format!("{}/{}", text(claim, "namespace"), text(claim, "name")),
        };
        vec![
            name_cell(object),
            text_cell(object, "spec.capacity.storage"),
            access_modes(object, "spec.accessModes").into(),
            text_cell(object, "spec.persistentVolumeReclaimPolicy"),
            phase(object).into(),
            claim.into(),
            text_cell(object, "spec.storageClassName"),
            or_unset(object, "spec.volumeAttributesClassName").into(),
            text_cell(object, "status.reason"),
            age_cell(object, now),
            or_unset(object, "spec.volumeMode").into(),
        ]
    }
}

fn phase(object: &Value) -> &str {
    match meta::is_deleting(object) {
        true => "Terminating",
        false => text(object, "status.phase"),
    }
}

fn or_unset(object: &Value, path: &str) -> String {
    match get(object, path).as_str() {
        Some(text) => text.to_owned(),
        None => "<unset>".into(),
    }
}

/// The short forms of access modes, in the usual order.
fn access_modes(object: &Value, path: &str) -> String {
    const SHORT: [(&str, &str); 4] = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let given: Vec<&str> = texts(object, path).collect();
    let short = SHORT.iter().filter(|(mode, _)| given.contains(mode));
    short.map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}
