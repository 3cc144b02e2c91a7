//! The agent's server as its clients see it: logs, exec over WebSocket and SPDY, forwarded ports, metrics, refusals.

use std::sync::Arc;

use agent::spdy::frame::{Codec, Frame};
use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::{Node, eventually, shell};

async fn connect(node: &Node, with_certificate: bool) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(node.ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = if with_certificate {
        let cert = CertificateDer::from_pem_slice(node.client_pem.0.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(node.client_pem.1.as_bytes()).unwrap();
        builder.with_client_auth_cert(vec![cert], key).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    let tcp = TcpStream::connect(("127.0.0.1", node.port)).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
}

/// Status and body of a plain request.
async fn get(node: &Node, path: &str, with_certificate: bool) -> (u16, String) {
    let mut stream = connect(node, with_certificate).await;
    let request = format!("GET {path} HTTP/1.0\r\nHost: n1\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The server closes without a TLS farewell.
    let _ = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8(answer).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
}

async fn socket(node: &Node, path: &str, protocol: &str) -> WebSocketStream<TlsStream<TcpStream>> {
    let mut request = format!("wss://127.0.0.1{path}").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    let (socket, answer) = client_async(request, connect(node, true).await).await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], protocol);
    socket
}

fn binary(channel: u8, data: &[u8]) -> Message {
    Message::Binary([&[channel], data].concat().into())
}

/// What each of the first four channels carried until the server closed.
async fn drain(mut socket: WebSocketStream<TlsStream<TcpStream>>) -> [String; 4] {
    let mut channels: [Vec<u8>; 4] = Default::default();
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Binary(data) = message {
            channels[usize::from(data[0])].extend_from_slice(&data[1..]);
        }
    }
    channels.map(|c| String::from_utf8(c).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_get_logs_commands_and_ports() {
    let node = Node::start("serve").await;
    let script = "echo one; echo two >&2; while :; do echo pong | nc -l -p 8080; done";
    let path = node.bind("p", json!({"containers": [shell("a", script)]}));
    node.ready(&path).await;
    logs(&node).await;
    websocket(&node).await;
    spdy(&node).await;
    port(&node).await;
    assert_eq!(get(&node, "/healthz", false).await, (200, "ok".into()));
    assert_eq!(get(&node, "/pods", false).await.0, 401);
    let (status, pods) = get(&node, "/pods", true).await;
    assert!(status == 200 && pods.contains("trireme://"), "{pods}");
    assert!(get(&node, "/metrics", true).await.1.contains("kubelet_running_pods 1"));
    assert!(
        get(&node, "/metrics/resource", true)
            .await
            .1
            .contains("container_memory_working_set_bytes{container=\"a\"")
    );
    assert!(get(&node, "/stats/summary", true).await.1.contains("\"nodeName\":\"n1\""));
}

async fn logs(node: &Node) {
    // Ready says that the container runs, not that its first words have reached the file.
    let written = || {
        let text = std::fs::read_to_string(node.dir.join("logs/ns_p_uid-p/a/0.log"));
        text.is_ok_and(|t| t.lines().count() == 2)
    };
    eventually("both lines are written", written).await;
    assert_eq!(get(node, "/containerLogs/ns/p/a", true).await, (200, "one\ntwo\n".into()));
    assert_eq!(get(node, "/containerLogs/ns/p/a?tailLines=1", true).await.1, "two\n");
    assert_eq!(get(node, "/containerLogs/ns/p/a?previous=true", true).await.0, 400);
    let path = node
        .bind("short", json!({"restartPolicy": "Never", "containers": [shell("a", "sleep 0.3; echo end")]}));
    node.api.wait(&path, |p| crate::support::phase(p) == "Running").await;
    let followed = get(node, "/containerLogs/ns/short/a?follow=true", true).await;
    assert_eq!(followed, (200, "end\n".into()), "a follower ends with the container, and misses nothing");
}

async fn websocket(node: &Node) {
    let path = "/exec/ns/p/a?input=1&output=1&error=1&command=sh&command=-c&command=cat;echo%20err%20%3E%262;exit%207";
    let mut exec = socket(node, path, "v5.channel.k8s.io").await;
    exec.send(binary(0, b"typed\n")).await.unwrap();
    exec.send(binary(255, &[0])).await.unwrap();
    let [_, stdout, stderr, error] = drain(exec).await;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("typed\n", "err\n"));
    let status: Value = serde_json::from_str(&error).unwrap();
    assert_eq!(status["details"]["causes"][0]["message"], "7");
    let exec = socket(
        node,
        "/exec/ns/p/a?output=1&tty=1&command=sh&command=-c&command=test%20-t%200%20%26%26%20echo%20tty",
        "v4.channel.k8s.io",
    )
    .await;
    let [_, stdout, _, error] = drain(exec).await;
    assert_eq!(stdout, "tty\r\n", "{error}");
}

/// A client of the older protocol, by hand.
struct Spdy {
    stream: TlsStream<TcpStream>,
    codec: (Codec, Codec),
    buffer: BytesMut,
}

impl Spdy {
    async fn open(node: &Node, path: &str, protocol: &str) -> Spdy {
        let mut stream = connect(node, true).await;
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: n1\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
             X-Stream-Protocol-Version: {protocol}\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut buffer = BytesMut::new();
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            assert_ne!(stream.read_buf(&mut buffer).await.unwrap(), 0);
        };
        let head = buffer.split_to(end);
        assert!(head.starts_with(b"HTTP/1.1 101"), "{head:?}");
        Spdy { stream, codec: Default::default(), buffer }
    }

    async fn send(&mut self, frame: Frame) {
        let mut out = BytesMut::new();
        self.codec.0.encode(&frame, &mut out);
        self.stream.write_all(&out).await.unwrap();
    }

    async fn syn(&mut self, stream: u32, headers: &[(&str, &str)]) {
        let headers = headers.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        self.send(Frame::SynStream { stream, fin: false, headers }).await;
    }

    /// What `stream` carried until its end.
    async fn until_fin(&mut self, wanted: u32) -> Vec<(u32, Bytes)> {
        let mut got = Vec::new();
        loop {
            while let Some(frame) = self.codec.1.decode(&mut self.buffer).unwrap() {
                if let Frame::Data { stream, fin, data } = frame {
                    got.push((stream, data));
                    if fin && stream == wanted {
                        return got;
                    }
                }
            }
            assert_ne!(self.stream.read_buf(&mut self.buffer).await.unwrap(), 0, "{got:?}");
        }
    }
}

fn text(got: &[(u32, Bytes)], stream: u32) -> String {
    got.iter().filter(|(s, _)| *s == stream).map(|(_, d)| String::from_utf8_lossy(d)).collect()
}

async fn spdy(node: &Node) {
    let path = "/exec/ns/p/a?output=1&error=1&command=sh&command=-c&command=echo%20out;exit%203";
    let mut client = Spdy::open(node, path, "v4.channel.k8s.io").await;
    for (id, kind) in [(1, "error"), (3, "stdout"), (5, "stderr")] {
        client.syn(id, &[("streamtype", kind)]).await;
    }
    let got = client.until_fin(1).await;
    assert_eq!(text(&got, 3), "out\n");
    assert!(text(&got, 1).contains("\"ExitCode\""), "{got:?}");
}

async fn port(node: &Node) {
    let mut client = Spdy::open(node, "/portForward/ns/p", "portforward.k8s.io").await;
    for (id, kind) in [(1, "error"), (3, "data")] {
        client.syn(id, &[("streamtype", kind), ("port", "8080"), ("requestid", "0")]).await;
    }
    assert_eq!(text(&client.until_fin(3).await, 3), "pong\n");
    for (id, kind) in [(5, "error"), (7, "data")] {
        client.syn(id, &[("streamtype", kind), ("port", "9"), ("requestid", "1")]).await;
    }
    let refused = text(&client.until_fin(5).await, 5);
    assert!(refused.contains("onnection refused"), "{refused}");
}
