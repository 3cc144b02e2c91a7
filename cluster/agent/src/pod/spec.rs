//! What a pod's specification says, in the words the worker needs. Pure.

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec, Probe};

/// What a container is to its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Runs to its end before the next begins.
    Init,
    /// An init container with `restartPolicy: Always`: runs beside all that follow.
    Sidecar,
    Main,
    Ephemeral,
}

impl Role {
    /// Whether probes and hooks apply.
    pub fn is_service(self) -> bool {
        matches!(self, Role::Sidecar | Role::Main)
    }
}

/// All containers: init containers and sidecars in order, then main ones, then ephemeral ones.
pub fn units(pod: &Pod) -> Vec<(Role, Container)> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let mut units = Vec::new();
    for c in spec.init_containers.iter().flatten() {
        let sidecar = c.restart_policy.as_deref() == Some("Always");
        units.push((if sidecar { Role::Sidecar } else { Role::Init }, c.clone()));
    }
    units.extend(spec.containers.iter().map(|c| (Role::Main, c.clone())));
    units.extend(spec.ephemeral_containers.iter().flatten().map(|c| (Role::Ephemeral, as_container(c))));
    units
}

fn as_container(e: &EphemeralContainer) -> Container {
    Container {
        name: e.name.clone(),
        image: e.image.clone(),
        image_pull_policy: e.image_pull_policy.clone(),
        command: e.command.clone(),
        args: e.args.clone(),
        working_dir: e.working_dir.clone(),
        env: e.env.clone(),
        env_from: e.env_from.clone(),
        resources: e.resources.clone(),
        volume_mounts: e.volume_mounts.clone(),
        volume_devices: e.volume_devices.clone(),
        termination_message_path: e.termination_message_path.clone(),
        termination_message_policy: e.termination_message_policy.clone(),
        security_context: e.security_context.clone(),
        stdin: e.stdin,
        stdin_once: e.stdin_once,
        tty: e.tty,
        ..Container::default()
    }
}

/// The pod's `spec`; the API never has a pod without one.
pub fn spec(pod: &Pod) -> &PodSpec {
    static EMPTY: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
    pod.spec.as_ref().unwrap_or(&EMPTY)
}

pub fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

pub fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

pub fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// How Kubernetes names a pod in messages: `name_namespace(uid)`.
pub fn display(pod: &Pod) -> String {
    format!("{}_{}({})", name(pod), namespace(pod), uid(pod))
}

pub fn restart_policy(pod: &Pod) -> &str {
    spec(pod).restart_policy.as_deref().unwrap_or("Always")
}

/// Whether a container of the pod runs again after ending with `exit_code`.
pub fn restarts(pod: &Pod, role: Role, container: &Container, exit_code: i32) -> bool {
    if role == Role::Ephemeral {
        return false;
    }
    for rule in container.restart_policy_rules.iter().flatten() {
        let Some(codes) = &rule.exit_codes else { continue };
        let listed = codes.values.iter().flatten().any(|v| *v == exit_code);
        let applies = if codes.operator == "NotIn" { !listed } else { listed };
        if applies {
            return rule.action == "Restart";
        }
    }
    match container.restart_policy.as_deref().unwrap_or_else(|| restart_policy(pod)) {
        "Always" if role == Role::Init && container.restart_policy.is_none() => exit_code != 0,
        "Always" => true,
        "OnFailure" => exit_code != 0,
        _ => false,
    }
}

/// How long the pod's containers may take to end, when nothing else was asked: seconds, at least 1.
pub fn grace_s(pod: &Pod) -> i64 {
    let asked = match pod.metadata.deletion_timestamp {
        Some(_) => pod.metadata.deletion_grace_period_seconds,
        None => None,
    };
    asked.or(spec(pod).termination_grace_period_seconds).unwrap_or(30).max(1)
}

/// The same when a probe demands the end.
pub fn probe_grace_s(pod: &Pod, probe: Option<&Probe>) -> i64 {
    let of_pod = || spec(pod).termination_grace_period_seconds.unwrap_or(30);
    probe.and_then(|p| p.termination_grace_period_seconds).unwrap_or_else(of_pod).max(1)
}

/// Whether the pod was taken from a file of this node, not from the API.
pub fn is_static(pod: &Pod) -> bool {
    let source = pod.metadata.annotations.as_ref().and_then(|a| a.get("kubernetes.io/config.source"));
    source.is_some_and(|s| s != "api")
}

/// Whether the cluster starts the pod elsewhere when this node does not answer: not when it tolerates that forever.
pub fn is_replaceable(pod: &Pod) -> bool {
    let forever = spec(pod).tolerations.iter().flatten().any(|t| {
        let key = t.key.as_deref().unwrap_or("");
        let effect = t.effect.as_deref().unwrap_or("");
        let exists = t.operator.as_deref() == Some("Exists");
        (key == "node.kubernetes.io/unreachable" || (key.is_empty() && exists))
            && (effect.is_empty() || effect == "NoExecute")
            && t.toleration_seconds.is_none()
    });
    !forever && !is_static(pod)
}
