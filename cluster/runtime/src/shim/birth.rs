//! From the command line to a detached process that holds the pod's namespaces.

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::cgroup::{Group, Layout};
use crate::container::{self, Surroundings};
use crate::spec::SandboxSpec;
use crate::sys::{self, Fork};
use crate::wire::{self, ShimSpec};

/// Size of the pod's `/dev/shm`.
const SHM_BYTES: u64 = 64 << 20;
/// What the parent hears when the shim is ready.
const READY: &[u8] = b"ready";

/// Who returns from [`detach`].
pub enum Side {
    /// The process the agent waits for: it may exit, the shim is ready.
    Parent,
    /// The shim.
    Shim(Box<Born>),
}

/// A shim that is set up. Its working directory is the sandbox's.
pub struct Born {
    /// Accepts the agent.
    pub listener: UnixListener,
    /// What containers need.
    pub around: Surroundings,
    /// Keeps the shared process namespace alive.
    pub pause: Option<i32>,
    /// Readable when a child has ended or a signal came.
    pub signals: OwnedFd,
}

fn at(step: impl Display) -> impl FnOnce(io::Error) -> io::Error {
    move |e| io::Error::new(e.kind(), format!("{step}: {}", container::plain(&e)))
}

/// Forks into the background; the parent returns when the shim is ready, or fails with the shim's error.
pub fn detach(dir: &Path) -> io::Result<Side> {
    std::env::set_current_dir(dir).map_err(at(dir.display()))?;
    let spec: ShimSpec = serde_json::from_slice(&std::fs::read(wire::SPEC).map_err(at(wire::SPEC))?)?;
    let (mut ready, mut report) = io::pipe()?;
    let layout = Layout::detect().map_err(at("find cgroups"))?;
    // Not the agent's cgroup: stopping the agent's service must spare the shim.
    let shims = Group::new(&layout, Path::new(&spec.cgroup_parent).join("shims"));
    shims.create().map_err(at("make the cgroup of shims"))?;
    let birthplace = shims.birthplace().map_err(at("open the cgroup of shims"))?;
    let (forked, placed) = sys::fork_in_cgroup(birthplace.as_ref())?;
    match forked {
        Fork::Parent(_) => {
            drop(report);
            let mut heard = Vec::new();
            ready.read_to_end(&mut heard)?;
            if heard == READY {
                return Ok(Side::Parent);
            }
            Err(io::Error::other(String::from_utf8_lossy(&heard).into_owned()))
        }
        Fork::Child => {
            drop(ready);
            drop(birthplace);
            let entered =
                if placed { Ok(()) } else { shims.enter().map_err(at("enter the cgroup of shims")) };
            let session = entered.and_then(|()| Ok(rustix::process::setsid()?));
            let born = session.and_then(|_| set_up(spec, layout.clone()));
            let words = match &born {
                Ok(_) => READY.to_vec(),
                Err(e) => e.to_string().into_bytes(),
            };
            report.write_all(&words)?;
            drop(report);
            match born {
                Ok(born) => Ok(Side::Shim(Box::new(born))),
                Err(_) => sys::exit_now(1),
            }
        }
    }
}

fn set_up(spec: ShimSpec, layout: Layout) -> io::Result<Born> {
    redirect_streams().map_err(at("redirect streams"))?;
    rustix::thread::set_name(c"trireme-shim")?;
    let signals = take_signals().map_err(at("signals"))?;
    // Orphans of containers in the machine's process namespace come to the shim, which reaps them.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let pod = Group::new(&layout, pod_cgroup(&spec));
    pod.create().and_then(|()| pod.limit(&spec.sandbox.cgroup.resources)).map_err(at("cgroup"))?;
    // Spares the shim when memory runs out; it needs a capability that may be missing.
    let _unprotected = sys::write_control(Path::new("/proc/self/oom_score_adj"), "-998");
    let open_ns = |kind: &str| std::fs::File::open(format!("/proc/self/ns/{kind}")).map(OwnedFd::from);
    let host_mounts = open_ns("mnt").map_err(at("mount namespace"))?;
    let own_pids = open_ns("pid").map_err(at("process namespace"))?;
    make_namespaces(&spec.sandbox)?;
    let shm = if spec.sandbox.host_ipc { None } else { Some(make_shm(&host_mounts)?) };
    let mut around = Surroundings {
        root: spec.root.clone(),
        layout,
        host_mounts,
        shm,
        own_pids,
        shared_pids: None,
        host_pids: spec.sandbox.host_pid,
    };
    let pause = if spec.sandbox.share_pid && !spec.sandbox.host_pid {
        let (pid, namespace) = start_pause(&around).map_err(at("shared process namespace"))?;
        around.shared_pids = Some(namespace);
        Some(pid)
    } else {
        None
    };
    let listener = listen().map_err(at("control socket"))?;
    Ok(Born { listener, around, pause, signals })
}

/// Input from nowhere; output and errors to `shim.log` beside the socket.
fn redirect_streams() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC;
    let log = rustix::fs::open("shim.log", flags, Mode::from_raw_mode(0o600))?;
    // In a bare chroot there may be no /dev/null; the log is as good as it for input that nobody reads.
    rustix::stdio::dup2_stdin(null.as_ref().unwrap_or(&log))?;
    rustix::stdio::dup2_stdout(&log)?;
    rustix::stdio::dup2_stderr(&log)?;
    Ok(())
}

fn take_signals() -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: plain calls; the descriptor is new and ours.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            libc::sigaddset(&mut set, signal);
        }
        sys::check(libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()))?;
        let fd = sys::check(libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// The pod's cgroup, relative to the hierarchies' roots.
fn pod_cgroup(spec: &ShimSpec) -> std::path::PathBuf {
    Path::new(&spec.cgroup_parent).join(&spec.sandbox.cgroup.parent).join(format!("pod{}", spec.sandbox.id))
}

fn make_namespaces(sandbox: &SandboxSpec) -> io::Result<()> {
    let mut flags = libc::CLONE_NEWUTS;
    if !sandbox.host_network {
        flags |= libc::CLONE_NEWNET;
    }
    if !sandbox.host_ipc {
        flags |= libc::CLONE_NEWIPC;
    }
    sys::unshare(flags).map_err(at("make namespaces"))?;
    if !sandbox.hostname.is_empty() {
        rustix::system::sethostname(sandbox.hostname.as_bytes())
            .map_err(|e| at("set the host name")(e.into()))?;
    }
    if !sandbox.host_network {
        raise_loopback().map_err(at("raise the loopback interface"))?;
        // Containers without privileges may use ping and low ports: it is their own network.
        set_sysctl("net.ipv4.ping_group_range", "0 2147483647").or_else(ignore_absent)?;
        set_sysctl("net.ipv4.ip_unprivileged_port_start", "0").or_else(ignore_absent)?;
    }
    for (name, value) in &sandbox.sysctls {
        set_sysctl(name, value).map_err(at(format_args!("sysctl {name}={value}")))?;
    }
    Ok(())
}

fn ignore_absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn set_sysctl(name: &str, value: &str) -> io::Result<()> {
    if name.split(['.', '/']).any(|part| part.is_empty()) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // `a/b.c` spells a name with dots in its parts.
    let path = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    sys::write_control(&Path::new("/proc/sys").join(path), value)
}

fn raise_loopback() -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
    // SAFETY: the request is zeroed, holds a terminated name and lives through both calls.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
            *to = *from as libc::c_char;
        }
        let fd = socket.as_fd().as_raw_fd();
        sys::check(libc::ioctl(fd, libc::SIOCGIFFLAGS, &mut request))?;
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        sys::check(libc::ioctl(fd, libc::SIOCSIFFLAGS, &request)).map(drop)
    }
}

fn make_shm(host_mounts: &OwnedFd) -> io::Result<OwnedFd> {
    let here = std::env::current_dir()?;
    container::make_shm_namespace(host_mounts, &here, SHM_BYTES).map_err(at("make /dev/shm"))
}

/// The first process of the shared process namespace: it reaps orphans and does nothing else.
fn start_pause(around: &Surroundings) -> io::Result<(i32, OwnedFd)> {
    sys::unshare(libc::CLONE_NEWPID)?;
    match sys::fork()? {
        Fork::Child => {
            // SAFETY: closes everything; nothing of the shim is used from here on. Blocking SIGCHLD does not
            // keep waitpid from working; without children it fails, and the wait for a signal begins.
            unsafe {
                libc::close_range(0, libc::c_uint::MAX, 0);
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::prctl(libc::PR_SET_NAME, c"pause".as_ptr());
                let mut set: libc::sigset_t = std::mem::zeroed();
                libc::sigemptyset(&mut set);
                libc::sigaddset(&mut set, libc::SIGCHLD);
                loop {
                    while libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) > 0 {}
                    libc::sigwaitinfo(&set, std::ptr::null_mut());
                }
            }
        }
        Fork::Parent(pid) => {
            let namespace = std::fs::File::open(format!("/proc/{pid}/ns/pid"))?;
            sys::setns(&around.own_pids, libc::CLONE_NEWPID)?;
            Ok((pid, namespace.into()))
        }
    }
}

/// The path is relative: an absolute one may not fit the 108 bytes of a socket address.
fn listen() -> io::Result<UnixListener> {
    match std::fs::remove_file(wire::SOCKET) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(wire::SOCKET);
    rustix::process::umask(before);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
