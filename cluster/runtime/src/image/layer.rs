//! Unpacking a layer's tar stream into a directory that can be a lower layer of an overlay.
//!
//! The stream is hostile: every path is resolved with `openat2(RESOLVE_IN_ROOT)`, names that climb are refused,
//! sizes and counts have limits, and attributes that would steer the overlay are left out.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use sha2::{Digest, Sha256};
use tar::{Entry, EntryType};

use crate::sys;

/// Most bytes of one unpacked layer.
const MAX_UNPACKED: u64 = 64 << 30;
/// Most files of one layer.
const MAX_ENTRIES: u64 = 5_000_000;
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Unpacks a plain, gzip or zstd stream; returns the digest of the uncompressed bytes.
pub fn unpack(compressed: impl Read, into: &Path) -> io::Result<String> {
    let mut source = Hashing { inner: decompress(compressed)?, hash: Sha256::new(), count: 0 };
    let root = rustix::fs::open(into, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut unpacker = Unpacker { root, parent: None, dirs: Vec::new() };
    let mut archive = tar::Archive::new(&mut source);
    archive.set_ignore_zeros(false);
    for (number, entry) in archive.entries()?.enumerate() {
        if number as u64 >= MAX_ENTRIES {
            return Err(invalid(format!("more than {MAX_ENTRIES} files")));
        }
        let mut entry = entry?;
        let path = PathBuf::from(OsString::from_vec(entry.path_bytes().into_owned()));
        unpacker.entry(&mut entry, &path).map_err(|e| io::Error::new(e.kind(), format!("{path:?}: {e}")))?;
    }
    unpacker.finish()?;
    // The digest covers the padding behind the end mark too.
    io::copy(&mut source, &mut io::sink())?;
    Ok(format!("sha256:{}", hex::encode(source.hash.finalize())))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Tells the compression by the first bytes.
pub fn decompress<'a>(source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut head = [0; 4];
    let mut source = BufReader::with_capacity(256 << 10, source);
    let mut have = 0;
    while have < head.len() {
        match source.read(&mut head[have..])? {
            0 => break,
            count => have += count,
        }
    }
    let whole = io::Cursor::new(head[..have].to_vec()).chain(source);
    Ok(match head {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::stream::read::Decoder::new(whole)?),
        _ => Box::new(whole),
    })
}

struct Hashing<R> {
    inner: R,
    hash: Sha256,
    count: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.count += count as u64;
        if self.count > MAX_UNPACKED {
            return Err(invalid(format!("layer is larger than {MAX_UNPACKED} bytes")));
        }
        Ok(count)
    }
}

struct Unpacker {
    root: OwnedFd,
    /// The directory of the last entry: most follow each other in the same one.
    parent: Option<(PathBuf, OwnedFd)>,
    /// Times of directories are set at the end, when nothing changes them any more.
    dirs: Vec<(PathBuf, u64)>,
}

/// What all kinds of entries have.
struct Attributes {
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: u64,
    xattrs: Vec<(OsString, Vec<u8>)>,
}

impl Unpacker {
    fn entry(&mut self, entry: &mut Entry<'_, impl Read>, path: &Path) -> io::Result<()> {
        let parts =
            sys::plain_components(path).ok_or_else(|| invalid("path climbs out of the layer".into()))?;
        let Some((name, parents)) = parts.split_last() else { return self.root_entry(entry) };
        let parents: PathBuf = parents.iter().collect();
        let name = name.to_os_string();
        let attributes = attributes(entry)?;
        let dir = self.parent(&parents)?;
        if name.as_bytes() == OPAQUE {
            return mark_opaque(&self.root, &parents);
        }
        if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT) {
            return white_out(&dir, OsStr::from_bytes(hidden));
        }
        let kind = entry.header().entry_type();
        if kind != EntryType::Directory {
            self.parent_may_change(&parents, &name);
            clear_the_way(&dir, &name)?;
        }
        match kind {
            EntryType::Directory => self.directory(&dir, &parents, &name, &attributes),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                regular(entry, &dir, &name, &attributes)
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().ok_or_else(|| invalid("link without target".into()))?;
                rustix::fs::symlinkat(OsStr::from_bytes(&target), &dir, &name)?;
                finish_node(&dir, &name, &attributes, false)
            }
            EntryType::Link => self.hard_link(entry, &dir, &name),
            EntryType::Char | EntryType::Block | EntryType::Fifo => special(entry, &dir, &name, &attributes),
            EntryType::XGlobalHeader => Ok(()),
            other => Err(invalid(format!("unsupported entry type {other:?}"))),
        }
    }

    /// `./`: the attributes of the layer's root.
    fn root_entry(&mut self, entry: &mut Entry<'_, impl Read>) -> io::Result<()> {
        let attributes = attributes(entry)?;
        let root = sys::open_in_root(&self.root, Path::new("/"), OFlags::RDONLY | OFlags::DIRECTORY)?;
        apply(&root, &attributes)
    }

    fn parent(&mut self, path: &Path) -> io::Result<OwnedFd> {
        if let Some((known, fd)) = &self.parent
            && known == path
        {
            return fd.try_clone();
        }
        let fd = sys::make_dir_in_root(&self.root, path, 0o755)?;
        self.parent = Some((path.to_path_buf(), fd.try_clone()?));
        Ok(fd)
    }

    /// An entry may replace a directory on the way to the remembered one.
    fn parent_may_change(&mut self, parents: &Path, name: &OsStr) {
        let replaced = parents.join(name);
        if self.parent.as_ref().is_some_and(|(known, _)| known.starts_with(&replaced)) {
            self.parent = None;
        }
    }

    fn directory(
        &mut self,
        dir: &OwnedFd,
        parents: &Path,
        name: &OsStr,
        attributes: &Attributes,
    ) -> io::Result<()> {
        match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {}
            Ok(_) => {
                clear_the_way(dir, name)?;
                rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755))?;
            }
            Err(_) => rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755))?,
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        apply(&rustix::fs::openat(dir, name, flags, Mode::empty())?, attributes)?;
        self.dirs.push((parents.join(name), attributes.mtime));
        Ok(())
    }

    fn hard_link(&self, entry: &Entry<'_, impl Read>, dir: &OwnedFd, name: &OsStr) -> io::Result<()> {
        let target = entry.link_name_bytes().ok_or_else(|| invalid("link without target".into()))?;
        let target = Path::new(OsStr::from_bytes(&target));
        let parts = sys::plain_components(target)
            .ok_or_else(|| invalid("link target climbs out of the layer".into()))?;
        let (last, parents) = parts.split_last().ok_or_else(|| invalid("link to the root".into()))?;
        let parents: PathBuf = parents.iter().collect();
        let from = sys::open_in_root(&self.root, &parents, OFlags::PATH | OFlags::DIRECTORY)?;
        Ok(rustix::fs::linkat(&from, *last, dir, name, AtFlags::empty())?)
    }

    fn finish(self) -> io::Result<()> {
        for (path, mtime) in self.dirs.iter().rev() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            // Replaced by a later entry: then it has no time to set.
            if let Ok(dir) = sys::open_in_root(&self.root, path, flags) {
                rustix::fs::futimens(&dir, &times(*mtime))?;
            }
        }
        Ok(())
    }
}

fn attributes(entry: &mut Entry<'_, impl Read>) -> io::Result<Attributes> {
    let mut xattrs = Vec::new();
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions {
            let extension = extension?;
            let Some(name) = extension.key_bytes().strip_prefix(b"SCHILY.xattr.") else { continue };
            // `trusted.overlay.*` would steer the overlay, `security.*` labels are the machine's own business.
            if name == b"security.capability" || name.starts_with(b"user.") {
                xattrs.push((OsString::from_vec(name.to_vec()), extension.value_bytes().to_vec()));
            }
        }
    }
    let header = entry.header();
    let id =
        |value: u64| u32::try_from(value).map_err(|_| invalid("user or group number is too large".into()));
    Ok(Attributes {
        mode: header.mode()? & 0o7777,
        uid: if is_blank(&header.as_old().uid) { 0 } else { id(header.uid()?)? },
        gid: if is_blank(&header.as_old().gid) { 0 } else { id(header.gid()?)? },
        mtime: if is_blank(&header.as_old().mtime) { 0 } else { header.mtime()? },
        xattrs,
    })
}

/// Some archives leave numbers out.
fn is_blank(field: &[u8]) -> bool {
    field.iter().all(|b| matches!(b, 0 | b' '))
}

fn times(mtime: u64) -> Timestamps {
    let time = Timespec { tv_sec: i64::try_from(mtime).unwrap_or(0), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// Removes what is in the way of a new entry: a layer may replace its own files.
fn clear_the_way(dir: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
            std::fs::remove_dir_all(sys::fd_path(dir).join(name))
        }
        Ok(_) => Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?),
    }
}

fn white_out(dir: &OwnedFd, name: &OsStr) -> io::Result<()> {
    if name.is_empty() || name == "." || name == ".." {
        return Err(invalid("whiteout without a name".into()));
    }
    clear_the_way(dir, name)?;
    Ok(rustix::fs::mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0)?)
}

fn mark_opaque(root: &OwnedFd, dir: &Path) -> io::Result<()> {
    let fd = sys::open_in_root(root, dir, OFlags::RDONLY | OFlags::DIRECTORY)?;
    Ok(rustix::fs::fsetxattr(&fd, "trusted.overlay.opaque", b"y", XattrFlags::empty())?)
}

fn regular(
    entry: &mut Entry<'_, impl Read>,
    dir: &OwnedFd,
    name: &OsStr,
    attributes: &Attributes,
) -> io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o600))?);
    io::copy(entry, &mut file)?;
    apply(file.as_fd(), attributes)?;
    Ok(rustix::fs::futimens(&file, &times(attributes.mtime))?)
}

/// Owner first: changing it clears set-uid bits and capabilities.
fn apply(fd: impl AsFd, attributes: &Attributes) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
    rustix::fs::fchown(&fd, Some(uid), Some(gid))?;
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(attributes.mode))?;
    for (name, value) in &attributes.xattrs {
        match rustix::fs::fsetxattr(&fd, name.as_os_str(), value, XattrFlags::empty()) {
            // The file system has no such attributes: the file works without.
            Err(rustix::io::Errno::NOTSUP) => {}
            other => other?,
        }
    }
    Ok(())
}

fn finish_node(dir: &OwnedFd, name: &OsStr, attributes: &Attributes, with_mode: bool) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
    rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if with_mode {
        // Made a moment ago by this process in a directory that only it writes: it is no symbolic link.
        rustix::fs::chmodat(dir, name, Mode::from_raw_mode(attributes.mode), AtFlags::empty())?;
    }
    Ok(rustix::fs::utimensat(dir, name, &times(attributes.mtime), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Device nodes open nothing in a container (its mounts are `nodev`), but images carry them.
fn special(
    entry: &Entry<'_, impl Read>,
    dir: &OwnedFd,
    name: &OsStr,
    attributes: &Attributes,
) -> io::Result<()> {
    let header = entry.header();
    let (kind, device) = match header.entry_type() {
        EntryType::Fifo => (FileType::Fifo, 0),
        other => {
            let kind =
                if other == EntryType::Char { FileType::CharacterDevice } else { FileType::BlockDevice };
            // Some archives leave the numbers blank.
            let number = |field: io::Result<Option<u32>>| field.ok().flatten().unwrap_or(0);
            let numbers = (number(header.device_major()), number(header.device_minor()));
            (kind, rustix::fs::makedev(numbers.0, numbers.1))
        }
    };
    rustix::fs::mknodat(dir, name, kind, Mode::from_raw_mode(attributes.mode), device)?;
    finish_node(dir, name, attributes, true)
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
