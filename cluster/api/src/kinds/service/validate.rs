//! Validation of a Service.

use serde_json::{Value, json};

use super::{is_external, is_headless, needs_health_check_port};
use crate::field::FieldError;
use crate::kinds::checks::Errors;
use crate::kinds::endpoints::endpoint_ip;
use crate::kinds::warn;
use crate::names;
use crate::value::{get, has, int, items, text, texts};

/// The agents' own port.
const AGENT_PORT: i64 = 10_250;

/// Longest `ClientIP` affinity, a day.
const MAX_AFFINITY_SECONDS: i64 = 86_400;

pub fn service(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let kind = text(object, "spec.type");
    if items(object, "spec.ports").is_empty() && !is_headless(object) && kind != "ExternalName" {
        errors.required("spec.ports", "");
    }
    of_type(object, kind, &mut errors);
    ports(object, kind, &mut errors);
    errors.labels(get(object, "spec.selector"), "spec.selector");
    affinity(object, &mut errors);
    if kind != "ExternalName" {
        cluster_ips(object, &mut errors);
    }
    for (i, ip) in texts(object, "spec.externalIPs").enumerate() {
        endpoint_ip(ip, &format!("spec.externalIPs[{i}]"), &mut errors);
    }
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    errors.one_of("spec.type", kind, &kinds);
    load_balancer(object, kind, &mut errors);
    traffic(object, kind, &mut errors);
    errors.0
}

fn of_type(object: &Value, kind: &str, errors: &mut Errors) {
    match kind {
        "LoadBalancer" | "NodePort" => {
            if kind == "LoadBalancer" {
                for (i, port) in items(object, "spec.ports").iter().enumerate() {
                    if int(port, "port") == Some(AGENT_PORT) {
                        let detail = format!(
                            "may not expose port {AGENT_PORT} externally since it is used by kubelet"
                        );
                        errors.invalid(format!("spec.ports[{i}]"), AGENT_PORT, detail);
                    }
                }
            }
            if is_headless(object) {
                let detail = format!("may not be set to 'None' for {kind} services");
                errors.invalid("spec.clusterIPs[0]", "None", detail);
            }
        }
        "ExternalName" => {
            for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                let path = format!("spec.{field}");
                if has(object, &path) {
                    errors.forbidden(path, "may not be set for ExternalName services");
                }
            }
            match text(object, "spec.externalName").trim_end_matches('.') {
                "" => errors.required("spec.externalName", ""),
                name => errors.reasons("spec.externalName", name, names::subdomain(name)),
            }
        }
        _ => {}
    }
}

fn ports(object: &Value, kind: &str, errors: &mut Errors) {
    let list = items(object, "spec.ports");
    let mut names: Vec<&str> = Vec::new();
    for (i, port) in list.iter().enumerate() {
        let path = format!("spec.ports[{i}]");
        let name = text(port, "name");
        if name.is_empty() && list.len() > 1 {
            errors.required(format!("{path}.name"), "");
        } else if !name.is_empty() {
            errors.reasons(&format!("{path}.name"), name, names::label(name));
            if names.contains(&name) {
                errors.duplicate(format!("{path}.name"), name);
            }
            names.push(name);
        }
        errors.port(&format!("{path}.port"), int(port, "port").unwrap_or_default());
        errors.one_of(&format!("{path}.protocol"), text(port, "protocol"), &["SCTP", "TCP", "UDP"]);
        errors.port_or_name(&format!("{path}.targetPort"), get(port, "targetPort"));
        let app = text(port, "appProtocol");
        if !app.is_empty() {
            errors.reasons(&format!("{path}.appProtocol"), app, names::qualified(app));
        }
        let node = int(port, "nodePort").unwrap_or_default();
        if node != 0 && matches!(kind, "ClusterIP" | "ExternalName") {
            let detail = format!("may not be used when `type` is '{kind}'");
            errors.forbidden(format!("{path}.nodePort"), detail);
        }
        let protocol = text(port, "protocol");
        let same_protocol = |p: &&Value| text(p, "protocol") == protocol;
        let mut before = list[..i].iter().filter(same_protocol);
        if node != 0 && before.clone().any(|p| int(p, "nodePort") == Some(node)) {
            errors.duplicate(format!("{path}.nodePort"), node);
        }
        let number = get(port, "port");
        if before.any(|p| get(p, "port") == number) {
            let shown = json!({"protocol": protocol, "port": number});
            errors.duplicate(path, shown);
        }
    }
}

fn affinity(object: &Value, errors: &mut Errors) {
    let affinity = text(object, "spec.sessionAffinity");
    errors.one_of("spec.sessionAffinity", affinity, &["ClientIP", "None"]);
    const CONFIG: &str = "spec.sessionAffinityConfig";
    match affinity {
        "ClientIP" => {
            let path = format!("{CONFIG}.clientIP.timeoutSeconds");
            match int(object, &path) {
                None => errors.required(path, "when session affinity type is ClientIP"),
                Some(seconds) if !(1..=MAX_AFFINITY_SECONDS).contains(&seconds) => {
                    let detail = format!("must be greater than 0 and less than {MAX_AFFINITY_SECONDS}");
                    errors.invalid(path, seconds, detail);
                }
                Some(_) => {}
            }
        }
        "None" if has(object, CONFIG) => {
            let detail = "must not be set when session affinity is None";
            errors.forbidden(CONFIG, detail);
        }
        _ => {}
    }
}

fn cluster_ips(object: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.clusterIPs";
    let list: Vec<&str> = texts(object, PATH).collect();
    let one = text(object, "spec.clusterIP");
    match (one, list.first()) {
        ("", Some(_)) => {
            let detail = "must be empty when `clusterIP` is not specified";
            errors.invalid(PATH, json!(list), detail);
        }
        ("", None) => {}
        (_, None) => errors.required(PATH, ""),
        (one, Some(first)) if one != *first => {
            errors.invalid(PATH, json!(list), "first value must match `clusterIP`");
        }
        _ => {}
    }
    let families: Vec<&str> = texts(object, "spec.ipFamilies").collect();
    for (i, family) in families.iter().enumerate() {
        let path = format!("spec.ipFamilies[{i}]");
        errors.one_of(&path, family, &["IPv4", "IPv6"]);
        if families[..i].contains(family) {
            errors.duplicate(path, *family);
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    let policy = text(object, "spec.ipFamilyPolicy");
    errors.one_of_or_empty("spec.ipFamilyPolicy", policy, &policies);
    if list.len() > 2 {
        errors.invalid(PATH, json!(list), "may only hold up to 2 values");
    }
    for (i, ip) in list.iter().enumerate() {
        if *ip == "None" && i == 0 {
            if list.len() > 1 {
                errors.invalid(PATH, json!(list), "'None' must be the first and only value");
            }
            continue;
        }
        let path = format!("{PATH}[{i}]");
        let parsed = errors.ip(&path, ip);
        if let (Some(parsed), Some(family)) = (parsed, families.get(i))
            && parsed.is_ipv6() != (*family == "IPv6")
        {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{i}]`");
            errors.invalid(path, *ip, detail);
        }
    }
}

fn load_balancer(object: &Value, kind: &str, errors: &mut Errors) {
    for (i, range) in texts(object, "spec.loadBalancerSourceRanges").enumerate() {
        errors.cidr(&format!("spec.loadBalancerSourceRanges[{i}]"), range.trim());
    }
    if kind == "LoadBalancer" {
        let class = text(object, "spec.loadBalancerClass");
        if !class.is_empty() {
            errors.reasons("spec.loadBalancerClass", class, names::qualified(class));
        }
        return;
    }
    let fields = ["loadBalancerSourceRanges", "allocateLoadBalancerNodePorts", "loadBalancerClass"];
    for path in fields.map(|field| format!("spec.{field}")) {
        if has(object, &path) {
            errors.forbidden(path, "may only be used when `type` is 'LoadBalancer'");
        }
    }
}

fn traffic(object: &Value, kind: &str, errors: &mut Errors) {
    const EXTERNAL: &str = "spec.externalTrafficPolicy";
    let policy = text(object, EXTERNAL);
    match is_external(object) {
        true => errors.one_of(EXTERNAL, policy, &["Cluster", "Local"]),
        false if !policy.is_empty() => {
            errors.invalid(EXTERNAL, policy, "may only be set for externally-accessible services");
        }
        false => {}
    }
    const HEALTH: &str = "spec.healthCheckNodePort";
    let port = int(object, HEALTH).unwrap_or_default();
    if port != 0 && !needs_health_check_port(object) {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.invalid(HEALTH, port, detail);
    }
    const INTERNAL: &str = "spec.internalTrafficPolicy";
    let policy = text(object, INTERNAL);
    match kind {
        "ExternalName" => errors.one_of_or_empty(INTERNAL, policy, &["Cluster", "Local"]),
        _ => errors.one_of(INTERNAL, policy, &["Cluster", "Local"]),
    }
    let distribution = text(object, "spec.trafficDistribution");
    let words = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    errors.one_of_or_empty("spec.trafficDistribution", distribution, &words);
}

/// Addresses that a service has stay while its type needs them.
pub fn update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    if !super::needs_cluster_ip(new) || !super::needs_cluster_ip(old) {
        return errors.0;
    }
    let (before, now) = (texts(old, "spec.clusterIPs").next(), texts(new, "spec.clusterIPs").next());
    if before.is_some() && before != now {
        let path = "spec.clusterIPs[0]";
        let detail = "may not change once set";
        errors.invalid(path, get(new, "spec.clusterIPs").clone(), detail);
    }
    let class = "spec.loadBalancerClass";
    let both = text(new, "spec.type") == "LoadBalancer" && text(old, "spec.type") == "LoadBalancer";
    if both && get(new, class) != get(old, class) {
        errors.invalid(class, get(new, class).clone(), "may not change once set");
    }
    errors.0
}

/// What a service is warned about.
pub fn warnings(object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let spec = get(object, "spec");
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    if get(object, "metadata.annotations").get(HINTS).is_some() {
        found.push(format!(
            "annotation {HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead"
        ));
    }
    let (kind, external) = (text(spec, "type"), items(spec, "externalIPs"));
    let headless = kind == "ClusterIP" && text(spec, "clusterIP") == "None";
    for (i, address) in texts(spec, "clusterIPs").enumerate() {
        warn::ip(&format!("spec.clusterIPs[{i}]"), address, &mut found);
    }
    let ignored = [
        ("loadBalancerIP", !text(spec, "loadBalancerIP").is_empty()),
        ("externalIPs", !external.is_empty()),
        ("SessionAffinity", text(spec, "sessionAffinity") != "None"),
    ];
    for (field, _) in ignored.iter().filter(|(_, given)| headless && *given) {
        found.push(format!("spec.{field} is ignored for headless services"));
    }
    for (i, address) in texts(spec, "externalIPs").enumerate() {
        warn::ip(&format!("spec.externalIPs[{i}]"), address, &mut found);
    }
    if !external.is_empty() && !headless && kind != "ExternalName" {
        found.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters".into());
    }
    warn::ip("spec.loadBalancerIP", text(spec, "loadBalancerIP"), &mut found);
    for (i, range) in texts(spec, "loadBalancerSourceRanges").enumerate() {
        warn::cidr(&format!("spec.loadBalancerSourceRanges[{i}]"), range, &mut found);
    }
    if kind == "ExternalName" && !external.is_empty() {
        found.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".into());
    }
    if kind != "ExternalName" && !text(spec, "externalName").is_empty() {
        found.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".into());
    }
    if text(spec, "trafficDistribution") == "PreferClose" {
        found.push("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".into());
    }
    found
}
