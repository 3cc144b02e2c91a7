//! Clients beside kubectl. (kube, the Rust one, is what the whole program and the writers of this story use.)

use std::process::{Command, Stdio};

use crate::cluster::{Cluster, text};
use crate::images::BUSYBOX;
use crate::tools;

/// The official Python client, as Debian packages it.
pub fn python(cluster: &Cluster) {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("client.py");
    std::fs::write(&script, include_str!("client.py")).expect("a file");
    let mut command = Command::new(tools::python_with_client());
    command.arg(script).arg(cluster.kubeconfig()).arg(BUSYBOX).stdin(Stdio::null());
    let output = command.output().expect("python runs");
    assert!(output.status.success(), "{}\n{}", text(&output), cluster.logs());
}
