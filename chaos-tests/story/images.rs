//! Images: imported from an archive, pulled from a registry by tag and by digest, from one that wants a
//! password, and one that does not exist.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::cluster::{Cluster, text};
use crate::oci;
use crate::tools;

/// Port of the story's registry on the host's loopback.
pub const REGISTRY_PORT: u16 = 15000;

/// Port of a registry with the same images, which wants a password.
pub const PRIVATE_REGISTRY_PORT: u16 = 15001;

/// `captain` with the password `oar`, as htpasswd writes it.
const PASSWORDS: &str = "captain:$2b$04$XJKFep1R9sjwos0FmZG0N.cfiHKUDERHOOdYYnyonb7mNaAKQHj86\n";

/// The name under which the imported image is known.
pub const BUSYBOX: &str = "docker.io/library/busybox:story";

/// A registry; it ends with this value.
struct Registry {
    process: Child,
}

impl Registry {
    /// Serves the images in `folder`; `extra` is added to the configuration.
    fn start(folder: &Path, port: u16, extra: &str) -> Registry {
        let configuration = folder.join(format!("{port}.yml"));
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: 127.0.0.1:{port}}}\n{extra}",
            folder.display()
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
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the registry does not answer");
        }
        Registry { process }
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
    let folder = tempfile::tempdir().expect("a folder");
    let _registry = Registry::start(folder.path(), REGISTRY_PORT, "");
    let host = format!("127.0.0.1:{REGISTRY_PORT}");
    image.push(&host, "story/busybox", "v1");
    cluster.k("create namespace images");
    let by_tag = format!("{host}/story/busybox:v1");
    let by_digest = format!("{host}/story/busybox@{}", image.digest());
    run_to_end(cluster, "by-tag", &by_tag);
    run_to_end(cluster, "by-digest", &by_digest);
    run_to_end(cluster, "imported", BUSYBOX);
    missing(cluster, &format!("{host}/story/nothing:v1"));
    with_a_password(cluster, folder.path());
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

/// Refused without the Secret, pulled with it: named by the pod, and by the pod's ServiceAccount.
fn with_a_password(cluster: &Cluster, folder: &Path) {
    let passwords = folder.join("htpasswd");
    std::fs::write(&passwords, PASSWORDS).expect("a file");
    let wanted = format!("auth: {{htpasswd: {{realm: story, path: {}}}}}\n", passwords.display());
    let _registry = Registry::start(folder, PRIVATE_REGISTRY_PORT, &wanted);
    let host = format!("127.0.0.1:{PRIVATE_REGISTRY_PORT}");
    let image = format!("{host}/story/busybox:v1");
    let pod = |name: &str, more: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: images}}\nspec:\n  restartPolicy: Never\n{more}  containers:\n  - {{name: main, image: '{image}', imagePullPolicy: Always, command: [echo, it runs]}}\n"
        )
    };
    cluster.apply(&pod("refused", ""));
    let described = cluster.k_until("-n images describe pod refused", |shown| shown.contains("Failed"));
    assert!(described.contains("authorization failed"), "{described}");
    cluster.k(&format!(
        "-n images create secret docker-registry story --docker-server={host} --docker-username=captain --docker-password=oar"
    ));
    cluster.apply(&pod("by-secret", "  imagePullSecrets: [{name: story}]\n"));
    cluster.k("-n images create serviceaccount puller");
    cluster.k(
        r#"-n images patch serviceaccount puller --type=merge -p {"imagePullSecrets":[{"name":"story"}]}"#,
    );
    cluster.apply(&pod("by-account", "  serviceAccountName: puller\n"));
    for name in ["by-secret", "by-account"] {
        cluster.k_until(&format!("-n images get pod {name}"), |shown| shown.contains("Completed"));
    }
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
