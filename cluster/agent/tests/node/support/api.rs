//! A Kubernetes API in memory: create, read, list, watch, merge patches, delete. Enough for an agent, and no more.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

type Answer = Response<StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>>;

#[derive(Clone)]
struct Event {
    collection: String,
    kind: &'static str,
    object: Value,
}

struct Inner {
    /// By `GROUP-VERSION/PLURAL/NAMESPACE/NAME`.
    objects: Mutex<(u64, BTreeMap<String, Value>)>,
    events: broadcast::Sender<Event>,
    version: watch::Sender<u64>,
    down: watch::Sender<bool>,
}

#[derive(Clone)]
pub struct FakeApi(Arc<Inner>);

struct Target {
    collection: String,
    namespace: String,
    name: String,
    subresource: String,
    kind: String,
    api_version: String,
}

impl Target {
    fn parse(path: &str) -> Target {
        let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let api_version = if parts.remove(0) == "api" {
            parts.remove(0).to_owned()
        } else {
            format!("{}/{}", parts.remove(0), parts.remove(0))
        };
        let mut namespace = String::new();
        if parts[0] == "namespaces" && parts.len() > 2 {
            namespace = parts[1].to_owned();
            parts.drain(..2);
        }
        let part = |i: usize| parts.get(i).copied().unwrap_or_default().to_owned();
        let plural = part(0);
        let kind = match plural.as_str() {
            "configmaps" => "ConfigMap".to_owned(),
            other => {
                let one = other.trim_end_matches('s');
                one[..1].to_uppercase() + &one[1..]
            }
        };
        let collection = format!("{}/{plural}", api_version.replace('/', "-"));
        Target { collection, namespace, name: part(1), subresource: part(2), kind, api_version }
    }

    fn key(&self) -> String {
        format!("{}/{}/{}", self.collection, self.namespace, self.name)
    }
}

fn answer(code: u16, value: &Value) -> Answer {
    let bytes = Bytes::from(value.to_string());
    let body = stream::once(async move { Ok(Frame::data(bytes)) }).boxed();
    let mut response = Response::new(StreamBody::new(body));
    *response.status_mut() = code.try_into().unwrap();
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

fn failure(code: u16, reason: &str) -> Answer {
    answer(
        code,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason,
            "message": reason, "code": code}),
    )
}

/// RFC 7396, but conditions merge by type, as in a strategic merge patch.
fn merge(object: &mut Value, mut patch: Value) {
    let new = patch.pointer_mut("/status/conditions").map(Value::take);
    let old = object.pointer("/status/conditions").cloned();
    if let (Some(Value::Array(new)), Some(status)) = (new, patch.pointer_mut("/status")) {
        let mut all = old.and_then(|o| o.as_array().cloned()).unwrap_or_default();
        all.retain(|o| !new.iter().any(|n| n["type"] == o["type"]));
        all.extend(new);
        status["conditions"] = Value::Array(all);
    }
    json_patch::merge(object, &patch);
}

impl FakeApi {
    pub fn new() -> FakeApi {
        FakeApi(Arc::new(Inner {
            objects: Mutex::default(),
            events: broadcast::channel(10_000).0,
            version: watch::channel(0).0,
            down: watch::channel(false).0,
        }))
    }

    pub fn client(&self) -> kube::Client {
        let api = self.clone();
        client::in_process(tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move {
                if *api.0.down.borrow() {
                    return Err(tower::BoxError::from("no server"));
                }
                Ok(api.serve(request).await)
            }
        }))
    }

    /// Whether every request fails from now on.
    pub fn set_down(&self, down: bool) {
        self.0.down.send_replace(down);
    }

    /// Puts an object in, as a user would.
    pub fn put(&self, path: &str, mut object: Value) -> Value {
        let target = Target::parse(path);
        object["metadata"]["namespace"] = json!(target.namespace);
        self.store(&target.key(), &target.collection, object)
    }

    pub fn get(&self, path: &str) -> Option<Value> {
        self.0.objects.lock().1.get(&Target::parse(path).key()).cloned()
    }

    /// Waits until what is at `path` is as `wanted` says; its last state is in the panic otherwise.
    pub async fn wait(&self, path: &str, wanted: impl Fn(Option<&Value>) -> bool) -> Option<Value> {
        let mut version = self.0.version.subscribe();
        let work = async {
            loop {
                version.borrow_and_update();
                let now = self.get(path);
                if wanted(now.as_ref()) {
                    return now;
                }
                version.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(std::time::Duration::from_secs(60), work).await {
            Ok(found) => found,
            Err(_) => panic!("{path} is {:#}", self.get(path).unwrap_or_default()),
        }
    }

    fn store(&self, key: &str, collection: &str, mut object: Value) -> Value {
        let mut objects = self.0.objects.lock();
        objects.0 += 1;
        let version = objects.0;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let kind =
            if objects.1.insert(key.to_owned(), object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
        let event = Event { collection: collection.to_owned(), kind, object: object.clone() };
        // Nobody may be watching.
        let _ = self.0.events.send(event);
        self.0.version.send_replace(version);
        object
    }

    fn remove(&self, target: &Target) -> Option<Value> {
        let mut objects = self.0.objects.lock();
        let mut object = objects.1.remove(&target.key())?;
        objects.0 += 1;
        let version = objects.0;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let event = Event { collection: target.collection.clone(), kind: "DELETED", object: object.clone() };
        // Nobody may be watching.
        let _ = self.0.events.send(event);
        self.0.version.send_replace(version);
        Some(object)
    }

    async fn serve(&self, request: Request<Body>) -> Answer {
        let (parts, body) = request.into_parts();
        let target = Target::parse(parts.uri.path());
        let query: BTreeMap<String, String> =
            form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes()).into_owned().collect();
        let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        match parts.method {
            Method::GET if target.name.is_empty() => self.read_many(&target, &query),
            Method::GET => {
                self.get(parts.uri.path()).map_or_else(|| failure(404, "NotFound"), |o| answer(200, &o))
            }
            Method::POST => self.create(target, body),
            Method::PATCH => {
                let Some(mut object) = self.0.objects.lock().1.get(&target.key()).cloned() else {
                    return failure(404, "NotFound");
                };
                merge(&mut object, body);
                answer(200, &self.store(&target.key(), &target.collection, object))
            }
            Method::DELETE => self.delete(&target, &body),
            _ => failure(405, "MethodNotAllowed"),
        }
    }

    fn create(&self, mut target: Target, mut object: Value) -> Answer {
        if target.subresource == "token" {
            object["status"] = json!({"token": "a.b.c", "expirationTimestamp": "2099-01-01T00:00:00Z"});
            return answer(201, &object);
        }
        target.name = object["metadata"]["name"].as_str().unwrap_or("generated").to_owned();
        if self.0.objects.lock().1.contains_key(&target.key()) {
            return failure(409, "AlreadyExists");
        }
        object["metadata"]["uid"] = json!(format!("uid-{}", target.name));
        answer(201, &self.store(&target.key(), &target.collection, object))
    }

    fn delete(&self, target: &Target, options: &Value) -> Answer {
        let Some(mut object) = self.0.objects.lock().1.get(&target.key()).cloned() else {
            return failure(404, "NotFound");
        };
        let grace = options["gracePeriodSeconds"].as_i64().unwrap_or(30);
        if grace == 0 {
            return self.remove(target).map_or_else(|| failure(404, "NotFound"), |o| answer(200, &o));
        }
        object["metadata"]["deletionTimestamp"] =
            json!(jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        answer(200, &self.store(&target.key(), &target.collection, object))
    }

    fn read_many(&self, target: &Target, query: &BTreeMap<String, String>) -> Answer {
        let selector = query.get("fieldSelector").cloned().unwrap_or_default();
        let (collection, namespace) = (target.collection.clone(), target.namespace.clone());
        let selected = move |object: &Value| {
            let field = |name: &str| match name {
                "metadata.name" => object["metadata"]["name"].clone(),
                _ => object["spec"]["nodeName"].clone(),
            };
            let terms = selector.split(',').filter_map(|t| t.split_once('='));
            (namespace.is_empty() || object["metadata"]["namespace"] == json!(namespace))
                && terms.into_iter().all(|(name, value)| field(name) == json!(value))
        };
        let events = self.0.events.subscribe();
        let (version, items) = {
            let objects = self.0.objects.lock();
            let mine = objects.1.iter().filter(|(k, _)| k.starts_with(&format!("{collection}/")));
            (objects.0, mine.map(|(_, o)| o.clone()).filter(&selected).collect::<Vec<_>>())
        };
        if !matches!(query.get("watch").map(String::as_str), Some("1" | "true")) {
            let list = json!({"kind": format!("{}List", target.kind), "apiVersion": target.api_version,
                "metadata": {"resourceVersion": version.to_string()}, "items": items});
            return answer(200, &list);
        }
        let mut first: Vec<Value> = Vec::new();
        if query.get("sendInitialEvents").map(String::as_str) == Some("true") {
            first.extend(items.into_iter().map(|o| json!({"type": "ADDED", "object": o})));
            first.push(
                json!({"type": "BOOKMARK", "object": {"kind": target.kind, "apiVersion": target.api_version,
                "spec": {"containers": []}, "metadata": {"resourceVersion": version.to_string(),
                    "annotations": {"k8s.io/initial-events-end": "true"}}}}),
            );
        }
        let later = stream::unfold(events, move |mut events| {
            let (collection, selected) = (collection.clone(), selected.clone());
            async move {
                loop {
                    let event = events.recv().await.ok()?;
                    let new =
                        event.object["metadata"]["resourceVersion"].as_str()?.parse::<u64>().ok()? > version;
                    if new && event.collection == collection && selected(&event.object) {
                        return Some((json!({"type": event.kind, "object": event.object}), events));
                    }
                }
            }
        });
        let mut down = self.0.down.subscribe();
        let down = async move { drop(down.wait_for(|d| *d).await) };
        let lines = stream::iter(first).chain(later).map(|v| Ok(Frame::data(Bytes::from(format!("{v}\n")))));
        let mut response = Response::new(StreamBody::new(lines.take_until(down).boxed()));
        response.headers_mut().insert("content-type", "application/json".parse().unwrap());
        response
    }
}
