//! Services: by cluster address, node port and name, from nodes and from pods.

use std::collections::BTreeSet;

use crate::cluster::{Cluster, text};
use crate::hello::first_pod;

pub fn services(cluster: &Cluster) {
    let address = cluster.field("service/hello -n hello", ".spec.clusterIP");
    let pod = first_pod(cluster);
    let ask = |url: &str| cluster.k(&format!("-n hello exec {pod} -- wget -q -O - {url}"));
    for url in [
        format!("http://{address}/"),
        "http://hello/".to_owned(),
        "http://hello.hello/".to_owned(),
        "http://hello.hello.svc.cluster.local/".to_owned(),
    ] {
        let said = ask(&url);
        assert!(said.contains("hello-") && said.contains("node-"), "{url}: {said}");
    }
    assert!(ask(&format!("http://{address}/config/greeting")).contains("Rowed by three."));
    every_pod_answers(&|| ask(&format!("http://{address}/")));
    from_nodes(cluster, &address);
    headless(cluster, &pod);
    the_api_from_a_pod(cluster, &pod);
}

/// The proxy spreads: each of the three pods is seen.
fn every_pod_answers(ask: &dyn Fn() -> String) {
    let mut seen = BTreeSet::new();
    for _try in 0..60 {
        let said = ask();
        let name = said.split_whitespace().find(|word| word.starts_with("hello-"));
        seen.extend(name.map(str::to_owned));
        if seen.len() == 3 {
            return;
        }
    }
    panic!("60 requests reached only {seen:?}");
}

/// From the nodes' own network: this program re-reads the answer over plain TCP in that namespace.
fn from_nodes(cluster: &Cluster, address: &str) {
    cluster.apply(
        "apiVersion: v1\nkind: Service\nmetadata: {name: hello-port, namespace: hello}\nspec:\n  type: NodePort\n  selector: {app: hello}\n  ports: [{port: 80, targetPort: http, nodePort: 30080}]\n",
    );
    for (node, target) in [("node-1", format!("{address} 80")), ("node-2", format!("{address} 80"))] {
        let said = fetch(cluster, node, &target);
        assert!(said.contains("hello-"), "{node} to {target}: {said}");
    }
    for (node, target) in [
        ("server-1", "10.200.0.101 30080"),
        ("server-1", "10.200.0.102 30080"),
        ("node-1", "10.200.0.101 30080"),
    ] {
        let said = until_answered(cluster, node, target);
        assert!(said.contains("hello-"), "{node} to {target}: {said}");
    }
    cluster.k("-n hello delete service hello-port");
}

fn until_answered(cluster: &Cluster, node: &str, target: &str) -> String {
    let deadline = std::time::Instant::now() + crate::kubectl::PATIENCE;
    loop {
        let said = fetch(cluster, node, target);
        if said.contains("hello-") || std::time::Instant::now() > deadline {
            return said;
        }
    }
}

/// An HTTP GET with nothing but bash, which every Debian has.
pub fn fetch(cluster: &Cluster, node: &str, target: &str) -> String {
    let (host, port) = target.split_once(' ').expect("HOST PORT");
    let script =
        format!("exec 3<>/dev/tcp/{host}/{port}; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; timeout 5 cat <&3");
    text(&cluster.on(node, &["timeout", "5", "bash", "-c", &script]))
}

fn headless(cluster: &Cluster, pod: &str) {
    cluster.apply(
        "apiVersion: v1\nkind: Service\nmetadata: {name: each, namespace: hello}\nspec:\n  clusterIP: None\n  selector: {app: hello}\n  ports: [{port: 8080}]\n",
    );
    let found = cluster
        .k_until(&format!("-n hello exec {pod} -- nslookup each.hello.svc.cluster.local"), |shown| {
            shown.matches("10.244.").count() >= 3
        });
    assert!(found.contains("10.244."), "{found}");
    cluster.k("-n hello delete service each");
}

/// What every client library does in a pod: the service account's token and the `kubernetes` service.
fn the_api_from_a_pod(cluster: &Cluster, pod: &str) {
    let token =
        cluster.k(&format!("-n hello exec {pod} -- cat /var/run/secrets/kubernetes.io/serviceaccount/token"));
    assert_eq!(token.matches('.').count(), 2, "not a JWT: {token}");
    let ca = cluster
        .k(&format!("-n hello exec {pod} -- cat /var/run/secrets/kubernetes.io/serviceaccount/ca.crt"));
    assert!(ca.contains("BEGIN CERTIFICATE"), "{ca}");
    let who = cluster.try_k(&format!("--token={} auth can-i list pods -n hello", token.trim()));
    assert!(text(&who).contains("yes") || text(&who).contains("no"), "{}", text(&who));
}
