//! The environment of a container: `$(VAR)` expansion, references, service variables. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod, ResourceFieldSelector, Secret,
    Service,
};

use crate::pod::{qos, spec};
use crate::quantity;

/// Why a container's environment can not be made: the message of `CreateContainerConfigError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    #[error("{kind} \"{name}\" not found")]
    NotFound { kind: &'static str, name: String },
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoKey { kind: &'static str, namespace: String, name: String, key: String },
    #[error("unsupported fieldPath: {0}")]
    FieldPath(String),
    #[error("unsupported container resource: {0}")]
    Resource(String),
    #[error("container {0} not found")]
    NoContainer(String),
    #[error("environment variable {0} comes from a source that this node does not support")]
    Source(String),
}

/// A ConfigMap or a Secret that something refers to; both are of the pod's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceRef {
    ConfigMap(String),
    Secret(String),
}

/// The referred objects as far as they exist.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    pub config_maps: HashMap<String, Arc<ConfigMap>>,
    pub secrets: HashMap<String, Arc<Secret>>,
}

/// What the environment is made from.
pub struct Facts<'a> {
    pub pod: &'a Pod,
    pub container: &'a Container,
    pub place: &'a Place,
    pub objects: &'a Objects,
    /// All Services of the cluster.
    pub services: &'a [Arc<Service>],
}

/// Where the pod runs.
#[derive(Clone, Debug, Default)]
pub struct Place {
    pub pod_ips: Vec<String>,
    pub host_ips: Vec<String>,
    /// What the node offers to pods.
    pub cpu_milli: i64,
    pub memory_bytes: i64,
    pub disk_bytes: i64,
}

/// What a container's environment refers to.
pub fn references(container: &Container) -> Vec<SourceRef> {
    let mut refs = Vec::new();
    for from in container.env_from.iter().flatten() {
        refs.extend(from.config_map_ref.iter().map(|r| SourceRef::ConfigMap(r.name.clone())));
        refs.extend(from.secret_ref.iter().map(|r| SourceRef::Secret(r.name.clone())));
    }
    for source in container.env.iter().flatten().filter_map(|e| e.value_from.as_ref()) {
        refs.extend(source.config_map_key_ref.iter().map(|r| SourceRef::ConfigMap(r.name.clone())));
        refs.extend(source.secret_key_ref.iter().map(|r| SourceRef::Secret(r.name.clone())));
    }
    refs
}

/// The whole environment, in the order of declaration; service variables last.
pub fn build(facts: &Facts<'_>) -> Result<Vec<(String, String)>, EnvError> {
    let services = service_variables(facts.pod, facts.services);
    let mut env = Ordered::default();
    env_from(facts, &mut env)?;
    for var in facts.container.env.iter().flatten() {
        let value = match (&var.value, &var.value_from) {
            (Some(text), _) if !text.is_empty() => {
                Some(expand(text, |name| env.get(name).or_else(|| services.get(name)).cloned()))
            }
            (_, Some(source)) => resolve(facts, var, source)?,
            _ => Some(String::new()),
        };
        if let Some(value) = value {
            env.set(var.name.clone(), value);
        }
    }
    for (name, value) in services {
        if env.get(&name).is_none() {
            env.set(name, value);
        }
    }
    Ok(env.list)
}

/// A list of variables in which a later value replaces an earlier one in place.
#[derive(Default)]
struct Ordered {
    list: Vec<(String, String)>,
    index: HashMap<String, usize>,
}

impl Ordered {
    fn get(&self, name: &str) -> Option<&String> {
        self.index.get(name).map(|i| &self.list[*i].1)
    }

    fn set(&mut self, name: String, value: String) {
        match self.index.get(&name) {
            Some(i) => self.list[*i].1 = value,
            None => {
                self.index.insert(name.clone(), self.list.len());
                self.list.push((name, value));
            }
        }
    }
}

fn env_from(facts: &Facts<'_>, env: &mut Ordered) -> Result<(), EnvError> {
    for from in facts.container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or("");
        if let Some(r) = &from.config_map_ref {
            match facts.objects.config_maps.get(&r.name) {
                Some(object) => {
                    for (k, v) in object.data.iter().flatten() {
                        env.set(format!("{prefix}{k}"), v.clone());
                    }
                }
                None if r.optional == Some(true) => {}
                None => return Err(EnvError::NotFound { kind: "configmap", name: r.name.clone() }),
            }
        }
        if let Some(r) = &from.secret_ref {
            match facts.objects.secrets.get(&r.name) {
                Some(object) => {
                    for (k, v) in object.data.iter().flatten() {
                        env.set(format!("{prefix}{k}"), String::from_utf8_lossy(&v.0).into_owned());
                    }
                }
                None if r.optional == Some(true) => {}
                None => return Err(EnvError::NotFound { kind: "secret", name: r.name.clone() }),
            }
        }
    }
    Ok(())
}

/// The value of a reference; `None` when it is optional and absent.
fn resolve(facts: &Facts<'_>, var: &EnvVar, source: &EnvVarSource) -> Result<Option<String>, EnvError> {
    if let Some(r) = &source.field_ref {
        return field(facts.pod, facts.place, r).map(Some);
    }
    if let Some(r) = &source.resource_field_ref {
        return resource(facts.pod, Some(facts.container), facts.place, r).map(Some);
    }
    let (kind, name, key, optional, value) = if let Some(r) = &source.config_map_key_ref {
        let object = facts.objects.config_maps.get(&r.name);
        let value = object.map(|o| o.data.as_ref().and_then(|d| d.get(&r.key)).cloned());
        (("configmap", "ConfigMap"), &r.name, &r.key, r.optional, value)
    } else if let Some(r) = &source.secret_key_ref {
        let object = facts.objects.secrets.get(&r.name);
        let text = |b: &k8s_openapi::ByteString| String::from_utf8_lossy(&b.0).into_owned();
        let value = object.map(|o| o.data.as_ref().and_then(|d| d.get(&r.key)).map(text));
        (("secret", "Secret"), &r.name, &r.key, r.optional, value)
    } else {
        return Err(EnvError::Source(var.name.clone()));
    };
    match value {
        Some(Some(value)) => Ok(Some(value)),
        _ if optional == Some(true) => Ok(None),
        None => Err(EnvError::NotFound { kind: kind.0, name: name.clone() }),
        Some(None) => Err(EnvError::NoKey {
            kind: kind.1,
            namespace: spec::namespace(facts.pod).to_owned(),
            name: name.clone(),
            key: key.clone(),
        }),
    }
}

/// Replaces `$(NAME)` by what `lookup` says; unknown names stay as they are, `$$` is one `$`.
pub fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|t| t.split_once(')')) {
            match lookup(name) {
                Some(value) => out.push_str(&value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// The value of a field of the pod, for an environment variable or a file.
pub fn field(pod: &Pod, place: &Place, selector: &ObjectFieldSelector) -> Result<String, EnvError> {
    let path = selector.field_path.as_str();
    let meta = &pod.metadata;
    if let Some((map, key)) = path.strip_suffix("']").and_then(|p| p.split_once("['")) {
        let values = match map {
            "metadata.labels" => &meta.labels,
            "metadata.annotations" => &meta.annotations,
            _ => return Err(EnvError::FieldPath(path.to_owned())),
        };
        return Ok(values.as_ref().and_then(|m| m.get(key)).cloned().unwrap_or_default());
    }
    Ok(match path {
        "metadata.name" => spec::name(pod).to_owned(),
        "metadata.namespace" => spec::namespace(pod).to_owned(),
        "metadata.uid" => spec::uid(pod).to_owned(),
        "metadata.labels" => lines(meta.labels.as_ref()),
        "metadata.annotations" => lines(meta.annotations.as_ref()),
        "spec.nodeName" => spec::spec(pod).node_name.clone().unwrap_or_default(),
        "spec.serviceAccountName" => spec::spec(pod).service_account_name.clone().unwrap_or_default(),
        "status.hostIP" => place.host_ips.first().cloned().unwrap_or_default(),
        "status.hostIPs" => place.host_ips.join(","),
        "status.podIP" => place.pod_ips.first().cloned().unwrap_or_default(),
        "status.podIPs" => place.pod_ips.join(","),
        _ => return Err(EnvError::FieldPath(path.to_owned())),
    })
}

/// `key="value"` lines, as files of the downward API show labels and annotations; values as Go quotes them.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<String> = map.into_iter().flatten().map(|(k, v)| format!("{k}={}", go_quote(v))).collect();
    lines.join("\n")
}

fn go_quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The value of a request or limit of a container (`own` when none is named). A limit that is not set is what the node
/// offers.
pub fn resource(
    pod: &Pod,
    own: Option<&Container>,
    place: &Place,
    selector: &ResourceFieldSelector,
) -> Result<String, EnvError> {
    let all = || {
        let s = spec::spec(pod);
        s.containers.iter().chain(s.init_containers.iter().flatten())
    };
    let named = selector.container_name.as_deref().unwrap_or("");
    let container = match own {
        Some(own) if named.is_empty() || named == own.name => own,
        _ => all().find(|c| c.name == named).ok_or_else(|| EnvError::NoContainer(named.to_owned()))?,
    };
    let unsupported = || EnvError::Resource(selector.resource.clone());
    let (list, name) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    let default_milli = match name {
        "cpu" => place.cpu_milli,
        "memory" => place.memory_bytes.saturating_mul(1000),
        "ephemeral-storage" => place.disk_bytes.saturating_mul(1000),
        _ if name.starts_with("hugepages-") => 0,
        _ => return Err(unsupported()),
    };
    let milli = match list {
        "limits" => qos::limit_milli(container, name).unwrap_or(default_milli),
        "requests" => {
            let requests = container.resources.as_ref().and_then(|r| r.requests.as_ref());
            requests.and_then(|r| r.get(name)).map_or(0, quantity::milli)
        }
        _ => return Err(unsupported()),
    };
    let divisor = selector.divisor.as_ref().map(quantity::milli).filter(|d| *d > 0).unwrap_or(1000);
    Ok((milli / divisor + i64::from(milli % divisor > 0)).to_string())
}

/// The variables that tell a pod of the Services of its namespace, and always of the API's own.
pub fn service_variables(pod: &Pod, services: &[Arc<Service>]) -> BTreeMap<String, String> {
    let links = spec::spec(pod).enable_service_links != Some(false);
    let mut vars = BTreeMap::new();
    for service in services {
        let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let is_api = namespace == "default" && name == "kubernetes";
        let own = namespace == spec::namespace(pod);
        if is_api && !(own && links) {
            // A Service of the same name in the pod's own namespace wins.
            let shadowed = links
                && services.iter().any(|s| {
                    s.metadata.namespace.as_deref() == Some(spec::namespace(pod))
                        && s.metadata.name.as_deref() == Some("kubernetes")
                });
            if !shadowed {
                variables_of(service, &mut vars);
            }
        } else if own && links {
            variables_of(service, &mut vars);
        }
    }
    vars
}

fn variables_of(service: &Service, vars: &mut BTreeMap<String, String>) {
    let Some(spec) = &service.spec else { return };
    let ip = spec.cluster_ip.as_deref().unwrap_or("");
    let ports = spec.ports.as_deref().unwrap_or_default();
    if ip.is_empty() || ip == "None" || ports.is_empty() {
        return;
    }
    let upper = |s: &str| s.to_uppercase().replace('-', "_");
    let prefix = upper(service.metadata.name.as_deref().unwrap_or_default());
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    vars.insert(format!("{prefix}_SERVICE_HOST"), ip.to_owned());
    vars.insert(format!("{prefix}_SERVICE_PORT"), ports[0].port.to_string());
    for (i, p) in ports.iter().enumerate() {
        if let Some(name) = p.name.as_deref().filter(|n| !n.is_empty()) {
            vars.insert(format!("{prefix}_SERVICE_PORT_{}", upper(name)), p.port.to_string());
        }
        let protocol = p.protocol.as_deref().unwrap_or("TCP");
        let url = format!("{}://{host}:{}", protocol.to_lowercase(), p.port);
        if i == 0 {
            vars.insert(format!("{prefix}_PORT"), url.clone());
        }
        let link = format!("{prefix}_PORT_{}_{}", p.port, protocol.to_uppercase());
        vars.insert(link.clone(), url);
        vars.insert(format!("{link}_PROTO"), protocol.to_lowercase());
        vars.insert(format!("{link}_PORT"), p.port.to_string());
        vars.insert(format!("{link}_ADDR"), ip.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn place() -> Place {
        Place {
            pod_ips: vec!["10.244.0.5".into()],
            host_ips: vec!["192.0.2.1".into()],
            cpu_milli: 2000,
            memory_bytes: 4 << 30,
            disk_bytes: 0,
        }
    }

    fn env_of(container: Value, objects: &Objects) -> Result<Vec<(String, String)>, EnvError> {
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u",
            "labels": {"app": "x"}}, "spec": {"nodeName": "n1", "containers": [container]}}))
            .unwrap();
        let container = pod.spec.clone().unwrap().containers.remove(0);
        let facts = Facts { pod: &pod, container: &container, place: &place(), objects, services: &[] };
        build(&facts)
    }

    #[test]
    fn references_are_expanded_as_kubernetes_does() {
        let lookup = |n: &str| (n == "A").then(|| "1".to_owned());
        let cases = [
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$(B)", "$(B)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$A", "$A"),
            ("$(A", "$(A"),
            ("a$", "a$"),
            ("$()", "$()"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, lookup), expected, "{text}");
        }
    }

    #[test]
    fn every_source_is_resolved() {
        let config = serde_json::from_value(json!({"data": {"k": "v", "K2": "w"}})).unwrap();
        let secret = serde_json::from_value(json!({"data": {"s": "c2VjcmV0"}})).unwrap();
        let objects = Objects {
            config_maps: HashMap::from([("c".to_owned(), Arc::new(config))]),
            secrets: HashMap::from([("s".to_owned(), Arc::new(secret))]),
        };
        let env = env_of(
            json!({"name": "a", "resources": {"limits": {"cpu": "250m"}, "requests": {"memory": "10Mi"}},
            "envFrom": [{"prefix": "P_", "configMapRef": {"name": "c"}}, {"configMapRef": {"name": "no", "optional": true}}],
            "env": [
                {"name": "FIRST", "value": "1"},
                {"name": "SECOND", "value": "$(FIRST)-$(P_k)"},
                {"name": "CM", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
                {"name": "SEC", "valueFrom": {"secretKeyRef": {"name": "s", "key": "s"}}},
                {"name": "OPT", "valueFrom": {"secretKeyRef": {"name": "s", "key": "x", "optional": true}}},
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                {"name": "CPUM", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
                {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Gi"}}},
                {"name": "REQ", "valueFrom": {"resourceFieldRef": {"resource": "requests.memory", "divisor": "1Mi"}}}]}),
            &objects,
        )
        .unwrap();
        let text: Vec<String> = env.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            text.join(" "),
            "P_K2=w P_k=v FIRST=1 SECOND=1-v CM=v SEC=secret POD=p LABEL=x IP=10.244.0.5 CPU=1 CPUM=250 MEM=4 REQ=10"
        );
    }

    #[test]
    fn absent_sources_are_named() {
        let objects = Objects {
            config_maps: HashMap::from([("c".to_owned(), Arc::new(ConfigMap::default()))]),
            ..Objects::default()
        };
        let env = |source: Value| {
            env_of(json!({"name": "a", "env": [{"name": "X", "valueFrom": source}]}), &objects)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(env(json!({"configMapKeyRef": {"name": "no", "key": "k"}})), "configmap \"no\" not found");
        assert_eq!(
            env(json!({"configMapKeyRef": {"name": "c", "key": "k"}})),
            "couldn't find key k in ConfigMap ns/c"
        );
        assert_eq!(env(json!({"secretKeyRef": {"name": "no", "key": "k"}})), "secret \"no\" not found");
        assert_eq!(env(json!({"fieldRef": {"fieldPath": "spec.x"}})), "unsupported fieldPath: spec.x");
    }

    #[test]
    fn services_are_told() {
        let service = |ns: &str, name: &str, ip: &str| -> Arc<Service> {
            Arc::new(
                serde_json::from_value(json!({"metadata": {"namespace": ns, "name": name}, "spec": {"clusterIP": ip,
                    "ports": [{"name": "web-x", "port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}}))
                .unwrap(),
            )
        };
        let services = [
            service("default", "kubernetes", "10.96.0.1"),
            service("ns", "my-db", "10.96.0.2"),
            service("x", "y", "1.1.1.1"),
        ];
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"namespace": "ns"}, "spec": {"containers": []}}))
                .unwrap();
        let vars = service_variables(&pod, &services);
        assert_eq!(vars["MY_DB_SERVICE_HOST"], "10.96.0.2");
        assert_eq!(vars["MY_DB_SERVICE_PORT_WEB_X"], "80");
        assert_eq!(vars["MY_DB_PORT"], "tcp://10.96.0.2:80");
        assert_eq!(vars["MY_DB_PORT_53_UDP_PROTO"], "udp");
        assert_eq!(vars["KUBERNETES_SERVICE_HOST"], "10.96.0.1");
        assert!(!vars.contains_key("Y_SERVICE_HOST"));
        let mut alone = pod;
        alone.spec.as_mut().unwrap().enable_service_links = Some(false);
        let vars = service_variables(&alone, &services);
        assert!(vars.contains_key("KUBERNETES_SERVICE_HOST") && !vars.contains_key("MY_DB_SERVICE_HOST"));
    }
}
