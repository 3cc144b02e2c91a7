//! The cluster's zone: a question in, an answer out. Pure.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use ipnet::IpNet;

use super::entry::{EndpointName, Entry, PortName};

/// Seconds for which an answer may be kept. Short: endpoints move.
const TTL_SECONDS: u32 = 5;
/// Of the specification that these answers follow.
const DNS_VERSION: &str = "1.1.0";
/// How many aliases of the cluster's own are followed.
const MAX_ALIASES: usize = 8;

/// What the zone is about.
#[derive(Clone, Debug)]
pub struct ZoneConfig {
    /// `cluster.local`.
    pub domain: String,
    pub dns_ip: IpAddr,
    /// Networks whose reverse names are answered here only.
    pub own_networks: Vec<IpNet>,
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Records {
        answers: Vec<Record>,
        additionals: Vec<Record>,
    },
    /// An alias for a name outside: the caller resolves `target` and appends it to `answers`.
    Alias {
        answers: Vec<Record>,
        target: Name,
    },
    /// The name exists, without records of that type.
    NoData,
    /// There is no such name.
    NoName,
    /// Not ours to answer.
    Foreign,
}

/// The names of all Services.
pub struct Zone {
    domain: Vec<String>,
    config: ZoneConfig,
    /// Keyed by namespace, then name: a namespace without services does not exist.
    namespaces: HashMap<String, HashMap<String, Entry>>,
    /// The names an address has.
    reverse: HashMap<IpAddr, BTreeSet<String>>,
    serial: u32,
}

impl Zone {
    pub fn new(config: ZoneConfig) -> Self {
        let domain = labels_of(&config.domain);
        Self { domain, config, namespaces: HashMap::new(), reverse: HashMap::new(), serial: 1 }
    }

    /// Sets what is known of a Service; `None`: it is gone.
    pub fn set(&mut self, namespace: &str, name: &str, entry: Option<Entry>) {
        let services = self.namespaces.entry(namespace.to_owned()).or_default();
        let old = match &entry {
            Some(entry) => services.insert(name.to_owned(), entry.clone()),
            None => services.remove(name),
        };
        if services.is_empty() {
            self.namespaces.remove(namespace);
        }
        let service = format!("{name}.{namespace}.svc.{}", self.config.domain);
        for (address, host) in old.iter().flat_map(|e| reverse_names(e, &service)) {
            if let Some(names) = self.reverse.get_mut(&address) {
                names.remove(&host);
                if names.is_empty() {
                    self.reverse.remove(&address);
                }
            }
        }
        for (address, host) in entry.iter().flat_map(|e| reverse_names(e, &service)) {
            self.reverse.entry(address).or_default().insert(host);
        }
        self.serial = self.serial.wrapping_add(1);
    }

    /// What is known of `name`, whatever its case.
    pub fn answer(&self, name: &Name, kind: RecordType) -> Answer {
        let mut answers = Vec::new();
        let mut current = name.clone();
        for _ in 0..MAX_ALIASES {
            match self.answer_one(&current, kind) {
                Answer::Alias { answers: alias, target } => {
                    answers.extend(alias);
                    if !self.owns(&target) {
                        return Answer::Alias { answers, target };
                    }
                    current = target;
                }
                Answer::Records { answers: found, additionals } => {
                    answers.extend(found);
                    return Answer::Records { answers, additionals };
                }
                other if answers.is_empty() => return other,
                _ => break,
            }
        }
        Answer::Records { answers, additionals: Vec::new() }
    }

    /// The record that goes with a negative answer.
    pub fn soa(&self) -> Record {
        let apex = name(&self.config.domain);
        let (server, mail) =
            (format!("ns.dns.{}", self.config.domain), format!("hostmaster.{}", self.config.domain));
        let soa = SOA::new(name(&server), name(&mail), self.serial, 7200, 1800, 86_400, TTL_SECONDS);
        record(apex, RData::SOA(soa))
    }

    /// Whether `name` is in the cluster's domain.
    pub fn owns(&self, name: &Name) -> bool {
        let labels = labels(name);
        labels.len() >= self.domain.len() && labels.ends_with(&self.domain)
    }

    fn answer_one(&self, name: &Name, kind: RecordType) -> Answer {
        let labels = labels(name);
        if let Some(address) = reverse_address(&labels) {
            return self.answer_reverse(name, address, kind);
        }
        let Some(inner) = labels.strip_suffix(&self.domain[..]) else { return Answer::Foreign };
        let inner: Vec<&str> = inner.iter().map(String::as_str).collect();
        match inner[..] {
            [] => self.answer_apex(name, kind),
            ["dns-version"] if kind == RecordType::TXT => {
                one(record(name.clone(), RData::TXT(TXT::new(vec![DNS_VERSION.to_owned()]))))
            }
            ["dns-version" | "svc" | "pod" | "dns"] => Answer::NoData,
            ["ns", "dns"] => addresses(name, kind, [self.config.dns_ip]),
            [namespace, "svc" | "pod"] => match self.namespaces.contains_key(namespace) {
                true => Answer::NoData,
                false => Answer::NoName,
            },
            [host, _namespace, "pod"] => match undash(host) {
                Some(address) => addresses(name, kind, [address]),
                None => Answer::NoName,
            },
            [ref host @ .., service, namespace, "svc"] => {
                match self.namespaces.get(namespace).and_then(|services| services.get(service)) {
                    Some(entry) => {
                        self.answer_service(name, kind, host, &format!("{service}.{namespace}"), entry)
                    }
                    None => Answer::NoName,
                }
            }
            _ => Answer::NoName,
        }
    }

    fn answer_apex(&self, name: &Name, kind: RecordType) -> Answer {
        let server = self::name(&format!("ns.dns.{}", self.config.domain));
        match kind {
            RecordType::SOA => one(self.soa()),
            RecordType::NS => Answer::Records {
                answers: vec![record(name.clone(), RData::NS(NS(server.clone())))],
                additionals: vec![record(server, address_data(self.config.dns_ip))],
            },
            _ => Answer::NoData,
        }
    }

    /// `host`: the labels before the service's.
    fn answer_service(
        &self,
        name: &Name,
        kind: RecordType,
        host: &[&str],
        service: &str,
        entry: &Entry,
    ) -> Answer {
        if let Some(target) = &entry.external_name {
            return match (host, kind) {
                ([], RecordType::CNAME) => one(record(name.clone(), RData::CNAME(CNAME(self::name(target))))),
                ([], _) => {
                    let target = self::name(target);
                    let alias = record(name.clone(), RData::CNAME(CNAME(target.clone())));
                    Answer::Alias { answers: vec![alias], target }
                }
                _ => Answer::NoName,
            };
        }
        match host {
            [] if kind == RecordType::SRV => self.answer_srv(name, service, entry, |_| true),
            [] if entry.is_headless() => addresses(name, kind, entry.endpoints.iter().map(|e| e.address)),
            [] => addresses(name, kind, entry.cluster_ips.iter().copied()),
            [protocol] if protocol.starts_with('_') => {
                match ports(entry).any(|p| p.protocol == protocol[1..]) {
                    true => Answer::NoData,
                    false => Answer::NoName,
                }
            }
            [host] => {
                let found: BTreeSet<IpAddr> =
                    entry.endpoints.iter().filter(|e| e.host == *host).map(|e| e.address).collect();
                if found.is_empty() { Answer::NoName } else { addresses(name, kind, found) }
            }
            [port, protocol] if port.starts_with('_') && protocol.starts_with('_') => {
                let wanted = |p: &PortName| p.name == port[1..] && p.protocol == protocol[1..];
                match ports(entry).any(wanted) {
                    false => Answer::NoName,
                    true if kind != RecordType::SRV => Answer::NoData,
                    true => self.answer_srv(name, service, entry, wanted),
                }
            }
            _ => Answer::NoName,
        }
    }

    fn answer_srv(
        &self,
        name: &Name,
        service: &str,
        entry: &Entry,
        wanted: impl Fn(&PortName) -> bool,
    ) -> Answer {
        let base = format!("{service}.svc.{}", self.config.domain);
        let mut found: BTreeSet<(String, u16)> = BTreeSet::new();
        let mut additionals: BTreeSet<(String, IpAddr)> = BTreeSet::new();
        if entry.is_headless() {
            for EndpointName { host, address, ports } in &entry.endpoints {
                let target = format!("{host}.{base}");
                for port in ports.iter().filter(|p| wanted(p)) {
                    found.insert((target.clone(), port.number));
                    additionals.insert((target.clone(), *address));
                }
            }
        } else {
            found.extend(entry.ports.iter().filter(|p| wanted(p)).map(|p| (base.clone(), p.number)));
            additionals.extend(entry.cluster_ips.iter().map(|a| (base.clone(), *a)));
        }
        if found.is_empty() {
            return Answer::NoData;
        }
        let weight = (100 / found.len().min(100)) as u16;
        let srv = |(target, port): &(String, u16)| {
            record(name.clone(), RData::SRV(SRV::new(0, weight, *port, self::name(target))))
        };
        Answer::Records {
            answers: found.iter().map(srv).collect(),
            additionals: additionals.iter().map(|(n, a)| record(self::name(n), address_data(*a))).collect(),
        }
    }

    fn answer_reverse(&self, name: &Name, address: IpAddr, kind: RecordType) -> Answer {
        match self.reverse.get(&address) {
            Some(_) if kind != RecordType::PTR => Answer::NoData,
            Some(names) => Answer::Records {
                answers: names.iter().map(|n| record(name.clone(), RData::PTR(PTR(self::name(n))))).collect(),
                additionals: Vec::new(),
            },
            None if self.config.own_networks.iter().any(|n| n.contains(&address)) => Answer::NoName,
            None => Answer::Foreign,
        }
    }
}

/// The names that the addresses of a service have: of a cluster IP the service's, of an endpoint its own.
fn reverse_names<'a>(entry: &'a Entry, service: &'a str) -> impl Iterator<Item = (IpAddr, String)> + 'a {
    let cluster = entry.cluster_ips.iter().map(move |a| (*a, service.to_owned()));
    cluster.chain(entry.endpoints.iter().map(move |e| (e.address, format!("{}.{service}", e.host))))
}

fn ports(entry: &Entry) -> impl Iterator<Item = &PortName> {
    let of_endpoints = entry.endpoints.iter().filter(|_| entry.is_headless()).flat_map(|e| &e.ports);
    entry.ports.iter().chain(of_endpoints)
}

fn one(record: Record) -> Answer {
    Answer::Records { answers: vec![record], additionals: Vec::new() }
}

/// The addresses of the family asked for; the name exists, so none is `NoData`.
fn addresses(name: &Name, kind: RecordType, all: impl IntoIterator<Item = IpAddr>) -> Answer {
    let wanted = |a: &IpAddr| match kind {
        RecordType::A => a.is_ipv4(),
        RecordType::AAAA => a.is_ipv6(),
        RecordType::ANY => true,
        _ => false,
    };
    let unique: BTreeSet<IpAddr> = all.into_iter().filter(wanted).collect();
    let answers: Vec<Record> = unique.into_iter().map(|a| record(name.clone(), address_data(a))).collect();
    if answers.is_empty() { Answer::NoData } else { Answer::Records { answers, additionals: Vec::new() } }
}

fn record(name: Name, data: RData) -> Record {
    Record::from_rdata(name, TTL_SECONDS, data)
}

fn address_data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(a) => RData::A(A(a)),
        IpAddr::V6(a) => RData::AAAA(AAAA(a)),
    }
}

/// A fully qualified name. What is no name (the API checks them) becomes the root, which resolves to nothing.
fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap_or_else(|_| Name::root());
    name.set_fqdn(true);
    name
}

fn labels(name: &Name) -> Vec<String> {
    name.iter().map(|label| String::from_utf8_lossy(label).to_lowercase()).collect()
}

fn labels_of(text: &str) -> Vec<String> {
    text.split('.').filter(|l| !l.is_empty()).map(str::to_lowercase).collect()
}

/// The address in the first label of a pod's name: `10-244-1-2`, or with dashes for colons.
fn undash(label: &str) -> Option<IpAddr> {
    let v4 = label.replace('-', ".").parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    v4.or_else(|| label.replace('-', ":").parse::<Ipv6Addr>().ok().map(IpAddr::V6))
}

/// The address of a name under `in-addr.arpa` or `ip6.arpa`.
fn reverse_address(labels: &[String]) -> Option<IpAddr> {
    match labels {
        [d, c, b, a, inverse, arpa] if inverse == "in-addr" && arpa == "arpa" => {
            format!("{a}.{b}.{c}.{d}").parse().ok().map(IpAddr::V4)
        }
        [nibbles @ .., ip6, arpa] if ip6 == "ip6" && arpa == "arpa" && nibbles.len() == 32 => {
            let digits: String = nibbles.iter().rev().map(String::as_str).collect();
            u128::from_str_radix(&digits, 16).ok().map(|bits| IpAddr::V6(bits.into()))
        }
        _ => None,
    }
}
