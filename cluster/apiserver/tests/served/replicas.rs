//! Several servers over one store.

use crate::support::{Client, open_store, ready, serve};
use futures::future::join_all;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_may_start_and_allocate_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let pki = apiserver::pki::Pki::create(&dir.path().join("pki")).unwrap();
    let store = open_store(&pki, &dir.path().join("store"), prometheus::Registry::new()).await;
    store.init_cluster().await.unwrap();
    let names = ["s1", "s2", "s3"];
    let starting = names.iter().enumerate().map(|(n, name)| {
        let (pki, store, dir) = (pki.clone(), store.clone(), dir.path().to_owned());
        async move {
            let advertise = format!("10.0.0.{}:6443", n + 1);
            serve(name, &advertise, &dir, &pki, prometheus::Registry::new(), &store).await
        }
    });
    let servers = join_all(starting).await;
    join_all(servers.iter().map(ready)).await;
    let clients: Vec<Client> = servers
        .iter()
        .map(|s| Client { service: s.in_process("kubernetes-admin", &["system:masters"]) })
        .collect();

    let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?watch=1";
    let all_three = |e: &[Value]| {
        e.last().is_some_and(|e| e["object"]["endpoints"].as_array().is_some_and(|list| list.len() == 3))
    };
    clients[0].watch(path, all_three).await;

    let services = join_all((0..30).map(|n| {
        let client = clients[n % 3].clone();
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("s{n}")},
            "spec": {"type": "NodePort", "ports": [{"port": 80}]},
        });
        async move { client.post("/api/v1/namespaces/default/services", &service).await.expect(201) }
    }))
    .await;
    let mut taken: Vec<String> = services.iter().map(|s| s["spec"]["clusterIP"].to_string()).collect();
    taken.extend(services.iter().map(|s| s["spec"]["ports"][0]["nodePort"].to_string()));
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), 60);
    for server in servers {
        server.shutdown().await;
    }
    store.shutdown().await;
}
