//! Caches and elections against a small API in the same process.

use bytes::Bytes;
use client::{Cache, Elector, ElectorConfig, Leadership, in_process};
use futures::StreamExt;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
    client::Body,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// One collection of objects, with optimistic writes and watches.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Store>>);

#[derive(Default)]
struct Store {
    objects: BTreeMap<String, Value>,
    history: Vec<Value>,
    changed: watch::Sender<u64>,
    /// Watches from before this revision get 410 Gone.
    compacted: u64,
}

impl Store {
    fn revision(&self) -> u64 {
        *self.changed.borrow()
    }

    fn write(&mut self, kind: &str, mut object: Value) -> Value {
        let revision = self.revision() + 1;
        object["metadata"]["resourceVersion"] = json!(revision.to_string());
        object["metadata"]["namespace"] = json!("kube-system");
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        match kind {
            "DELETED" => self.objects.remove(&name),
            _ => self.objects.insert(name, object.clone()),
        };
        self.history.push(json!({ "type": kind, "object": object }));
        self.changed.send_replace(revision);
        object
    }
}

type Reply = Response<UnsyncBoxBody<Bytes, Infallible>>;

fn reply(code: StatusCode, body: &Value) -> Reply {
    let body = Full::new(Bytes::from(body.to_string())).boxed_unsync();
    Response::builder().status(code).body(body).unwrap()
}

fn status(code: StatusCode) -> (StatusCode, Value) {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(),
        "reason": code.canonical_reason(), "message": "no" });
    (code, body)
}

impl Server {
    fn client(&self) -> kube::Client {
        let server = self.clone();
        in_process(tower::service_fn(move |request| server.clone().answer(request)))
    }

    async fn answer(self, request: Request<Body>) -> Result<Reply, Infallible> {
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or("").to_owned();
        if query.contains("watch=true") {
            return Ok(self.watch(&query));
        }
        let body = body.collect_bytes().await.unwrap();
        let name = parts.uri.path().rsplit('/').next().unwrap().to_owned();
        let object = || serde_json::from_slice::<Value>(&body).unwrap();
        let mut store = self.0.lock().unwrap();
        let (code, answer) = match parts.method {
            Method::GET => match store.objects.get(&name) {
                Some(object) => (StatusCode::OK, object.clone()),
                None => status(StatusCode::NOT_FOUND),
            },
            Method::POST => {
                let object = object();
                if store.objects.contains_key(object["metadata"]["name"].as_str().unwrap()) {
                    status(StatusCode::CONFLICT)
                } else {
                    (StatusCode::CREATED, store.write("ADDED", object))
                }
            }
            Method::PUT => {
                let object = object();
                let current = store.objects.get(&name).map(|o| o["metadata"]["resourceVersion"].clone());
                if current == Some(object["metadata"]["resourceVersion"].clone()) {
                    (StatusCode::OK, store.write("MODIFIED", object))
                } else {
                    status(StatusCode::CONFLICT)
                }
            }
            _ => match store.objects.get(&name).cloned() {
                Some(object) => (StatusCode::OK, store.write("DELETED", object)),
                None => status(StatusCode::NOT_FOUND),
            },
        };
        Ok(reply(code, &answer))
    }

    fn watch(&self, query: &str) -> Reply {
        let store = self.0.lock().unwrap();
        let revision = store.revision();
        let initial = query.contains("sendInitialEvents=true");
        let asked =
            query.split('&').find_map(|p| p.strip_prefix("resourceVersion=")).unwrap().parse().unwrap();
        if !initial && asked < store.compacted {
            let (code, body) = status(StatusCode::GONE);
            return reply(code, &body);
        }
        let mut lines: Vec<Value> = Vec::new();
        if initial {
            lines.extend(store.objects.values().map(|object| json!({ "type": "ADDED", "object": object })));
            lines.push(json!({ "type": "BOOKMARK", "object": { "apiVersion": "v1", "kind": "Lease", "metadata": {
                "resourceVersion": revision.to_string(), "annotations": { "k8s.io/initial-events-end": "true" } } } }));
        }
        let from = if initial { revision } else { asked };
        let receiver = store.changed.subscribe();
        let server = self.clone();
        let live = futures::stream::unfold((receiver, from), move |(mut receiver, from)| {
            let server = server.clone();
            async move {
                receiver.wait_for(|r| *r > from).await.ok()?;
                let store = server.0.lock().unwrap();
                let events = store.history[from as usize..].to_vec();
                Some((events, (receiver, store.revision())))
            }
        });
        let lines = futures::stream::iter(lines).chain(live.flat_map(futures::stream::iter));
        let frames = lines.map(|line| Ok::<_, Infallible>(Frame::data(Bytes::from(line.to_string() + "\n"))));
        Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
    }
}

fn lease(name: &str) -> Lease {
    let mut lease = Lease::default();
    lease.metadata.name = Some(name.to_owned());
    lease
}

fn names(cache: &Cache<Lease>) -> Vec<String> {
    cache.list().iter().map(|l| l.metadata.name.clone().unwrap()).collect()
}

#[tokio::test]
async fn a_cache_follows_and_takes_what_its_owner_wrote() {
    let server = Server::default();
    let api: Api<Lease> = Api::namespaced(server.client(), "kube-system");
    api.create(&PostParams::default(), &lease("a")).await.unwrap();
    let cache =
        Cache::builder(api.clone()).index("name", |l| l.metadata.name.iter().cloned().collect()).start();
    cache.synced().await;
    let mut changes = cache.changes();
    assert_eq!(changes.next().await.unwrap().key.to_string(), "kube-system/a");

    let written = api.create(&PostParams::default(), &lease("b")).await.unwrap();
    cache.note(written.clone());
    assert_eq!(names(&cache), ["a", "b"]);
    assert_eq!(cache.by_index("name", "b").len(), 1);
    assert!(changes.next().await.unwrap().old.is_none());

    api.delete("b", &DeleteParams::default()).await.unwrap();
    cache.reached(3).await;
    assert_eq!(names(&cache), ["a"]);
    cache.note(written);
    assert_eq!(names(&cache), ["a"], "an older state does not come back");
    let change = changes.next().await.unwrap();
    assert_eq!((change.key.to_string().as_str(), change.new), ("kube-system/b", None));
}

#[tokio::test]
async fn a_cache_whose_revision_expired_lists_again() {
    let server = Server::default();
    let api: Api<Lease> = Api::namespaced(server.client(), "kube-system");
    for name in ["a", "b"] {
        api.create(&PostParams::default(), &lease(name)).await.unwrap();
    }
    let cache = Cache::start(api.clone());
    cache.synced().await;
    let mut changes = cache.changes();
    // All watches end, `a` goes while nobody watches, and the history with it.
    {
        let mut store = server.0.lock().unwrap();
        let revision = store.revision();
        store.changed = watch::Sender::new(revision);
        let a = store.objects["a"].clone();
        store.write("DELETED", a);
        store.compacted = store.revision();
    }
    cache.reached(3).await;
    assert_eq!(names(&cache), ["b"]);
    let told = [changes.next().await.unwrap(), changes.next().await.unwrap()];
    assert!(told.iter().any(|c| &*c.key.name == "a" && c.new.is_none()), "{told:?}");
}

/// Longer than anything takes that need not wait for its end.
const LEASE: Duration = Duration::from_secs(6);

fn config(identity: &str) -> ElectorConfig {
    ElectorConfig {
        lease: LEASE,
        renew: Duration::from_millis(20),
        ..ElectorConfig::new("kube-scheduler", identity)
    }
}

async fn leads(elector: &Elector) -> Leadership {
    let mut leadership = elector.leadership();
    let held = tokio::time::timeout(Duration::from_secs(60), leadership.wait_for(Option::is_some)).await;
    held.expect("leads in time").unwrap().clone().unwrap()
}

#[tokio::test]
async fn leadership_is_handed_over_at_once() {
    let server = Server::default();
    let stop = [CancellationToken::new(), CancellationToken::new()];
    let first = Elector::start(server.client(), config("one"), stop[0].clone());
    assert_eq!(leads(&first).await.epoch, "one/0");
    let second = Elector::start(server.client(), config("two"), stop[1].clone());
    let began = std::time::Instant::now();
    stop[0].cancel();
    first.stopped().await;
    assert_eq!(leads(&second).await.epoch, "two/1");
    assert!(began.elapsed() < LEASE, "{:?}", began.elapsed());

    // Somebody takes the lease away: the holder notices with its next renewal.
    let api: Api<Lease> = Api::namespaced(server.client(), "kube-system");
    let mut lease = api.get("kube-scheduler").await.unwrap();
    loop {
        let spec = lease.spec.as_mut().unwrap();
        spec.holder_identity = Some("thief".into());
        spec.lease_transitions = Some(9);
        match api.replace("kube-scheduler", &PostParams::default(), &lease).await {
            Ok(_) => break,
            Err(_) => lease = api.get("kube-scheduler").await.unwrap(),
        }
    }
    let mut leadership = second.leadership();
    tokio::time::timeout(Duration::from_secs(60), leadership.wait_for(Option::is_none))
        .await
        .unwrap()
        .unwrap();
    // It was never renewed by the thief: it is free again after its duration.
    assert_eq!(leads(&second).await.epoch, "two/10");
}

#[tokio::test]
async fn a_holder_that_is_known_to_be_gone_is_not_waited_for() {
    let server = Server::default();
    let api: Api<Lease> = Api::namespaced(server.client(), "kube-system");
    let mut held = lease("kube-scheduler");
    let spec = held.spec.get_or_insert_default();
    spec.holder_identity = Some("server-1_77".into());
    spec.lease_duration_seconds = Some(3600);
    spec.renew_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(jiff::Timestamp::now()));
    api.create(&PostParams::default(), &held).await.unwrap();
    let (sender, receiver) = watch::channel(String::new());
    let config = ElectorConfig { lost: Some(receiver), ..config("server-2_88") };
    let elector = Elector::start(server.client(), config, CancellationToken::new());
    sender.send_replace("66".into());
    sender.send_replace("77".into());
    assert_eq!(leads(&elector).await.epoch, "server-2_88/1");
}
