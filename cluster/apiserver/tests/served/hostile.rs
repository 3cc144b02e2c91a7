//! Bad input at the HTTP face: refused with a Status, or the connection is closed. The server goes on.

use std::sync::Arc;
use std::time::Duration;

use api::protobuf::PROTOBUF;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::Method;
use http_body_util::{BodyExt, Full};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::{Client, Cluster, JSON};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection of the administrator's, without an HTTP client on it.
async fn connect(cluster: &Cluster) -> TlsStream<TcpStream> {
    let issued = cluster.pki.issue_client("root", &["system:masters"]).unwrap();
    let certificates = CertificateDer::pem_slice_iter(issued.cert_pem.as_bytes()).collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(cluster.pki.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates.unwrap(), key)
        .unwrap();
    let tcp = TcpStream::connect(cluster.api.local_addr()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
}

/// All that the server says until it closes the connection.
async fn until_closed(mut stream: TlsStream<TcpStream>) -> String {
    let mut answer = Vec::new();
    let reading = async {
        let mut buffer = [0; 4096];
        // A reset is as good as an end.
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..count]);
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the connection is closed");
    String::from_utf8_lossy(&answer).into_owned()
}

fn object(data: &str) -> String {
    format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"x"}},{data}}}"#)
}

fn nested(open: &str, close: &str, depth: usize) -> String {
    format!("{}1{}", open.repeat(depth), close.repeat(depth))
}

/// An alias of an alias of an alias: a hundred bytes that mean gigabytes.
fn yaml_bomb() -> String {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(",");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    text
}

fn bodies() -> Vec<(&'static str, &'static str, Bytes, &'static [u16])> {
    let json = "application/json";
    let yaml = "application/yaml";
    let text = |text: String| Bytes::from(text);
    let deep_label = object(&format!(r#""data":{}"#, nested(r#"{"k":"#, "}", 100_000)));
    vec![
        ("nothing", json, Bytes::new(), &[400]),
        ("half", json, text(r#"{"apiVersion":"v1","kind"#.into()), &[400]),
        ("two", json, text(object(r#""data":{}"#).repeat(2)), &[400]),
        ("a list", json, text("[]".into()), &[400]),
        ("a string", json, text("\"ConfigMap\"".into()), &[400]),
        ("null", json, text("null".into()), &[400]),
        ("another kind", json, text(r#"{"apiVersion":"v1","kind":"Secret"}"#.into()), &[400]),
        ("types", json, text(object(r#""data":{"k":7}"#)), &[400]),
        ("metadata", json, text(r#"{"metadata":"x"}"#.into()), &[400]),
        ("NaN", json, text(object(r#""data":{"k":NaN}"#)), &[400]),
        ("a huge number", json, text(object(&format!(r#""immutable":1{}"#, "0".repeat(400)))), &[400]),
        ("an exponent", json, text(object(r#""immutable":1e999999999"#)), &[400]),
        ("deep", json, text(deep_label), &[400]),
        ("deep lists", json, text(nested("[", "]", 1_000_000)), &[400]),
        ("not UTF-8", json, Bytes::from_static(b"{\"kind\":\"\xff\xfe\"}"), &[400]),
        ("a lone surrogate", json, text(object(r#""data":{"k":"\ud800"}"#)), &[400]),
        ("a bomb", yaml, text(yaml_bomb()), &[400]),
        ("deep YAML", yaml, text(nested("[", "]", 100_000)), &[400]),
        (
            "deep YAML blocks",
            yaml,
            text((0..2000).map(|n| format!("{}a:\n", " ".repeat(n))).collect()),
            &[400],
        ),
        ("YAML not UTF-8", yaml, Bytes::from_static(b"kind: \xff"), &[400]),
        ("an endless anchor", yaml, text("a: &a [*a]".into()), &[400]),
        ("not protobuf", PROTOBUF, text(object(r#""data":{}"#)), &[400]),
        (
            "a false length",
            PROTOBUF,
            Bytes::from_static(b"k8s\0\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            &[400],
        ),
        ("too large", json, text(object(&format!(r#""data":{{"k":"{}"}}"#, "x".repeat(4 << 20)))), &[413]),
        (
            "too large for an object",
            json,
            text(object(&format!(r#""data":{{"k":"{}"}}"#, "x".repeat(2 << 20)))),
            &[413, 422],
        ),
        ("another type", "text/xml", text("<x/>".into()), &[415]),
        ("no type at all", "", text("%".into()), &[400]),
    ]
}

async fn still_serves(admin: &Client) {
    admin.get(MAPS).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_none_are_refused() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    admin.post(MAPS, &serde_json::from_str(&object(r#""data":{}"#)).unwrap()).await.expect(201);
    for (what, content_type, body, codes) in bodies() {
        let headers: &[(&str, &str)] =
            if content_type.is_empty() { &[] } else { &[("content-type", content_type)] };
        for (method, path) in [(Method::POST, MAPS.to_owned()), (Method::PUT, format!("{MAPS}/x"))] {
            let (parts, answer) = admin.bytes(method.clone(), &path, headers, body.clone()).await;
            let status: Value = serde_json::from_slice(&answer).unwrap();
            assert!(codes.contains(&parts.status.as_u16()), "{what}, {method}: {} {status}", parts.status);
            assert_eq!(status["kind"], "Status", "{what}");
        }
    }
    still_serves(&admin).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_that_are_none_are_refused() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    admin.post(MAPS, &serde_json::from_str(&object(r#""data":{"k":"v"}"#)).unwrap()).await.expect(201);
    let path = format!("{MAPS}/x?fieldManager=m");
    let copies = json!([{"op": "copy", "from": "/data", "path": "/data/k"}]).to_string();
    let growing: Vec<Value> = (0..40)
        .flat_map(|_| [json!({"op": "copy", "from": "/metadata", "path": "/metadata/annotations"})])
        .collect();
    let table: Vec<(&str, String, &[u16])> = vec![
        ("application/json-patch+json", "{}".into(), &[400]),
        ("application/json-patch+json", "[{}]".into(), &[400]),
        ("application/json-patch+json", r#"[{"op":"test","path":"/data/k","value":"w"}]"#.into(), &[422]),
        ("application/json-patch+json", r#"[{"op":"remove","path":"/data/none"}]"#.into(), &[422]),
        ("application/json-patch+json", r#"[{"op":"add","path":"data","value":1}]"#.into(), &[400, 422]),
        ("application/json-patch+json", r#"[{"op":"replace","path":"","value":1}]"#.into(), &[400, 422]),
        ("application/json-patch+json", copies, &[400, 422]),
        ("application/json-patch+json", Value::from(growing).to_string(), &[400, 413, 422]),
        (
            "application/json-patch+json",
            format!("[{}]", vec![r#"{"op":"test","path":""}"#; 20_000].join(",")),
            &[400, 413, 422],
        ),
        ("application/merge-patch+json", "[]".into(), &[400]),
        ("application/merge-patch+json", r#"{"metadata":{"name":"y"}}"#.into(), &[400, 422]),
        ("application/merge-patch+json", nested(r#"{"data":"#, "}", 100_000), &[400]),
        ("application/strategic-merge-patch+json", r#"{"data":[]}"#.into(), &[422]),
        ("application/strategic-merge-patch+json", r#"{"$patch":"explode"}"#.into(), &[400, 422]),
        ("application/apply-patch+yaml", "[".into(), &[400]),
        ("application/apply-patch+yaml", yaml_bomb(), &[400]),
        ("application/apply-patch+yaml", "7".into(), &[400]),
        ("application/json", "{}".into(), &[415]),
        (PROTOBUF, "k8s".into(), &[400, 415]),
    ];
    for (content_type, body, codes) in table {
        let answer = admin.request(Method::PATCH, &path, &[("content-type", content_type)], &body).await;
        let shown: String = body.chars().take(80).collect();
        assert!(codes.contains(&answer.code.as_u16()), "{content_type} {shown}: {}", answer.text);
        assert_eq!(answer.body["kind"], "Status", "{content_type} {shown}");
    }
    assert_eq!(admin.get(&format!("{MAPS}/x")).await.expect(200)["data"], json!({"k": "v"}));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_queries_do_not_lead_elsewhere() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
    admin.post("/api/v1/namespaces/kube-system/secrets", &secret).await.expect(201);
    let lost = [
        "/api/v1/namespaces/default/secrets/..%2Fkube-system%2Fs",
        "/api/v1/namespaces/default/../kube-system/secrets/s",
        "/api/v1/namespaces/default%2F..%2Fkube-system/secrets/s",
        "/api/v1/namespaces/default/secrets/%00",
        "/api/v1/namespaces/default/secrets/%ff%fe",
        "/api/v1/namespaces/default/secrets/s%2Fs/status",
        "/api/v1/namespaces/kube-system%2F/secrets/s",
        "/apis/../api/v1/namespaces",
        "/api/v1/namespaces/default/secrets/s/none/of/these",
        "/apis///v1/pods",
    ];
    for path in lost {
        let answer = admin.get(path).await;
        assert!(matches!(answer.code.as_u16(), 400 | 404 | 405), "{path}: {}", answer.text);
    }
    for namespace in ["default%2F..%2Fkube-system", "..", "kube-system%2F", "kube-syste"] {
        let list = admin.get(&format!("/api/v1/namespaces/{namespace}/secrets")).await;
        let items = list.body["items"].as_array().map_or(0, Vec::len);
        assert_eq!(items, 0, "{namespace}: {}", list.text);
    }
    let bad = [
        "labelSelector=%21%21",
        "labelSelector=a%20in%20(",
        "fieldSelector=x",
        "fieldSelector=spec.none%3Dx",
        "limit=-1",
        "limit=many",
        "continue=%00",
        "continue=AAAA",
        "resourceVersion=newest",
        "resourceVersionMatch=Other",
        "timeout=soon",
        "resourceVersion=99999999999999999999999",
    ];
    for query in bad {
        let answer = admin.get(&format!("{MAPS}?{query}")).await;
        assert!(matches!(answer.code.as_u16(), 400 | 422), "{query}: {}", answer.text);
        assert_eq!(answer.body["kind"], "Status", "{query}");
    }
    let long = format!("{MAPS}?labelSelector={}", "a%3Db%2C".repeat(4000));
    assert!(admin.get(&long).await.code.as_u16() < 500);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_misbehave_are_closed() {
    let cluster = Cluster::start_with(|config| config.header_timeout = Duration::from_secs(2)).await;
    // Too many bytes of headers.
    let mut flood = connect(&cluster).await;
    let header = format!("x-flood: {}\r\n", "y".repeat(8000));
    let request = format!("GET /version HTTP/1.1\r\nhost: x\r\n{}\r\n", header.repeat(100));
    // The server may close before it was sent everything.
    let _refused = flood.write_all(request.as_bytes()).await;
    let answer = until_closed(flood).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    // Too many headers.
    let mut flood = connect(&cluster).await;
    let request = format!("GET /version HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(5000));
    let _refused = flood.write_all(request.as_bytes()).await;
    let answer = until_closed(flood).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    // One that never ends its headers.
    let mut slow = connect(&cluster).await;
    slow.write_all(b"GET /version HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    assert_eq!(until_closed(slow).await, "");
    // No HTTP at all.
    let mut noise = connect(&cluster).await;
    let _refused = noise.write_all(&[0x16; 4096]).await;
    let answer = until_closed(noise).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    // No TLS at all.
    let mut plain = TcpStream::connect(cluster.api.local_addr()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    // A reset is as good as an end.
    let _ended = tokio::time::timeout(PATIENCE, plain.read_to_end(&mut rest)).await.expect("it is closed");
    still_serves(&cluster.admin()).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_end_time_out() {
    let cluster = Cluster::start_with(|config| config.request_timeout = Duration::from_secs(3)).await;
    let head = format!("POST {MAPS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n");
    let mut slow = connect(&cluster).await;
    slow.write_all(format!("{head}content-length: 1000\r\n\r\n{{").as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    tokio::time::timeout(PATIENCE, slow.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 504");
    // The client's side is closed in the middle of a body: nobody waits for the rest.
    let mut half = connect(&cluster).await;
    half.write_all(format!("{head}content-length: 1000\r\n\r\n{{").as_bytes()).await.unwrap();
    half.shutdown().await.unwrap();
    let answer = until_closed(half).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    // It is closed after a whole request: the answer may still be had.
    let mut half = connect(&cluster).await;
    half.write_all(b"GET /version HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    half.shutdown().await.unwrap();
    let answer = until_closed(half).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 200"), "{answer}");
    // Larger than it said it would be, and larger than may be.
    let mut huge = connect(&cluster).await;
    huge.write_all(format!("{head}content-length: 99999999999\r\n\r\n").as_bytes()).await.unwrap();
    let piece = vec![b' '; 1 << 20];
    for _ in 0..5 {
        // Refused while it is being sent.
        let _refused = huge.write_all(&piece).await;
    }
    assert!(until_closed(huge).await.starts_with("HTTP/1.1 413"));
    still_serves(&cluster.admin()).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_ask_for_less_time() {
    let cluster = Cluster::start().await;
    let mut slow = connect(&cluster).await;
    let head = format!("POST {MAPS}?timeout=200ms HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n");
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    tokio::time::timeout(PATIENCE, slow.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 504");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_watches_all_see_the_event() {
    const WATCHES: usize = 10_000;
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let path = format!("{MAPS}?watch=1&resourceVersion=0&fieldSelector=metadata.name%3Dlate");
    let mut watches = Vec::with_capacity(WATCHES);
    for n in 0..WATCHES {
        let accept = if n % 2 == 0 { "application/json" } else { PROTOBUF };
        let request =
            http::Request::get(&path).header("accept", accept).body(Full::new(Bytes::new())).unwrap();
        let response = admin.send(request).await;
        assert_eq!(response.status(), 200);
        watches.push(response.into_body());
    }
    let late = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}});
    admin.request(Method::POST, MAPS, &JSON, &late.to_string()).await.expect(201);
    let mut reading: FuturesUnordered<_> = watches.iter_mut().map(BodyExt::frame).collect();
    let all = async {
        let mut seen = 0;
        while let Some(frame) = reading.next().await {
            let data = frame.unwrap().unwrap().into_data().unwrap();
            assert!(data.windows(5).any(|w| w == b"ADDED"));
            seen += 1;
        }
        seen
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(60), all).await.unwrap(), WATCHES);
    drop(reading);
    drop(watches);
    still_serves(&admin).await;
    cluster.stop().await;
}
