//! Validation of volumes, and of the claims that volumes ask for.

use std::collections::BTreeMap;

use serde_json::Value;

use super::spec::Holder;
use crate::field::FieldError;
use crate::kinds::checks::Errors;
use crate::names;
use crate::quantity::Quantity;
use crate::value::{get, has, int, items, text, texts};

/// Volumes of a pod by name: what a container may mount.
pub type Volumes<'a> = BTreeMap<&'a str, &'a Value>;

const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

pub fn validate<'a>(
    volumes: &'a [Value],
    path: &str,
    holder: Holder<'_>,
    errors: &mut Errors,
) -> Volumes<'a> {
    let mut known = Volumes::new();
    for (i, volume) in volumes.iter().enumerate() {
        let at = format!("{path}[{i}]");
        let before = errors.0.len();
        let name = text(volume, "name");
        source(volume, &at, holder, errors);
        match name {
            "" => errors.required(format!("{at}.name"), ""),
            name => errors.reasons(&format!("{at}.name"), name, names::label(name)),
        }
        if known.contains_key(name) {
            errors.duplicate(format!("{at}.name"), name);
        }
        if errors.0.len() == before {
            known.insert(name, volume);
        }
    }
    known
}

/// Sources by field, with the fields that each must have.
const SOURCES: [(&str, &[&str]); 29] = [
    ("emptyDir", &[]),
    ("hostPath", &["path"]),
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("secret", &["secretName"]),
    ("nfs", &["server", "path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("glusterfs", &["endpoints", "path"]),
    ("flocker", &[]),
    ("persistentVolumeClaim", &["claimName"]),
    ("rbd", &["image"]),
    ("cinder", &["volumeID"]),
    ("cephfs", &[]),
    ("quobyte", &["registry", "volume"]),
    ("downwardAPI", &[]),
    ("fc", &[]),
    ("flexVolume", &["driver"]),
    ("configMap", &["name"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("storageos", &[]),
    ("projected", &[]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("csi", &["driver"]),
    ("ephemeral", &[]),
];

fn source(volume: &Value, path: &str, holder: Holder<'_>, errors: &mut Errors) {
    let mut found = 0;
    for (field, needed) in SOURCES {
        let source = get(volume, field);
        if source.is_null() {
            continue;
        }
        let at = format!("{path}.{field}");
        found += 1;
        if found > 1 {
            errors.forbidden(at, "may not specify more than 1 volume type");
            continue;
        }
        for needed in needed {
            errors.present(source, &at, needed);
        }
        details(field, source, &at, errors);
    }
    if has(volume, "image") {
        found += 1;
        let policy = text(volume, "image.pullPolicy");
        let policies = ["Always", "IfNotPresent", "Never"];
        errors.one_of_or_empty(&format!("{path}.image.pullPolicy"), policy, &policies);
    }
    if found == 0 {
        errors.required(path, "must specify a volume type");
    }
    if has(volume, "ephemeral") && !holder.name.is_empty() {
        let name = text(volume, "name");
        let claim = format!("{}-{name}", holder.name);
        for reason in names::subdomain(&claim) {
            errors.invalid(format!("{path}.name"), name, format!("PVC name {claim:?}: {reason}"));
        }
    }
}

fn details(field: &str, source: &Value, path: &str, errors: &mut Errors) {
    match field {
        "emptyDir" => {
            let limit = get(source, "sizeLimit");
            let negative = limit.as_str().and_then(|l| Quantity::parse(l).ok());
            if negative.is_some_and(|q| q.is_negative()) {
                let detail = "SizeLimit field must be a valid resource quantity";
                errors.forbidden(format!("{path}.sizeLimit"), detail);
            }
        }
        "hostPath" => host_path(source, path, errors),
        "secret" | "configMap" => {
            mode(source, path, "defaultMode", errors);
            keys(items(source, "items"), path, errors);
        }
        "downwardAPI" => {
            mode(source, path, "defaultMode", errors);
            for item in items(source, "items") {
                downward_file(item, path, errors);
            }
        }
        "projected" => {
            mode(source, path, "defaultMode", errors);
            projected(source, path, errors);
        }
        "ephemeral" => {
            let template = get(source, "volumeClaimTemplate");
            match template.is_null() {
                true => errors.required(format!("{path}.volumeClaimTemplate"), ""),
                false => {
                    let at = format!("{path}.volumeClaimTemplate.spec");
                    validate_claim_spec(get(template, "spec"), &at, errors);
                }
            }
        }
        _ => {}
    }
}

fn host_path(source: &Value, path: &str, errors: &mut Errors) {
    no_backsteps(text(source, "path"), &format!("{path}.path"), errors);
    let kinds =
        ["BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    errors.one_of_or_empty(&format!("{path}.type"), text(source, "type"), &kinds);
}

fn mode(source: &Value, path: &str, field: &str, errors: &mut Errors) {
    if let Some(mode) = int(source, field)
        && !(0..=0o777).contains(&mode)
    {
        errors.invalid(format!("{path}.{field}"), mode, MODE);
    }
}

/// `items` of a secret or config map: key, path, mode.
fn keys(list: &[Value], path: &str, errors: &mut Errors) {
    for (i, item) in list.iter().enumerate() {
        let at = format!("{path}.items[{i}]");
        errors.present(item, &at, "key");
        errors.present(item, &at, "path");
        own_path(text(item, "path"), &format!("{at}.path"), errors);
        mode(item, &at, "mode", errors);
    }
}

/// Fields of a pod that a downward API file can hold.
const FILE_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

fn downward_file(file: &Value, path: &str, errors: &mut Errors) {
    if errors.present(file, path, "path") {
        own_path(text(file, "path"), &format!("{path}.path"), errors);
    }
    match (has(file, "fieldRef"), has(file, "resourceFieldRef")) {
        (true, both) => {
            let field = get(file, "fieldRef");
            super::containers::field_reference(field, &format!("{path}.fieldRef"), &FILE_FIELDS, errors);
            if both {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.invalid(path, "resource", detail);
            }
        }
        (false, true) => {
            let field = get(file, "resourceFieldRef");
            let at = format!("{path}.resourceFieldRef");
            super::containers::resource_reference(field, &at, true, errors);
        }
        (false, false) => {
            errors.required(path, "one of fieldRef and resourceFieldRef is required");
        }
    }
    mode(file, path, "mode", errors);
}

fn projected(source: &Value, path: &str, errors: &mut Errors) {
    let mut paths: Vec<&str> = Vec::new();
    for (i, part) in items(source, "sources").iter().enumerate() {
        let at = format!("{path}.sources[{i}]");
        let kinds = part.as_object().map_or(0, |p| p.values().filter(|v| !v.is_null()).count());
        if kinds > 1 {
            errors.forbidden(at.as_str(), "may not specify more than 1 volume type per source");
        } else if kinds == 0 {
            errors.required(at.as_str(), "must specify exactly 1 volume type per source");
        }
        for field in ["secret", "configMap"] {
            let inner = get(part, field);
            if inner.is_null() {
                continue;
            }
            let at = format!("{at}.{field}");
            errors.present(inner, &at, "name");
            keys(items(inner, "items"), &at, errors);
            let files: Vec<&str> = items(inner, "items").iter().map(|k| text(k, "path")).collect();
            claim_paths(&mut paths, &files, path, text(inner, "name"), errors);
        }
        for file in items(part, "downwardAPI.items") {
            downward_file(file, &format!("{at}.downwardAPI"), errors);
            claim_paths(&mut paths, &[text(file, "path")], path, "downwardAPI", errors);
        }
        let token = get(part, "serviceAccountToken");
        if !token.is_null() {
            service_account_token(token, &format!("{at}.serviceAccountToken"), errors);
            claim_paths(&mut paths, &[text(token, "path")], path, "serviceAccountToken", errors);
        }
    }
}

fn claim_paths<'a>(taken: &mut Vec<&'a str>, files: &[&'a str], path: &str, what: &str, errors: &mut Errors) {
    for file in files.iter().filter(|f| !f.is_empty()) {
        match taken.contains(file) {
            true => errors.invalid(path, what, "conflicting duplicate paths"),
            false => taken.push(file),
        }
    }
}

fn service_account_token(token: &Value, path: &str, errors: &mut Errors) {
    if let Some(seconds) = int(token, "expirationSeconds") {
        let at = format!("{path}.expirationSeconds");
        if seconds < 600 {
            errors.invalid(at, seconds, "may not specify a duration less than 10 minutes");
        } else if seconds > 1 << 32 {
            errors.invalid(at, seconds, "may not specify a duration larger than 2^32 seconds");
        }
    }
    if errors.present(token, path, "path") {
        own_path(text(token, "path"), &format!("{path}.path"), errors);
    }
}

/// A relative path without `..`.
pub fn descending_path(value: &str, path: &str, errors: &mut Errors) {
    if value.starts_with('/') {
        errors.invalid(path, value, "must be a relative path");
    }
    no_backsteps(value, path, errors);
}

pub fn no_backsteps(value: &str, path: &str, errors: &mut Errors) {
    if value.split('/').any(|part| part == "..") {
        errors.invalid(path, value, "must not contain '..'");
    }
}

fn own_path(value: &str, path: &str, errors: &mut Errors) {
    descending_path(value, path, errors);
    if value.starts_with("..") && !value.starts_with("../") {
        errors.invalid(path, value, "must not start with '..'");
    }
}

/// Ways to mount a volume.
pub const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// The spec of a PersistentVolumeClaim at `path`.
pub fn validate_claim_spec(spec: &Value, path: &str, errors: &mut Errors) {
    let at = format!("{path}.accessModes");
    if items(spec, "accessModes").is_empty() {
        errors.required(at.as_str(), "at least 1 access mode is required");
    }
    errors.label_selector(get(spec, "selector"), &format!("{path}.selector"));
    access_modes(spec, &at, errors);
    let request = get(spec, "resources.requests.storage");
    let at = format!("{path}.resources[storage]");
    match crate::amounts::quantity(request) {
        None => errors.required(at, ""),
        Some(amount) if amount.is_zero() || amount.is_negative() => {
            errors.invalid(at, request.clone(), "must be greater than zero");
        }
        Some(_) => {}
    }
    for field in ["storageClassName", "volumeAttributesClassName"] {
        let class = text(spec, field);
        if !class.is_empty() {
            errors.reasons(&format!("{path}.{field}"), class, names::subdomain(class));
        }
    }
    let mode = text(spec, "volumeMode");
    errors.one_of_or_empty(&format!("{path}.volumeMode"), mode, &["Block", "Filesystem"]);
    data_sources(spec, path, errors);
}

/// Known modes; one of them is for a single pod and stands alone.
pub fn access_modes(spec: &Value, path: &str, errors: &mut Errors) {
    let modes: Vec<&str> = texts(spec, "accessModes").collect();
    for mode in &modes {
        if !ACCESS_MODES.contains(mode) {
            errors.0.push(FieldError::not_supported(path, *mode, ACCESS_MODES));
        }
    }
    let alone = |mode: &&str| *mode == "ReadWriteOncePod";
    let shared = |mode: &&str| !alone(mode) && ACCESS_MODES.contains(mode);
    if modes.iter().any(alone) && modes.iter().any(shared) {
        errors.forbidden(path, "may not use ReadWriteOncePod with other access modes");
    }
}

/// What a claim's volume is filled with: said in one of two fields, or the same in both.
fn data_sources(spec: &Value, path: &str, errors: &mut Errors) {
    let (source, reference) = (get(spec, "dataSource"), get(spec, "dataSourceRef"));
    for (field, of) in [("dataSource", source), ("dataSourceRef", reference)] {
        if of.is_null() {
            continue;
        }
        let (at, group, kind) = (format!("{path}.{field}"), text(of, "apiGroup"), text(of, "kind"));
        errors.present(of, &at, "name");
        errors.present(of, &at, "kind");
        if group.is_empty() && kind != "PersistentVolumeClaim" {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.invalid(at.as_str(), kind, detail);
        }
        if !group.is_empty() {
            errors.reasons(&format!("{at}.apiGroup"), group, names::subdomain(group));
        }
        let namespace = text(of, "namespace");
        if !namespace.is_empty() {
            errors.reasons(&format!("{at}.namespace"), namespace, names::label(namespace));
        }
    }
    if source.is_null() || reference.is_null() {
        return;
    }
    let same = |field: &str| get(source, field) == get(reference, field);
    let shown = format!("{path}.dataSource");
    if !text(reference, "namespace").is_empty() {
        errors.invalid(path, shown, "may not be specified when dataSourceRef.namespace is specified");
    } else if !(same("apiGroup") && same("kind") && same("name")) {
        errors.invalid(path, shown, "must match dataSourceRef");
    }
}
