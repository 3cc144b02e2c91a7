//! Protobuf bodies of the built-in kinds, as client-go (and kubectl since 1.32) sends them: decoded
//! to the JSON that they stand for. Answers are JSON always, which those clients accept, too.

mod table;
mod wire;

use std::collections::HashMap;
use std::sync::OnceLock;

use api::Status;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};

use self::table::MESSAGES;
use self::wire::{Fields, Malformed, Wire};

/// The media type.
pub(crate) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";
/// Messages nest; JSON schemas are not among them, so no honest body is deeper.
const DEEPEST: usize = 64;

struct Field {
    name: &'static str,
    kind: &'static str,
    pointer: bool,
    omit: bool,
}

type Message = HashMap<u32, Field>;

fn messages() -> &'static HashMap<&'static str, Message> {
    static PARSED: OnceLock<HashMap<&'static str, Message>> = OnceLock::new();
    PARSED.get_or_init(|| MESSAGES.lines().filter_map(parse_line).collect())
}

fn parse_line(line: &'static str) -> Option<(&'static str, Message)> {
    let mut words = line.split(' ');
    let name = words.next().filter(|n| !n.is_empty())?;
    let field = |word: &'static str| {
        let (number, rest) = word.split_once(':')?;
        let (name, kind) = rest.split_once(':')?;
        let (kind, omit) = kind.strip_suffix('~').map_or((kind, false), |k| (k, true));
        let (kind, pointer) = kind.strip_suffix('?').map_or((kind, false), |k| (k, true));
        Some((number.parse().ok()?, Field { name, kind, pointer, omit }))
    };
    Some((name, words.filter_map(field).collect()))
}

/// The JSON of a protobuf body.
pub(crate) fn to_json(body: &[u8]) -> Result<Bytes, Status> {
    let bad = |why: Malformed| Status::bad_request(format!("the protobuf body can not be decoded: {why}"));
    let envelope = body.strip_prefix(MAGIC).ok_or_else(|| bad(Malformed("the prefix is missing")))?;
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields(envelope) {
        match field.map_err(bad)? {
            (1, Wire::Bytes(meta)) => {
                for field in Fields(meta) {
                    match field.map_err(bad)? {
                        (1, Wire::Bytes(text)) => version = String::from_utf8_lossy(text).into_owned(),
                        (2, Wire::Bytes(text)) => kind = String::from_utf8_lossy(text).into_owned(),
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let name = match kind.as_str() {
        "DeleteOptions" => "meta.DeleteOptions".to_owned(),
        _ => format!("{version}.{kind}"),
    };
    let message = messages()
        .get(name.as_str())
        .ok_or_else(|| Status::unsupported_media_type(&["application/json", "application/yaml"]))?;
    let mut object = Map::new();
    object.insert("apiVersion".into(), version.into());
    object.insert("kind".into(), kind.into());
    decode_into(&mut object, message, raw, 0).map_err(bad)?;
    Ok(Bytes::from(Value::Object(object).to_string()))
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
        let Some(field) = message.get(&number) else { continue };
        if field.name == "." {
            let inlined = message_of(field.kind)?;
            decode_into(object, inlined, wire.bytes()?, depth + 1)?;
            continue;
        }
        match field.kind.as_bytes().first() {
            Some(b'*') => {
                let list = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    repeated(list, &field.kind[1..], wire, depth)?;
                }
            }
            Some(b'%') => {
                let map = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(map) = map {
                    let (key, value) = entry(&field.kind[1..], wire.bytes()?, depth)?;
                    map.insert(key, value);
                }
            }
            _ => {
                let value = decode(field.kind, wire, depth)?;
                if field.pointer || !(field.omit && is_zero(&value)) {
                    object.insert(field.name.into(), value);
                }
            }
        }
    }
    Ok(())
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(_) => false,
    }
}

fn message_of(kind: &str) -> Result<&'static Message, Malformed> {
    kind.strip_prefix('M')
        .and_then(|name| messages().get(name))
        .ok_or(Malformed("it holds a message that is not known"))
}

/// Numbers may come packed.
fn repeated(list: &mut Vec<Value>, kind: &str, wire: Wire<'_>, depth: usize) -> Result<(), Malformed> {
    if let (true, Wire::Bytes(packed)) = (matches!(kind, "i" | "b"), wire) {
        let mut rest = packed;
        while !rest.is_empty() {
            list.push(decode(kind, Wire::Varint(wire::varint(&mut rest)?), depth)?);
        }
        return Ok(());
    }
    list.push(decode(kind, wire, depth)?);
    Ok(())
}

fn entry(kind: &str, bytes: &[u8], depth: usize) -> Result<(String, Value), Malformed> {
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

fn text_of(bytes: &[u8]) -> Result<String, Malformed> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Malformed("a string is not UTF-8"))
}

fn decode(kind: &str, wire: Wire<'_>, depth: usize) -> Result<Value, Malformed> {
    match kind {
        "s" => Ok(text_of(wire.bytes()?)?.into()),
        "b" => Ok((wire.varint()? != 0).into()),
        "i" => Ok((wire.varint()? as i64).into()),
        "d" => Ok(f64::from_bits(wire.fixed64()?).into()),
        "y" => Ok(STANDARD.encode(wire.bytes()?).into()),
        "T" => time(wire.bytes()?, "%Y-%m-%dT%H:%M:%SZ"),
        "U" => time(wire.bytes()?, "%Y-%m-%dT%H:%M:%S.%6fZ"),
        "Q" => first_text(wire.bytes()?, 1),
        "I" => int_or_string(wire.bytes()?),
        "R" | "F" => raw_json(wire.bytes()?),
        "D" => duration(wire.bytes()?),
        _ => {
            let message = message_of(kind)?;
            let mut object = Map::new();
            decode_into(&mut object, message, wire.bytes()?, depth + 1)?;
            match message.get(&1).is_some_and(|f| f.name == "[]") {
                true => Ok(object.remove("[]").unwrap_or_else(|| Value::Array(Vec::new()))),
                false => Ok(Value::Object(object)),
            }
        }
    }
}

/// Seconds and nanoseconds; the zero time is null.
fn time(bytes: &[u8], format: &str) -> Result<Value, Malformed> {
    let (mut seconds, mut nanos) = (None, 0);
    for field in Fields(bytes) {
        match field? {
            (1, wire) => seconds = Some(wire.varint()? as i64),
            (2, wire) => nanos = wire.varint()? as i32,
            _ => {}
        }
    }
    let Some(seconds) = seconds else { return Ok(Value::Null) };
    let at = jiff::Timestamp::new(seconds, nanos).map_err(|_| Malformed("a time is out of range"))?;
    Ok(at.strftime(format).to_string().into())
}

fn duration(bytes: &[u8]) -> Result<Value, Malformed> {
    let mut nanos = 0;
    for field in Fields(bytes) {
        if let (1, wire) = field? {
            nanos = wire.varint()? as i64;
        }
    }
    Ok(format!("{}ns", nanos).into())
}

fn first_text(bytes: &[u8], wanted: u32) -> Result<Value, Malformed> {
    for field in Fields(bytes) {
        if let (number, Wire::Bytes(text)) = field?
            && number == wanted
        {
            return Ok(text_of(text)?.into());
        }
    }
    Ok("".into())
}

/// 1: the kind (0 number, 1 text), 2: the number, 3: the text.
fn int_or_string(bytes: &[u8]) -> Result<Value, Malformed> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for field in Fields(bytes) {
        match field? {
            (1, wire) => is_text = wire.varint()? == 1,
            (2, wire) => number = wire.varint()? as i64,
            (3, wire) => text = text_of(wire.bytes()?)?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

fn raw_json(bytes: &[u8]) -> Result<Value, Malformed> {
    for field in Fields(bytes) {
        if let (1, Wire::Bytes(json)) = field? {
            return serde_json::from_slice(json).map_err(|_| Malformed("raw content is not JSON"));
        }
    }
    Ok(Value::Null)
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
        assert_eq!(to_json(&body("example.com/v1", "Widget", b"")).unwrap_err().code, 415);
    }

    #[test]
    fn every_line_of_the_table_is_read() {
        let all = messages();
        assert_eq!(all.len(), MESSAGES.lines().filter(|l| !l.is_empty()).count());
        for (name, message) in all {
            for field in message.values() {
                let inner = field.kind.trim_start_matches(['*', '%']);
                let known = "sbidyTUQIRFD".contains(inner) || message_of(inner).is_ok();
                assert!(known, "{name}.{}: {}", field.name, field.kind);
            }
        }
    }
}
