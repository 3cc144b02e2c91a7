//! A disk whose syncs can be made to fail.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use store::{Disk, DiskFile, HostDisk};

#[derive(Default)]
pub struct FailingDisk {
    pub fails: Arc<AtomicBool>,
}

struct FailingFile(Arc<dyn DiskFile>, Arc<AtomicBool>);

impl Disk for FailingDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        HostDisk.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        HostDisk.list(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FailingFile(HostDisk.open(path)?, self.fails.clone())))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        HostDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        HostDisk.remove(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        HostDisk.sync_dir(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        HostDisk.lock(path)
    }
}

impl DiskFile for FailingFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.0.read_at(buffer, position)
    }
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write_at(bytes, position)
    }
    fn sync(&self) -> io::Result<()> {
        if self.1.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { self.0.sync() }
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
}
