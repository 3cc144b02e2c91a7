//! `application/vnd.kubernetes.protobuf`: the built-in kinds, from and to the JSON that they stand for.
//!
//! What is written is, byte for byte, what Kubernetes writes: fields in the order of their numbers, zeros of
//! fields that are no pointers written out, keys of maps sorted. Objects are encoded straight from their JSON
//! text: no value tree is built.
//!
//! - `table`, `messages`: which messages there are
//! - `wire`: varints, tags, lengths; `scalar`: times, quantities and the like
//! - `decode`, `encode`: one direction each
//!
//! An object in the envelope (`k8s\0`, then a `runtime.Unknown` of version, kind and message) is a body; a
//! watch sends frames, each with a length of four bytes in front.

mod decode;
mod encode;
mod messages;
mod scalar;
mod table;
#[cfg(test)]
mod tests;
mod wire;

pub use decode::to_json;
pub use encode::{ListWriter, NotEncodable, encode, from_json, is_known, watch_frame};
pub(crate) use wire::{put_bytes, put_tag, put_varint, wrap};

/// The media type.
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";
