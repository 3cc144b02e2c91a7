//! The quality of service class of a pod.

use serde_json::Value;

use crate::quantity::Quantity;
use crate::value::{get, has, items, members};

/// `Guaranteed`, `Burstable` or `BestEffort`, from the requests and limits of cpu and memory.
pub fn qos_class(spec: &Value) -> &'static str {
    if has(spec, "resources.requests") || has(spec, "resources.limits") {
        return class_of(std::iter::once(get(spec, "resources")));
    }
    let containers = items(spec, "containers").iter().chain(items(spec, "initContainers"));
    class_of(containers.map(|c| get(c, "resources")))
}

fn class_of<'a>(all: impl Iterator<Item = &'a Value>) -> &'static str {
    let (mut any, mut guaranteed) = (false, true);
    for resources in all {
        for name in ["cpu", "memory"] {
            let limit = amount(resources, "limits", name);
            // A request that was not given is the limit.
            let request = amount(resources, "requests", name).or(limit);
            any |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && limit == request;
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// A positive amount.
fn amount(resources: &Value, list: &str, name: &str) -> Option<Quantity> {
    let (_, value) = members(resources, list).find(|(key, _)| *key == name)?;
    let quantity = Quantity::parse(value.as_str()?).ok()?;
    (!quantity.is_zero()).then_some(quantity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn classes() {
        let pod = |resources: Value| json!({"containers": [{"resources": resources}]});
        let both = json!({"cpu": "1", "memory": "1Gi"});
        let cases = [
            (json!({}), "BestEffort"),
            (json!({"requests": {"cpu": "1"}}), "Burstable"),
            (json!({"limits": both, "requests": both}), "Guaranteed"),
            (json!({"limits": both}), "Guaranteed"),
            (json!({"limits": both, "requests": {"cpu": "500m", "memory": "1Gi"}}), "Burstable"),
            (json!({"limits": {"cpu": "1"}}), "Burstable"),
        ];
        for (resources, class) in cases {
            assert_eq!(qos_class(&pod(resources.clone())), class, "{resources}");
        }
    }
}
