//! What a pod spec is warned about: accepted, but hardly meant.

use serde_json::Value;

use crate::quantity::Quantity;
use crate::value::{get, has, int, items, members, text};

/// Texts of warning headers about the pod spec at `path`.
pub fn warnings(spec: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    for list in ["initContainers", "containers"] {
        for (i, container) in items(spec, list).iter().enumerate() {
            let at = format!("{path}.{list}[{i}]");
            environment(container, &at, &mut found);
            ports(container, &at, &mut found);
            memory(container, &at, &mut found);
        }
    }
    for (i, volume) in items(spec, "volumes").iter().enumerate() {
        if has(volume, "gitRepo") {
            found.push(format!(
                "{path}.volumes[{i}].gitRepo: deprecated in v1.11, and disabled by default in v1.33+"
            ));
        }
    }
    if int(spec, "terminationGracePeriodSeconds").is_some_and(|s| s < 0) {
        found.push(format!(
            "{path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
        ));
    }
    found
}

fn environment(container: &Value, path: &str, found: &mut Vec<String>) {
    let variables = items(container, "env");
    for (i, variable) in variables.iter().enumerate() {
        let name = text(variable, "name");
        let before = variables[..i].iter().rfind(|v| text(v, "name") == name);
        // A later value may well be made of the earlier one.
        let refers = text(variable, "value").contains(&format!("$({name})"));
        if before.is_some() && !refers {
            found.push(format!(
                "{path}.env[{i}]: hides previous definition of {name:?}, which may be dropped when using apply"
            ));
        }
    }
}

fn ports(container: &Value, path: &str, found: &mut Vec<String>) {
    let ports = items(container, "ports");
    let key = |p: &Value| {
        let field = |name| get(p, name).clone();
        (field("containerPort"), field("protocol"), field("hostIP"), field("hostPort"))
    };
    for (i, port) in ports.iter().enumerate() {
        if let Some(j) = ports[..i].iter().position(|p| key(p) == key(port)) {
            found.push(format!("{path}.ports[{i}]: duplicate port definition with {path}.ports[{j}]"));
        }
    }
}

fn memory(container: &Value, path: &str, found: &mut Vec<String>) {
    for list in ["limits", "requests"] {
        for (name, value) in members(container, &format!("resources.{list}")) {
            let bytes = matches!(name.as_str(), "memory" | "ephemeral-storage");
            let value = value.as_str().unwrap_or_default();
            if bytes && Quantity::parse(value).is_ok_and(|q| !q.is_whole()) {
                found.push(format!(
                    "{path}.resources.{list}[{name}]: fractional byte value {value:?} is invalid, must be an integer"
                ));
            }
        }
    }
}
