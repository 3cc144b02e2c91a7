//! Images: imported from an archive, pulled from a registry by tag and by digest, and one that does not exist.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::cluster::{Cluster, text};
use crate::oci;
use crate::tools;

/// Port of the story's registry on the host's loopback.
pub const REGISTRY_PORT: u16 = 15000;

/// The name under which the imported image is known.
pub const BUSYBOX: &str = "docker.io/library/busybox:story";

struct Registry {
    process: Child,
    _folder: tempfile::TempDir,
}

impl Registry {
    fn start() -> Registry {
        let folder = tempfile::tempdir().expect("a folder");
        let configuration = folder.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: 127.0.0.1:{REGISTRY_PORT}}}\n",
            folder.path().display()
        );
        std::fs::write(&configuration, text).expect("a file");
        let process = Command::new(tools::docker_registry())
            .arg("serve")
            .arg(&configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the registry runs");
        let deadline = Instant::now() + crate::kubectl::PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", REGISTRY_PORT)).is_err() {
            assert!(Instant::now() < deadline, "the registry does not answer");
        }
        Registry { process, _folder: folder }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn import_and_pull(cluster: &Cluster) {
    let image = oci::busybox();
    import(cluster, &image);
    let _registry = Registry::start();
    let host = format!("127.0.0.1:{REGISTRY_PORT}");
    image.push(&host, "story/busybox", "v1");
    cluster.k("create namespace images");
    let by_tag = format!("{host}/story/busybox:v1");
    let by_digest = format!("{host}/story/busybox@{}", image.digest());
    run_to_end(cluster, "by-tag", &by_tag);
    run_to_end(cluster, "by-digest", &by_digest);
    run_to_end(cluster, "imported", BUSYBOX);
    missing(cluster, &format!("{host}/story/nothing:v1"));
    cluster.k("delete namespace images --wait=true --timeout=60s");
    let refused = text(&cluster.trireme(&["image", "import", "/etc/hostname"]));
    assert!(refused.contains("archive"), "{refused}");
}

fn import(cluster: &Cluster, image: &oci::Image) {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("busybox.tar");
    image.write_archive(&archive, BUSYBOX);
    let output = cluster.trireme(&["image", "import", &archive.display().to_string()]);
    assert!(output.status.success(), "{}", text(&output));
    let listed = text(&cluster.trireme(&["image", "list"]));
    assert_eq!(listed.matches(BUSYBOX).count(), 2, "on both nodes:\n{listed}");
    assert!(listed.contains("trireme/hello") && listed.contains("trireme/pause"), "{listed}");
}

fn run_to_end(cluster: &Cluster, name: &str, image: &str) {
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: images}}\nspec:\n  restartPolicy: Never\n  containers:\n  - {{name: main, image: '{image}', command: [sh, -c, 'echo it runs; exit 0']}}\n"
    ));
    cluster.k_until(&format!("-n images get pod {name}"), |shown| shown.contains("Completed"));
    assert_eq!(cluster.k(&format!("-n images logs {name}")).trim(), "it runs");
}

fn missing(cluster: &Cluster, image: &str) {
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: missing, namespace: images}}\nspec:\n  containers:\n  - {{name: main, image: '{image}'}}\n"
    ));
    cluster.k_until("-n images get pod missing", |shown| {
        shown.contains("ErrImagePull") || shown.contains("ImagePullBackOff")
    });
    let described = cluster.k_until("-n images describe pod missing", |shown| shown.contains("Failed"));
    assert!(described.contains(image), "{described}");
}
