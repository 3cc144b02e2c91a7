//! CSIDriver, CSINode and CSIStorageCapacity.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col};
use crate::table::{age_cell, default_row, name_cell};
use crate::value::{flag, get, has, items, set, set_default, text, texts};

pub const CSI_DRIVER: Builtin =
    Builtin::new("storage.k8s.io", "v1", "CSIDriver", "csidrivers", "hL6j/rwBV5w=")
        .columns(CSI_DRIVER_COLUMNS)
        .conditional_update()
        .generation()
        .strategy(&Driver);

pub const CSI_NODE: Builtin = Builtin::new("storage.k8s.io", "v1", "CSINode", "csinodes", "Pe62DkZtjuo=")
    .columns(CSI_NODE_COLUMNS)
    .conditional_update()
    .strategy(&Node);

pub const CSI_STORAGE_CAPACITY: Builtin =
    Builtin::new("storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities", "xeVl+2Ly1kE=")
        .namespaced()
        .conditional_update()
        .strategy(&Capacity);

const CSI_DRIVER_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("AttachRequired", "boolean", "", 0),
    ("PodInfoOnMount", "boolean", "", 0),
    ("StorageCapacity", "boolean", "", 0),
    ("TokenRequests", "string", "", 0),
    ("RequiresRepublish", "boolean", "", 0),
    ("Modes", "string", "", 0),
    ("Age", "string", "", 0),
];

const CSI_NODE_COLUMNS: &[Col] =
    &[("Name", "string", "name", 0), ("Drivers", "integer", "", 0), ("Age", "string", "", 0)];

struct Driver;

impl Strategy for Driver {
    fn default(&self, _r: &Resource, object: &mut Value) {
        set_default(object, "spec.attachRequired", true);
        for field in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
            set_default(object, &format!("spec.{field}"), false);
        }
        set_default(object, "spec.fsGroupPolicy", "ReadWriteOnceWithFSType");
        if items(object, "spec.volumeLifecycleModes").is_empty() {
            set(object, "spec.volumeLifecycleModes", json!(["Persistent"]));
        }
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        for mode in texts(object, "spec.volumeLifecycleModes") {
            errors.one_of("spec.volumeLifecycleModes", mode, &["Ephemeral", "Persistent"]);
        }
        let policy = text(object, "spec.fsGroupPolicy");
        let policies = ["ReadWriteOnceWithFSType", "File", "None"];
        errors.one_of_or_empty("spec.fsGroupPolicy", policy, &policies);
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "spec.attachRequired");
        errors.immutable(new, old, "spec.volumeLifecycleModes");
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let join = |list: Vec<&str>, none: &str| match list.is_empty() {
            true => none.to_owned(),
            false => list.join(","),
        };
        let tokens = items(object, "spec.tokenRequests").iter().map(|t| text(t, "audience")).collect();
        let modes = texts(object, "spec.volumeLifecycleModes").collect();
        let attach = get(object, "spec.attachRequired") != &Value::Bool(false);
        vec![
            name_cell(object),
            attach.into(),
            flag(object, "spec.podInfoOnMount").into(),
            flag(object, "spec.storageCapacity").into(),
            join(tokens, "<unset>").into(),
            flag(object, "spec.requiresRepublish").into(),
            join(modes, "<none>").into(),
            age_cell(object, now),
        ]
    }
}

struct Node;

impl Strategy for Node {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let mut seen: Vec<&str> = Vec::new();
        for (i, driver) in items(object, "spec.drivers").iter().enumerate() {
            let path = format!("spec.drivers[{i}]");
            let name = text(driver, "name");
            errors.present(driver, &path, "name");
            errors.present(driver, &path, "nodeID");
            if seen.contains(&name) {
                errors.duplicate(format!("{path}.name"), name);
            }
            seen.push(name);
        }
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![name_cell(object), items(object, "spec.drivers").len().into(), age_cell(object, now)]
    }
}

struct Capacity;

impl Strategy for Capacity {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let class = text(object, "storageClassName");
        errors.reasons("storageClassName", class, crate::names::subdomain(class));
        for field in ["capacity", "maximumVolumeSize"] {
            if has(object, field) {
                errors.quantity(get(object, field), field);
            }
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "nodeTopology");
        errors.immutable(new, old, "storageClassName");
        errors.0
    }

    fn row(&self, r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        default_row(r, object, now)
    }
}
