//! Scalars of the built-in kinds: their zero values and canonical forms.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::tree::Type;
use crate::quantity::Quantity;

/// What Go would hold where JSON had null.
pub(super) fn zero(kind: Type) -> Value {
    match kind {
        Type::String | Type::Bytes => Value::from(""),
        Type::Int32 | Type::Int64 | Type::IntOrString => Value::from(0),
        Type::Number => Value::from(0.0),
        Type::Boolean => Value::from(false),
        Type::Quantity => Value::from("0"),
        Type::Object => Value::Object(Map::new()),
        Type::Array | Type::Any | Type::Time | Type::MicroTime => Value::Null,
    }
}

/// `""`, `0`, `false`, `[]` and `{}`.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Rewrites quantities and times the way Kubernetes writes them; leaves alone what it can not read
/// (the type check reports it).
pub(super) fn normalise(kind: Type, value: &mut Value) {
    match kind {
        Type::Quantity => normalise_quantity(value),
        Type::Time => normalise_time(value, 0),
        Type::MicroTime => normalise_time(value, 6),
        _ => {}
    }
}

fn normalise_quantity(value: &mut Value) {
    let text = match &*value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return,
    };
    if let Ok(quantity) = Quantity::parse(&text) {
        *value = Value::String(quantity.to_string());
    }
}

fn normalise_time(value: &mut Value, digits: usize) {
    let Value::String(text) = value else {
        return;
    };
    let length = match digits {
        0 => "2006-01-02T15:04:05Z".len(),
        _ => "2006-01-02T15:04:05.000000Z".len(),
    };
    if text.len() == length && text.ends_with('Z') {
        return;
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        *text = match digits {
            0 => format!("{:.0}", time.round_down_to_second()),
            _ => format!("{time:.6}"),
        };
    }
}

trait RoundDown {
    fn round_down_to_second(self) -> Timestamp;
}

impl RoundDown for Timestamp {
    fn round_down_to_second(self) -> Timestamp {
        // A timestamp's own second is always in range.
        Timestamp::from_second(self.as_second()).unwrap_or(self)
    }
}
