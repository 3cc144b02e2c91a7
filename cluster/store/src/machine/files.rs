//! Snapshot files: written aside, synced, renamed; exactly one is current.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile};
use crate::error::OpenError;
use crate::machine::paced::Paced;
use crate::machine::{Root, Session, State};
use crate::object::MemberId;
use crate::raft::SnapshotMeta;
use crate::room::Room;
use crate::snapshot;

const SUFFIX: &str = ".snap";
const ASIDE: &str = ".aside";

/// A snapshot file, open.
#[derive(Clone)]
pub(crate) struct Blob {
    pub path: PathBuf,
    pub file: Arc<dyn DiskFile>,
}

impl Blob {
    /// Reads from the start.
    pub(crate) fn reader(&self) -> BlobReader {
        BlobReader { file: self.file.clone(), position: 0 }
    }

    /// Reads from a position.
    pub(crate) fn reader_at(&self, position: u64) -> BlobReader {
        BlobReader { file: self.file.clone(), position }
    }

    /// Writes from the start.
    pub(crate) fn writer(&self) -> BlobWriter {
        BlobWriter { file: self.file.clone(), position: 0 }
    }
}

pub(crate) struct BlobReader {
    file: Arc<dyn DiskFile>,
    position: u64,
}

impl io::Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.file.len()?.saturating_sub(self.position);
        let len = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.file.read_at(&mut buffer[..len], self.position)?;
        self.position += len as u64;
        Ok(len)
    }
}

pub(crate) struct BlobWriter {
    file: Arc<dyn DiskFile>,
    position: u64,
}

impl io::Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, self.position)?;
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The folder of snapshot files.
pub(crate) struct SnapshotFiles {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    room: Arc<Room>,
    current: Mutex<Option<(SnapshotMeta, Blob)>>,
    next_aside: AtomicU64,
}

impl SnapshotFiles {
    /// Opens the folder and loads the newest snapshot.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        room: Arc<Room>,
    ) -> Result<(Arc<SnapshotFiles>, State), OpenError> {
        let io_error = |action, path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { action, path, source }
        };
        disk.create_dir(&dir).map_err(io_error("create", &dir))?;
        let mut newest = None;
        for name in disk.list(&dir).map_err(io_error("list", &dir))? {
            if name.ends_with(SUFFIX) {
                newest = Some(name);
            } else if name.ends_with(ASIDE) {
                let path = dir.join(name);
                disk.remove(&path).map_err(io_error("remove", &path))?;
            }
        }
        let files =
            SnapshotFiles { disk, dir, room, current: Mutex::new(None), next_aside: AtomicU64::new(0) };
        let mut state = State::default();
        if let Some(name) = newest {
            let path = files.dir.join(name);
            let file = files.disk.open(&path).map_err(io_error("open", &path))?;
            let blob = Blob { path: path.clone(), file };
            state = snapshot::read(&mut io::BufReader::with_capacity(1 << 20, blob.reader()))
                .map_err(|e| OpenError::Damaged { path: path.clone(), offset: 0, problem: e.to_string() })?;
            let meta = SnapshotMeta {
                last_log_id: state.root.applied,
                last_membership: state.root.membership.clone(),
            };
            *files.current.lock() = Some((meta, blob));
            files.remove_others(&path).map_err(io_error("clean up beside", &path))?;
        }
        Ok((Arc::new(files), state))
    }

    pub(crate) fn current(&self) -> Option<(SnapshotMeta, Blob)> {
        self.current.lock().clone()
    }

    /// A new file that is not a snapshot yet.
    pub(crate) fn create(&self) -> io::Result<Blob> {
        let number = self.next_aside.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{number}{ASIDE}"));
        let file = Paced::of(self.disk.open(&path)?);
        file.truncate(0)?;
        Ok(Blob { path, file })
    }

    /// Removes a file that will not become a snapshot.
    pub(crate) fn discard(&self, blob: &Blob) -> io::Result<()> {
        self.disk.remove(&blob.path)
    }

    /// Writes a state as the current snapshot; blocking.
    pub(crate) fn save(&self, state: &State) -> io::Result<Blob> {
        let root = &state.root;
        let meta = SnapshotMeta { last_log_id: root.applied, last_membership: root.membership.clone() };
        self.write(root, &state.sessions, &meta)
    }

    /// Writes a root and its sessions as the current snapshot; blocking.
    pub(crate) fn write(
        &self,
        root: &Root,
        sessions: &BTreeMap<MemberId, Session>,
        meta: &SnapshotMeta,
    ) -> io::Result<Blob> {
        let aside = self.room.make(|| self.write_aside(root, sessions))?;
        self.adopt(meta, &aside)
    }

    fn write_aside(&self, root: &Root, sessions: &BTreeMap<MemberId, Session>) -> io::Result<Blob> {
        let aside = self.create()?;
        let mut out = io::BufWriter::with_capacity(1 << 20, aside.writer());
        let written = snapshot::write(root, sessions, &mut out).and_then(|()| io::Write::flush(&mut out));
        // What was not written is not written when the buffer is dropped, either.
        drop(out.into_parts());
        match written.and_then(|()| aside.file.sync()) {
            Ok(()) => Ok(aside),
            Err(error) => {
                self.discard(&aside)?;
                Err(error)
            }
        }
    }

    /// Makes a written file the current snapshot, unless a newer one is; removes the others.
    pub(crate) fn adopt(&self, meta: &SnapshotMeta, aside: &Blob) -> io::Result<Blob> {
        if let Some((newer, blob)) = self.current()
            && newer.last_log_id >= meta.last_log_id
        {
            self.discard(aside)?;
            return Ok(blob);
        }
        aside.file.sync()?;
        let (index, term, node) = meta
            .last_log_id
            .as_ref()
            .map_or((0, 0, 0), |id| (id.index, id.leader_id.term, id.leader_id.node_id));
        let path = self.dir.join(format!("{index:020}-{term:010}-{node}{SUFFIX}"));
        self.disk.rename(&aside.path, &path)?;
        self.disk.sync_dir(&self.dir)?;
        let blob = Blob { path: path.clone(), file: aside.file.clone() };
        *self.current.lock() = Some((meta.clone(), blob.clone()));
        self.remove_others(&path)?;
        Ok(blob)
    }

    fn remove_others(&self, keep: &Path) -> io::Result<()> {
        for name in self.disk.list(&self.dir)? {
            let path = self.dir.join(&name);
            if name.ends_with(SUFFIX) && path != keep {
                self.disk.remove(&path)?;
            }
        }
        Ok(())
    }
}
