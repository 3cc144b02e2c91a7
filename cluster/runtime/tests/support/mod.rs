//! A runtime in a temporary root, with a busybox image made from Debian's busybox-static.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use runtime::*;

#[path = "../../../../chaos-tests/debian.rs"]
pub mod debian;

pub const BUSYBOX: &str = "docker.io/library/busybox:latest";
const APPLETS: &[&str] = &[
    "sh", "ls", "cat", "echo", "id", "sleep", "true", "false", "env", "hostname", "stat", "touch", "mkdir",
    "mount", "wc", "head", "dd", "tty", "stty", "ps", "kill", "mknod", "test", "seq", "tail", "grep", "ip",
    "nproc", "ulimit", "tr", "cut", "rm", "readlink", "nc", "wget",
];

/// A runtime, its root and its cgroup; everything it has started ends with it.
pub struct Fixture {
    runtime: Option<Arc<Runtime>>,
    pub root: PathBuf,
    pub cgroup: String,
    _dir: tempfile::TempDir,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        Runtime::purge(&self.root, &self.cgroup).expect("purge");
    }
}

pub fn config(root: &Path, cgroup: &str) -> RuntimeConfig {
    RuntimeConfig {
        root: root.to_path_buf(),
        shim_exe: env!("CARGO_BIN_EXE_runtime-shim").into(),
        cgroup_parent: cgroup.to_owned(),
        ..RuntimeConfig::default()
    }
}

pub fn unique(name: &str) -> String {
    format!("trireme-test-{}-{name}", std::process::id())
}

impl Fixture {
    pub async fn new(name: &str) -> Fixture {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path().join("root");
        let cgroup = unique(name);
        let runtime = Runtime::open(config(&root, &cgroup)).await.expect("open");
        Fixture { runtime: Some(runtime), root, cgroup, _dir: dir }
    }

    pub fn runtime(&self) -> &Arc<Runtime> {
        self.runtime.as_ref().expect("open")
    }

    /// Ends the handle, as the death of the agent does: its lock and its connections go.
    pub async fn drop_runtime(&mut self) {
        let weak = Arc::downgrade(&self.runtime.take().expect("open"));
        wait_for(|| weak.strong_count() == 0).await;
    }

    pub async fn reopen(&mut self) {
        self.runtime = Some(Runtime::open(config(&self.root, &self.cgroup)).await.expect("open again"));
    }

    /// With the busybox image, imported from a docker-save archive.
    pub async fn with_busybox(name: &str) -> Fixture {
        let fixture = Fixture::new(name).await;
        let archive = fixture.root.join("busybox.tar");
        std::fs::write(&archive, docker_archive(&busybox_layer(), "busybox:latest")).expect("write");
        let images = fixture.runtime().import_archive(&archive).await.expect("import");
        assert_eq!(images[0].names, [BUSYBOX]);
        fixture
    }

    pub async fn sandbox(&self, id: &str) -> Sandbox {
        self.runtime().create_sandbox(self.sandbox_spec(id)).await.expect("sandbox")
    }

    pub fn sandbox_spec(&self, id: &str) -> SandboxSpec {
        SandboxSpec {
            id: id.into(),
            name: id.into(),
            namespace: "default".into(),
            hostname: format!("{id}-host"),
            log_dir: self.root.join("logs"),
            ..SandboxSpec::default()
        }
    }

    pub fn spec(&self, name: &str, script: &str) -> ContainerSpec {
        ContainerSpec {
            name: name.into(),
            image_id: BUSYBOX.into(),
            command: vec!["/bin/sh".into(), "-c".into(), script.into()],
            log_path: self.root.join(format!("logs/{name}.log")),
            ..ContainerSpec::default()
        }
    }

    /// Creates and starts.
    pub async fn start(&self, sandbox: &str, spec: ContainerSpec) -> String {
        let id = self.runtime().create_container(sandbox, spec).await.expect("create");
        self.runtime().start_container(&id).await.expect("start");
        id
    }

    /// Waits for the end and returns the status.
    pub async fn ended(&self, id: &str) -> ContainerStatus {
        let mut events = self.runtime().events();
        let wait = async {
            loop {
                let status = self.runtime().container(id).expect("known");
                if status.state == ContainerState::Exited {
                    return status;
                }
                events.recv().await.expect("event");
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("container ends in time")
    }

    /// Runs a script to its end; what it wrote, and its exit code.
    pub async fn run(&self, sandbox: &str, spec: ContainerSpec) -> (String, i32) {
        let log = spec.log_path.clone();
        let id = self.start(sandbox, spec).await;
        let status = self.ended(&id).await;
        let text = log_text(&log);
        self.runtime().remove_container(&id).await.expect("remove");
        std::fs::remove_file(log).expect("log");
        (text, status.exit_code.expect("exit code"))
    }

    /// The output of a command in a running container.
    pub async fn exec(&self, id: &str, script: &str) -> ExecOut {
        let cmd = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let done = self.runtime().exec_sync(id, cmd, Duration::from_secs(60)).await.expect("exec");
        ExecOut {
            code: done.exit_code,
            out: String::from_utf8_lossy(&done.stdout).into_owned(),
            err: String::from_utf8_lossy(&done.stderr).into_owned(),
        }
    }
}

/// Waits for a condition that no event announces, with a deadline.
pub async fn wait_for(mut done: impl FnMut() -> bool) {
    wait_for_async(|| std::future::ready(done())).await;
}

pub async fn wait_for_async<F: Future<Output = bool>>(mut done: impl FnMut() -> F) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let mut pace = tokio::time::interval(Duration::from_millis(5));
    while !done().await {
        assert!(std::time::Instant::now() < deadline, "the condition does not come true");
        pace.tick().await;
    }
}

/// Kills one process that this test has started.
pub fn kill(pid: u32) {
    // SAFETY: plain call.
    assert_eq!(unsafe { libc::kill(pid as i32, libc::SIGKILL) }, 0);
}

#[derive(Debug, PartialEq)]
pub struct ExecOut {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The text of a CRI log file, without times and marks.
pub fn log_text(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("log");
    text.lines().map(|line| line.splitn(4, ' ').nth(3).expect("four fields").to_owned() + "\n").collect()
}

pub fn tar_of(entries: &[(&str, tar::EntryType, u32, &str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, mode, link, data) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_size(data.len() as u64);
        header.set_path(path).expect("path");
        if !link.is_empty() {
            header.set_link_name(link).expect("link");
        }
        header.set_cksum();
        builder.append(&header, *data).expect("append");
    }
    builder.into_inner().expect("tar")
}

pub fn busybox_layer() -> Vec<u8> {
    let program = std::fs::read(debian::busybox()).expect("busybox");
    let names: Vec<String> = APPLETS.iter().map(|a| format!("bin/{a}")).collect();
    let (file, dir, link) = (tar::EntryType::Regular, tar::EntryType::Directory, tar::EntryType::Symlink);
    let mut entries: Vec<(&str, tar::EntryType, u32, &str, &[u8])> = vec![
        ("bin/", dir, 0o755, "", b""),
        ("tmp/", dir, 0o1777, "", b""),
        ("etc/", dir, 0o755, "", b""),
        ("etc/passwd", file, 0o644, "", b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv:/bin/sh\n"),
        ("etc/group", file, 0o644, "", b"root:x:0:\nwebs:x:34:\nlogs:x:40:web\n"),
        ("bin/busybox", file, 0o755, "", &program),
        ("bin/suid-id", file, 0o4755, "", &program),
    ];
    entries.extend(names.iter().map(|name| (name.as_str(), link, 0o777, "busybox", &b""[..])));
    tar_of(&entries)
}

pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}

pub fn image_config(layer: &[u8]) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Env": ["PATH=/bin:/usr/bin", "FROM_IMAGE=yes"], "Cmd": ["sh"], "WorkingDir": "/tmp", "User": null},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(layer))]},
    }))
    .expect("json")
}

/// What `docker save` writes.
pub fn docker_archive(layer: &[u8], name: &str) -> Vec<u8> {
    let config = image_config(layer);
    let config_name = format!("{}.json", sha256(&config));
    let manifest = serde_json::to_vec(
        &serde_json::json!([{"Config": config_name, "RepoTags": [name], "Layers": ["abc/layer.tar"]}]),
    )
    .expect("json");
    let file = tar::EntryType::Regular;
    tar_of(&[
        ("abc/layer.tar", file, 0o644, "", layer),
        (&config_name, file, 0o644, "", &config),
        ("manifest.json", file, 0o644, "", &manifest),
    ])
}
