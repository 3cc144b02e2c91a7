//! Logs and sessions through the server to an agent, which here is a few lines on loopback.

use std::sync::Arc;

use crate::support::Cluster;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn chain(issued: &apiserver::pki::Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(issued.cert_pem.as_bytes()).map(Result::unwrap).collect();
    (chain, PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap())
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Answers logs with a text and everything else with an echo on the upgraded connection; tells the
/// heads of the requests it got.
async fn agent(cluster: &Cluster) -> (u16, mpsc::UnboundedReceiver<String>) {
    let (certificates, key) = chain(&cluster.pki.issue_server("agent", &["127.0.0.1".to_owned()]).unwrap());
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(crate::support::loopback()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, heads) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let request = head(&mut stream).await;
            let is_log = request.contains("/containerLogs/");
            tell.send(request).unwrap();
            if is_log {
                let answer =
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\nhello\n";
                stream.write_all(answer).await.unwrap();
                continue;
            }
            let answer =
                b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
        }
    });
    (port, heads)
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_and_sessions_reach_the_agent() {
    let cluster = Cluster::start().await;
    let (port, mut heads) = agent(&cluster).await;
    let admin = cluster.admin();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}});
    admin.post("/api/v1/nodes", &node).await.expect(201);
    let status = json!({"status": {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }});
    admin.merge("/api/v1/nodes/n1/status", &status).await.expect(200);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "busybox"}]},
    });
    admin.post("/api/v1/namespaces/default/pods", &pod).await.expect(201);
    let log = admin.get("/api/v1/namespaces/default/pods/p/log?tailLines=5&container=c").await;
    assert_eq!((log.code.as_u16(), log.text.as_str()), (200, "hello\n"));
    let seen = heads.recv().await.unwrap();
    assert!(seen.starts_with("GET /containerLogs/default/p/c?tailLines=5 HTTP/1.1\r\n"), "{seen}");

    // A client with a certificate switches its connection to the agent.
    let (certificates, key) = chain(&cluster.pki.issue_client("root", &["system:masters"]).unwrap());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(cluster.pki.ca_pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates, key)
        .unwrap();
    let tcp = TcpStream::connect(cluster.api.local_addr()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let request = "POST /api/v1/namespaces/default/pods/p/exec?command=ls&command=-l&stdout=true&stdin=true HTTP/1.1\r\n\
        host: x\r\nauthorization: Bearer secret\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n\
        x-stream-protocol-version: v4.channel.k8s.io\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = head(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 101") && answer.contains("upgrade: SPDY/3.1"), "{answer}");
    stream.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");
    let seen = heads.recv().await.unwrap();
    assert!(seen.starts_with("POST /exec/default/p/c?input=1&output=1&command=ls&command=-l "), "{seen}");
    assert!(seen.contains("x-stream-protocol-version: v4.channel.k8s.io"));
    // What the client proved itself with is not for the agent.
    assert!(!seen.contains("secret"));
    cluster.stop().await;
}
