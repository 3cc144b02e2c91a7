//! What an administrator does with the store: members, snapshots, lost data, a lost quorum.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};

use crate::cluster::{Cluster, program, text};

fn admin(cluster: &Cluster, arguments: &[&str]) -> Output {
    let mut command = program();
    command.arg("admin").args(arguments).env("KUBECONFIG", cluster.kubeconfig()).stdin(Stdio::null());
    command.output().expect("the program runs")
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(output));
    text(output)
}

/// Address and number of all that vote.
fn voters(cluster: &Cluster) -> BTreeMap<String, u64> {
    let told = admin(cluster, &["member", "list", "-o", "json"]);
    done(&told);
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    let members = told["members"].as_array().expect("members").iter();
    let voting = members.filter(|member| member["voter"] == true);
    let pair = |member: &serde_json::Value| {
        (member["addr"].as_str().expect("an address").to_owned(), member["id"].as_u64().expect("a number"))
    };
    voting.map(pair).collect()
}

fn file_of(cluster: &Cluster, name: &str) -> String {
    let folder = cluster.kubeconfig();
    folder.parent().expect("a folder").join(name).display().to_string()
}

pub fn members_and_snapshots(cluster: &Cluster) {
    cluster.k("create configmap kept --from-literal=a=1");
    let next = if cluster.leader() == "server-2" { "10.200.0.13" } else { "10.200.0.12" };
    let table = done(&admin(cluster, &["member", "lead", next]));
    assert!(table.contains("leader") && table.matches("voter").count() == 2, "{table}");
    let refused = admin(cluster, &["member", "remove", "10.200.0.99"]);
    assert!(!refused.status.success() && text(&refused).contains("10.200.0.11:2380"), "{}", text(&refused));
    let file = file_of(cluster, "saved.snap");
    done(&admin(cluster, &["snapshot", "save", &file]));
    assert!(done(&admin(cluster, &["snapshot", "verify", &file])).contains("is whole"));
    let into = file_of(cluster, "restored");
    let refused = admin(cluster, &["snapshot", "restore", &file, "--data-dir", &into]);
    assert!(!refused.status.success() && text(&refused).contains("--pki"), "{}", text(&refused));
    let keys = file_of(cluster, "server-1/pki");
    done(&admin(cluster, &["snapshot", "restore", &file, "--data-dir", &into, "--pki", &keys]));
}

pub fn lost_folder(cluster: &Cluster) {
    let before = voters(cluster);
    cluster.kill("server-2");
    std::fs::remove_dir_all(file_of(cluster, "server-2")).expect("removed");
    done(&cluster.run_up());
    let after = voters(cluster);
    assert!(before.keys().eq(after.keys()), "the same seats: {before:?} {after:?}");
    for (address, id) in &after {
        assert_eq!(before[address] == *id, !address.starts_with("10.200.0.12:"), "{before:?} {after:?}");
    }
    assert_eq!(cluster.field("configmap/kept", ".data.a"), "1");
}

pub fn lost_quorum(cluster: &Cluster) {
    for server in ["server-1", "server-2", "server-3"] {
        cluster.kill(server);
    }
    for server in ["server-1", "server-3"] {
        std::fs::remove_dir_all(file_of(cluster, server)).expect("removed");
    }
    let left = file_of(cluster, "server-2");
    let asked = admin(cluster, &["recover", "--data-dir", &left]);
    assert!(!asked.status.success(), "{}", text(&asked));
    assert!(
        text(&asked).contains("WRITES MAY BE LOST") && text(&asked).contains("no terminal"),
        "{}",
        text(&asked)
    );
    done(&admin(cluster, &["recover", "--data-dir", &left, "--yes"]));
    done(&cluster.run_up());
    assert_eq!(voters(cluster).len(), 3);
    assert_eq!(cluster.field("configmap/kept", ".data.a"), "1");
    cluster.k("-n hello scale deploy/hello --replicas=2");
    cluster.k("-n hello rollout status deploy/hello --timeout=60s");
}
