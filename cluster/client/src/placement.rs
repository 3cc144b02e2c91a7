//! Which nodes a pod's own rules allow: what the scheduler, the DaemonSet controller and the
//! eviction by taints must decide alike.

use k8s_openapi::api::core::v1::{
    Node, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration,
};

/// Whether one toleration tolerates one taint.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let says = |field: &Option<String>| field.clone().unwrap_or_default();
    let effect = says(&toleration.effect);
    let key = says(&toleration.key);
    if !(effect.is_empty() || effect == taint.effect) || !(key.is_empty() || key == taint.key) {
        return false;
    }
    match says(&toleration.operator).as_str() {
        "Exists" => true,
        // An empty key means all taints only together with Exists.
        "" | "Equal" => !key.is_empty() && says(&toleration.value) == says(&taint.value),
        operator @ ("Lt" | "Gt") => {
            let number = |text: String| text.parse::<i64>().ok();
            match (number(says(&taint.value)), number(says(&toleration.value))) {
                (Some(taint), Some(limit)) if operator == "Lt" => taint < limit,
                (Some(taint), Some(limit)) => taint > limit,
                _ => false,
            }
        }
        _ => false,
    }
}

/// The first taint of one of these effects that the pod does not tolerate.
pub fn untolerated<'a>(pod: &PodSpec, taints: &'a [Taint], effects: &[&str]) -> Option<&'a Taint> {
    let tolerations = pod.tolerations.as_deref().unwrap_or(&[]);
    taints
        .iter()
        .filter(|taint| effects.contains(&taint.effect.as_str()))
        .find(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

/// The taints of a node.
pub fn taints(node: &Node) -> &[Taint] {
    node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or(&[])
}

/// Whether the node fits the pod's `nodeSelector` and the required part of its node affinity.
pub fn selects_node(pod: &PodSpec, node: &Node) -> bool {
    let labels = node.metadata.labels.as_ref();
    let has = |(key, value): (&String, &String)| labels.and_then(|l| l.get(key)) == Some(value);
    if !pod.node_selector.iter().flatten().all(has) {
        return false;
    }
    let affinity = pod.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
    match affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()) {
        None => true,
        Some(required) => required.node_selector_terms.iter().any(|term| matches_term(term, node)),
    }
}

/// Whether the node fits all requirements of a term; an empty term fits nothing.
pub fn matches_term(term: &NodeSelectorTerm, node: &Node) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or(&[]);
    let fields = term.match_fields.as_deref().unwrap_or(&[]);
    let label = |key: &str| node.metadata.labels.as_ref()?.get(key).map(String::as_str);
    let field = |key: &str| node.metadata.name.as_deref().filter(|_| key == "metadata.name");
    (!expressions.is_empty() || !fields.is_empty())
        && expressions.iter().all(|requirement| matches(requirement, label(&requirement.key)))
        && fields.iter().all(|requirement| matches(requirement, field(&requirement.key)))
}

fn matches(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or(&[]);
    let listed = || value.is_some_and(|value| values.iter().any(|v| v == value));
    let compare = |fits: fn(i64, i64) -> bool| {
        let numbers = value.and_then(|v| v.parse().ok()).zip(values.first().and_then(|v| v.parse().ok()));
        numbers.is_some_and(|(value, limit)| fits(value, limit))
    };
    match requirement.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(|value, limit| value > limit),
        "Lt" => compare(|value, limit| value < limit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of<K: serde::de::DeserializeOwned>(value: Value) -> K {
        serde_json::from_value(value).expect("a valid object")
    }

    #[test]
    fn tolerations() {
        for (toleration, taint, expected) in [
            (json!({ "operator": "Exists" }), json!({ "key": "k", "effect": "NoSchedule" }), true),
            (
                json!({ "key": "k", "operator": "Exists" }),
                json!({ "key": "k", "value": "v", "effect": "NoExecute" }),
                true,
            ),
            (
                json!({ "key": "k", "value": "v" }),
                json!({ "key": "k", "value": "v", "effect": "NoSchedule" }),
                true,
            ),
            (json!({ "key": "k" }), json!({ "key": "k", "value": "v", "effect": "NoSchedule" }), false),
            (
                json!({ "key": "k", "operator": "Exists", "effect": "NoSchedule" }),
                json!({ "key": "k", "effect": "NoExecute" }),
                false,
            ),
            (json!({}), json!({ "key": "k", "effect": "NoSchedule" }), false),
            (
                json!({ "key": "k", "operator": "Gt", "value": "3" }),
                json!({ "key": "k", "value": "5", "effect": "NoSchedule" }),
                true,
            ),
        ] {
            let text = format!("{toleration} {taint}");
            assert_eq!(tolerates(&of(toleration), &of(taint)), expected, "{text}");
        }
    }

    #[test]
    fn node_affinity() {
        let node: Node = of(json!({ "metadata": { "name": "n1", "labels": { "zone": "a", "cores": "8" } } }));
        for (rules, expected) in [
            (json!({}), true),
            (json!({ "nodeSelector": { "zone": "a" } }), true),
            (json!({ "nodeSelector": { "zone": "b" } }), false),
            (
                term(
                    json!({ "matchExpressions": [{ "key": "zone", "operator": "In", "values": ["a", "b"] }] }),
                ),
                true,
            ),
            (
                term(
                    json!({ "matchExpressions": [{ "key": "zone", "operator": "NotIn", "values": ["a"] }] }),
                ),
                false,
            ),
            (term(json!({ "matchExpressions": [{ "key": "gpu", "operator": "DoesNotExist" }] })), true),
            (
                term(json!({ "matchExpressions": [{ "key": "cores", "operator": "Gt", "values": ["4"] }] })),
                true,
            ),
            (
                term(json!({ "matchExpressions": [{ "key": "cores", "operator": "Lt", "values": ["4"] }] })),
                false,
            ),
            (
                term(
                    json!({ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n1"] }] }),
                ),
                true,
            ),
            (
                term(
                    json!({ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n2"] }] }),
                ),
                false,
            ),
            (term(json!({})), false),
        ] {
            let text = rules.to_string();
            let mut rules = rules;
            rules["containers"] = json!([]);
            assert_eq!(selects_node(&of(rules), &node), expected, "{text}");
        }
    }

    fn term(term: Value) -> Value {
        json!({ "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution":
            { "nodeSelectorTerms": [term] } } } })
    }
}
