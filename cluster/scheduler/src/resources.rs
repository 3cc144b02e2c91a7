//! Amounts of resources: what nodes have, what pods ask for.

use k8s_openapi::{
    api::core::v1::{Container, Pod, PodSpec, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};
use std::collections::BTreeMap;

pub(crate) const CPU: &str = "cpu";
pub(crate) const MEMORY: &str = "memory";
pub(crate) const PODS: &str = "pods";
/// What a container that asks for nothing is assumed to use when nodes are compared.
const ASSUMED_CPU: i64 = 100;
const ASSUMED_MEMORY: i64 = 200 * 1024 * 1024;

/// Amounts by resource name: CPU in thousandths, everything else in units.
pub(crate) type Amounts = BTreeMap<String, i64>;

/// The amounts of a list of quantities.
pub(crate) fn amounts(list: Option<&BTreeMap<String, Quantity>>) -> Amounts {
    list.into_iter().flatten().map(|(name, quantity)| (name.clone(), amount(name, quantity))).collect()
}

fn amount(name: &str, quantity: &Quantity) -> i64 {
    // What the API stored is valid.
    let Ok(quantity) = api::quantity::Quantity::parse(&quantity.0) else { return 0 };
    if name == CPU { quantity.milli_value() } else { quantity.value() }
}

pub(crate) fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = total.entry(name.clone()).or_insert(0);
        *sum = sum.saturating_add(*amount);
    }
}

pub(crate) fn subtract(total: &mut Amounts, less: &Amounts) {
    for (name, amount) in less {
        *total.entry(name.clone()).or_insert(0) -= amount;
    }
}

fn raise(total: &mut Amounts, least: &Amounts) {
    for (name, amount) in least {
        let now = total.entry(name.clone()).or_insert(0);
        *now = (*now).max(*amount);
    }
}

fn requests(resources: Option<&ResourceRequirements>) -> Amounts {
    amounts(resources.and_then(|r| r.requests.as_ref()))
}

/// What the pod asks for: the sum of its containers, or the most that its init containers need at
/// one time (those that go on running count for all that start after them), and its overhead.
pub(crate) fn requested(spec: &PodSpec) -> Amounts {
    total(spec, |container| requests(container.resources.as_ref()))
}

/// The same with assumptions about containers that do not say, for comparing nodes.
pub(crate) fn expected(spec: &PodSpec) -> (i64, i64) {
    let sum = total(spec, |container| {
        let mut amounts = requests(container.resources.as_ref());
        amounts.entry(CPU.into()).or_insert(ASSUMED_CPU);
        amounts.entry(MEMORY.into()).or_insert(ASSUMED_MEMORY);
        amounts
    });
    (sum.get(CPU).copied().unwrap_or(0), sum.get(MEMORY).copied().unwrap_or(0))
}

fn total(spec: &PodSpec, of: impl Fn(&Container) -> Amounts) -> Amounts {
    let mut sum = Amounts::new();
    for container in &spec.containers {
        add(&mut sum, &of(container));
    }
    let mut staying = Amounts::new();
    let mut peak = Amounts::new();
    for container in spec.init_containers.iter().flatten() {
        let mut moment = staying.clone();
        add(&mut moment, &of(container));
        if container.restart_policy.as_deref() == Some("Always") {
            staying = moment.clone();
        }
        raise(&mut peak, &moment);
    }
    add(&mut sum, &staying);
    raise(&mut sum, &peak);
    // What is said for the pod as a whole replaces the sum of its containers.
    sum.extend(requests(spec.resources.as_ref()));
    add(&mut sum, &amounts(spec.overhead.as_ref()));
    sum
}

/// The host ports that a pod binds, as (address, protocol, port).
pub(crate) fn host_ports(pod: &Pod) -> Vec<(String, String, i32)> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let containers = spec.containers.iter().chain(
        spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always")),
    );
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let number = port.host_port.filter(|n| *n > 0)?;
            let address =
                port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".into());
            Some((address, port.protocol.clone().unwrap_or_else(|| "TCP".into()), number))
        })
        .collect()
}

/// Whether two host ports can not be bound at the same time.
pub(crate) fn collide(a: &(String, String, i32), b: &(String, String, i32)) -> bool {
    let any = |address: &str| matches!(address, "0.0.0.0" | "::");
    a.1 == b.1 && a.2 == b.2 && (a.0 == b.0 || any(&a.0) || any(&b.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cpu_is_counted_in_thousandths() {
        for (name, text, expected) in [
            ("cpu", "100m", 100),
            ("cpu", "0.1", 100),
            ("cpu", "2", 2000),
            ("memory", "128Mi", 134217728),
            ("memory", "1500m", 2),
            ("example.com/gpu", "3", 3),
        ] {
            assert_eq!(amount(name, &Quantity(text.to_owned())), expected, "{name} {text}");
        }
    }

    #[test]
    fn what_a_pod_asks_for() {
        let cpu = |amount: &str| json!({ "requests": { "cpu": amount } });
        let spec: PodSpec = serde_json::from_value(json!({
            "containers": [{ "name": "a", "resources": cpu("100m") }, { "name": "b", "resources": cpu("200m") }],
            "initContainers": [
                { "name": "i", "resources": cpu("250m") },
                { "name": "side", "restartPolicy": "Always", "resources": cpu("50m") },
                { "name": "j", "resources": cpu("500m") },
            ],
            "overhead": { "cpu": "10m" },
        }))
        .unwrap();
        // The sidecar and the last init container run at the same time, before the two containers.
        assert_eq!(requested(&spec)[CPU], 560);
    }
}
