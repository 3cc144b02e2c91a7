//! Cluster IPs and node ports of Services, taken and given back in the transaction that writes the
//! Service: no two replicas can give the same one away, and none is lost.
//!
//! A cluster IP is held by an `IPAddress` object of its name, as in Kubernetes; a node port by an
//! internal key.

mod ip;
mod port;

use api::{Resource, Status};
use serde_json::{Value, json};
use store::View;

use crate::pipeline::{Companions, Write};

fn is_service(resource: &Resource) -> bool {
    resource.group.is_empty() && resource.kind == "Service"
}

/// Fills in what the service needs and does not name, holds what it names, gives back what it no
/// longer needs.
pub(crate) fn allocate(
    write: &Write<'_>,
    view: &View,
    service: &mut Value,
    old: Option<&Value>,
    companions: &mut Companions,
) -> Result<(), Status> {
    if !is_service(write.storage) || write.subresource.is_some() {
        return Ok(());
    }
    families(service);
    ip::allocate(write, view, service, old, companions)?;
    port::allocate(write, view, service, old, companions)
}

/// Gives back what a service holds that goes away.
pub(crate) fn release(resource: &Resource, view: &View, service: &Value, companions: &mut Companions) {
    if is_service(resource) {
        ip::release(view, service, companions);
        port::release(view, service, companions);
    }
}

/// One address family: IPv4.
fn families(service: &mut Value) {
    let spec = &mut service["spec"];
    if spec["type"] == "ExternalName" {
        return;
    }
    if spec["ipFamilyPolicy"].is_null() {
        spec["ipFamilyPolicy"] = "SingleStack".into();
    }
    if spec["ipFamilies"].as_array().is_none_or(Vec::is_empty) {
        spec["ipFamilies"] = json!(["IPv4"]);
    }
}

fn invalid(write: &Write<'_>, service: &Value, path: &str, value: Value, why: String) -> Status {
    let name = service["metadata"]["name"].as_str().unwrap_or_default();
    let error = api::FieldError::invalid(path, value, why);
    Status::invalid(&write.resource.group, &write.resource.kind, name, vec![error])
}
