//! Frames: what travels on a connection between peers.
//!
//! ```text
//! length of the rest u32 | CRC-32 of the rest u32 | version u8 | kind u8 | id u64 | body
//! ```
//! This form, and that of a refusal (kind 4, its body is a text), is the same in all versions: so a
//! member that speaks another one can be told.

use std::io;

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::codec;

/// Version of the protocol. A peer that speaks another is refused, with both numbers in the error.
pub(super) const VERSION: u8 = 2;
const PREFIX: usize = 8;
const HEAD: usize = 10;
/// Room for a body before it has to grow.
const FIRST_BYTES: usize = 2048;
/// No frame of ours is larger.
const LIMIT: usize = 256 << 20;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Hello = 1,
    Welcome = 2,
    Reply = 3,
    Refused = 4,
    /// The greeted member knows that the one who greets was removed.
    Removed = 5,
    Append = 10,
    AppendStream = 11,
    Vote = 12,
    PreVote = 13,
    Transfer = 14,
    Forward = 15,
    ReadIndex = 16,
    Members = 17,
    LeaderGone = 18,
    Pulse = 19,
    Leaving = 23,
    SnapshotStart = 20,
    SnapshotPart = 21,
    SnapshotEnd = 22,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        use Kind::{
            Append, AppendStream, Forward, Hello, LeaderGone, Leaving, Members, PreVote, Pulse, ReadIndex,
            Refused, Removed, Reply, SnapshotEnd, SnapshotPart, SnapshotStart, Transfer, Vote, Welcome,
        };
        let all = [
            Hello,
            Welcome,
            Reply,
            Refused,
            Removed,
            Append,
            AppendStream,
            Vote,
            PreVote,
            Transfer,
            Forward,
            ReadIndex,
            Members,
            LeaderGone,
            Pulse,
            Leaving,
            SnapshotStart,
            SnapshotPart,
            SnapshotEnd,
        ];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// One frame.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub kind: Kind,
    /// Which request it is or answers.
    pub id: u64,
    pub body: Bytes,
}

/// The bytes of a frame whose body is the encoding of a value.
pub(super) fn encode<T: Serialize>(kind: Kind, id: u64, body: &T) -> Vec<u8> {
    encode_sized(kind, id, body, FIRST_BYTES)
}

/// [`encode`], when the body takes about `size` bytes.
pub(super) fn encode_sized<T: Serialize>(kind: Kind, id: u64, body: &T, size: usize) -> Vec<u8> {
    finish(kind, id, size, |out| codec::encode_into(body, out))
}

/// The bytes of a frame whose body is bytes.
pub(super) fn encode_raw(kind: Kind, id: u64, body: &[u8]) -> Vec<u8> {
    finish(kind, id, body.len(), |out| out.extend_from_slice(body))
}

fn finish(kind: Kind, id: u64, size: usize, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(PREFIX + HEAD + size);
    out.extend_from_slice(&[0; PREFIX]);
    out.push(VERSION);
    out.push(kind as u8);
    out.extend_from_slice(&id.to_le_bytes());
    body(&mut out);
    let len = (out.len() - PREFIX) as u32;
    let check = crc32fast::hash(&out[PREFIX..]);
    out[0..4].copy_from_slice(&len.to_le_bytes());
    out[4..8].copy_from_slice(&check.to_le_bytes());
    out
}

/// Reads one frame; `None` when the peer closed between two.
pub(super) async fn read(input: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    let mut prefix = [0; PREFIX];
    if input.read(&mut prefix[..1]).await? == 0 {
        return Ok(None);
    }
    input.read_exact(&mut prefix[1..]).await?;
    let len = u32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]) as usize;
    let check = u32::from_le_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]);
    if !(HEAD..=LIMIT).contains(&len) {
        return Err(invalid(format!("a frame of {len} bytes")));
    }
    // Not zeroed first: a log batch is large.
    let mut rest = BytesMut::with_capacity(len);
    let mut input = input.take(len as u64);
    while rest.len() < len {
        if input.read_buf(&mut rest).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    if crc32fast::hash(&rest) != check {
        return Err(invalid("the checksum of a frame does not fit".to_owned()));
    }
    if rest[0] != VERSION && rest[1] != Kind::Refused as u8 {
        return Err(io::Error::new(io::ErrorKind::Unsupported, OtherVersion(rest[0])));
    }
    let kind = Kind::of(rest[1]).ok_or_else(|| invalid(format!("a frame of unknown kind {}", rest[1])))?;
    let mut id = [0; 8];
    id.copy_from_slice(&rest[2..HEAD]);
    let body = rest.freeze().slice(HEAD..);
    Ok(Some(Frame { kind, id: u64::from_le_bytes(id), body }))
}

/// The peer speaks another version of the protocol.
#[derive(Debug, thiserror::Error)]
#[error(
    "the peer speaks version {0} of the protocol, this member version {VERSION}: run releases that speak the same one"
)]
struct OtherVersion(u8);

fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn another_version_is_named_and_its_refusal_understood() {
        let mut other = encode_raw(Kind::Hello, 0, b"whatever it means there");
        let mut refusal = encode_raw(Kind::Refused, 0, b"not you");
        for bytes in [&mut other, &mut refusal] {
            bytes[PREFIX] = VERSION + 7;
            let check = crc32fast::hash(&bytes[PREFIX..]);
            bytes[4..8].copy_from_slice(&check.to_le_bytes());
        }
        let error = read(&mut &other[..]).await.expect_err("another version").to_string();
        let named = format!("version {} of the protocol, this member version {VERSION}", VERSION + 7);
        assert!(error.contains(&named), "{error}");
        let frame = read(&mut &refusal[..]).await.expect("readable").expect("a frame");
        assert_eq!((frame.kind, &frame.body[..]), (Kind::Refused, &b"not you"[..]));
    }
}
