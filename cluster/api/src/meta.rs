//! Object metadata: what the server fills in, what may not change, what is valid.

use serde_json::Value;

use crate::field::FieldError;
use crate::names;
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::status::Status;
use crate::value::{copy, get, has, int, items, members, remove, set, set_default, text, texts};

/// Kubernetes' alphabet for generated names: no vowels, nothing that looks alike.
pub const NAME_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Length of the generated suffix.
pub const NAME_SUFFIX_LEN: usize = 5;

/// Longest `generateName` that is used; the rest is cut off.
const GENERATE_NAME_BASE_MAX: usize = 63 - NAME_SUFFIX_LEN;

/// Bytes of all annotations' keys and values.
const ANNOTATIONS_MAX: usize = 256 * 1024;

/// Immutable as Kubernetes words it.
pub const IMMUTABLE: &str = "field is immutable";

/// The finalizer of orphaning deletion.
pub const ORPHAN: &str = "orphan";
/// The finalizer of foreground deletion.
pub const FOREGROUND: &str = "foregroundDeletion";

/// How `metadata.name` of a kind must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// RFC 1123 subdomain, up to 253.
    Subdomain,
    /// RFC 1123 label, up to 63.
    Label,
    /// Anything that is one path segment (RBAC).
    PathSegment,
}

impl NameRule {
    /// Reasons why `name` is refused; `prefix` for a generateName.
    pub fn check(self, name: &str, prefix: bool) -> Vec<String> {
        // A prefix may end in a dash, because more comes after it.
        let masked = match prefix && name.ends_with('-') && name.len() > 1 {
            true => format!("{}a", &name[..name.len() - 1]),
            false => name.to_owned(),
        };
        match self {
            Self::Subdomain => names::subdomain(&masked),
            Self::Label => names::label(&masked),
            Self::PathSegment => names::path_segment(name),
        }
    }
}

/// Five characters of [`NAME_ALPHABET`] out of random bytes.
pub fn name_suffix(random: [u8; NAME_SUFFIX_LEN]) -> String {
    let pick = |byte: u8| char::from(NAME_ALPHABET[usize::from(byte) % NAME_ALPHABET.len()]);
    random.into_iter().map(pick).collect()
}

/// RFC 3339 in whole seconds, as `metav1.Time` is written.
pub fn time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// RFC 3339 with six decimals, as `metav1.MicroTime` is written.
pub fn micro_time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// Parses a `metav1.Time` or `MicroTime`.
pub fn parse_time(text: &str) -> Option<jiff::Timestamp> {
    text.parse().ok()
}

/// `metadata.name`.
pub fn name(object: &Value) -> &str {
    text(object, "metadata.name")
}

/// `metadata.namespace`, "" for cluster-scoped objects.
pub fn namespace(object: &Value) -> &str {
    text(object, "metadata.namespace")
}

/// True when the object is being deleted.
pub fn is_deleting(object: &Value) -> bool {
    has(object, "metadata.deletionTimestamp")
}

/// Labels of an object as pairs.
pub fn labels(object: &Value) -> Vec<(String, String)> {
    let pairs = members(object, "metadata.labels");
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Makes the object's namespace that of the request, refusing another one.
pub fn match_namespace(r: &Resource, object: &mut Value, ctx: &Ctx) -> Result<(), Status> {
    let wanted = match r.namespaced {
        true => ctx.namespace.as_deref().unwrap_or_default(),
        false => "",
    };
    let given = namespace(object);
    if given == wanted {
        return Ok(());
    }
    if wanted.is_empty() {
        remove(object, "metadata.namespace");
    } else if given.is_empty() {
        set(object, "metadata.namespace", wanted);
    } else {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// Fills in the server's part of a new object's metadata.
pub fn fill_new(object: &mut Value, ctx: &Ctx) {
    for path in [
        "metadata.deletionTimestamp",
        "metadata.deletionGracePeriodSeconds",
        "metadata.selfLink",
        "metadata.resourceVersion",
        "metadata.generation",
    ] {
        remove(object, path);
    }
    set(object, "metadata.uid", ctx.uid.as_str());
    set(object, "metadata.creationTimestamp", time(ctx.now));
    let base = text(object, "metadata.generateName");
    if !base.is_empty() && name(object).is_empty() {
        let mut end = base.len().min(GENERATE_NAME_BASE_MAX);
        while !base.is_char_boundary(end) {
            end -= 1;
        }
        let full = format!("{}{}", &base[..end], ctx.name_suffix);
        set(object, "metadata.name", full);
    }
}

/// Keeps what an update can not change in metadata, and refuses preconditions that do not hold.
pub fn keep_on_update(r: &Resource, new: &mut Value, old: &Value) -> Result<(), Status> {
    let (name, given) = (name(old).to_owned(), name(new).to_owned());
    if given.is_empty() {
        set(new, "metadata.name", name.as_str());
    } else if given != name {
        return Err(Status::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    let uid = text(new, "metadata.uid");
    if !uid.is_empty() && uid != text(old, "metadata.uid") {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            text(old, "metadata.uid")
        );
        return Err(Status::conflict(&r.group, &r.plural, &name, why));
    }
    let version = text(new, "metadata.resourceVersion");
    if version.is_empty() || version == "0" {
        if !r.unconditional_update {
            let path = "metadata.resourceVersion";
            let error = FieldError::invalid(path, 0, "must be specified for an update");
            return Err(Status::invalid(&r.group, &r.kind, &name, vec![error]));
        }
    } else if version != text(old, "metadata.resourceVersion") {
        return Err(Status::modified(&r.group, &r.plural, &name));
    }
    copy(old, new, "metadata.resourceVersion");
    for path in ["metadata.uid", "metadata.creationTimestamp", "metadata.generation"] {
        copy(old, new, path);
    }
    remove(new, "metadata.selfLink");
    if is_deleting(old) {
        copy(old, new, "metadata.deletionTimestamp");
        copy(old, new, "metadata.deletionGracePeriodSeconds");
    } else {
        remove(new, "metadata.deletionTimestamp");
        remove(new, "metadata.deletionGracePeriodSeconds");
    }
    copy_default(old, new, "metadata.generateName");
    Ok(())
}

fn copy_default(from: &Value, to: &mut Value, path: &str) {
    if has(from, path) {
        set_default(to, path, get(from, path).clone());
    }
}

/// Sets the generation of an object (0 is absent).
pub fn set_generation(object: &mut Value, generation: i64) {
    set(object, "metadata.generation", generation);
}

/// Raises the generation over that of `old`.
pub fn raise_generation(new: &mut Value, old: &Value) {
    let generation = int(old, "metadata.generation").unwrap_or_default();
    set_generation(new, generation + 1);
}

/// Validates the metadata of a new object.
pub fn validate(r: &Resource, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let base = text(object, "metadata.generateName");
    if !base.is_empty() {
        for reason in r.name_rule.check(base, true) {
            errors.push(FieldError::invalid("metadata.generateName", base, reason));
        }
    }
    match name(object) {
        "" => errors.push(FieldError::required("metadata.name", "name or generateName is required")),
        name => {
            for reason in r.name_rule.check(name, false) {
                errors.push(FieldError::invalid("metadata.name", name, reason));
            }
        }
    }
    validate_common(r, object, &mut errors);
    errors
}

fn validate_common(r: &Resource, object: &Value, errors: &mut Vec<FieldError>) {
    match (r.namespaced, namespace(object)) {
        (true, "") => errors.push(FieldError::required("metadata.namespace", "")),
        (true, namespace) => {
            for reason in names::label(namespace) {
                errors.push(FieldError::invalid("metadata.namespace", namespace, reason));
            }
        }
        (false, "") => {}
        (false, _) => errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type")),
    }
    validate_labels(get(object, "metadata.labels"), "metadata.labels", errors);
    validate_annotations(get(object, "metadata.annotations"), "metadata.annotations", errors);
    validate_owners(items(object, "metadata.ownerReferences"), errors);
    validate_finalizers(object, errors);
}

/// Validates a map of labels at `path`.
pub fn validate_labels(labels: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        for reason in names::qualified(key) {
            errors.push(FieldError::invalid(path, key.as_str(), reason));
        }
        let value = value.as_str().unwrap_or_default();
        for reason in names::label_value(value) {
            errors.push(FieldError::invalid(path, value, reason));
        }
    }
}

/// Validates a map of annotations at `path`.
pub fn validate_annotations(annotations: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        for reason in names::qualified(&key.to_lowercase()) {
            errors.push(FieldError::invalid(path, key.as_str(), reason));
        }
        size += key.len() + value.as_str().unwrap_or_default().len();
    }
    if size > ANNOTATIONS_MAX {
        errors.push(FieldError::too_long(path, ANNOTATIONS_MAX));
    }
}

fn validate_owners(owners: &[Value], errors: &mut Vec<FieldError>) {
    const PATH: &str = "metadata.ownerReferences";
    let mut controller: Option<String> = None;
    for owner in owners {
        let (api_version, kind) = (text(owner, "apiVersion"), text(owner, "kind"));
        let version = api_version.rsplit('/').next().unwrap_or_default();
        let checks = [
            (version, "apiVersion", "version must not be empty"),
            (kind, "kind", "must not be empty"),
            (text(owner, "name"), "name", "must not be empty"),
            (text(owner, "uid"), "uid", "must not be empty"),
        ];
        for (value, field, detail) in checks {
            if value.is_empty() {
                let given = text(owner, field);
                errors.push(FieldError::invalid(format!("{PATH}.{field}"), given, detail));
            }
        }
        if api_version == "v1" && kind == "Event" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid(PATH, owner.clone(), detail));
        }
        if owner.get("controller") == Some(&Value::Bool(true)) {
            let this = format!("{kind}/{}", text(owner, "name"));
            match &controller {
                None => controller = Some(this),
                Some(first) => {
                    let detail = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                    );
                    errors.push(FieldError::invalid(PATH, owners.to_vec(), detail));
                }
            }
        }
    }
}

fn validate_finalizers(object: &Value, errors: &mut Vec<FieldError>) {
    const PATH: &str = "metadata.finalizers";
    for finalizer in texts(object, PATH) {
        for reason in names::qualified(finalizer) {
            errors.push(FieldError::invalid(PATH, finalizer, reason));
        }
    }
    let has = |wanted| texts(object, PATH).any(|f| f == wanted);
    if has(ORPHAN) && has(FOREGROUND) {
        let detail = format!("finalizer {ORPHAN} and {FOREGROUND} cannot be both set");
        errors.push(FieldError::invalid(PATH, get(object, PATH).clone(), detail));
    }
}

/// Validates the metadata of an update.
pub fn validate_update(r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for reason in names::path_segment(name(new)) {
        errors.push(FieldError::invalid("metadata.name", name(new), reason));
    }
    validate_common(r, new, &mut errors);
    if is_deleting(old) {
        let known: Vec<&str> = texts(old, "metadata.finalizers").collect();
        let mut extra: Vec<&str> = texts(new, "metadata.finalizers").filter(|f| !known.contains(f)).collect();
        extra.sort_unstable();
        if !extra.is_empty() {
            let list: Vec<String> = extra.iter().map(|f| format!("{f:?}")).collect();
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                list.join(", ")
            );
            errors.push(FieldError::forbidden("metadata.finalizers", detail));
        }
    }
    errors
}
