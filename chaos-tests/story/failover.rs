//! kill -9: of the leading server, of an agent, of many at once.

use crate::cluster::{Cluster, text};
use crate::images::BUSYBOX;
use crate::writer;

/// Acknowledged writes that a failover must not lose, and their number.
const WRITES: usize = 600;

pub fn leader(cluster: &Cluster) {
    let leading = cluster.leader();
    let pid = rustix::process::Pid::from_raw(cluster.pid(&leading)).expect("a pid");
    let kill =
        move || rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("the leader runs");
    let written = writer::write_through(cluster, WRITES, kill);
    println!("    longest gap between acknowledged writes: {} ms", written.longest_gap.as_millis());
    let lost: Vec<_> = written.acknowledged.difference(&written.present).collect();
    assert!(lost.is_empty(), "acknowledged writes lost: {lost:?}");
    let unseen: Vec<_> = written.acknowledged.difference(&written.watched).collect();
    assert!(unseen.is_empty(), "the watch missed: {unseen:?}");
    cluster.k("-n hello scale deploy/hello --replicas=4");
    cluster.k("-n hello rollout status deploy/hello --timeout=60s");
    let output = cluster.run_up();
    assert!(output.status.success(), "{}", text(&output));
    let shown = text(&cluster.trireme(&["status"]));
    assert!(shown.contains("leader") && shown.matches("follower").count() == 2, "{shown}");
    assert_ne!(cluster.leader(), leading, "a restarted server does not lead at once");
    cluster.k("-n hello scale deploy/hello --replicas=3");
    cluster.k("-n hello rollout status deploy/hello --timeout=60s");
}

const COUNTER: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: counter, namespace: box}
spec:
  nodeName: node-1
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: IMAGE, command: [sh, -c, "i=0; while true; do echo $i; i=$((i+1)); sleep 0.05; done"]}
"#;

pub fn agent(cluster: &Cluster) {
    cluster.apply(&COUNTER.replace("IMAGE", BUSYBOX));
    cluster.k("-n box wait --for=condition=Ready pod/counter --timeout=60s");
    let identities = || {
        cluster.k("get pods -A --field-selector spec.nodeName=node-1 --sort-by=.metadata.uid -o jsonpath={range.items[*]}{.metadata.name}={.status.containerStatuses[*].containerID}={.status.containerStatuses[*].restartCount};{end}")
    };
    let before = identities();
    let address = cluster.field("pod/counter -n box", ".status.podIP");
    assert!(address.starts_with("10.244."), "{address}");
    let log = cluster.k_follow("-n box logs -f counter");
    log.wait_for(|line| line == "5");
    drop(log);
    cluster.kill("node-1");
    let at_death = last_number(cluster);
    let output = cluster.run_up();
    assert!(output.status.success(), "{}", text(&output));
    cluster.k("wait --for=condition=Ready node/node-1 --timeout=60s");
    let enough = format!("{}", at_death + 40);
    cluster.k_follow("-n box logs -f counter").wait_for(|line| line == enough);
    assert_eq!(before, identities(), "containers changed over the agent's death");
    let numbers: Vec<u64> =
        cluster.k("-n box logs counter").lines().map(|line| line.parse().expect("a number")).collect();
    assert!(numbers.iter().enumerate().all(|(index, number)| index as u64 == *number), "the log has holes");
    cluster.k("-n box delete pod counter --wait=true --timeout=60s");
}

/// What the counter had reached, read from its log file: the agent is dead.
fn last_number(cluster: &Cluster) -> u64 {
    let folder = cluster.kubeconfig().parent().expect("a folder").join("node-1");
    let output = std::process::Command::new("grep")
        .args(["-rhE", "stdout F [0-9]+$", "--include=*.log"])
        .arg(folder)
        .output();
    let shown = String::from_utf8_lossy(&output.expect("grep runs").stdout).into_owned();
    let numbers = shown.lines().filter_map(|line| line.rsplit(' ').next()?.parse().ok());
    numbers.max().expect("the counter wrote something")
}

/// Everything but the data is killed: `up` brings it back, with what it knew.
pub fn up_repairs(cluster: &Cluster) {
    let uid = cluster.field("deploy/hello -n hello", ".metadata.uid");
    for part in ["server-1", "server-2", "server-3", "node-1", "balancer"] {
        cluster.kill(part);
    }
    let output = cluster.run_up();
    assert!(output.status.success(), "{}{}", text(&output), cluster.logs());
    assert_eq!(cluster.field("deploy/hello -n hello", ".metadata.uid"), uid);
    cluster.k("-n hello rollout status deploy/hello --timeout=60s");
    assert_eq!(cluster.field("configmap/owned -n hello", ".data.key"), "second");
}
