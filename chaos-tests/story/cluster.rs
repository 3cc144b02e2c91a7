//! A cluster made by the program itself, ended whatever happens.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

/// The running cluster. Dropping it ends it.
pub struct Cluster {
    folder: tempfile::TempDir,
    /// Port of the API on the host's loopback.
    pub port: u16,
}

/// The program under test.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_trireme"))
}

impl Cluster {
    /// Runs `trireme up` and waits for it.
    pub fn up() -> Cluster {
        let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
        let cluster = Cluster { folder, port: free_port() };
        let begun = Instant::now();
        let output = cluster.run_up();
        assert!(output.status.success(), "up failed: {}{}", text(&output), cluster.logs());
        println!("up to Ready: {:.2} s", begun.elapsed().as_secs_f64());
        cluster
    }

    /// `trireme up` on this cluster's folder.
    pub fn run_up(&self) -> Output {
        let port = format!("--port={}", self.port);
        let [open, private] = [crate::images::REGISTRY_PORT, crate::images::PRIVATE_REGISTRY_PORT]
            .map(|port| format!("--insecure-registry=127.0.0.1:{port}"));
        self.trireme(&["up", &port, &open, &private])
    }

    /// Runs the program with this cluster's folder.
    pub fn trireme(&self, arguments: &[&str]) -> Output {
        let (first, rest) =
            arguments.split_at(if arguments[0] == "node" || arguments[0] == "image" { 2 } else { 1 });
        let mut command = program();
        command.args(first).arg("--data-dir").arg(self.folder.path()).args(rest).stdin(Stdio::null());
        command.output().expect("the program runs")
    }

    /// Runs a command in the network of a server or node.
    pub fn on(&self, host: &str, command: &[&str]) -> Output {
        let mut arguments = vec!["node", "shell", host, "--"];
        arguments.extend(command);
        self.trireme(&arguments)
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("admin.kubeconfig")
    }

    /// Process id that `up` remembers of a part.
    pub fn pid(&self, part: &str) -> i32 {
        let record =
            std::fs::read(self.folder.path().join("run").join(format!("{part}.json"))).expect("a record");
        let record: serde_json::Value = serde_json::from_slice(&record).expect("a record is JSON");
        i32::try_from(record["pid"].as_i64().expect("a pid")).expect("a pid")
    }

    /// kill -9.
    pub fn kill(&self, part: &str) {
        let pid = rustix::process::Pid::from_raw(self.pid(part)).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("the process runs");
    }

    /// The server that leads the Raft group.
    pub fn leader(&self) -> String {
        let shown = text(&self.trireme(&["status"]));
        let line = shown.lines().find(|line| line.contains("leader"));
        let name = line.and_then(|line| line.split_whitespace().next());
        name.unwrap_or_else(|| panic!("no leader in:\n{shown}")).to_owned()
    }

    /// The ends of all logs, for a failure's message.
    pub fn logs(&self) -> String {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("log")) else { return String::new() };
        let mut shown = String::new();
        for entry in entries.flatten() {
            let log = std::fs::read(entry.path()).unwrap_or_default();
            let log = String::from_utf8_lossy(&log).into_owned();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(40)..].join("\n");
            shown.push_str(&format!("\n== {}\n{tail}\n", entry.path().display()));
        }
        shown
    }

    /// `down --purge`, and then nothing of the cluster is left on the machine.
    pub fn down_leaves_no_trace(self) {
        let id = self.id();
        let output = self.trireme(&["down", "--purge"]);
        assert!(output.status.success(), "down failed: {}", text(&output));
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("the mount table");
        let folder = self.folder.path().display().to_string();
        let left: Vec<&str> =
            mounts.lines().filter(|line| line.contains(&folder) || line.contains(&id)).collect();
        assert!(left.is_empty(), "mounts left: {left:#?}");
        let cgroups: Vec<_> = find_cgroups(&id);
        assert!(cgroups.is_empty(), "cgroups left: {cgroups:#?}");
        let processes = processes_that_mention(&folder);
        assert!(processes.is_empty(), "processes left: {processes:#?}");
        assert!(!self.folder.path().exists(), "the data folder is still there");
    }

    fn id(&self) -> String {
        let known = std::fs::read(self.folder.path().join("cluster.json")).expect("cluster.json");
        let known: serde_json::Value = serde_json::from_slice(&known).expect("JSON");
        format!("trireme-{}", known["id"].as_str().expect("an id"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !self.folder.path().exists() {
            return;
        }
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        if std::env::var_os("TRIREME_KEEP").is_none() {
            let output = self.trireme(&["down", "--purge"]);
            if !output.status.success() {
                eprintln!("down failed: {}", text(&output));
            }
        }
    }
}

/// Everything a command printed.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn find_cgroups(name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    for _depth in 0..2 {
        let entries =
            folders.drain(..).filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
        let next: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        found.extend(next.iter().filter(|path| path.file_name().is_some_and(|file| file == name)).cloned());
        folders = next;
    }
    found
}

fn processes_that_mention(what: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let shown = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    shown.filter(|line| line.contains(what)).collect()
}
