//! Amounts of resources, and what a whole pod asks for, as the scheduler counts it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::quantity::{Format, Quantity};
use crate::value::{get, items, text};

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Quantity>;

/// The amounts of a map of quantities; what does not parse is left out.
pub fn amounts(map: &Value) -> Amounts {
    let parsed = |(name, value): (&String, &Value)| Some((name.clone(), quantity(value)?));
    map.as_object().into_iter().flatten().filter_map(parsed).collect()
}

/// Amounts as they are written into an object.
pub fn written(amounts: &Amounts) -> Value {
    amounts.iter().map(|(name, amount)| (name.clone(), Value::from(amount.to_string()))).collect()
}

pub(crate) fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text).ok(),
        Value::Number(number) => Quantity::parse(&number.to_string()).ok(),
        _ => None,
    }
}

pub(crate) fn whole(units: i64) -> Quantity {
    Quantity::from_units(units, Format::Decimal)
}

/// The `requests` or `limits` of a pod.
///
/// The sum of the containers, or the largest init container with the sidecars before it, whichever
/// is more; what the pod declares as a whole replaces it; its overhead comes on top.
pub fn of_pod(pod: &Value, kind: &str) -> Amounts {
    let of = |container: &Value| amounts(&container["resources"][kind]);
    let mut running = Amounts::new();
    for container in items(pod, "spec.containers") {
        add(&mut running, &of(container));
    }
    let (mut sidecars, mut starting) = (Amounts::new(), Amounts::new());
    for container in items(pod, "spec.initContainers") {
        if text(container, "restartPolicy") == "Always" {
            add(&mut sidecars, &of(container));
            at_least(&mut starting, &sidecars);
        } else {
            let mut with_sidecars = sidecars.clone();
            add(&mut with_sidecars, &of(container));
            at_least(&mut starting, &with_sidecars);
        }
    }
    add(&mut running, &sidecars);
    at_least(&mut running, &starting);
    for (name, amount) in amounts(&get(pod, "spec.resources")[kind]) {
        running.insert(name, amount);
    }
    for (name, more) in amounts(get(pod, "spec.overhead")) {
        // A limit that nobody set is not made by the overhead.
        if kind == "requests" || running.contains_key(&name) {
            add(&mut running, &Amounts::from([(name, more)]));
        }
    }
    running
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let so_far = sum.get(name).copied();
        sum.insert(name.clone(), so_far.map_or(*amount, |s| s.plus(amount)));
    }
}

fn at_least(sum: &mut Amounts, floor: &Amounts) {
    for (name, amount) in floor {
        let more = sum.get(name).is_none_or(|so_far: &Quantity| so_far < amount);
        if more {
            sum.insert(name.clone(), *amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_asks_for_its_containers_or_its_largest_start() {
        let cpu = |amount: &str| json!({"requests": {"cpu": amount}});
        let sidecar = json!({"restartPolicy": "Always", "resources": cpu("1")});
        let starts = |amount: &str| json!({"resources": cpu(amount)});
        let spec = |init: Value| {
            json!({"spec": {"containers": [starts("1"), starts("2")], "initContainers": init,
                "overhead": {"cpu": "500m"}}})
        };
        for (pod, expected) in [
            (spec(json!([])), "3500m"),
            (spec(json!([starts("5")])), "5500m"),
            (spec(json!([sidecar])), "4500m"),
            (spec(json!([sidecar, starts("5")])), "6500m"),
            (spec(json!([starts("5"), sidecar])), "5500m"),
        ] {
            assert_eq!(of_pod(&pod, "requests")["cpu"].to_string(), expected, "{pod}");
            assert!(of_pod(&pod, "limits").is_empty(), "an overhead alone is no limit");
        }
    }
}
