//! Pods with real containers, against an API in memory.

use std::time::{Duration, Instant};

use crate::support::{self, Node, container_id, eventually, phase, shell};
use agent::Timings;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_gets_all_it_asks_for_and_goes_without_a_trace() {
    let node = Node::start("all").await;
    let config =
        json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c"}, "data": {"k": "one"}});
    node.api.put("/api/v1/namespaces/ns/configmaps/c", config.clone());
    node.api.put(
        "/api/v1/namespaces/ns/secrets/s",
        json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}, "data": {"p": "aHVudGVyMg=="}}),
    );
    let mut main = shell("a", "echo hello; trap 'exit 0' TERM; while :; do sleep 0.1; done");
    main["env"] = json!([
        {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "BOTH", "value": "$(K)-$(IP)"}]);
    main["volumeMounts"] = json!([{"name": "c", "mountPath": "/c"}, {"name": "t", "mountPath": "/t"},
        {"name": "e", "mountPath": "/e"}, {"name": "m", "mountPath": "/m"}, {"name": "c", "mountPath": "/sub", "subPath": "k"}]);
    let mut init = shell("i", "echo made > /e/init");
    init["volumeMounts"] = json!([{"name": "e", "mountPath": "/e"}]);
    let begun = Instant::now();
    let path = node.bind(
        "p",
        json!({"initContainers": [init], "containers": [main], "hostname": "host", "volumes": [
            {"name": "c", "configMap": {"name": "c"}}, {"name": "e", "emptyDir": {}},
            {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "t", "projected": {"sources": [{"secret": {"name": "s"}},
                {"serviceAccountToken": {"path": "token"}},
                {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}}]}),
    );
    let pod = node.ready(&path).await;
    eprintln!("bound to ready, with an init container: {:?}", begun.elapsed());
    assert_eq!((phase(Some(&pod)), pod["status"]["podIP"].as_str()), ("Running", Some("10.244.0.5")));
    let script =
        "echo $BOTH; cat /c/k /sub /t/p /t/token /t/labels /e/init; echo; hostname; cat /etc/resolv.conf";
    let seen = node.exec(&pod, script).await;
    let expected = "one-10.244.0.5\noneonehunter2a.b.capp=\"p\"made\n\nhost\nsearch ns.svc.cluster.local";
    assert!(seen.starts_with(expected), "{seen}");
    let seen = node.exec(&pod, "stat -f -c %T /m /t; cat /etc/hosts").await;
    assert!(seen.starts_with("tmpfs\ntmpfs\n") && seen.contains("10.244.0.5\thost"), "{seen}");

    let mut changed = config;
    changed["data"]["k"] = json!("two");
    node.api.put("/api/v1/namespaces/ns/configmaps/c", changed);
    let current = node.exec(&pod, "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do test $(cat /c/k) = two && break; sleep 0.1; done; cat /c/k").await;
    assert_eq!(current, "two");

    node.delete(&path).await;
    node.api.wait(&path, |p| p.is_none()).await;
    let runtime = node.runtime.clone().unwrap();
    eventually("no traces are left", || {
        runtime.sandboxes().is_empty() && !node.dir.join("agent/pods/uid-p").exists()
    })
    .await;
    assert!(!node.dir.join("agent/memory/uid-p").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn running_containers_survive_the_agent() {
    let mut node = Node::start("adopt").await;
    let path = node.bind("p", json!({"containers": [shell("a", "echo up; sleep 1000")]}));
    let soon = json!({"containers": [shell("a", "sleep 1000")], "terminationGracePeriodSeconds": 1});
    let gone = node.bind("gone", soon);
    let before = node.ready(&path).await;
    node.ready(&gone).await;
    let stop = |api: &support::api::FakeApi| {
        let api: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::namespaced(api.client(), "ns");
        api
    };
    let api = stop(&node.api);
    node.restart().await;
    // Deleted as if the agent had been away: the object vanishes at once.
    api.delete("gone", &kube::api::DeleteParams { grace_period_seconds: Some(0), ..Default::default() })
        .await
        .unwrap();
    let second = node.bind("second", json!({"containers": [shell("a", "sleep 1000")]}));
    node.ready(&second).await;
    let after = node.api.get(&path).unwrap();
    assert_eq!(container_id(&before), container_id(&after));
    assert_eq!(after["status"]["containerStatuses"][0]["restartCount"], 0);
    assert_eq!(before["status"]["conditions"], after["status"]["conditions"], "no moment of unreadiness");
    let runtime = node.runtime.clone().unwrap();
    eventually("a pod that is gone has no sandbox", || runtime.sandboxes().iter().all(|s| s.name != "gone"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_are_told_with_code_reason_and_last_words() {
    let node = Node::start("ends").await;
    let failing = shell("a", "echo bye > /dev/termination-log; exit 3");
    let path = node.bind("f", json!({"restartPolicy": "Never", "containers": [failing]}));
    let pod = node.api.wait(&path, |p| phase(p) == "Failed").await.unwrap();
    let t = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&t["exitCode"], &t["reason"], &t["message"]), (&json!(3), &json!("Error"), &json!("bye\n")));
    let path = node.bind("s", json!({"restartPolicy": "OnFailure", "containers": [shell("a", "exit 0")]}));
    node.api.wait(&path, |p| phase(p) == "Succeeded").await;
    let mut broken = shell("a", "");
    broken["command"] = json!(["/no/such/program"]);
    let path = node.bind("b", json!({"restartPolicy": "Never", "containers": [broken]}));
    let pod = node.api.wait(&path, |p| phase(p) == "Failed").await.unwrap();
    let t = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(t["reason"], "StartError", "{t}");
    let path = node.bind("c", json!({"containers": [shell("a", "exit 1")]}));
    let waiting =
        |p: &serde_json::Value| p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
    let pod = node.api.wait(&path, |p| p.is_some_and(|p| waiting(p) == "CrashLoopBackOff")).await.unwrap();
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 1);
    let mut absent = shell("a", "exit 1");
    absent["image"] = json!("127.0.0.1:1/no/such:image");
    let path = node.bind("d", json!({"containers": [absent]}));
    node.api.wait(&path, |p| p.is_some_and(|p| waiting(p) == "ErrImagePull")).await;
    node.api.wait(&path, |p| p.is_some_and(|p| waiting(p) == "ImagePullBackOff")).await;
    let mut config = shell("a", "exit 1");
    config["envFrom"] = json!([{"configMapRef": {"name": "late"}}]);
    let path = node.bind("e", json!({"restartPolicy": "Never", "containers": [config]}));
    node.api.wait(&path, |p| p.is_some_and(|p| waiting(p) == "CreateContainerConfigError")).await;
    let late = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "late"}, "data": {}});
    node.api.put("/api/v1/namespaces/ns/configmaps/late", late);
    node.api.wait(&path, |p| phase(p) == "Failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_make_ready_and_restart() {
    let node = Node::start("probes").await;
    let mut main = shell("a", "touch /live; sleep 1000");
    main["readinessProbe"] = json!({"exec": {"command": ["cat", "/ready"]}, "periodSeconds": 1});
    main["livenessProbe"] =
        json!({"exec": {"command": ["cat", "/live"]}, "periodSeconds": 1, "failureThreshold": 1});
    let path = node.bind("p", json!({"containers": [main], "terminationGracePeriodSeconds": 1}));
    let pod = node.api.wait(&path, |p| phase(p) == "Running").await.unwrap();
    assert!(!support::is_true(&pod, "Ready"));
    node.exec(&pod, "touch /ready").await;
    let pod = node.ready(&path).await;
    // A busy machine reports the pod before its command has made the file.
    node.exec(&pod, "until busybox rm /live; do :; done").await;
    node.api
        .wait(&path, |p| p.is_some_and(|p| p["status"]["containerStatuses"][0]["restartCount"] == 1))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_servers_stops_what_may_be_replaced() {
    let timings = Timings {
        heartbeat: Duration::from_millis(100),
        fence_after: Duration::from_secs(1),
        ..Timings::default()
    };
    let node = Node::start_with("fence", timings).await;
    let path = node.bind("p", json!({"containers": [shell("a", "sleep 1000")]}));
    let stays =
        json!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}]);
    let daemon = node.bind("d", json!({"containers": [shell("a", "sleep 1000")], "tolerations": stays}));
    let (pod, daemon) = (node.ready(&path).await, node.ready(&daemon).await);
    let runtime = node.runtime.clone().unwrap();
    let mut events = runtime.events();
    node.api.set_down(true);
    let stopped = async {
        while runtime.container(&container_id(&pod)).unwrap().state == runtime::ContainerState::Running {
            events.recv().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(5), stopped).await.expect("not stopped");
    assert_eq!(runtime.container(&container_id(&daemon)).unwrap().state, runtime::ContainerState::Running);
    node.api.set_down(false);
    let again = |p: &serde_json::Value| p["status"]["containerStatuses"][0]["restartCount"] == 1;
    node.api.wait(&path, |p| p.is_some_and(|p| again(p) && support::is_true(p, "Ready"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_called_silent_says_that_it_is_ready() {
    let node = Node::start("silent").await;
    let mut object = node.api.get("/api/v1/nodes/n1").unwrap();
    for condition in object["status"]["conditions"].as_array_mut().unwrap() {
        condition["status"] = json!("Unknown");
    }
    node.api.put("/api/v1/nodes/n1", object);
    node.api.wait("/api/v1/nodes/n1", |n| n.is_some_and(|n| support::is_true(n, "Ready"))).await;
}
