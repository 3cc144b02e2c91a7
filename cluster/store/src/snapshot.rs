//! The state on disk and on the wire: the state at the oldest kept revision, and every change
//! since, so that a member that loads it can serve the same history and the same watches.
//!
//! ```text
//! "TRSNAP\0" version    8 bytes
//! length, unpacked length, CRC-32      3 x 4 bytes, of the block that follows
//! block                 zstd of up to about 1 MiB of items; the first item is the Head
//! ...
//! 0, 0, count of items  the end: a file that ends without it is not whole
//! ```

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::codec::{self, Raw};
use crate::machine::{Change, Root, Session, State};
use crate::object::{MemberId, Object, Pairs, Revision, SpliceRange};
use crate::raft::{LogId, StoredMembership};
use crate::sabotage::{self, Sabotage};
use crate::watch::EventKind;

const MAGIC: &[u8; 7] = b"TRSNAP\0";
const VERSION: u8 = 1;
/// Uncompressed bytes after which a block is closed.
const BLOCK_BYTES: usize = 1 << 20;
/// No block of ours is larger: one item above [`BLOCK_BYTES`] at most.
const BLOCK_LIMIT: usize = 64 << 20;
const ZSTD_LEVEL: i32 = 1;

/// What is known of a snapshot before its objects.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Head {
    pub last_log_id: Option<LogId>,
    pub membership: StoredMembership,
    pub revision: Revision,
    pub floor: Revision,
    pub clock_ms: u64,
    pub sessions: BTreeMap<MemberId, Session>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Item<'a> {
    Head(Box<Head>),
    /// An object at the oldest kept revision.
    #[serde(borrow)]
    Object(ObjectRef<'a>),
    /// A change since.
    #[serde(borrow)]
    Change(ChangeRef<'a>),
}

#[derive(Debug, Serialize, Deserialize)]
struct ChangeRef<'a> {
    at_ms: u64,
    delete: bool,
    #[serde(borrow)]
    object: ObjectRef<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ObjectRef<'a> {
    key: &'a str,
    revision: Revision,
    create_revision: Revision,
    #[serde(borrow)]
    value: Raw<'a>,
    labels: Vec<(&'a str, &'a str)>,
    fields: Vec<(&'a str, &'a str)>,
    splice: Option<(u32, u32)>,
    expires_ms: Option<u64>,
}

impl<'a> ObjectRef<'a> {
    fn of(object: &'a Object) -> Self {
        let pairs = |p: &'a Pairs| p.iter().collect();
        ObjectRef {
            key: &object.key,
            revision: object.revision,
            create_revision: object.create_revision,
            value: Raw(&object.value),
            labels: pairs(&object.labels),
            fields: pairs(&object.fields),
            splice: object.splice.map(|range| (range.at, range.len)),
            expires_ms: object.expires_ms,
        }
    }

    fn to_object(&self) -> Arc<Object> {
        let pairs = |p: &[(&str, &str)]| Pairs::new(p.iter().copied());
        Arc::new(Object {
            key: Arc::from(self.key),
            revision: self.revision,
            create_revision: self.create_revision,
            value: bytes::Bytes::copy_from_slice(self.value.0),
            labels: pairs(&self.labels),
            fields: pairs(&self.fields),
            splice: self.splice.map(|(at, len)| SpliceRange { at, len }),
            expires_ms: self.expires_ms,
        })
    }
}

/// Writes a state; blocking.
pub(crate) fn write(
    root: &Root,
    sessions: &BTreeMap<MemberId, Session>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    out.write_all(MAGIC)?;
    out.write_all(&[VERSION])?;
    let mut writer = Writer { out, block: Vec::new(), items: 0 };
    let base = root.view_at(root.floor).map_err(|e| io::Error::other(e.to_string()))?;
    writer.put(&Item::Head(Box::new(Head {
        last_log_id: root.applied,
        membership: root.membership.clone(),
        revision: root.revision,
        floor: root.floor,
        clock_ms: root.clock_ms,
        sessions: sessions.clone(),
    })))?;
    for (_, object) in &base.objects {
        writer.put(&Item::Object(ObjectRef::of(object)))?;
    }
    let left_out = usize::from(sabotage::is(Sabotage::SnapshotWithoutTail));
    for index in root.position_after(root.floor)..root.history.len().saturating_sub(left_out) {
        let change = &root.history[index];
        let delete = change.kind == EventKind::Delete;
        if delete && sabotage::is(Sabotage::SnapshotWithoutDeletes) {
            continue;
        }
        let object = ObjectRef::of(&change.object);
        writer.put(&Item::Change(ChangeRef { at_ms: change.at_ms, delete, object }))?;
    }
    writer.finish()
}

struct Writer<'a> {
    out: &'a mut dyn io::Write,
    block: Vec<u8>,
    items: u32,
}

impl Writer<'_> {
    fn put(&mut self, item: &Item<'_>) -> io::Result<()> {
        let start = self.block.len();
        self.block.extend_from_slice(&[0; 4]);
        codec::encode_into(item, &mut self.block);
        let len = (self.block.len() - start - 4) as u32;
        self.block[start..start + 4].copy_from_slice(&len.to_le_bytes());
        self.items = self.items.wrapping_add(1);
        if self.block.len() >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let packed = zstd::bulk::compress(&self.block, ZSTD_LEVEL)?;
        self.words([packed.len() as u32, self.block.len() as u32, crc32fast::hash(&packed)])?;
        self.out.write_all(&packed)?;
        self.block.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.words([0, 0, self.items])?;
        self.out.flush()
    }

    fn words(&mut self, words: [u32; 3]) -> io::Result<()> {
        words.iter().try_for_each(|word| self.out.write_all(&word.to_le_bytes()))
    }
}

/// Compares all checksums, up to the end, without unpacking anything; blocking.
pub(crate) fn check(input: &mut dyn io::Read) -> io::Result<()> {
    let mut reader = Reader::start(input)?;
    while reader.next_packed()?.is_some() {}
    Ok(())
}

/// Reads the whole state, checking every byte; blocking.
pub(crate) fn read(input: &mut dyn io::Read) -> io::Result<State> {
    let mut reader = Reader::start(input)?;
    let mut state = State::default();
    let mut head: Option<Head> = None;
    while let Some(block) = reader.next_block()? {
        for item in items(&block) {
            reader.items = reader.items.wrapping_add(1);
            match item? {
                Item::Head(found) => {
                    state.root.floor = found.floor;
                    state.root.revision = found.floor;
                    head = Some(*found);
                }
                Item::Object(object) => state.load(object.to_object()),
                Item::Change(ChangeRef { at_ms, delete, object }) => {
                    let object = object.to_object();
                    let kind = if delete { EventKind::Delete } else { EventKind::Put };
                    let previous = state.root.objects.get(&object.key).cloned();
                    if object.revision > state.root.revision {
                        state.checkpoint();
                    }
                    state.root.revision = object.revision;
                    state.record(Change { revision: object.revision, at_ms, kind, object, previous });
                }
            }
        }
    }
    if reader.promised != reader.items {
        return Err(damaged("items are missing"));
    }
    let head = head.ok_or_else(|| damaged("no head"))?;
    state.root.applied = head.last_log_id;
    state.root.membership = head.membership;
    state.root.revision = head.revision;
    state.root.clock_ms = head.clock_ms;
    state.sessions = head.sessions;
    Ok(state)
}

struct Reader<'a> {
    input: &'a mut dyn io::Read,
    items: u32,
    promised: u32,
}

impl<'a> Reader<'a> {
    fn start(input: &'a mut dyn io::Read) -> io::Result<Self> {
        let mut magic = [0; 8];
        input.read_exact(&mut magic)?;
        if &magic[..7] != MAGIC {
            return Err(damaged("not a snapshot"));
        }
        if magic[7] != VERSION {
            return Err(damaged(&format!("format {} is not known here", magic[7])));
        }
        Ok(Reader { input, items: 0, promised: 0 })
    }

    fn next_block(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some((packed, unpacked)) = self.next_packed()? else { return Ok(None) };
        let block = zstd::bulk::decompress(&packed, unpacked)?;
        if block.len() != unpacked {
            return Err(damaged("a block has another length than it says"));
        }
        Ok(Some(block))
    }

    /// A block as it is stored, and its length when it is unpacked.
    fn next_packed(&mut self) -> io::Result<Option<(Vec<u8>, usize)>> {
        let (len, unpacked, last) = (self.word()? as usize, self.word()? as usize, self.word()?);
        if len == 0 && unpacked == 0 {
            self.promised = last;
            return Ok(None);
        }
        if len > BLOCK_LIMIT || unpacked > BLOCK_LIMIT {
            return Err(damaged("a block is too long"));
        }
        let mut packed = vec![0; len];
        self.input.read_exact(&mut packed)?;
        if crc32fast::hash(&packed) != last && !sabotage::is(Sabotage::SnapshotUnchecked) {
            return Err(damaged("a checksum does not fit"));
        }
        Ok(Some((packed, unpacked)))
    }

    fn word(&mut self) -> io::Result<u32> {
        let mut word = [0; 4];
        self.input.read_exact(&mut word)?;
        Ok(u32::from_le_bytes(word))
    }
}

fn items(block: &[u8]) -> impl Iterator<Item = io::Result<Item<'_>>> {
    let mut rest = block;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((word, tail)) = rest.split_first_chunk::<4>() else {
            rest = &[];
            return Some(Err(damaged("an item is cut")));
        };
        let len = u32::from_le_bytes(*word) as usize;
        if tail.len() < len {
            rest = &[];
            return Some(Err(damaged("an item is cut")));
        }
        let (item, after) = tail.split_at(len);
        rest = after;
        Some(codec::decode(item).map_err(|error| damaged(&error.to_string())))
    })
}

fn damaged(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("snapshot is damaged: {problem}"))
}
