//! CSIDriver, CSINode and CSIStorageCapacity.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col};
use super::warn;
use crate::meta::IMMUTABLE;
use crate::table::{age_cell, default_row, name_cell};
use crate::value::{flag, get, has, int, items, remove, same, set, set_default, text, texts};

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

const TOKENS_IN_SECRETS: &str = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes";

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
        let policy = text(object, "spec.fsGroupPolicy");
        let policies = ["File", "None", "ReadWriteOnceWithFSType"];
        errors.one_of_or_empty("spec.fsGroupPolicy", policy, &policies);
        let tokens = items(object, "spec.tokenRequests");
        token_requests(tokens, &mut errors);
        for mode in texts(object, "spec.volumeLifecycleModes") {
            errors.one_of("spec.volumeLifecycleModes", mode, &["Persistent", "Ephemeral"]);
        }
        const PERIOD: &str = "spec.nodeAllocatableUpdatePeriodSeconds";
        if let Some(seconds) = int(object, PERIOD).filter(|s| *s < 10) {
            errors.invalid(PERIOD, seconds, "must be greater than or equal to 10 seconds");
        }
        const IN_SECRETS: &str = "spec.serviceAccountTokenInSecrets";
        if has(object, IN_SECRETS) && tokens.is_empty() {
            let detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
            errors.invalid(IN_SECRETS, get(object, IN_SECRETS).clone(), detail);
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        if !same(get(new, "spec.attachRequired"), get(old, "spec.attachRequired")) {
            // The field's name in the message is Kubernetes'.
            errors.invalid("spec.attachedRequired", get(new, "spec.attachRequired").clone(), IMMUTABLE);
        }
        errors.immutable(new, old, "spec.volumeLifecycleModes");
        errors.0
    }

    fn warnings(&self, _r: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
        const TOKENS: &str = "spec.tokenRequests";
        let tokens = get(object, TOKENS);
        let changed = old.is_none_or(|old| !same(get(old, TOKENS), tokens));
        let unsaid = !has(object, "spec.serviceAccountTokenInSecrets");
        match changed && unsaid && !items(object, TOKENS).is_empty() {
            true => vec![TOKENS_IN_SECRETS.into()],
            false => Vec::new(),
        }
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

/// Each audience once, and tokens that live from ten minutes to 2^32 seconds.
fn token_requests(requests: &[Value], errors: &mut Errors) {
    let mut seen: Vec<&str> = Vec::new();
    for (i, request) in requests.iter().enumerate() {
        let path = format!("spec.tokenRequests[{i}]");
        let audience = text(request, "audience");
        if seen.contains(&audience) {
            errors.duplicate(format!("{path}.audience"), audience);
            continue;
        }
        seen.push(audience);
        let Some(seconds) = int(request, "expirationSeconds") else { continue };
        let detail = match seconds {
            ..600 => "may not specify a duration less than 10 minutes",
            4_294_967_297.. => "may not specify a duration larger than 2^32 seconds",
            _ => continue,
        };
        errors.invalid(format!("{path}.expirationSeconds"), seconds, detail);
    }
}

struct Node;

const LONGEST_NODE_ID: usize = 256;

impl Strategy for Node {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let mut seen: Vec<&str> = Vec::new();
        for (i, driver) in items(object, "spec.drivers").iter().enumerate() {
            let path = format!("spec.drivers[{i}]");
            let name = text(driver, "name");
            errors.driver_name(name, &format!("{path}.name"));
            errors.present(driver, &path, "nodeID");
            let id = text(driver, "nodeID");
            if id.len() > LONGEST_NODE_ID {
                let detail = format!("must be {LONGEST_NODE_ID} characters or less");
                errors.invalid(format!("{path}.nodeID"), id, detail);
            }
            errors.non_negative(get(driver, "allocatable"), &format!("{path}.allocatable"), "count");
            if seen.contains(&name) {
                errors.duplicate(format!("{path}.name"), name);
            }
            seen.push(name);
            topology_keys(driver, &path, &mut errors);
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        // What can be attached may change.
        let fixed = |driver: &Value| {
            let mut driver = driver.clone();
            remove(&mut driver, "allocatable");
            driver
        };
        for was in items(old, "spec.drivers") {
            for is in items(new, "spec.drivers").iter().filter(|d| d["name"] == was["name"]) {
                if !same(&fixed(is), &fixed(was)) {
                    errors.invalid("spec.drivers", fixed(is), IMMUTABLE);
                }
            }
        }
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![name_cell(object), items(object, "spec.drivers").len().into(), age_cell(object, now)]
    }
}

fn topology_keys(driver: &Value, path: &str, errors: &mut Errors) {
    let mut seen: Vec<&str> = Vec::new();
    for key in texts(driver, "topologyKeys") {
        if key.is_empty() {
            errors.required(path, "");
        }
        if seen.contains(&key) {
            errors.duplicate(path, key);
        }
        seen.push(key);
        errors.reasons(path, key, crate::names::qualified(key));
    }
}

struct Capacity;

impl Strategy for Capacity {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.label_selector(get(object, "nodeTopology"), "nodeTopology");
        let class = text(object, "storageClassName");
        errors.reasons("storageClassName", class, crate::names::subdomain(class));
        if has(object, "capacity") {
            errors.quantity(get(object, "capacity"), "capacity");
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "nodeTopology");
        errors.immutable(new, old, "storageClassName");
        errors.0
    }

    fn warnings(&self, _r: &Resource, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut found = Vec::new();
        let expressions = items(object, "nodeTopology.matchExpressions");
        warn::requirements(expressions, "nodeTopology.matchExpressions", false, &mut found);
        let labels = get(object, "nodeTopology.matchLabels");
        warn::node_labels(labels, |key| format!("nodeTopology.matchLabels.{key}"), &mut found);
        found
    }

    fn row(&self, r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        default_row(r, object, now)
    }
}
