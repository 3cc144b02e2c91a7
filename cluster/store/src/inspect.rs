//! What the simulator looks at: the log itself.

use crate::codec;
use crate::raft::EntryRef;
use crate::store::Store;

/// One entry of a member's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRecord {
    /// Its place.
    pub index: u64,
    /// The term in which a leader made it.
    pub term: u64,
    /// Checksum of its bytes.
    pub check: u32,
}

impl Store {
    /// The entries of this member's log from `first` to before `end`, as far as they are kept.
    ///
    /// # Errors
    /// The disk can not be read.
    pub async fn log(&self, first: u64, end: u64) -> std::io::Result<Vec<LogRecord>> {
        let entries = self.inner.wal.entries(first, end).await?;
        let record = |entry: &crate::raft::Entry| LogRecord {
            index: entry.log_id.index,
            term: entry.log_id.leader_id.term,
            check: crc32fast::hash(&codec::encode(&EntryRef::of(entry))),
        };
        Ok(entries.iter().map(record).collect())
    }
}
