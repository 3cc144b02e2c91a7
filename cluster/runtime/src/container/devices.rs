//! `/dev`: the harmless nodes for everybody, the machine's for the privileged, and terminals.
//!
//! Every mount of an unprivileged container is `nodev`, so that a node it makes by itself (it has
//! CAP_MKNOD) opens nothing. Only the nodes given to it are bind-mounted, each on itself, without that mark.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::pty::OpenptFlags;

use super::mounts::{attach, clone_tree, new_mount, open_dir};
use super::spawn::Channel;
use super::{Failure, Launch, Step};
use crate::sys::{self, ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, MountAttr};

/// Character devices that every container gets: name, major, minor.
const DEFAULT_NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
/// What of the machine's `/dev` a container has of its own.
const SKIPPED: [&str; 7] = ["pts", "ptmx", "shm", "mqueue", "fd", "hugepages", "console"];
/// Most nodes copied for a privileged container.
const MAX_NODES: usize = 4096;

/// What of the machine's `/dev` goes into the container.
#[derive(Default)]
pub struct HostDevices {
    nodes: Vec<Node>,
    extra: Vec<(PathBuf, OwnedFd)>,
}

struct Node {
    path: PathBuf,
    kind: FileType,
    mode: u32,
    owner: (u32, u32),
    device: u64,
}

impl HostDevices {
    /// Looks them up while the machine's `/dev` is in reach.
    pub fn collect(launch: &Launch) -> Result<HostDevices, Failure> {
        let mut found = HostDevices::default();
        if launch.privileged {
            collect_nodes(Path::new("/dev"), Path::new(""), &mut found.nodes);
        }
        for device in &launch.devices {
            let name = || format!("device {}", device.host_path.display());
            let node = rustix::fs::open(&device.host_path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .step(name())?;
            let tree = clone_tree(&node, "").step(name())?;
            let set = if device.permissions.contains('w') { 0 } else { ATTR_RDONLY };
            let attr = MountAttr { set, clear: ATTR_NODEV, ..MountAttr::default() };
            sys::mount_setattr(&tree, c"", false, attr).step(name())?;
            found.extra.push((device.container_path.clone(), tree));
        }
        Ok(found)
    }
}

fn collect_nodes(dir: &Path, relative: &Path, into: &mut Vec<Node>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let path = relative.join(&name);
        let Ok(meta) = entry.metadata() else { continue };
        let kind = meta.file_type();
        let skipped = relative.as_os_str().is_empty() && SKIPPED.iter().any(|s| name == *s);
        if skipped || into.len() >= MAX_NODES {
            continue;
        }
        if kind.is_dir() {
            collect_nodes(&entry.path(), &path, into);
        } else if kind.is_char_device() || kind.is_block_device() {
            let kind = if kind.is_char_device() { FileType::CharacterDevice } else { FileType::BlockDevice };
            let owner = (meta.uid(), meta.gid());
            into.push(Node { path, kind, mode: meta.mode() & 0o7777, owner, device: meta.rdev() });
        }
    }
}

/// Mounts and fills `/dev`.
pub fn populate_dev(rootfs: &OwnedFd, host: &HostDevices, privileged: bool) -> Result<(), Failure> {
    let options = [("mode", Some("0755")), ("size", Some("65536k"))];
    let tmpfs = new_mount("tmpfs", &options, ATTR_NOSUID | ATTR_NOEXEC).step("make /dev")?;
    let point = open_dir(rootfs.as_fd(), "/dev").step("open /dev")?;
    attach(&tmpfs, &point).step("mount /dev")?;
    let dev = open_dir(rootfs.as_fd(), "/dev").step("open /dev")?;
    let mut trees = Vec::new();
    for (name, major, minor) in DEFAULT_NODES {
        let mode = Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(&dev, name, FileType::CharacterDevice, mode, rustix::fs::makedev(major, minor))
            .step(format_args!("make /dev/{name}"))?;
        if !privileged {
            trees.push((name, open_and_clone(&dev, name).step(format_args!("clone /dev/{name}"))?));
        }
    }
    for node in &host.nodes {
        make_node(&dev, node).step(format_args!("make /dev/{}", node.path.display()))?;
    }
    for (name, target) in LINKS {
        rustix::fs::symlinkat(target, &dev, name).step(format_args!("link /dev/{name}"))?;
    }
    if privileged {
        return Ok(());
    }
    let attr = MountAttr { set: ATTR_NODEV, ..MountAttr::default() };
    sys::mount_setattr(&tmpfs, c"", false, attr).step("restrict /dev")?;
    for (name, tree) in trees {
        let target = rustix::fs::openat(&dev, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        target
            .map_err(io::Error::from)
            .and_then(|t| attach(tree, t))
            .step(format_args!("mount /dev/{name}"))?;
    }
    Ok(())
}

fn open_and_clone(dev: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    clone_tree(rustix::fs::openat(dev, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?, "")
}

fn make_node(dev: &OwnedFd, node: &Node) -> io::Result<()> {
    let parent = sys::make_dir_in_root(dev, node.path.parent().unwrap_or(Path::new("")), 0o755)?;
    let Some(name) = node.path.file_name() else { return Ok(()) };
    match rustix::fs::mknodat(&parent, name, node.kind, Mode::from_raw_mode(node.mode), node.device) {
        Err(rustix::io::Errno::EXIST) => return Ok(()),
        other => other?,
    }
    let (uid, gid) = (rustix::fs::Uid::from_raw(node.owner.0), rustix::fs::Gid::from_raw(node.owner.1));
    Ok(rustix::fs::chownat(&parent, name, Some(uid), Some(gid), rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Mounts the devices that the specification names.
pub fn attach_extra(rootfs: &OwnedFd, host: &HostDevices) -> Result<(), Failure> {
    for (path, tree) in &host.extra {
        sys::make_file_in_root(rootfs, path)
            .and_then(|target| attach(tree, target))
            .step(format_args!("mount device {}", path.display()))?;
    }
    Ok(())
}

/// Opens a new terminal of this container, gives its master to the shim and returns its slave.
pub fn open_terminal(channel: &Channel) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::open("/dev/pts/ptmx", flags, Mode::empty())?;
    rustix::pty::unlockpt(&master)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    channel.give_master(&master);
    Ok(slave)
}

/// Shows the container's terminal as `/dev/console`.
pub fn bind_console(slave: &OwnedFd) -> io::Result<()> {
    let name = rustix::termios::ttyname(slave, Vec::new())?;
    let name = name.to_str().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let tree = clone_tree(sys::CWD, name)?;
    attach(tree, sys::make_file_in_root(&root, Path::new("/dev/console"))?)
}
