//! A client that writes without pause, and one that watches what it writes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::runtime::{WatchStreamExt, watcher};

use crate::cluster::Cluster;

const NAMESPACE: &str = "default";
const PREFIX: &str = "written-";

/// What a run of the writer showed.
pub struct Written {
    /// Names whose creation was acknowledged.
    pub acknowledged: BTreeSet<String>,
    /// Longest time between two acknowledgements.
    pub longest_gap: Duration,
    /// Names that a watch saw created, which began before the first write.
    pub watched: BTreeSet<String>,
    /// Names that are there now.
    pub present: BTreeSet<String>,
}

fn connect(cluster: &Cluster) -> kube::Client {
    let text = std::fs::read_to_string(cluster.kubeconfig()).expect("the kubeconfig");
    let config: serde_json::Value = serde_saphyr::from_str(&text).expect("the kubeconfig is YAML");
    let decode = |value: &serde_json::Value| {
        use base64::Engine;
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(value.as_str().expect("data")).expect("base64");
        String::from_utf8(bytes).expect("PEM")
    };
    let (inside, user) = (&config["clusters"][0]["cluster"], &config["users"][0]["user"]);
    let endpoints = client::Endpoints {
        urls: vec![inside["server"].as_str().expect("a server").to_owned()],
        ca_pem: decode(&inside["certificate-authority-data"]),
        identity: Some((decode(&user["client-certificate-data"]), decode(&user["client-key-data"]))),
        token: None,
    };
    client::connect(endpoints).expect("a client")
}

/// Writes until `count` writes are acknowledged; calls `disturb` once after a third of them.
pub fn write_through(cluster: &Cluster, count: usize, disturb: impl FnOnce() + Send + 'static) -> Written {
    // Ignored when another part of the story installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let client = connect(cluster);
        let (writing, reading) =
            (Api::namespaced(client.clone(), NAMESPACE), Api::namespaced(client, NAMESPACE));
        let (done, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let watching = tokio::spawn(watch(reading.clone(), done.clone(), seen.clone()));
        let (acknowledged, longest_gap) = write(&writing, count, disturb).await;
        done.store(true, Ordering::SeqCst);
        let last = ConfigMap { metadata: named(&format!("{PREFIX}last")), ..ConfigMap::default() };
        writing.create(&PostParams::default(), &last).await.expect("the cluster answers again");
        let watched = tokio::time::timeout(Duration::from_secs(30), watching).await;
        let watched = watched.expect("the watch goes on").expect("the watch does not panic");
        let list = reading.list(&ListParams::default()).await.expect("a list");
        let present = list.items.into_iter().filter_map(|map| map.metadata.name).collect();
        Written { acknowledged, longest_gap, watched, present }
    })
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

async fn write(
    api: &Api<ConfigMap>,
    count: usize,
    disturb: impl FnOnce() + Send + 'static,
) -> (BTreeSet<String>, Duration) {
    let mut acknowledged = BTreeSet::new();
    let (mut longest, mut last) = (Duration::ZERO, Instant::now());
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut disturb = Some(disturb);
    for number in 0.. {
        assert!(Instant::now() < deadline, "only {} of {count} writes were acknowledged", acknowledged.len());
        let name = format!("{PREFIX}{number}");
        let map = ConfigMap { metadata: named(&name), ..ConfigMap::default() };
        match tokio::time::timeout(Duration::from_secs(3), api.create(&PostParams::default(), &map)).await {
            Ok(Ok(_)) => {
                longest = longest.max(last.elapsed());
                last = Instant::now();
                acknowledged.insert(name);
            }
            // Not acknowledged: it may or may not be there. A new name follows.
            Ok(Err(_)) | Err(_) => tokio::task::yield_now().await,
        }
        if acknowledged.len() >= count {
            break;
        }
        if acknowledged.len() * 3 >= count
            && let Some(disturb) = disturb.take()
        {
            disturb();
        }
    }
    (acknowledged, longest)
}

/// Names in the order of their creation, until the last one.
async fn watch(api: Api<ConfigMap>, done: Arc<AtomicBool>, seen: Arc<AtomicUsize>) -> BTreeSet<String> {
    let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
    let mut names = BTreeSet::new();
    loop {
        match events.try_next().await {
            Ok(Some(watcher::Event::Apply(map) | watcher::Event::InitApply(map))) => {
                let name = map.metadata.name.unwrap_or_default();
                let ended = name == format!("{PREFIX}last") && done.load(Ordering::SeqCst);
                names.insert(name);
                seen.fetch_add(1, Ordering::SeqCst);
                if ended {
                    return names;
                }
            }
            Ok(_) => {}
            // The watcher resumes by itself.
            Err(error) => println!("    the watch was cut: {error}"),
        }
    }
}
