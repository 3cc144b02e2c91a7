//! The objects of a new cluster, but for the roles.

use serde_json::{Value, json};

use crate::config::Config;

/// (plural, object).
type Batch = Vec<(&'static str, Value)>;

pub(super) fn namespaces() -> Batch {
    let namespace = |name: &str| {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        ("namespaces", object)
    };
    ["default", "kube-system", "kube-public", "kube-node-lease"].map(namespace).to_vec()
}

pub(super) fn cluster(cfg: &Config) -> Batch {
    let mut batch = priority_classes();
    batch.push((
        "servicecidrs",
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
            "metadata": {"name": "kubernetes"},
            "spec": {"cidrs": [cfg.service_cidr.to_string()]},
        }),
    ));
    batch.push((
        "configmaps",
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
            "data": {"client-ca-file": cfg.pki.ca_pem()},
        }),
    ));
    batch.push(("services", kubernetes_service(cfg)));
    batch.push(("services", dns_service(cfg)));
    batch
}

fn priority_classes() -> Batch {
    let class = |name: &str, value: i64, what: &str| {
        let object = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
            "value": value, "preemptionPolicy": "PreemptLowerPriority",
            "description": format!("For system pods that {what}."),
        });
        ("priorityclasses", object)
    };
    vec![
        class("system-cluster-critical", 2_000_000_000, "the cluster needs, on any node"),
        class("system-node-critical", 2_000_001_000, "their node can not do without"),
    ]
}

fn kubernetes_service(cfg: &Config) -> Value {
    let first = cfg.service_cidr.hosts().next().map(|a| a.to_string());
    let port = cfg.advertise.rsplit_once(':').and_then(|(_, p)| p.parse::<u16>().ok()).unwrap_or(6443);
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": first,
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": port}],
            "sessionAffinity": "None",
        },
    })
}

fn dns_service(cfg: &Config) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kube-dns", "namespace": "kube-system",
            "labels": {
                "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": cfg.dns_ip.to_string(),
            "ports": [
                {"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 53},
                {"name": "dns-tcp", "protocol": "TCP", "port": 53, "targetPort": 53},
            ],
        },
    })
}
