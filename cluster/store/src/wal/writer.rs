//! The one thread that writes the log.
//!
//! It takes every job that waits, writes them in order, syncs once, and then tells all who waited.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::{Index, WalConfig};
use crate::disk::DiskFile;
use crate::error::OpenError;
use crate::raft::Types;

/// Most bytes written before a sync.
const GROUP_BYTES: usize = 16 << 20;

/// Something to write.
pub(super) enum Job {
    /// Records for a segment.
    Write { segment: u64, at: u64, bytes: Vec<u8>, sync: bool, done: Done },
    /// The next segment, with its first record.
    Create { segment: u64, header: Vec<u8> },
    /// Segments that nobody needs.
    Remove { segments: Vec<u64> },
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
    jobs: mpsc::Sender<Job>,
    fault: watch::Receiver<Option<String>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(index: Arc<Mutex<Index>>) -> Result<Writer, OpenError> {
        let (jobs, queue) = mpsc::channel();
        let (fault_sender, fault) = watch::channel(None);
        let (config, current, file) = {
            let index = index.lock();
            let file = index.segments.get(&index.current).and_then(|s| s.file.clone());
            (index.config.clone(), index.current, file)
        };
        let path = config.dir.clone();
        let Some(file) = file else {
            return Err(OpenError::Damaged { path, offset: 0, problem: "no segment".to_owned() });
        };
        let thread = Thread { index, config, current, file, fault: fault_sender, synced: (0, 0) };
        let thread = std::thread::Builder::new()
            .name("store-log".to_owned())
            .spawn(move || thread.run(&queue))
            .map_err(|source| OpenError::Io { action: "start the log thread for", path, source })?;
        Ok(Writer { jobs, fault, thread: Mutex::new(Some(thread)) })
    }

    /// Hands over jobs; called under the index's lock, so that their order is the index's.
    pub(super) fn submit(&self, jobs: Vec<Job>) {
        for job in jobs {
            if let Err(mpsc::SendError(Job::Write { done, .. })) = self.jobs.send(job) {
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
    /// Segment and position up to which everything is on the disk.
    synced: (u64, u64),
}

/// Jobs that share a sync.
#[derive(Default)]
struct Group {
    waiting: Vec<Done>,
    sync: bool,
    end: (u64, u64),
    bytes: usize,
    remove: Vec<u64>,
    close: bool,
}

impl Thread {
    fn run(mut self, queue: &mpsc::Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let mut group = Group::default();
            let mut result = self.take(first, &mut group);
            while result.is_ok() && !group.close && group.bytes < GROUP_BYTES {
                match queue.try_recv() {
                    Ok(job) => result = self.take(job, &mut group),
                    Err(_) => break,
                }
            }
            let close = group.close;
            if let Err(error) = result.and_then(|()| self.finish(&mut group)) {
                self.fail(&error, group, queue);
                return;
            }
            if close {
                return;
            }
        }
    }

    /// Writes one job; who waits is told later.
    fn take(&mut self, job: Job, group: &mut Group) -> io::Result<()> {
        match job {
            Job::Write { segment, at, bytes, sync, done } => {
                group.waiting.push(done);
                group.sync |= sync;
                group.bytes += bytes.len();
                group.end = (segment, at + bytes.len() as u64);
                self.config.metrics.log_written.inc_by(bytes.len() as u64);
                self.file.write_at(&bytes, at)
            }
            Job::Create { segment, header } => {
                self.file.sync()?;
                let path = segment_path(&self.config.dir, segment);
                let file = self.config.disk.open(&path)?;
                file.truncate(0)?;
                file.write_at(&header, 0)?;
                // At start, a segment without a whole first record must hold nothing else.
                file.sync()?;
                self.config.disk.sync_dir(&self.config.dir)?;
                self.file = file.clone();
                self.current = segment;
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
            Job::Close => {
                group.close = true;
                group.sync = true;
                Ok(())
            }
        }
    }

    fn finish(&mut self, group: &mut Group) -> io::Result<()> {
        if group.sync {
            let started = Instant::now();
            self.file.sync()?;
            self.config.metrics.fsync.observe(started.elapsed().as_secs_f64());
            self.synced = self.synced.max(group.end);
        }
        for done in group.waiting.drain(..) {
            done.tell(Ok(()));
        }
        for segment in group.remove.drain(..) {
            let path = segment_path(&self.config.dir, segment);
            match self.config.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let mut index = self.index.lock();
        index.evict(self.synced);
        self.config.metrics.log_bytes.set(index.bytes_on_disk() as i64);
        Ok(())
    }

    /// Nothing is written after a failure: what the disk holds is not known any more.
    fn fail(self, error: &io::Error, group: Group, queue: &mpsc::Receiver<Job>) {
        let path = segment_path(&self.config.dir, self.current);
        let problem = format!("cannot write the log {}: {error}", path.display());
        tracing::error!("{problem}; this member stops taking part");
        let again = || io::Error::new(error.kind(), problem.clone());
        self.fault.send_replace(Some(problem.clone()));
        for done in group.waiting {
            done.tell(Err(again()));
        }
        while let Ok(job) = queue.recv() {
            match job {
                Job::Write { done, .. } => done.tell(Err(again())),
                Job::Close => return,
                Job::Create { .. } | Job::Remove { .. } => {}
            }
        }
    }
}

pub(super) fn segment_path(dir: &Path, segment: u64) -> std::path::PathBuf {
    dir.join(format!("{segment:016}.wal"))
}
