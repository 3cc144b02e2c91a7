//! A snapshot that comes in, piece by piece. What a broken connection leaves unfinished is kept, and
//! the next connection goes on from there.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::machine::{Blob, SnapshotFiles};
use crate::object::MemberId;
use crate::peer::wire::SnapshotStart;
use crate::raft::LogId;
use crate::snapshot;
use crate::work::Work;

/// Which bytes these are: a member sends the same ones for the same log entry again, as long as it
/// has that snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin {
    from: MemberId,
    last: Option<LogId>,
    len: u64,
}

/// A snapshot that is not whole yet.
struct Transfer {
    origin: Origin,
    blob: Blob,
    /// Bytes that are there.
    have: AtomicU64,
    /// Which connection writes to it: the newest one, however long an older one takes to end.
    turn: AtomicU64,
    /// Held by that connection.
    busy: Arc<Semaphore>,
}

/// How long a connection waits for the one before to have stored what had come.
const DRAIN: Duration = Duration::from_secs(1);

/// The door of a member through which snapshots come in, one at a time.
pub(crate) struct Inbox {
    files: Arc<SnapshotFiles>,
    work: Work,
    unfinished: Mutex<Option<Arc<Transfer>>>,
}

/// One connection's part in a snapshot. When it ends early, what came is kept for the next one.
pub(super) struct Receiving {
    inbox: Arc<Inbox>,
    pub id: u64,
    pub start: SnapshotStart,
    transfer: Arc<Transfer>,
    turn: u64,
    resumed: bool,
    _busy: Option<OwnedSemaphorePermit>,
}

impl Inbox {
    pub(crate) fn new(files: Arc<SnapshotFiles>, work: Work) -> Arc<Inbox> {
        Arc::new(Inbox { files, work, unfinished: Mutex::new(None) })
    }

    /// Begins, or goes on with what is there already: see [`Receiving::have`].
    pub(super) async fn begin(
        self: &Arc<Self>,
        from: MemberId,
        id: u64,
        start: SnapshotStart,
    ) -> io::Result<Receiving> {
        let origin = Origin { from, last: start.meta.last_log_id, len: start.len };
        let before = self.unfinished.lock().as_ref().filter(|kept| kept.origin == origin).cloned();
        if let Some(before) = before {
            // Nobody closes the semaphore; when the time is over, this connection takes over.
            drop(tokio::time::timeout(DRAIN, before.busy.acquire()).await);
        }
        let mut unfinished = self.unfinished.lock();
        let transfer = match unfinished.take() {
            Some(same) if same.origin == origin => same,
            other => {
                if let Some(other) = other {
                    other.turn.fetch_add(1, Ordering::SeqCst);
                    self.files.discard(&other.blob)?;
                }
                let blob = self.files.create()?;
                let (have, turn) = (AtomicU64::new(0), AtomicU64::new(0));
                Arc::new(Transfer { origin, blob, have, turn, busy: Arc::new(Semaphore::new(1)) })
            }
        };
        let turn = transfer.turn.fetch_add(1, Ordering::SeqCst) + 1;
        let have = transfer.have.load(Ordering::SeqCst);
        let busy = transfer.busy.clone().try_acquire_owned().ok();
        *unfinished = Some(transfer.clone());
        drop(unfinished);
        if have > 0 {
            tracing::debug!(from, have, of = start.len, "going on with a snapshot");
        }
        Ok(Receiving { inbox: self.clone(), id, start, transfer, turn, resumed: have > 0, _busy: busy })
    }
}

impl Receiving {
    /// Bytes that need not be sent.
    pub(super) fn have(&self) -> u64 {
        self.transfer.have.load(Ordering::SeqCst)
    }

    /// Takes the next bytes.
    pub(super) async fn part(&mut self, bytes: Bytes) -> io::Result<()> {
        self.check_turn()?;
        let (at, len) = (self.have(), bytes.len() as u64);
        let file = self.transfer.blob.file.clone();
        // A connection that goes on meanwhile writes the same bytes to the same place.
        self.inbox.work.run(move || file.write_at(&bytes, at)).await??;
        // Under the lock: nobody takes over between the question and the answer.
        let unfinished = self.inbox.unfinished.lock();
        let counted = self.check_turn();
        if counted.is_ok() {
            self.transfer.have.store(at + len, Ordering::SeqCst);
        }
        drop(unfinished);
        counted
    }

    fn check_turn(&self) -> io::Result<()> {
        match self.transfer.turn.load(Ordering::SeqCst) == self.turn {
            true => Ok(()),
            false => Err(io::Error::other("another connection goes on with this snapshot")),
        }
    }

    /// The whole snapshot. What was damaged at the sender, or does not fit together after several
    /// connections, is thrown away: whoever installs a snapshot can not go on without it.
    pub(super) async fn finish(self) -> io::Result<Blob> {
        self.check_turn()?;
        let blob = self.transfer.blob.clone();
        let (have, len) = (self.have(), self.transfer.origin.len);
        let whole = if have != len {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{have} of {len} bytes came")))
        } else if self.resumed {
            let reader = blob.reader();
            let read = move || snapshot::read(&mut io::BufReader::with_capacity(1 << 20, reader)).map(drop);
            self.inbox.work.run(read).await?
        } else {
            let reader = blob.reader();
            let check = move || snapshot::check(&mut io::BufReader::with_capacity(1 << 20, reader));
            self.inbox.work.run(check).await?
        };
        self.check_turn()?;
        self.inbox.unfinished.lock().take_if(|kept| Arc::ptr_eq(kept, &self.transfer));
        if whole.is_err() {
            self.inbox.files.discard(&blob)?;
        }
        whole.map(|()| blob)
    }
}
