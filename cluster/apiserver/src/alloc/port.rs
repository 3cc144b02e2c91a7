//! Node ports, and the health-check port of load balancers.

use std::collections::BTreeSet;

use api::Status;
use bytes::Bytes;
use rand::RngExt;
use serde_json::{Value, json};
use store::{Guard, Op, Put, View};

use super::invalid;
use crate::pipeline::{Companions, Write};

/// Internal keys, one per held port.
const HELD: &str = "/trireme/nodeports/";

fn number(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| *n != 0)
}

/// Not by index: that would put a null where nothing is.
fn ports_mut(spec: &mut Value) -> impl Iterator<Item = &mut Value> {
    spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten()
}

fn needs_ports(spec: &Value) -> bool {
    match spec["type"].as_str() {
        Some("NodePort") => true,
        Some("LoadBalancer") => spec["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    }
}

fn needs_health_port(spec: &Value) -> bool {
    spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
}

/// Every port a service holds.
fn held_by(service: &Value) -> BTreeSet<u16> {
    let spec = &service["spec"];
    if !matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer")) {
        return BTreeSet::new();
    }
    let ports = spec["ports"].as_array().into_iter().flatten();
    ports.filter_map(|p| number(&p["nodePort"])).chain(number(&spec["healthCheckNodePort"])).collect()
}

pub(super) fn allocate(
    write: &Write<'_>,
    view: &View,
    service: &mut Value,
    old: Option<&Value>,
    companions: &mut Companions,
) -> Result<(), Status> {
    let before = old.map(held_by).unwrap_or_default();
    drop_what_the_type_has_not(service, &before);
    keep_from_old(service, old);
    let mut now = held_by(service);
    for port in &now {
        check_named(write, view, service, *port, &before)?;
    }
    fill_in(write, view, service, &mut now)?;
    for port in now.difference(&before) {
        let key = format!("{HELD}{port}");
        let holder = json!({"service": format!("{}/{}", write.namespace, service["metadata"]["name"])});
        companions.guards.push(Guard::Absent { key: key.clone() });
        let value = Bytes::from(holder.to_string());
        companions.ops.push(Op::Put(Put { key, value, ..Put::default() }));
    }
    for port in before.difference(&now) {
        give_back(view, *port, companions);
    }
    Ok(())
}

/// A service that is no longer of a type with node ports loses those it was given.
fn drop_what_the_type_has_not(service: &mut Value, before: &BTreeSet<u16>) {
    let spec = &mut service["spec"];
    if !matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer")) {
        for port in ports_mut(spec) {
            if number(&port["nodePort"]).is_some_and(|n| before.contains(&n)) {
                port.as_object_mut().map(|p| p.remove("nodePort"));
            }
        }
    }
    if !needs_health_port(spec)
        && let Some(spec) = spec.as_object_mut()
        && spec.get("healthCheckNodePort").and_then(number).is_some_and(|n| before.contains(&n))
    {
        spec.remove("healthCheckNodePort");
    }
}

/// A port without a number keeps the one it had.
fn keep_from_old(service: &mut Value, old: Option<&Value>) {
    let Some(old) = old else { return };
    let spec = &mut service["spec"];
    if needs_ports(spec) {
        let known: Vec<Value> = old["spec"]["ports"].as_array().cloned().unwrap_or_default();
        for port in ports_mut(spec) {
            let same = |o: &&Value| o["port"] == port["port"] && o["protocol"] == port["protocol"];
            if number(&port["nodePort"]).is_none()
                && let Some(kept) = known.iter().find(same).and_then(|o| number(&o["nodePort"]))
            {
                port["nodePort"] = kept.into();
            }
        }
    }
    if needs_health_port(spec)
        && number(&spec["healthCheckNodePort"]).is_none()
        && let Some(kept) = number(&old["spec"]["healthCheckNodePort"])
    {
        spec["healthCheckNodePort"] = kept.into();
    }
}

fn check_named(
    write: &Write<'_>,
    view: &View,
    service: &Value,
    port: u16,
    before: &BTreeSet<u16>,
) -> Result<(), Status> {
    let range = &write.server.cfg.node_ports;
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let index = ports.clone().position(|p| number(&p["nodePort"]) == Some(port));
    let path = match index {
        Some(index) => format!("spec.ports[{index}].nodePort"),
        None => "spec.healthCheckNodePort".to_owned(),
    };
    if before.contains(&port) {
        return Ok(());
    }
    if !range.contains(&port) {
        let why = format!(
            "provided port is not in the valid range. The range of valid ports is {}-{}",
            range.start(),
            range.end()
        );
        return Err(invalid(write, service, &path, port.into(), why));
    }
    if view.get(&format!("{HELD}{port}")).is_some() {
        return Err(invalid(write, service, &path, port.into(), "provided port is already allocated".into()));
    }
    Ok(())
}

fn fill_in(
    write: &Write<'_>,
    view: &View,
    service: &mut Value,
    held: &mut BTreeSet<u16>,
) -> Result<(), Status> {
    let spec = &mut service["spec"];
    if needs_ports(spec) {
        // One number can serve the same port over TCP and over UDP.
        let mut given: Vec<(Value, Value, u16)> = Vec::new();
        for port in ports_mut(spec) {
            let taken = match number(&port["nodePort"]) {
                Some(named) => named,
                None => {
                    let shared = given
                        .iter()
                        .find(|(p, protocol, _)| *p == port["port"] && *protocol != port["protocol"]);
                    match shared {
                        Some((.., number)) => *number,
                        None => free(write, view, held)?,
                    }
                }
            };
            held.insert(taken);
            port["nodePort"] = taken.into();
            given.push((port["port"].clone(), port["protocol"].clone(), taken));
        }
    }
    if needs_health_port(spec) && number(&spec["healthCheckNodePort"]).is_none() {
        let taken = free(write, view, held)?;
        held.insert(taken);
        spec["healthCheckNodePort"] = taken.into();
    }
    Ok(())
}

/// A free port, from a random place of the range on.
fn free(write: &Write<'_>, view: &View, held: &BTreeSet<u16>) -> Result<u16, Status> {
    let range = write.server.cfg.node_ports.clone();
    let start = rand::rng().random_range(range.clone());
    let is_free = |p: &u16| !held.contains(p) && view.get(&format!("{HELD}{p}")).is_none();
    (start..=*range.end())
        .chain(*range.start()..start)
        .find(is_free)
        .ok_or_else(|| Status::internal("failed to allocate a nodePort: range is full"))
}

pub(super) fn release(view: &View, service: &Value, companions: &mut Companions) {
    for port in held_by(service) {
        give_back(view, port, companions);
    }
}

fn give_back(view: &View, port: u16, companions: &mut Companions) {
    let key = format!("{HELD}{port}");
    if let Some(held) = view.get(&key) {
        companions.guards.push(Guard::AtRevision { key: key.clone(), revision: held.revision });
        companions.ops.push(Op::Delete { key });
    }
}
