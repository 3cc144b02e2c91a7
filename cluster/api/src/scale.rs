//! The `scale` subresource.

use serde_json::{Map, Value, json};

use crate::field::FieldError;
use crate::meta;
use crate::resource::Resource;
use crate::selector;
use crate::status::Status;
use crate::value::{get, has, int, set, text};

/// Where a kind keeps its replicas.
struct Paths {
    spec: String,
    status: String,
    selector: String,
}

/// The paths of a custom resource's scale subresource, or those all built-in kinds share.
fn paths(resource: &Resource) -> Paths {
    let Some(custom) = &resource.custom else {
        return Paths {
            spec: "spec.replicas".into(),
            status: "status.replicas".into(),
            selector: "spec.selector".into(),
        };
    };
    let scale = get(&custom.version, "subresources.scale");
    let path = |field| text(scale, field).trim_start_matches('.').to_owned();
    Paths {
        spec: path("specReplicasPath"),
        status: path("statusReplicasPath"),
        selector: path("labelSelectorPath"),
    }
}

/// The `autoscaling/v1` Scale of an object.
pub fn read(resource: &Resource, object: &Value) -> Result<Value, Status> {
    let paths = paths(resource);
    let mut metadata = Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        let value = get(object, &format!("metadata.{field}"));
        if !value.is_null() {
            metadata.insert(field.into(), value.clone());
        }
    }
    let mut spec = Map::new();
    let absent = if resource.custom.is_some() { 0 } else { 1 };
    let replicas = int(object, &paths.spec).unwrap_or(absent);
    if resource.custom.is_some() && !has(object, &paths.spec) {
        return Err(Status::internal(format!(
            "the spec replicas field {:?} does not exist",
            format!(".{}", paths.spec)
        )));
    }
    if replicas != 0 {
        spec.insert("replicas".into(), replicas.into());
    }
    let mut status = Map::new();
    let current = int(object, &paths.status).unwrap_or_default();
    status.insert("replicas".into(), current.into());
    let selector = match get(object, if paths.selector.is_empty() { "-" } else { &paths.selector }) {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        map if resource.kind == "ReplicationController" => selector::format_map(map),
        value => selector::format_value(value),
    };
    if !selector.is_empty() && selector != "<none>" {
        status.insert("selector".into(), selector.into());
    }
    Ok(json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }))
}

/// The configuration of the parent that an applied Scale stands for.
pub fn applied_to_parent(resource: &Resource, parent: &Value, scale: &Value) -> Value {
    let mut patch = json!({
        "apiVersion": resource.api_version(),
        "kind": resource.kind,
        "metadata": {"name": meta::name(parent)},
    });
    if resource.namespaced {
        set(&mut patch, "metadata.namespace", meta::namespace(parent));
    }
    if let Some(replicas) = int(scale, "spec.replicas") {
        set(&mut patch, &paths(resource).spec, replicas);
    }
    patch
}

/// The object with the Scale's `spec.replicas` put in. The resourceVersion and uid of the Scale,
/// when given, must be those of the object.
pub fn write(resource: &Resource, object: &Value, scale: &Value) -> Result<Value, Status> {
    let name = meta::name(object);
    let given = meta::name(scale);
    if !given.is_empty() && given != name {
        return Err(Status::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    let version = text(scale, "metadata.resourceVersion");
    if !version.is_empty() && version != text(object, "metadata.resourceVersion") {
        return Err(Status::modified(&resource.group, &resource.plural, name));
    }
    let replicas = int(scale, "spec.replicas").unwrap_or_default();
    if replicas < 0 {
        let detail = "must be greater than or equal to 0";
        let error = FieldError::invalid("spec.replicas", replicas, detail);
        return Err(Status::invalid("autoscaling", "Scale", name, vec![error]));
    }
    let mut next = object.clone();
    set(&mut next, &paths(resource).spec, replicas);
    Ok(next)
}
