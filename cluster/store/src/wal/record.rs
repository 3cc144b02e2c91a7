//! The bytes of the log.
//!
//! ```text
//! record:  body length u32 | CRC-32 of body u32 | kind u8, 0, 0, 0 | CRC-32 of these 12 bytes u32 | body
//! ```
//! The header has a checksum of its own, so that a length can be trusted before the body is read:
//! that is how a record cut by a crash is told from one that was damaged later.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::object::MemberId;
use crate::raft::{Entry, EntryRef, LogId, Vote};
use crate::sabotage::{self, Sabotage};

/// Bytes before the body.
pub(super) const HEADER: usize = 16;
/// Format of every body.
const VERSION: u8 = 1;
/// No record of ours is longer.
const BODY_LIMIT: usize = 256 << 20;
/// What a disk writes as a whole or not at all.
const SECTOR: usize = 512;

const START: u8 = 1;
const ENTRY: u8 = 2;
const VOTE: u8 = 3;
const COMMITTED: u8 = 4;
const TRUNCATE: u8 = 5;
const PURGE: u8 = 6;

/// What a record says, apart from entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// The first record of a segment: all state that older segments hold beside entries, so that
    /// they can be removed.
    Start(Start),
    /// An entry; its body stays in the file.
    Entry(LogId),
    Vote(Vote),
    Committed(Option<LogId>),
    /// Entries after this one are gone.
    Truncate(Option<LogId>),
    /// Entries up to this one are gone.
    Purge(LogId),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Start {
    pub segment: u64,
    pub member: MemberId,
    pub vote: Option<Vote>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
}

/// What stands at a place in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A whole record of this length.
    Whole(Record, usize),
    /// The end of the file.
    End,
    /// A record that a crash cut: it was never acknowledged.
    Torn(&'static str),
    /// A record that was whole once.
    Damaged(String),
}

pub(super) fn append_entry(entry: &Entry, out: &mut Vec<u8>) {
    append(ENTRY, &EntryRef::of(entry), out);
}

pub(super) fn append_record(record: &Record, out: &mut Vec<u8>) {
    match record {
        Record::Start(start) => append(START, start, out),
        Record::Entry(_) => unreachable!("entries are appended with their body"),
        Record::Vote(vote) => append(VOTE, vote, out),
        Record::Committed(id) => append(COMMITTED, id, out),
        Record::Truncate(id) => append(TRUNCATE, id, out),
        Record::Purge(id) => append(PURGE, id, out),
    }
}

fn append<T: Serialize>(kind: u8, body: &T, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    codec::encode_versioned_into(VERSION, body, out);
    let (header, body) = out[start..].split_at_mut(HEADER);
    header[0..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
    header[4..8].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    header[8] = kind;
    let check = crc32fast::hash(&header[..12]);
    header[12..16].copy_from_slice(&check.to_le_bytes());
}

/// The record at `at` of a whole segment.
pub(super) fn read(file: &[u8], at: usize) -> Found {
    let rest = &file[at..];
    if is_end(rest) {
        return Found::End;
    }
    let Some(header) = rest.get(..HEADER) else {
        return Found::Torn("the file ends in a record's header");
    };
    if word(header, 12) != crc32fast::hash(&header[..12]) {
        return if cut_by_power(file, at, HEADER) {
            Found::Torn("a record's header was not written")
        } else {
            Found::Damaged("the checksum of a record's header does not fit".to_owned())
        };
    }
    let len = word(header, 0) as usize;
    if len > BODY_LIMIT {
        return Found::Damaged(format!("a record of {len} bytes"));
    }
    let Some(body) = rest.get(HEADER..HEADER + len) else {
        return Found::Torn("the file ends in a record's body");
    };
    if word(header, 4) != crc32fast::hash(body) && !sabotage::is(Sabotage::ChecksumIgnored) {
        return if cut_by_power(file, at, HEADER + len) {
            Found::Torn("part of a record's body was not written")
        } else {
            Found::Damaged("the checksum of a record does not fit".to_owned())
        };
    }
    match parse(header[8], body) {
        Ok(record) => Found::Whole(record, HEADER + len),
        Err(error) => Found::Damaged(error.to_string()),
    }
}

/// Nothing follows but, perhaps, zeros that were written ahead of the log.
fn is_end(rest: &[u8]) -> bool {
    rest.iter().all(|byte| *byte == 0)
}

/// Whether a sector that the record touches was never written: then the record was not synced.
fn cut_by_power(file: &[u8], at: usize, len: usize) -> bool {
    let end = (at + len).min(file.len());
    let mut sector = at / SECTOR * SECTOR;
    while sector < end {
        let part = &file[sector.max(at)..(sector + SECTOR).min(end)];
        if part.iter().all(|byte| *byte == 0) {
            return true;
        }
        sector += SECTOR;
    }
    false
}

fn parse(kind: u8, body: &[u8]) -> Result<Record, CodecError> {
    Ok(match kind {
        START => Record::Start(codec::decode_versioned(body, VERSION)?),
        ENTRY => Record::Entry(codec::decode_versioned::<EntryRef<'_>>(body, VERSION)?.log_id),
        VOTE => Record::Vote(codec::decode_versioned(body, VERSION)?),
        COMMITTED => Record::Committed(codec::decode_versioned(body, VERSION)?),
        TRUNCATE => Record::Truncate(codec::decode_versioned(body, VERSION)?),
        PURGE => Record::Purge(codec::decode_versioned(body, VERSION)?),
        found => return Err(CodecError::Version { found, known: PURGE }),
    })
}

/// The entry in the bytes of a whole record, checked again.
pub(super) fn entry_of(record: &Bytes) -> Result<Entry, String> {
    let header = record.get(..HEADER).ok_or("the record has no header")?;
    let body = record.slice(HEADER..);
    if word(header, 4) != crc32fast::hash(&body) && !sabotage::is(Sabotage::ChecksumIgnored) {
        return Err("the checksum of the record does not fit".to_owned());
    }
    let entry: EntryRef<'_> = codec::decode_versioned(&body, VERSION).map_err(|e| e.to_string())?;
    Ok(entry.to_entry(&body))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
