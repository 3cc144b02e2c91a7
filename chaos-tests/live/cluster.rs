//! The cluster under test: made by the program itself, each server's data on a small file system of
//! its own, everything removed at the end.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::wire::Access;
use super::workload::Door;

/// How many servers there are.
pub const SERVERS: u64 = 3;
/// Size of each server's file system.
const DISK_BYTES: u64 = 384 << 20;
/// What fills a disk.
const BALLAST: &str = "ballast";

/// A running cluster. Dropping it ends it.
pub struct Cluster {
    program: PathBuf,
    /// Disk images and the cluster's own folder.
    folder: PathBuf,
    port: u16,
    id: String,
}

impl Cluster {
    /// Makes the disks, when they are wanted, and starts the servers.
    ///
    /// # Errors
    /// What could not be done, with the output of the command that failed.
    pub fn start(program: &Path, folder: &Path, disks: bool) -> Result<Cluster, String> {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map_err(|e| e.to_string())?;
        let (program, folder) = (program.to_owned(), folder.to_owned());
        let mut cluster = Cluster { program, folder, port: port.port(), id: String::new() };
        if disks {
            for server in 1..=SERVERS {
                cluster.make_disk(server)?;
            }
        }
        cluster.up()?;
        let known = std::fs::read(cluster.data().join("cluster.json")).map_err(|e| e.to_string())?;
        let known: Value = serde_json::from_slice(&known).map_err(|e| e.to_string())?;
        cluster.id = known["id"].as_str().unwrap_or_default().to_owned();
        Ok(cluster)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("cluster")
    }

    /// A server's data folder.
    #[must_use]
    pub fn disk(&self, server: u64) -> PathBuf {
        self.data().join(format!("server-{server}"))
    }

    fn make_disk(&self, server: u64) -> Result<(), String> {
        let (image, target) = (self.folder.join(format!("disk-{server}")), self.disk(server));
        let text = |e: std::io::Error| format!("{}: {e}", image.display());
        std::fs::create_dir_all(&target).map_err(text)?;
        File::create(&image).and_then(|file| file.set_len(DISK_BYTES)).map_err(text)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&target))
    }

    /// Starts whatever does not run.
    ///
    /// # Errors
    /// What the program printed.
    pub fn up(&self) -> Result<(), String> {
        let mut command = Command::new(&self.program);
        command.arg("up").arg("--data-dir").arg(self.data());
        run(command.args([&format!("--port={}", self.port), &format!("--servers={SERVERS}"), "--nodes=0"]))
    }

    /// The way in.
    ///
    /// # Errors
    /// The credentials are not usable.
    pub fn door(&self) -> Result<Door, String> {
        let access = Access::read(&self.data().join("admin.kubeconfig"))?;
        let servers = (1..=SERVERS).map(|server| SocketAddr::from((address(server), 6443))).collect();
        Ok(Door { access, servers, namespace: Path::new("/run/netns").join(self.netns("switch")) })
    }

    fn netns(&self, host: &str) -> String {
        format!("trireme-{}-{host}", self.id)
    }

    fn pid(&self, server: u64) -> Result<libc::pid_t, String> {
        let path = self.data().join("run").join(format!("server-{server}.json"));
        let record = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let record: Value = serde_json::from_slice(&record).map_err(|e| e.to_string())?;
        let pid = record["pid"].as_i64().and_then(|pid| libc::pid_t::try_from(pid).ok());
        pid.filter(|pid| *pid > 1).ok_or_else(|| format!("{} names no process", path.display()))
    }

    /// Sends a signal to a server.
    ///
    /// # Errors
    /// It does not run.
    pub fn signal(&self, server: u64, signal: libc::c_int) -> Result<(), String> {
        let pid = self.pid(server)?;
        // SAFETY: a plain system call.
        match unsafe { libc::kill(pid, signal) } {
            0 => Ok(()),
            _ => Err(format!("signal {signal} to server-{server}: {}", std::io::Error::last_os_error())),
        }
    }

    /// Loses (or no longer) all that one server sends to another: its packets go to an address that no
    /// card has, so that nobody is told.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn lose(&self, from: u64, to: u64, lose: bool) -> Result<(), String> {
        let mut command = Command::new("ip");
        let (netns, to) = (self.netns(&format!("server-{from}")), address(to).to_string());
        command.args(["-n", &netns, "neigh", if lose { "replace" } else { "del" }, &to, "dev", "eth0"]);
        if lose {
            command.args(["lladdr", "02:00:00:00:00:01", "nud", "permanent"]);
        }
        run(&mut command)
    }

    /// Takes the last free byte of a server's disk, or gives all back.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn fill(&self, server: u64, fill: bool) -> Result<(), String> {
        let path = self.disk(server).join(BALLAST);
        if !fill {
            return std::fs::remove_file(&path).map_err(|e| format!("{}: {e}", path.display()));
        }
        let file = File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let (mut at, mut size) = (0, libc::off_t::from(1 << 27));
        while size >= 4096 {
            // SAFETY: the descriptor is open.
            match unsafe { libc::fallocate(file.as_raw_fd(), 0, at, size) } {
                0 => at += size,
                _ => size /= 2,
            }
        }
        Ok(())
    }

    /// Lets a server's disk stand still, or go on.
    ///
    /// # Errors
    /// What `fsfreeze` says.
    pub fn freeze(&self, server: u64, freeze: bool) -> Result<(), String> {
        let what = if freeze { "--freeze" } else { "--unfreeze" };
        run(Command::new("fsfreeze").arg(what).arg(self.disk(server)))
    }

    /// The ends of the servers' logs.
    #[must_use]
    pub fn logs(&self) -> String {
        let mut shown = String::new();
        for server in 1..=SERVERS {
            let path = self.data().join("log").join(format!("server-{server}.log"));
            let log = std::fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(25)..].join("\n");
            shown.push_str(&format!("\n== server-{server}\n{tail}\n"));
        }
        shown
    }

    fn end(&self) -> Result<(), String> {
        for server in 1..=SERVERS {
            // What stands still can not end. None of these need be the case, so none is checked.
            drop(self.freeze(server, false));
            drop(self.signal(server, libc::SIGCONT));
        }
        run(Command::new(&self.program).args(["down", "--purge", "--data-dir"]).arg(self.data()))?;
        for server in 1..=SERVERS {
            // `down` has unmounted it already, unless it never got so far.
            drop(run(Command::new("umount").arg(self.disk(server))));
        }
        std::fs::remove_dir_all(&self.folder).map_err(|e| format!("{}: {e}", self.folder.display()))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("chaos-tests: the cluster is not gone: {error}");
        }
    }
}

/// The address that `trireme up` gives to a server.
fn address(server: u64) -> Ipv4Addr {
    Ipv4Addr::new(10, 200, 0, 10 + server as u8)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("{command:?}: {e}"))?;
    let said = || [&output.stdout[..], &output.stderr[..]].concat();
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&said()).trim())),
    }
}
