//! A file that is synced while it is written.
//!
//! A snapshot of many hundred megabytes that is synced at its end makes every fsync of the log on
//! the same disk wait until it is through.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::DiskFile;

/// Bytes after which the file is synced.
const SYNC_EACH: u64 = 4 << 20;

pub(super) struct Paced {
    file: Arc<dyn DiskFile>,
    unsynced: AtomicU64,
}

impl Paced {
    pub(super) fn of(file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(Paced { file, unsynced: AtomicU64::new(0) })
    }
}

impl DiskFile for Paced {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.file.read_at(buffer, position)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.file.write_at(bytes, position)?;
        let len = bytes.len() as u64;
        if self.unsynced.fetch_add(len, Ordering::Relaxed) + len >= SYNC_EACH {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.unsynced.store(0, Ordering::Relaxed);
        self.file.sync()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
}
