//! JSON patch, merge patch and strategic merge patch.

use api::patch::{self, PatchError};
use api::schema;
use serde_json::{Value, json};

use crate::yaml;

#[test]
fn json_patch_is_all_or_nothing() {
    let current = json!({"a": [1, 2], "b": {"c": "d"}});
    let patched = patch::json(
        &current,
        br#"[{"op":"test","path":"/b/c","value":"d"},{"op":"add","path":"/a/-","value":3},
            {"op":"remove","path":"/b/c"},{"op":"replace","path":"/a/0","value":0}]"#,
    );
    assert_eq!(patched, Ok(json!({"a": [0, 2, 3], "b": {}})));
    let failed = patch::json(&current, br#"[{"op":"test","path":"/b/c","value":"x"}]"#);
    assert!(matches!(failed, Err(PatchError::NotApplicable(_))));
    let missing = patch::json(&current, br#"[{"op":"remove","path":"/nope"}]"#);
    assert!(matches!(missing, Err(PatchError::NotApplicable(_))));
    let malformed = patch::json(&current, br#"{"op":"remove"}"#);
    assert!(matches!(malformed, Err(PatchError::Malformed(_))));
}

#[test]
fn merge_patch_removes_nulls() {
    let current = json!({"a": {"b": 1, "c": 2}, "l": [1]});
    let patch = json!({"a": {"b": null, "d": {"e": null}}, "l": [2]});
    let merged = patch::merge(&current, &patch);
    assert_eq!(merged, json!({"a": {"c": 2, "d": {}}, "l": [2]}));
}

/// name, kind, current, patch, result
const STRATEGIC: &[(&str, &str, &str, &str, &str)] = &[
    (
        "items are merged by key, the patch's order before the server's own",
        "Pod",
        "{spec: {containers: [{name: a, image: i, args: [x, y]}, {name: b, image: j}]}}",
        "{spec: {containers: [{name: b, image: k}, {name: c}, {name: a, args: [z]}]}}",
        "{spec: {containers: [{name: b, image: k}, {name: c}, {name: a, image: i, args: [z]}]}}",
    ),
    (
        "the order directive wins",
        "Pod",
        "{spec: {containers: [{name: a}, {name: b}, {name: c}]}}",
        "{spec: {$setElementOrder/containers: [{name: c}, {name: a}], containers: [{name: a, image: i}]}}",
        "{spec: {containers: [{name: b}, {name: c}, {name: a, image: i}]}}",
    ),
    (
        "delete an item",
        "Pod",
        "{spec: {containers: [{name: a}, {name: b}]}}",
        "{spec: {containers: [{name: a, $patch: delete}]}}",
        "{spec: {containers: [{name: b}]}}",
    ),
    (
        "delete an absent item",
        "Pod",
        "{spec: {containers: [{name: b}]}}",
        "{spec: {containers: [{name: a, $patch: delete}, {name: c}]}}",
        "{spec: {containers: [{name: c}, {name: b}]}}",
    ),
    (
        "replace a list",
        "Pod",
        "{spec: {containers: [{name: a}, {name: b}]}}",
        "{spec: {containers: [{$patch: replace}, {name: c}]}}",
        "{spec: {containers: [{name: c}]}}",
    ),
    (
        "replace a map",
        "Pod",
        "{metadata: {labels: {a: b, c: d}}}",
        "{metadata: {labels: {$patch: replace, e: f}}}",
        "{metadata: {labels: {e: f}}}",
    ),
    (
        "delete a map",
        "Pod",
        "{metadata: {labels: {a: b}, name: x}}",
        "{metadata: {labels: {$patch: delete}}}",
        "{metadata: {labels: {}, name: x}}",
    ),
    (
        "null removes, and is nothing where there was nothing",
        "Pod",
        "{metadata: {labels: {a: b, c: d}}}",
        "{metadata: {labels: {a: null, z: null}, annotations: {q: null, r: s}}}",
        "{metadata: {labels: {c: d}, annotations: {r: s}}}",
    ),
    (
        "primitive lists with merge strategy are unions",
        "Pod",
        "{metadata: {finalizers: [a, b]}}",
        "{metadata: {finalizers: [b, c]}}",
        "{metadata: {finalizers: [a, b, c]}}",
    ),
    (
        "and have a list of deletions",
        "Pod",
        "{metadata: {finalizers: [a, b, c]}}",
        "{metadata: {$deleteFromPrimitiveList/finalizers: [b], $setElementOrder/finalizers: [c, a]}}",
        "{metadata: {finalizers: [c, a]}}",
    ),
    (
        "atomic lists are replaced",
        "Pod",
        "{spec: {tolerations: [{key: a}]}}",
        "{spec: {tolerations: [{key: b}]}}",
        "{spec: {tolerations: [{key: b}]}}",
    ),
    (
        "retainKeys clears the union's other members",
        "Pod",
        "{spec: {volumes: [{name: v, emptyDir: {}}]}}",
        "{spec: {volumes: [{name: v, $retainKeys: [name, hostPath], hostPath: {path: /x}}]}}",
        "{spec: {volumes: [{name: v, hostPath: {path: /x}}]}}",
    ),
    (
        "the strategy replace of a field",
        "PodDisruptionBudget",
        "{spec: {selector: {matchLabels: {a: b}}}}",
        "{spec: {selector: {matchLabels: {c: d}}}}",
        "{spec: {selector: {matchLabels: {c: d}}}}",
    ),
    (
        "service ports merge by port, not by the list's map keys",
        "Service",
        "{spec: {ports: [{port: 53, protocol: UDP, name: a}]}}",
        "{spec: {ports: [{port: 53, protocol: TCP, name: b}]}}",
        "{spec: {ports: [{port: 53, protocol: TCP, name: b}]}}",
    ),
    (
        "what is new loses its nulls and directives",
        "Pod",
        "{}",
        "{spec: {containers: [{name: a, image: null}, {name: b, $patch: delete}]}}",
        "{spec: {containers: [{name: a}]}}",
    ),
];

fn strategic(kind: &str, current: &str, patch: &str) -> Result<Value, PatchError> {
    let group = match kind {
        "PodDisruptionBudget" => "policy",
        _ => "",
    };
    let kind = schema::builtin(group, "v1", kind).unwrap();
    patch::strategic(&kind, &yaml(current), &yaml(patch))
}

#[test]
fn strategic_merge() {
    for (name, kind, current, patch, expected) in STRATEGIC {
        assert_eq!(strategic(kind, current, patch), Ok(yaml(expected)), "{name}");
    }
}

#[test]
fn strategic_merge_refuses() {
    let cases = [
        ("{metadata: {labels: {$patch: bogus}}}", "unknown patch type"),
        ("{spec: {containers: [{image: x}]}}", "does not contain declared merge key: name"),
        (
            "{spec: {$setElementOrder/containers: [{name: b}], containers: [{name: a, image: x}]}}",
            "doesn't match $setElementOrder list",
        ),
        ("{spec: {volumes: [{name: v, $retainKeys: [name], hostPath: {}}]}}", "retainKeys"),
    ];
    let current = "{metadata: {labels: {a: b}}, spec: {containers: [{name: a}], volumes: [{name: v}]}}";
    for (patch, message) in cases {
        let error = strategic("Pod", current, patch).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

/// A small patch must not become a large object.
#[test]
fn json_patches_do_not_explode() {
    let object = json!({"metadata": {"name": "n", "text": "x".repeat(100)}, "m": {}, "n": {}});
    let doubling: Vec<String> =
        (0..60).map(|n| format!(r#"{{"op":"copy","from":"/m","path":"/m/x{n}"}}"#)).collect();
    let doubling = doubling.join(",");
    let refused = api::patch::json(&object, format!("[{doubling}]").as_bytes()).unwrap_err();
    assert!(refused.to_string().contains("exceeding the limit"), "{refused}");
    let round = r#"{"op":"move","from":"/m","path":"/n/m"},{"op":"move","from":"/n","path":"/m"},{"op":"add","path":"/n","value":{}}"#;
    for (rounds, fits) in [(100, true), (130, false), (3000, false)] {
        let patch = format!("[{}]", vec![round; rounds].join(","));
        assert_eq!(api::patch::json(&object, patch.as_bytes()).is_ok(), fits, "{rounds}");
    }
    let harmless = vec![r#"{"op":"copy","from":"/metadata/name","path":"/m/x"}"#; 9000].join(",");
    assert_eq!(api::patch::json(&object, format!("[{harmless}]").as_bytes()).unwrap()["m"]["x"], "n");
}
