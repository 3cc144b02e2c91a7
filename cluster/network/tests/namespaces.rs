//! The network in the kernel: nodes and pods are network namespaces, and packets are sent.

mod lab;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::Ipv4Addr;

use lab::{Lab, ask, eventually};
use network::{HostPort, Protocol};
use serde_json::{Value, json};

const SERVICE: &str = "10.96.0.20:80";

fn ports() -> Value {
    json!([
        {"name": "tcp", "protocol": "TCP", "port": 80, "nodePort": 30080},
        {"name": "udp", "protocol": "UDP", "port": 80, "nodePort": 30080},
    ])
}

fn spec(more: Value) -> Value {
    let mut spec = json!({"clusterIP": "10.96.0.20", "ports": ports()});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

#[test]
fn pods_reach_each_other_and_keep_their_addresses() {
    let Some(mut lab) = Lab::new(2) else { return };
    let (a, b) = (lab.nodes[0].pod("a", &[]), lab.nodes[0].pod("b", &[]));
    let c = lab.nodes[1].pod("c", &[]);
    assert_eq!((a.ip, c.ip), (Ipv4Addr::new(10, 244, 1, 1), Ipv4Addr::new(10, 244, 2, 1)));
    for pod in [&a, &b, &c] {
        pod.namespace.serve(&pod.reference.name, 8080);
    }
    let peer_seen = |from: &lab::Namespace, to: Ipv4Addr| from.tcp(&format!("{to}:8080")).unwrap();
    assert_eq!(peer_seen(&a.namespace, b.ip), format!("b {}", a.ip));
    eventually("the overlay is up", || a.namespace.tcp(&format!("{}:8080", c.ip)).ok());
    assert_eq!(peer_seen(&a.namespace, c.ip), format!("c {}", a.ip));
    assert_eq!(peer_seen(&c.namespace, b.ip), format!("b {}", c.ip));
    assert_eq!(peer_seen(&lab.nodes[0].namespace, a.ip), "a 192.0.2.1");
    assert_eq!(peer_seen(&lab.nodes[0].namespace, c.ip), "c 10.244.1.0");
    // Out of the cluster as the node.
    lab.client.serve("outside", 9000);
    assert_eq!(a.namespace.tcp("192.0.2.100:9000").unwrap(), "outside 192.0.2.1");

    assert_eq!(lab.nodes[0].attach(&a, &[]), a.ip);
    let api = lab.api.clone();
    lab.nodes[0].restart(&api);
    assert_eq!(lab.nodes[0].attach(&a, &[]), a.ip);
    assert_eq!(peer_seen(&a.namespace, c.ip), format!("c {}", a.ip));
    assert_eq!(peer_seen(&c.namespace, b.ip), format!("b {}", c.ip));

    lab.nodes[0].retain(&["uid-a"]);
    assert!(c.namespace.tcp(&format!("{}:8080", b.ip)).is_err());
    assert_eq!(peer_seen(&c.namespace, a.ip), format!("a {}", c.ip));
    lab.nodes[0].detach(&a);
    lab.nodes[0].detach(&a);
    assert!(c.namespace.tcp(&format!("{}:8080", a.ip)).is_err());
    // A node that is gone is forgotten.
    api.delete("nodes", "n1");
    lab.nodes[1].restart(&api);
    assert!(c.namespace.tcp("192.0.2.1:1").is_err());

    lab.nodes[0].cleanup();
    assert_eq!(lab.nodes[0].link_names().iter().filter(|n| n.starts_with("tr")).count(), 0);
    assert!(lab.nodes[0].namespace.run(|| std::net::UdpSocket::bind("10.96.0.10:0")).is_err());
    lab.nodes[0].cleanup();
}

#[test]
fn services_are_balanced_and_follow_their_endpoints() {
    let Some(lab) = Lab::new(2) else { return };
    let (a, b, c) = (lab.nodes[0].pod("a", &[]), lab.nodes[0].pod("b", &[]), lab.nodes[1].pod("c", &[]));
    for pod in [&b, &c] {
        pod.namespace.serve(&pod.reference.name, 8080);
    }
    // Nobody has it: refused at once.
    lab.api.service("web", spec(json!({})));
    let refused =
        || a.namespace.tcp(SERVICE).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused).then_some(());
    eventually("a service without endpoints is refused", refused);
    let own = |to: &str| lab.nodes[0].namespace.tcp(to);
    assert_eq!(own(SERVICE).unwrap_err().kind(), ErrorKind::ConnectionRefused);

    lab.api.endpoints("web", &[(b.ip, "n1"), (c.ip, "n2")]);
    eventually("both endpoints are used", || {
        let seen: BTreeSet<String> = (0..12).filter_map(|_| a.namespace.tcp(SERVICE).ok()).collect();
        (seen == BTreeSet::from([format!("b {}", a.ip), format!("c {}", a.ip)])).then_some(())
    });
    // From the node itself, by node port from outside and from a pod.
    for _ in 0..6 {
        own(SERVICE).unwrap();
        own("192.0.2.1:30080").unwrap();
        lab.client.tcp("192.0.2.1:30080").unwrap();
        lab.client.tcp("192.0.2.2:30080").unwrap();
        a.namespace.tcp("192.0.2.1:30080").unwrap();
        a.namespace.tcp("192.0.2.2:30080").unwrap();
    }
    // Itself through the service.
    lab.api.endpoints("web", &[(b.ip, "n1")]);
    eventually("one endpoint is left", || {
        (0..8).all(|_| a.namespace.tcp(SERVICE).is_ok_and(|t| t.starts_with("b "))).then_some(())
    });
    assert!(b.namespace.tcp(SERVICE).unwrap().starts_with("b "));
    assert!(b.namespace.tcp("192.0.2.1:30080").unwrap().starts_with("b "));

    lab.api.delete("endpointslices", "web-1");
    eventually("the last endpoint is gone", refused);
    lab.api.delete("services", "web");
}

#[test]
fn udp_follows_the_endpoints_with_the_same_port() {
    let Some(lab) = Lab::new(1) else { return };
    let (a, b, c) = (lab.nodes[0].pod("a", &[]), lab.nodes[0].pod("b", &[]), lab.nodes[0].pod("c", &[]));
    for pod in [&b, &c] {
        pod.namespace.serve(&pod.reference.name, 8080);
    }
    lab.api.service("web", spec(json!({})));
    lab.api.endpoints("web", &[(b.ip, "n1")]);
    let socket = a.namespace.udp_client(SERVICE);
    let node_port = lab.client.udp_client("192.0.2.1:30080");
    eventually("b answers", || ask(&socket).ok().filter(|t| t.starts_with("b ")));
    eventually("b answers at the node port", || ask(&node_port).ok().filter(|t| t.starts_with("b ")));
    lab.api.endpoints("web", &[(c.ip, "n1")]);
    eventually("c answers the same client", || ask(&socket).ok().filter(|t| t.starts_with("c ")));
    eventually("c answers the same client at the node port", || {
        ask(&node_port).ok().filter(|t| t.starts_with("c "))
    });
}

#[test]
fn a_client_stays_at_its_endpoint() {
    let Some(lab) = Lab::new(1) else { return };
    let pods: Vec<_> = ["a", "b", "c", "d"].iter().map(|n| lab.nodes[0].pod(n, &[])).collect();
    for pod in &pods {
        pod.namespace.serve(&pod.reference.name, 8080);
    }
    let sticky =
        json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}});
    lab.api.service("web", spec(sticky));
    let endpoints: Vec<_> = pods[1..].iter().map(|p| (p.ip, "n1")).collect();
    lab.api.endpoints("web", &endpoints);
    let client = &pods[0].namespace;
    let first = eventually("the service answers", || client.tcp(SERVICE).ok());
    for _ in 0..20 {
        assert_eq!(client.tcp(SERVICE).unwrap(), first);
    }
    let outside = lab.client.tcp("192.0.2.1:30080").unwrap();
    for _ in 0..20 {
        assert_eq!(lab.client.tcp("192.0.2.1:30080").unwrap(), outside);
    }
    // Without that endpoint the client gets another, and stays there.
    let rest: Vec<_> =
        pods[1..].iter().filter(|p| !first.starts_with(&p.reference.name)).map(|p| (p.ip, "n1")).collect();
    lab.api.endpoints("web", &rest);
    let second = eventually("another endpoint answers", || client.tcp(SERVICE).ok().filter(|t| *t != first));
    for _ in 0..20 {
        assert_eq!(client.tcp(SERVICE).unwrap(), second);
    }
}

#[test]
fn local_traffic_policy_keeps_the_client_address() {
    let Some(lab) = Lab::new(2) else { return };
    let b = lab.nodes[0].pod("b", &[]);
    b.namespace.serve("b", 8080);
    let a = lab.nodes[1].pod("a", &[]);
    lab.api.service("web", spec(json!({"externalTrafficPolicy": "Local", "externalIPs": ["203.0.113.5"]})));
    lab.api.endpoints("web", &[(b.ip, "n1")]);
    let seen = eventually("the node port answers", || lab.client.tcp("192.0.2.1:30080").ok());
    assert_eq!(seen, "b 192.0.2.100");
    // Dropped where there is no endpoint, but the cluster's own clients are served there.
    assert!(lab.client.tcp("192.0.2.2:30080").is_err());
    eventually("a pod of the other node is served", || a.namespace.tcp("192.0.2.2:30080").ok());
    assert!(a.namespace.tcp("203.0.113.5:80").unwrap().starts_with("b "));
    assert!(lab.nodes[1].namespace.tcp("192.0.2.2:30080").unwrap().starts_with("b "));
}

#[test]
fn host_ports_on_all_addresses_and_on_one() {
    let Some(mut lab) = Lab::new(1) else { return };
    let port = |host_ip: Option<&str>, host_port| HostPort {
        protocol: Protocol::Tcp,
        host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        host_port,
        container_port: 8080,
    };
    let any = lab.nodes[0].pod("any", &[port(None, 4000)]);
    let loopback = lab.nodes[0].pod("loopback", &[port(Some("127.0.0.1"), 4001)]);
    let one = lab.nodes[0].pod("one", &[port(Some("192.0.2.1"), 4001)]);
    for pod in [&any, &loopback, &one] {
        pod.namespace.serve(&pod.reference.name, 8080);
    }
    let check = |lab: &Lab| {
        assert_eq!(lab.client.tcp("192.0.2.1:4000").unwrap(), "any 192.0.2.100");
        assert_eq!(lab.client.tcp("192.0.2.1:4001").unwrap(), "one 192.0.2.100");
        let node = &lab.nodes[0].namespace;
        assert!(node.tcp("127.0.0.1:4000").unwrap().starts_with("any "));
        assert!(node.tcp("127.0.0.1:4001").unwrap().starts_with("loopback "));
        assert!(node.tcp("192.0.2.1:4001").unwrap().starts_with("one "));
        assert!(any.namespace.tcp("192.0.2.1:4000").unwrap().starts_with("any "));
    };
    check(&lab);
    let api = lab.api.clone();
    lab.nodes[0].restart(&api);
    check(&lab);
    lab.nodes[0].detach(&any);
    assert!(lab.client.tcp("192.0.2.1:4000").is_err());
}

#[test]
fn pods_resolve_names() {
    use hickory_proto::op::{Message, Query, ResponseCode};
    use hickory_proto::rr::{Name, RecordType};
    let Some(lab) = Lab::new(1) else { return };
    let a = lab.nodes[0].pod("a", &[]);
    lab.api.service("web", spec(json!({})));
    let socket = a.namespace.udp_client("10.96.0.10:53");
    let resolve = |name: &str| {
        let mut question = Message::query();
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
        socket.send(&question.to_vec().unwrap()).unwrap();
        let mut answer = [0; 1500];
        let len = socket.recv(&mut answer).unwrap();
        Message::from_vec(&answer[..len]).unwrap()
    };
    let answer = eventually("the name is known", || {
        Some(resolve("web.default.svc.cluster.local.")).filter(|a| !a.answers.is_empty())
    });
    assert_eq!(answer.answers[0].data.to_string(), "10.96.0.20");
    assert_eq!(resolve("nope.default.svc.cluster.local.").metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(resolve("example.org.").metadata.response_code, ResponseCode::Refused);
    let settings = lab.nodes[0].network().dns();
    assert_eq!(settings.search("shop"), ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"]);
}
