//! Files of the log that nobody needs any more, made ready to be segments again.
//!
//! A write into a file that has its length and its room already costs the disk no change of metadata.
//! But recovery must tell what was never written from what was damaged, by its zeros. So a file is
//! filled with zeros, which are synced, before it can be a segment; that is not the writer's work.
//!
//! The name goes first, and for good: if a power cut gave an old segment its name back after its bytes
//! were gone, the log would be damaged. Spares that a process leaves behind are removed at start.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::WalConfig;
use super::writer::segment_path;
use crate::disk::DiskFile;
use crate::sabotage::{self, Sabotage};

/// Most of them, ready or not: as many as one snapshot frees.
const SPARES: usize = 4;
/// Zeros written before a sync, so that the log's own syncs do not wait long for them.
const PIECE: u64 = 1 << 20;
const NAME: &str = "spare-";

/// Whether a file of the log's folder is a spare.
pub(super) fn is_spare(name: &str) -> bool {
    name.starts_with(NAME)
}

/// The spares of one log; owned by its writer.
pub(super) struct Spares {
    config: WalConfig,
    ready: Arc<Mutex<Vec<PathBuf>>>,
    /// Held once more for each file that is being filled.
    filling: Arc<()>,
    made: u64,
    /// Who fills them; `None` where there is nobody.
    runtime: Option<tokio::runtime::Handle>,
}

impl Spares {
    pub(super) fn new(config: WalConfig) -> Spares {
        let (ready, filling) = Default::default();
        Spares { config, ready, filling, made: 0, runtime: tokio::runtime::Handle::try_current().ok() }
    }

    /// Takes the file of a segment that nobody needs or reads; false when it is not wanted.
    pub(super) fn keep(&mut self, segment: u64) -> io::Result<bool> {
        let Some(runtime) = &self.runtime else { return Ok(false) };
        if !self.config.room.is_plenty() {
            self.give_up()?;
            return Ok(false);
        }
        if self.count() >= SPARES {
            return Ok(false);
        }
        self.made += 1;
        let spare = self.config.dir.join(format!("{NAME}{}", self.made));
        self.config.disk.rename(&segment_path(&self.config.dir, segment), &spare)?;
        let file = self.config.disk.open(&spare)?;
        let (config, ready, filling) = (self.config.clone(), self.ready.clone(), self.filling.clone());
        runtime.spawn(async move {
            match fill(&config, file).await {
                Ok(()) => ready.lock().push(spare),
                // A disk that fails says so where somebody waits for it.
                Err(error) => tracing::debug!(%error, "cannot make a file of the log ready again"),
            }
            drop(filling);
        });
        Ok(true)
    }

    /// A file of zeros as long as a segment, under a name that is not a segment's yet.
    pub(super) fn take(&mut self) -> Option<PathBuf> {
        self.ready.lock().pop()
    }

    fn count(&self) -> usize {
        Arc::strong_count(&self.filling) - 1 + self.ready.lock().len()
    }

    /// What they take on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.count() as u64 * self.config.segment_bytes
    }

    /// Removes those that are ready: there is little room.
    fn give_up(&mut self) -> io::Result<()> {
        while let Some(spare) = self.take() {
            self.config.disk.remove(&spare)?;
        }
        Ok(())
    }
}

/// Fills a file whose name is a spare's with zeros.
async fn fill(config: &WalConfig, file: Arc<dyn DiskFile>) -> io::Result<()> {
    let (disk, dir) = (config.disk.clone(), config.dir.clone());
    if !sabotage::is(Sabotage::SpareNameNotSynced) {
        config.work.run(move || disk.sync_dir(&dir)).await??;
    }
    let len = config.segment_bytes;
    let mut at = 0;
    while at < len && !sabotage::is(Sabotage::SpareNotZeroed) {
        let (file, piece) = (file.clone(), PIECE.min(len - at));
        let written = move || {
            file.write_at(&vec![0; piece as usize], at)?;
            file.sync()
        };
        config.work.run(written).await??;
        at += piece;
    }
    let cut = move || {
        file.truncate(len)?;
        file.sync()
    };
    config.work.run(cut).await?
}
