//! What the store keeps: objects, and the transactions that change them.

mod pairs;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

pub use self::pairs::Pairs;

/// The one counter of the store: +1 for each committed write. It is every object's
/// `resourceVersion`.
pub type Revision = u64;

/// A member of the cluster, known by this number and never by its address.
pub type MemberId = u64;

/// Where in [`Object::value`] the decimal revision stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpliceRange {
    /// Offset of the first digit.
    pub at: u32,
    /// Number of digits.
    pub len: u32,
}

/// One stored object: immutable, shared by all who read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The full key, for example `/apps/deployments/default/web`.
    pub key: Arc<str>,
    /// Revision of the last change.
    pub revision: Revision,
    /// Revision of the write that created it.
    pub create_revision: Revision,
    /// The final bytes, [`Object::revision`] spliced in.
    pub value: Bytes,
    /// Labels by which readers select.
    pub labels: Pairs,
    /// Fields by which readers select and watchers are indexed.
    pub fields: Pairs,
    /// Where the revision stands in `value`; none when nothing was spliced.
    pub splice: Option<SpliceRange>,
    /// Moment (milliseconds since the Unix epoch, by the clock in the log) at which it expires.
    pub expires_ms: Option<u64>,
}

impl Object {
    /// The value of an indexed field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name)
    }

    /// The value of an indexed label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name)
    }

    /// The same object with another revision in its bytes: what a delete hands to watchers.
    #[must_use]
    pub(crate) fn restamped(&self, revision: Revision) -> Object {
        let mut next = self.clone();
        next.revision = revision;
        if let Some(range) = self.splice {
            let start = range.at as usize;
            let end = start + range.len as usize;
            let (value, splice) = spliced(&self.value[..start], &self.value[end..], revision);
            next.value = value;
            next.splice = Some(splice);
        }
        next
    }

    /// Bytes this object is accounted for against [`crate::Limits::total_bytes`].
    #[must_use]
    pub(crate) fn weight(&self) -> u64 {
        let pairs = self.labels.iter().chain(self.fields.iter()).map(|(k, v)| k.len() + v.len());
        weight(self.key.len(), self.value.len(), pairs)
    }
}

/// Bytes of an object with a key and a value of these lengths, and these pairs.
pub(crate) fn weight(key: usize, value: usize, pairs: impl Iterator<Item = usize>) -> u64 {
    (key + value + OBJECT_OVERHEAD) as u64 + pairs.map(|len| (len + PAIR_OVERHEAD) as u64).sum::<u64>()
}

/// Memory a label or field costs beyond its bytes.
const PAIR_OVERHEAD: usize = 64;

/// Memory an object costs beyond its bytes: the structure, its reference count, its tree slot.
const OBJECT_OVERHEAD: usize = 192;

/// `head`, the decimal `revision`, `tail`.
pub(crate) fn spliced(head: &[u8], tail: &[u8], revision: Revision) -> (Bytes, SpliceRange) {
    let mut digits = [0u8; 20];
    let mut first = digits.len();
    let mut rest = revision;
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let digits = &digits[first..];
    let mut out = BytesMut::with_capacity(head.len() + digits.len() + tail.len());
    out.extend_from_slice(head);
    out.extend_from_slice(digits);
    out.extend_from_slice(tail);
    let range = SpliceRange { at: head.len() as u32, len: digits.len() as u32 };
    (out.freeze(), range)
}

/// Creates or replaces the object at a key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Put {
    /// Where it goes.
    pub key: String,
    /// Its bytes, without the revision.
    pub value: Bytes,
    /// Byte offset inside `value` at which the decimal revision is inserted: between the quotes
    /// of `"resourceVersion":""`. None inserts nothing.
    pub splice_at: Option<u32>,
    /// Labels by which readers select.
    pub labels: Vec<(String, String)>,
    /// Fields by which readers select and watchers are indexed.
    pub fields: Vec<(String, String)>,
    /// The object is deleted this long after the write, unless written again.
    pub ttl: Option<Duration>,
}

/// One operation of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Creates or replaces.
    Put(Put),
    /// Deletes; the transaction is rejected when nothing is there.
    Delete {
        /// What goes.
        key: String,
    },
}

impl Op {
    /// The key this operation changes.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Op::Put(put) => &put.key,
            Op::Delete { key } => key,
        }
    }
}

/// What must hold at the moment of apply, or nothing happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// Nothing is at the key.
    Absent {
        /// The key.
        key: String,
    },
    /// The object at the key was last changed at this revision.
    AtRevision {
        /// The key.
        key: String,
        /// Its revision.
        revision: Revision,
    },
    /// The object at the key has the field `epoch` with this value: the writer still leads.
    Lease {
        /// The key of the Lease.
        key: String,
        /// The epoch in which the writer became leader.
        epoch: String,
    },
}

impl Guard {
    /// The key this guard looks at.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Guard::Absent { key } | Guard::AtRevision { key, .. } | Guard::Lease { key, .. } => key,
        }
    }
}

/// All or nothing, one revision: every guard holds and every operation is done, or none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Txn {
    /// What must hold.
    pub guards: Vec<Guard>,
    /// What is done. A key occurs at most once.
    pub ops: Vec<Op>,
}

/// A committed transaction: fsynced on a quorum and applied here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The revision of the whole transaction.
    pub revision: Revision,
    /// One per operation: the new object of a put; of a delete the last object, with the
    /// revision of the deletion.
    pub objects: Vec<Arc<Object>>,
}
