//! The one thread that writes the log.
//!
//! It takes every job that waits, writes them in order, syncs once, and then tells all who waited.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use super::spares::Spares;
use super::{Index, WalConfig};
use crate::disk::DiskFile;
use crate::error::OpenError;
use crate::raft::Types;
use crate::sabotage::{self, Sabotage};
use crate::work::{Pace, Work};

/// Most bytes written before a sync.
const GROUP_BYTES: usize = 16 << 20;

/// Zeros written ahead of the log, so that the fsync of a small record changes no metadata of the
/// file: on a journalling or block-mapped file system that halves it.
const PREPARED_BYTES: u64 = 1 << 20;
/// A larger write does not care: its bytes cost more than its metadata.
const SMALL_WRITE: usize = 4 << 10;

/// Something to write.
pub(super) enum Job {
    /// Records for a segment.
    Write { segment: u64, at: u64, bytes: Vec<u8>, sync: bool, done: Done },
    /// The next segment, with its first record.
    Create { segment: u64, header: Vec<u8> },
    /// Segments that nobody needs, and whether nobody reads them, either.
    Remove { segments: Vec<(u64, bool)> },
    /// The end.
    Close,
}

/// Who waits for the sync.
pub(super) enum Done {
    Nobody,
    Raft(IOFlushed<Types>),
    Caller(oneshot::Sender<io::Result<()>>),
}

impl Done {
    fn tell(self, result: io::Result<()>) {
        match self {
            Done::Nobody => {}
            Done::Raft(callback) => callback.io_completed(result),
            // The caller may have been cancelled: nobody is left to tell.
            Done::Caller(sender) => drop(sender.send(result)),
        }
    }
}

pub(super) fn stopped() -> io::Error {
    io::Error::other("the log is closed")
}

/// The handle of the thread.
pub(super) struct Writer {
    jobs: mpsc::UnboundedSender<Job>,
    fault: watch::Receiver<Option<String>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(index: Arc<Mutex<Index>>) -> Result<Writer, OpenError> {
        let (jobs, queue) = mpsc::unbounded_channel();
        let (fault, fault_seen) = watch::channel(None);
        let (config, current, file) = {
            let index = index.lock();
            let file = index.segments.get(&index.current).and_then(|s| s.file.clone());
            (index.config.clone(), index.current, file)
        };
        let path = config.dir.clone();
        let Some(file) = file else {
            return Err(OpenError::Damaged { path, offset: 0, problem: "no segment".to_owned() });
        };
        let work = config.work.clone();
        let (failed, synced) = (None, (0, 0));
        let spares = Spares::new(config.clone());
        let thread =
            Thread { index, config, current, file, fault, failed, synced, end: 0, prepared: 0, spares };
        let thread = match work {
            Work::Paced(pace) => {
                drop(tokio::spawn(thread.run_paced(queue, pace)));
                None
            }
            Work::Threads => {
                let builder = std::thread::Builder::new().name("store-log".to_owned());
                let thread = builder.spawn(move || thread.run(queue));
                Some(thread.map_err(|source| OpenError::Io {
                    action: "start the log thread for",
                    path,
                    source,
                })?)
            }
        };
        Ok(Writer { jobs, fault: fault_seen, thread: Mutex::new(thread) })
    }

    /// Hands over jobs; called under the index's lock, so that their order is the index's.
    pub(super) fn submit(&self, jobs: Vec<Job>) {
        for job in jobs {
            if let Err(mpsc::error::SendError(Job::Write { done, .. })) = self.jobs.send(job) {
                done.tell(Err(stopped()));
            }
        }
    }

    pub(super) fn fault(&self) -> watch::Receiver<Option<String>> {
        self.fault.clone()
    }

    pub(super) fn close(&self) {
        self.submit(vec![Job::Close]);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the log thread panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.submit(vec![Job::Close]);
    }
}

struct Thread {
    index: Arc<Mutex<Index>>,
    config: WalConfig,
    current: u64,
    file: Arc<dyn DiskFile>,
    fault: watch::Sender<Option<String>>,
    /// Nothing is written after a failure.
    failed: Option<(io::ErrorKind, String)>,
    /// Segment and position up to which everything is on the disk.
    synced: (u64, u64),
    /// End of what was written to the file, and of the zeros after it.
    end: u64,
    prepared: u64,
    spares: Spares,
}

/// Jobs that share a sync.
#[derive(Default)]
struct Group {
    waiting: Vec<Done>,
    sync: bool,
    end: (u64, u64),
    bytes: usize,
    remove: Vec<(u64, bool)>,
    close: bool,
}

impl Thread {
    fn run(mut self, mut queue: mpsc::UnboundedReceiver<Job>) {
        while let Some(first) = queue.blocking_recv() {
            let (group, result) = self.take_all(first, &mut queue);
            if self.settle(group, result) {
                return;
            }
        }
    }

    /// [`Thread::run`] as a task, with the time between a write and its sync that the pace gives.
    async fn run_paced(mut self, mut queue: mpsc::UnboundedReceiver<Job>, pace: Pace) {
        while let Some(first) = queue.recv().await {
            let (mut group, result) = self.take_all(first, &mut queue);
            if sabotage::is(Sabotage::AckBeforeSync) {
                group.waiting.drain(..).for_each(|done| done.tell(Ok(())));
            }
            pace().await;
            if self.settle(group, result) {
                return;
            }
        }
    }

    /// Writes what waits.
    fn take_all(&mut self, first: Job, queue: &mut mpsc::UnboundedReceiver<Job>) -> (Group, io::Result<()>) {
        let mut group = Group::default();
        let mut result = self.take(first, &mut group);
        while result.is_ok() && !group.close && group.bytes < GROUP_BYTES {
            match queue.try_recv() {
                Ok(job) => result = self.take(job, &mut group),
                Err(_) => break,
            }
        }
        (group, result)
    }

    /// Syncs what was written and tells who waits; true at the end.
    fn settle(&mut self, mut group: Group, result: io::Result<()>) -> bool {
        if let Err(error) = result.and_then(|()| self.finish(&mut group)) {
            self.fail(&error, &mut group);
        }
        group.close
    }

    /// Writes one job; who waits is told later.
    fn take(&mut self, job: Job, group: &mut Group) -> io::Result<()> {
        match job {
            Job::Close => {
                group.close = true;
                group.sync = true;
                self.again()?;
                self.cut_prepared()
            }
            Job::Write { done, .. } if self.failed.is_some() => {
                group.waiting.push(done);
                self.again()
            }
            _ if self.failed.is_some() => self.again(),
            Job::Write { segment, at, bytes, sync, done } => {
                group.waiting.push(done);
                group.sync |= sync;
                group.bytes += bytes.len();
                self.end = at + bytes.len() as u64;
                group.end = (segment, self.end);
                self.config.metrics.log_written.inc_by(bytes.len() as u64);
                self.config.room.make(|| self.file.write_at(&bytes, at))
            }
            Job::Create { segment, header } => {
                self.cut_prepared()?;
                self.file.sync()?;
                let file = self.create(segment, &header)?;
                self.file = file.clone();
                self.current = segment;
                self.end = header.len() as u64;
                group.sync = true;
                if let Some(known) = self.index.lock().segments.get_mut(&segment) {
                    known.file = Some(file);
                }
                Ok(())
            }
            Job::Remove { segments } => {
                group.remove.extend(segments);
                Ok(())
            }
        }
    }

    /// The file of the next segment, with its first record.
    fn create(&mut self, segment: u64, header: &[u8]) -> io::Result<Arc<dyn DiskFile>> {
        let WalConfig { disk, dir, room, .. } = &self.config;
        let path = segment_path(dir, segment);
        let file = if let Some(spare) = self.spares.take() {
            let file = disk.open(&spare)?;
            file.write_at(header, 0)?;
            file.sync()?;
            disk.rename(&spare, &path)?;
            self.prepared = self.config.segment_bytes;
            disk.open(&path)?
        } else {
            let made = room.make(|| {
                let file = disk.open(&path)?;
                file.truncate(0)?;
                file.write_at(header, 0)?;
                Ok(file)
            })?;
            // At start, a segment without a whole first record must hold nothing else.
            made.sync()?;
            made
        };
        disk.sync_dir(dir)?;
        Ok(file)
    }

    fn again(&self) -> io::Result<()> {
        match &self.failed {
            Some((kind, problem)) => Err(io::Error::new(*kind, problem.clone())),
            None => Ok(()),
        }
    }

    /// Writes zeros behind the last record when a small one has used up those before, and nobody
    /// waits for it. Read back after a crash they are the end of the log.
    fn prepare(&mut self, written: usize) -> io::Result<()> {
        if written > SMALL_WRITE || self.end <= self.prepared || !self.config.room.is_plenty() {
            return Ok(());
        }
        self.prepared = (self.end + PREPARED_BYTES).min(self.config.segment_bytes.max(self.end));
        let zeros = vec![0; (self.prepared - self.end) as usize];
        if let Err(error) = self.file.write_at(&zeros, self.end) {
            // Only the speed depends on it: a disk that is full or failing will say so again.
            tracing::debug!(%error, "cannot prepare the log");
        }
        self.file.sync()
    }

    /// A file that is left ends with its last record.
    fn cut_prepared(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.prepared) > self.end {
            self.file.truncate(self.end)?;
        }
        Ok(())
    }

    fn finish(&mut self, group: &mut Group) -> io::Result<()> {
        self.again()?;
        if group.sync {
            let started = Instant::now();
            self.file.sync()?;
            self.config.metrics.fsync.observe(started.elapsed().as_secs_f64());
            self.synced = self.synced.max(group.end);
        }
        for done in group.waiting.drain(..) {
            done.tell(Ok(()));
        }
        for (segment, unread) in group.remove.drain(..) {
            if unread && self.spares.keep(segment)? {
                continue;
            }
            let path = segment_path(&self.config.dir, segment);
            match self.config.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let mut index = self.index.lock();
        index.evict(self.synced);
        self.config.metrics.log_bytes.set((index.bytes_on_disk() + self.spares.bytes()) as i64);
        drop(index);
        if group.sync && !group.close { self.prepare(group.bytes) } else { Ok(()) }
    }

    /// Nothing is written after a failure: what the disk holds is not known any more.
    fn fail(&mut self, error: &io::Error, group: &mut Group) {
        if self.failed.is_none() {
            let path = segment_path(&self.config.dir, self.current);
            let problem = format!("cannot write the log {}: {error}", path.display());
            tracing::error!("{problem}; this member stops taking part");
            self.file.forget();
            self.fault.send_replace(Some(problem.clone()));
            self.failed = Some((error.kind(), problem));
        }
        for done in group.waiting.drain(..) {
            done.tell(self.again());
        }
    }
}

pub(super) fn segment_path(dir: &Path, segment: u64) -> std::path::PathBuf {
    dir.join(format!("{segment:016}.wal"))
}
