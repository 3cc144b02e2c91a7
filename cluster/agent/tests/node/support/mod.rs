//! A node in a temporary directory: the real runtime with a busybox image, an API in memory, a network without links.

pub mod api;
#[path = "../../../../../chaos-tests/debian.rs"]
mod debian;

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent::{AgentConfig, AgentError, ServingIdentity, Timings};
use async_trait::async_trait;
use network::{DnsSettings, HostPort, NetworkError, PodAddress, PodNetwork, PodRef};
use runtime::{Runtime, RuntimeConfig};
use serde_json::{Value, json};
use sha2::Digest;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::api::FakeApi;

struct NoNetwork;

#[async_trait]
impl PodNetwork for NoNetwork {
    async fn attach(&self, _: &PodRef, _: &Path, _: &[HostPort]) -> Result<PodAddress, NetworkError> {
        Ok(PodAddress { ips: vec!["10.244.0.5".parse().unwrap()] })
    }
    async fn detach(&self, _: &str) -> Result<(), NetworkError> {
        Ok(())
    }
    async fn retain(&self, _: &HashSet<String>) -> Result<(), NetworkError> {
        Ok(())
    }
    fn dns(&self) -> DnsSettings {
        DnsSettings { server: "10.96.0.10".parse().unwrap(), domain: "cluster.local".into() }
    }
    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A node. `stop` and `start` are a restart of its agent; what it started ends with the value.
pub struct Node {
    pub api: FakeApi,
    pub dir: PathBuf,
    pub ca_pem: String,
    pub client_pem: (String, String),
    pub port: u16,
    pub runtime: Option<Arc<Runtime>>,
    serving: ServingIdentity,
    cgroup: String,
    timings: Timings,
    agent: Option<(CancellationToken, JoinHandle<Result<(), AgentError>>)>,
    _temporary: tempfile::TempDir,
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some((stop, task)) = self.agent.take() {
            stop.cancel();
            let ended = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(task));
            ended.expect("agent").expect("agent");
        }
        // The runtime's own tasks may still note what they see while it is being removed.
        drop(self.runtime.take());
        let purge = || Runtime::purge(&self.dir.join("runtime"), &self.cgroup);
        purge().or_else(|_| purge()).or_else(|_| purge()).expect("purge");
        agent::cleanup(&self.dir.join("agent")).expect("cleanup");
    }
}

impl Node {
    pub async fn start(name: &str) -> Node {
        Node::start_with(name, Timings::default()).await
    }

    pub async fn start_with(name: &str, timings: Timings) -> Node {
        let temporary = tempfile::tempdir().expect("tempdir");
        let (serving, client_pem) = identities();
        let mut node = Node {
            api: FakeApi::new(),
            dir: temporary.path().to_owned(),
            ca_pem: serving.client_ca_pem.clone(),
            client_pem,
            port: free_port(),
            runtime: None,
            serving,
            cgroup: format!("trireme-test-{}-{name}", std::process::id()),
            timings,
            agent: None,
            _temporary: temporary,
        };
        node.open().await;
        let archive = node.dir.join("busybox.tar");
        std::fs::write(&archive, busybox_archive()).expect("write");
        node.runtime.as_ref().unwrap().import_archive(&archive).await.expect("import");
        node.begin();
        node.api.wait("/api/v1/nodes/n1", |n| n.is_some_and(|n| is_true(n, "Ready"))).await;
        node
    }

    async fn open(&mut self) {
        let config = RuntimeConfig {
            root: self.dir.join("runtime"),
            shim_exe: env!("CARGO_BIN_EXE_agent-shim").into(),
            cgroup_parent: self.cgroup.clone(),
            ..RuntimeConfig::default()
        };
        self.runtime = Some(Runtime::open(config).await.expect("runtime"));
    }

    fn begin(&mut self) {
        let stop = CancellationToken::new();
        let cfg = AgentConfig {
            node_name: "n1".into(),
            node_ip: IpAddr::from([127, 0, 0, 1]),
            data_dir: self.dir.join("agent"),
            log_dir: self.dir.join("logs"),
            listen: ([127, 0, 0, 1], self.port).into(),
            tls: self.serving.clone(),
            labels: Default::default(),
            taints: Vec::new(),
            max_pods: 110,
            reserved_cpu_millis: 0,
            reserved_memory_bytes: 0,
            static_pod_dir: None,
            resolv_conf: "/etc/resolv.conf".into(),
            timings: self.timings.clone(),
            registry: prometheus::Registry::new(),
        };
        let runtime = self.runtime.clone().unwrap();
        let run = agent::run(cfg, self.api.client(), runtime, Arc::new(NoNetwork), stop.clone());
        self.agent = Some((stop, tokio::spawn(run)));
    }

    /// The agent ends and comes back, as after a kill: only the disk is common.
    pub async fn restart(&mut self) {
        let (stop, task) = self.agent.take().unwrap();
        stop.cancel();
        task.await.expect("agent").expect("agent");
        let old = Arc::downgrade(&self.runtime.take().unwrap());
        eventually("nobody holds the runtime", || old.strong_count() == 0).await;
        self.open().await;
        self.begin();
    }

    /// Binds a pod to the node.
    pub fn bind(&self, name: &str, mut spec: Value) -> String {
        spec["nodeName"] = json!("n1");
        if spec["terminationGracePeriodSeconds"].is_null() {
            spec["terminationGracePeriodSeconds"] = json!(2);
        }
        let path = format!("/api/v1/namespaces/ns/pods/{name}");
        let pod = json!({"kind": "Pod", "apiVersion": "v1", "spec": spec, "status": {"phase": "Pending"},
            "metadata": {"name": name, "uid": format!("uid-{name}"), "generation": 1, "labels": {"app": name}}});
        self.api.put(&path, pod);
        path
    }

    pub async fn ready(&self, path: &str) -> Value {
        self.api.wait(path, |p| p.is_some_and(|p| is_true(p, "Ready"))).await.unwrap()
    }

    pub async fn delete(&self, path: &str) {
        let api: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::namespaced(self.api.client(), "ns");
        api.delete(path.rsplit('/').next().unwrap(), &Default::default()).await.expect("delete");
    }

    pub async fn exec(&self, pod: &Value, script: &str) -> String {
        let id = container_id(pod);
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let done = self
            .runtime
            .as_ref()
            .unwrap()
            .exec_sync(&id, command, Duration::from_secs(60))
            .await
            .expect("exec");
        String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
    }
}

/// Waits for something that no event tells.
pub async fn eventually(what: &str, is: impl Fn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    let work = async {
        while !is() {
            looks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap_or_else(|_| panic!("not so: {what}"));
}

pub fn container_id(pod: &Value) -> String {
    let id = pod["status"]["containerStatuses"][0]["containerID"].as_str().expect("containerID");
    id.strip_prefix("trireme://").expect("prefix").to_owned()
}

pub fn is_true(object: &Value, condition: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|c| c.iter().any(|c| c["type"] == condition && c["status"] == "True"))
}

pub fn phase(object: Option<&Value>) -> &str {
    object.and_then(|o| o["status"]["phase"].as_str()).unwrap_or_default()
}

/// A shell that runs `script`.
pub fn shell(name: &str, script: &str) -> Value {
    json!({"name": name, "image": "busybox", "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script],
        "terminationMessagePath": "/dev/termination-log"})
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn identities() -> (ServingIdentity, (String, String)) {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_cert = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&key, &issuer).unwrap();
    let client_key = KeyPair::generate().unwrap();
    let mut client = CertificateParams::new(vec![]).unwrap();
    client.distinguished_name.push(DnType::CommonName, "kube-apiserver-kubelet-client");
    let client_cert = client.signed_by(&client_key, &issuer).unwrap();
    let serving =
        ServingIdentity { cert_pem: cert.pem(), key_pem: key.serialize_pem(), client_ca_pem: ca_cert.pem() };
    (serving, (client_cert.pem(), client_key.serialize_pem()))
}

fn busybox_archive() -> Vec<u8> {
    let program = std::fs::read(debian::busybox()).expect("busybox");
    let applets = [
        "sh", "cat", "echo", "id", "sleep", "env", "hostname", "stat", "nc", "ls", "kill", "ps", "test",
        "trap", "touch",
    ];
    let layer = tar_of(|tar| {
        add(tar, "bin/busybox", 0o755, &program);
        for applet in applets {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            header.set_mode(0o777);
            tar.append_link(&mut header, format!("bin/{applet}"), "busybox").unwrap();
        }
    });
    let digest = |bytes: &[u8]| hex::encode(sha2::Sha256::digest(bytes));
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", digest(&layer))]}});
    let config = config.to_string().into_bytes();
    let name = format!("{}.json", digest(&config));
    let manifest = json!([{"Config": name, "RepoTags": ["busybox:latest"], "Layers": ["a/layer.tar"]}]);
    tar_of(|tar| {
        add(tar, "a/layer.tar", 0o644, &layer);
        add(tar, &name, 0o644, &config);
        add(tar, "manifest.json", 0o644, manifest.to_string().as_bytes());
    })
}

fn tar_of(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    fill(&mut builder);
    builder.into_inner().unwrap()
}

fn add(tar: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, data: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(data.len() as u64);
    header.set_mode(mode);
    header.set_cksum();
    tar.append_data(&mut header, path, data).unwrap();
}
