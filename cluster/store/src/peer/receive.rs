//! A snapshot that comes in, piece by piece. What a broken connection leaves unfinished is kept, and
//! the next connection goes on from there.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

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

/// The door of a member through which snapshots come in.
pub(crate) struct Inbox {
    files: Arc<SnapshotFiles>,
    work: Work,
    unfinished: Mutex<Option<(Origin, Blob, u64)>>,
}

/// One snapshot under way. Dropped before its end, it is kept for later.
pub(super) struct Receiving {
    inbox: Arc<Inbox>,
    pub id: u64,
    pub start: SnapshotStart,
    origin: Origin,
    blob: Option<Blob>,
    /// Bytes that are there.
    have: u64,
    resumed: bool,
}

impl Inbox {
    pub(crate) fn new(files: Arc<SnapshotFiles>, work: Work) -> Arc<Inbox> {
        Arc::new(Inbox { files, work, unfinished: Mutex::new(None) })
    }

    /// Begins, or goes on with what is there already: see [`Receiving::have`].
    pub(super) fn begin(
        self: &Arc<Self>,
        from: MemberId,
        id: u64,
        start: SnapshotStart,
    ) -> io::Result<Receiving> {
        let origin = Origin { from, last: start.meta.last_log_id, len: start.len };
        let inbox = self.clone();
        let unfinished = self.unfinished.lock().take();
        let (blob, have) = match unfinished {
            Some((same, blob, have)) if same == origin => {
                tracing::debug!(from, have, of = start.len, "going on with a snapshot");
                (blob, have)
            }
            other => {
                if let Some((_, blob, _)) = other {
                    self.files.discard(&blob)?;
                }
                (self.files.create()?, 0)
            }
        };
        Ok(Receiving { inbox, id, start, origin, blob: Some(blob), have, resumed: have > 0 })
    }
}

impl Receiving {
    /// Bytes that need not be sent.
    pub(super) fn have(&self) -> u64 {
        self.have
    }

    /// Takes the next bytes.
    pub(super) async fn part(&mut self, bytes: Bytes) -> io::Result<()> {
        let Some(file) = self.blob.as_ref().map(|blob| blob.file.clone()) else { return Ok(()) };
        let (at, len) = (self.have, bytes.len() as u64);
        self.inbox.work.run(move || file.write_at(&bytes, at)).await??;
        self.have += len;
        Ok(())
    }

    /// The whole snapshot. One that was put together over several connections is read once before:
    /// if it does not fit together, it is thrown away.
    pub(super) async fn finish(mut self) -> io::Result<Blob> {
        let Some(blob) = self.blob.take() else { return Err(io::ErrorKind::NotFound.into()) };
        let whole = if self.have != self.origin.len {
            let problem = format!("{} of {} bytes came", self.have, self.origin.len);
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, problem))
        } else if self.resumed {
            let reader = blob.reader();
            let read = move || snapshot::read(&mut io::BufReader::with_capacity(1 << 20, reader)).map(drop);
            self.inbox.work.run(read).await?
        } else {
            Ok(())
        };
        if whole.is_err() {
            self.inbox.files.discard(&blob)?;
        }
        whole.map(|()| blob)
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        let Some(blob) = self.blob.take() else { return };
        let older = self.inbox.unfinished.lock().replace((self.origin, blob, self.have));
        if let Some((_, blob, _)) = older
            && let Err(error) = self.inbox.files.discard(&blob)
        {
            tracing::warn!(%error, "cannot remove a snapshot that was not received whole");
        }
    }
}
