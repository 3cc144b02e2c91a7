//! Pulls from a real registry, imports, removal. Needs root, busybox-static and docker-registry.

#[path = "support/registry.rs"]
mod registry;
mod support;

use std::io::Write;
use std::sync::atomic::Ordering;

use registry::{Gateway, Registry};
use runtime::*;
use support::*;

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("gzip");
    encoder.finish().expect("gzip")
}

/// Three layers in three compressions, the second hiding parts of the first.
fn layers() -> Vec<(&'static str, Vec<u8>, String)> {
    let (file, dir) = (tar::EntryType::Regular, tar::EntryType::Directory);
    let base = busybox_layer();
    let second = tar_of(&[
        ("etc/.wh.group", file, 0o644, "", b""),
        ("data/", dir, 0o755, "", b""),
        ("data/a", file, 0o644, "", b"second\n"),
        ("data/gone", file, 0o644, "", b"x"),
    ]);
    let third = tar_of(&[
        ("data/", dir, 0o755, "", b""),
        ("data/.wh..wh..opq", file, 0o644, "", b""),
        ("data/b", file, 0o644, "", b"third\n"),
    ]);
    let id = |bytes: &[u8]| format!("sha256:{}", sha256(bytes));
    vec![
        (GZIP, gzip(&base), id(&base)),
        (ZSTD, zstd::stream::encode_all(&second[..], 3).expect("zstd"), id(&second)),
        (PLAIN, third.clone(), id(&third)),
    ]
}

async fn open(registries: RegistryConfig, name: &str) -> (std::sync::Arc<Runtime>, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("tempdir");
    let cfg = RuntimeConfig { registries, ..config(dir.path(), &unique(name)) };
    (Runtime::open(cfg).await.expect("open"), dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_and_runs() {
    let registry = Registry::start("").await;
    let (digest, size) = registry.push_image("team/demo", "v1", &layers()).await;
    let other = serde_json::json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": size,
        "digest": format!("sha256:{}", "0".repeat(64)), "platform": {"os": "linux", "architecture": "mips"}});
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let mine = serde_json::json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": size,
        "digest": digest, "platform": {"os": "linux", "architecture": arch}});
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": kind, "manifests": [mine]});
    let index_digest = registry.push_manifest("team/demo", "multi", kind, &index).await;
    assert!(other["platform"].is_object());
    let f = Fixture::new("pull").await;
    let name = format!("{}/team/demo:multi", registry.address);
    let (first, second) = tokio::join!(f.runtime().pull(&name, &[]), f.runtime().pull(&name, &[]));
    let image = first.expect("pull");
    assert_eq!(image, second.expect("pull"));
    assert_eq!(image.names, std::slice::from_ref(&name));
    assert_eq!(image.digests, [format!("{}/team/demo@{index_digest}", registry.address)]);
    assert_eq!((image.config.user.as_str(), image.config.uid()), ("web", None));
    let same =
        f.runtime().pull(&format!("{}/team/demo@{digest}", registry.address), &[]).await.expect("by digest");
    assert_eq!(same.id, image.id);
    assert_eq!(f.runtime().image(&same.digests[1]).expect("found").id, image.id);
    f.sandbox("p").await;
    let mut spec = f.spec("c", "");
    (spec.image_id, spec.command) = (image.id.clone(), Vec::new());
    spec.args = vec!["id -u; cat /data/* /etc/group; ls /data".into()];
    let id = f.start("p", spec).await;
    f.ended(&id).await;
    let text = log_text(&f.root.join("logs/c.log"));
    assert!(text.contains("33\nthird\n") && text.contains("\nb\n") && !text.contains("second"), "{text}");
    let refused = f.runtime().remove_image(&image.id, false).await.expect_err("in use");
    assert!(matches!(refused, ImageError::InUse { .. }), "{refused}");
    f.runtime().remove_sandbox("p").await.expect("remove");
    f.runtime().remove_image(&image.id, false).await.expect("remove");
    assert!(f.runtime().image(&name).is_none());
    // What is left belongs to the two built-in images, which share one layer.
    assert_eq!(std::fs::read_dir(f.root.join("images/layers")).expect("layers").count(), 1);
    assert_eq!(std::fs::read_dir(f.root.join("images/blobs/sha256")).expect("blobs").count(), 2);
    assert_eq!(std::fs::read_dir(f.root.join("images/tmp")).expect("tmp").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_apart() {
    let registry = Registry::start("auth: {htpasswd: {realm: basic, path: DIR/htpasswd}}").await;
    let (runtime, _dir) = open(RegistryConfig::default(), "refuse").await;
    let name = format!("{}/demo", registry.address);
    let error = runtime.pull(&name, &[]).await.expect_err("no credentials");
    assert!(matches!(error.root(), PullError::Unauthorized { .. }), "{error}");
    let auth = |password: &str| RegistryAuth {
        registry: registry.address.to_string(),
        username: "user".into(),
        password: password.into(),
        token: None,
    };
    let error = runtime.pull(&name, &[auth("wrong")]).await.expect_err("wrong credentials");
    assert!(matches!(error.root(), PullError::Unauthorized { .. }), "{error}");
    let error = runtime.pull(&name, &[auth("wrong"), auth("secret")]).await.expect_err("nothing there");
    assert!(matches!(error.root(), PullError::NotFound { .. }), "{error}");
    assert!(error.to_string().ends_with(": not found"), "{error}");
    let error = runtime.pull("127.0.0.1:1/demo", &[]).await.expect_err("nobody there");
    assert!(matches!(error.root(), PullError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
    let error = runtime.pull("UPPER", &[]).await.expect_err("no name");
    assert!(matches!(error.root(), PullError::InvalidName { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_mirrors_and_proxies() {
    let registry = Registry::start("").await;
    registry.push_image("demo", "latest", &layers()).await;
    let guard = Gateway::start(registry.address, true).await;
    let (runtime, _dir) = open(RegistryConfig::default(), "token").await;
    let name = format!("{}/demo", guard.address);
    let auth = RegistryAuth { username: "user".into(), password: "secret".into(), ..RegistryAuth::default() };
    let error = runtime.pull(&name, &[]).await.expect_err("anonymous");
    assert!(error.to_string().contains("incorrect username or password"), "{error}");
    runtime.pull(&name, std::slice::from_ref(&auth)).await.expect("with a token");
    let before = guard.total.load(Ordering::SeqCst);
    runtime.pull(&name, &[auth]).await.expect("again");
    assert_eq!(guard.total.load(Ordering::SeqCst), before + 1, "only the manifest, with the known token");

    let proxy = Gateway::start(registry.address, false).await;
    let cfg = RegistryConfig {
        insecure_http: vec!["registry.invalid".into()],
        proxy: Some(format!("http://{}", proxy.address)),
        ..RegistryConfig::default()
    };
    let (runtime, _dir) = open(cfg, "proxy").await;
    runtime.pull("registry.invalid/demo", &[]).await.expect("through the proxy");
    assert!(proxy.absolute.load(Ordering::SeqCst) >= 3);

    let cfg = RegistryConfig {
        mirrors: [("docker.io".to_owned(), vec!["127.0.0.1:1".to_owned(), registry.address.to_string()])]
            .into(),
        ..RegistryConfig::default()
    };
    registry.push_image("library/demo", "latest", &layers()).await;
    let (runtime, _dir) = open(cfg, "mirror").await;
    let image = runtime.pull("demo", &[]).await.expect("from the second mirror");
    assert_eq!(image.names, ["docker.io/library/demo:latest"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_blob_is_refused() {
    let registry = Registry::start("").await;
    let mut layers = layers();
    // Still on its way when the changed one has arrived.
    let large = tar_of(&[("large", tar::EntryType::Regular, 0o644, "", &vec![7; 64 << 20])]);
    layers.push((PLAIN, large.clone(), format!("sha256:{}", sha256(&large))));
    registry.push_image("demo", "latest", &layers).await;
    let hex = sha256(&layers[2].1);
    let blob =
        registry.dir.path().join(format!("data/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]));
    let mut bytes = std::fs::read(&blob).expect("blob");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&blob, bytes).expect("write");
    let (runtime, dir) = open(RegistryConfig::default(), "changed").await;
    let error = runtime.pull(&format!("{}/demo", registry.address), &[]).await.expect_err("changed");
    assert!(matches!(error.root(), PullError::BadDigest { .. }), "{error}");
    let left = std::fs::read_dir(dir.path().join("images/tmp")).expect("tmp").count();
    assert_eq!(left, 0, "nothing is left behind, and nothing goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_of_both_kinds() {
    let (runtime, dir) = open(RegistryConfig::default(), "archives").await;
    let layer = busybox_layer();
    let path = dir.path().join("docker.tar.gz");
    std::fs::write(&path, gzip(&docker_archive(&layer, "registry.k8s.io/e2e-test-images/busybox:1.37")))
        .expect("write");
    let images = runtime.import_archive(&path).await.expect("docker");
    assert_eq!(images[0].names, ["registry.k8s.io/e2e-test-images/busybox:1.37"]);
    assert_eq!(images[0].config.cmd, ["sh"]);
    let (config, packed) = (image_config(&layer), gzip(&layer));
    let manifest = serde_json::to_vec(&serde_json::json!({"schemaVersion": 2,
        "config": {"digest": format!("sha256:{}", sha256(&config)), "size": config.len()},
        "layers": [{"digest": format!("sha256:{}", sha256(&packed)), "size": packed.len()}]}))
    .expect("json");
    let index = serde_json::to_vec(&serde_json::json!({"schemaVersion": 2, "manifests": [{
        "digest": format!("sha256:{}", sha256(&manifest)), "size": manifest.len(),
        "annotations": {"io.containerd.image.name": "docker.io/library/oci:1"}}]}))
    .expect("json");
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", sha256(bytes));
    let (c, l, m) = (blob(&config), blob(&packed), blob(&manifest));
    let file = tar::EntryType::Regular;
    let oci = |manifest: &[u8]| {
        tar_of(&[
            ("oci-layout", file, 0o644, "", br#"{"imageLayoutVersion":"1.0.0"}"#),
            ("index.json", file, 0o644, "", &index),
            (&c, file, 0o644, "", &config),
            (&l, file, 0o644, "", &packed),
            (&m, file, 0o644, "", manifest),
        ])
    };
    let path = dir.path().join("oci.tar");
    std::fs::write(&path, oci(&manifest)).expect("write");
    let images = runtime.import_archive(&path).await.expect("oci");
    assert!(images[0].names.contains(&"docker.io/library/oci:1".to_owned()), "{images:?}");
    assert!(images[0].digests[0].ends_with(&sha256(&manifest)));
    runtime.remove_image("oci:1", false).await.expect("untag");
    assert!(runtime.image("registry.k8s.io/e2e-test-images/busybox:1.37").is_some());
    std::fs::write(&path, oci(b"{}")).expect("write");
    let error = runtime.import_archive(&path).await.expect_err("changed manifest");
    assert!(matches!(error, ImageError::BadDigest { .. }), "{error}");
    std::fs::write(&path, b"no archive at all").expect("write");
    assert!(matches!(runtime.import_archive(&path).await.expect_err("junk"), ImageError::Archive { .. }));
    assert_eq!(std::fs::read_dir(dir.path().join("images/tmp")).expect("tmp").count(), 0);
}
