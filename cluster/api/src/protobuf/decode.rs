//! Protobuf bodies, as client-go (and kubectl since 1.32) sends them, to the JSON that they stand for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};

use super::MAGIC;
use super::messages::{Field, Kind, Message, Shape, message, of_kind};
use super::scalar::{read_int_or_string, read_quantity, read_raw, read_time, text_of};
use super::wire::{Fields, Malformed, Wire, varint};
use crate::Status;

/// Messages nest; honest bodies are not deeper.
const DEEPEST: usize = 64;

/// The JSON of a protobuf body.
pub fn to_json(body: &[u8]) -> Result<Bytes, Status> {
    let bad = |why: Malformed| Status::bad_request(format!("the protobuf body can not be decoded: {why}"));
    let envelope = body.strip_prefix(MAGIC).ok_or_else(|| bad(Malformed("the prefix is missing")))?;
    let Envelope { version, kind, raw } = open(envelope).map_err(bad)?;
    let message = of_kind(&version, &kind).ok_or_else(|| {
        let version = version.rsplit('/').next().unwrap_or_default();
        Status::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: it has no protobuf form"
        ))
    })?;
    let mut object = Map::new();
    object.insert("apiVersion".into(), version.into());
    object.insert("kind".into(), kind.into());
    decode_into(&mut object, message, raw, 0).map_err(bad)?;
    Ok(Bytes::from(Value::Object(object).to_string()))
}

struct Envelope<'b> {
    version: String,
    kind: String,
    raw: &'b [u8],
}

fn open(envelope: &[u8]) -> Result<Envelope<'_>, Malformed> {
    let mut found = Envelope { version: String::new(), kind: String::new(), raw: &[] };
    for field in Fields(envelope) {
        match field? {
            (1, Wire::Bytes(meta)) => {
                for field in Fields(meta) {
                    match field? {
                        (1, Wire::Bytes(text)) => found.version = text_of(text)?,
                        (2, Wire::Bytes(text)) => found.kind = text_of(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => found.raw = bytes,
            _ => {}
        }
    }
    Ok(found)
}

fn decode_into(
    object: &mut Map<String, Value>,
    message: &Message,
    bytes: &[u8],
    depth: usize,
) -> Result<(), Malformed> {
    if depth > DEEPEST {
        return Err(Malformed("it is nested too deeply"));
    }
    for field in Fields(bytes) {
        let (number, wire) = field?;
        // Fields of a newer version are not known here, as in JSON.
        let Some(field) = message.field(number) else { continue };
        match (field.shape, field.kind) {
            (Shape::Inline, Kind::Message(inner)) => {
                decode_into(object, self::message(inner), wire.bytes()?, depth + 1)?;
            }
            (Shape::List, _) => {
                let list = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    repeated(list, field.kind, wire, depth)?;
                }
            }
            (Shape::Map, _) => {
                let map = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(map) = map {
                    let (key, value) = entry(field.kind, wire.bytes()?, depth)?;
                    map.insert(key, value);
                }
            }
            _ => {
                let value = decode(field.kind, wire, depth)?;
                if shown(field, &value) {
                    object.insert(field.name.into(), value);
                }
            }
        }
    }
    Ok(())
}

/// JSON leaves out what is zero, unless it is a pointer to it.
fn shown(field: &Field, value: &Value) -> bool {
    let zero = match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(_) => false,
    };
    field.pointer || !(field.omit && zero)
}

/// Numbers may come packed.
fn repeated(list: &mut Vec<Value>, kind: Kind, wire: Wire<'_>, depth: usize) -> Result<(), Malformed> {
    if let (Kind::Int | Kind::Bool, Wire::Bytes(mut packed)) = (kind, wire) {
        while !packed.is_empty() {
            list.push(decode(kind, Wire::Varint(varint(&mut packed)?), depth)?);
        }
        return Ok(());
    }
    list.push(decode(kind, wire, depth)?);
    Ok(())
}

fn entry(kind: Kind, bytes: &[u8], depth: usize) -> Result<(String, Value), Malformed> {
    let (mut key, mut value) = (String::new(), None);
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Bytes(text)) => key = text_of(text)?,
            (2, wire) => value = Some(decode(kind, wire, depth)?),
            _ => {}
        }
    }
    let value = match value {
        Some(value) => value,
        None => decode(kind, Wire::Bytes(&[]), depth)?,
    };
    Ok((key, value))
}

fn decode(kind: Kind, wire: Wire<'_>, depth: usize) -> Result<Value, Malformed> {
    match kind {
        Kind::Text => Ok(text_of(wire.bytes()?)?.into()),
        Kind::Bool => Ok((wire.varint()? != 0).into()),
        Kind::Int => Ok((wire.varint()? as i64).into()),
        Kind::Double => Ok(f64::from_bits(wire.fixed64()?).into()),
        Kind::Bytes => Ok(STANDARD.encode(wire.bytes()?).into()),
        Kind::Time => read_time(wire.bytes()?, false),
        Kind::MicroTime => read_time(wire.bytes()?, true),
        Kind::Quantity => read_quantity(wire.bytes()?),
        Kind::IntOrString => read_int_or_string(wire.bytes()?),
        Kind::Raw => read_raw(wire.bytes()?),
        Kind::Message(inner) => {
            let message = message(inner);
            let mut object = Map::new();
            decode_into(&mut object, message, wire.bytes()?, depth + 1)?;
            Ok(if message.union { chosen(message, object) } else { Value::Object(object) })
        }
    }
}

/// The value that a union stands for: its object, else its list, else its flag.
fn chosen(message: &Message, mut object: Map<String, Value>) -> Value {
    let found = ["{}", "[]", "!"].iter().find_map(|variant| object.remove(*variant));
    found.unwrap_or_else(|| match message.variant("[]") {
        Some(_) => Value::Array(Vec::new()),
        None => Value::Bool(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes one length-delimited field.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        out.extend_from_slice(content);
        out
    }

    fn body(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &meta), field(2, raw), field(3, b""), field(4, b"")].concat()
    }

    fn json(bytes: &[u8]) -> Value {
        serde_json::from_slice(&to_json(bytes).unwrap()).unwrap()
    }

    #[test]
    fn a_namespace_as_kubectl_sends_it() {
        let meta = [field(1, b"demo"), field(2, b""), field(3, b""), vec![0x38, 0], field(8, b"")].concat();
        let raw = [field(1, &meta), field(2, b""), field(3, &field(1, b""))].concat();
        let expected = serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}, "spec": {}, "status": {},
        });
        assert_eq!(json(&body("v1", "Namespace", &raw)), expected);
    }

    #[test]
    fn maps_bytes_pointers_and_unions() {
        let data = field(2, &[field(1, b"k"), field(2, b"v")].concat());
        assert_eq!(json(&body("v1", "Secret", &data))["data"]["k"], "dg==");
        // replicas: 0 is a value, paused: false is none.
        let spec = field(2, &[vec![0x08, 0], vec![0x38, 0]].concat());
        let deployment = json(&body("apps/v1", "Deployment", &spec));
        assert_eq!(deployment["spec"], serde_json::json!({"replicas": 0}));
        let port = [vec![0x18, 80], field(4, &[vec![0x08, 1], field(3, b"web")].concat())].concat();
        let service = json(&body("v1", "Service", &field(2, &field(1, &port))));
        assert_eq!(service["spec"]["ports"][0], serde_json::json!({"port": 80, "targetPort": "web"}));
    }

    #[test]
    fn what_is_cut_or_unknown_is_refused() {
        let whole = body("v1", "Secret", &field(2, &field(1, b"key")));
        for end in 4..whole.len() - 4 {
            // Must not panic; some cuts are whole messages again.
            let _ = to_json(&whole[..end]);
        }
        assert_eq!(to_json(b"{}").unwrap_err().code, 400);
        assert_eq!(to_json(&body("example.com/v1", "Widget", b"")).unwrap_err().code, 400);
    }
}
