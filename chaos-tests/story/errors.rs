//! Bad input: each says what is wrong and what to do, and nothing hangs.

use std::net::TcpListener;

use crate::cluster::{Cluster, program, text};

pub fn wrong_use(cluster: &Cluster) {
    let refused = |arguments: &[&str]| {
        let output = program().args(arguments).output().expect("the program runs");
        assert!(!output.status.success(), "{arguments:?} succeeded: {}", text(&output));
        text(&output)
    };
    assert!(refused(&["up", "--severs", "3"]).contains("--servers"));
    assert!(refused(&["up", "--servers", "0"]).contains("1..=9"));
    assert!(refused(&["node", "shell", "node-9", "--data-dir", "/nonexistent"]).contains("/nonexistent"));
    assert!(refused(&["agent", "--name", "x"]).contains("--join"));
    assert!(text(&cluster.trireme(&["node", "shell", "node-9"])).contains("node-1"));
    assert!(text(&cluster.trireme(&["up", "--servers=1"])).contains("does not take any away"));
    busy_port(&refused);
    unreachable(&refused);
    damaged(&refused);
}

fn busy_port(refused: &dyn Fn(&[&str]) -> String) {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
    let path = folder.path().display().to_string();
    let said = refused(&["up", "--data-dir", &path, "--port", &port]);
    assert!(said.contains(&port) && said.contains("--port"), "{said}");
    let down = program().args(["down", "--data-dir", &path, "--purge"]).output().expect("the program runs");
    assert!(down.status.success(), "{}", text(&down));
}

fn unreachable(refused: &dyn Fn(&[&str]) -> String) {
    let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
    let path = folder.path().display().to_string();
    let token = format!("T1{}::abcdef.0123456789abcdef", "0".repeat(64));
    let common = [
        "server",
        "--name",
        "x",
        "--advertise-address",
        "127.0.0.1",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        &path,
    ];
    let said = refused(&[&common[..], &["--join", "https://127.0.0.1:9", "--token", &token]].concat());
    assert!(said.contains("127.0.0.1:9"), "{said}");
    let said = refused(&[&common[..], &["--join", "https://127.0.0.1:9", "--token", "nonsense"]].concat());
    assert!(said.contains("token"), "{said}");
}

fn damaged(refused: &dyn Fn(&[&str]) -> String) {
    let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
    std::fs::write(folder.path().join("member.json"), "{").expect("a file");
    let path = folder.path().display().to_string();
    let said = refused(&["server", "--name", "x", "--advertise-address", "127.0.0.1", "--data-dir", &path]);
    assert!(said.contains("member.json") && said.contains("damaged"), "{said}");
}

pub fn bad_manifests(cluster: &Cluster) {
    let refused = |manifest: &str| {
        let output = cluster.try_k_with_input("apply -f -", manifest);
        assert!(!output.status.success(), "accepted:\n{manifest}");
        text(&output)
    };
    let unknown = refused("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndatta: {a: b}\n");
    assert!(unknown.contains("datta"), "{unknown}");
    let deployment = |replicas: &str, label: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: x}}\nspec:\n  replicas: {replicas}\n  selector: {{matchLabels: {{app: x}}}}\n  template:\n    metadata: {{labels: {{app: {label}}}}}\n    spec: {{containers: [{{name: c, image: i}}]}}\n"
        )
    };
    let negative = refused(&deployment("-1", "x"));
    assert!(
        negative.contains("spec.replicas") && negative.contains("must be greater than or equal to 0"),
        "{negative}"
    );
    let mismatch = refused(&deployment("1", "other"));
    assert!(
        mismatch.contains("spec.template.metadata.labels") && mismatch.contains("does not match"),
        "{mismatch}"
    );
    let kind = refused("apiVersion: apps/v1\nkind: Nothing\nmetadata: {name: x}\n");
    assert!(kind.contains("no matches for kind \"Nothing\""), "{kind}");
    let name = refused("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Not_a_name}\n");
    assert!(name.contains("metadata.name") && name.contains("RFC 1123"), "{name}");
}
