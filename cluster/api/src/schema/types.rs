//! The type check of built-in kinds: what decoding JSON into a Go struct would refuse.

use serde_json::Value;

use super::tree::{Schema, Type};
use crate::quantity::Quantity;

pub(super) fn check(schema: &Schema, value: &Value) -> Result<(), String> {
    let mut checker = Checker { owner: short_name(schema.name), path: Vec::new() };
    checker.node(schema, value)
}

struct Checker<'a> {
    /// The innermost struct.
    owner: &'a str,
    /// The field names that lead here; list indexes and map keys do not count.
    path: Vec<&'a str>,
}

impl<'a> Checker<'a> {
    fn node(&mut self, schema: &'a Schema, value: &'a Value) -> Result<(), String> {
        match (schema.kind, value) {
            (Type::Any, _) | (_, Value::Null) => Ok(()),
            (Type::Object, Value::Object(map)) => self.object(schema, map),
            (Type::Array, Value::Array(items)) => match schema.item() {
                Some(item) => items.iter().try_for_each(|v| self.node(item, v)),
                None => Ok(()),
            },
            (Type::String, Value::String(_)) | (Type::Boolean, Value::Bool(_)) => Ok(()),
            (Type::Bytes, Value::String(text)) => check_base64(text),
            (Type::Int32, Value::Number(n)) => match n.as_i64() {
                Some(i) if i32::try_from(i).is_ok() => Ok(()),
                _ => Err(self.mismatch(&format!("number {n}"), schema)),
            },
            (Type::Int64, Value::Number(n)) => match n.is_i64() {
                true => Ok(()),
                false => Err(self.mismatch(&format!("number {n}"), schema)),
            },
            (Type::Number, Value::Number(_)) => Ok(()),
            (Type::IntOrString, Value::String(_)) => Ok(()),
            (Type::IntOrString, Value::Number(n)) => match n.as_i64() {
                Some(i) if i32::try_from(i).is_ok() => Ok(()),
                _ => Err(self.mismatch(&format!("number {n}"), schema)),
            },
            (Type::Quantity, Value::Number(_)) => Ok(()),
            (Type::Quantity, Value::String(text)) => match Quantity::parse(text) {
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            },
            (Type::Time | Type::MicroTime, Value::String(text)) => check_time(text),
            (_, value) => Err(self.mismatch(json_word(value), schema)),
        }
    }

    fn object(&mut self, schema: &'a Schema, map: &'a serde_json::Map<String, Value>) -> Result<(), String> {
        let outer = self.owner;
        if !schema.name.is_empty() {
            self.owner = short_name(schema.name);
        }
        for (name, value) in map {
            if let Some(field) = schema.field(name) {
                self.path.push(name);
                self.node(field.link.get(), value)?;
                self.path.pop();
            } else if let Some(values) = &schema.additional {
                self.node(values.get(), value)?;
            }
        }
        self.owner = outer;
        Ok(())
    }

    fn mismatch(&self, found: &str, schema: &Schema) -> String {
        let (owner, path) = (self.owner, self.path.join("."));
        let wanted = go_type(schema);
        match path.is_empty() {
            true => format!("json: cannot unmarshal {found} into Go value of type {wanted}"),
            false => {
                format!("json: cannot unmarshal {found} into Go struct field {owner}.{path} of type {wanted}")
            }
        }
    }
}

fn short_name(definition: &str) -> &str {
    definition.rsplit('.').next().unwrap_or(definition)
}

fn json_word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The Go type as its decoder names it.
fn go_type(schema: &Schema) -> String {
    if !schema.name.is_empty() {
        let mut parts = schema.name.rsplit('.');
        let (name, package) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        return format!("{package}.{name}");
    }
    match schema.kind {
        Type::Bytes => "[]uint8".into(),
        Type::Int32 => "int32".into(),
        Type::Int64 => "int64".into(),
        Type::Number => "float64".into(),
        Type::Boolean => "bool".into(),
        Type::String => "string".into(),
        Type::IntOrString => "intstr.IntOrString".into(),
        Type::Quantity => "resource.Quantity".into(),
        Type::Time => "v1.Time".into(),
        Type::MicroTime => "v1.MicroTime".into(),
        Type::Any => "interface {}".into(),
        Type::Array => match schema.item() {
            Some(item) => format!("[]{}", go_type(item)),
            None => "[]interface {}".into(),
        },
        Type::Object => match &schema.additional {
            Some(values) => format!("map[string]{}", go_type(values.get())),
            None => "map[string]interface {}".into(),
        },
    }
}

fn check_base64(text: &str) -> Result<(), String> {
    use base64::Engine;
    use base64::alphabet::STANDARD;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
    let engine = GeneralPurpose::new(&STANDARD, config);
    // Go skips line breaks inside base64.
    let joined;
    let plain = match text.contains(['\n', '\r']) {
        true => {
            joined = text.replace(['\n', '\r'], "");
            &joined
        }
        false => text,
    };
    match engine.decode(plain) {
        Ok(_) => Ok(()),
        Err(base64::DecodeError::InvalidByte(at, _)) => {
            Err(format!("illegal base64 data at input byte {at}"))
        }
        Err(_) => Err(format!("illegal base64 data at input byte {}", plain.len() / 4 * 4)),
    }
}

fn check_time(text: &str) -> Result<(), String> {
    match text.is_empty() || text.parse::<jiff::Timestamp>().is_ok() {
        true => Ok(()),
        false => Err(format!(
            "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""
        )),
    }
}
