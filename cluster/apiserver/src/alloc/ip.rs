//! Cluster IPs.

use std::net::Ipv4Addr;

use api::Status;
use api::pipeline::{default, prepare_create};
use rand::RngExt;
use serde_json::{Value, json};
use store::{Guard, Op, View};

use super::invalid;
use crate::pipeline::{Companions, Write, put};

const HELD: &str = "/networking.k8s.io/ipaddresses/";

/// The cluster IP of a service; none for headless and external-name ones.
fn address_of(service: &Value) -> Option<&str> {
    let text = service["spec"]["clusterIP"].as_str()?;
    (service["spec"]["type"] != "ExternalName" && !text.is_empty() && text != "None").then_some(text)
}

pub(super) fn allocate(
    write: &Write<'_>,
    view: &View,
    service: &mut Value,
    old: Option<&Value>,
    companions: &mut Companions,
) -> Result<(), Status> {
    let before = old.and_then(address_of).map(str::to_owned);
    let external = service["spec"]["type"] == "ExternalName";
    if external {
        // What the service had as another type goes with the type.
        if let (Some(spec), Some(_)) = (service["spec"].as_object_mut(), &before) {
            const ADDRESSES: [&str; 4] = ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"];
            spec.retain(|field, _| !ADDRESSES.contains(&field.as_str()));
        }
    }
    let spec = &mut service["spec"];
    if spec["clusterIP"].as_str().unwrap_or_default().is_empty() {
        // The list is the newer name of the same thing.
        if let Some(first) = spec["clusterIPs"][0].as_str().filter(|f| !f.is_empty()) {
            spec["clusterIP"] = first.into();
        }
    }
    let wanted = spec["clusterIP"].as_str().unwrap_or_default().to_owned();
    let now = match wanted.as_str() {
        _ if external => None,
        "None" => {
            spec["clusterIPs"] = json!(["None"]);
            None
        }
        "" => Some(match &before {
            Some(kept) => kept.clone(),
            None => free(write, view, service)?,
        }),
        named => Some(named.to_owned()),
    };
    if let Some(address) = &now {
        service["spec"]["clusterIP"] = address.as_str().into();
        service["spec"]["clusterIPs"] = json!([address]);
    }
    if now == before {
        return Ok(());
    }
    if let Some(address) = &now {
        hold(write, view, service, address, companions)?;
    }
    if let (Some(address), None) = (before, now) {
        give_back(view, &address, companions);
    }
    Ok(())
}

/// A free address: looked for from a random place of the upper part of the range, so that
/// addresses people choose by hand (the lower part) stay free longest.
fn free(write: &Write<'_>, view: &View, service: &Value) -> Result<String, Status> {
    let range = write.server.cfg.service_cidr;
    let first = u32::from(range.network());
    let size = 1u32.checked_shl(32 - u32::from(range.prefix_len())).unwrap_or(u32::MAX);
    let by_hand = (size / 16).clamp(16.min(size / 2), 256);
    let usable = by_hand..size.saturating_sub(1);
    let start = rand::rng().random_range(usable.clone());
    let upper = (start..usable.end).chain(usable.start..start);
    let address = |offset: u32| Ipv4Addr::from(first + offset).to_string();
    let is_free = |a: &String| view.get(&format!("{HELD}{a}")).is_none();
    upper.chain(1..usable.start).map(address).find(is_free).ok_or_else(|| {
        let why = "failed to allocate a serviceIP: range is full".to_owned();
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        Status::internal(format!("{why} (service {name})"))
    })
}

fn hold(
    write: &Write<'_>,
    view: &View,
    service: &Value,
    address: &str,
    companions: &mut Companions,
) -> Result<(), Status> {
    let refuse = |why: String| invalid(write, service, "spec.clusterIPs", json!([address]), why);
    let range = write.server.cfg.service_cidr;
    match address.parse::<Ipv4Addr>() {
        Ok(ip) if range.contains(&ip) && ip != range.network() && ip != range.broadcast() => {}
        _ => {
            return Err(refuse(format!(
                "failed to allocate IP {address}: the provided network does not match the current range"
            )));
        }
    }
    let key = format!("{HELD}{address}");
    if view.get(&key).is_some() {
        return Err(refuse(format!("failed to allocate IP {address}: provided IP is already allocated")));
    }
    companions.guards.push(Guard::Absent { key: key.clone() });
    let serving = write.server.serving.get();
    let kind =
        serving.registry.get("networking.k8s.io", "v1", "ipaddresses").ok_or_else(Status::no_such_path)?;
    let mut object = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {"name": address, "labels": {
            "ipaddress.kubernetes.io/ip-family": "IPv4",
            "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
        }},
        "spec": {"parentRef": {
            "group": "", "resource": "services",
            "namespace": write.namespace, "name": service["metadata"]["name"],
        }},
    });
    let held = Write { resource: kind, storage: kind, namespace: "", ..*write };
    default(kind, &mut object);
    prepare_create(kind, &mut object, &held.ctx())?;
    companions.ops.push(Op::Put(put(&held, key, &object)?));
    Ok(())
}

pub(super) fn release(view: &View, service: &Value, companions: &mut Companions) {
    if let Some(address) = address_of(service) {
        give_back(view, address, companions);
    }
}

fn give_back(view: &View, address: &str, companions: &mut Companions) {
    let key = format!("{HELD}{address}");
    if let Some(held) = view.get(&key) {
        companions.guards.push(Guard::AtRevision { key: key.clone(), revision: held.revision });
        companions.ops.push(Op::Delete { key });
    }
}
