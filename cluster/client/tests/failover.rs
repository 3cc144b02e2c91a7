//! The TLS client against two servers, one of which dies.

use bytes::Bytes;
use client::{Cache, Endpoints, connect};
use futures::StreamExt;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { pem, issuer: Issuer::new(params, key) }
}

fn acceptor(authority: &Authority) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// What the servers were asked, as `SERVER PATH?QUERY`.
type Log = Arc<Mutex<Vec<String>>>;
type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A server that ends, with its connections, when the returned set is dropped.
async fn serve(name: &'static str, acceptor: TlsAcceptor, log: Log) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let (acceptor, log) = (acceptor.clone(), log.clone());
            connections.spawn(async move {
                // Clients that go away in the handshake are no concern of the test.
                let Ok(tls) = acceptor.accept(tcp).await else { return };
                let service = service_fn(move |request| answer(name, log.clone(), request));
                // It ends with an error when the client or the test cuts it.
                let _ = http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(tls), service)
                    .await;
            });
        }
    });
    (address, tasks)
}

async fn answer(
    name: &'static str,
    log: Log,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let uri = request.uri().path_and_query().unwrap().as_str().to_owned();
    log.lock().unwrap().push(format!("{name} {uri}"));
    let query = request.uri().query().unwrap_or("");
    if !query.contains("watch=true") {
        let body = http_body_util::Full::new(Bytes::from(name)).boxed_unsync();
        return Ok(Response::new(body));
    }
    let lines = if query.contains("sendInitialEvents=true") {
        vec![object("ADDED", "first", 5), bookmark(7)]
    } else {
        vec![object("ADDED", "second", 8)]
    };
    let frames = futures::stream::iter(lines).map(|line| Ok(Frame::data(Bytes::from(line))));
    let body = StreamBody::new(frames.chain(futures::stream::pending()));
    Ok(Response::new(BodyExt::boxed_unsync(body)))
}

fn object(kind: &str, name: &str, revision: u64) -> String {
    let metadata =
        serde_json::json!({ "name": name, "namespace": "ns", "resourceVersion": revision.to_string() });
    let object = serde_json::json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata });
    serde_json::json!({ "type": kind, "object": object }).to_string() + "\n"
}

fn bookmark(revision: u64) -> String {
    let metadata = serde_json::json!({ "resourceVersion": revision.to_string(),
        "annotations": { "k8s.io/initial-events-end": "true" } });
    let object = serde_json::json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata });
    serde_json::json!({ "type": "BOOKMARK", "object": object }).to_string() + "\n"
}

async fn get(client: &kube::Client) -> String {
    client.request_text(Request::get("/version").body(Vec::new()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn goes_on_with_another_server_and_resumes_watches() {
    let authority = authority();
    let log = Log::default();
    let (first, first_tasks) = serve("one", acceptor(&authority), log.clone()).await;
    let (second, second_tasks) = serve("two", acceptor(&authority), log.clone()).await;
    let urls = [first, second].map(|address| format!("https://{address}")).to_vec();
    let client = connect(Endpoints { urls, ca_pem: authority.pem, identity: None, token: None }).unwrap();

    assert_eq!(get(&client).await, "one");
    let cache: Cache<ConfigMap> = Cache::start(Api::all(client.clone()));
    cache.synced().await;
    assert_eq!(cache.list().len(), 1);
    assert_eq!(cache.revision(), 7);

    drop(first_tasks);
    let began = std::time::Instant::now();
    assert_eq!(get(&client).await, "two");
    tokio::time::timeout(Duration::from_secs(5), cache.reached(8)).await.expect("the watch resumes");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(cache.list().len(), 2);
    let resumed = log.lock().unwrap().iter().any(|l| l.starts_with("two") && l.contains("resourceVersion=7"));
    assert!(resumed, "the watch went on from revision 7: {:?}", log.lock().unwrap());

    // A write is not repeated: nobody knows whether the dead server had done it.
    drop(second_tasks);
    let write = Request::post("/api/v1/namespaces").body(Vec::new()).unwrap();
    assert!(client.request_text(write).await.is_err());
}

#[test]
fn unusable_endpoints_are_refused() {
    let endpoints = |url: &str, ca: &str| Endpoints {
        urls: vec![url.to_owned()],
        ca_pem: ca.to_owned(),
        identity: None,
        token: None,
    };
    let error = |endpoints| connect(endpoints).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error(endpoints("http://a:1", "")).contains("is not an https://HOST:PORT address"));
    assert!(error(endpoints("https://a:1/path", "")).contains("is not an https://HOST:PORT address"));
    assert!(error(endpoints("https://a:1", "")).contains("no PEM certificate"));
    assert!(error(Endpoints { urls: Vec::new(), ..endpoints("", "") }).contains("no server given"));
}
