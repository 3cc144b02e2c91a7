//! A node goes for good: its pods come back on the other.

use crate::cluster::{Cluster, text};

pub fn remove(cluster: &Cluster) {
    cluster.kill("node-2");
    cluster.k("delete node node-2");
    cluster.k_until("-n hello get pods -l app=hello -o wide --no-headers", |shown| {
        let lines: Vec<&str> = shown.lines().collect();
        lines.len() == 3 && lines.iter().all(|line| line.contains("node-1") && line.contains("1/1"))
    });
    cluster.k("-n hello rollout status deploy/hello --timeout=60s");
    let output = cluster.run_up();
    assert!(output.status.success(), "{}", text(&output));
    cluster.k("wait --for=condition=Ready node/node-2 --timeout=60s");
}
