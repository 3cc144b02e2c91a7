//! Both directions: exact bytes, and every kind there and back.

use serde_json::{Map, Value, json};

use super::messages::{Kind, Leaf, Message, Shape, all, message};
use super::*;

/// Numbers that look random, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.roll(choices.len() as u64) as usize]
    }

    fn object(&mut self, message: &Message, depth: u32) -> Value {
        if message.union {
            let variant = loop {
                let found = message.variant(self.of(&["{}", "[]", "!"]));
                if let Some(found) = found {
                    break found;
                }
            };
            let leaf = message.leaf(variant.name).unwrap();
            return self.contents(leaf, depth);
        }
        let leaves: Vec<Leaf> = message.leaves().to_vec();
        let few = if depth > 4 { 12 } else { 3 };
        let mut object = Map::new();
        for leaf in leaves {
            if self.roll(few) == 0 {
                let value = self.contents(leaf, depth);
                object.insert(leaf.name.to_owned(), value);
            }
        }
        Value::Object(object)
    }

    fn contents(&mut self, leaf: Leaf, depth: u32) -> Value {
        let count = self.roll(3);
        match leaf.shape {
            Shape::List => (0..count).map(|_| self.value(leaf.kind, depth)).collect(),
            Shape::Map => {
                let entries = (0..count).map(|n| (format!("k{}", 9 - n), self.value(leaf.kind, depth)));
                Value::Object(entries.collect())
            }
            _ => self.value(leaf.kind, depth),
        }
    }

    fn value(&mut self, kind: Kind, depth: u32) -> Value {
        match kind {
            Kind::Text => self.of(&["", "a", "ünï\u{0}\"code", "0123456789012345678901234567890"]).into(),
            Kind::Bool => self.of(&[true, false]).into(),
            Kind::Int => self.of(&[0, 1, -1, 80, i64::from(i32::MAX), i64::from(i32::MIN)]).into(),
            Kind::Double => self.of(&[0.5, -2.25, 1e300]).into(),
            Kind::Bytes => self.of(&["AA==", "dmFsdWU="]).into(),
            Kind::Time => self.of(&["2024-02-29T23:59:59Z", "1969-12-31T23:59:58Z"]).into(),
            Kind::MicroTime => {
                self.of(&["2024-02-29T23:59:59.000001Z", "1969-07-20T20:17:40.500000Z"]).into()
            }
            Kind::Quantity => self.of(&["0", "100m", "1Gi"]).into(),
            Kind::IntOrString => self.of(&[json!(0), json!(-5), json!("25%"), json!("")].each_ref()).clone(),
            Kind::Raw => self.of(&[json!({"k": [1, null, "x"]}), json!({}), json!(7)].each_ref()).clone(),
            Kind::Message(inner) if depth > 12 && !message(inner).union => json!({}),
            Kind::Message(inner) => self.object(message(inner), depth + 1),
        }
    }
}

/// Says nothing in Go.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_zero),
    }
}

/// Everything that `less` says, `more` says, too.
fn says(more: &Value, less: &Value) -> bool {
    match (more, less) {
        (Value::Object(more), Value::Object(less)) => less
            .iter()
            .all(|(key, value)| more.get(key).map_or_else(|| is_zero(value), |other| says(other, value))),
        (Value::Array(more), Value::Array(less)) => {
            more.len() == less.len() && more.iter().zip(less).all(|(more, less)| says(more, less))
        }
        _ => more == less,
    }
}

/// Kinds have metadata.
fn kinds() -> impl Iterator<Item = (&'static str, &'static str, &'static Message)> {
    all().iter().filter(|m| m.variant("metadata").is_some()).filter_map(|message| {
        let (version, kind) = message.name.rsplit_once('.')?;
        let version = if version == "meta" { "meta.k8s.io/v1" } else { version };
        Some((version, kind, message))
    })
}

#[test]
fn every_kind_there_and_back() {
    let mut count = 0;
    for (version, kind, message) in kinds() {
        for seed in 1..40 {
            let mut dice = Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
            let mut object = dice.object(message, 0);
            object["apiVersion"] = version.into();
            object["kind"] = kind.into();
            let bytes = from_json(object.to_string().as_bytes()).unwrap_or_else(|e| panic!("{e}: {object}"));
            let back: Value = serde_json::from_slice(&to_json(&bytes).unwrap()).unwrap();
            assert!(says(&back, &object), "{object}\n{back}");
            assert_eq!(from_json(back.to_string().as_bytes()).unwrap(), bytes, "{object}\n{back}");
            count += 1;
        }
    }
    assert!(count > 39 * 130, "{count}");
}

#[test]
fn every_list_item_by_item_is_the_list() {
    let meta = json!({"resourceVersion": "12", "remainingItemCount": 3});
    for (version, kind, message) in kinds() {
        let list_kind = format!("{kind}List");
        if !is_known(version, &list_kind) {
            continue;
        }
        let mut dice = Dice(77);
        let items: Vec<Value> = (0..3).map(|_| dice.object(message, 0)).collect();
        let list = json!({"apiVersion": version, "kind": list_kind, "metadata": meta, "items": items});
        let mut writer = ListWriter::new(version, kind).unwrap();
        let mut written = Vec::new();
        for item in &items {
            written.extend_from_slice(writer.item(item.to_string().as_bytes()).unwrap());
        }
        let head = ListWriter::head(version, &list_kind, meta.to_string().as_bytes(), written.len()).unwrap();
        let whole = [&head, written.as_slice(), ListWriter::TAIL].concat();
        assert_eq!(from_json(list.to_string().as_bytes()).unwrap(), whole, "{list}");
    }
}

/// Zeros are written, pointers are not; the golden bytes are Kubernetes'.
#[test]
fn a_config_map_byte_for_byte() {
    let object = json!({
        "kind": "ConfigMap", "apiVersion": "v1", "data": {"b": "2", "a": "1"}, "binaryData": {"c": "Aw=="},
        "metadata": {"name": "n", "creationTimestamp": "2024-01-01T00:00:00Z"}, "immutable": null,
    });
    let meta =
        [b"\x0a\x01n\x12\0\x1a\0\x22\0\x2a\0\x32\0\x38\0\x42\x08\x08\x80\x81\xc8\xac\x06\x10\0".as_slice()];
    let meta = meta.concat();
    let mut raw = vec![0x0a, meta.len() as u8];
    raw.extend_from_slice(&meta);
    raw.extend_from_slice(
        b"\x12\x06\x0a\x01a\x12\x011\x12\x06\x0a\x01b\x12\x012\x1a\x06\x0a\x01c\x12\x01\x03",
    );
    let mut expected = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12".to_vec();
    expected.push(raw.len() as u8);
    expected.extend_from_slice(&raw);
    expected.extend_from_slice(b"\x1a\0\x22\0");
    assert_eq!(from_json(object.to_string().as_bytes()).unwrap(), expected);
}

#[test]
fn unions_inlined_messages_and_zeros() {
    // A volume's source is inlined: field 2 holds it, and is written when there is none.
    let volume = |object: &str| {
        let mut writer = ListWriter::new("v1", "Volume").unwrap();
        writer.item(object.as_bytes()).unwrap()[2..].to_vec()
    };
    assert_eq!(volume(r#"{"emptyDir":{},"name":"v"}"#), b"\x0a\x01v\x12\x04\x12\x02\x0a\0");
    assert_eq!(volume("{}"), b"\x0a\0\x12\0");
    let port = |object: &str| {
        let mut writer = ListWriter::new("v1", "ServicePort").unwrap();
        writer.item(object.as_bytes()).unwrap()[2..].to_vec()
    };
    let text = b"\x0a\0\x12\0\x18\x50\x22\x09\x08\x01\x10\0\x1a\x03web\x28\0";
    assert_eq!(port(r#"{"port":80,"targetPort":"web"}"#), text);
    let negative =
        b"\x0a\0\x12\0\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x22\x06\x08\0\x10\0\x1a\0\x28\0";
    assert_eq!(port(r#"{"port":-1}"#), negative);
    let divisor = ListWriter::new("v1", "ResourceFieldSelector").unwrap().item(b"{}").unwrap().to_vec();
    assert_eq!(divisor, b"\x12\x09\x0a\0\x12\0\x1a\x03\x0a\x010");
    let schema = json!({"kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1",
    "spec": {"versions": [{"schema": {"openAPIV3Schema": {
        "additionalProperties": false, "items": {"type": "string"}, "default": {"a": [1]}, "enum": ["x", 1],
        "properties": {"p": {"additionalProperties": {"type": "integer"}, "maximum": 1.5}},
    }}}]}});
    let bytes = from_json(schema.to_string().as_bytes()).unwrap();
    let back: Value = serde_json::from_slice(&to_json(&bytes).unwrap()).unwrap();
    assert!(says(&back, &schema), "{back}");
}

#[test]
fn frames_of_a_watch() {
    let frame = watch_frame("ADDED", b"k8s\0x");
    assert_eq!(&frame[..], b"\0\0\0\x10\x0a\x05ADDED\x12\x07\x0a\x05k8s\0x");
}

#[test]
fn what_has_no_form_is_refused() {
    assert!(matches!(encode("example.com/v1", "Widget", b"{}"), Err(NotEncodable::Unknown(..))));
    assert!(matches!(encode("meta.k8s.io/v1", "Table", b"{}"), Err(NotEncodable::Unknown(..))));
    for misfit in ["[]", "7", "{\"data\":[]}", "{\"data\":{\"k\":1}}", "{\"metadata\":7}", "{} {}", "{"] {
        let refused = encode("v1", "ConfigMap", misfit.as_bytes());
        assert!(matches!(refused, Err(NotEncodable::Misfit(_))), "{misfit}");
    }
}

#[test]
fn metadata_alone() {
    let object = json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": []});
    let bytes = encode("meta.k8s.io/v1", "PartialObjectMetadata", object.to_string().as_bytes()).unwrap();
    let back: Value = serde_json::from_slice(&to_json(&bytes).unwrap()).unwrap();
    assert_eq!(back["kind"], "PartialObjectMetadata");
    assert_eq!(back["metadata"], json!({"name": "p"}));
    assert!(back.get("spec").is_none());
}
