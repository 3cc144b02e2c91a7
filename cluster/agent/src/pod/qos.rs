//! Quality of service: the class of a pod, and what follows from it for cgroups and the out-of-memory killer. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::spec;
use crate::quantity;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl Class {
    /// As in `status.qosClass`.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Guaranteed => "Guaranteed",
            Class::Burstable => "Burstable",
            Class::BestEffort => "BestEffort",
        }
    }

    /// Where the pods of the class live below the agent's cgroup.
    pub fn cgroup(self) -> &'static str {
        match self {
            Class::Guaranteed => "kubepods",
            Class::Burstable => "kubepods/burstable",
            Class::BestEffort => "kubepods/besteffort",
        }
    }
}

type Amounts = Option<BTreeMap<String, Quantity>>;

fn amount(list: &Amounts, resource: &str) -> Option<i64> {
    list.as_ref()?.get(resource).map(quantity::milli).filter(|v| *v > 0)
}

/// What a container asks for of `resource`, in thousandths; a limit alone is also a request.
pub fn request_milli(c: &Container, resource: &str) -> Option<i64> {
    let r = c.resources.as_ref()?;
    amount(&r.requests, resource).or_else(|| amount(&r.limits, resource))
}

pub fn limit_milli(c: &Container, resource: &str) -> Option<i64> {
    amount(&c.resources.as_ref()?.limits, resource)
}

/// The class of a pod: guaranteed when every container has equal requests and limits of CPU and memory, best effort
/// when none has any.
pub fn class(pod: &Pod) -> Class {
    let pod_spec = spec::spec(pod);
    let containers = || pod_spec.containers.iter().chain(pod_spec.init_containers.iter().flatten());
    let of = ["cpu", "memory"];
    let any = containers().any(|c| of.iter().any(|r| request_milli(c, r).is_some()));
    if !any {
        return Class::BestEffort;
    }
    let all = containers()
        .all(|c| of.iter().all(|r| limit_milli(c, r).is_some() && limit_milli(c, r) == request_milli(c, r)));
    if all { Class::Guaranteed } else { Class::Burstable }
}

/// `oom_score_adj` of a container: the more of the machine's memory it asked for, the later it is killed.
pub fn oom_score_adj(pod: &Pod, c: &Container, machine_memory: u64) -> i32 {
    let critical = ["system-node-critical", "system-cluster-critical"];
    let priority_class = spec::spec(pod).priority_class_name.as_deref().unwrap_or("");
    if critical[0] == priority_class {
        return -997;
    }
    match class(pod) {
        Class::Guaranteed => -997,
        Class::BestEffort => 1000,
        Class::Burstable => {
            let asked = request_milli(c, "memory").unwrap_or(0) / 1000;
            let share = (i128::from(asked) * 1000 / i128::from(machine_memory.max(1))) as i64;
            (1000 - share).clamp(3, 999) as i32
        }
    }
}

/// CPU shares for a request of `milli` thousandths of a CPU; at least 2.
pub fn cpu_shares(milli: i64) -> u64 {
    ((milli.max(0) as u64) * 1024 / 1000).clamp(2, 262_144)
}

/// CPU quota in microseconds of a period of 100 ms; at least 1 ms.
pub fn cpu_quota(milli: i64) -> i64 {
    (milli * 100).max(1000)
}
