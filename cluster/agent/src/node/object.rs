//! What the Node object says of this machine. Pure but for the questions to the runtime.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeSpec,
    NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::host::Host;

/// The API level this agent keeps, in the form that clients parse.
const KUBELET_VERSION: &str = "v1.36.2+trireme";
/// Images named in the status; more would make the object large.
const MAX_IMAGES: usize = 50;

/// The Node as it is first created.
pub fn registration(host: &Host) -> Node {
    let version = &host.version;
    let name = host.cfg.node_name.clone();
    let mut labels = host.cfg.labels.clone();
    let well_known = [
        ("kubernetes.io/hostname", name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", version.architecture.as_str()),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", version.architecture.as_str()),
    ];
    for (key, value) in well_known {
        labels.insert(key.to_owned(), value.to_owned());
    }
    Node {
        metadata: ObjectMeta { name: Some(name), labels: Some(labels), ..ObjectMeta::default() },
        spec: Some(NodeSpec {
            taints: (!host.cfg.taints.is_empty()).then(|| host.cfg.taints.clone()),
            ..NodeSpec::default()
        }),
        status: Some(status(host, &NodeStatus::default(), Timestamp::now())),
    }
}

/// The status at `now`; times of unchanged conditions come from `previous`.
pub fn status(host: &Host, previous: &NodeStatus, now: Timestamp) -> NodeStatus {
    let address = |type_: &str, address: String| NodeAddress { type_: type_.to_owned(), address };
    NodeStatus {
        addresses: Some(vec![
            address("InternalIP", host.cfg.node_ip.to_string()),
            address("Hostname", host.cfg.node_name.clone()),
        ]),
        capacity: Some(resources(host, false)),
        allocatable: Some(resources(host, true)),
        conditions: Some(conditions(host, previous, now)),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint { port: i32::from(host.cfg.listen.port()) }),
        }),
        node_info: Some(node_info(host)),
        images: Some(images(host)),
        ..NodeStatus::default()
    }
}

fn resources(host: &Host, less_reserved: bool) -> BTreeMap<String, Quantity> {
    let m = &host.machine;
    let (cpu, memory) = if less_reserved {
        (m.cpu_milli - m.reserved_cpu_milli, m.memory_bytes - m.reserved_memory_bytes)
    } else {
        (m.cpu_milli, m.memory_bytes)
    };
    let cpu = if cpu % 1000 == 0 { (cpu / 1000).to_string() } else { format!("{cpu}m") };
    let list = [
        ("cpu", cpu),
        ("memory", format!("{}Ki", memory / 1024)),
        ("ephemeral-storage", format!("{}Ki", m.disk_bytes / 1024)),
        ("pods", host.cfg.max_pods.to_string()),
        ("hugepages-1Gi", "0".to_owned()),
        ("hugepages-2Mi", "0".to_owned()),
    ];
    list.into_iter().map(|(k, v)| (k.to_owned(), Quantity(v))).collect()
}

fn node_info(host: &Host) -> NodeSystemInfo {
    let v = host.version.clone();
    NodeSystemInfo {
        architecture: v.architecture,
        boot_id: v.boot_id,
        container_runtime_version: format!("{}://{}", v.runtime_name, v.runtime_version),
        kernel_version: v.kernel_version,
        kube_proxy_version: String::new(),
        kubelet_version: KUBELET_VERSION.to_owned(),
        machine_id: v.machine_id,
        operating_system: v.operating_system,
        os_image: v.os_image,
        system_uuid: v.system_uuid,
        ..NodeSystemInfo::default()
    }
}

fn images(host: &Host) -> Vec<ContainerImage> {
    let mut images = host.runtime.images();
    images.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.id.cmp(&b.id)));
    images.truncate(MAX_IMAGES);
    images
        .into_iter()
        .map(|i| ContainerImage {
            names: Some(i.digests.into_iter().chain(i.names).collect()),
            size_bytes: Some(i.size as i64),
        })
        .collect()
}

fn conditions(host: &Host, previous: &NodeStatus, now: Timestamp) -> Vec<NodeCondition> {
    let (ready, reason, message) = match host.network.ready() {
        Ok(()) => ("True", "KubeletReady", "kubelet is posting ready status".to_owned()),
        Err(why) => (
            "False",
            "KubeletNotReady",
            format!("container runtime network not ready: NetworkReady=false {why}"),
        ),
    };
    let list = [
        (
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available".to_owned(),
        ),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure".to_owned()),
        (
            "PIDPressure",
            "False",
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available".to_owned(),
        ),
        ("Ready", ready, reason, message),
    ];
    let build = |(kind, status, reason, message): (&str, &str, &str, String)| {
        let before = previous.conditions.iter().flatten().find(|c| c.type_ == kind && c.status == status);
        NodeCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_heartbeat_time: Some(Time(now)),
            last_transition_time: before.and_then(|c| c.last_transition_time.clone()).or(Some(Time(now))),
        }
    };
    list.into_iter().map(build).collect()
}

/// Whether anything but the time of the report differs.
pub fn differs(a: &NodeStatus, b: &NodeStatus) -> bool {
    let bare = |s: &NodeStatus| {
        let mut s = s.clone();
        for c in s.conditions.iter_mut().flatten() {
            c.last_heartbeat_time = None;
        }
        s
    };
    bare(a) != bare(b)
}

/// Whether `told` says otherwise of one of the node's own conditions.
pub fn contradicts(told: &NodeStatus, own: &NodeStatus) -> bool {
    let found = |kind: &str| {
        let same = |c: &&NodeCondition| c.type_ == kind;
        told.conditions.iter().flatten().find(same).map(|c| c.status.as_str())
    };
    own.conditions.iter().flatten().any(|c| found(&c.type_) != Some(c.status.as_str()))
}

/// The revision of a Node; 0 when it has none.
pub fn revision(node: &Node) -> u64 {
    node.metadata.resource_version.as_deref().and_then(|r| r.parse().ok()).unwrap_or(0)
}

pub fn is_ready(status: &NodeStatus) -> bool {
    status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
}
