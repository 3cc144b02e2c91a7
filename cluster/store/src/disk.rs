//! The disk, as the store sees it: few operations, each with a clear meaning, so that a simulator
//! can stand in for the real one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the files are. Blocking: called from threads that may wait.
pub trait Disk: Send + Sync + 'static {
    /// Makes a directory and its parents.
    ///
    /// # Errors
    /// What the operating system says.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// What the operating system says.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Opens a file for reading and appending; makes it when missing.
    ///
    /// # Errors
    /// What the operating system says.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Puts a file in the place of another, atomically.
    ///
    /// # Errors
    /// What the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes created, renamed and removed names of a directory survive a power cut.
    ///
    /// # Errors
    /// What the operating system says.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// How much room the disk of a folder has; `None` when that can not be told.
    ///
    /// # Errors
    /// What the operating system says.
    fn space(&self, path: &Path) -> io::Result<Option<DiskSpace>> {
        let _ = path;
        Ok(None)
    }
    /// Makes a file of this size that really takes its room; nothing is left of it on an error.
    ///
    /// # Errors
    /// What the operating system says.
    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let _ = (path, bytes);
        Err(io::ErrorKind::Unsupported.into())
    }
    /// The length of a file; `None` when there is none.
    fn length(&self, path: &Path) -> Option<u64> {
        let _ = path;
        None
    }
    /// Takes the lock file of a data folder, held until the value is dropped; `None` when another
    /// process holds it.
    ///
    /// # Errors
    /// What the operating system says.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>>;
}

/// Bytes of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DiskSpace {
    /// Those that we may still write.
    pub free: u64,
    /// All.
    pub total: u64,
}

/// An open file.
pub trait DiskFile: Send + Sync + 'static {
    /// Its length.
    ///
    /// # Errors
    /// What the operating system says.
    fn len(&self) -> io::Result<u64>;
    /// Whether it has no bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }
    /// Fills the buffer from the position.
    ///
    /// # Errors
    /// What the operating system says; `UnexpectedEof` beyond the end.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()>;
    /// Writes all bytes at the position.
    ///
    /// # Errors
    /// What the operating system says. Part of the bytes may have been written.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;
    /// What was written survives a power cut.
    ///
    /// # Errors
    /// What the operating system says; afterwards nothing may be assumed of unsynced bytes.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file.
    ///
    /// # Errors
    /// What the operating system says.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// After a failed sync: what is read from now on comes from the disk, not from memory that
    /// never got there.
    fn forget(&self) {}
}

/// The whole of a file.
pub(crate) fn read_all(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let mut bytes = vec![0; file.len()? as usize];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Writes a file aside and puts it in place: it has either its old or its new content.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    let file = disk.open(&aside)?;
    file.truncate(0)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.rename(&aside, path)?;
    disk.sync_dir(path.parent().unwrap_or(path))
}

/// The host's file system.
#[derive(Debug, Default, Clone, Copy)]
pub struct HostDisk;

impl Disk for HostDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(open_file(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn space(&self, path: &Path) -> io::Result<Option<DiskSpace>> {
        let told = rustix::fs::statvfs(path)?;
        Ok(Some(DiskSpace { free: told.f_bavail * told.f_frsize, total: told.f_blocks * told.f_frsize }))
    }

    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let file = open_file(path)?;
        let made = match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP) => fill(&file, bytes),
            done => done.map_err(io::Error::from),
        };
        made.and_then(|()| file.sync_all()).or_else(|error| fs::remove_file(path).and(Err(error)))
    }

    fn length(&self, path: &Path) -> Option<u64> {
        fs::metadata(path).ok().map(|meta| meta.len())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let file = open_file(path)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Writes zeros, where the file system can not give room otherwise.
fn fill(file: &File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut at = 0;
    while at < bytes {
        let len = zeros.len().min((bytes - at) as usize);
        file.write_all_at(&zeros[..len], at)?;
        at += len as u64;
    }
    Ok(())
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        self.metadata().map(|meta| meta.len())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.read_exact_at(buffer, position)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.write_all_at(bytes, position)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn forget(&self) {
        if let Err(error) = rustix::fs::fadvise(self, 0, None, rustix::fs::Advice::DontNeed) {
            tracing::warn!(%error, "cannot drop a file from memory");
        }
    }
}

/// The folders and files of one member.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub root: PathBuf,
}

impl Layout {
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn member(&self) -> PathBuf {
        self.root.join("member")
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.root.join("wal")
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }
}
