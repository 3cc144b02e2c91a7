//! ResourceQuota: what an object uses, which quotas count it, and whether there is room for it.
//!
//! The API server charges a quota in the transaction that creates the object; a controller counts
//! again what is really there, because nothing is charged back when an object goes. Both ask here,
//! so that they never disagree.

mod pod;
mod scope;

use serde_json::Value;

use crate::amounts::{Amounts, amounts, quantity, whole};
use crate::value::{get, items, text};

/// Objects of the core group that a quota counts under their plain name, without `count/`.
const PLAIN_COUNTS: [&str; 7] = [
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];

/// Which resource an object is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Of<'a> {
    pub group: &'a str,
    pub plural: &'a str,
}

impl<'a> Of<'a> {
    pub fn new(group: &'a str, plural: &'a str) -> Self {
        Self { group, plural }
    }

    fn is(self, plural: &str) -> bool {
        self.group.is_empty() && self.plural == plural
    }

    /// `count/configmaps`, `count/deployments.apps`.
    pub fn count_name(self) -> String {
        match self.group {
            "" => format!("count/{}", self.plural),
            group => format!("count/{}.{group}", self.plural),
        }
    }
}

/// Everything that an object uses, whether or not a quota limits it.
pub fn usage(of: Of<'_>, object: &Value) -> Amounts {
    let mut used = Amounts::from([(of.count_name(), whole(1))]);
    if of.is("pods") {
        used.extend(pod::usage(object));
        return used;
    }
    if of.group.is_empty() && PLAIN_COUNTS.contains(&of.plural) {
        used.insert(of.plural.to_owned(), whole(1));
    }
    if of.is("services") {
        used.extend(service(object));
    }
    if of.is("persistentvolumeclaims") {
        used.extend(claim(object));
    }
    used
}

/// The names of `hard` that objects of this resource can use.
pub fn limits<'h>(of: Of<'_>, hard: &'h Amounts) -> impl Iterator<Item = &'h str> {
    let count = of.count_name();
    hard.keys().map(String::as_str).filter(move |name| {
        *name == count
            || (of.group.is_empty() && *name == of.plural && PLAIN_COUNTS.contains(&of.plural))
            || (of.is("pods") && pod::is_compute(name))
            || (of.is("services") && name.starts_with("services."))
            || (of.is("persistentvolumeclaims") && is_storage(name))
    })
}

/// Whether the quota counts this object: it limits something of it, and its scopes select it.
pub fn counts(quota: &Value, of: Of<'_>, object: &Value) -> bool {
    limits(of, &amounts(get(quota, "spec.hard"))).next().is_some() && scope::selects(quota, of, object)
}

/// Amounts of `hard` names only, for the sum of `objects`.
pub fn total<'o>(hard: &Amounts, used: impl Iterator<Item = &'o Amounts>) -> Amounts {
    let mut sum: Amounts = hard.keys().map(|name| (name.clone(), whole(0))).collect();
    for (name, amount) in used.flatten() {
        if let Some(so_far) = sum.get_mut(name) {
            *so_far = so_far.plus(amount);
        }
    }
    sum
}

/// Why an object may not be created.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("exceeded quota: {quota}, requested: {requested}, used: {used}, limited: {limited}")]
    Exceeded { quota: String, requested: String, used: String, limited: String },
    #[error("failed quota: {quota}: must specify {missing}")]
    Unspecified { quota: String, missing: String },
    #[error("status unknown for quota: {quota}, resources: {resources}")]
    Unknown { quota: String, resources: String },
}

/// What the quota's `status.used` becomes when `object` takes the place of `old`; `None` when that
/// changes nothing.
pub fn charge(
    quota: &Value,
    of: Of<'_>,
    object: &Value,
    old: Option<&Value>,
) -> Result<Option<Amounts>, Refusal> {
    let name = || text(quota, "metadata.name").to_owned();
    let hard = amounts(get(quota, "status.hard"));
    let limited: Vec<&str> = limits(of, &hard).collect();
    if limited.is_empty() || !scope::selects(quota, of, object) {
        return Ok(None);
    }
    if old.is_none()
        && of.is("pods")
        && let Some(missing) = pod::unspecified(&limited, object)
    {
        return Err(Refusal::Unspecified { quota: name(), missing });
    }
    let before = old.filter(|old| scope::selects(quota, of, old)).map(|old| usage(of, old));
    let delta = difference(&usage(of, object), &before.unwrap_or_default(), &limited);
    if delta.is_empty() {
        return Ok(None);
    }
    let mut used = amounts(get(quota, "status.used"));
    let unknown: Vec<&str> = delta.keys().filter(|n| !used.contains_key(*n)).map(String::as_str).collect();
    if !unknown.is_empty() {
        return Err(Refusal::Unknown { quota: name(), resources: unknown.join(",") });
    }
    let after: Amounts = delta.iter().map(|(name, more)| (name.clone(), used[name].plus(more))).collect();
    let exceeds = |name: &&String| !delta[*name].is_negative() && after[*name] > hard[*name];
    let over: Vec<&String> = delta.keys().filter(exceeds).collect();
    if !over.is_empty() {
        let (requested, used) = (list(&over, &delta), list(&over, &used));
        return Err(Refusal::Exceeded { quota: name(), requested, used, limited: list(&over, &hard) });
    }
    used.extend(after);
    Ok(Some(used))
}

/// What `new` uses beyond `old`, of the limited resources; what stays the same is left out.
fn difference(new: &Amounts, old: &Amounts, limited: &[&str]) -> Amounts {
    let zero = whole(0);
    limited
        .iter()
        .map(|name| {
            let more = new.get(*name).unwrap_or(&zero).minus(old.get(*name).unwrap_or(&zero));
            ((*name).to_owned(), more)
        })
        .filter(|(_, more)| !more.is_zero())
        .collect()
}

fn list(names: &[&String], of: &Amounts) -> String {
    names.iter().map(|name| format!("{name}={}", of[*name])).collect::<Vec<_>>().join(",")
}

fn service(service: &Value) -> Amounts {
    let ports = items(service, "spec.ports");
    let chosen = ports.iter().filter(|port| port["nodePort"].as_i64().unwrap_or(0) != 0).count();
    let allocates = get(service, "spec.allocateLoadBalancerNodePorts").as_bool().unwrap_or(true);
    let (balancers, node_ports) = match text(service, "spec.type") {
        "NodePort" => (0, ports.len()),
        "LoadBalancer" if allocates => (1, ports.len()),
        "LoadBalancer" => (1, chosen),
        _ => (0, 0),
    };
    let count = |n: usize| whole(i64::try_from(n).unwrap_or(i64::MAX));
    Amounts::from([
        ("services.loadbalancers".to_owned(), whole(balancers)),
        ("services.nodeports".to_owned(), count(node_ports)),
    ])
}

const OF_CLASS: &str = ".storageclass.storage.k8s.io/";

fn is_storage(name: &str) -> bool {
    name == "requests.storage" || name.contains(OF_CLASS)
}

fn claim(claim: &Value) -> Amounts {
    let class = match text(claim, "spec.storageClassName") {
        "" => get(claim, "metadata.annotations")["volume.beta.kubernetes.io/storage-class"].as_str(),
        named => Some(named),
    };
    let mut used = Amounts::new();
    if let Some(storage) = quantity(&get(claim, "spec.resources.requests")["storage"]) {
        used.insert("requests.storage".to_owned(), storage);
        if let Some(class) = class {
            used.insert(format!("{class}{OF_CLASS}requests.storage"), storage);
        }
    }
    if let Some(class) = class {
        used.insert(format!("{class}{OF_CLASS}persistentvolumeclaims"), whole(1));
    }
    used
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PODS: Of<'_> = Of { group: "", plural: "pods" };

    fn quota(hard: Value, used: Value) -> Value {
        json!({"metadata": {"name": "q"}, "spec": {"hard": hard}, "status": {"hard": hard, "used": used}})
    }

    fn pod(resources: Value) -> Value {
        json!({"spec": {"containers": [{"name": "c", "resources": resources}]}})
    }

    fn shown(amounts: &Amounts) -> Vec<String> {
        amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect()
    }

    #[test]
    fn what_objects_use() {
        let ports = json!([{"port": 80}, {"port": 81, "nodePort": 30000}]);
        let table = [
            (Of::new("apps", "deployments"), json!({}), vec!["count/deployments.apps=1"]),
            (Of::new("", "secrets"), json!({}), vec!["count/secrets=1", "secrets=1"]),
            (
                Of::new("", "services"),
                json!({"spec": {"type": "LoadBalancer", "ports": ports}}),
                vec!["count/services=1", "services=1", "services.loadbalancers=1", "services.nodeports=2"],
            ),
            (
                Of::new("", "services"),
                json!({"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": ports}}),
                vec!["count/services=1", "services=1", "services.loadbalancers=1", "services.nodeports=1"],
            ),
            (
                Of::new("", "persistentvolumeclaims"),
                json!({"spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}}}),
                vec![
                    "count/persistentvolumeclaims=1",
                    "gold.storageclass.storage.k8s.io/persistentvolumeclaims=1",
                    "gold.storageclass.storage.k8s.io/requests.storage=1Gi",
                    "persistentvolumeclaims=1",
                    "requests.storage=1Gi",
                ],
            ),
            (
                PODS,
                pod(
                    json!({"requests": {"cpu": "1", "example.com/x": "2"}, "limits": {"cpu": "2", "example.com/x": "2"}}),
                ),
                vec![
                    "count/pods=1",
                    "cpu=1",
                    "limits.cpu=2",
                    "pods=1",
                    "requests.cpu=1",
                    "requests.example.com/x=2",
                ],
            ),
            (PODS, json!({"status": {"phase": "Failed"}}), vec!["count/pods=1"]),
        ];
        for (of, object, expected) in table {
            assert_eq!(shown(&usage(of, &object)), expected, "{object}");
        }
    }

    #[test]
    fn there_is_room_or_a_reason() {
        let limited = quota(json!({"pods": "2", "cpu": "1"}), json!({"pods": "1", "cpu": "500m"}));
        let asks = |cpu: &str| pod(json!({"requests": {"cpu": cpu}}));
        let used = charge(&limited, PODS, &asks("500m"), None).unwrap().unwrap();
        assert_eq!(shown(&used), ["cpu=1", "pods=2"]);
        for (quota, pod, expected) in [
            (
                &limited,
                asks("600m"),
                "exceeded quota: q, requested: cpu=600m, used: cpu=500m, limited: cpu=1",
            ),
            (&limited, pod(json!({})), "failed quota: q: must specify cpu for: c"),
            (
                &quota(json!({"pods": "2"}), json!({})),
                asks("1"),
                "status unknown for quota: q, resources: pods",
            ),
        ] {
            assert_eq!(charge(quota, PODS, &pod, None).unwrap_err().to_string(), expected);
        }
        let other = Of::new("", "secrets");
        assert_eq!(charge(&limited, other, &json!({}), None), Ok(None), "secrets are not limited");
        let before = asks("250m");
        let grown = charge(&limited, PODS, &asks("750m"), Some(&before)).unwrap().unwrap();
        assert_eq!(shown(&grown), ["cpu=1", "pods=1"], "only the difference counts");
    }

    #[test]
    fn scopes_select() {
        let scoped = |scope: &str| {
            let mut quota = quota(json!({"pods": "2"}), json!({"pods": "0"}));
            quota["spec"]["scopes"] = json!([scope]);
            quota
        };
        let named = |operator: &str, values: Value| {
            let mut quota = quota(json!({"pods": "2"}), json!({"pods": "0"}));
            let expression = json!({"scopeName": "PriorityClass", "operator": operator, "values": values});
            quota["spec"]["scopeSelector"] = json!({"matchExpressions": [expression]});
            quota
        };
        let idle = pod(json!({}));
        let busy = pod(json!({"limits": {"memory": "1Mi"}}));
        let short = json!({"spec": {"activeDeadlineSeconds": 5, "priorityClassName": "high"}});
        for (quota, object, expected) in [
            (scoped("BestEffort"), &idle, true),
            (scoped("BestEffort"), &busy, false),
            (scoped("NotBestEffort"), &busy, true),
            (scoped("Terminating"), &short, true),
            (scoped("Terminating"), &idle, false),
            (scoped("NotTerminating"), &idle, true),
            (named("In", json!(["high", "low"])), &short, true),
            (named("NotIn", json!(["high"])), &short, false),
            (named("Exists", json!([])), &idle, false),
            (named("DoesNotExist", json!([])), &idle, true),
        ] {
            assert_eq!(counts(&quota, PODS, object), expected, "{} {object}", quota["spec"]);
        }
        assert!(!counts(&scoped("NotTerminating"), Of::new("", "services"), &json!({})));
    }
}
