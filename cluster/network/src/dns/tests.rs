//! Tables: questions and answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;

use super::entry;
use super::server::{DnsServer, DnsServerConfig};
use super::zone::{Answer, Zone, ZoneConfig};
use crate::metrics::DnsMetrics;

fn zone() -> Zone {
    let mut zone = Zone::new(ZoneConfig {
        domain: "cluster.local".into(),
        dns_ip: "10.96.0.10".parse().unwrap(),
        own_networks: vec!["10.96.0.0/16".parse().unwrap(), "10.244.0.0/16".parse().unwrap()],
    });
    let mut add = |namespace: &str, name: &str, spec: Value, endpoints: Value| {
        let service: Service = serde_json::from_value(json!({"spec": spec})).unwrap();
        let slice: EndpointSlice = serde_json::from_value(json!({
            "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }))
        .unwrap();
        zone.set(namespace, name, Some(entry(&service, &[&slice])));
    };
    let port = json!([{"name": "http", "port": 80, "protocol": "TCP"}]);
    add(
        "default",
        "kubernetes",
        json!({"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443}]}),
        json!([]),
    );
    add(
        "shop",
        "web",
        json!({"clusterIP": "10.96.0.20", "clusterIPs": ["10.96.0.20"], "ports": port}),
        json!([{"addresses": ["10.244.1.5"]}]),
    );
    add(
        "shop",
        "db",
        json!({"clusterIP": "None", "ports": port}),
        json!([
            {"addresses": ["10.244.1.2"], "hostname": "db-0", "conditions": {"ready": true}},
            {"addresses": ["10.244.2.3"], "hostname": "db-1"},
            {"addresses": ["10.244.2.4"], "hostname": "db-2", "conditions": {"ready": false}},
            {"addresses": ["10.244.2.5"]},
        ]),
    );
    add("shop", "empty", json!({"clusterIP": "None"}), json!([]));
    add("shop", "ext", json!({"type": "ExternalName", "externalName": "Example.ORG"}), json!([]));
    add(
        "shop",
        "alias",
        json!({"type": "ExternalName", "externalName": "web.shop.svc.cluster.local"}),
        json!([]),
    );
    add(
        "shop",
        "loop",
        json!({"type": "ExternalName", "externalName": "loop.shop.svc.cluster.local"}),
        json!([]),
    );
    zone
}

fn ask(zone: &Zone, name: &str, kind: RecordType) -> String {
    match zone.answer(&Name::from_ascii(name).unwrap(), kind) {
        Answer::Records { answers, .. } => {
            answers.iter().map(|r| r.data.to_string()).collect::<Vec<_>>().join(" | ")
        }
        Answer::Alias { target, .. } => format!("alias {target}"),
        Answer::NoData => "NODATA".into(),
        Answer::NoName => "NXDOMAIN".into(),
        Answer::Foreign => "FOREIGN".into(),
    }
}

#[test]
fn questions_and_answers() {
    use RecordType::{A, AAAA, CNAME, NS, PTR, SRV, TXT};
    let zone = zone();
    let cases = [
        ("kubernetes.default.svc.cluster.local.", A, "10.96.0.1"),
        ("KUBERNETES.Default.svc.cluster.LOCAL.", A, "10.96.0.1"),
        ("kubernetes.default.svc.cluster.local.", AAAA, "NODATA"),
        ("kubernetes.default.svc.cluster.local.", TXT, "NODATA"),
        (
            "_https._tcp.kubernetes.default.svc.cluster.local.",
            SRV,
            "0 100 443 kubernetes.default.svc.cluster.local.",
        ),
        ("web.shop.svc.cluster.local.", A, "10.96.0.20"),
        ("web.shop.svc.cluster.local.", SRV, "0 100 80 web.shop.svc.cluster.local."),
        ("_http._tcp.web.shop.svc.cluster.local.", SRV, "0 100 80 web.shop.svc.cluster.local."),
        ("_http._tcp.web.shop.svc.cluster.local.", A, "NODATA"),
        ("_http._udp.web.shop.svc.cluster.local.", SRV, "NXDOMAIN"),
        ("_nope._tcp.web.shop.svc.cluster.local.", SRV, "NXDOMAIN"),
        ("_tcp.web.shop.svc.cluster.local.", A, "NODATA"),
        ("10-244-1-5.web.shop.svc.cluster.local.", A, "10.244.1.5"),
        ("db.shop.svc.cluster.local.", A, "10.244.1.2 | 10.244.2.3 | 10.244.2.5"),
        ("db-0.db.shop.svc.cluster.local.", A, "10.244.1.2"),
        ("db-0.db.shop.svc.cluster.local.", AAAA, "NODATA"),
        ("db-2.db.shop.svc.cluster.local.", A, "NXDOMAIN"),
        ("10-244-2-5.db.shop.svc.cluster.local.", A, "10.244.2.5"),
        (
            "_http._tcp.db.shop.svc.cluster.local.",
            SRV,
            "0 33 8080 10-244-2-5.db.shop.svc.cluster.local. | 0 33 8080 db-0.db.shop.svc.cluster.local. \
             | 0 33 8080 db-1.db.shop.svc.cluster.local.",
        ),
        ("empty.shop.svc.cluster.local.", A, "NODATA"),
        ("ext.shop.svc.cluster.local.", A, "alias example.org."),
        ("ext.shop.svc.cluster.local.", CNAME, "example.org."),
        ("x.ext.shop.svc.cluster.local.", A, "NXDOMAIN"),
        ("alias.shop.svc.cluster.local.", A, "web.shop.svc.cluster.local. | 10.96.0.20"),
        ("nope.shop.svc.cluster.local.", A, "NXDOMAIN"),
        ("web.nope.svc.cluster.local.", A, "NXDOMAIN"),
        ("shop.svc.cluster.local.", A, "NODATA"),
        ("nope.svc.cluster.local.", A, "NXDOMAIN"),
        ("svc.cluster.local.", A, "NODATA"),
        ("cluster.local.", A, "NODATA"),
        ("cluster.local.", NS, "ns.dns.cluster.local."),
        ("ns.dns.cluster.local.", A, "10.96.0.10"),
        ("dns-version.cluster.local.", TXT, "1.1.0"),
        ("nope.cluster.local.", A, "NXDOMAIN"),
        ("example.org.svc.cluster.local.", A, "NXDOMAIN"),
        ("10-244-1-2.shop.pod.cluster.local.", A, "10.244.1.2"),
        ("10-244-1-2.shop.pod.cluster.local.", AAAA, "NODATA"),
        ("nope.shop.pod.cluster.local.", A, "NXDOMAIN"),
        ("20.0.96.10.in-addr.arpa.", PTR, "web.shop.svc.cluster.local."),
        ("2.1.244.10.in-addr.arpa.", PTR, "db-0.db.shop.svc.cluster.local."),
        ("20.0.96.10.in-addr.arpa.", A, "NODATA"),
        ("99.0.96.10.in-addr.arpa.", PTR, "NXDOMAIN"),
        ("8.8.8.8.in-addr.arpa.", PTR, "FOREIGN"),
        ("example.org.", A, "FOREIGN"),
        ("notcluster.local.", A, "FOREIGN"),
    ];
    for (name, kind, expected) in cases {
        assert_eq!(ask(&zone, name, kind), expected, "{name} {kind}");
    }
    // An alias of itself ends.
    assert!(ask(&zone, "loop.shop.svc.cluster.local.", RecordType::A).starts_with("loop.shop"));
}

#[test]
fn what_is_gone_is_forgotten() {
    let mut zone = zone();
    for name in ["web", "db", "empty", "ext", "alias", "loop"] {
        zone.set("shop", name, None);
    }
    for name in ["web.shop.svc.cluster.local.", "shop.svc.cluster.local.", "20.0.96.10.in-addr.arpa."] {
        assert_eq!(ask(&zone, name, RecordType::PTR), "NXDOMAIN", "{name}");
    }
}

/// A server on the loopback whose only upstream is `upstream`.
async fn serve(upstream: Vec<SocketAddr>) -> (SocketAddr, CancellationToken) {
    // A port that is free for UDP may be taken for TCP: then another.
    let (listen, server) = loop {
        let probe = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let listen = probe.local_addr().unwrap();
        drop(probe);
        let zone = Arc::new(RwLock::new(zone()));
        let metrics = DnsMetrics::register(&prometheus::Registry::new()).unwrap();
        let config = DnsServerConfig { listen, zone, upstream: upstream.clone(), metrics };
        match DnsServer::bind(config).await {
            Ok(server) => break (listen, server),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse),
        }
    };
    let shutdown = CancellationToken::new();
    tokio::spawn(server.run(shutdown.clone()));
    (listen, shutdown)
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

async fn over_udp(server: SocketAddr, message: &Message) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(&message.to_vec().unwrap()).await.unwrap();
    let mut answer = [0; 4096];
    let len = tokio::time::timeout(Duration::from_secs(5), socket.recv(&mut answer)).await.unwrap().unwrap();
    Message::from_vec(&answer[..len]).unwrap()
}

#[tokio::test]
async fn over_udp_and_tcp() {
    let (server, shutdown) = serve(vec![]).await;
    let message = question("web.shop.svc.cluster.local.", RecordType::A);
    let answer = over_udp(server, &message).await;
    assert_eq!((answer.metadata.id, answer.answers.len()), (message.metadata.id, 1));
    assert!(answer.metadata.authoritative && answer.metadata.recursion_available);

    let mut stream = TcpStream::connect(server).await.unwrap();
    let bytes = message.to_vec().unwrap();
    stream.write_all(&[&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat()).await.unwrap();
    let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), 1);

    let negative = over_udp(server, &question("nope.shop.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(negative.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(negative.authorities.len(), 1);
    let refused = over_udp(server, &question("example.org.", RecordType::A)).await;
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
    shutdown.cancel();
}

#[tokio::test]
async fn names_outside_are_passed_on_and_aliases_followed() {
    let upstream = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = upstream.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((len, client)) = upstream.recv_from(&mut buffer).await {
            let question = Message::from_vec(&buffer[..len]).unwrap();
            let name = question.queries[0].name().clone();
            let data = hickory_proto::rr::RData::A(std::net::Ipv4Addr::new(203, 0, 113, 9).into());
            let mut answer = question.into_response();
            answer.add_answer(hickory_proto::rr::Record::from_rdata(name, 60, data));
            upstream.send_to(&answer.to_vec().unwrap(), client).await.unwrap();
        }
    });
    let (server, shutdown) = serve(vec![address]).await;
    let answer = over_udp(server, &question("example.org.", RecordType::A)).await;
    assert_eq!(answer.answers[0].data.to_string(), "203.0.113.9");
    let alias = over_udp(server, &question("ext.shop.svc.cluster.local.", RecordType::A)).await;
    let data: Vec<String> = alias.answers.iter().map(|r| r.data.to_string()).collect();
    assert_eq!(data, ["example.org.", "203.0.113.9"]);
    shutdown.cancel();
}

#[tokio::test]
async fn a_silent_upstream_costs_little_and_then_nothing() {
    // Bound, and never read.
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let closed: SocketAddr = {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.local_addr().unwrap()
    };
    let (server, shutdown) = serve(vec![silent.local_addr().unwrap(), closed]).await;
    let started = Instant::now();
    let answer = over_udp(server, &question("example.org.", RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert!(started.elapsed() < Duration::from_millis(2500), "{:?}", started.elapsed());
    // The cluster's own names are not held up.
    let started = Instant::now();
    let pending = question("example.com.", RecordType::A);
    let own = question("web.shop.svc.cluster.local.", RecordType::A);
    let (_, took) = tokio::join!(over_udp(server, &pending), async {
        over_udp(server, &own).await;
        started.elapsed()
    });
    assert!(took < Duration::from_millis(500), "{took:?}");
    shutdown.cancel();
}
