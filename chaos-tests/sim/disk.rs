//! A disk that forgets what was not synced: the files of one member, over all its starts.
//!
//! Each file has its bytes as a process sees them, and its bytes on the platter. A power cut keeps
//! the platter and, of what was written since the last sync, any sectors. Names (created, renamed,
//! removed files) are the folder's contents and follow the same rule, in their order.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use store::{Disk, DiskFile};

use super::dice::Dice;
use super::process::Process;
use super::world::{Step, World};

const SECTOR: usize = 512;

/// How the disk behaves now.
#[derive(Debug, Clone, Copy)]
pub struct Health {
    /// Milliseconds that a sync takes.
    pub sync_ms: (u64, u64),
    /// Writes and syncs that fail, per mille.
    pub errors: u64,
    /// No room is left.
    pub full: bool,
    /// Reads of the log and of snapshots that turn a bit, per mille.
    pub flips: u64,
}

impl Health {
    pub const GOOD: Health = Health { sync_ms: (0, 1), errors: 0, full: false, flips: 0 };
}

/// The disk of one member.
pub struct Platter {
    inner: Mutex<Inner>,
}

struct Inner {
    dice: Dice,
    health: Health,
    names: BTreeMap<PathBuf, Arc<Mutex<Bytes>>>,
    /// The names on the platter.
    durable: BTreeMap<PathBuf, Arc<Mutex<Bytes>>>,
    /// Changes of names since their folder was synced.
    changes: Vec<Change>,
    /// Operations until the process is killed in the middle of one.
    fuse: Option<u64>,
}

enum Change {
    Create(PathBuf, Arc<Mutex<Bytes>>),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Change {
    fn in_dir(&self, dir: &Path) -> bool {
        let (Change::Create(path, _) | Change::Rename(_, path) | Change::Remove(path)) = self;
        path.parent() == Some(dir)
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Arc<Mutex<Bytes>>>) {
        match self {
            Change::Create(path, file) => {
                names.insert(path.clone(), file.clone());
            }
            Change::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Change::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

/// The bytes of a file.
#[derive(Default)]
struct Bytes {
    now: Vec<u8>,
    platter: Vec<u8>,
    /// Ranges written since the last sync.
    dirty: Vec<(usize, usize)>,
    /// The shortest it was since the last sync.
    shortest: Option<usize>,
}

impl Bytes {
    fn sync(&mut self) {
        if let Some(len) = self.shortest.take() {
            self.platter.truncate(len);
        }
        self.platter.resize(self.now.len(), 0);
        for (from, to) in self.dirty.drain(..) {
            let to = to.min(self.now.len());
            if from < to {
                self.platter[from..to].copy_from_slice(&self.now[from..to]);
            }
        }
    }

    /// A failed sync: what was to be written is neither on the platter nor remembered as missing.
    fn forget(&mut self) {
        self.dirty.clear();
        self.shortest = None;
    }

    fn power_cut(&mut self, dice: &mut Dice) {
        let dirty = std::mem::take(&mut self.dirty);
        if let Some(len) = self.shortest.take()
            && dice.per_mille(500)
        {
            self.platter.truncate(len);
        }
        let fate = dice.below(4);
        let mut sectors: Vec<usize> = dirty
            .iter()
            .filter(|(from, to)| from < to)
            .flat_map(|(from, to)| from / SECTOR..=(to - 1) / SECTOR)
            .collect();
        sectors.dedup();
        match fate {
            0 => sectors.clear(),
            1 => {}
            2 => sectors.truncate(dice.below(sectors.len() as u64 + 1) as usize),
            _ => sectors.retain(|_| dice.per_mille(500)),
        }
        for sector in sectors {
            let (from, to) = (sector * SECTOR, ((sector + 1) * SECTOR).min(self.now.len()));
            if from < to {
                let len = self.platter.len().max(to);
                self.platter.resize(len, 0);
                self.platter[from..to].copy_from_slice(&self.now[from..to]);
            }
        }
        self.now = self.platter.clone();
    }
}

impl Platter {
    #[must_use]
    pub fn new(world: &World, member: u64) -> Arc<Platter> {
        let inner = Inner {
            dice: world.dice(&format!("disk {member}")),
            health: Health::GOOD,
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
            changes: Vec::new(),
            fuse: None,
        };
        Arc::new(Platter { inner: Mutex::new(inner) })
    }

    /// The disk as one process sees it.
    #[must_use]
    pub fn of(self: &Arc<Self>, world: &Arc<World>, process: &Arc<Process>) -> Arc<dyn Disk> {
        Arc::new(Mount { platter: self.clone(), world: world.clone(), process: process.clone() })
    }

    pub fn set_health(&self, health: Health) {
        self.inner.lock().health = health;
    }

    /// The process dies in this many disk operations.
    pub fn light_fuse(&self, operations: u64) {
        self.inner.lock().fuse = Some(operations);
    }

    pub fn put_out_fuse(&self) {
        self.inner.lock().fuse = None;
    }

    /// How long a sync takes now, in milliseconds.
    pub fn sync_ms(&self) -> u64 {
        let mut inner = self.inner.lock();
        let (first, last) = inner.health.sync_ms;
        inner.dice.between(first, last)
    }

    /// What was not synced is lost, whole or in part.
    pub fn power_cut(&self) {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let kept = inner.dice.below(inner.changes.len() as u64 + 1) as usize;
        for change in inner.changes.drain(..).take(kept) {
            change.apply(&mut inner.durable);
        }
        inner.names = inner.durable.clone();
        for file in inner.names.values() {
            file.lock().power_cut(&mut inner.dice);
        }
    }

    /// Turns one bit of one file; where.
    pub fn flip_bit(&self) -> Option<String> {
        let mut inner = self.inner.lock();
        let files: Vec<(PathBuf, Arc<Mutex<Bytes>>)> = inner
            .names
            .iter()
            .filter(|(path, file)| !path.ends_with("lock") && !file.lock().now.is_empty())
            .map(|(path, file)| (path.clone(), file.clone()))
            .collect();
        let (path, file) = inner.dice.pick(&files)?;
        let mut bytes = file.lock();
        let at = inner.dice.below(bytes.now.len() as u64) as usize;
        let bit = 1 << inner.dice.below(8);
        bytes.now[at] ^= bit;
        if let Some(byte) = bytes.platter.get_mut(at) {
            *byte ^= bit;
        }
        Some(format!("byte {at} of {}", path.display()))
    }
}

struct Mount {
    platter: Arc<Platter>,
    world: Arc<World>,
    process: Arc<Process>,
}

impl Mount {
    /// Begins an operation: it may be the last of its process.
    fn begin(&self, step: Step, len: u64) -> io::Result<()> {
        let mut inner = self.platter.inner.lock();
        self.world.step(step, self.process.member, len);
        if let Some(fuse) = &mut inner.fuse
            && !self.process.is_gone()
        {
            *fuse = fuse.saturating_sub(1);
            if *fuse == 0 {
                inner.fuse = None;
                self.process.kill();
            }
        }
        if self.process.is_gone() {
            return Err(io::Error::other("the process is gone"));
        }
        Ok(())
    }

    /// Turns a bit of what was read, now and then.
    fn flip(&self, buffer: &mut [u8]) {
        let mut inner = self.platter.inner.lock();
        let chance = inner.health.flips;
        if chance > 0 && !buffer.is_empty() && inner.dice.per_mille(chance) {
            let at = inner.dice.below(buffer.len() as u64) as usize;
            buffer[at] ^= 1 << inner.dice.below(8);
        }
    }

    fn fails(&self) -> bool {
        let mut inner = self.platter.inner.lock();
        let chance = inner.health.errors;
        chance > 0 && inner.dice.per_mille(chance)
    }
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

impl Disk for Mount {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.begin(Step::DiskOther, 0)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.begin(Step::DiskOther, 1)?;
        let inner = self.platter.inner.lock();
        let names = inner.names.keys().filter(|name| name.parent() == Some(path));
        Ok(names.filter_map(|name| Some(name.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.begin(Step::DiskOther, 2)?;
        let mut inner = self.platter.inner.lock();
        let file = match inner.names.get(path) {
            Some(file) => file.clone(),
            None if inner.health.full => return Err(io::ErrorKind::StorageFull.into()),
            None => {
                let file = Arc::new(Mutex::new(Bytes::default()));
                inner.names.insert(path.to_owned(), file.clone());
                inner.changes.push(Change::Create(path.to_owned(), file.clone()));
                file
            }
        };
        let mount =
            Mount { platter: self.platter.clone(), world: self.world.clone(), process: self.process.clone() };
        let folder = path.parent().and_then(Path::file_name);
        let flips = folder.is_some_and(|folder| folder == "wal" || folder == "snapshots");
        Ok(Arc::new(OpenFile { mount, file, flips }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.begin(Step::DiskOther, 3)?;
        let mut inner = self.platter.inner.lock();
        let change = Change::Rename(from.to_owned(), to.to_owned());
        if !inner.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        change.apply(&mut inner.names);
        inner.changes.push(change);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.begin(Step::DiskOther, 4)?;
        let mut inner = self.platter.inner.lock();
        if inner.names.remove(path).is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        inner.changes.push(Change::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.begin(Step::DiskSync, 0)?;
        if self.fails() {
            return Err(eio());
        }
        let mut inner = self.platter.inner.lock();
        let inner = &mut *inner;
        let (synced, rest) = inner.changes.drain(..).partition(|change| change.in_dir(path));
        inner.changes = rest;
        let synced: Vec<Change> = synced;
        synced.iter().for_each(|change| change.apply(&mut inner.durable));
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        // A process that is gone holds no locks, and no two live ones share a disk here.
        self.begin(Step::DiskOther, 5)?;
        Ok(Some(Box::new(())))
    }
}

struct OpenFile {
    mount: Mount,
    file: Arc<Mutex<Bytes>>,
    /// Bad reads turn its bits: every byte of it is checked.
    flips: bool,
}

impl DiskFile for OpenFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.lock().now.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.mount.begin(Step::DiskOther, 6)?;
        let file = self.file.lock();
        let from = position as usize;
        let bytes = file.now.get(from..from + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        drop(file);
        if self.flips {
            self.mount.flip(buffer);
        }
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let begun = self.mount.begin(Step::DiskWrite, bytes.len() as u64);
        if begun.is_err() || self.mount.fails() {
            return begun.and(Err(eio()));
        }
        let mut file = self.file.lock();
        let (from, to) = (position as usize, position as usize + bytes.len());
        if self.mount.platter.inner.lock().health.full && to > file.now.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if file.now.len() < to {
            file.now.resize(to, 0);
        }
        file.now[from..to].copy_from_slice(bytes);
        file.dirty.push((from, to));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.mount.begin(Step::DiskSync, 1)?;
        if self.mount.fails() {
            self.file.lock().forget();
            return Err(eio());
        }
        self.file.lock().sync();
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.mount.begin(Step::DiskOther, 7)?;
        let mut file = self.file.lock();
        let len = len as usize;
        if len < file.now.len() {
            file.shortest = Some(file.shortest.map_or(len, |shortest| shortest.min(len)));
        }
        file.now.resize(len, 0);
        Ok(())
    }
}
