//! Which numbered pod is next.

use crate::{
    history::HASH_LABEL,
    objects::{Claim, claim, labels, name, namespace, owner_reference, resolve, selector},
    pods::{self, is_available, is_deleting, is_ready, is_terminal, next_available, phase},
};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{StatefulSet, StatefulSetStatus},
    core::v1::{PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The names of the two revisions of a rollout (equal when there is none), and the older template.
pub(crate) struct Revisions {
    pub current: String,
    pub current_template: PodTemplateSpec,
    pub update: String,
}

pub(crate) struct Snapshot<'a> {
    pub set: &'a StatefulSet,
    /// All pods of the namespace.
    pub pods: &'a [Arc<Pod>],
    pub revisions: Revisions,
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub claim: Claim<Pod>,
    /// Volumes that pods need.
    pub volumes: Vec<PersistentVolumeClaim>,
    pub create: Vec<Pod>,
    pub delete: Vec<Arc<Pod>>,
    pub status: Option<StatefulSetStatus>,
    /// Names of revisions that pods were made of.
    pub revisions_in_use: BTreeSet<String>,
    pub again_after: Option<Duration>,
}

/// Decides; `None` for a StatefulSet that is not valid.
pub(crate) fn plan(snapshot: &Snapshot, now: Timestamp) -> Option<Plan> {
    let set = snapshot.set;
    let spec = set.spec.as_ref()?;
    let selector = selector(&spec.selector).filter(|s| !s.selects_all())?;
    let mut claim = claim(&set.metadata, &selector, snapshot.pods);
    claim.mine.retain(|pod| ordinal(set, pod).is_some());
    claim.adopt.retain(|pod| ordinal(set, pod).is_some());
    let by_ordinal: BTreeMap<i32, Arc<Pod>> =
        claim.mine.iter().filter_map(|pod| Some((ordinal(set, pod)?, pod.clone()))).collect();
    let step = Step::new(snapshot, by_ordinal, now);
    let status = step.status();
    let again_after = next_available(claim.mine.iter().map(|pod| &**pod), step.min_ready, now);
    let (mut create, mut delete) = (Vec::new(), Vec::new());
    if set.metadata.deletion_timestamp.is_none() {
        step.run(&mut create, &mut delete);
    }
    let volumes = create.iter().flat_map(|ordinal| volumes(set, *ordinal)).collect();
    Some(Plan {
        volumes,
        create: create.into_iter().map(|ordinal| step.make(ordinal)).collect(),
        delete,
        status: (set.status.as_ref() != Some(&status)).then_some(status),
        revisions_in_use: in_use(&claim.mine, &snapshot.revisions),
        claim,
        again_after,
    })
}

fn in_use(pods: &[Arc<Pod>], revisions: &Revisions) -> BTreeSet<String> {
    let of_pods = pods.iter().filter_map(|pod| labels(&pod.metadata).get(HASH_LABEL).cloned());
    of_pods.chain([revisions.current.clone(), revisions.update.clone()]).collect()
}

/// The number in the pod's name.
fn ordinal(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    let rest = name(&pod.metadata).strip_prefix(name(&set.metadata))?.strip_prefix('-')?;
    rest.parse().ok().filter(|n: &i32| *n >= 0 && n.to_string() == rest)
}

fn revision_of(pod: &Pod) -> &str {
    labels(&pod.metadata).get(HASH_LABEL).map_or("", String::as_str)
}

/// Whether the pod runs and is ready, and stays.
fn is_healthy(pod: &Pod) -> bool {
    phase(pod) == "Running" && is_ready(pod) && !is_deleting(pod)
}

struct Step<'a> {
    snapshot: &'a Snapshot<'a>,
    pods: BTreeMap<i32, Arc<Pod>>,
    now: Timestamp,
    /// The first number, and the one after the last.
    first: i32,
    end: i32,
    /// Pods from this number on are to be of the new revision.
    partition: i32,
    in_order: bool,
    min_ready: i32,
}

impl<'a> Step<'a> {
    fn new(snapshot: &'a Snapshot<'a>, pods: BTreeMap<i32, Arc<Pod>>, now: Timestamp) -> Self {
        let spec = snapshot.set.spec.clone().unwrap_or_default();
        let first = spec.ordinals.and_then(|o| o.start).unwrap_or(0);
        let strategy = spec.update_strategy.unwrap_or_default();
        let by_hand = strategy.type_.as_deref() == Some("OnDelete");
        let partition = strategy.rolling_update.and_then(|rolling| rolling.partition).unwrap_or(0);
        Self {
            snapshot,
            pods,
            now,
            first,
            end: first + spec.replicas.unwrap_or(1),
            partition: if by_hand { i32::MAX } else { partition },
            in_order: spec.pod_management_policy.as_deref() != Some("Parallel"),
            min_ready: spec.min_ready_seconds.unwrap_or(0),
        }
    }

    fn is_steady(&self, pod: &Pod) -> bool {
        is_healthy(pod) && is_available(pod, self.min_ready, self.now)
    }

    /// One step of: filling gaps from the front, removing from the back, updating from the back.
    fn run(&self, create: &mut Vec<i32>, delete: &mut Vec<Arc<Pod>>) {
        for number in self.first..self.end {
            let waits = match self.pods.get(&number) {
                None => {
                    create.push(number);
                    true
                }
                Some(pod) if is_terminal(pod) && !is_deleting(pod) => {
                    delete.push(pod.clone());
                    true
                }
                Some(pod) => !self.is_steady(pod),
            };
            if waits && self.in_order {
                return;
            }
        }
        let outside = |number: &i32| *number < self.first || *number >= self.end;
        for (_, pod) in self.pods.iter().rev().filter(|(number, _)| outside(number)) {
            if !is_deleting(pod) {
                delete.push(pod.clone());
            }
            if self.in_order {
                return;
            }
        }
        self.update(delete);
    }

    /// Replaces pods of the old revision, the last first, as many at a time as allowed.
    fn update(&self, delete: &mut Vec<Arc<Pod>>) {
        let strategy = self.snapshot.set.spec.as_ref().and_then(|spec| spec.update_strategy.clone());
        let limit = strategy.and_then(|s| s.rolling_update).and_then(|rolling| rolling.max_unavailable);
        let limit = limit.map_or(1, |limit| resolve(&limit, self.end - self.first, true).max(1));
        let mut missing =
            (self.first..self.end).filter(|n| !self.pods.get(n).is_some_and(|p| self.is_steady(p))).count();
        for number in (self.first.max(self.partition)..self.end).rev() {
            let Some(pod) = self.pods.get(&number) else { continue };
            if revision_of(pod) == self.snapshot.revisions.update || is_deleting(pod) {
                continue;
            }
            let steady = self.is_steady(pod);
            if steady && missing >= limit as usize {
                return;
            }
            missing += usize::from(steady);
            delete.push(pod.clone());
        }
    }

    fn status(&self) -> StatefulSetStatus {
        let set = self.snapshot.set;
        let old = set.status.clone().unwrap_or_default();
        let revisions = &self.snapshot.revisions;
        let wanted = self.end - self.first;
        let number = |keep: &dyn Fn(&Pod) -> bool| self.pods.values().filter(|pod| keep(pod)).count() as i32;
        let positive = |n: i32| (n != 0).then_some(n);
        let of = |revision: &str| number(&|pod| revision_of(pod) == revision && !is_deleting(pod));
        let ready = number(&is_healthy);
        let mut current = revisions.current.clone();
        let updated = of(&revisions.update);
        if updated == wanted && ready == wanted && self.pods.len() as i32 == wanted {
            current.clone_from(&revisions.update);
        }
        StatefulSetStatus {
            replicas: self.pods.len() as i32,
            ready_replicas: positive(ready),
            available_replicas: Some(number(&|pod| self.is_steady(pod))),
            current_replicas: positive(of(&current)),
            updated_replicas: positive(updated),
            current_revision: Some(current),
            update_revision: Some(revisions.update.clone()),
            observed_generation: set.metadata.generation,
            collision_count: Some(old.collision_count.unwrap_or(0)),
            conditions: old.conditions,
        }
    }

    fn make(&self, number: i32) -> Pod {
        let set = self.snapshot.set;
        let revisions = &self.snapshot.revisions;
        let is_new = number >= self.partition || revisions.current == revisions.update;
        let template = match is_new {
            true => set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default(),
            false => revisions.current_template.clone(),
        };
        let revision = if is_new { &revisions.update } else { &revisions.current };
        let pod_name = format!("{}-{number}", name(&set.metadata));
        let mut pod =
            pods::from_template(&template, &pod_name, namespace(&set.metadata), owner_reference(set));
        pod.metadata.generate_name = None;
        pod.metadata.name = Some(pod_name.clone());
        let own = pod.metadata.labels.get_or_insert_default();
        own.insert(POD_NAME_LABEL.into(), pod_name.clone());
        own.insert(INDEX_LABEL.into(), number.to_string());
        own.insert(HASH_LABEL.into(), revision.clone());
        let spec = pod.spec.get_or_insert_default();
        spec.hostname = Some(pod_name);
        spec.subdomain = set.spec.as_ref().and_then(|spec| spec.service_name.clone());
        for template in set.spec.iter().flat_map(|spec| spec.volume_claim_templates.iter().flatten()) {
            let volume_name = name(&template.metadata).to_owned();
            let volumes = spec.volumes.get_or_insert_default();
            volumes.retain(|volume| volume.name != volume_name);
            let claim_name = claim_name(set, &volume_name, number);
            volumes.push(Volume {
                name: volume_name,
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name,
                    read_only: None,
                }),
                ..Volume::default()
            });
        }
        pod
    }
}

fn claim_name(set: &StatefulSet, template: &str, number: i32) -> String {
    format!("{template}-{}-{number}", name(&set.metadata))
}

/// The volumes of one pod.
fn volumes(set: &StatefulSet, number: i32) -> Vec<PersistentVolumeClaim> {
    let Some(spec) = &set.spec else { return Vec::new() };
    let templates = spec.volume_claim_templates.iter().flatten();
    templates
        .map(|template| {
            let mut claim = template.clone();
            claim.metadata.name = Some(claim_name(set, name(&template.metadata), number));
            claim.metadata.namespace.clone_from(&set.metadata.namespace);
            let own = claim.metadata.labels.get_or_insert_default();
            own.extend(spec.selector.match_labels.clone().unwrap_or_default());
            claim.status = None;
            claim
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, object, pod};
    use serde_json::{Value, json};

    fn set(replicas: i32, extra: Value) -> StatefulSet {
        let mut value = json!({
            "metadata": { "name": "db", "namespace": "ns", "uid": "ss-uid" },
            "spec": { "replicas": replicas, "serviceName": "peers", "selector": { "matchLabels": { "app": "web" } },
                "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [] } } },
        });
        for (key, part) in extra.as_object().unwrap() {
            value["spec"][key] = part.clone();
        }
        object(value)
    }

    /// `NUMBER:REVISION`, followed by `!` when it is not ready, `x` when it is going, `f` when it failed.
    fn member(text: &str) -> Arc<Pod> {
        let (number, state) = text.split_once(':').unwrap();
        let revision = state.trim_end_matches(['!', 'x', 'f']);
        let mut has = json!({ "owner": "ss-uid", "kind": "StatefulSet", "ready": true,
            "labels": { "app": "web", "controller-revision-hash": revision } });
        if state.ends_with('!') {
            has.as_object_mut().unwrap().remove("ready");
        }
        if state.ends_with('x') {
            has["deleting"] = json!(true);
        }
        if state.ends_with('f') {
            has["phase"] = json!("Failed");
        }
        pod(&format!("db-{number}"), has)
    }

    /// What is made and deleted, as `+0 -3`.
    fn decide(set: &StatefulSet, members: &str) -> String {
        let (plan, _) = full(set, members);
        let created = plan.create.iter().map(|pod| format!("+{}", name(&pod.metadata)));
        let deleted = plan.delete.iter().map(|pod| format!("-{}", name(&pod.metadata)));
        created.chain(deleted).collect::<Vec<_>>().join(" ").replace("db-", "")
    }

    fn full(set: &StatefulSet, members: &str) -> (Plan, StatefulSetStatus) {
        let pods: Vec<_> = members.split_whitespace().map(member).collect();
        let template = set.spec.as_ref().unwrap().template.clone();
        let revisions = Revisions { current: "old".into(), current_template: template, update: "new".into() };
        let plan = plan(&Snapshot { set, pods: &pods, revisions }, at(100)).unwrap();
        let status = plan.status.clone().unwrap_or_default();
        (plan, status)
    }

    #[test]
    fn one_at_a_time_and_in_order() {
        let three = set(3, json!({}));
        for (members, expected) in [
            ("", "+0"),
            ("0:new!", ""),
            ("0:new", "+1"),
            ("0:new 2:new", "+1"),
            ("0:new 1:newf 2:new", "-1"),
            ("0:new 1:newx 2:new", ""),
            ("0:new 1:new 2:new", ""),
            // Scaling down, from the back.
            ("0:new 1:new 2:new 3:new 4:new", "-4"),
            ("0:new 1:new 2:new 3:new 4:newx", ""),
            // Rolling out, from the back.
            ("0:old 1:old 2:old", "-2"),
            ("0:old 1:old 2:new!", ""),
            ("0:old 1:old 2:new", "-1"),
            // An old one that does not work may go even while it is waited for.
            ("0:old 1:old", "+2"),
        ] {
            assert_eq!(decide(&three, members), expected, "{members}");
        }
    }

    #[test]
    fn in_parallel() {
        let three = set(3, json!({ "podManagementPolicy": "Parallel" }));
        assert_eq!(decide(&three, ""), "+0 +1 +2");
        assert_eq!(decide(&three, "0:new! 5:new 6:new"), "+1 +2 -6 -5");
    }

    #[test]
    fn a_partition_keeps_the_old_revision() {
        let strategy = json!({ "updateStrategy": { "rollingUpdate": { "partition": 2 } } });
        let three = set(3, strategy);
        assert_eq!(decide(&three, "0:old 1:old 2:old"), "-2");
        assert_eq!(decide(&three, "0:old 1:old 2:new"), "");
        let (plan, _) = full(&three, "0:old 2:new");
        assert_eq!(revision_of(&plan.create[0]), "old");
        let by_hand = set(3, json!({ "updateStrategy": { "type": "OnDelete" } }));
        assert_eq!(decide(&by_hand, "0:old 1:old 2:old"), "");
    }

    #[test]
    fn pods_have_names_and_volumes_of_their_own() {
        let claims = json!([{ "metadata": { "name": "data" }, "spec": {} }]);
        let (plan, _) = full(&set(1, json!({ "volumeClaimTemplates": claims })), "");
        let spec = plan.create[0].spec.as_ref().unwrap();
        assert_eq!((spec.hostname.as_deref(), spec.subdomain.as_deref()), (Some("db-0"), Some("peers")));
        let volume = &spec.volumes.as_ref().unwrap()[0];
        assert_eq!(volume.persistent_volume_claim.as_ref().unwrap().claim_name, "data-db-0");
        assert_eq!(plan.volumes[0].metadata.name.as_deref(), Some("data-db-0"));
        assert_eq!(labels(&plan.create[0].metadata)["apps.kubernetes.io/pod-index"], "0");
    }

    #[test]
    fn counts() {
        let (_, status) = full(&set(3, json!({})), "0:old 1:new! 2:new");
        let counted =
            (status.replicas, status.ready_replicas, status.current_replicas, status.updated_replicas);
        assert_eq!(counted, (3, Some(2), Some(1), Some(2)));
        assert_eq!(status.current_revision.as_deref(), Some("old"));
        let (_, status) = full(&set(2, json!({})), "0:new 1:new");
        assert_eq!((status.current_revision.as_deref(), status.current_replicas), (Some("new"), Some(2)));
    }
}
