//! The small files that every pod gets: `/etc/hosts`, `/etc/resolv.conf`, the host name. Pure.

use k8s_openapi::api::core::v1::{HostAlias, Pod};
use network::DnsSettings;

use crate::pod::spec;

/// Longest host name of Linux.
const MAX_HOSTNAME: usize = 63;
/// At most this many nameservers and search domains are written; the API allows no more.
const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;

/// The pod's host name: `spec.hostname`, or its name.
pub fn hostname(pod: &Pod, node_hostname: &str) -> String {
    let s = spec::spec(pod);
    if let Some(name) = s.hostname_override.as_deref().filter(|n| !n.is_empty()) {
        return name.to_owned();
    }
    if s.host_network == Some(true) {
        return node_hostname.to_owned();
    }
    let name = s.hostname.as_deref().filter(|n| !n.is_empty()).unwrap_or_else(|| spec::name(pod));
    let cut: String = name.chars().take(MAX_HOSTNAME).collect();
    let base = cut.trim_end_matches(['-', '.']).to_owned();
    match fqdn_domain(pod, "cluster.local") {
        Some(domain) if s.set_hostname_as_fqdn == Some(true) => format!("{base}.{domain}"),
        _ => base,
    }
}

/// `SUBDOMAIN.NAMESPACE.svc.DOMAIN` when the pod has a subdomain.
fn fqdn_domain(pod: &Pod, cluster_domain: &str) -> Option<String> {
    let sub = spec::spec(pod).subdomain.as_deref().filter(|s| !s.is_empty())?;
    Some(format!("{sub}.{}.svc.{cluster_domain}", spec::namespace(pod)))
}

/// `/etc/hosts` of a pod. In the host network it is the node's file with the pod's aliases added.
pub fn hosts(pod: &Pod, ips: &[String], hostname: &str, cluster_domain: &str, node_hosts: &str) -> String {
    let s = spec::spec(pod);
    let mut text = if s.host_network == Some(true) {
        format!("# Kubernetes-managed hosts file (host network).\n{node_hosts}")
    } else {
        let mut text = String::from("# Kubernetes-managed hosts file.\n");
        text.push_str("127.0.0.1\tlocalhost\n");
        text.push_str("::1\tlocalhost ip6-localhost ip6-loopback\n");
        text.push_str("fe00::\tip6-localnet\nfe00::\tip6-mcastprefix\n");
        text.push_str("fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n");
        for ip in ips {
            match fqdn_domain(pod, cluster_domain) {
                Some(domain) => text.push_str(&format!("{ip}\t{hostname}.{domain}\t{hostname}\n")),
                None => text.push_str(&format!("{ip}\t{hostname}\n")),
            }
        }
        text
    };
    text.push_str(&aliases(s.host_aliases.as_deref().unwrap_or_default()));
    text
}

fn aliases(list: &[HostAlias]) -> String {
    if list.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n# Entries added by HostAliases.\n");
    for alias in list {
        let names = alias.hostnames.as_deref().unwrap_or_default();
        text.push_str(&format!("{}\t{}\n", alias.ip, names.join("\t")));
    }
    text
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Resolver {
    servers: Vec<String>,
    searches: Vec<String>,
    options: Vec<String>,
}

/// `/etc/resolv.conf` of a pod; `node_conf` is the node's own.
pub fn resolv_conf(pod: &Pod, cluster: &DnsSettings, node_conf: &str) -> String {
    let s = spec::spec(pod);
    let node = parse(node_conf);
    let in_host = s.host_network == Some(true);
    let mut r = match s.dns_policy.as_deref().unwrap_or("ClusterFirst") {
        "None" => Resolver::default(),
        "Default" => node,
        "ClusterFirst" if in_host => node,
        _ => {
            let mut searches = cluster.search(spec::namespace(pod));
            searches.extend(node.searches);
            Resolver { servers: vec![cluster.server.to_string()], searches, options: vec!["ndots:5".into()] }
        }
    };
    if let Some(config) = &s.dns_config {
        r.servers.extend(config.nameservers.iter().flatten().cloned());
        r.searches.extend(config.searches.iter().flatten().cloned());
        for option in config.options.iter().flatten() {
            let name = option.name.clone().unwrap_or_default();
            r.options.retain(|o| o.split(':').next() != Some(&name));
            r.options.push(match &option.value {
                Some(value) => format!("{name}:{value}"),
                None => name,
            });
        }
    }
    write(r)
}

fn parse(text: &str) -> Resolver {
    let mut r = Resolver::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => r.servers.extend(words.next().map(str::to_owned)),
            Some("search") => r.searches = words.map(str::to_owned).collect(),
            Some("options") => r.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    r
}

fn write(mut r: Resolver) -> String {
    let mut seen = std::collections::HashSet::new();
    r.servers.retain(|s| seen.insert(s.clone()));
    r.searches.retain(|s| seen.insert(s.clone()));
    r.servers.truncate(MAX_NAMESERVERS);
    r.searches.truncate(MAX_SEARCHES);
    let mut text = String::new();
    if !r.searches.is_empty() {
        text.push_str(&format!("search {}\n", r.searches.join(" ")));
    }
    for server in &r.servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !r.options.is_empty() {
        text.push_str(&format!("options {}\n", r.options.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(mut spec: Value) -> Pod {
        spec["containers"] = json!([]);
        serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": spec})).unwrap()
    }

    #[test]
    fn resolvers_by_policy() {
        let cluster = DnsSettings { server: "10.96.0.10".parse().unwrap(), domain: "cluster.local".into() };
        let node = "nameserver 192.0.2.53\nsearch example.org\noptions timeout:1\n";
        let first = "search ns.svc.cluster.local svc.cluster.local cluster.local example.org\n\
            nameserver 10.96.0.10\noptions ndots:5\n";
        let default = "search example.org\nnameserver 192.0.2.53\noptions timeout:1\n";
        let cases = [
            (json!({}), first),
            (json!({"dnsPolicy": "ClusterFirst"}), first),
            (json!({"dnsPolicy": "ClusterFirst", "hostNetwork": true}), default),
            (json!({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true}), first),
            (json!({"dnsPolicy": "Default"}), default),
            (
                json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"], "searches": ["a.b"],
                    "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]}}),
                "search a.b\nnameserver 1.1.1.1\noptions ndots:2 edns0\n",
            ),
        ];
        for (spec, expected) in cases {
            assert_eq!(resolv_conf(&pod(spec.clone()), &cluster, node), expected, "{spec}");
        }
    }

    #[test]
    fn hosts_name_the_pod_and_its_aliases() {
        let p = pod(json!({"hostname": "h", "subdomain": "s", "hostAliases": [
            {"ip": "1.2.3.4", "hostnames": ["a", "b"]}]}));
        let text = hosts(&p, &["10.244.0.5".into()], &hostname(&p, "n"), "cluster.local", "");
        assert!(text.contains("10.244.0.5\th.s.ns.svc.cluster.local\th\n"), "{text}");
        assert!(text.ends_with("# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"), "{text}");
        let host = pod(json!({"hostNetwork": true}));
        assert_eq!(hostname(&host, "node-1"), "node-1");
        assert!(hosts(&host, &[], "n", "cluster.local", "9.9.9.9 x\n").contains("9.9.9.9 x"));
    }
}
