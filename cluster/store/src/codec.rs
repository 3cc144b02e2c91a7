//! The one place that turns values into bytes and back: bincode, variable-length integers.
//!
//! Objects are never encoded by their structure: they travel as bytes ([`Raw`]) inside an envelope.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that are not what they should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("cannot decode: {0}")]
    Decode(#[from] bincode::error::DecodeError),
    #[error("{0} bytes too many")]
    Trailing(usize),
    #[error("format {found} is not known here (known: {known})")]
    Version { found: u8, known: u8 },
    #[error("empty")]
    Empty,
}

/// Most bytes one value may decode to: a guard against lengths that damage made absurd.
const DECODE_LIMIT: usize = 1 << 30;

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<DECODE_LIMIT>()
}

/// Appends the encoding of `value` to `out`.
pub(crate) fn encode_into<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    bincode::serde::encode_into_std_write(value, out, config())
        .expect("writing to memory does not fail, and our types have known lengths");
}

/// The encoding of `value`.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    encode_sized(value, 64)
}

/// The encoding of `value`, which takes about `size` bytes.
pub(crate) fn encode_sized<T: Serialize>(value: &T, size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(size);
    encode_into(value, &mut out);
    out
}

/// A value that borrows from `bytes`, all of which must be used.
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CodecError> {
    let (value, used) = bincode::serde::borrow_decode_from_slice(bytes, config())?;
    if used != bytes.len() {
        return Err(CodecError::Trailing(bytes.len() - used));
    }
    Ok(value)
}

/// A value preceded by a version byte.
pub(crate) fn decode_versioned<'a, T: Deserialize<'a>>(bytes: &'a [u8], known: u8) -> Result<T, CodecError> {
    let (&found, rest) = bytes.split_first().ok_or(CodecError::Empty)?;
    if found != known {
        return Err(CodecError::Version { found, known });
    }
    decode(rest)
}

/// Appends the version byte and the value.
pub(crate) fn encode_versioned_into<T: Serialize>(version: u8, value: &T, out: &mut Vec<u8>) {
    out.push(version);
    encode_into(value, out);
}

/// Bytes that are copied as they are, and borrowed when decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Raw<'a>(pub &'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'a [u8]>::deserialize(deserializer).map(Raw)
    }
}
