//! The log of a member that does not run: reading it, and beginning one that goes on elsewhere.

use std::io;

use bytes::Bytes;

use super::recover::{self, create_first};
use super::{Index, WalConfig, record};
use crate::error::OpenError;
use crate::raft::{Entry, LogId, Membership, Payload, Vote};

/// What a log holds.
pub(crate) struct Stored {
    pub vote: Option<Vote>,
    pub committed: Option<LogId>,
    pub last: Option<LogId>,
    /// The newest membership in it, committed or not.
    pub membership: Option<Membership>,
    index: Index,
}

/// Reads a log without writing to it, given a disk that passes over writes; blocking.
pub(crate) fn look(config: WalConfig, applied: Option<LogId>) -> Result<Stored, OpenError> {
    let dir = config.dir.clone();
    let index = recover::recover(config, applied)?;
    let (vote, committed, last) = (index.vote, index.committed, index.last_id());
    let mut stored = Stored { vote, committed, last, membership: None, index };
    let mut newest = None;
    let found = stored.replay(None, |entry| {
        if let Payload::Membership(membership) = entry.payload {
            newest = Some(membership);
        }
        Ok(())
    });
    found.map_err(recover::io_error("read", &dir))?;
    stored.membership = newest;
    Ok(stored)
}

impl Stored {
    /// Hands over every entry after `after`, in order; blocking.
    pub(crate) fn replay(
        &self,
        after: Option<LogId>,
        mut apply: impl FnMut(Entry) -> io::Result<()>,
    ) -> io::Result<()> {
        for slot in self.index.slots.iter().filter(|slot| Some(slot.id) > after) {
            let file = self.index.segments.get(&slot.segment).and_then(|segment| segment.file.as_ref());
            let file = file.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            let mut bytes = vec![0; slot.len as usize];
            file.read_at(&mut bytes, slot.at)?;
            let entry = record::entry_of(&Bytes::from(bytes))
                .map_err(|problem| io::Error::new(io::ErrorKind::InvalidData, problem))?;
            apply(entry)?;
        }
        Ok(())
    }
}

/// Begins a log in an empty folder, as if everything up to `purged` had been in it; blocking.
pub(crate) fn found(config: WalConfig, vote: Vote, purged: LogId) -> Result<(), OpenError> {
    let (disk, dir) = (config.disk.clone(), config.dir.clone());
    disk.create_dir(&dir).map_err(recover::io_error("create", &dir))?;
    let mut index = Index::new(config);
    index.vote = Some(vote);
    index.committed = Some(purged);
    index.purged = Some(purged);
    create_first(&mut index)
}
