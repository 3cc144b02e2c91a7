//! Reading the log at start: every record is checked, and the tail that a crash cut is removed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::{self, Found, Record};
use super::writer::segment_path;
use super::{Index, Segment, Slot, WalConfig, spares};
use crate::disk::DiskFile;
use crate::error::OpenError;
use crate::raft::LogId;
use crate::sabotage::{self, Sabotage};

/// The first record of a segment is synced before a second one is written, and is shorter.
const FIRST_RECORD_LIMIT: usize = 512;

/// Reads every segment; leaves the last one open for writing.
pub(super) fn recover(config: WalConfig, applied: Option<LogId>) -> Result<Index, OpenError> {
    let dir = config.dir.clone();
    let disk = config.disk.clone();
    disk.create_dir(&dir).map_err(io_error("create", &dir))?;
    let mut numbers = Vec::new();
    for name in disk.list(&dir).map_err(io_error("list", &dir))? {
        if let Some(number) = name.strip_suffix(".wal").and_then(|n| n.parse::<u64>().ok()) {
            numbers.push(number);
        } else if spares::is_spare(&name) {
            let path = dir.join(name);
            disk.remove(&path).map_err(io_error("remove", &path))?;
        }
    }
    numbers.sort_unstable();
    let mut index = Index::new(config);
    for (position, &number) in numbers.iter().enumerate() {
        let path = segment_path(&dir, number);
        if position > 0 && number != numbers[position - 1] + 1 {
            let path = segment_path(&dir, numbers[position - 1] + 1);
            return Err(damaged(&path, 0, "the file is missing".to_owned()));
        }
        let file = disk.open(&path).map_err(io_error("open", &path))?;
        Segmented { path, number, file }.read(&mut index, position + 1 == numbers.len())?;
    }
    if numbers.is_empty() {
        create_first(&mut index)?;
    }
    check_start(&index)?;
    check_committed(&index, applied)?;
    Ok(index)
}

/// What was not purged can not be missing.
fn check_start(index: &Index) -> Result<(), OpenError> {
    let expected = index.purged.map_or(0, |id| id.index + 1);
    match index.slots.front() {
        Some(first) if first.id.index != expected => {
            let path = segment_path(&index.config.dir, first.segment);
            let problem = format!("the log begins with entry {}, entry {expected} is missing", first.id);
            Err(damaged(&path, first.at, problem))
        }
        _ => Ok(()),
    }
}

pub(super) fn create_first(index: &mut Index) -> Result<(), OpenError> {
    let number = 1;
    let path = segment_path(&index.config.dir, number);
    let file = index.config.disk.open(&path).map_err(io_error("create", &path))?;
    index.current = number;
    restart_segment(index, &path, &file)?;
    index.segments.insert(number, Segment { file: Some(file), ..Segment::default() });
    Ok(())
}

/// Writes the first record of the current segment.
fn restart_segment(index: &mut Index, path: &Path, file: &Arc<dyn DiskFile>) -> Result<(), OpenError> {
    let mut header = Vec::new();
    record::append_record(&index.start_record(index.current), &mut header);
    let written = file
        .truncate(0)
        .and_then(|()| file.write_at(&header, 0))
        .and_then(|()| file.sync())
        .and_then(|()| index.config.disk.sync_dir(&index.config.dir));
    written.map_err(io_error("write", path))?;
    index.len = header.len() as u64;
    Ok(())
}

/// What was committed can not be missing.
fn check_committed(index: &Index, applied: Option<LogId>) -> Result<(), OpenError> {
    let known = index.last_id().max(applied);
    if index.committed > known {
        let path = segment_path(&index.config.dir, index.current);
        let problem =
            format!("entries up to {:?} were committed, but the log ends at {known:?}", index.committed);
        return Err(damaged(&path, index.len, problem));
    }
    Ok(())
}

/// One segment file being read.
struct Segmented {
    path: PathBuf,
    number: u64,
    file: Arc<dyn DiskFile>,
}

impl Segmented {
    fn read(self, index: &mut Index, last: bool) -> Result<(), OpenError> {
        let len = self.file.len().map_err(io_error("read", &self.path))? as usize;
        let mut bytes = vec![0; len];
        self.file.read_at(&mut bytes, 0).map_err(io_error("read", &self.path))?;
        index.current = self.number;
        index.segments.insert(self.number, Segment { file: Some(self.file.clone()), ..Segment::default() });
        let mut at = 0;
        loop {
            match record::read(&bytes, at) {
                Found::Whole(record, len) => {
                    self.replay(index, record, at, len)?;
                    at += len;
                }
                Found::End => break,
                Found::Torn(_) if last && sabotage::is(Sabotage::TornTailKept) => {
                    at = len;
                    break;
                }
                Found::Torn(how) if last => {
                    tracing::warn!(file = %self.path.display(), at, cut = len - at, how, "cutting the tail of the log that a crash left; it was never acknowledged");
                    self.file
                        .truncate(at as u64)
                        .and_then(|()| self.file.sync())
                        .map_err(io_error("cut", &self.path))?;
                    break;
                }
                Found::Torn(how) => return Err(damaged(&self.path, at, how.to_owned())),
                Found::Damaged(problem) => return Err(damaged(&self.path, at, problem)),
            }
        }
        if last && !sabotage::is(Sabotage::StartNotSynced) {
            // What the last process had written but not synced was read from memory, and after a
            // failed sync the kernel does not write it again by itself.
            self.file
                .write_at(&bytes[..at], 0)
                .and_then(|()| self.file.sync())
                .map_err(io_error("sync", &self.path))?;
        }
        index.len = at as u64;
        if at == 0 {
            if len > FIRST_RECORD_LIMIT {
                return Err(damaged(&self.path, at, "the first record is missing".to_owned()));
            }
            // Not even the first record was written: nothing in it was acknowledged.
            restart_segment(index, &self.path, &self.file)?;
        }
        if !last && let Some(segment) = index.segments.get_mut(&self.number) {
            segment.len = index.len;
        }
        Ok(())
    }

    fn replay(&self, index: &mut Index, record: Record, at: usize, len: usize) -> Result<(), OpenError> {
        match record {
            Record::Start(start) => {
                if start.member != index.config.member {
                    return Err(OpenError::ForeignFolder {
                        path: index.config.dir.clone(),
                        found: start.member,
                        expected: index.config.member,
                    });
                }
                if start.segment != self.number {
                    return Err(damaged(&self.path, at, format!("it is segment {}", start.segment)));
                }
                if index.slots.is_empty() {
                    index.purged = index.purged.max(start.purged);
                }
                index.vote = start.vote.or(index.vote);
                index.committed = start.committed.or(index.committed);
            }
            Record::Entry(id) => {
                // Before the first entry, a later record may still tell what was purged.
                let known = index.slots.back().map(|slot| slot.id);
                if known.is_some_and(|last| id.index != last.index + 1) {
                    return Err(damaged(&self.path, at, format!("entry {id} follows {known:?}")));
                }
                let slot = Slot { id, segment: self.number, at: at as u64, len: len as u32, cached: None };
                index.slots.push_back(slot);
                index.uncached = index.slots.len();
                if let Some(segment) = index.segments.get_mut(&self.number) {
                    segment.last_index = segment.last_index.max(Some(id.index));
                }
            }
            Record::Vote(vote) => index.vote = Some(vote),
            Record::Committed(committed) => index.committed = committed,
            Record::Truncate(keep) => index.truncate_after(keep),
            Record::Purge(upto) => index.purge(upto),
        }
        Ok(())
    }
}

fn damaged(path: &Path, at: impl TryInto<u64>, problem: String) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), offset: at.try_into().unwrap_or(u64::MAX), problem }
}

pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io { action, path, source }
}
