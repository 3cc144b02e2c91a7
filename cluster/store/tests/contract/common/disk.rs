//! A disk whose syncs can be made to fail, and that can be small.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use store::{Disk, DiskFile, DiskSpace, HostDisk};

#[derive(Default, Clone)]
pub struct FailingDisk {
    pub fails: Arc<AtomicBool>,
    pub quota: Arc<Quota>,
}

/// The bytes that one member's files, and those of somebody else, may take.
pub struct Quota {
    pub total: AtomicU64,
    pub others: AtomicU64,
    files: Mutex<HashMap<PathBuf, u64>>,
}

impl Default for Quota {
    fn default() -> Quota {
        Quota { total: AtomicU64::new(u64::MAX >> 8), others: AtomicU64::new(0), files: Mutex::default() }
    }
}

impl Quota {
    pub fn of(total: u64) -> Arc<Quota> {
        let quota = Quota::default();
        quota.total.store(total, Ordering::SeqCst);
        Arc::new(quota)
    }

    /// Somebody else takes what is left.
    pub fn fill(&self) {
        let used: u64 = self.files.lock().expect("not poisoned").values().sum();
        self.others.store(self.total.load(Ordering::SeqCst) - used, Ordering::SeqCst);
    }

    fn free(&self) -> u64 {
        let used: u64 = self.files.lock().expect("not poisoned").values().sum();
        self.total.load(Ordering::SeqCst).saturating_sub(used + self.others.load(Ordering::SeqCst))
    }

    /// A file gets this length.
    fn set(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut files = self.files.lock().expect("not poisoned");
        let others = self.others.load(Ordering::SeqCst);
        let others: u64 =
            others + files.iter().filter(|(other, _)| *other != path).map(|(_, len)| len).sum::<u64>();
        let old = files.get(path).copied().unwrap_or(0);
        if len > old && others + len > self.total.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        files.insert(path.to_owned(), len);
        Ok(())
    }
}

struct FailingFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    disk: FailingDisk,
}

impl Disk for FailingDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        HostDisk.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        HostDisk.list(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = HostDisk.open(path)?;
        self.quota.set(path, file.len()?)?;
        Ok(Arc::new(FailingFile { file, path: path.to_owned(), disk: self.clone() }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        HostDisk.rename(from, to)?;
        let mut files = self.quota.files.lock().expect("not poisoned");
        if let Some(len) = files.remove(from) {
            files.insert(to.to_owned(), len);
        }
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.quota.files.lock().expect("not poisoned").remove(path);
        HostDisk.remove(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        HostDisk.sync_dir(path)
    }
    fn space(&self, _: &Path) -> io::Result<Option<DiskSpace>> {
        let total = self.quota.total.load(Ordering::SeqCst);
        Ok(Some(DiskSpace { free: self.quota.free(), total }))
    }
    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.quota.set(path, bytes)?;
        HostDisk.open(path)?.truncate(bytes)
    }
    fn length(&self, path: &Path) -> Option<u64> {
        HostDisk.length(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        HostDisk.lock(path)
    }
}

impl DiskFile for FailingFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.file.read_at(buffer, position)
    }
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let end = position + bytes.len() as u64;
        // The name is the one it was opened by: a file that was renamed is not written any more.
        self.disk.quota.set(&self.path, self.file.len()?.max(end))?;
        self.file.write_at(bytes, position)
    }
    fn sync(&self) -> io::Result<()> {
        if self.disk.fails.load(Ordering::SeqCst) {
            Err(io::Error::other("the disk does not answer"))
        } else {
            self.file.sync()
        }
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.quota.set(&self.path, len)?;
        self.file.truncate(len)
    }
}
