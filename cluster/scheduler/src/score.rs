//! Which of the nodes that can take a pod takes it best.

use crate::{
    cluster::{NodeInfo, owner},
    filter::Demands,
    resources::{CPU, MEMORY, expected},
};
use client::placement::{matches_term, taints, tolerates};
use k8s_openapi::api::core::v1::{Node, Pod};

/// The best score in each respect.
const FULL: i64 = 100;
/// How much each respect counts, as in Kubernetes' default profile.
const LEAST_ALLOCATED: i64 = 1;
const BALANCED: i64 = 1;
const IMAGES: i64 = 1;
const TAINTS: i64 = 3;
const NODE_AFFINITY: i64 = 2;
const POD_AFFINITY: i64 = 2;
const SPREAD: i64 = 2;
/// Images smaller than the first are not worth a thought; larger than the second (for each
/// container) is as good as it gets.
const SMALL_IMAGE: i64 = 23 << 20;
const LARGE_IMAGE: i64 = 1000 << 20;

pub(crate) type Candidate<'a> = (&'a str, &'a Node, &'a NodeInfo);

/// The name of the best node. Equal ones are told apart by a hash, so that pods do not all go to
/// the first.
pub(crate) fn best<'a>(pod: &Pod, demands: &Demands, nodes: &[Candidate<'a>]) -> Option<&'a str> {
    if let [(name, _, _)] = nodes {
        return Some(name);
    }
    let mut totals = vec![0; nodes.len()];
    let mut count = |weight: i64, scores: Vec<i64>| {
        for (total, score) in totals.iter_mut().zip(scores) {
            *total += weight * score;
        }
    };
    let each = |score: &dyn Fn(&Candidate) -> i64| nodes.iter().map(score).collect::<Vec<i64>>();
    let (least, balanced): (Vec<i64>, Vec<i64>) =
        nodes.iter().map(|(_, _, info)| allocation(demands, info)).unzip();
    count(LEAST_ALLOCATED, least);
    count(BALANCED, balanced);
    count(IMAGES, each(&|(_, _, info)| images(demands, info)));
    count(TAINTS, less_is_better(each(&|(_, node, _)| avoided(demands, node))));
    count(NODE_AFFINITY, more_is_better(each(&|(_, node, _)| preference(demands, node))));
    count(POD_AFFINITY, more_is_better(each(&|(_, node, _)| demands.relations.liking(node))));
    count(SPREAD, less_is_better(each(&|(_, node, info)| crowding(pod, demands, node, info))));
    let uid = pod.metadata.uid.as_deref().unwrap_or("");
    let ranked = nodes.iter().zip(totals).max_by_key(|((name, _, _), total)| (*total, tie(uid, name)));
    ranked.map(|((name, _, _), _)| *name)
}

/// How empty the node would be, and how evenly CPU and memory would be used.
fn allocation(demands: &Demands, info: &NodeInfo) -> (i64, i64) {
    let (cpu, memory) = expected(demands.spec);
    let of = |name: &str| info.allocatable.get(name).copied().unwrap_or(0);
    let free = |capacity: i64, used: i64| {
        if capacity <= 0 || used > capacity { 0 } else { (capacity - used) * FULL / capacity }
    };
    let cpu = free(of(CPU), info.expected.0 + cpu);
    let memory = free(of(MEMORY), info.expected.1 + memory);
    ((cpu + memory) / 2, FULL - (cpu - memory).abs() / 2)
}

/// How much of the pod's images the node has.
fn images(demands: &Demands, info: &NodeInfo) -> i64 {
    let names = demands.spec.containers.iter().filter_map(|c| c.image.as_deref());
    let present: i64 =
        names.filter_map(|name| info.images.get(name).or_else(|| info.images.get(&tagged(name)))).sum();
    let most = LARGE_IMAGE * demands.spec.containers.len().max(1) as i64;
    (present.clamp(SMALL_IMAGE, most) - SMALL_IMAGE) * FULL / (most - SMALL_IMAGE)
}

fn tagged(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    if name.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

/// How many taints ask to avoid the node.
fn avoided(demands: &Demands, node: &Node) -> i64 {
    let tolerations = demands.spec.tolerations.as_deref().unwrap_or(&[]);
    let soft = taints(node).iter().filter(|taint| taint.effect == "PreferNoSchedule");
    soft.filter(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint))).count() as i64
}

/// How much the preferred part of the pod's node affinity speaks for the node.
fn preference(demands: &Demands, node: &Node) -> i64 {
    let affinity = demands.spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
    let terms = affinity.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
    let fits = terms.into_iter().flatten().filter(|term| matches_term(&term.preference, node));
    fits.map(|term| i64::from(term.weight)).sum()
}

/// How many pods like this one there are already: by its own constraints, or of the same owner.
fn crowding(pod: &Pod, demands: &Demands, node: &Node, info: &NodeInfo) -> i64 {
    let siblings = || owner(pod).and_then(|owner| info.owners.get(owner)).copied().unwrap_or(0) as i64;
    demands.spread.crowding(node).unwrap_or_else(siblings)
}

fn more_is_better(raw: Vec<i64>) -> Vec<i64> {
    let (min, max) = (raw.iter().copied().min().unwrap_or(0), raw.iter().copied().max().unwrap_or(0));
    raw.into_iter().map(|n| if max == min { 0 } else { (n - min) * FULL / (max - min) }).collect()
}

fn less_is_better(raw: Vec<i64>) -> Vec<i64> {
    more_is_better(raw.into_iter().map(|n| -n).collect())
}

fn tie(uid: &str, node: &str) -> u32 {
    let bytes = uid.bytes().chain(node.bytes());
    bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
