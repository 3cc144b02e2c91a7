//! One API server on loopback with a real single-member store, and a small HTTPS client.

pub mod converter;

use std::net::SocketAddr;

use apiserver::pki::Pki;
use apiserver::{ApiBody, ApiService, Apiserver, Config};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use store::{Limits, Store, StoreConfig, Timings};
use tower::Service;

pub struct Cluster {
    pub api: Apiserver,
    pub store: Store,
    pub pki: Pki,
    /// Kept as long as the server runs.
    _dir: tempfile::TempDir,
}

pub fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// A free port: the store must know its own before it listens.
pub fn free_address() -> SocketAddr {
    std::net::TcpListener::bind(loopback()).unwrap().local_addr().unwrap()
}

impl Cluster {
    pub async fn start() -> Cluster {
        Self::start_as(Limits::default(), |_| {}).await
    }

    /// With some of the configuration changed.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Cluster {
        Self::start_as(Limits::default(), change).await
    }

    /// With other limits of the store.
    pub async fn start_within(limits: Limits) -> Cluster {
        Self::start_as(limits, |_| {}).await
    }

    async fn start_as(limits: Limits, change: impl FnOnce(&mut Config)) -> Cluster {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::create(&dir.path().join("pki")).unwrap();
        let registry = prometheus::Registry::new();
        let store = open_store_within(&pki, &dir.path().join("store"), registry.clone(), limits).await;
        store.init_cluster().await.unwrap();
        let mut config = Config::new("s1", loopback(), "10.0.0.1:6443", dir.path().join("api"), pki.clone());
        config.registry = registry;
        change(&mut config);
        let api = apiserver::start(config, store.clone()).await.unwrap();
        let ready = tokio::time::timeout(std::time::Duration::from_secs(30), api.ready());
        ready.await.expect("bootstrap within 30 s");
        Cluster { api, store, pki, _dir: dir }
    }

    pub fn admin(&self) -> Client {
        self.user("kubernetes-admin", &["system:masters"])
    }

    pub fn user(&self, name: &str, groups: &[&str]) -> Client {
        Client { service: self.api.in_process(name, groups) }
    }

    pub async fn stop(self) {
        self.api.shutdown().await;
        self.store.shutdown().await;
    }
}

pub async fn serve(
    name: &str,
    advertise: &str,
    dir: &std::path::Path,
    pki: &Pki,
    registry: prometheus::Registry,
    store: &Store,
) -> Apiserver {
    let mut config = Config::new(name, loopback(), advertise, dir.join("api"), pki.clone());
    config.registry = registry;
    apiserver::start(config, store.clone()).await.unwrap()
}

pub async fn ready(api: &Apiserver) {
    let ready = tokio::time::timeout(std::time::Duration::from_secs(30), api.ready());
    ready.await.expect("bootstrap within 30 s");
}

pub async fn open_store(pki: &Pki, dir: &std::path::Path, registry: prometheus::Registry) -> Store {
    open_store_within(pki, dir, registry, Limits::default()).await
}

async fn open_store_within(
    pki: &Pki,
    dir: &std::path::Path,
    registry: prometheus::Registry,
    limits: Limits,
) -> Store {
    let tls = pki.peer_tls("s1").unwrap();
    let peer = free_address();
    Store::open(StoreConfig {
        id: 1,
        data_dir: dir.to_owned(),
        peer_listen: peer,
        peer_advertise: peer.to_string(),
        tls_server: tls.server,
        tls_client: tls.client,
        peer_server_name: tls.server_name,
        timings: Timings::default(),
        limits,
        history: store::DEFAULT_HISTORY,
        registry,
    })
    .await
    .unwrap()
}

/// A client without a socket.
#[derive(Clone)]
pub struct Client {
    pub service: ApiService,
}

/// A status and a parsed body.
pub struct Answer {
    pub code: StatusCode,
    pub headers: http::HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Answer {
    /// The body of an answer that must have this code.
    pub fn expect(self, code: u16) -> Value {
        assert_eq!(self.code.as_u16(), code, "{}", self.text);
        self.body
    }
}

impl Client {
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Response<ApiBody> {
        self.service.clone().call(request).await.unwrap()
    }

    pub async fn request(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let response = self.send(request).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { code: parts.status, headers: parts.headers, body, text }
    }

    /// A request and an answer of any bytes.
    pub async fn bytes(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> (http::response::Parts, Bytes) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, body) = self.send(request.body(Full::new(body)).unwrap()).await.into_parts();
        (parts, body.collect().await.unwrap().to_bytes())
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::POST, path, &JSON, &body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::PUT, path, &JSON, &body.to_string()).await
    }

    pub async fn merge(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/merge-patch+json")];
        self.request(Method::PATCH, path, &headers, &body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.request(Method::DELETE, path, &[], "").await
    }

    /// The lines of a watch, until `enough` says so; at most ten seconds.
    pub async fn watch(&self, path: &str, mut enough: impl FnMut(&[Value]) -> bool) -> Vec<Value> {
        let request = Request::get(path).body(Full::new(Bytes::new())).unwrap();
        let mut body = self.send(request).await.into_body();
        let mut text = Vec::new();
        let mut events = Vec::new();
        let reading = async {
            while !enough(&events) {
                let Some(frame) = body.frame().await else { break };
                text.extend_from_slice(&frame.unwrap().into_data().unwrap());
                while let Some(end) = text.iter().position(|b| *b == b'\n') {
                    let line: Vec<u8> = text.drain(..=end).collect();
                    events.push(serde_json::from_slice(&line).unwrap());
                }
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), reading).await.expect("events within 60 s");
        events
    }
}

pub const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
