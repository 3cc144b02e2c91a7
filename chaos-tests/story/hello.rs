//! The example application: applied, rolled out, looked at.

use std::time::Instant;

use crate::cluster::Cluster;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/examples/hello.yaml");

pub fn apply_and_look(cluster: &Cluster) {
    let nodes = cluster.k("get nodes -o wide");
    assert!(nodes.contains("node-1") && nodes.contains("node-2") && !nodes.contains("NotReady"), "{nodes}");
    let begun = Instant::now();
    cluster.k(&format!("apply -f {EXAMPLE}"));
    cluster.k("-n hello rollout status deploy/hello --timeout=60s");
    println!("    apply to all pods Ready: {:.2} s", begun.elapsed().as_secs_f64());
    cluster.k("-n hello wait --for=condition=Available deploy/hello --timeout=30s");
    let again = cluster.k(&format!("apply -f {EXAMPLE}"));
    let changed = again.lines().filter(|line| !line.ends_with("unchanged")).count();
    // kubectl sends `stringData` again each time: the server does not keep it.
    assert!(changed == 1 && again.contains("secret/hello configured"), "{again}");
    let wide = cluster.k("get nodes,deploy,rs,pods,svc,endpointslices -A -o wide");
    for expected in [
        "deployment.apps/hello",
        "3/3",
        "replicaset.apps/hello-",
        "service/hello",
        "service/kubernetes",
        "endpointslice.discovery.k8s.io/hello-",
        "Running",
    ] {
        assert!(wide.contains(expected), "no {expected} in\n{wide}");
    }
    let spread = cluster.k("-n hello get pods -l app=hello -o jsonpath={.items[*].spec.nodeName}");
    assert!(spread.contains("node-1") && spread.contains("node-2"), "not spread: {spread}");
    describe(cluster);
}

fn describe(cluster: &Cluster) {
    let pod = first_pod(cluster);
    let shown = cluster.k(&format!("-n hello describe pod {pod}"));
    for expected in
        ["Status:", "Running", "trireme://", "Scheduled", "Pulled", "Started", "greeting", "ContainersReady"]
    {
        assert!(shown.contains(expected), "no {expected} in\n{shown}");
    }
    let log = cluster.k_follow(&format!("-n hello logs -f {pod}"));
    log.wait_for(|line| line.contains("8080"));
    let events = cluster.k("-n hello get events");
    assert!(events.contains("ScalingReplicaSet") && events.contains("SuccessfulCreate"), "{events}");
}

/// Name of one pod of the application.
pub fn first_pod(cluster: &Cluster) -> String {
    cluster.k("-n hello get pods -l app=hello -o jsonpath={.items[0].metadata.name}")
}
