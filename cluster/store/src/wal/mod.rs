//! The log on disk: append-only segments of checksummed records.
//!
//! `record.rs` is the format, `recover.rs` reads a folder at start, `writer.rs` is the one thread
//! that writes and syncs, `spares.rs` makes old files ready to be used again, here is the index of
//! entries in memory and openraft's log storage.
//!
//! Invariants:
//! - An appended entry can be read when `append` returns, and its callback comes after its fsync.
//! - All writes are in one order: what is read back at start is a prefix of it, and that prefix
//!   includes everything that was synced.
//! - Many appends that wait share one write and one fsync.
//! - After a failed write or sync nothing is written any more: the member stops.

mod offline;
mod record;
mod recover;
mod spares;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};

pub(crate) use self::offline::{Stored, found, look};
use self::record::{Record, Start};
use self::writer::{Done, Job, Writer};
use crate::disk::{Disk, DiskFile};
use crate::error::OpenError;
use crate::metrics::Metrics;
use crate::object::MemberId;
use crate::raft::{Entry, LogId, Payload, Types, Vote};
use crate::room::Room;
use crate::sabotage::{self, Sabotage};
use crate::work::Work;

/// Most bytes of entries handed to one replication request.
const READ_BYTES: usize = 1 << 20;

/// What the log is told at start.
#[derive(Clone)]
pub(crate) struct WalConfig {
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
    pub member: MemberId,
    pub segment_bytes: u64,
    /// Entries kept in memory; older ones are read from the disk.
    pub cache_bytes: usize,
    /// Written bytes after which [`Wal::long`] returns.
    pub long_bytes: u64,
    pub metrics: Arc<Metrics>,
    pub work: Work,
    pub room: Arc<Room>,
}

/// The log of one member. Clones are the same log.
#[derive(Clone)]
pub(crate) struct Wal {
    index: Arc<Mutex<Index>>,
    writer: Arc<Writer>,
    long: Arc<Notify>,
}

/// Where one entry is.
#[derive(Debug)]
struct Slot {
    id: LogId,
    segment: u64,
    at: u64,
    /// Length of the record.
    len: u32,
    cached: Option<Entry>,
}

/// What the log holds, in memory.
pub(super) struct Index {
    config: WalConfig,
    vote: Option<Vote>,
    committed: Option<LogId>,
    /// No record says yet what is committed: the next append does.
    committed_waits: bool,
    purged: Option<LogId>,
    slots: VecDeque<Slot>,
    cached_bytes: usize,
    /// Number of leading slots that are not cached.
    uncached: usize,
    segments: BTreeMap<u64, Segment>,
    /// The segment that is written, and its length.
    current: u64,
    len: u64,
    /// Bytes appended since it was said last that the log is long.
    appended: u64,
}

#[derive(Default)]
struct Segment {
    /// Once the writer has made it.
    file: Option<Arc<dyn DiskFile>>,
    len: u64,
    /// Highest entry ever in it.
    last_index: Option<u64>,
}

impl Wal {
    /// Reads the folder and starts the writer. `applied` is what the snapshot holds.
    pub(crate) fn open(config: WalConfig, applied: Option<LogId>) -> Result<Wal, OpenError> {
        let index = recover::recover(config, applied)?;
        let index = Arc::new(Mutex::new(index));
        let writer = Writer::start(index.clone())?;
        Ok(Wal { index, writer: Arc::new(writer), long: Arc::new(Notify::new()) })
    }

    /// Why the log stopped, when it did.
    pub(crate) fn fault(&self) -> watch::Receiver<Option<String>> {
        self.writer.fault()
    }

    /// Returns when the log is so much longer that a snapshot is due.
    pub(crate) async fn long(&self) {
        self.long.notified().await;
    }

    /// Last entry of the log.
    pub(crate) fn last_index(&self) -> u64 {
        self.index.lock().last_id().map_or(0, |id| id.index)
    }

    /// Writes and syncs what is left, and ends the writer; blocking.
    pub(crate) fn close(&self) {
        let mut index = self.index.lock();
        let (mut bytes, mut jobs) = (Vec::new(), Vec::new());
        let at = index.note_committed(&mut bytes, &mut jobs);
        jobs.push(Job::Write { segment: index.current, at, bytes, sync: true, done: Done::Nobody });
        self.writer.submit(jobs);
        drop(index);
        self.writer.close();
    }

    /// Returns when the writer has ended.
    pub(crate) async fn ended(&self) {
        let mut fault = self.fault();
        while fault.changed().await.is_ok() {}
    }

    /// Entries from `first` to before `end`, as far as they are kept.
    #[cfg(feature = "sabotage")]
    pub(crate) async fn entries(&self, first: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(first, end, usize::MAX).await
    }

    async fn read(&self, first: u64, end: u64, most: usize) -> io::Result<Vec<Entry>> {
        let mut cold = Vec::new();
        let mut entries = Vec::new();
        let work = {
            let index = self.index.lock();
            index.collect(first, end, most, &mut entries, &mut cold);
            index.config.work.clone()
        };
        if cold.is_empty() {
            return Ok(entries.into_iter().flatten().collect());
        }
        let read = move || {
            for Cold { place, file, at, len } in cold {
                let mut bytes = vec![0; len as usize];
                file.read_at(&mut bytes, at)?;
                let entry = record::entry_of(&Bytes::from(bytes))
                    .map_err(|problem| io::Error::new(io::ErrorKind::InvalidData, problem))?;
                entries[place] = Some(entry);
            }
            Ok(entries.into_iter().flatten().collect())
        };
        work.run(read).await?
    }
}

/// An entry that must be read from the disk.
struct Cold {
    place: usize,
    file: Arc<dyn DiskFile>,
    at: u64,
    len: u32,
}

impl Index {
    fn new(config: WalConfig) -> Self {
        Index {
            config,
            vote: None,
            committed: None,
            committed_waits: false,
            purged: None,
            slots: VecDeque::new(),
            cached_bytes: 0,
            uncached: 0,
            segments: BTreeMap::new(),
            current: 0,
            len: 0,
            appended: 0,
        }
    }

    fn last_id(&self) -> Option<LogId> {
        self.slots.back().map(|slot| slot.id).or(self.purged)
    }

    /// Index of the first entry, or of the one that will be first.
    fn first_index(&self) -> u64 {
        self.slots.front().map_or_else(|| self.next_index(), |slot| slot.id.index)
    }

    fn next_index(&self) -> u64 {
        self.last_id().map_or(0, |id| id.index + 1)
    }

    fn start_record(&self, segment: u64) -> Record {
        Record::Start(Start {
            segment,
            member: self.config.member,
            vote: self.vote,
            committed: self.committed,
            purged: self.purged,
        })
    }

    /// Room for a record in the current segment, or in the next one.
    fn place(&mut self, len: usize, jobs: &mut Vec<Job>) -> u64 {
        if self.len > 0 && self.len + len as u64 > self.config.segment_bytes {
            self.rotate(jobs);
        }
        let at = self.len;
        self.len += len as u64;
        at
    }

    fn rotate(&mut self, jobs: &mut Vec<Job>) {
        if let Some(segment) = self.segments.get_mut(&self.current) {
            segment.len = self.len;
        }
        self.current += 1;
        let mut header = Vec::new();
        record::append_record(&self.start_record(self.current), &mut header);
        self.len = header.len() as u64;
        self.segments.insert(self.current, Segment::default());
        jobs.push(Job::Create { segment: self.current, header });
    }

    fn record(&mut self, record: &Record, sync: bool, done: Done, jobs: &mut Vec<Job>) {
        let mut bytes = Vec::new();
        record::append_record(record, &mut bytes);
        let at = self.place(bytes.len(), jobs);
        jobs.push(Job::Write { segment: self.current, at, bytes, sync, done });
    }

    /// Begins what is written next with the record of what is committed, when there is none yet; where
    /// that is.
    fn note_committed(&mut self, bytes: &mut Vec<u8>, jobs: &mut Vec<Job>) -> u64 {
        if !std::mem::take(&mut self.committed_waits) {
            return self.len;
        }
        record::append_record(&Record::Committed(self.committed), bytes);
        self.place(bytes.len(), jobs)
    }

    fn append(&mut self, entries: impl Iterator<Item = Entry>, done: Done) -> Result<Vec<Job>, io::Error> {
        let (mut jobs, mut bytes) = (Vec::new(), Vec::new());
        let mut from = self.note_committed(&mut bytes, &mut jobs);
        for entry in entries {
            if self.last_id().is_some() && entry.log_id.index != self.next_index() {
                let problem = format!("entry {} after {:?}", entry.log_id, self.last_id());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
            }
            let start = bytes.len();
            if let Payload::Normal(command) = &entry.payload {
                bytes.reserve(command.0.len() + 64);
            }
            record::append_entry(&entry, &mut bytes);
            let len = bytes.len() - start;
            let before = self.current;
            let at = self.place(len, &mut jobs);
            if self.current != before {
                // The records so far belong to the segment that was just closed.
                let tail = bytes.split_off(start);
                let full = std::mem::replace(&mut bytes, tail);
                let create = jobs.pop();
                if !full.is_empty() {
                    let done = Done::Nobody;
                    jobs.push(Job::Write { segment: before, at: from, bytes: full, sync: true, done });
                }
                jobs.extend(create);
                from = at;
            }
            if let Some(segment) = self.segments.get_mut(&self.current) {
                segment.last_index = segment.last_index.max(Some(entry.log_id.index));
            }
            self.cached_bytes += len;
            self.appended += len as u64;
            let slot =
                Slot { id: entry.log_id, segment: self.current, at, len: len as u32, cached: Some(entry) };
            self.slots.push_back(slot);
        }
        jobs.push(Job::Write { segment: self.current, at: from, bytes, sync: true, done });
        Ok(jobs)
    }

    fn truncate_after(&mut self, keep: Option<LogId>) {
        let next = keep.map_or(0, |id| id.index + 1);
        while self.slots.back().is_some_and(|slot| slot.id.index >= next) {
            if let Some(slot) = self.slots.pop_back()
                && slot.cached.is_some()
            {
                self.cached_bytes -= slot.len as usize;
            }
        }
        self.uncached = self.uncached.min(self.slots.len());
    }

    fn purge(&mut self, upto: LogId) {
        while self.slots.front().is_some_and(|slot| slot.id.index <= upto.index) {
            if let Some(slot) = self.slots.pop_front()
                && slot.cached.is_some()
            {
                self.cached_bytes -= slot.len as usize;
            }
            self.uncached = self.uncached.saturating_sub(1);
        }
        if self.purged < Some(upto) {
            self.purged = Some(upto);
        }
    }

    /// Segments that hold nothing any more, oldest first, and whether nobody reads them at this moment.
    fn unneeded(&mut self) -> Vec<(u64, bool)> {
        let purged = self.purged.map(|id| id.index);
        let mut unneeded = Vec::new();
        while let Some((&number, segment)) = self.segments.first_key_value() {
            if number == self.current || segment.last_index > purged {
                break;
            }
            unneeded.push((number, segment.file.as_ref().is_none_or(|file| Arc::strong_count(file) == 1)));
            self.segments.remove(&number);
        }
        unneeded
    }

    /// Drops old entries from memory, but none that is not on the disk yet.
    pub(super) fn evict(&mut self, synced: (u64, u64)) {
        while self.cached_bytes > self.config.cache_bytes {
            let Some(slot) = self.slots.get_mut(self.uncached) else { return };
            if (slot.segment, slot.at + u64::from(slot.len)) > synced {
                return;
            }
            if slot.cached.take().is_some() {
                self.cached_bytes -= slot.len as usize;
            }
            self.uncached += 1;
        }
    }

    /// The entries of a range, at most `most` bytes but at least one.
    fn collect(
        &self,
        first: u64,
        end: u64,
        most: usize,
        entries: &mut Vec<Option<Entry>>,
        cold: &mut Vec<Cold>,
    ) {
        let base = self.first_index();
        let mut bytes = 0;
        for index in first.max(base)..end.min(self.next_index()) {
            let Some(slot) = self.slots.get((index - base) as usize) else { return };
            bytes += slot.len as usize;
            if bytes > most && !entries.is_empty() {
                return;
            }
            if slot.cached.is_none()
                && let Some(file) = self.segments.get(&slot.segment).and_then(|s| s.file.clone())
            {
                cold.push(Cold { place: entries.len(), file, at: slot.at, len: slot.len });
            }
            entries.push(slot.cached.clone());
        }
    }

    fn bytes_on_disk(&self) -> u64 {
        self.len + self.segments.values().map(|segment| segment.len).sum::<u64>()
    }
}

impl RaftLogReader<Types> for Wal {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let first = match range.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last + 1,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.read(first, end, usize::MAX).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.read(start, end, READ_BYTES).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.index.lock().vote)
    }
}

impl RaftLogStorage<Types> for Wal {
    type LogReader = Wal;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let index = self.index.lock();
        Ok(LogState { last_purged_log_id: index.purged, last_log_id: index.last_id() })
    }

    async fn get_log_reader(&mut self) -> Wal {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut index = self.index.lock();
            let mut jobs = Vec::new();
            index.vote = Some(*vote);
            if sabotage::is(Sabotage::VoteNotPersisted) {
                return Ok(());
            }
            index.record(&Record::Vote(*vote), true, Done::Caller(sender), &mut jobs);
            self.writer.submit(jobs);
        }
        receiver.await.map_err(|_| writer::stopped())?
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let mut index = self.index.lock();
        index.committed = committed;
        index.config.metrics.proposals_committed.set(committed.map_or(0, |id| id.index) as i64);
        // Not worth a write, and a turn of the writer, of its own: it may be older after a crash, and
        // then more entries wait for the leader.
        index.committed_waits = true;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.index.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut index = self.index.lock();
        let jobs = index.append(entries.into_iter(), Done::Raft(callback))?;
        self.writer.submit(jobs);
        if index.appended > index.config.long_bytes {
            index.appended = 0;
            self.long.notify_one();
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let (mut index, mut jobs) = (self.index.lock(), Vec::new());
        index.truncate_after(last_log_id);
        index.record(&Record::Truncate(last_log_id), false, Done::Nobody, &mut jobs);
        self.writer.submit(jobs);
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        let (mut index, mut jobs) = (self.index.lock(), Vec::new());
        index.purge(log_id);
        index.record(&Record::Purge(log_id), true, Done::Nobody, &mut jobs);
        jobs.push(Job::Remove { segments: index.unneeded() });
        self.writer.submit(jobs);
        Ok(())
    }
}
