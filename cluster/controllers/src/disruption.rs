//! How many pods of a PodDisruptionBudget may be disturbed now.

use crate::{
    Acting,
    drive::{Controller, drive, on, on_self},
    objects::{api_in, controller_of, labels, namespace, put_status, remaining, resolve, selector, time},
    pods::{is_deleting, is_ready, is_terminal},
};
use async_trait::async_trait;
use client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::Pod,
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus},
    },
    apimachinery::pkg::{apis::meta::v1::Condition, util::intstr::IntOrString},
};
use kube::{Api, core::SelectorExt};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// An eviction that was granted counts until the pod goes, but no longer than this.
const GRANTED_LIMIT: Duration = Duration::from_secs(120);

pub(crate) async fn run(acting: Acting) {
    let budgets = acting.caches.budgets.clone();
    let pods = on(&acting.caches.pods, move |change| {
        let budgets = budgets.list_in(&change.key.namespace);
        let selects = |budget: &PodDisruptionBudget| {
            let selector = selector(budget.spec.as_ref()?.selector.as_ref()?)?;
            change.both().any(|pod| selector.matches(labels(&pod.metadata))).then(|| ObjectKey::of(budget))
        };
        budgets.iter().filter_map(|budget| selects(budget)).collect::<Vec<_>>()
    });
    let sources = vec![on_self(&acting.caches.budgets), pods];
    drive(acting.clone(), Runner { acting }, sources).await;
}

struct Runner {
    acting: Acting,
}

#[async_trait]
impl Controller for Runner {
    fn name(&self) -> &'static str {
        "disruption"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let caches = &self.acting.caches;
        let Some(budget) = caches.budgets.get(&key.namespace, &key.name) else { return Ok(None) };
        let pods = caches.pods.list_in(&key.namespace);
        let size_of = |pod: &Pod| self.size_of_owner(pod);
        let now = Timestamp::now();
        if let Some(status) = plan(&budget, &pods, &size_of, now) {
            let api: Api<PodDisruptionBudget> = api_in(&self.acting.client, &key.namespace);
            let written = PodDisruptionBudget { status: Some(status), ..(*budget).clone() };
            put_status(&api, &caches.budgets, &written).await?;
        }
        let granted = budget.status.as_ref().and_then(|status| status.disrupted_pods.as_ref());
        Ok(granted
            .and_then(|granted| granted.values().filter_map(|at| remaining(at.0, GRANTED_LIMIT, now)).min()))
    }
}

impl Runner {
    /// The identity and the size of what manages the pod.
    fn size_of_owner(&self, pod: &Pod) -> Option<(String, i32)> {
        let caches = &self.acting.caches;
        let (space, owner) = (namespace(&pod.metadata), controller_of(&pod.metadata)?);
        match owner.kind.as_str() {
            "ReplicaSet" => {
                let set = caches.replica_sets.get(space, &owner.name)?;
                if let Some(above) = controller_of(&set.metadata).filter(|o| o.kind == "Deployment") {
                    let deployment = caches.deployments.get(space, &above.name)?;
                    return Some((above.uid.clone(), deployment.spec.as_ref()?.replicas.unwrap_or(1)));
                }
                Some((owner.uid.clone(), set.spec.as_ref()?.replicas.unwrap_or(1)))
            }
            "StatefulSet" => {
                let set = caches.stateful_sets.get(space, &owner.name)?;
                Some((owner.uid.clone(), set.spec.as_ref()?.replicas.unwrap_or(1)))
            }
            "ReplicationController" => {
                let rc = caches.replication_controllers.get(space, &owner.name)?;
                Some((owner.uid.clone(), rc.spec.as_ref()?.replicas.unwrap_or(1)))
            }
            _ => None,
        }
    }
}

/// The status to write; `None` when it is right.
fn plan(
    budget: &PodDisruptionBudget,
    pods: &[Arc<Pod>],
    size_of: &dyn Fn(&Pod) -> Option<(String, i32)>,
    now: Timestamp,
) -> Option<PodDisruptionBudgetStatus> {
    let spec = budget.spec.clone().unwrap_or_default();
    let selector = spec.selector.as_ref().and_then(selector);
    let selected: Vec<&Arc<Pod>> = match &selector {
        Some(selector) => {
            pods.iter().filter(|pod| selector.matches(labels(&pod.metadata)) && !is_terminal(pod)).collect()
        }
        None => Vec::new(),
    };
    let managed = || {
        let sizes: BTreeSet<(String, i32)> = selected.iter().filter_map(|pod| size_of(pod)).collect();
        sizes.into_iter().map(|(_, size)| size).sum::<i32>()
    };
    let (expected, desired) = match (&spec.max_unavailable, &spec.min_available) {
        (Some(limit), _) => {
            let expected = managed();
            (expected, (expected - resolve(limit, expected, true)).max(0))
        }
        (None, Some(IntOrString::Int(least))) => (selected.len() as i32, *least),
        (None, Some(percent)) => {
            let expected = managed();
            (expected, resolve(percent, expected, true))
        }
        (None, None) => (selected.len() as i32, 1),
    };
    let old = budget.status.clone().unwrap_or_default();
    let still = |name: &String, at: &Timestamp| {
        let pod = selected.iter().find(|pod| pod.metadata.name.as_ref() == Some(name));
        pod.is_some_and(|pod| !is_deleting(pod)) && remaining(*at, GRANTED_LIMIT, now).is_some()
    };
    let disrupted: BTreeMap<_, _> = old
        .disrupted_pods
        .clone()
        .unwrap_or_default()
        .into_iter()
        .filter(|(name, at)| still(name, &at.0))
        .collect();
    let granted = |pod: &Pod| pod.metadata.name.as_ref().is_some_and(|name| disrupted.contains_key(name));
    let healthy =
        selected.iter().filter(|pod| is_ready(pod) && !is_deleting(pod) && !granted(pod)).count() as i32;
    let allowed = if expected <= 0 { 0 } else { (healthy - desired).max(0) };
    let mut status = PodDisruptionBudgetStatus {
        current_healthy: Some(healthy),
        desired_healthy: Some(desired),
        expected_pods: Some(expected),
        disruptions_allowed: Some(allowed),
        disrupted_pods: Some(disrupted).filter(|d| !d.is_empty()),
        observed_generation: budget.metadata.generation,
        conditions: old.conditions.clone(),
    };
    judge(&mut status, budget.metadata.generation, now);
    (budget.status.as_ref() != Some(&status)).then_some(status)
}

fn judge(status: &mut PodDisruptionBudgetStatus, generation: Option<i64>, now: Timestamp) {
    let (value, reason) = if status.disruptions_allowed > Some(0) {
        ("True", "SufficientPods")
    } else {
        ("False", "InsufficientPods")
    };
    let conditions = status.conditions.get_or_insert_default();
    let old = conditions.iter().position(|c| c.type_ == "DisruptionAllowed").map(|at| conditions.remove(at));
    let since = old.filter(|c| c.status == value).map(|c| c.last_transition_time);
    conditions.push(Condition {
        type_: "DisruptionAllowed".into(),
        status: value.into(),
        reason: reason.into(),
        message: String::new(),
        observed_generation: generation,
        last_transition_time: since.or_else(|| time(now)).expect("now is a time"),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, object, pod};
    use serde_json::{Value, json};

    fn decide(spec: Value, ready: usize, not_ready: usize) -> [i32; 4] {
        let mut spec = spec;
        spec["selector"] = json!({ "matchLabels": { "app": "web" } });
        let budget: PodDisruptionBudget =
            object(json!({ "metadata": { "name": "b", "namespace": "ns" }, "spec": spec }));
        let mut pods: Vec<_> = (0..ready).map(|n| pod(&format!("r{n}"), json!({ "ready": true }))).collect();
        pods.extend((0..not_ready).map(|n| pod(&format!("n{n}"), json!({}))));
        let status = plan(&budget, &pods, &|_| Some(("owner".into(), 5)), at(0)).unwrap();
        let counts = [
            status.expected_pods,
            status.desired_healthy,
            status.current_healthy,
            status.disruptions_allowed,
        ];
        counts.map(|count| count.expect("every count is told"))
    }

    #[test]
    fn how_many_may_be_disturbed() {
        assert_eq!(decide(json!({ "minAvailable": 2 }), 3, 1), [4, 2, 3, 1]);
        assert_eq!(decide(json!({ "minAvailable": "50%" }), 4, 1), [5, 3, 4, 1]);
        assert_eq!(decide(json!({ "maxUnavailable": 1 }), 5, 0), [5, 4, 5, 1]);
        assert_eq!(decide(json!({ "maxUnavailable": 1 }), 4, 1), [5, 4, 4, 0]);
        assert_eq!(decide(json!({ "maxUnavailable": 0 }), 5, 0), [5, 5, 5, 0]);
    }
}
