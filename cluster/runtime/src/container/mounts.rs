//! The root file system: overlay, kernel file systems, volumes, and what is hidden or made read-only.
//!
//! All mounts use descriptors: sources are cloned with `open_tree`, targets are found with
//! `openat2(RESOLVE_IN_ROOT)`, so that neither an image nor a volume can redirect one by symbolic links.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use super::devices::{self, HostDevices};
use super::spawn::Channel;
use super::{Failure, Launch, Step, Surroundings};
use crate::cgroup::Mode as CgroupMode;
use crate::spec::{Mount, Propagation};
use crate::sys::{self, ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, MountAttr};

/// Hidden unless the specification says otherwise: they tell about the machine or its hardware.
pub const DEFAULT_MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
/// Not writable unless the specification says otherwise: they change the machine.
pub const DEFAULT_READONLY: &[&str] =
    &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

const PATH_FLAGS: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// The least significant part of an x86 or ARM page: what `mount(2)` takes as options.
const MAX_MOUNT_OPTIONS: usize = 4095;

/// Sources that had to be opened before leaving the agent's root.
pub struct Prepared {
    shm: Option<OwnedFd>,
    volumes: Vec<Volume>,
    devices: HostDevices,
}

struct Volume {
    tree: OwnedFd,
    target: PathBuf,
    is_dir: bool,
}

impl Prepared {
    /// Clones every mount source into a detached tree with the attributes it will have.
    pub fn collect(launch: &Launch, shm: Option<OwnedFd>) -> Result<Prepared, Failure> {
        let mut mounts: Vec<&Mount> = launch.mounts.iter().collect();
        mounts.sort_by_key(|m| m.container_path.components().count());
        let volumes =
            mounts.into_iter().map(|m| prepare_volume(m, launch.privileged)).collect::<Result<_, _>>()?;
        let shm = match shm {
            Some(shm) => Some(shm),
            None => clone_tree(sys::CWD, "/dev/shm").ok(),
        };
        Ok(Prepared { shm, volumes, devices: HostDevices::collect(launch)? })
    }
}

fn prepare_volume(mount: &Mount, privileged: bool) -> Result<Volume, Failure> {
    let name = || {
        format!(
            "error mounting {:?} to rootfs at {:?}",
            mount.host_path.display(),
            mount.container_path.display()
        )
    };
    let mut source = rustix::fs::open(&mount.host_path, PATH_FLAGS, Mode::empty()).step(name())?;
    if let Some(sub_path) = &mount.sub_path {
        source = open_sub_path(&source, sub_path).step(name())?;
    }
    let is_dir = sys::is_dir(&source).step(name())?;
    let tree = clone_tree(&source, "").step(name())?;
    let mut attr = MountAttr { set: if privileged { 0 } else { ATTR_NODEV }, ..MountAttr::default() };
    if mount.recursive_read_only {
        attr.set |= ATTR_RDONLY;
    }
    attr.propagation = match mount.propagation {
        Propagation::Private => libc::MS_PRIVATE,
        Propagation::HostToContainer => libc::MS_SLAVE,
        Propagation::Bidirectional => libc::MS_SHARED,
    };
    sys::mount_setattr(&tree, c"", true, attr).step(name())?;
    if mount.read_only {
        sys::mount_setattr(&tree, c"", false, MountAttr { set: ATTR_RDONLY, ..MountAttr::default() })
            .step(name())?;
    }
    Ok(Volume { tree, target: mount.container_path.clone(), is_dir })
}

/// A path beneath a volume, made as directories when absent, never outside of it.
fn open_sub_path(volume: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    match sys::open_beneath(volume, path, OFlags::PATH) {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {}
        other => return other,
    }
    let parts = sys::plain_components(path).ok_or_else(|| io::Error::from_raw_os_error(libc::EXDEV))?;
    let mut so_far = PathBuf::new();
    for part in parts {
        let parent = sys::open_beneath(volume, &so_far, OFlags::PATH | OFlags::DIRECTORY)?;
        so_far.push(part);
        match rustix::fs::mkdirat(&parent, part, Mode::from_raw_mode(0o755)) {
            Err(rustix::io::Errno::EXIST) | Ok(()) => {}
            Err(e) => return Err(e.into()),
        }
    }
    sys::open_beneath(volume, path, OFlags::PATH)
}

/// A detached copy of the mounts at a path.
pub fn clone_tree(dir: impl AsFd, path: &str) -> io::Result<OwnedFd> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    if path.is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    Ok(rustix::mount::open_tree(dir, path, flags)?)
}

/// A new, detached mount of a kernel file system.
pub fn new_mount(kind: &str, options: &[(&str, Option<&str>)], attrs: u64) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(&context, "source", kind)?;
    for (key, value) in options {
        match value {
            Some(value) => rustix::mount::fsconfig_set_string(&context, *key, *value)?,
            None => rustix::mount::fsconfig_set_flag(&context, *key)?,
        }
    }
    rustix::mount::fsconfig_create(&context)?;
    let attrs = MountAttrFlags::from_bits_retain(attrs as _);
    Ok(rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attrs)?)
}

/// Attaches a detached mount at a descriptor.
pub fn attach(mount: impl AsFd, target: impl AsFd) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(rustix::mount::move_mount(mount, "", target, "", flags)?)
}

/// From now on nothing mounted or unmounted here is seen elsewhere. The root must be a mount point.
pub fn stop_propagation() -> io::Result<()> {
    let attr = MountAttr { propagation: libc::MS_SLAVE, ..MountAttr::default() };
    sys::mount_setattr(sys::CWD, c"/", true, attr)
}

/// Makes a mount the root directory and lets go of everything else.
pub fn enter_root(root: impl AsFd) -> io::Result<()> {
    rustix::process::fchdir(&root)?;
    match rustix::process::pivot_root(".", ".") {
        Ok(()) => rustix::mount::unmount(".", UnmountFlags::DETACH)?,
        // The machine still runs on its initial RAM file system, which can not be moved away.
        Err(rustix::io::Errno::INVAL) => {
            rustix::mount::mount_move(".", "/")?;
            rustix::process::chroot(".")?;
        }
        Err(e) => return Err(e.into()),
    }
    rustix::process::chdir("/")?;
    Ok(())
}

/// Runs `visit` with another mount namespace's root as root, then comes back to where the caller was.
pub fn visit_mounts<T>(
    home: &OwnedFd,
    go: impl FnOnce() -> io::Result<()>,
    visit: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let flags = PATH_FLAGS | OFlags::DIRECTORY;
    let root = rustix::fs::open("/", flags, Mode::empty())?;
    let cwd = rustix::fs::open(".", flags, Mode::empty())?;
    go()?;
    let result = visit();
    sys::setns(home, libc::CLONE_NEWNS)?;
    rustix::process::fchdir(&root)?;
    rustix::process::chroot(".")?;
    rustix::process::fchdir(&cwd)?;
    result
}

/// Makes a mount namespace whose root is a fresh tmpfs: the pod's `/dev/shm`, held by its descriptor alone.
pub fn make_shm_namespace(home: &OwnedFd, attach_point: &Path, size: u64) -> io::Result<OwnedFd> {
    let point = attach_point.to_path_buf();
    visit_mounts(
        home,
        || sys::unshare(libc::CLONE_NEWNS),
        || {
            let own = std::fs::File::open("/proc/self/ns/mnt")?;
            let point = rustix::fs::open(&point, PATH_FLAGS | OFlags::DIRECTORY, Mode::empty())?;
            sys::setns(&own, libc::CLONE_NEWNS)?;
            stop_propagation()?;
            let size = size.to_string();
            let options = [("mode", Some("1777")), ("size", Some(size.as_str()))];
            let shm = new_mount("tmpfs", &options, ATTR_NODEV | ATTR_NOSUID | ATTR_NOEXEC)?;
            attach(&shm, point.as_fd())?;
            enter_root(&shm)?;
            Ok(own.into())
        },
    )
}

/// A detached copy of the pod's `/dev/shm`; `None` when the pod uses the machine's.
pub fn take_shm(around: &Surroundings) -> io::Result<Option<OwnedFd>> {
    let Some(namespace) = &around.shm else { return Ok(None) };
    let go = || sys::setns(namespace, libc::CLONE_NEWNS);
    visit_mounts(&around.host_mounts, go, || clone_tree(sys::CWD, "/")).map(Some)
}

/// Mounts the overlay and opens its root. `root` is the runtime's root directory.
pub fn mount_root(root: &OwnedFd, launch: &Launch, channel: &Channel) -> Result<OwnedFd, Failure> {
    let layers = sys::open_in_root(root, Path::new("images/layers"), OFlags::PATH | OFlags::DIRECTORY)
        .step("open the layers")?;
    // Relative names, because all options together must fit a page.
    rustix::process::fchdir(&layers).step("enter the layers")?;
    let base = format!("../../containers/{}", launch.dir);
    let lower = launch.layers.join(":");
    let options = format!("lowerdir={lower},upperdir={base}/u,workdir={base}/w");
    if options.len() + ",volatile".len() > MAX_MOUNT_OPTIONS {
        return Err(Failure::new(format!("image has too many layers ({})", launch.layers.len())));
    }
    let flags = if launch.privileged { 0 } else { libc::MS_NODEV };
    let target = format!("{base}/m");
    // Volatile: nobody needs a container's own files after a power failure, so do not sync them at its end.
    if overlay(&target, flags, &format!("{options},volatile")).is_err() {
        overlay(&target, flags, &options).step("mount the root file system")?;
        channel.warn("this kernel's overlayfs has no volatile option".into());
    }
    rustix::fs::open(&target, PATH_FLAGS | OFlags::DIRECTORY, Mode::empty()).step("open the root file system")
}

fn overlay(target: &str, flags: libc::c_ulong, options: &str) -> io::Result<()> {
    let (target, options) = (CString::new(target)?, CString::new(options)?);
    let kind = c"overlay";
    // SAFETY: all strings live through the call.
    let done =
        unsafe { libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast()) };
    sys::check(done).map(drop)
}

/// Mounts everything that belongs beneath the root.
pub fn populate(
    rootfs: &OwnedFd,
    around: &Surroundings,
    launch: &Launch,
    prepared: Prepared,
    channel: &Channel,
) -> Result<(), Failure> {
    let usual = ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC;
    let read_only = if launch.privileged { 0 } else { ATTR_RDONLY };
    new_mount("proc", &[], usual).and_then(|m| attach_at(rootfs, "/proc", &m)).step("mount /proc")?;
    match new_mount("sysfs", &[], usual | read_only).and_then(|m| attach_at(rootfs, "/sys", &m)) {
        Ok(()) => show_cgroups(rootfs, around, usual | read_only, channel),
        Err(e) => channel.warn(format!("mount /sys: {e}")),
    }
    devices::populate_dev(rootfs, &prepared.devices, launch.privileged)?;
    let pts = [("newinstance", None), ("ptmxmode", Some("0666")), ("mode", Some("0620")), ("gid", Some("5"))];
    new_mount("devpts", &pts, ATTR_NOSUID | ATTR_NOEXEC)
        .and_then(|m| attach_at(rootfs, "/dev/pts", &m))
        .step("mount /dev/pts")?;
    match new_mount("mqueue", &[], usual).and_then(|m| attach_at(rootfs, "/dev/mqueue", &m)) {
        Ok(()) => {}
        Err(e) => channel.warn(format!("mount /dev/mqueue: {e}")),
    }
    if let Some(shm) = &prepared.shm {
        attach_at(rootfs, "/dev/shm", shm).step("mount /dev/shm")?;
    }
    for volume in &prepared.volumes {
        attach_volume(rootfs, volume)
            .step(format_args!("error mounting to rootfs at {:?}", volume.target.display()))?;
    }
    devices::attach_extra(rootfs, &prepared.devices)
}

fn attach_volume(rootfs: &OwnedFd, volume: &Volume) -> io::Result<()> {
    let target = if volume.is_dir {
        sys::make_dir_in_root(rootfs, &volume.target, 0o755)?
    } else {
        sys::make_file_in_root(rootfs, &volume.target)?
    };
    attach(&volume.tree, &target)
}

/// Attaches at a directory of the root, made when absent.
fn attach_at(rootfs: impl AsFd, path: &str, mount: impl AsFd) -> io::Result<()> {
    let target = sys::make_dir_in_root(rootfs, Path::new(path), 0o755)?;
    attach(mount, target)
}

/// Shows the container its own cgroup, where language runtimes look for limits.
fn show_cgroups(rootfs: &OwnedFd, around: &Surroundings, attrs: u64, channel: &Channel) {
    let shown = match around.layout.mode {
        CgroupMode::None => Ok(()),
        CgroupMode::V2 => {
            new_mount("cgroup2", &[], attrs).and_then(|m| attach_at(rootfs, "/sys/fs/cgroup", &m))
        }
        CgroupMode::V1 | CgroupMode::Hybrid => show_v1_cgroups(rootfs, around, attrs),
    };
    if let Err(e) = shown {
        channel.warn(format!("mount /sys/fs/cgroup: {e}"));
    }
}

fn show_v1_cgroups(rootfs: &OwnedFd, around: &Surroundings, attrs: u64) -> io::Result<()> {
    let top = new_mount("tmpfs", &[("mode", Some("0755"))], attrs & !ATTR_RDONLY)?;
    attach_at(rootfs, "/sys/fs/cgroup", &top)?;
    for hierarchy in &around.layout.hierarchies {
        let Some(name) = hierarchy.mount.file_name().and_then(|n| n.to_str()) else { continue };
        let options: Vec<_> = hierarchy.controllers.iter().map(|c| (c.as_str(), None)).collect();
        let kind = if hierarchy.is_v2() { "cgroup2" } else { "cgroup" };
        let mount = new_mount(kind, &options, attrs)?;
        attach_at(rootfs, &format!("/sys/fs/cgroup/{name}"), &mount)?;
    }
    sys::mount_setattr(&top, c"", false, MountAttr { set: attrs, ..MountAttr::default() })
}

/// Hides and write-protects paths, once inside.
pub fn restrict(launch: &Launch) -> Result<(), Failure> {
    let root = rustix::fs::open("/", PATH_FLAGS | OFlags::DIRECTORY, Mode::empty()).step("open /")?;
    for path in &launch.readonly_paths {
        read_only(&root, path).step(format_args!("make {} read-only", path.display()))?;
    }
    let mut empty = None;
    for path in &launch.masked_paths {
        mask(&root, path, &mut empty).step(format_args!("mask {}", path.display()))?;
    }
    if launch.read_only_root {
        let attr = MountAttr { set: ATTR_RDONLY, ..MountAttr::default() };
        sys::mount_setattr(sys::CWD, c"/", false, attr).step("make the root read-only")?;
    }
    Ok(())
}

fn open_existing(root: &OwnedFd, path: &Path) -> io::Result<Option<OwnedFd>> {
    match sys::open_in_root(root, path, OFlags::PATH) {
        Ok(fd) => Ok(Some(fd)),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
        Err(e) => Err(e),
    }
}

fn read_only(root: &OwnedFd, path: &Path) -> io::Result<()> {
    let Some(target) = open_existing(root, path)? else { return Ok(()) };
    let tree = clone_tree(&target, "")?;
    sys::mount_setattr(&tree, c"", true, MountAttr { set: ATTR_RDONLY, ..MountAttr::default() })?;
    attach(tree, target)
}

/// Covers a directory with an empty one and a file with `/dev/null`. All directories show the same one.
fn mask(root: &OwnedFd, path: &Path, empty: &mut Option<OwnedFd>) -> io::Result<()> {
    let Some(target) = open_existing(root, path)? else { return Ok(()) };
    if !sys::is_dir(&target)? {
        return attach(clone_tree(sys::CWD, "/dev/null")?, target);
    }
    if let Some(first) = empty {
        return attach(clone_tree(&*first, "")?, target);
    }
    let attrs = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC;
    let tmpfs = new_mount("tmpfs", &[("nr_inodes", Some("2"))], attrs)?;
    attach(&tmpfs, target)?;
    *empty = Some(tmpfs);
    Ok(())
}

/// A borrowed descriptor of a directory beneath the root, for callers in this module's siblings.
pub fn open_dir(rootfs: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    sys::make_dir_in_root(rootfs, Path::new(path), 0o755)
}
