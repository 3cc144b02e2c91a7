//! What a forked child does on its way to the program. The order matters; each step says why it is where it is.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::identity::{self, Identity};
use super::mounts::{self, Prepared};
use super::seccomp::Filters;
use super::spawn::{Channel, Io};
use super::{Failure, Launch, Step, Surroundings, devices, program};
use crate::sys;

/// Where an additional process of a running container goes.
pub struct Inside<'a> {
    /// The container's mount namespace.
    pub mounts: OwnedFd,
    /// The container's cgroup namespace.
    pub cgroups: Option<OwnedFd>,
    /// Program and arguments.
    pub args: &'a [String],
    /// Added to the container's environment.
    pub env: &'a [(String, String)],
}

/// The first process of a container.
pub fn start(
    around: &Surroundings,
    launch: &Launch,
    io: Io,
    filters: &Filters,
    channel: &Channel,
) -> Result<Infallible, Failure> {
    calm_down(channel, launch.oom_score_adj)?;
    build_root(around, launch, channel)?;
    let terminal = take_streams(io, channel)?;
    if let Some(slave) = &terminal {
        devices::bind_console(slave).step("bind /dev/console")?;
    }
    mounts::restrict(launch)?;
    let identity = identity::resolve(&launch.image_user, &launch.user)?;
    if terminal.is_some() {
        own_terminal(&identity, channel);
    }
    make_working_dir(&launch.cwd)?;
    finish(launch, &identity, &launch.args, &[], filters, channel)
}

/// Another process of a running container.
pub fn exec(
    launch: &Launch,
    inside: &Inside<'_>,
    io: Io,
    filters: &Filters,
    channel: &Channel,
) -> Result<Infallible, Failure> {
    calm_down(channel, launch.oom_score_adj)?;
    if let Some(cgroups) = &inside.cgroups {
        sys::setns(cgroups, libc::CLONE_NEWCGROUP).step("join the cgroup namespace")?;
    }
    sys::setns(&inside.mounts, libc::CLONE_NEWNS).step("join the mount namespace")?;
    let terminal = take_streams(io, channel)?;
    let identity = identity::resolve(&launch.image_user, &launch.user)?;
    if terminal.is_some() {
        own_terminal(&identity, channel);
    }
    finish(launch, &identity, inside.args, inside.env, filters, channel)
}

/// Gives the child the signal state, session and file mode mask of a fresh program.
fn calm_down(channel: &Channel, oom_score_adj: i32) -> Result<(), Failure> {
    rustix::process::setsid().step("start a session")?;
    // SAFETY: resets dispositions and the mask to their defaults; no handler of ours remains.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        // The agent does without huge pages, and children inherit that.
        sys::check(libc::prctl(libc::PR_SET_THP_DISABLE, 0, 0, 0, 0)).step("allow huge pages")?;
    }
    rustix::process::umask(Mode::empty());
    // Before the root changes, because this is the machine's /proc. A value below the shim's own needs
    // CAP_SYS_RESOURCE, which a machine that is itself a container may lack.
    if let Err(e) = sys::write_control(Path::new("/proc/self/oom_score_adj"), &oom_score_adj.to_string()) {
        match e.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => channel.warn(format!("oom_score_adj {oom_score_adj}: {e}")),
            _ => return Err(e).step("set oom_score_adj"),
        }
    }
    Ok(())
}

/// Makes the container's mount namespace and moves into it.
fn build_root(around: &Surroundings, launch: &Launch, channel: &Channel) -> Result<(), Failure> {
    // Taken first: this visits another mount namespace and comes back.
    let shm = mounts::take_shm(around).step("open /dev/shm")?;
    sys::unshare(libc::CLONE_NEWNS).step("make a mount namespace")?;
    if let Err(e) = sys::unshare(libc::CLONE_NEWCGROUP) {
        channel.warn(format!("cgroup namespace: {e}"));
    }
    // Opened while paths still mean what they mean to the agent, which may live in a chroot.
    let own = std::fs::File::open("/proc/self/ns/mnt").step("open the own mount namespace")?;
    let root =
        rustix::fs::open(&around.root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .step(format_args!("open {}", around.root.display()))?;
    let prepared = Prepared::collect(launch, shm)?;
    // A chroot's root is not a mount point: joining the own namespace resets the root to its true one.
    sys::setns(&own, libc::CLONE_NEWNS).step("reset the root directory")?;
    mounts::stop_propagation().step("make mounts private")?;
    let rootfs = mounts::mount_root(&root, launch, channel)?;
    mounts::populate(&rootfs, around, launch, prepared, channel)?;
    mounts::enter_root(&rootfs).step("pivot_root")
}

/// Installs the standard streams; returns the terminal's slave when there is one.
fn take_streams(io: Io, channel: &Channel) -> Result<Option<OwnedFd>, Failure> {
    match io {
        Io::Streams([stdin, stdout, stderr]) => {
            rustix::stdio::dup2_stdin(&stdin).step("standard input")?;
            rustix::stdio::dup2_stdout(&stdout).step("standard output")?;
            rustix::stdio::dup2_stderr(&stderr).step("standard error")?;
            Ok(None)
        }
        Io::Terminal => {
            let slave = devices::open_terminal(channel).step("open a terminal")?;
            rustix::process::ioctl_tiocsctty(&slave).step("make it the controlling terminal")?;
            rustix::stdio::dup2_stdin(&slave).step("standard input")?;
            rustix::stdio::dup2_stdout(&slave).step("standard output")?;
            rustix::stdio::dup2_stderr(&slave).step("standard error")?;
            Ok(Some(slave))
        }
    }
}

/// Programs reopen `/dev/stdin` and friends by name: the terminal must belong to the user.
fn own_terminal(identity: &Identity, channel: &Channel) {
    let owner = rustix::fs::Uid::from_raw(identity.uid);
    if let Err(e) = rustix::fs::fchown(rustix::stdio::stdin(), Some(owner), None) {
        channel.warn(format!("own the terminal: {e}"));
    }
}

/// The part that first and further processes have in common: limits, identity, privileges, program.
fn finish(
    launch: &Launch,
    identity: &Identity,
    args: &[String],
    more_env: &[(String, String)],
    filters: &Filters,
    channel: &Channel,
) -> Result<Infallible, Failure> {
    identity::limit_resources(&launch.rlimits, channel)?;
    enter_working_dir(&launch.cwd)?;
    let env = program::environment(launch, identity, more_env);
    rustix::process::umask(Mode::from_raw_mode(0o022));
    if launch.no_new_privs {
        rustix::thread::set_no_new_privs(true).step("no_new_privs")?;
    } else {
        // Installing a filter needs either no_new_privs or CAP_SYS_ADMIN, which is about to go.
        filters.install().step("install the system call filter")?;
    }
    identity::assume(identity, launch.capabilities)?;
    // After the change of user, which clears it: a container never outlives its shim.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .step("set the parent death signal")?;
    if launch.no_new_privs {
        filters.install().step("install the system call filter")?;
    }
    Err(program::execute(args, &env))
}

fn make_working_dir(cwd: &str) -> Result<(), Failure> {
    if cwd.is_empty() || Path::new(cwd).exists() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(cwd).step(format_args!("mkdir {cwd:?}"))
}

fn enter_working_dir(cwd: &str) -> Result<(), Failure> {
    let path = if cwd.is_empty() { "/" } else { cwd };
    std::env::set_current_dir(path).step(format_args!("chdir to cwd ({path:?})"))
}

/// A C string of text that may hold no NUL.
pub fn c_string(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| Failure::new(format!("{text:?} contains a NUL byte")))
}
