//! Containers as a user meets them: streams, restarts, and what a pod's manifest can ask for.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::cluster::{Cluster, text};
use crate::hello::first_pod;
use crate::images::BUSYBOX;

/// A namespace and a pod that stays, for the steps to look into.
const BOX: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: box}
---
apiVersion: v1
kind: Pod
metadata: {name: box, namespace: box}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: IMAGE
    stdin: true
    command: [sh, -c, "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.1; done"]
"#;

pub fn streams(cluster: &Cluster) {
    cluster.apply(&BOX.replace("IMAGE", BUSYBOX));
    cluster.k("-n box wait --for=condition=Ready pod/box --timeout=60s");
    exec(cluster);
    logs(cluster);
    copy(cluster);
    port_forward(cluster);
    terminal(cluster);
}

fn exec(cluster: &Cluster) {
    assert_eq!(cluster.k("-n box exec box -- sh -c 'echo out; echo err >&2'").trim(), "out");
    let failed = cluster.try_k("-n box exec box -- sh -c 'exit 7'");
    assert_eq!(failed.status.code(), Some(7), "{}", text(&failed));
    let said = cluster.k_with_input("-n box exec -i box -- cat", "over standard input\n");
    assert_eq!(said, "over standard input\n");
    let refused = cluster.k_fails("-n box exec box -- no-such-program");
    assert!(refused.contains("no-such-program"), "{refused}");
}

fn logs(cluster: &Cluster) {
    let follow = cluster.k_follow("-n box logs -f box");
    follow.wait_for(|line| line == "line 0");
    follow.wait_for(|line| line == "line 20");
    let tail = cluster.k("-n box logs box --tail=3 --timestamps");
    assert_eq!(tail.lines().count(), 3, "{tail}");
    assert!(tail.lines().all(|line| line.starts_with("20") && line.contains("Z line ")), "{tail}");
}

fn copy(cluster: &Cluster) {
    let folder = tempfile::tempdir().expect("a folder");
    let (there, back) = (folder.path().join("there"), folder.path().join("back"));
    let content: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(&there, &content).expect("a file");
    cluster.k(&format!("-n box cp {} box:/tmp/copied", there.display()));
    cluster.k(&format!("-n box cp box:/tmp/copied {}", back.display()));
    assert!(std::fs::read(&back).expect("a file") == content, "the copy differs");
}

fn port_forward(cluster: &Cluster) {
    let pod = first_pod(cluster);
    let follow = cluster.k_follow(&format!("-n hello port-forward pod/{pod} :8080"));
    let line = follow.wait_for(|line| line.starts_with("Forwarding from 127.0.0.1:"));
    let port = line["Forwarding from 127.0.0.1:".len()..].split(' ').next().expect("a port").to_owned();
    for _connection in 0..3 {
        let (status, answer) = crate::oci::http(&format!("127.0.0.1:{port}"), "GET", "/", "text/plain", &[]);
        assert!(status == 200 && answer.contains(&pod), "{answer}");
    }
}

/// `exec -it` on a real terminal, which `script` lends to kubectl.
fn terminal(cluster: &Cluster) {
    let line = format!(
        "{} --kubeconfig {} -n box exec -it box -- sh",
        crate::tools::kubectl().display(),
        cluster.kubeconfig().display()
    );
    let mut command = std::process::Command::new("script");
    command
        .args(["-q", "-c", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("script (of bsdutils, which every Debian has) runs");
    let mut input = child.stdin.take().expect("a pipe");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    input.write_all(b"test -t 0 && echo a-term''inal; exit 3\n").expect("the shell reads");
    let mut came = String::new();
    while !came.contains("a-terminal") {
        let length = output.read_line(&mut came).expect("the shell writes");
        assert!(length > 0, "the terminal closed after {came:?}");
    }
    drop(input);
    child.wait().expect("script ends");
}

pub fn restarts(cluster: &Cluster) {
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: dies, namespace: box}}\nspec:\n  containers:\n  - {{name: main, image: '{BUSYBOX}', command: [sh, -c, 'echo begun; sleep 1; exit 3']}}\n"
    ));
    cluster.k_until("-n box get pod dies", |shown| shown.contains("CrashLoopBackOff"));
    let count: u32 = cluster
        .field("pod/dies -n box", ".status.containerStatuses[0].restartCount")
        .parse()
        .expect("a number");
    assert!(count >= 1, "RESTARTS is {count}");
    let last = cluster
        .k("-n box get pod dies -o jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}");
    assert_eq!(last, "3");
    assert_eq!(cluster.k("-n box logs dies --previous").trim(), "begun");
    cluster.k("-n box delete pod dies --wait=true --timeout=60s");
    killed_from_inside(cluster);
}

/// PID 1 of a running container is killed: it comes back, with another id, in the same pod.
fn killed_from_inside(cluster: &Cluster) {
    let pod = first_pod(cluster);
    let before = cluster.field(&format!("pod/{pod} -n hello"), ".status.containerStatuses[0].containerID");
    // A signal to PID 1 from inside is dropped unless it has a handler: hello stops on SIGTERM.
    cluster.try_k(&format!("-n hello exec {pod} -- sh -c 'kill 1'"));
    cluster.k_until(
        &format!("-n hello get pod {pod} -o jsonpath={{.status.containerStatuses[0].restartCount}}"),
        |count| count.trim() == "1",
    );
    cluster.k(&format!("-n hello wait --for=condition=Ready pod/{pod} --timeout=60s"));
    let after = cluster.field(&format!("pod/{pod} -n hello"), ".status.containerStatuses[0].containerID");
    assert_ne!(before, after);
}

const FEATURES: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: box}
data: {colour: blue, shape: round}
---
apiVersion: v1
kind: Secret
metadata: {name: hidden, namespace: box}
stringData: {word: xyzzy}
---
apiVersion: v1
kind: Pod
metadata: {name: features, namespace: box, labels: {tier: test}, annotations: {note: kept}}
spec:
  restartPolicy: Never
  securityContext: {runAsUser: 1000, fsGroup: 2000}
  initContainers:
  - {name: first, image: IMAGE, command: [sh, -c, 'echo made by init > /work/made'], volumeMounts: [{name: work, mountPath: /work}]}
  containers:
  - name: main
    image: IMAGE
    command: [sh, -c]
    args:
    - |
      echo "colour=$COLOUR shape=$shape word=$WORD pod=$POD limit=$LIMIT joined=$JOINED"
      echo "made=$(cat /work/made) file=$(cat /settings/colour) secret=$(cat /hidden/word) label=$(cat /info/labels)"
      echo "all=$(cat /all/colour)$(cat /all/word) host=$(cat /machine/hostname)"
      echo "user=$(id -u) groups=$(id -G)"
      sleep 3600
    env:
    - {name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}
    - {name: WORD, valueFrom: {secretKeyRef: {name: hidden, key: word}}}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: LIMIT, valueFrom: {resourceFieldRef: {resource: limits.memory}}}
    - {name: JOINED, value: "$(POD)-$(COLOUR)"}
    envFrom: [{configMapRef: {name: settings}}]
    resources: {limits: {memory: 32Mi, cpu: 200m}}
    livenessProbe: {exec: {command: [cat, /work/made]}, periodSeconds: 1}
    readinessProbe: {exec: {command: [test, -e, /work/ready]}, periodSeconds: 1}
    volumeMounts:
    - {name: work, mountPath: /work}
    - {name: settings, mountPath: /settings}
    - {name: hidden, mountPath: /hidden}
    - {name: info, mountPath: /info}
    - {name: all, mountPath: /all}
    - {name: machine, mountPath: /machine, readOnly: true}
  - {name: second, image: IMAGE, command: [sh, -c, 'nc -l -p 7070; sleep 3600'], readinessProbe: {exec: {command: ['true']}}}
  volumes:
  - {name: work, emptyDir: {}}
  - {name: settings, configMap: {name: settings}}
  - {name: hidden, secret: {secretName: hidden}}
  - {name: info, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  - {name: all, projected: {sources: [{configMap: {name: settings}}, {secret: {name: hidden}}]}}
  - {name: machine, hostPath: {path: /etc, type: Directory}}
"#;

pub fn features(cluster: &Cluster) {
    cluster.apply(&FEATURES.replace("IMAGE", BUSYBOX));
    let log = cluster.k_until("-n box logs features -c main", |shown| shown.contains("user="));
    for expected in [
        "colour=blue shape=round word=xyzzy pod=features limit=33554432 joined=features-blue",
        "made=made by init file=blue secret=xyzzy label=tier=\"test\"",
        "all=bluexyzzy",
        "user=1000",
        "2000",
    ] {
        assert!(log.contains(expected), "no {expected:?} in\n{log}");
    }
    cluster.k_until("-n box get pod features", |shown| shown.contains("1/2"));
    cluster.k("-n box exec features -c main -- touch /work/ready");
    cluster.k_until("-n box get pod features", |shown| shown.contains("2/2"));
    cluster.k("-n box exec features -c main -- rm /work/ready");
    cluster.k_until("-n box get pod features", |shown| shown.contains("1/2"));
    a_changed_config_map_arrives(cluster);
    cluster.k("-n box delete pod features --grace-period=1 --wait=true --timeout=60s");
}

fn a_changed_config_map_arrives(cluster: &Cluster) {
    cluster.k("-n box patch configmap settings --type merge -p {\"data\":{\"colour\":\"green\"}}");
    cluster.k_until("-n box exec features -c main -- cat /settings/colour", |shown| shown.trim() == "green");
}
