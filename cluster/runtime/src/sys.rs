//! System calls that `rustix` does not wrap, and path handling inside a root file system.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

/// The directory a descriptor's path lookups start in when there is no descriptor.
pub const CWD: BorrowedFd<'static> = rustix::fs::CWD;

/// Turns the usual -1 into an error.
pub fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn check_long(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Joins the namespace behind `fd`, which must be of the kind `CLONE_NEW...`.
pub fn setns(fd: impl AsFd, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::setns(fd.as_fd().as_raw_fd(), kind) }).map(drop)
}

/// Leaves the shared namespaces named by `CLONE_NEW...` flags.
pub fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: no memory is passed; callers have one thread.
    check(unsafe { libc::unshare(flags) }).map(drop)
}

/// Which side of a fork this is.
pub enum Fork {
    /// The new process.
    Child,
    /// The old one, with the new one's id.
    Parent(i32),
}

/// Forks. Only ever called by the shim, which has one thread.
pub fn fork() -> io::Result<Fork> {
    // SAFETY: the process has a single thread, so the child may do anything.
    match check(unsafe { libc::fork() })? {
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Forks a child that begins its life in a cgroup of version 2: moving it there afterwards would wait, for
/// milliseconds, until the whole machine has noticed. Where that is not possible it forks as usual; tells which.
pub fn fork_in_cgroup(cgroup: Option<&OwnedFd>) -> io::Result<(Fork, bool)> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let Some(cgroup) = cgroup else { return Ok((fork()?, false)) };
    let arguments = CloneArguments {
        flags: CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: cgroup.as_raw_fd() as u64,
        ..CloneArguments::default()
    };
    // SAFETY: without a stack of its own the child goes on here with a copy of everything, as after fork;
    // there is one thread, and the structure lives through the call.
    let result = check_long(unsafe {
        libc::syscall(libc::SYS_clone3, &arguments as *const CloneArguments, size_of::<CloneArguments>())
    });
    match result {
        Ok(0) => Ok((Fork::Child, true)),
        Ok(pid) => Ok((Fork::Parent(pid as i32), true)),
        // Filtered away by the box that this machine is in.
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM | libc::EACCES)) => {
            Ok((fork()?, false))
        }
        Err(e) => Err(e),
    }
}

/// Argument of `clone3(2)`.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Ends this process without running anything else.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(code) }
}

/// Argument of `mount_setattr(2)`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct MountAttr {
    /// Attributes to set.
    pub set: u64,
    /// Attributes to clear.
    pub clear: u64,
    /// New propagation type, or 0.
    pub propagation: u64,
    /// Unused here.
    pub userns_fd: u64,
}

/// `MOUNT_ATTR_RDONLY`.
pub const ATTR_RDONLY: u64 = 0x1;
/// `MOUNT_ATTR_NOSUID`.
pub const ATTR_NOSUID: u64 = 0x2;
/// `MOUNT_ATTR_NODEV`.
pub const ATTR_NODEV: u64 = 0x4;
/// `MOUNT_ATTR_NOEXEC`.
pub const ATTR_NOEXEC: u64 = 0x8;

/// Changes a mount's attributes; `AT_EMPTY_PATH` is implied by an empty path.
pub fn mount_setattr(dir: impl AsFd, path: &CStr, recursive: bool, attr: MountAttr) -> io::Result<()> {
    let mut flags = if path.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path and the structure live through the call; the size is the structure's.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir.as_fd().as_raw_fd(),
            path.as_ptr(),
            flags,
            &attr as *const MountAttr,
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// Opens a path as if `root` were `/`: neither `..` nor symbolic links leave it.
pub fn open_in_root(root: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    resolve(root, path, flags, ResolveFlags::IN_ROOT)
}

/// Opens a path beneath `dir`; refuses (`EXDEV`) a path or symbolic link that leads out of it.
pub fn open_beneath(dir: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    resolve(dir, path, flags, ResolveFlags::BENEATH)
}

fn resolve(dir: impl AsFd, path: &Path, flags: OFlags, how: ResolveFlags) -> io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    loop {
        let how = how | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&dir, path, flags | OFlags::CLOEXEC, Mode::empty(), how) {
            // A rename raced with the lookup: the kernel asks to try again.
            Err(rustix::io::Errno::AGAIN) => continue,
            other => return Ok(other?),
        }
    }
}

/// The parts of a path without roots and dots; `None` when it climbs with `..`.
pub fn plain_components(path: &Path) -> Option<Vec<&OsStr>> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name),
            Component::ParentDir => return None,
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some(parts)
}

/// Opens a directory inside `root`, making those that are absent.
pub fn make_dir_in_root(root: impl AsFd, path: &Path, mode: u32) -> io::Result<OwnedFd> {
    let parts = plain_components(path).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    match open_in_root(&root, path, flags) {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {}
        other => return other,
    }
    let mut so_far = PathBuf::from("/");
    let mut current = open_in_root(&root, &so_far, flags)?;
    for part in parts {
        so_far.push(part);
        current = match open_in_root(&root, &so_far, flags) {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {
                rustix::fs::mkdirat(&current, part, Mode::from_raw_mode(mode))?;
                open_in_root(&root, &so_far, flags)?
            }
            other => other?,
        };
    }
    Ok(current)
}

/// Opens (as a path) a file inside `root`, making it empty, and its directories, when absent.
pub fn make_file_in_root(root: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    match open_in_root(&root, path, OFlags::PATH) {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {}
        other => return other,
    }
    let parent = make_dir_in_root(&root, path.parent().unwrap_or(Path::new("/")), 0o755)?;
    let name = path.file_name().ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    drop(rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644))?);
    open_in_root(&root, path, OFlags::PATH)
}

/// Whether the descriptor is of a directory.
pub fn is_dir(fd: impl AsFd) -> io::Result<bool> {
    let stat = rustix::fs::fstat(fd)?;
    Ok(rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory)
}

/// The path by which another system call can reach a descriptor.
pub fn fd_path(fd: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// Writes a whole small file (of /proc, /sys or a cgroup) with one call, without creating it.
pub fn write_control(path: &Path, value: &str) -> io::Result<()> {
    use std::io::Write;
    std::fs::OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}

/// Replaces a file so that a reader sees the old or the new content, also after a crash when `sync`.
pub fn replace_file(path: &Path, content: &[u8], sync: bool) -> io::Result<()> {
    use std::io::Write;
    let temporary = path.with_extension("tmp");
    let mut file = std::fs::File::create(&temporary)?;
    file.write_all(content)?;
    if sync {
        file.sync_data()?;
    }
    std::fs::rename(&temporary, path)?;
    if sync && let Some(dir) = path.parent() {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        std::fs::File::open(dir)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_root() {
        let outer = tempfile::tempdir().expect("tempdir");
        std::fs::write(outer.path().join("secret"), "x").expect("write");
        let root = outer.path().join("root");
        std::fs::create_dir(&root).expect("mkdir");
        std::os::unix::fs::symlink("/", root.join("abs")).expect("symlink");
        std::os::unix::fs::symlink("..", root.join("up")).expect("symlink");
        let fd = std::fs::File::open(&root).expect("open");
        for path in ["../secret", "abs/secret", "up/secret", "/../secret"] {
            let error = open_in_root(&fd, Path::new(path), OFlags::RDONLY).expect_err(path);
            assert_eq!(error.raw_os_error(), Some(libc::ENOENT), "{path}");
            let error = open_beneath(&fd, Path::new(path), OFlags::RDONLY).expect_err(path);
            assert_eq!(error.raw_os_error(), Some(libc::EXDEV), "{path}");
        }
        make_dir_in_root(&fd, Path::new("abs/made/deep"), 0o755).expect("mkdir -p");
        assert!(root.join("made/deep").is_dir());
        make_file_in_root(&fd, Path::new("/made/deep/file")).expect("touch");
        assert!(root.join("made/deep/file").is_file());
    }
}
