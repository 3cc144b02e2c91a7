//! Tables: services and slices in, frontends and deltas out.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::conntrack::{Judge, Tuple, flow};
use super::service::{Backend, Frontend, Placement, ServiceRules, Target, host_port_rules, service_rules};
use super::state::{Delta, Owner, Scope, Slot, State};
use crate::{HostPort, Protocol};

fn placement() -> Placement {
    Placement { node_name: "n1".into(), zone: Some("z1".into()), dns_ip: Some(Ipv4Addr::new(10, 96, 0, 10)) }
}

fn service(spec: Value) -> Service {
    serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "default"}, "spec": spec}))
        .unwrap()
}

/// Endpoints as (address, node, ready, serving, terminating).
type Given<'a> = (&'a str, &'a str, bool, bool, bool);

fn slice(endpoints: &[Given]) -> EndpointSlice {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(address, node, ready, serving, terminating)| {
            json!({"addresses": [address], "nodeName": node,
                "conditions": {"ready": ready, "serving": serving, "terminating": terminating}})
        })
        .collect();
    slice_of(json!(endpoints))
}

fn slice_of(endpoints: Value) -> EndpointSlice {
    serde_json::from_value(json!({
        "metadata": {"name": "web-1", "namespace": "default"}, "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "dns", "port": 5353, "protocol": "UDP"}],
        "endpoints": endpoints,
    }))
    .unwrap()
}

fn rules(spec: Value, slices: &[EndpointSlice]) -> ServiceRules {
    service_rules(&service(spec), &slices.iter().collect::<Vec<_>>(), &placement())
}

fn tcp(address: &str, port: u16) -> Frontend {
    Frontend { address: address.parse().unwrap(), protocol: Protocol::Tcp, port }
}

fn endpoints(target: Option<&Target>) -> Vec<String> {
    match target {
        Some(Target::Balance(b)) => b.endpoints.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

const NODE: &str = "0.0.0.0";
const PORTS: &str = r#"[{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]"#;

fn ports() -> Value {
    serde_json::from_str(PORTS).unwrap()
}

#[test]
fn a_cluster_ip_leads_to_the_ready_endpoints_of_the_port() {
    let slices =
        [slice(&[("10.244.1.2", "n1", true, true, false), ("10.244.2.3", "n2", false, false, false)])];
    let found = rules(json!({"clusterIP": "10.96.0.20", "ports": ports()}), &slices);
    assert_eq!(endpoints(found.inside.get(&tcp("10.96.0.20", 80))), ["10.244.1.2:8080"]);
    assert_eq!(endpoints(found.inside.get(&tcp(NODE, 30080))), ["10.244.1.2:8080"]);
    assert_eq!(found.inside.len(), 2);
    assert!(found.outside.is_empty());
    assert_eq!(found.local_endpoints, BTreeSet::from([Ipv4Addr::new(10, 244, 1, 2)]));
    let masqueraded = |f| matches!(found.inside.get(&f), Some(Target::Balance(b)) if b.masquerade);
    assert!(!masqueraded(tcp("10.96.0.20", 80)) && masqueraded(tcp(NODE, 30080)));
}

#[test]
fn terminating_endpoints_serve_only_when_nothing_is_ready() {
    let spec = json!({"clusterIP": "10.96.0.20", "ports": ports()});
    let cases: [(&[Given], &[&str]); 4] = [
        (
            &[("10.244.1.2", "n1", true, true, false), ("10.244.1.3", "n1", false, true, true)],
            &["10.244.1.2:8080"],
        ),
        (
            &[("10.244.1.2", "n1", false, false, true), ("10.244.1.3", "n1", false, true, true)],
            &["10.244.1.3:8080"],
        ),
        (&[("10.244.1.2", "n1", false, true, false)], &[]),
        (&[], &[]),
    ];
    for (given, expected) in cases {
        let found = rules(spec.clone(), &[slice(given)]);
        assert_eq!(endpoints(found.inside.get(&tcp("10.96.0.20", 80))), expected, "{given:?}");
    }
}

#[test]
fn who_is_not_proxied() {
    let slices = [slice(&[("10.244.1.2", "n1", true, true, false)])];
    let cases = [
        json!({"clusterIP": "None", "ports": ports()}),
        json!({"type": "ExternalName", "externalName": "example.org", "ports": ports()}),
        json!({"clusterIP": "10.96.0.10", "ports": [{"name": "http", "port": 53}]}),
        json!({"ports": ports()}),
    ];
    for spec in cases {
        assert_eq!(rules(spec.clone(), &slices).inside, Default::default(), "{spec}");
    }
    let mut labelled = service(json!({"clusterIP": "10.96.0.20", "ports": ports()}));
    labelled.metadata.labels =
        Some([("service.kubernetes.io/service-proxy-name".to_owned(), "x".to_owned())].into());
    assert_eq!(
        service_rules(&labelled, &slices.iter().collect::<Vec<_>>(), &placement()),
        ServiceRules::default()
    );
}

#[test]
fn local_traffic_policies() {
    let both = [slice(&[("10.244.1.2", "n1", true, true, false), ("10.244.2.3", "n2", true, true, false)])];
    let remote = [slice(&[("10.244.2.3", "n2", true, true, false)])];
    let internal = json!({"clusterIP": "10.96.0.20", "ports": ports(), "internalTrafficPolicy": "Local"});
    assert_eq!(
        endpoints(rules(internal.clone(), &both).inside.get(&tcp("10.96.0.20", 80))),
        ["10.244.1.2:8080"]
    );
    assert_eq!(rules(internal, &remote).inside.get(&tcp("10.96.0.20", 80)), None);

    let external = json!({"clusterIP": "10.96.0.20", "ports": ports(), "externalTrafficPolicy": "Local",
        "externalIPs": ["203.0.113.5"]});
    let found = rules(external.clone(), &both);
    for frontend in [tcp(NODE, 30080), tcp("203.0.113.5", 80)] {
        assert_eq!(endpoints(found.inside.get(&frontend)).len(), 2);
        assert_eq!(endpoints(found.outside.get(&frontend)), ["10.244.1.2:8080"]);
        assert!(matches!(found.outside.get(&frontend), Some(Target::Balance(b)) if !b.masquerade));
    }
    let found = rules(external, &remote);
    assert_eq!(found.outside.get(&tcp(NODE, 30080)), Some(&Target::Drop));
}

#[test]
fn external_addresses_without_endpoints_are_rejected() {
    let mut balanced =
        service(json!({"clusterIP": "10.96.0.20", "ports": ports(), "externalIPs": ["203.0.113.5"]}));
    balanced.status = serde_json::from_value(json!({"loadBalancer": {"ingress": [
        {"ip": "203.0.113.6"}, {"ip": "203.0.113.7", "ipMode": "Proxy"}, {"hostname": "x.example"}]}}))
    .unwrap();
    let found = service_rules(&balanced, &[], &placement());
    assert_eq!(found.inside.get(&tcp("203.0.113.5", 80)), Some(&Target::Reject));
    assert_eq!(found.inside.get(&tcp("203.0.113.6", 80)), Some(&Target::Reject));
    assert_eq!(found.inside.len(), 2);
}

#[test]
fn affinity_and_its_default() {
    let slices = [slice(&[("10.244.1.2", "n1", true, true, false)])];
    let affinity = |spec: Value| match rules(spec, &slices).inside.get(&tcp("10.96.0.20", 80)) {
        Some(Target::Balance(b)) => b.affinity_seconds,
        other => panic!("{other:?}"),
    };
    let mut spec = json!({"clusterIP": "10.96.0.20", "ports": ports()});
    assert_eq!(affinity(spec.clone()), None);
    spec["sessionAffinity"] = json!("ClientIP");
    assert_eq!(affinity(spec.clone()), Some(10_800));
    spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": 60}});
    assert_eq!(affinity(spec), Some(60));
}

#[test]
fn hints_are_followed_when_all_endpoints_have_them() {
    let spec = json!({"clusterIP": "10.96.0.20", "ports": ports()});
    let hinted = |address: &str, hints: Value| json!({"addresses": [address], "hints": hints});
    let cases = [
        (
            json!([
                hinted("10.244.1.2", json!({"forZones": [{"name": "z1"}]})),
                hinted("10.244.2.3", json!({"forZones": [{"name": "z2"}]}))
            ]),
            vec!["10.244.1.2:8080"],
        ),
        (
            json!([
                hinted("10.244.1.2", json!({"forZones": [{"name": "z1"}]})),
                hinted("10.244.2.3", Value::Null)
            ]),
            vec!["10.244.1.2:8080", "10.244.2.3:8080"],
        ),
        (json!([hinted("10.244.2.3", json!({"forZones": [{"name": "z2"}]}))]), vec!["10.244.2.3:8080"]),
        (
            json!([
                hinted("10.244.1.2", json!({"forZones": [{"name": "z1"}], "forNodes": [{"name": "n2"}]})),
                hinted("10.244.2.3", json!({"forZones": [{"name": "z1"}], "forNodes": [{"name": "n1"}]}))
            ]),
            vec!["10.244.2.3:8080"],
        ),
    ];
    for (given, expected) in cases {
        let found = rules(spec.clone(), &[slice_of(given.clone())]);
        assert_eq!(endpoints(found.inside.get(&tcp("10.96.0.20", 80))), expected, "{given}");
    }
}

#[test]
fn host_ports_are_frontends_too() {
    let port = |host_ip: Option<&str>| HostPort {
        protocol: Protocol::Tcp,
        host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        host_port: 8080,
        container_port: 80,
    };
    let found = host_port_rules(
        Ipv4Addr::new(10, 244, 1, 2),
        &[port(None), port(Some("127.0.0.1")), port(Some("::1"))],
    );
    assert_eq!(endpoints(found.inside.get(&tcp(NODE, 8080))), ["10.244.1.2:80"]);
    assert_eq!(endpoints(found.inside.get(&tcp("127.0.0.1", 8080))), ["10.244.1.2:80"]);
    assert_eq!(found.inside.len(), 2);
}

fn owner(name: &str) -> Owner {
    Owner::Service { namespace: "default".into(), name: name.into() }
}

fn address(text: &str) -> SocketAddrV4 {
    text.parse().unwrap()
}

fn balancing(frontend: Frontend, to: &[&str]) -> ServiceRules {
    let backend = Backend {
        endpoints: to.iter().map(|e| address(e)).collect(),
        affinity_seconds: None,
        masquerade: false,
    };
    ServiceRules { inside: [(frontend, Target::Balance(backend))].into(), ..ServiceRules::default() }
}

#[test]
fn a_change_names_only_what_differs_and_keeps_numbers() {
    let mut state = State::default();
    let frontend = tcp("10.96.0.20", 80);
    let slot = Slot { scope: Scope::Inside, frontend };
    let first =
        state.plan([(owner("web"), Some(balancing(frontend, &["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"])))]);
    assert_eq!(first.new_classes.keys().map(|c| c.endpoints).collect::<Vec<_>>(), [3]);
    let same =
        state.plan([(owner("web"), Some(balancing(frontend, &["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"])))]);
    assert_eq!(same, Delta::default());

    let second =
        state.plan([(owner("web"), Some(balancing(frontend, &["10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1"])))]);
    assert!(second.new_classes.is_empty() && second.old_classes.is_empty());
    let new = |delta: &Delta| endpoints(delta.slots[&slot].1.as_ref().map(|placed| &placed.target));
    assert_eq!(new(&second), ["10.0.0.4:1", "10.0.0.2:1", "10.0.0.3:1"]);

    let third = state.plan([(owner("web"), Some(balancing(frontend, &["10.0.0.3:1"])))]);
    assert_eq!(new(&third), ["10.0.0.3:1"]);
    assert_eq!((third.new_classes.len(), third.old_classes.len()), (1, 1));

    let gone = state.plan([(owner("web"), None)]);
    assert_eq!(gone.slots[&slot].1, None);
    assert_eq!((state.len(), gone.old_classes.len()), (0, 1));
    assert!(state.everything().is_empty());
}

#[test]
fn a_sticky_endpoint_keeps_its_number_and_no_other_gets_it() {
    let mut state = State::default();
    let frontend = tcp("10.96.0.20", 80);
    let mut ids = |to: &[&str]| {
        let mut rules = balancing(frontend, to);
        if let Some(Target::Balance(backend)) = rules.inside.get_mut(&frontend) {
            backend.affinity_seconds = Some(60);
        }
        let delta = state.plan([(owner("web"), Some(rules))]);
        let (_, (_, new)) = delta.slots.first_key_value().unwrap();
        let new = new.clone().unwrap();
        endpoints(Some(&new.target))
            .into_iter()
            .zip(new.endpoint_ids)
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let first = ids(&["10.0.0.1:1", "10.0.0.2:1"]);
    let second = ids(&["10.0.0.2:1", "10.0.0.3:1"]);
    let third = ids(&["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]);
    assert_eq!(first["10.0.0.2:1"], second["10.0.0.2:1"]);
    assert_eq!((second["10.0.0.2:1"], second["10.0.0.3:1"]), (third["10.0.0.2:1"], third["10.0.0.3:1"]));
    assert!(first["10.0.0.1:1"] != third["10.0.0.1:1"]);
}

#[test]
fn a_frontend_that_two_claim_passes_to_the_other() {
    let mut state = State::default();
    let frontend = tcp("203.0.113.5", 80);
    state.plan([(owner("b"), Some(balancing(frontend, &["10.0.0.2:1"])))]);
    state.plan([(owner("a"), Some(balancing(frontend, &["10.0.0.1:1"])))]);
    assert_eq!(endpoints(state.target(Scope::Inside, frontend)), ["10.0.0.1:1"]);
    let none = state.plan([(owner("b"), Some(balancing(frontend, &["10.0.0.3:1"])))]);
    assert!(none.slots.is_empty());
    state.plan([(owner("a"), None)]);
    assert_eq!(endpoints(state.target(Scope::Inside, frontend)), ["10.0.0.3:1"]);
}

#[test]
fn local_endpoints_are_counted() {
    let mut state = State::default();
    let local = |name: &str| {
        let pod = Ipv4Addr::new(10, 244, 1, 2);
        (owner(name), Some(ServiceRules { local_endpoints: [pod].into(), ..ServiceRules::default() }))
    };
    assert_eq!(state.plan([local("a")]).new_local.len(), 1);
    assert!(state.plan([local("b")]).is_empty());
    assert!(state.plan([(owner("a"), None)]).is_empty());
    assert_eq!(state.plan([(owner("b"), None)]).old_local.len(), 1);
}

proptest! {
    /// Whatever the order of changes, their deltas lead from an empty table to the state.
    #[test]
    fn deltas_add_up(changes in prop::collection::vec((0..3u8, 0..3u8, prop::collection::btree_set(1..6u8, 0..5)), 1..20)) {
        let mut state = State::default();
        let mut kernel = std::collections::BTreeMap::new();
        for (who, port, to) in changes {
            let frontend = tcp("10.96.0.20", u16::from(port) + 1);
            let to: Vec<String> = to.iter().map(|e| format!("10.0.0.{e}:1")).collect();
            let to: Vec<&str> = to.iter().map(String::as_str).collect();
            let rules = (!to.is_empty()).then(|| balancing(frontend, &to));
            let delta = state.plan([(owner(&who.to_string()), rules)]);
            for (slot, (old, new)) in delta.slots {
                prop_assert_eq!(kernel.remove(&slot), old);
                kernel.extend(new.map(|n| (slot, n)));
            }
        }
        let everything = state.everything();
        let expected: std::collections::BTreeMap<_, _> =
            everything.slots.into_iter().filter_map(|(slot, (_, new))| Some((slot, new?))).collect();
        prop_assert_eq!(kernel, expected);
    }
}

#[test]
fn which_udp_flows_are_stale() {
    let mut state = State::default();
    let udp = |address: &str, port| Frontend { protocol: Protocol::Udp, ..tcp(address, port) };
    state.plan([(owner("dns"), Some(balancing(udp("10.96.0.20", 53), &["10.244.1.2:5353"])))]);
    state.plan([(owner("game"), Some(balancing(udp(NODE, 30053), &["10.244.1.2:5353"])))]);
    let gone = BTreeSet::from([udp("203.0.113.5", 53)]);
    let judge = Judge {
        state: &state,
        gone: &gone,
        service_cidr: "10.96.0.0/16".parse().unwrap(),
        node_addresses: &[Ipv4Addr::new(192, 0, 2, 1)],
    };
    let cases = [
        ("an endpoint that is there", "10.96.0.20:53", "10.244.1.2:5353", false),
        ("an endpoint that is gone", "10.96.0.20:53", "10.244.1.9:5353", true),
        ("begun before there were endpoints", "10.96.0.20:53", "10.96.0.20:53", true),
        ("a service that is gone", "10.96.0.99:53", "10.244.1.9:5353", true),
        ("a node port", "192.0.2.1:30053", "10.244.1.2:5353", false),
        ("a node port before it was one", "192.0.2.1:30053", "192.0.2.1:30053", true),
        ("another host's port", "198.51.100.1:30053", "198.51.100.1:30053", false),
        ("an external address that is gone", "203.0.113.5:53", "10.244.1.2:5353", true),
        ("somebody else's translation", "203.0.113.9:53", "172.17.0.2:53", false),
        ("the cluster DNS", "10.96.0.10:53", "10.96.0.10:53", false),
    ];
    let client = address("10.244.1.7:4000");
    for (what, to, from, stale) in cases {
        let original = Tuple { protocol: 17, source: client, destination: address(to) };
        let reply = Tuple { protocol: 17, source: address(from), destination: client };
        assert_eq!(judge.is_stale(&flow(original, reply)), stale, "{what}");
        let over_tcp = |t: Tuple| Tuple { protocol: 6, ..t };
        assert!(!judge.is_stale(&flow(over_tcp(original), over_tcp(reply))), "{what} over TCP");
    }
}
