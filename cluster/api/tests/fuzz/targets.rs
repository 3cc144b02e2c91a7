//! The decoders, what they are given first, and what they promise.

use std::sync::{Arc, OnceLock};

use api::codec::{FieldValidation, PatchKind, decode, parse_body};
use api::pipeline::{apply_patch, default, server_side_apply, validate_create};
use api::quantity::Quantity;
use api::selector::{FieldSelector, LabelSelector};
use api::{Registry, Resource, protobuf, schema};
use serde_json::{Value, json};

/// One decoder.
pub struct Target {
    pub name: &'static str,
    /// Decodes an input and tells what came of it.
    pub run: fn(&[u8]) -> String,
    pub seeds: &'static [&'static [u8]],
    /// Seeds that are made.
    pub made: fn() -> Vec<Vec<u8>>,
    /// What its grammar consists of.
    pub words: &'static [&'static str],
    /// A plain test run sees so many answers at least: otherwise the mutations do not reach far.
    pub least: usize,
}

const POD: &[u8] = br#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"b"},"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"n","uid":"u","controller":true}]},"spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80,"protocol":"TCP"}],"resources":{"limits":{"cpu":"100m","memory":1048576}},"livenessProbe":{"httpGet":{"path":"/","port":"web"}},"env":[{"name":"E","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}],"volumes":[{"name":"v","projected":{"sources":[{"configMap":{"name":"m"}}]}}],"tolerations":[{"operator":"Exists"}],"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"k","operator":"Gt","values":["1"]}]}]}}}}}"#;
const DEPLOYMENT: &[u8] = b"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  replicas: 3\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: &l {a: b}}\n    spec:\n      containers:\n      - name: c\n        image: i\n        args: [\"x\", 'y', |\n          z\n          ]\n";

pub const TARGETS: &[Target] = &[
    Target {
        name: "object",
        run: object,
        seeds: &[POD, DEPLOYMENT, b"{}", b"[1,2.5,\"x\",null,true]"],
        made: Vec::new,
        words: &["\"", ":", ",", "{", "}", "[", "]", "null", "\"metadata\":", "\"spec\":", "\"finalizers\":[\"\"],", "- ", "&a ", "*a", "? ", "!!str ", "<<: *a", "|\n", "\n  ", "\"generateName\":\"g-\","],
        least: 15,
    },
    Target {
        name: "patch",
        run: patch,
        seeds: &[
            br#"[{"op":"test","path":"/spec/containers/0/name","value":"c"},{"op":"add","path":"/spec/containers/-","value":{"name":"d"}},{"op":"move","from":"/metadata/labels","path":"/metadata/annotations"},{"op":"copy","from":"/spec","path":"/metadata/x"},{"op":"remove","path":"/spec/volumes/0"},{"op":"replace","path":"","value":{}}]"#,
            br#"{"metadata":{"labels":{"a":null,"c":"d"}},"spec":{"containers":[{"name":"c","image":null}]}}"#,
            br#"{"spec":{"$setElementOrder/containers":[{"name":"d"},{"name":"c"}],"containers":[{"$patch":"delete","name":"c"},{"name":"d","image":"i","env":[{"$patch":"replace"}]}],"$retainKeys":["containers"]},"metadata":{"$deleteFromPrimitiveList/finalizers":["f"]}}"#,
        ],
        made: Vec::new,
        words: &["\"$patch\":\"delete\"", "\"$patch\":\"replace\"", "\"$patch\":\"merge\"", "\"$retainKeys\":", "\"$setElementOrder/containers\":", "\"$deleteFromPrimitiveList/finalizers\":", "\"op\":\"copy\"", "\"op\":\"move\"", "\"path\":\"", "/-", "/0", "~0", "null", "{", "}", "[", "]", ","],
        least: 15,
    },
    Target {
        name: "apply",
        run: apply,
        seeds: &[POD, br#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"j"}]}}"#, br#"{"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{}}}},"v:1":{},"i:0":{}}"#],
        made: Vec::new,
        words: &["f:", "k:{\\\"name\\\":\\\"c\\\"}", "v:", "i:0", "\".\":{}", "\"spec\":", "\"containers\":", "null", "{", "}", "[", "]", ",", ":"],
        least: 15,
    },
    Target {
        name: "selector",
        run: selector,
        seeds: &[b"a=b,c!=d,e in (f,g),h notin (i),j,!k", b"metadata.name=x,spec.nodeName!=y", b"a.b/c==d", b"x\\,y=z\\=w"],
        made: Vec::new,
        words: &["=", "==", "!=", "!", " in ", " notin ", "(", ")", ",", "a.b/c", "x", " ", "\\", "metadata.name"],
        least: 12,
    },
    Target {
        name: "protobuf",
        run: protobuf,
        seeds: &[b"k8s\0", b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12\0\x1a\0\"\0"],
        made: protobufs,
        words: &["k8s\0", "\u{a}\u{2}v1", "\u{12}\u{3}Pod", "\u{8}", "\u{10}", "\u{12}", "\u{1a}", "\u{22}", "\u{7f}", "\u{a}\u{0}"],
        least: 12,
    },
    Target {
        name: "cel",
        run: cel,
        seeds: &[
            b"self.n > 1 && has(self.s) ? self.s.startsWith('x') : self.l.all(i, i < 10)",
            b"self.m.exists(k, k == 'a') || self.l.map(x, x * 2).filter(x, x > 2).size() == 0",
            b"duration('1h') < duration('2h') && timestamp('2024-01-01T00:00:00Z').getFullYear() == 2024",
            b"self.s.matches('^[a-z]+$') && quantity('1Gi').isGreaterThan(quantity('1Mi'))",
            b"oldSelf.n <= self.n || type(self.n) == int || 1/0 == 1 || 'a'[0] == 'b' || {'a': [1, 2u, 3.0, b'x', null]}.a[1] == 2u",
        ],
        made: Vec::new,
        words: &["self", "oldSelf", ".all(", ".exists(", ".map(", ".filter(", "has(", "size(", "?", ":", "&&", "||", "(", ")", "[", "]", "{", "}", "'", "\"", "+", "-", "*", "/", "%", "==", "in", "true", "null", "1u", "1.5", "r'\\'", "\\u0000", ".matches(", "x,"],
        least: 15,
    },
    Target {
        name: "quantity",
        run: quantity,
        seeds: &[b"100m", b"1.5Gi", b"-2e3", b"0", b"9223372036854775807", b"1E", b".5", b"12.", b"1n"],
        made: Vec::new,
        words: &["Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "n", "u", "m", "k", "M", "G", "T", "P", "E", "e", "e-", "e9", ".", "+", "-", "0", "9"],
        least: 2,
    },
];

fn pods() -> &'static Arc<Resource> {
    static PODS: OnceLock<Arc<Resource>> = OnceLock::new();
    PODS.get_or_init(|| Registry::builtin().get("", "v1", "pods").unwrap().clone())
}

fn pod() -> Value {
    serde_json::from_slice(POD).unwrap()
}

fn told<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

/// Bytes to an object that is defaulted and validated. What was accepted once is accepted again as it was made.
fn object(input: &[u8]) -> String {
    let run = |content_type: &str| -> Result<String, String> {
        let decoded = told(decode(input, content_type, pods(), FieldValidation::Warn))?;
        let mut object = decoded.object;
        default(pods(), &mut object);
        let again = told(decode(object.to_string().as_bytes(), "", pods(), FieldValidation::Strict));
        assert_eq!(again.as_ref().map(|d| &d.object), Ok(&object));
        let encoded = told(protobuf::encode("v1", "Pod", object.to_string().as_bytes()));
        assert!(encoded.is_ok(), "{encoded:?}");
        told(validate_create(pods(), &object)).map(|warnings| format!("{warnings:?}"))
    };
    let told = |outcome: Result<String, String>| outcome.unwrap_or_else(|why| why);
    told(run("application/json")) + " / " + &told(run("application/yaml"))
}

/// The three formats of patches against one object.
fn patch(input: &[u8]) -> String {
    let current = pod();
    let kinds = [PatchKind::Json, PatchKind::Merge, PatchKind::Strategic];
    let outcomes = kinds.map(|kind| match apply_patch(pods(), kind, &current, input) {
        Ok(patched) => {
            assert!(patched.to_string().len() < (8 << 20), "a patch has grown an object");
            told(decode(patched.to_string().as_bytes(), "", pods(), FieldValidation::Warn))
                .map_or_else(|why| why, |_| "applied".to_owned())
        }
        Err(status) => format!("{status} {:?}", status.details.as_ref().map(|d| &d.causes)),
    });
    outcomes.join(" / ")
}

/// An applied configuration, and field sets of other managers.
fn apply(input: &[u8]) -> String {
    let now = "2024-01-01T00:00:00Z".parse().unwrap();
    let Ok(value) = parse_body(input, "application/apply-patch+yaml") else { return "no YAML".to_owned() };
    let mut live = pod();
    live["metadata"]["managedFields"] = json!([{"manager": "other", "operation": "Apply", "apiVersion": "v1",
        "time": "2024-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": value.clone()}]);
    let first = server_side_apply(pods(), None, Some(&live), value.clone(), "one", false, now);
    let second = server_side_apply(pods(), None, Some(&pod()), value.clone(), "two", true, now);
    let third = server_side_apply(pods(), None, None, value, "three", false, now);
    let word =
        |outcome: Result<Value, api::Status>| told(outcome).map_or_else(|why| why, |_| "applied".to_owned());
    [first, second, third].map(word).join(" / ")
}

fn selector(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let labels = told(LabelSelector::parse(&text)).map(|s| (s.matches(&[("a", "b")]), s.is_empty()));
    let fields =
        told(FieldSelector::parse(&text)).map(|s| (s.matches(&[("metadata.name", "x")]), s.is_empty()));
    format!("{labels:?} / {fields:?}")
}

/// What can be decoded can be encoded, and is the same then.
fn protobuf(input: &[u8]) -> String {
    match protobuf::to_json(input) {
        Err(status) => status.to_string(),
        Ok(json) => {
            let bytes = match protobuf::from_json(&json) {
                Ok(bytes) => bytes,
                // A number that JSON does not have (NaN) is null, times beyond JSON's years can not be written.
                Err(why) => return why.to_string(),
            };
            let again = protobuf::to_json(&bytes).unwrap();
            let bytes_again = protobuf::from_json(&again).unwrap();
            assert_eq!(bytes, bytes_again);
            format!("{} bytes: {}", bytes.len().ilog2(), shape(&serde_json::from_slice(&again).unwrap(), 3))
        }
    }
}

/// The names in an object, not its values.
fn shape(value: &Value, depth: usize) -> String {
    match value {
        Value::Object(map) if depth > 0 => {
            map.iter().map(|(key, value)| format!("{key} {}", shape(value, depth - 1))).collect()
        }
        Value::Array(list) if depth > 0 => list.first().map_or_else(String::new, |v| shape(v, depth)),
        _ => String::new(),
    }
}

fn protobufs() -> Vec<Vec<u8>> {
    let list = json!({"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": [pod(), {}]});
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": {"versions": [
        {"name": "v1", "schema": {"openAPIV3Schema": {"type": "object", "maximum": 1.5, "items": {"enum": [1, "x"]},
            "additionalProperties": true, "properties": {"a": {"default": {"b": null}}}}}}]}});
    [pod(), list, crd]
        .iter()
        .map(|v| protobuf::from_json(v.to_string().as_bytes()).unwrap().to_vec())
        .collect()
}

/// A rule of a schema, compiled and run.
fn cel(input: &[u8]) -> String {
    let rule = String::from_utf8_lossy(input);
    let definition = json!({"type": "object", "x-kubernetes-validations": [{"rule": rule}], "properties": {
        "n": {"type": "integer"}, "s": {"type": "string"}, "l": {"type": "array", "items": {"type": "integer"}},
        "m": {"type": "object", "additionalProperties": {"type": "string"}}}});
    let wrong = schema::check_definition(&definition, "");
    let value = json!({"n": 5, "s": "xyz", "l": [1, 2, 3], "m": {"a": "b"}});
    let old = json!({"n": 4, "s": "", "l": [], "m": {}});
    // A stored definition is read whatever is wrong with it.
    let judged = schema::validate(&schema::from_crd(&definition), &value, Some(&old));
    format!("{wrong:?} {judged:?}")
}

/// What is read is written in a form that reads as the same.
fn quantity(input: &[u8]) -> String {
    match Quantity::parse(&String::from_utf8_lossy(input)) {
        Err(why) => why.to_string(),
        Ok(quantity) => {
            let text = quantity.to_string();
            let again = Quantity::parse(&text).unwrap();
            assert_eq!(again.to_string(), text);
            assert_eq!(again.value(), quantity.value());
            text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned()
        }
    }
}
