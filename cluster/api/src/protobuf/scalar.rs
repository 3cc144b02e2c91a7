//! Values that are a message in protobuf and a string or a number in JSON.

use jiff::Timestamp;
use serde_json::Value;

use super::wire::{Fields, Malformed, Wire, put_bytes, put_tag, put_varint};
use super::wire::{LENGTH, VARINT};

/// Go's zero time (0001-01-01T00:00:00Z) in seconds since 1970: written as nothing.
const ZERO_TIME: i64 = -62_135_596_800;

pub(super) fn text_of(bytes: &[u8]) -> Result<String, Malformed> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Malformed("a string is not UTF-8"))
}

/// Seconds and nanoseconds; nothing is the zero time, which is null.
pub(super) fn read_time(bytes: &[u8], micro: bool) -> Result<Value, Malformed> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields(bytes) {
        match field? {
            (1, wire) => seconds = wire.varint()? as i64,
            (2, wire) => nanos = wire.varint()? as i32,
            _ => {}
        }
    }
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let nanos = if micro { nanos } else { 0 };
    let at = Timestamp::new(seconds, nanos).map_err(|_| Malformed("a time is out of range"))?;
    let format = if micro { "%Y-%m-%dT%H:%M:%S.%6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" };
    Ok(at.strftime(format).to_string().into())
}

/// Kubernetes keeps whole seconds of times, and microseconds of micro times.
pub(super) fn write_time(out: &mut Vec<u8>, text: &str, micro: bool) -> Result<(), jiff::Error> {
    let at: Timestamp = text.parse()?;
    let (mut seconds, mut nanos) = (at.as_second(), at.subsec_nanosecond());
    if nanos < 0 {
        (seconds, nanos) = (seconds - 1, nanos + 1_000_000_000);
    }
    nanos = if micro { nanos / 1000 * 1000 } else { 0 };
    if (seconds, nanos) != (ZERO_TIME, 0) {
        put_tag(out, 1, VARINT);
        put_varint(out, seconds as u64);
        put_tag(out, 2, VARINT);
        put_varint(out, nanos as u64);
    }
    Ok(())
}

/// The first of a message's fields, which holds the text.
pub(super) fn read_quantity(bytes: &[u8]) -> Result<Value, Malformed> {
    for field in Fields(bytes) {
        if let (1, Wire::Bytes(text)) = field? {
            return Ok(text_of(text)?.into());
        }
    }
    Ok("0".into())
}

pub(super) fn write_quantity(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, 1, text.as_bytes());
}

/// 1: the kind (0 number, 1 text), 2: the number, 3: the text.
pub(super) fn read_int_or_string(bytes: &[u8]) -> Result<Value, Malformed> {
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

/// All three fields are always written.
pub(super) fn write_int_or_string(out: &mut Vec<u8>, number: i64, text: Option<&str>) {
    put_tag(out, 1, VARINT);
    put_varint(out, u64::from(text.is_some()));
    put_tag(out, 2, VARINT);
    put_varint(out, number as u64);
    put_tag(out, 3, LENGTH);
    put_varint(out, text.map_or(0, str::len) as u64);
    out.extend_from_slice(text.unwrap_or_default().as_bytes());
}

pub(super) fn read_raw(bytes: &[u8]) -> Result<Value, Malformed> {
    for field in Fields(bytes) {
        if let (1, Wire::Bytes(json)) = field? {
            return serde_json::from_slice(json).map_err(|_| Malformed("raw content is not JSON"));
        }
    }
    Ok(Value::Null)
}
