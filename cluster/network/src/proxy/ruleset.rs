//! The nftables table `trireme`: its fixed chains, and how a delta becomes elements and balancing chains.
//!
//! ```text
//! nat prerouting, output -> services:
//!   from outside the cluster CIDR, not from this node           -> outside: the same with @outside-services
//!   (daddr . protocol . dport) in @services: its class, which @classes leads to balance-N...
//!   to an address of this node, (0.0.0.0 . protocol . dport) likewise
//! balance-N: (daddr . protocol . dport . random number below N) in @endpoints -> dnat
//! balance-N with affinity: (daddr . protocol . dport . saddr) in @affinity, while that is in @sticky-endpoints
//! nat postrouting: marked, to a cluster IP from outside the cluster, hairpin, pods leaving the cluster,
//!   127.0.0.1 leaving the node                                  -> masquerade
//! filter forward, output: what is still for the service CIDR, or @rejected -> reject
//! raw prerouting, output: 127.0.0.0/8 from a wire is dropped; cluster DNS is not tracked
//! ```
//!
//! A frontend leads to its chain in two steps because the kernel checks the whole table for loops whenever a
//! verdict map changes: @classes has an element per chain, and chains are few. What one map gives is the key of
//! the next by way of the packet's mark: `nft` aborts when it is to show a map of a map.

use std::net::{Ipv4Addr, SocketAddrV4};

use ipnet::Ipv4Net;

use super::service::{Frontend, Target};
use super::state::{Class, DROPPED, Delta, Placed, Scope, Slot};
use crate::Protocol;
use crate::nft::{
    Batch, Comparison, DynsetOp, Element, Expression as E, FibSide, Field, Hook, Part, Register, SetKind,
    Value, Verdict,
};

/// The name of the table.
pub const TABLE: &str = "trireme";
/// The mark of packets that must be masqueraded (the bit that Kubernetes uses).
const MASQUERADE_MARK: u32 = 0x4000;
/// How many (client, service) pairs are remembered; beyond that affinity is not kept for new clients.
const AFFINITY_ENTRIES: u32 = 262_144;
const DNS_PORT: u16 = 53;
/// The key of a frontend.
const FRONTEND: [Part; 3] = [Part::Address, Part::Protocol, Part::Port];
const ENDPOINT: [Part; 2] = [Part::Address, Part::Port];
const NUMBER: [Part; 1] = [Part::Number];

/// The sets that there are once for each scope.
struct Sets {
    /// Frontend -> class.
    frontends: &'static str,
    /// Frontend and number -> endpoint.
    endpoints: &'static str,
    /// Frontend and number -> the endpoint's number in @sticky-endpoints, where affinity is wanted.
    sticky: &'static str,
}

fn sets(scope: Scope) -> Sets {
    match scope {
        Scope::Inside => Sets { frontends: "services", endpoints: "endpoints", sticky: "sticky" },
        Scope::Outside => {
            Sets { frontends: "outside-services", endpoints: "outside-endpoints", sticky: "outside-sticky" }
        }
    }
}

/// `NF_INET_*` hook numbers.
mod hook {
    pub const PREROUTING: u32 = 0;
    pub const FORWARD: u32 = 2;
    pub const OUTPUT: u32 = 3;
    pub const POSTROUTING: u32 = 4;
}

/// What the fixed chains depend on.
#[derive(Clone, Debug)]
pub struct RulesetConfig {
    pub service_cidr: Ipv4Net,
    pub cluster_cidr: Ipv4Net,
    pub dns_ip: Option<Ipv4Addr>,
}

/// Writes the whole table, replacing what was there: fixed chains, empty maps.
pub fn skeleton(batch: &mut Batch, config: &RulesetConfig) {
    batch.add_table();
    batch.delete_table();
    batch.add_table();
    let numbered = [&FRONTEND[..], &NUMBER].concat();
    for Sets { frontends, endpoints, sticky } in [Scope::Inside, Scope::Outside].map(sets) {
        batch.add_set(frontends, &FRONTEND, SetKind::Map(&NUMBER));
        batch.add_set(endpoints, &numbered, SetKind::Map(&ENDPOINT));
        batch.add_set(sticky, &numbered, SetKind::Map(&NUMBER));
    }
    batch.add_set("sticky-endpoints", &NUMBER, SetKind::Map(&ENDPOINT));
    batch.add_set("classes", &NUMBER, SetKind::VerdictMap);
    batch.add_elements("classes", [Element { key: number(DROPPED), value: Value::Verdict(Verdict::Drop) }]);
    let affinity = SetKind::DynamicMap { value: &NUMBER, size: AFFINITY_ENTRIES };
    batch.add_set("affinity", &[&FRONTEND[..], &[Part::Address]].concat(), affinity);
    batch.add_set("hairpin", &[Part::Address, Part::Address], SetKind::Set);
    batch.add_set("rejected", &FRONTEND, SetKind::Set);
    batch.add_chain("services", None);
    batch.add_chain("outside", None);
    batch.add_chain("refuse", None);
    service_rules(batch, config);
    postrouting_rules(batch, config);
    refusal_rules(batch, config);
    raw_rules(batch, config);
}

fn service_rules(batch: &mut Batch, config: &RulesetConfig) {
    let [key, any_key] = [frontend_key(false, 0), frontend_key(true, 0)];
    let dispatch = |scope| {
        [
            E::Lookup { map: sets(scope).frontends, key: Register(0), into: Register(4) },
            E::SetMark { from: Register(4) },
            E::Mark { into: Register(5) },
            E::VerdictMap { map: "classes", key: Register(5) },
        ]
    };
    let (inside, outside) = (dispatch(Scope::Inside), dispatch(Scope::Outside));
    let from_outside = E::within(Field::SourceAddress, config.cluster_cidr, Comparison::NotEqual);

    let not_this_node = E::is_not_local(FibSide::Source);
    batch.add_rule(
        "services",
        &join([&from_outside, &not_this_node, &[E::Verdict(Verdict::Jump("outside".into()))]]),
    );
    batch.add_rule("services", &join([&key, &inside]));
    batch.add_rule("services", &join([&E::is_local(FibSide::Destination), &any_key, &inside]));

    batch.add_rule("outside", &join([&key, &outside]));
    batch.add_rule("outside", &join([&E::is_local(FibSide::Destination), &any_key, &outside]));

    for (name, number) in [("nat-prerouting", hook::PREROUTING), ("nat-output", hook::OUTPUT)] {
        batch.add_chain(name, Some(Hook { kind: "nat", number, priority: -100 }));
        batch.add_rule(name, &[E::Verdict(Verdict::Jump("services".into()))]);
    }
}

fn postrouting_rules(batch: &mut Batch, config: &RulesetConfig) {
    let name = "nat-postrouting";
    batch.add_chain(name, Some(Hook { kind: "nat", number: hook::POSTROUTING, priority: 100 }));
    let r = Register(0);
    let mask = MASQUERADE_MARK.to_ne_bytes();
    let marked = [
        E::Mark { into: r },
        E::Bitwise { from: r, into: r, mask: mask.to_vec(), xor: vec![0; 4] },
        E::equal(r, mask),
    ];
    // The mark is taken off, or the VXLAN packet around this one would inherit it and be masqueraded as well.
    let unmark = [
        E::Mark { into: r },
        E::Bitwise { from: r, into: r, mask: (!MASQUERADE_MARK).to_ne_bytes().to_vec(), xor: vec![0; 4] },
        E::SetMark { from: r },
    ];
    batch.add_rule(name, &join([&marked, &unmark, &[E::Masquerade]]));
    let to_cluster_ip = E::original_destination_within(config.service_cidr);
    let from_outside = E::within(Field::SourceAddress, config.cluster_cidr, Comparison::NotEqual);
    batch.add_rule(name, &join([&to_cluster_ip, &from_outside, &[E::Masquerade]]));
    let addresses = [
        E::Payload { field: Field::SourceAddress, into: Register(0) },
        E::Payload { field: Field::DestinationAddress, into: Register(1) },
    ];
    batch.add_rule(
        name,
        &join([&addresses, &[E::Contains { set: "hairpin", key: Register(0) }, E::Masquerade]]),
    );
    let multicast = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4);
    let egress = join([
        &E::within(Field::SourceAddress, config.cluster_cidr, Comparison::Equal),
        &E::within(Field::DestinationAddress, config.cluster_cidr, Comparison::NotEqual),
        &E::within(Field::DestinationAddress, multicast, Comparison::NotEqual),
        &[E::Masquerade],
    ]);
    batch.add_rule(name, &egress);
    let loopback = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
    let leaving = [E::OutputInterface { into: r }, E::not_equal(r, interface("lo"))];
    let from_loopback = E::within(Field::SourceAddress, loopback, Comparison::Equal);
    batch.add_rule(name, &join([&leaving, &from_loopback, &[E::Masquerade]]));
}

fn refusal_rules(batch: &mut Batch, config: &RulesetConfig) {
    let r = Register(0);
    let tcp = [E::L4Protocol { into: r }, E::equal(r, [libc::IPPROTO_TCP as u8])];
    batch.add_rule("refuse", &join([&tcp, &[E::RejectWithReset]]));
    batch.add_rule("refuse", &[E::RejectWithPortUnreachable]);
    let refuse = || E::Verdict(Verdict::Goto("refuse".into()));
    for (name, number) in [("filter-forward", hook::FORWARD), ("filter-output", hook::OUTPUT)] {
        batch.add_chain(name, Some(Hook { kind: "filter", number, priority: 0 }));
        let to_service = E::within(Field::DestinationAddress, config.service_cidr, Comparison::Equal);
        let not_dns = config.dns_ip.map(|dns| {
            [E::Payload { field: Field::DestinationAddress, into: r }, E::not_equal(r, dns.octets())]
        });
        let not_dns = not_dns.as_ref().map_or(&[][..], |e| &e[..]);
        batch.add_rule(name, &join([&to_service, not_dns, &[refuse()]]));
        let rejected = E::Contains { set: "rejected", key: Register(0) };
        batch.add_rule(name, &join([&frontend_key(false, 0), &[rejected, refuse()]]));
    }
    // A packet out of window would pass untranslated, and its receiver would reset the client's connection.
    batch.add_rule("filter-forward", &join([&E::is_invalid(), &[E::Verdict(Verdict::Drop)]]));
}

fn raw_rules(batch: &mut Batch, config: &RulesetConfig) {
    let r = Register(0);
    let chains = [("raw-prerouting", hook::PREROUTING), ("raw-output", hook::OUTPUT)];
    for (name, number) in chains {
        batch.add_chain(name, Some(Hook { kind: "filter", number, priority: -300 }));
        let Some(dns) = config.dns_ip else { continue };
        let sides =
            [(Field::DestinationAddress, Field::DestinationPort), (Field::SourceAddress, Field::SourcePort)];
        for (address, port) in sides {
            let expressions = [
                E::Payload { field: address, into: r },
                E::equal(r, dns.octets()),
                E::L4Protocol { into: r },
                E::equal(r, [libc::IPPROTO_UDP as u8]),
                E::Payload { field: port, into: r },
                E::equal(r, DNS_PORT.to_be_bytes()),
                E::Untracked,
            ];
            batch.add_rule(name, &expressions);
        }
    }
    // Links of pods may route 127.0.0.1, for host ports there; nobody may use that from the other end.
    let from_wire = [E::InputInterface { into: r }, E::not_equal(r, interface("lo"))];
    let loopback = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
    let to_loopback = E::within(Field::DestinationAddress, loopback, Comparison::Equal);
    batch.add_rule("raw-prerouting", &join([&from_wire, &to_loopback, &[E::Verdict(Verdict::Drop)]]));
}

/// Writes what makes the table follow `delta`.
pub fn render(batch: &mut Batch, delta: &Delta) {
    let mut changes = Changes::default();
    for (class, id) in &delta.new_classes {
        add_class(batch, *class);
        let verdict = Value::Verdict(Verdict::Goto(chain_name(*class)));
        changes.add("classes", number(*id), verdict);
    }
    for id in delta.old_classes.values() {
        changes.delete("classes", number(*id));
    }
    for (slot, (old, new)) in &delta.slots {
        changes.slot(*slot, old.as_ref(), new.as_ref());
    }
    for address in &delta.old_local {
        changes.delete("hairpin", pair(*address));
    }
    for address in &delta.new_local {
        changes.add("hairpin", pair(*address), Value::Nothing);
    }
    for (set, keys) in changes.deleted {
        batch.delete_elements(set, keys);
    }
    for (set, elements) in changes.added {
        batch.add_elements(set, elements);
    }
    for class in delta.old_classes.keys() {
        batch.delete_chain(&chain_name(*class));
    }
}

/// Element changes, collected by set.
#[derive(Default)]
struct Changes {
    deleted: std::collections::BTreeMap<&'static str, Vec<Vec<u8>>>,
    added: std::collections::BTreeMap<&'static str, Vec<Element>>,
}

impl Changes {
    fn delete(&mut self, set: &'static str, key: Vec<u8>) {
        self.deleted.entry(set).or_default().push(key);
    }

    fn add(&mut self, set: &'static str, key: Vec<u8>, value: Value) {
        self.added.entry(set).or_default().push(Element { key, value });
    }

    fn slot(&mut self, slot: Slot, old: Option<&Placed>, new: Option<&Placed>) {
        let (old_entry, new_entry) = (entry(slot, old), entry(slot, new));
        if old_entry != new_entry {
            self.replace(frontend_bytes(slot.frontend), old_entry, new_entry);
        }
        let (before, after) = (numbered(old), numbered(new));
        for place in 0..before.len().max(after.len()) {
            let (old, new) = (before.get(place), after.get(place));
            if old != new {
                let element = |n: &Numbered| n.element(sets(slot.scope));
                self.replace(numbered_bytes(slot, place), old.map(element), new.map(element));
            }
        }
        let ids = |placed: Option<&Placed>| placed.map(|p| p.endpoint_ids.clone()).unwrap_or_default();
        let (old_ids, new_ids) = (ids(old), ids(new));
        for id in old_ids.iter().filter(|id| !new_ids.contains(id)) {
            self.delete("sticky-endpoints", number(*id));
        }
        for (id, endpoint) in new_ids.iter().zip(endpoints(new)).filter(|(id, _)| !old_ids.contains(id)) {
            self.add("sticky-endpoints", number(*id), Value::Bytes(endpoint_bytes(*endpoint)));
        }
    }

    fn replace(
        &mut self,
        key: Vec<u8>,
        old: Option<(&'static str, Value)>,
        new: Option<(&'static str, Value)>,
    ) {
        if let Some((set, _)) = old {
            self.delete(set, key.clone());
        }
        if let Some((set, value)) = new {
            self.add(set, key, value);
        }
    }
}

/// What a random number leads to.
#[derive(PartialEq, Eq)]
enum Numbered {
    Endpoint(SocketAddrV4),
    /// Its number in @sticky-endpoints.
    Sticky(u32),
}

impl Numbered {
    fn element(&self, sets: Sets) -> (&'static str, Value) {
        match self {
            Numbered::Endpoint(endpoint) => (sets.endpoints, Value::Bytes(endpoint_bytes(*endpoint))),
            Numbered::Sticky(id) => (sets.sticky, Value::Bytes(number(*id))),
        }
    }
}

fn numbered(placed: Option<&Placed>) -> Vec<Numbered> {
    match placed {
        Some(placed) if !placed.endpoint_ids.is_empty() => {
            placed.endpoint_ids.iter().copied().map(Numbered::Sticky).collect()
        }
        _ => endpoints(placed).iter().copied().map(Numbered::Endpoint).collect(),
    }
}

fn endpoints(placed: Option<&Placed>) -> &[SocketAddrV4] {
    match placed {
        Some(Placed { target: Target::Balance(backend), .. }) => &backend.endpoints,
        _ => &[],
    }
}

/// The element that makes packets find the target.
fn entry(slot: Slot, placed: Option<&Placed>) -> Option<(&'static str, Value)> {
    let placed = placed?;
    match placed.target {
        Target::Balance(_) | Target::Drop => {
            Some((sets(slot.scope).frontends, Value::Bytes(number(placed.class_id))))
        }
        Target::Reject => Some(("rejected", Value::Nothing)),
    }
}

/// The chain that balances over a number of endpoints.
fn add_class(batch: &mut Batch, class: Class) {
    let name = chain_name(class);
    batch.add_chain(&name, None);
    if let Some(seconds) = class.affinity_seconds {
        return add_affinity_rules(batch, &name, class, u64::from(seconds) * 1000);
    }
    let choose = [
        E::Random { into: Register(3), modulus: class.endpoints },
        E::Lookup { map: sets(class.scope).endpoints, key: Register(0), into: Register(8) },
    ];
    batch.add_rule(&name, &join([&frontend_key(class.any_address, 0), &choose, &translate(class)]));
}

/// First the remembered endpoint, if it is there still; else any, which is remembered; else (when nothing more
/// can be remembered) any. Registers 0-3: frontend and number; 4-7: frontend and client; 12: an endpoint's number.
fn add_affinity_rules(batch: &mut Batch, name: &str, class: Class, timeout_ms: u64) {
    let key = frontend_key(class.any_address, 0);
    let mut client_key = frontend_key(class.any_address, 4).to_vec();
    client_key.push(E::Payload { field: Field::SourceAddress, into: Register(7) });
    let by_mark = [
        E::Mark { into: Register(12) },
        E::Lookup { map: "sticky-endpoints", key: Register(12), into: Register(8) },
    ];
    let remember = |op| E::Dynset { map: "affinity", op, key: Register(4), value: Register(12), timeout_ms };
    let recall = [
        E::Lookup { map: "affinity", key: Register(4), into: Register(13) },
        E::SetMark { from: Register(13) },
    ];
    let known = join([&client_key, &recall, &by_mark, &[remember(DynsetOp::Update)], &translate(class)]);
    batch.add_rule(name, &known);
    let choose = [
        E::Random { into: Register(3), modulus: class.endpoints },
        E::Lookup { map: sets(class.scope).sticky, key: Register(0), into: Register(13) },
        E::SetMark { from: Register(13) },
    ];
    let again = [remember(DynsetOp::Delete), remember(DynsetOp::Add)];
    batch.add_rule(name, &join([&key, &choose, &by_mark, &client_key, &again, &translate(class)]));
    batch.add_rule(name, &join([&key, &choose, &by_mark, &translate(class)]));
}

/// Leads the packet to the endpoint in registers 8 and 9. The mark, which led here, is given its meaning.
fn translate(class: Class) -> [E; 3] {
    let mark = if class.masquerade { MASQUERADE_MARK } else { 0 };
    [
        E::Immediate { into: Register(15), value: number(mark) },
        E::SetMark { from: Register(15) },
        E::Dnat { address: Register(8), port: Register(9) },
    ]
}

/// `balance-3`, `balance-3-outside`, `balance-2-node-masquerade`, `balance-1-sticky10800`.
pub fn chain_name(class: Class) -> String {
    let mut name = format!("balance-{}", class.endpoints);
    if class.any_address {
        name.push_str("-node");
    }
    if class.scope == Scope::Outside {
        name.push_str("-outside");
    }
    if class.masquerade {
        name.push_str("-masquerade");
    }
    if let Some(seconds) = class.affinity_seconds {
        name.push_str(&format!("-sticky{seconds}"));
    }
    name
}

/// Loads the packet's frontend into three registers.
fn frontend_key(any_address: bool, at: u8) -> [E; 3] {
    let address = Register(at);
    [
        match any_address {
            true => E::Immediate { into: address, value: vec![0; 4] },
            false => E::Payload { field: Field::DestinationAddress, into: address },
        },
        E::L4Protocol { into: Register(at + 1) },
        E::Payload { field: Field::DestinationPort, into: Register(at + 2) },
    ]
}

fn join<const N: usize>(parts: [&[E]; N]) -> Vec<E> {
    parts.concat()
}

/// A number or a mark as the kernel keeps it in registers.
fn number(number: u32) -> Vec<u8> {
    number.to_ne_bytes().to_vec()
}

/// An interface name as the kernel compares it: all sixteen bytes.
fn interface(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(libc::IFNAMSIZ, 0);
    bytes
}

fn frontend_bytes(frontend: Frontend) -> Vec<u8> {
    let mut key = Vec::with_capacity(24);
    key.extend_from_slice(&frontend.address.octets());
    key.extend_from_slice(&[protocol_number(frontend.protocol), 0, 0, 0]);
    key.extend_from_slice(&frontend.port.to_be_bytes());
    key.extend_from_slice(&[0; 2]);
    key
}

fn numbered_bytes(slot: Slot, place: usize) -> Vec<u8> {
    let mut key = frontend_bytes(slot.frontend);
    key.extend_from_slice(&self::number(place as u32));
    key
}

fn endpoint_bytes(endpoint: SocketAddrV4) -> Vec<u8> {
    let mut bytes = endpoint.ip().octets().to_vec();
    bytes.extend_from_slice(&endpoint.port().to_be_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes
}

fn pair(address: Ipv4Addr) -> Vec<u8> {
    [address.octets(), address.octets()].concat()
}

/// The number of a protocol in an IP header.
pub fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => libc::IPPROTO_TCP as u8,
        Protocol::Udp => libc::IPPROTO_UDP as u8,
        Protocol::Sctp => libc::IPPROTO_SCTP as u8,
    }
}
