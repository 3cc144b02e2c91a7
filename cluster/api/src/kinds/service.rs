//! Service.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::field::FieldError;
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use crate::meta::NameRule;
use crate::selector;
use crate::table::{age_cell, name_cell, or_none, text_cell};
use crate::value::{
    copy, get, has, int, items, items_mut, remove, same, set, set_default, set_text, text, texts,
};

pub const SERVICE: Builtin = Builtin::new("", "v1", "Service", "services", "0/CO1lhkEBI=")
    .namespaced()
    .short(&["svc"])
    .categories(&["all"])
    .subresources(&[
        ("proxy", "ServiceProxyOptions", &["create", "delete", "get", "patch", "update"]),
        ("status", "Service", GET_PATCH_UPDATE),
    ])
    .columns(SERVICE_COLUMNS)
    .names(NameRule::Label)
    .selectable(&[("spec.clusterIP", ""), ("spec.type", "")])
    .create_on_update()
    .strategy(&Service);

const SERVICE_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Type", "string", "", 0),
    ("Cluster-IP", "string", "", 0),
    ("External-IP", "string", "", 0),
    ("Port(s)", "string", "", 0),
    ("Age", "string", "", 0),
    ("Selector", "string", "", 1),
];

mod validate;

/// Seconds that a client stays with its endpoint under `ClientIP` affinity.
const AFFINITY_SECONDS: i64 = 10_800;

struct Service;

impl Strategy for Service {
    fn default(&self, _r: &Resource, object: &mut Value) {
        set_text(object, "spec.sessionAffinity", "None");
        match text(object, "spec.sessionAffinity") {
            "None" => {
                remove(object, "spec.sessionAffinityConfig");
            }
            "ClientIP" => {
                let path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
                set_default(object, path, AFFINITY_SECONDS);
            }
            _ => {}
        }
        set_text(object, "spec.type", "ClusterIP");
        for port in items_mut(object, "spec.ports") {
            set_text(port, "protocol", "TCP");
            let target = get(port, "targetPort");
            if target.is_null() || target == 0 || target == "" {
                let number = get(port, "port").clone();
                set(port, "targetPort", number);
            }
        }
        if is_external(object) {
            set_text(object, "spec.externalTrafficPolicy", "Cluster");
        }
        if needs_cluster_ip(object) {
            set_default(object, "spec.internalTrafficPolicy", "Cluster");
        }
        if text(object, "spec.type") == "LoadBalancer" {
            set_default(object, "spec.allocateLoadBalancerNodePorts", true);
        }
    }

    fn prepare_create(&self, _r: &Resource, object: &mut Value, _ctx: &Ctx) {
        set(object, "status", json!({"loadBalancer": {}}));
        let ip = text(object, "spec.clusterIP").to_owned();
        if !ip.is_empty() && items(object, "spec.clusterIPs").is_empty() {
            set(object, "spec.clusterIPs", json!([ip]));
        }
        default_families(object);
    }

    fn prepare_update(&self, _r: &Resource, new: &mut Value, old: &Value, _ctx: &Ctx) {
        keep_cluster_ips(new, old);
        keep_allocated(new, old);
        drop_type_dependent(new, old);
        default_families(new);
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        validate::service(object)
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        validate::update(new, old)
    }

    fn warnings(&self, _r: &Resource, object: &Value, _old: Option<&Value>) -> Vec<String> {
        validate::warnings(object)
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let ip = items(object, "spec.clusterIPs").first().and_then(Value::as_str);
        vec![
            name_cell(object),
            text_cell(object, "spec.type"),
            or_none(ip.unwrap_or_default()).into(),
            external_ip(object).into(),
            or_none(&ports(object)).into(),
            age_cell(object, now),
            selector::format_map(get(object, "spec.selector")).into(),
        ]
    }
}

/// True when the service has cluster addresses (`None` counts).
pub fn needs_cluster_ip(object: &Value) -> bool {
    matches!(text(object, "spec.type"), "ClusterIP" | "NodePort" | "LoadBalancer")
}

/// True when each port of the service is a port of every node.
pub fn needs_node_port(object: &Value) -> bool {
    match text(object, "spec.type") {
        "NodePort" => true,
        "LoadBalancer" => get(object, "spec.allocateLoadBalancerNodePorts") != &Value::Bool(false),
        _ => false,
    }
}

/// True when load balancers need a port of the node to ask for its health.
pub fn needs_health_check_port(object: &Value) -> bool {
    text(object, "spec.type") == "LoadBalancer" && text(object, "spec.externalTrafficPolicy") == "Local"
}

fn is_external(object: &Value) -> bool {
    let kind = text(object, "spec.type");
    matches!(kind, "LoadBalancer" | "NodePort")
        || (kind == "ClusterIP" && !items(object, "spec.externalIPs").is_empty())
}

/// True when `clusterIP` is `None`: the service is its endpoints.
pub fn is_headless(object: &Value) -> bool {
    texts(object, "spec.clusterIPs").next() == Some("None") || text(object, "spec.clusterIP") == "None"
}

/// Fills in address families: one, of the first address or IPv4. A headless service without
/// a selector may hold endpoints of both.
fn default_families(object: &mut Value) {
    if !needs_cluster_ip(object) {
        return;
    }
    let both = is_headless(object) && !has(object, "spec.selector");
    set_default(object, "spec.ipFamilyPolicy", if both { "RequireDualStack" } else { "SingleStack" });
    let first = texts(object, "spec.clusterIPs").next().unwrap_or_default();
    let (own, other) = match first.contains(':') {
        true => ("IPv6", "IPv4"),
        false => ("IPv4", "IPv6"),
    };
    if items(object, "spec.ipFamilies").is_empty() {
        let single = !both || text(object, "spec.ipFamilyPolicy") == "SingleStack";
        let families = if single { json!([own]) } else { json!([own, other]) };
        set(object, "spec.ipFamilies", families);
    }
}

/// `clusterIP` and `clusterIPs` say the same; an old client writes only the first.
fn keep_cluster_ips(new: &mut Value, old: &Value) {
    let (before, now) = (text(old, "spec.clusterIP"), text(new, "spec.clusterIP").to_owned());
    let same_list = same(get(new, "spec.clusterIPs"), get(old, "spec.clusterIPs"));
    if items(new, "spec.clusterIPs").is_empty() && before == now {
        copy(old, new, "spec.clusterIPs");
    }
    if before == now || !same_list {
        return;
    }
    match now.is_empty() {
        true => {
            remove(new, "spec.clusterIPs");
        }
        false => set(new, "spec.clusterIPs", json!([now])),
    }
}

/// Addresses and node ports that were given to the service stay with it.
fn keep_allocated(new: &mut Value, old: &Value) {
    if needs_cluster_ip(old) && needs_cluster_ip(new) {
        if text(new, "spec.clusterIP").is_empty() {
            copy(old, new, "spec.clusterIP");
        }
        if items(new, "spec.clusterIPs").is_empty() {
            copy(old, new, "spec.clusterIPs");
        }
    }
    if needs_node_port(old) && needs_node_port(new) {
        let used: Vec<i64> = items(new, "spec.ports").iter().filter_map(|p| int(p, "nodePort")).collect();
        let before = items(old, "spec.ports");
        for port in items_mut(new, "spec.ports") {
            if int(port, "nodePort").unwrap_or_default() != 0 {
                continue;
            }
            let same_name = before.iter().find(|p| text(p, "name") == text(port, "name"));
            let number = same_name.and_then(|p| int(p, "nodePort")).filter(|n| !used.contains(n));
            if let Some(number) = number {
                set(port, "nodePort", number);
            }
        }
    }
    if needs_health_check_port(old) && needs_health_check_port(new) {
        let number = get(old, "spec.healthCheckNodePort").clone();
        if !number.is_null() {
            set_default(new, "spec.healthCheckNodePort", number);
        }
    }
}

/// A change of type drops what the new type has no use for, where the client left it as it was.
fn drop_type_dependent(new: &mut Value, old: &Value) {
    let drop = |new: &mut Value, path: &str| {
        if same(get(new, path), get(old, path)) {
            remove(new, path);
        }
    };
    if needs_cluster_ip(old) && !needs_cluster_ip(new) {
        for path in [
            "spec.clusterIP",
            "spec.clusterIPs",
            "spec.ipFamilies",
            "spec.ipFamilyPolicy",
            "spec.internalTrafficPolicy",
        ] {
            drop(new, path);
        }
    }
    if needs_node_port(old) && !needs_node_port(new) {
        let before = items(old, "spec.ports").to_vec();
        for port in items_mut(new, "spec.ports") {
            let unchanged = before.iter().any(|p| int(p, "nodePort") == int(port, "nodePort"));
            if unchanged {
                remove(port, "nodePort");
            }
        }
    }
    if needs_health_check_port(old) && !needs_health_check_port(new) {
        drop(new, "spec.healthCheckNodePort");
    }
    if text(old, "spec.type") == "LoadBalancer" && text(new, "spec.type") != "LoadBalancer" {
        drop(new, "spec.allocateLoadBalancerNodePorts");
        drop(new, "spec.loadBalancerClass");
    }
    if is_external(old) && !is_external(new) {
        drop(new, "spec.externalTrafficPolicy");
    }
    if text(new, "spec.type") != "LoadBalancer" {
        set(new, "status.loadBalancer", json!({}));
    }
}

fn external_ip(object: &Value) -> String {
    let external: Vec<&str> = texts(object, "spec.externalIPs").collect();
    match text(object, "spec.type") {
        "ClusterIP" | "NodePort" => or_none(&external.join(",")),
        "LoadBalancer" => {
            let mut balancers = load_balancers(object);
            balancers.extend(external.iter().map(|ip| (*ip).to_owned()));
            match balancers.is_empty() {
                true => "<pending>".into(),
                false => balancers.join(","),
            }
        }
        "ExternalName" => text(object, "spec.externalName").to_owned(),
        _ => "<unknown>".into(),
    }
}

/// Addresses (or host names) of the load balancers of a Service or Ingress, sorted.
pub fn load_balancers(object: &Value) -> Vec<String> {
    let ingress = items(object, "status.loadBalancer.ingress").iter();
    let mut list: Vec<String> = ingress
        .map(|i| match text(i, "ip") {
            "" => text(i, "hostname").to_owned(),
            ip => ip.to_owned(),
        })
        .filter(|address| !address.is_empty())
        .collect();
    list.sort_unstable();
    list.dedup();
    list
}

fn ports(object: &Value) -> String {
    let ports = items(object, "spec.ports").iter().map(|port| {
        let number = int(port, "port").unwrap_or_default();
        let protocol = text(port, "protocol");
        match int(port, "nodePort").unwrap_or_default() {
            0 => format!("{number}/{protocol}"),
            node => format!("{number}:{node}/{protocol}"),
        }
    });
    ports.collect::<Vec<_>>().join(",")
}
