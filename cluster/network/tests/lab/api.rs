//! An API with nodes, services and endpoint slices that can be watched.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;

/// Clones share the objects.
#[derive(Clone, Default)]
pub struct Api(Arc<Mutex<Store>>);

#[derive(Default)]
struct Store {
    /// By resource and name.
    objects: BTreeMap<(String, String), Value>,
    /// Resource and event, one for each revision.
    history: Vec<(String, Value)>,
    revision: watch::Sender<usize>,
}

impl Api {
    /// Makes or changes an object.
    pub fn put(&self, resource: &str, object: Value) {
        self.write(resource, object, "MODIFIED");
    }

    pub fn delete(&self, resource: &str, name: &str) {
        let key = (resource.to_owned(), name.to_owned());
        let object = self.0.lock().unwrap().objects.get(&key).cloned().unwrap();
        self.write(resource, object, "DELETED");
    }

    /// A Service of the namespace `default`.
    pub fn service(&self, name: &str, spec: Value) {
        let metadata = json!({"name": name, "namespace": "default"});
        self.put(
            "services",
            json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}),
        );
    }

    /// The endpoints of a Service, as (address, node), on the target port 8080.
    pub fn endpoints(&self, service: &str, endpoints: &[(std::net::Ipv4Addr, &str)]) {
        let endpoints: Vec<Value> = endpoints
            .iter()
            .map(|(ip, node)| json!({"addresses": [ip.to_string()], "nodeName": node, "conditions": {"ready": true}}))
            .collect();
        let ports = ["TCP", "UDP"].map(|p| json!({"name": p.to_lowercase(), "protocol": p, "port": 8080}));
        let labels = json!({"kubernetes.io/service-name": service});
        self.put(
            "endpointslices",
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": format!("{service}-1"), "namespace": "default", "labels": labels},
                "endpoints": endpoints, "ports": ports}),
        );
    }

    pub fn client(&self) -> kube::Client {
        let api = self.clone();
        client::in_process(tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.watch(&request)) }
        }))
    }

    fn write(&self, resource: &str, mut object: Value, event: &str) {
        let mut store = self.0.lock().unwrap();
        let revision = store.history.len() + 1;
        object["metadata"]["resourceVersion"] = json!(revision.to_string());
        let key = (resource.to_owned(), object["metadata"]["name"].as_str().unwrap().to_owned());
        let event = match (event, store.objects.contains_key(&key)) {
            ("MODIFIED", false) => "ADDED",
            _ => event,
        };
        match event {
            "DELETED" => store.objects.remove(&key),
            _ => store.objects.insert(key, object.clone()),
        };
        store.history.push((resource.to_owned(), json!({"type": event, "object": object})));
        store.revision.send_replace(revision);
    }

    /// Only streaming lists are answered: it is what caches ask for.
    fn watch(
        &self,
        request: &Request<Body>,
    ) -> Response<impl http_body::Body<Data = Bytes, Error = Infallible> + use<>> {
        let resource = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let query = request.uri().query().unwrap_or_default();
        assert!(query.contains("watch=true"), "{}", request.uri());
        let store = self.0.lock().unwrap();
        let mut first = String::new();
        if query.contains("sendInitialEvents=true") {
            for ((_, _), object) in store.objects.iter().filter(|((r, _), _)| *r == resource) {
                first += &format!("{}\n", json!({"type": "ADDED", "object": object}));
            }
            let (version, kind) = match resource.as_str() {
                "nodes" => ("v1", "Node"),
                "services" => ("v1", "Service"),
                _ => ("discovery.k8s.io/v1", "EndpointSlice"),
            };
            let metadata = json!({"resourceVersion": store.history.len().to_string(),
                "annotations": {"k8s.io/initial-events-end": "true"}});
            let bookmark = json!({"apiVersion": version, "kind": kind, "metadata": metadata});
            first += &format!("{}\n", json!({"type": "BOOKMARK", "object": bookmark}));
        }
        let (seen, changed, api) = (store.history.len(), store.revision.subscribe(), self.clone());
        let later = futures::stream::unfold(
            (seen, changed, api, resource),
            |(seen, mut changed, api, resource)| async move {
                changed.wait_for(|now| *now > seen).await.ok()?;
                let (text, now) = {
                    let store = api.0.lock().unwrap();
                    let new = store.history[seen..].iter().filter(|(r, _)| *r == resource);
                    (new.map(|(_, e)| format!("{e}\n")).collect::<String>(), store.history.len())
                };
                Some((text, (now, changed, api, resource)))
            },
        );
        let body = futures::stream::iter([first]).chain(later).filter(|t| std::future::ready(!t.is_empty()));
        Response::new(StreamBody::new(body.map(|text| Ok(Frame::data(Bytes::from(text))))))
    }
}
