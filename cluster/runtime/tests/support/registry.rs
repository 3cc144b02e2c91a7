//! Debian's docker-registry on the loopback, and a gateway before it that can be a proxy or want a token.
#![allow(dead_code)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::sha256;

/// A registry; it ends with this value.
pub struct Registry {
    pub address: SocketAddr,
    process: std::process::Child,
    pub dir: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().expect("kill");
        self.process.wait().expect("wait");
    }
}

async fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.expect("bind").local_addr().expect("address")
}

impl Registry {
    /// Starts one; `extra` is added to its configuration.
    pub async fn start(extra: &str) -> Registry {
        let dir = tempfile::tempdir().expect("tempdir");
        let address = free_port().await;
        // user:secret
        let password = "user:$2b$04$XlADyBiiEIg63gvgoshb.uS283KEi6WVaL3nwwiU7HNVSV/9tBvhu\n";
        std::fs::write(dir.path().join("htpasswd"), password).expect("write");
        let root = dir.path().display();
        let extra = extra.replace("DIR", &root.to_string());
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {root}/data}}}}\nhttp: {{addr: '{address}'}}\n{extra}\n"
        );
        let path = dir.path().join("config.yml");
        std::fs::write(&path, config).expect("write");
        let mut command =
            std::process::Command::new(super::debian::installed("docker-registry", "docker-registry"));
        let log = std::fs::File::create(dir.path().join("log")).expect("log");
        command.arg("serve").arg(&path).stdout(log.try_clone().expect("log")).stderr(log);
        let process = command.spawn().expect("the registry runs");
        let registry = Registry { address, process, dir };
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let mut pace = tokio::time::interval(std::time::Duration::from_millis(20));
        while TcpStream::connect(address).await.is_err() {
            assert!(std::time::Instant::now() < deadline, "the registry does not start");
            pace.tick().await;
        }
        registry
    }

    /// Uploads a blob; returns its digest.
    pub async fn push_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = format!("sha256:{}", sha256(bytes));
        let (status, headers, _) =
            self.request("POST", &format!("/v2/{repository}/blobs/uploads/"), "", &[]).await;
        assert_eq!(status, 202);
        let location = headers.lines().find_map(|l| l.strip_prefix("Location: ")).expect("location");
        let path = location.split_once("/v2/").expect("path").1;
        let join = if path.contains('?') { '&' } else { '?' };
        let target = format!("/v2/{path}{join}digest={digest}");
        let (status, _, body) = self.request("PUT", &target, "application/octet-stream", bytes).await;
        assert_eq!(status, 201, "{body}");
        digest
    }

    /// Uploads a manifest or an index; returns its digest.
    pub async fn push_manifest(
        &self,
        repository: &str,
        tag: &str,
        kind: &str,
        document: &serde_json::Value,
    ) -> String {
        let bytes = serde_json::to_vec(document).expect("json");
        let (status, _, body) =
            self.request("PUT", &format!("/v2/{repository}/manifests/{tag}"), kind, &bytes).await;
        assert_eq!(status, 201, "{body}");
        format!("sha256:{}", sha256(&bytes))
    }

    /// Uploads a whole image of the given layers (each: media type, bytes, digest of the plain tar).
    pub async fn push_image(
        &self,
        repository: &str,
        tag: &str,
        layers: &[(&str, Vec<u8>, String)],
    ) -> (String, usize) {
        let diff_ids: Vec<&String> = layers.iter().map(|(_, _, id)| id).collect();
        let config = serde_json::json!({"architecture": "amd64", "os": "linux",
            "config": {"Entrypoint": ["/bin/sh", "-c"], "Cmd": ["echo hello"], "User": "web"},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = serde_json::to_vec(&config).expect("json");
        let config_digest = self.push_blob(repository, &config).await;
        let mut descriptors = Vec::new();
        for (kind, bytes, _) in layers {
            let digest = self.push_blob(repository, bytes).await;
            descriptors.push(serde_json::json!({"mediaType": kind, "digest": digest, "size": bytes.len()}));
        }
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": kind,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len()},
            "layers": descriptors});
        let size = serde_json::to_vec(&manifest).expect("json").len();
        (self.push_manifest(repository, tag, kind, &manifest).await, size)
    }

    async fn request(&self, method: &str, target: &str, kind: &str, body: &[u8]) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).await.expect("write");
        stream.write_all(body).await.expect("write");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("read");
        let text = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").expect("head");
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("status");
        (status, head.replace('\r', ""), body.to_owned())
    }
}

/// Forwards to a registry; counts requests; as a proxy it takes absolute targets, as a guard it wants a token.
pub struct Gateway {
    pub address: SocketAddr,
    pub absolute: Arc<AtomicUsize>,
    pub total: Arc<AtomicUsize>,
}

impl Gateway {
    pub async fn start(upstream: SocketAddr, guarded: bool) -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let gateway = Gateway { address, absolute: Arc::default(), total: Arc::default() };
        let (absolute, total) = (gateway.absolute.clone(), gateway.total.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(forward(stream, address, upstream, guarded, absolute.clone(), total.clone()));
            }
        });
        gateway
    }
}

async fn forward(
    mut stream: TcpStream,
    own: SocketAddr,
    upstream: SocketAddr,
    guarded: bool,
    absolute: Arc<AtomicUsize>,
    total: Arc<AtomicUsize>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    total.fetch_add(1, Ordering::SeqCst);
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut target = head.split(' ').nth(1).expect("target").to_owned();
    if let Some(rest) = target.strip_prefix("http://") {
        absolute.fetch_add(1, Ordering::SeqCst);
        target = rest[rest.find('/').expect("path")..].to_owned();
    }
    let lower = head.to_ascii_lowercase();
    let header = |name: &str| lower.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim().to_owned());
    let authorization = header("authorization:").unwrap_or_default();
    let answer = |status: &str, more: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{more}\r\n{body}",
            body.len()
        )
    };
    let refusal = if target.starts_with("/token") {
        // user:secret
        let known = authorization == "basic dxnlcjpzzwnyzxq=";
        let scoped = target.contains("scope=repository%3Ademo%3Apull") && target.contains("service=test");
        Some(match (known, scoped) {
            (true, true) => answer("200 OK", "", r#"{"token":"letmein"}"#),
            _ => {
                answer("401 Unauthorized", "", r#"{"errors":[{"message":"incorrect username or password"}]}"#)
            }
        })
    } else if guarded && authorization != "bearer letmein" {
        let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{own}/token\",service=\"test\"\r\n");
        Some(answer("401 Unauthorized", &challenge, ""))
    } else {
        None
    };
    if let Some(text) = refusal {
        stream.write_all(text.as_bytes()).await.expect("write");
        return;
    }
    let accept = header("accept:").unwrap_or_default();
    let mut registry = TcpStream::connect(upstream).await.expect("connect");
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: {upstream}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    registry.write_all(request.as_bytes()).await.expect("write");
    // The client may have gone away.
    let _copied = tokio::io::copy(&mut registry, &mut stream).await;
}
