//! From the pod's specification to what the runtime is told: user, capabilities, mounts, limits. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod, PodSecurityContext, SecurityContext, VolumeMount};
use runtime::{
    CgroupSpec, ContainerSpec, ImageInfo, Mount, Propagation, Resources, SandboxSpec, Seccomp, UserSpec,
};

use crate::env::expand;
use crate::pod::{qos, spec};
use crate::volumes::{self, Layout};

/// Labels with which a container says whose it is; the same as other runtimes'.
pub const LABEL_POD: &str = "io.kubernetes.pod.name";
pub const LABEL_NAMESPACE: &str = "io.kubernetes.pod.namespace";
pub const LABEL_UID: &str = "io.kubernetes.pod.uid";
pub const LABEL_CONTAINER: &str = "io.kubernetes.container.name";
/// Annotation of a sandbox: seconds its containers may take to end, for when the pod is no longer known.
pub const ANNOTATION_GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";

/// Why no container can be made from the specification: the message of `CreateContainerConfigError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("container's runAsUser breaks non-root policy (pod: \"{pod}\", container: {container})")]
    RunsAsRoot { pod: String, container: String },
    #[error("container has runAsNonRoot and image will run as root (pod: \"{pod}\", container: {container})")]
    ImageRunsAsRoot { pod: String, container: String },
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root \
         (pod: \"{pod}\", container: {container})"
    )]
    ImageUserIsName { user: String, pod: String, container: String },
    #[error("cannot find volume \"{volume}\" to mount into container \"{container}\"")]
    NoVolume { volume: String, container: String },
    #[error("seccomp profile \"{0}\" is not on this node: only RuntimeDefault and Unconfined are supported")]
    Seccomp(String),
    #[error("subPathExpr \"{0}\" refers to a variable that is not set")]
    SubPathExpr(String),
}

/// What a container is made from besides its specification.
pub struct Facts<'a> {
    pub pod: &'a Pod,
    pub container: &'a Container,
    pub attempt: u32,
    pub image: &'a ImageInfo,
    pub env: Vec<(String, String)>,
    pub layout: &'a Layout,
    pub log_dir: &'a Path,
    pub machine_memory: u64,
}

/// The directory of a pod's log files.
pub fn log_dir(base: &Path, pod: &Pod) -> PathBuf {
    base.join(format!("{}_{}_{}", spec::namespace(pod), spec::name(pod), spec::uid(pod)))
}

fn labels(pod: &Pod) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    labels.insert(LABEL_POD.to_owned(), spec::name(pod).to_owned());
    labels.insert(LABEL_NAMESPACE.to_owned(), spec::namespace(pod).to_owned());
    labels.insert(LABEL_UID.to_owned(), spec::uid(pod).to_owned());
    labels
}

/// The sandbox of a pod.
pub fn sandbox(pod: &Pod, hostname: String, attempt: u32, log_base: &Path) -> SandboxSpec {
    let s = spec::spec(pod);
    let sysctls = s.security_context.iter().flat_map(|c| c.sysctls.iter().flatten());
    let grace = s.termination_grace_period_seconds.unwrap_or(30).to_string();
    SandboxSpec {
        id: spec::uid(pod).to_owned(),
        name: spec::name(pod).to_owned(),
        namespace: spec::namespace(pod).to_owned(),
        hostname,
        host_network: s.host_network == Some(true),
        host_pid: s.host_pid == Some(true),
        host_ipc: s.host_ipc == Some(true),
        share_pid: s.share_process_namespace == Some(true),
        sysctls: sysctls.map(|s| (s.name.clone(), s.value.clone())).collect(),
        labels: labels(pod),
        annotations: BTreeMap::from([(ANNOTATION_GRACE.to_owned(), grace)]),
        attempt,
        cgroup: CgroupSpec { parent: qos::class(pod).cgroup().to_owned(), resources: pod_resources(pod) },
        log_dir: log_dir(log_base, pod),
    }
}

/// The limits of the pod as a whole: the sum, where every container has one.
fn pod_resources(pod: &Pod) -> Resources {
    let s = spec::spec(pod);
    let sidecars =
        || s.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let inits =
        || s.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() != Some("Always"));
    let running = || s.containers.iter().chain(sidecars());
    let requests: i64 = running().filter_map(|c| qos::request_milli(c, "cpu")).sum();
    let limit = |resource: &str| -> Option<i64> {
        let sum: Option<i64> = running().map(|c| qos::limit_milli(c, resource)).sum();
        let beside: i64 = sidecars().filter_map(|c| qos::limit_milli(c, resource)).sum();
        let inits: Option<Vec<i64>> =
            inits().map(|c| qos::limit_milli(c, resource).map(|l| l + beside)).collect();
        Some(sum?.max(inits?.into_iter().max().unwrap_or(0)))
    };
    Resources {
        cpu_shares: Some(qos::cpu_shares(requests)),
        cpu_quota: limit("cpu").map(qos::cpu_quota),
        cpu_period: limit("cpu").map(|_| 100_000),
        memory_limit: limit("memory").map(|m| (m / 1000) as u64),
        pids: None,
    }
}

/// The limits of one container.
pub fn resources(c: &Container) -> Resources {
    let cpu_limit = qos::limit_milli(c, "cpu");
    Resources {
        cpu_shares: Some(qos::cpu_shares(qos::request_milli(c, "cpu").unwrap_or(0))),
        cpu_quota: cpu_limit.map(qos::cpu_quota),
        cpu_period: cpu_limit.map(|_| 100_000),
        memory_limit: qos::limit_milli(c, "memory").map(|m| (m / 1000) as u64),
        pids: None,
    }
}

/// A container.
pub fn container(facts: Facts<'_>) -> Result<ContainerSpec, SpecError> {
    let (pod, c) = (facts.pod, facts.container);
    let none = SecurityContext::default();
    let own = c.security_context.as_ref().unwrap_or(&none);
    let no_pod_context = PodSecurityContext::default();
    let shared = spec::spec(pod).security_context.as_ref().unwrap_or(&no_pod_context);
    check_non_root(&facts, own, shared)?;
    let lookup = |name: &str| facts.env.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone());
    let expanded =
        |list: &Option<Vec<String>>| list.iter().flatten().map(|t| expand(t, lookup)).collect::<Vec<_>>();
    let privileged = own.privileged == Some(true);
    let capability = |list: Option<&Option<Vec<String>>>| list.and_then(Clone::clone).unwrap_or_default();
    let caps = own.capabilities.as_ref();
    let unmasked = own.proc_mount.as_deref() == Some("Unmasked");
    let mut labels = labels(pod);
    labels.insert(LABEL_CONTAINER.to_owned(), c.name.clone());
    Ok(ContainerSpec {
        name: c.name.clone(),
        attempt: facts.attempt,
        image_id: facts.image.id.clone(),
        image: c.image.clone().unwrap_or_default(),
        command: expanded(&c.command),
        args: expanded(&c.args),
        working_dir: c.working_dir.clone().unwrap_or_default(),
        mounts: mounts(&facts, lookup)?,
        user: user(own, shared),
        privileged,
        cap_add: capability(caps.map(|c| &c.add)),
        cap_drop: capability(caps.map(|c| &c.drop)),
        read_only_root: own.read_only_root_filesystem == Some(true),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        seccomp: seccomp(own, shared, privileged)?,
        tty: c.tty == Some(true),
        stdin: c.stdin == Some(true),
        stdin_once: c.stdin_once == Some(true),
        resources: resources(c),
        log_path: log_dir(facts.log_dir, pod).join(&c.name).join(format!("{}.log", facts.attempt)),
        masked_paths: unmasked.then(Vec::new),
        readonly_paths: unmasked.then(Vec::new),
        labels,
        oom_score_adj: qos::oom_score_adj(pod, c, facts.machine_memory),
        env: facts.env,
        ..ContainerSpec::default()
    })
}

fn check_non_root(
    facts: &Facts<'_>,
    own: &SecurityContext,
    shared: &PodSecurityContext,
) -> Result<(), SpecError> {
    if own.run_as_non_root.or(shared.run_as_non_root) != Some(true) {
        return Ok(());
    }
    let (pod, container) = (spec::display(facts.pod), facts.container.name.clone());
    match own.run_as_user.or(shared.run_as_user) {
        Some(0) => Err(SpecError::RunsAsRoot { pod, container }),
        Some(_) => Ok(()),
        None => match facts.image.config.uid() {
            Some(0) => Err(SpecError::ImageRunsAsRoot { pod, container }),
            Some(_) => Ok(()),
            None => Err(SpecError::ImageUserIsName { user: facts.image.config.user.clone(), pod, container }),
        },
    }
}

fn user(own: &SecurityContext, shared: &PodSecurityContext) -> UserSpec {
    let number = |n: Option<i64>| n.and_then(|n| u32::try_from(n).ok());
    let groups = shared.supplemental_groups.iter().flatten().copied().chain(shared.fs_group);
    UserSpec {
        uid: number(own.run_as_user.or(shared.run_as_user)),
        gid: number(own.run_as_group.or(shared.run_as_group)),
        supplemental_groups: groups.filter_map(|g| u32::try_from(g).ok()).collect(),
        strict_groups: shared.supplemental_groups_policy.as_deref() == Some("Strict"),
    }
}

/// Closed by default: a pod that asks for nothing gets the runtime's filter.
fn seccomp(
    own: &SecurityContext,
    shared: &PodSecurityContext,
    privileged: bool,
) -> Result<Seccomp, SpecError> {
    if privileged {
        return Ok(Seccomp::Unconfined);
    }
    match own.seccomp_profile.as_ref().or(shared.seccomp_profile.as_ref()) {
        None => Ok(Seccomp::RuntimeDefault),
        Some(profile) => match profile.type_.as_str() {
            "RuntimeDefault" => Ok(Seccomp::RuntimeDefault),
            "Unconfined" => Ok(Seccomp::Unconfined),
            other => {
                Err(SpecError::Seccomp(profile.localhost_profile.clone().unwrap_or_else(|| other.to_owned())))
            }
        },
    }
}

fn mounts(facts: &Facts<'_>, lookup: impl Fn(&str) -> Option<String>) -> Result<Vec<Mount>, SpecError> {
    let (pod, c) = (facts.pod, facts.container);
    let uid = spec::uid(pod);
    let mut mounts = Vec::new();
    for m in c.volume_mounts.iter().flatten() {
        let volume = spec::spec(pod).volumes.iter().flatten().find(|v| v.name == m.name);
        let volume = volume
            .ok_or_else(|| SpecError::NoVolume { volume: m.name.clone(), container: c.name.clone() })?;
        mounts.push(Mount {
            host_path: facts.layout.volume(uid, volume),
            sub_path: sub_path(m, &lookup)?,
            container_path: PathBuf::from(&m.mount_path),
            read_only: m.read_only == Some(true) || volumes::is_api_data(volume),
            recursive_read_only: matches!(m.recursive_read_only.as_deref(), Some("Enabled" | "IfPossible")),
            propagation: match m.mount_propagation.as_deref() {
                Some("Bidirectional") => Propagation::Bidirectional,
                Some("HostToContainer") => Propagation::HostToContainer,
                _ => Propagation::Private,
            },
        });
    }
    let dir = facts.layout.pod(uid);
    for (file, path) in
        [("etc-hosts", "/etc/hosts"), ("resolv.conf", "/etc/resolv.conf"), ("hostname", "/etc/hostname")]
    {
        if !mounts.iter().any(|m| m.container_path == Path::new(path)) {
            mounts.push(file_mount(dir.join(file), path));
        }
    }
    if let Some(path) = c.termination_message_path.as_deref().filter(|p| !p.is_empty()) {
        mounts.push(file_mount(facts.layout.termination_log(uid, &c.name, facts.attempt), path));
    }
    Ok(mounts)
}

fn file_mount(host_path: PathBuf, container_path: &str) -> Mount {
    Mount { host_path, container_path: PathBuf::from(container_path), ..Mount::default() }
}

fn sub_path(m: &VolumeMount, lookup: impl Fn(&str) -> Option<String>) -> Result<Option<PathBuf>, SpecError> {
    if let Some(plain) = m.sub_path.as_deref().filter(|p| !p.is_empty()) {
        return Ok(Some(PathBuf::from(plain)));
    }
    let Some(expr) = m.sub_path_expr.as_deref().filter(|p| !p.is_empty()) else { return Ok(None) };
    let missing = std::cell::Cell::new(false);
    let text = expand(expr, |name| {
        let value = lookup(name);
        missing.set(missing.get() || value.is_none());
        value
    });
    if missing.get() { Err(SpecError::SubPathExpr(expr.to_owned())) } else { Ok(Some(PathBuf::from(text))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn build(pod_spec: Value, image_user: &str) -> Result<ContainerSpec, SpecError> {
        let pod: Pod = serde_json::from_value(
            json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": pod_spec}),
        )
        .unwrap();
        let mut image = ImageInfo { id: "sha256:1".into(), ..ImageInfo::default() };
        image.config.user = image_user.to_owned();
        container(Facts {
            pod: &pod,
            container: &pod.spec.as_ref().unwrap().containers[0],
            attempt: 2,
            image: &image,
            env: vec![("A".into(), "1".into())],
            layout: &Layout::new(Path::new("/d")),
            log_dir: Path::new("/log"),
            machine_memory: 8 << 30,
        })
    }

    #[test]
    fn everything_reaches_the_runtime() {
        let c = build(
            json!({"securityContext": {"runAsUser": 1000, "fsGroup": 5, "supplementalGroups": [7]},
            "volumes": [{"name": "c", "configMap": {"name": "x"}}, {"name": "h", "hostPath": {"path": "/srv"}}],
            "containers": [{"name": "a", "image": "i", "command": ["x", "$(A)"], "args": ["$(B)"],
                "terminationMessagePath": "/dev/termination-log",
                "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "250m"}},
                "securityContext": {"runAsGroup": 3, "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
                    "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false},
                "volumeMounts": [{"name": "c", "mountPath": "/c"},
                    {"name": "h", "mountPath": "/h", "subPathExpr": "d$(A)"}]}]}),
            "",
        )
        .unwrap();
        assert_eq!((c.command, c.args), (vec!["x".to_owned(), "1".to_owned()], vec!["$(B)".to_owned()]));
        assert_eq!((c.user.uid, c.user.gid, c.user.supplemental_groups), (Some(1000), Some(3), vec![7, 5]));
        assert!(c.read_only_root && c.no_new_privs && c.seccomp == Seccomp::RuntimeDefault);
        let r = c.resources;
        assert_eq!((r.cpu_shares, r.cpu_quota, r.memory_limit), (Some(256), Some(50_000), Some(64 << 20)));
        assert_eq!(c.log_path, Path::new("/log/ns_p_u/a/2.log"));
        let by_path = |p: &str| c.mounts.iter().find(|m| m.container_path == Path::new(p)).unwrap();
        assert!(by_path("/c").read_only);
        assert_eq!(by_path("/h").sub_path.as_deref(), Some(Path::new("d1")));
        assert_eq!(by_path("/etc/hosts").host_path, Path::new("/d/pods/u/etc-hosts"));
        assert_eq!(by_path("/dev/termination-log").host_path, Path::new("/d/pods/u/containers/a/2"));
        assert_eq!(c.oom_score_adj, 993);
    }

    #[test]
    fn root_is_refused_when_it_must_be() {
        let pod = |uid: Value| json!({"containers": [{"name": "a", "securityContext": {"runAsNonRoot": true, "runAsUser": uid}}]});
        let message = |spec: Value, user: &str| build(spec, user).map(|_| ()).map_err(|e| e.to_string());
        assert_eq!(
            message(pod(json!(0)), "").unwrap_err(),
            "container's runAsUser breaks non-root policy (pod: \"p_ns(u)\", container: a)"
        );
        assert!(message(pod(Value::Null), "").unwrap_err().contains("image will run as root"));
        assert!(message(pod(Value::Null), "www").unwrap_err().contains("non-numeric user (www)"));
        assert_eq!(message(pod(Value::Null), "1000"), Ok(()));
        assert_eq!(message(pod(json!(5)), ""), Ok(()));
    }
}
