//! What a pod uses: its requests and limits, as the scheduler counts them.

use serde_json::Value;

use crate::amounts::{Amounts, of_pod, quantity, whole};
use crate::value::{get, has, items, members, text};

/// Resources that a quota may name with and without a prefix.
const NATIVE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Whether pods use the resource of this name.
pub(super) fn is_compute(name: &str) -> bool {
    NATIVE.contains(&name)
        || name.starts_with("hugepages-")
        || (name.starts_with("requests.") && name != "requests.storage")
        || name.starts_with("limits.")
}

/// `pods` and the compute resources; nothing for a pod that has ended.
pub(super) fn usage(pod: &Value) -> Amounts {
    if matches!(text(pod, "status.phase"), "Succeeded" | "Failed") {
        return Amounts::new();
    }
    let mut used = Amounts::from([("pods".to_owned(), whole(1))]);
    for (name, amount) in of_pod(pod, "requests") {
        if NATIVE.contains(&name.as_str()) || name.starts_with("hugepages-") {
            used.insert(name.clone(), amount);
        }
        used.insert(format!("requests.{name}"), amount);
    }
    for (name, amount) in of_pod(pod, "limits") {
        if NATIVE.contains(&name.as_str()) {
            used.insert(format!("limits.{name}"), amount);
        }
    }
    used
}

/// What a limited compute resource wants to know of each container and is not told:
/// `cpu for: a,b; memory for: b`.
pub(super) fn unspecified(limited: &[&str], pod: &Value) -> Option<String> {
    // What the pod declares as a whole stands for its containers.
    if has(pod, "spec.resources.requests") || has(pod, "spec.resources.limits") {
        return None;
    }
    let mut missing: Vec<String> = Vec::new();
    for name in limited {
        let (kind, resource) = match (name.strip_prefix("limits."), name.strip_prefix("requests.")) {
            (Some(resource), _) => ("limits", resource),
            (_, Some(resource)) => ("requests", resource),
            _ => ("requests", *name),
        };
        // Of other resources nothing said means none.
        if !matches!(resource, "cpu" | "memory") {
            continue;
        }
        let silent: Vec<&str> = items(pod, "spec.containers")
            .iter()
            .chain(items(pod, "spec.initContainers"))
            .filter(|container| container["resources"][kind][resource].is_null())
            .map(|container| text(container, "name"))
            .collect();
        if !silent.is_empty() {
            missing.push(format!("{name} for: {}", silent.join(",")));
        }
    }
    (!missing.is_empty()).then(|| missing.join("; "))
}

/// Whether no container asks for, or is limited in, any processor time or memory.
pub(super) fn is_best_effort(pod: &Value) -> bool {
    let asks = |resources: &Value| {
        ["requests", "limits"].iter().any(|kind| {
            members(resources, kind).any(|(name, value)| {
                matches!(name.as_str(), "cpu" | "memory")
                    && quantity(value).is_some_and(|amount| !amount.is_zero())
            })
        })
    };
    let containers = items(pod, "spec.containers").iter().chain(items(pod, "spec.initContainers"));
    !asks(get(pod, "spec.resources")) && !containers.into_iter().any(|c| asks(&c["resources"]))
}
