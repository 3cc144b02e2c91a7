//! Validation of a persistent volume's spec, which a VolumeAttachment can hold inline.

use serde_json::Value;

use super::checks::Errors;
use super::pod_spec;
use crate::field::FieldError;
use crate::meta::IMMUTABLE;
use crate::names;
use crate::value::{flag, get, has, int, items, members, remove, same, text};

/// Sources of a persistent volume, in the order in which the first of several counts, with the fields
/// that each must have.
const SOURCES: [(&str, &[&str]); 22] = [
    ("hostPath", &["path"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("glusterfs", &["endpoints", "path"]),
    ("flocker", &[]),
    ("nfs", &["server", "path"]),
    ("rbd", &["image"]),
    ("quobyte", &["registry", "volume"]),
    ("cephfs", &[]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("cinder", &["volumeID"]),
    ("fc", &[]),
    ("flexVolume", &["driver"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("local", &["path"]),
    ("storageos", &[]),
    ("csi", &[]),
];

/// The spec of a PersistentVolume.
pub fn validate(spec: &Value, name: &str, path: &str, errors: &mut Errors) {
    access_modes(spec, path, errors);
    capacity(get(spec, "capacity"), &format!("{path}.capacity"), errors);
    let policy = text(spec, "persistentVolumeReclaimPolicy");
    let policies = ["Delete", "Recycle", "Retain"];
    errors.one_of_or_empty(&format!("{path}.persistentVolumeReclaimPolicy"), policy, &policies);
    let affinity = get(spec, "nodeAffinity");
    match (affinity.is_null(), get(affinity, "required")) {
        (true, _) => {}
        (false, Value::Null) => {
            let detail = "must specify required node constraints";
            errors.required(format!("{path}.nodeAffinity.required"), detail);
        }
        (false, terms) => pod_spec::node_selector(terms, &format!("{path}.nodeAffinity.required"), errors),
    }
    source(spec, name, path, errors);
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        errors.reasons(&format!("{path}.storageClassName"), class, names::subdomain(class));
    }
    let mode = text(spec, "volumeMode");
    errors.one_of_or_empty(&format!("{path}.volumeMode"), mode, &["Block", "Filesystem"]);
    attributes_class(spec, path, errors);
}

/// The spec of a volume that is no object of its own: only a CSI volume.
pub fn validate_inline(spec: &Value, path: &str, errors: &mut Errors) {
    const INLINE: &str = "in the context of inline volumes";
    let absent = |errors: &mut Errors, field: &str| {
        errors.forbidden(format!("{path}.{field}"), format!("may not be specified {INLINE}"));
    };
    if has(spec, "claimRef") {
        absent(errors, "claimRef");
    }
    if members(spec, "capacity").next().is_some() {
        absent(errors, "capacity");
    }
    if !has(spec, "csi") {
        errors.required(format!("{path}.csi"), format!("has to be specified {INLINE}"));
    }
    access_modes(spec, path, errors);
    for (field, only) in [("persistentVolumeReclaimPolicy", "Retain"), ("volumeMode", "Filesystem")] {
        if !text(spec, field).is_empty() && text(spec, field) != only {
            let words = match field {
                "volumeMode" => format!("may not specify volumeMode other than {only} {INLINE}"),
                _ => format!("may only be {only} {INLINE}"),
            };
            errors.forbidden(format!("{path}.{field}"), words);
        }
    }
    if has(spec, "nodeAffinity") {
        absent(errors, "nodeAffinity");
    }
    source(spec, "", path, errors);
    if !text(spec, "storageClassName").is_empty() {
        absent(errors, "storageClassName");
    }
    attributes_class(spec, path, errors);
}

/// What may not change; a CSI volume may get a secret for expansion later.
pub fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    const EXPAND: &str = "csi.controllerExpandSecretRef";
    let mut compared = new.clone();
    if has(old, "csi") && !has(old, EXPAND) {
        remove(&mut compared, EXPAND);
    }
    if SOURCES.iter().any(|(source, _)| !same(get(&compared, source), get(old, source))) {
        let detail = "spec.persistentvolumesource is immutable after creation\n";
        errors.forbidden("spec.persistentvolumesource", detail);
    }
    if !same(get(new, "volumeMode"), get(old, "volumeMode")) {
        errors.invalid("volumeMode", get(new, "volumeMode").clone(), IMMUTABLE);
    }
    if has(old, "nodeAffinity") && with_stable_labels(new) != with_stable_labels(old) {
        let detail = format!("{IMMUTABLE}, except for updating from beta label to GA");
        errors.invalid("nodeAffinity", get(new, "nodeAffinity").clone(), detail);
    }
    const CLASS: &str = "volumeAttributesClassName";
    if has(old, CLASS) && !has(new, CLASS) {
        let detail = "update from non-nil value to nil is forbidden";
        errors.forbidden(format!("spec.{CLASS}"), detail);
    }
}

/// The node affinity with the labels of today in place of the beta ones.
fn with_stable_labels(spec: &Value) -> String {
    let text = get(spec, "nodeAffinity").to_string();
    let renamed = [
        ("\"beta.kubernetes.io/os\"", "\"kubernetes.io/os\""),
        ("\"beta.kubernetes.io/arch\"", "\"kubernetes.io/arch\""),
        ("\"beta.kubernetes.io/instance-type\"", "\"node.kubernetes.io/instance-type\""),
        ("\"failure-domain.beta.kubernetes.io/zone\"", "\"topology.kubernetes.io/zone\""),
        ("\"failure-domain.beta.kubernetes.io/region\"", "\"topology.kubernetes.io/region\""),
    ];
    renamed.iter().fold(text, |text, (beta, stable)| text.replace(beta, stable))
}

fn access_modes(spec: &Value, path: &str, errors: &mut Errors) {
    let path = format!("{path}.accessModes");
    if items(spec, "accessModes").is_empty() {
        errors.required(path.as_str(), "");
    }
    pod_spec::access_modes(spec, &path, errors);
}

fn capacity(capacity: &Value, path: &str, errors: &mut Errors) {
    let names = capacity.as_object().map_or(0, serde_json::Map::len);
    if names == 0 {
        errors.required(path, "");
    }
    if !has(capacity, "storage") || names > 1 {
        errors.0.push(FieldError::not_supported(path, capacity.clone(), ["storage"]));
    }
    for (name, amount) in capacity.as_object().into_iter().flatten() {
        let at = format!("{path}[{name}]");
        if errors.quantity(amount, &at).is_some_and(|q| q.is_zero()) {
            errors.invalid(at, amount.clone(), "must be greater than zero");
        }
    }
}

fn source(spec: &Value, name: &str, path: &str, errors: &mut Errors) {
    let mut given = SOURCES.iter().filter(|(field, _)| has(spec, field));
    match given.next() {
        None => errors.required(path, "must specify a volume type"),
        Some((field, needed)) => {
            let (source, at) = (get(spec, field), format!("{path}.{field}"));
            for needed in *needed {
                errors.present(source, &at, needed);
            }
            details(field, source, name, &at, errors);
        }
    }
    for (field, _) in given {
        errors.forbidden(format!("{path}.{field}"), "may not specify more than 1 volume type");
    }
    if has(spec, "local") && !has(spec, "nodeAffinity") {
        errors.required(format!("{path}.nodeAffinity"), "Local volume requires node affinity");
    }
    let whole_host = text(spec, "hostPath.path").split('/').all(|part| matches!(part, "" | "."));
    if has(spec, "hostPath") && whole_host && text(spec, "persistentVolumeReclaimPolicy") == "Recycle" {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.forbidden(format!("{path}.persistentVolumeReclaimPolicy"), detail);
    }
}

fn details(field: &str, source: &Value, name: &str, path: &str, errors: &mut Errors) {
    match field {
        "hostPath" | "local" => pod_spec::no_backsteps(text(source, "path"), &format!("{path}.path"), errors),
        "nfs" if !text(source, "path").starts_with('/') => {
            errors.invalid(format!("{path}.path"), text(source, "path"), "must be an absolute path");
        }
        "csi" => csi(source, path, errors),
        "rbd" | "cephfs" if items(source, "monitors").is_empty() => {
            errors.required(format!("{path}.monitors"), "");
        }
        "iscsi" => iscsi(source, name, path, errors),
        "fc" => fibre_channel(source, path, errors),
        "cinder" if has(source, "secretRef") => {
            for field in ["name", "namespace"] {
                errors.present(get(source, "secretRef"), &format!("{path}.secretRef"), field);
            }
        }
        "azureFile" if get(source, "secretNamespace") == "" => {
            errors.required(format!("{path}.secretNamespace"), "");
        }
        "flexVolume" => {
            for (option, _) in members(source, "options") {
                let space = format!(".{}", option.split('/').next().unwrap_or_default().to_lowercase());
                if space.ends_with(".kubernetes.io") || space.ends_with(".k8s.io") {
                    let detail = "kubernetes.io and k8s.io namespaces are reserved";
                    errors.invalid(format!("{path}.options[{option}]"), option.as_str(), detail);
                }
            }
        }
        _ => {}
    }
}

fn csi(source: &Value, path: &str, errors: &mut Errors) {
    errors.driver_name(text(source, "driver"), &format!("{path}.driver"));
    errors.present(source, path, "volumeHandle");
    let references = [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ];
    for field in references.iter().filter(|field| has(source, field)) {
        let (reference, at) = (get(source, field), format!("{path}.{field}"));
        let (name, namespace) = (text(reference, "name"), text(reference, "namespace"));
        if errors.present(reference, &at, "name") {
            errors.reasons(&format!("{at}.name"), name, names::subdomain(name));
        }
        if errors.present(reference, &at, "namespace") {
            errors.reasons(&format!("{at}.namespace"), namespace, names::label(namespace));
        }
    }
}

fn iscsi(source: &Value, name: &str, path: &str, errors: &mut Errors) {
    let (portal, iqn) = (text(source, "targetPortal"), text(source, "iqn"));
    if has(source, "initiatorName") && name.len() + 1 + portal.len() > 64 {
        let detail = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";
        errors.invalid(format!("{path}.targetportal"), portal, detail);
    }
    let known = |text: &str| ["iqn", "eui", "naa"].iter().any(|scheme| text.starts_with(scheme));
    if !iqn.is_empty() && !known(iqn) {
        errors.invalid(format!("{path}.iqn"), iqn, "must be valid format");
    }
    errors.in_range(source, path, "lun", 0, 255);
    let authenticates = flag(source, "chapAuthDiscovery") || flag(source, "chapAuthSession");
    if authenticates && !has(source, "secretRef") {
        errors.required(format!("{path}.secretRef"), "");
    }
    if has(source, "secretRef") {
        errors.present(get(source, "secretRef"), &format!("{path}.secretRef"), "name");
    }
    let initiator = text(source, "initiatorName");
    if has(source, "initiatorName") && !known(initiator) {
        errors.invalid(format!("{path}.initiatorname"), initiator, "must be valid format");
    }
}

fn fibre_channel(source: &Value, path: &str, errors: &mut Errors) {
    let at = format!("{path}.targetWWNs");
    let (targets, ids) = (items(source, "targetWWNs"), items(source, "wwids"));
    match (targets.is_empty(), ids.is_empty()) {
        (true, true) => errors.required(at, "must specify either targetWWNs or wwids, but not both"),
        (false, false) => {
            let detail = "targetWWNs and wwids can not be specified simultaneously";
            errors.invalid(at, targets.to_vec(), detail);
        }
        _ => {}
    }
    if !targets.is_empty() {
        match int(source, "lun") {
            None => errors.required(format!("{path}.lun"), "lun is required if targetWWNs is specified"),
            Some(_) => errors.in_range(source, path, "lun", 0, 255),
        }
    }
}

fn attributes_class(spec: &Value, path: &str, errors: &mut Errors) {
    let path_of = |field: &str| format!("{path}.{field}");
    let Some(class) = get(spec, "volumeAttributesClassName").as_str() else { return };
    match class {
        "" => errors.required(path_of("volumeAttributesClassName"), "an empty string is disallowed"),
        class => {
            errors.reasons(&path_of("volumeAttributesClassName"), class, names::subdomain(class));
        }
    }
    if !has(spec, "csi") {
        errors.required(path_of("csi"), "has to be specified when using volumeAttributesClassName");
    }
}
