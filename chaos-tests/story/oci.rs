//! A real image made from a static busybox, and pushed to a real registry over its HTTP API.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use sha2::{Digest, Sha256};

/// An image of one layer: blobs and manifest, each with its digest.
pub struct Image {
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

const APPLETS: &[&str] = &[
    "sh", "ls", "cat", "echo", "sleep", "tar", "wget", "nc", "id", "env", "true", "false", "ps", "mkdir",
    "touch", "rm", "hostname", "date", "head", "tail", "grep", "vi", "test", "stat", "df", "mount", "seq",
    "wc",
];

/// Busybox with its usual names.
pub fn busybox() -> Image {
    let layer = layer(&crate::tools::busybox());
    let config = serde_json::json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    });
    let config = config.to_string().into_bytes();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(&layer), "size": layer.len()}],
    });
    Image { layer, config, manifest: manifest.to_string().into_bytes() }
}

fn layer(busybox: &Path) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let program = std::fs::read(busybox).expect("busybox");
    let mut header = tar::Header::new_gnu();
    for (folder, mode) in [("bin/", 0o755), ("tmp/", 0o1777), ("etc/", 0o755)] {
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(mode);
        header.set_size(0);
        archive.append_data(&mut header, folder, std::io::empty()).expect("tar");
    }
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o755);
    header.set_size(program.len() as u64);
    archive.append_data(&mut header, "bin/busybox", program.as_slice()).expect("tar");
    for applet in APPLETS {
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        link.set_mode(0o777);
        archive.append_link(&mut link, format!("bin/{applet}"), "busybox").expect("tar");
    }
    archive.into_inner().expect("tar")
}

impl Image {
    /// An OCI layout in one tar file, named as `docker save` or `skopeo` would.
    pub fn write_archive(&self, path: &Path, name: &str) {
        let index = serde_json::json!({
            "schemaVersion": 2,
            "manifests": [{
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest(&self.manifest),
                "size": self.manifest.len(),
                "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name},
            }],
        });
        let mut archive = tar::Builder::new(std::fs::File::create(path).expect("a file"));
        let mut put = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, bytes).expect("tar");
        };
        put("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        put("index.json", index.to_string().as_bytes());
        for blob in [&self.layer, &self.config, &self.manifest] {
            put(&format!("blobs/sha256/{}", &digest(blob)[7..]), blob);
        }
        archive.finish().expect("tar");
    }

    /// Pushes to a registry (distribution specification, "Pushing").
    pub fn push(&self, registry: &str, repository: &str, tag: &str) {
        for blob in [&self.layer, &self.config] {
            let (status, head) = http(registry, "POST", &format!("/v2/{repository}/blobs/uploads/"), "", &[]);
            assert_eq!(status, 202, "{head}");
            let location =
                head.lines().find_map(|line| line.strip_prefix("Location: ")).expect("a location").trim();
            let path = location.split_once(registry).map_or(location, |(_, path)| path);
            let (status, head) = http(
                registry,
                "PUT",
                &format!("{path}&digest={}", digest(blob)),
                "application/octet-stream",
                blob,
            );
            assert_eq!(status, 201, "{head}");
        }
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let (status, head) =
            http(registry, "PUT", &format!("/v2/{repository}/manifests/{tag}"), kind, &self.manifest);
        assert_eq!(status, 201, "{head}");
    }

    /// Digest of the manifest.
    pub fn digest(&self) -> String {
        digest(&self.manifest)
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// One HTTP/1.0 request; returns status and head of the answer.
pub fn http(host: &str, method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(host).expect("the registry answers");
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("the registry reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the registry writes");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer)
}
