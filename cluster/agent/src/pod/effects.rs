//! Carries out what a pod's state machine asks for; every outcome goes back to the worker as an input.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use network::{HostPort, PodRef, Protocol};
use runtime::{ContainerState, ImageInfo, RuntimeError};

use super::exit;
use super::machine::{Effect, Input, ProbeKind, PullFailure, StartFailure};
use super::spec::{self, Role};
use super::state::{Instance, PodState, Terminated};
use super::worker::{Message, Shared};
use crate::host::{Host, reference};
use crate::{container_spec, env, files, hooks, images, probe};

const NO_ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

impl Shared {
    fn send(&self, input: Input) {
        // A worker that has ended needs no answer.
        let _ = self.inbox.send(Message::Input(input));
    }
}

/// Does what `effect` says, for the pod as `state` knows it.
pub async fn carry_out(shared: Arc<Shared>, state: Arc<PodState>, effect: Effect) {
    let pod = &state.pod;
    match effect {
        Effect::PrepareVolumes => {
            let place = shared.host.place(Vec::new());
            let result = match shared.sources.objects().await {
                Ok(objects) => shared.volumes.prepare(pod, &objects, &place).await,
                Err(error) => Err(error.to_string()),
            };
            shared.send(Input::VolumesReady(result));
        }
        Effect::CreateSandbox { attempt } => {
            let result = create_sandbox(&shared.host, pod, attempt).await;
            shared.send(Input::SandboxReady(result));
        }
        Effect::EnsureImage { container } => {
            let result = ensure_image(&shared, &state, container).await;
            shared.send(Input::Image { container, result: result.map(|info| images::reference(&info)) });
        }
        Effect::Start { container, attempt } => start(&shared, &state, container, attempt).await,
        Effect::Stop { container, id, grace_s, hook } => {
            stop(&shared, &state, container, &id, grace_s, hook).await;
        }
        Effect::Resize { container, id } => {
            let limits = container_spec::resources(&state.containers[container].spec);
            let resized = shared.host.runtime.update_resources(&id, limits).await;
            warn(pod, "container not resized", resized);
        }
        Effect::Forget { id } => {
            let removed = shared.host.runtime.remove_container(&id).await;
            warn(pod, "container not removed", removed);
        }
        Effect::CleanUp => shared.send(Input::CleanedUp(clean_up(&shared.host, spec::uid(pod)).await)),
        Effect::Purge => {
            purge(&shared.host, spec::uid(pod), &container_spec::log_dir(&shared.host.cfg.log_dir, pod))
                .await;
            shared.send(Input::Purged);
        }
        Effect::Probe { .. } | Effect::StopProbes { .. } | Effect::Event { .. } | Effect::DeleteFromApi => {}
    }
}

fn warn<T, E: std::fmt::Display>(pod: &Pod, what: &str, result: Result<T, E>) {
    if let Err(error) = result {
        tracing::warn!(pod = %spec::display(pod), %error, "{what}");
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Sandbox, network, and the files every container gets.
async fn create_sandbox(host: &Host, pod: &Arc<Pod>, attempt: u32) -> Result<Vec<IpAddr>, String> {
    let uid = spec::uid(pod);
    let stale = host
        .runtime
        .sandboxes()
        .into_iter()
        .find(|s| s.id == uid)
        .filter(|s| !s.ready || s.attempt != attempt);
    if stale.is_some() {
        host.runtime.remove_sandbox(uid).await.map_err(|e| e.to_string())?;
    }
    let hostname = files::hostname(pod, &host.cfg.node_name);
    let spec = container_spec::sandbox(pod, hostname.clone(), attempt, &host.cfg.log_dir);
    let in_host = spec.host_network;
    let made = host.metrics.operation("run_podsandbox", host.runtime.create_sandbox(spec)).await;
    let made = made.map_err(|e| format!("rpc error: {e}"))?;
    let ips = if in_host {
        vec![host.cfg.node_ip]
    } else {
        let attached = host.network.attach(&pod_ref(pod), &made.netns, &host_ports(pod)).await;
        attached.map_err(|e| format!("plugin type=\"trireme\" failed: {e}"))?.ips
    };
    write_files(host, pod, &ips, &hostname).await?;
    Ok(ips)
}

fn pod_ref(pod: &Pod) -> PodRef {
    PodRef {
        uid: spec::uid(pod).to_owned(),
        namespace: spec::namespace(pod).to_owned(),
        name: spec::name(pod).to_owned(),
    }
}

fn host_ports(pod: &Pod) -> Vec<HostPort> {
    let units = spec::units(pod);
    let ports = units.iter().flat_map(|(_, c)| c.ports.iter().flatten());
    let wanted = ports.filter_map(|p| {
        Some(HostPort {
            protocol: match p.protocol.as_deref() {
                Some("UDP") => Protocol::Udp,
                Some("SCTP") => Protocol::Sctp,
                _ => Protocol::Tcp,
            },
            host_ip: p
                .host_ip
                .as_deref()
                .and_then(|ip| ip.parse::<IpAddr>().ok())
                .filter(|ip| !ip.is_unspecified()),
            host_port: p.host_port.and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0)?,
            container_port: u16::try_from(p.container_port).ok()?,
        })
    });
    wanted.collect()
}

async fn write_files(host: &Host, pod: &Arc<Pod>, ips: &[IpAddr], hostname: &str) -> Result<(), String> {
    let dir = host.layout.pod(spec::uid(pod));
    let ips: Vec<String> = ips.iter().map(ToString::to_string).collect();
    let dns = host.network.dns();
    let (pod, hostname, resolv) = (pod.clone(), hostname.to_owned(), host.cfg.resolv_conf.clone());
    blocking(move || {
        std::fs::create_dir_all(&dir)?;
        let node_hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        let node_resolv = std::fs::read_to_string(resolv).unwrap_or_default();
        std::fs::write(dir.join("etc-hosts"), files::hosts(&pod, &ips, &hostname, &dns.domain, &node_hosts))?;
        std::fs::write(dir.join("resolv.conf"), files::resolv_conf(&pod, &dns, &node_resolv))?;
        std::fs::write(dir.join("hostname"), format!("{hostname}\n"))
    })
    .await
}

async fn ensure_image(shared: &Shared, state: &PodState, i: usize) -> Result<ImageInfo, PullFailure> {
    let failed = |message: String| PullFailure { reason: "ErrImagePull", message };
    let secrets = spec::spec(&state.pod).image_pull_secrets.iter().flatten().map(|r| r.name.clone());
    let names: Vec<String> = secrets.collect();
    let auth = if names.is_empty() {
        Vec::new()
    } else {
        let objects = shared.sources.objects().await.map_err(|e| failed(e.to_string()))?;
        images::credentials(names.into_iter(), &objects)
    };
    let host = &shared.host;
    let container = &state.containers[i].spec;
    images::ensure(&host.runtime, container, &auth, &host.recorder, &reference(&state.pod, Some(container)))
        .await
}

/// Makes and starts a container, runs its postStart hook, and says so.
async fn start(shared: &Arc<Shared>, state: &PodState, i: usize, attempt: u32) {
    let container = state.containers[i].spec.clone();
    let result = try_start(shared, state, i, attempt).await;
    let id = result.as_ref().ok().map(|instance| instance.id.clone());
    if let Err(failure) = &result {
        let message = match failure {
            StartFailure::NotCreated { message, .. } => message,
            StartFailure::Ended(t) => &t.message,
        };
        let text = format!("Error: {message}");
        shared.host.event(&state.pod, Some(&container), true, "Failed", text);
    }
    shared.send(Input::Started { container: i, attempt, result });
    if let Some(id) = id
        && shared.host.runtime.container(&id).is_none_or(|c| c.state == ContainerState::Exited)
    {
        report_exit(shared, Some(container), &id).await;
    }
}

async fn try_start(
    shared: &Shared,
    state: &PodState,
    i: usize,
    attempt: u32,
) -> Result<Instance, StartFailure> {
    let host = &shared.host;
    let c = &state.containers[i];
    let id = create(shared, state, i, attempt).await?;
    host.event(&state.pod, Some(&c.spec), false, "Created", "Container created".to_owned());
    let begun = host.metrics.operation("start_container", host.runtime.start_container(&id)).await;
    if let Err(error) = begun {
        return Err(StartFailure::Ended(not_started(&id, &error)));
    }
    host.event(&state.pod, Some(&c.spec), false, "Started", "Container started".to_owned());
    let kind = match c.role {
        Role::Init => "init_container",
        Role::Ephemeral => "ephemeral_container",
        Role::Main | Role::Sidecar => "container",
    };
    host.metrics.started_containers.with_label_values(&[kind]).inc();
    let started_at = host.runtime.container(&id).and_then(|s| s.started_at).unwrap_or_else(Timestamp::now);
    let hook = c.spec.lifecycle.as_ref().and_then(|l| l.post_start.as_ref()).filter(|_| c.role.is_service());
    if let Some(hook) = hook {
        let ip = state.ips.first().copied().unwrap_or(NO_ADDRESS);
        if let Err(error) = hooks::run(&host.runtime, hook, &c.spec, &id, ip, hooks::NO_LIMIT).await {
            tracing::info!(pod = %spec::display(&state.pod), container = c.name(), %error, "postStart hook failed");
            host.event(
                &state.pod,
                Some(&c.spec),
                true,
                "FailedPostStartHook",
                "PostStartHook failed".to_owned(),
            );
            let grace = Duration::from_secs(spec::grace_s(&state.pod) as u64);
            warn(
                &state.pod,
                "container not stopped",
                host.runtime.stop_container(&id, libc::SIGTERM, grace).await,
            );
            return Err(StartFailure::Ended(ended(host, Some(c.spec.clone()), &id).await));
        }
    }
    Ok(Instance { id, started_at })
}

async fn create(shared: &Shared, state: &PodState, i: usize, attempt: u32) -> Result<String, StartFailure> {
    let config = |message: String| StartFailure::NotCreated { reason: "CreateContainerConfigError", message };
    let broken = |message: String| StartFailure::NotCreated { reason: "CreateContainerError", message };
    let host = &shared.host;
    let c = &state.containers[i];
    let objects = shared.sources.objects().await.map_err(|e| config(e.to_string()))?;
    let synced = tokio::time::timeout(Duration::from_secs(10), host.services.synced()).await;
    synced.map_err(|_| {
        config("services have not yet been read at least once, cannot construct envvars".to_owned())
    })?;
    let services = host.services.list();
    let place = host.place(state.ips.iter().map(ToString::to_string).collect());
    let facts = env::Facts {
        pod: &state.pod,
        container: &c.spec,
        place: &place,
        objects: &objects,
        services: &services,
    };
    let env = env::build(&facts).map_err(|e| config(e.to_string()))?;
    let name = c.spec.image.as_deref().unwrap_or_default();
    let image = host.runtime.image(name).ok_or_else(|| broken(format!("image \"{name}\": not found")))?;
    let made = container_spec::container(container_spec::Facts {
        pod: &state.pod,
        container: &c.spec,
        attempt,
        image: &image,
        env,
        layout: &host.layout,
        log_dir: &host.cfg.log_dir,
        machine_memory: host.machine.memory_bytes as u64,
    });
    let made = made.map_err(|e| config(e.to_string()))?;
    let last_words = host.layout.termination_log(state.uid(), c.name(), attempt);
    blocking(move || {
        use std::os::unix::fs::PermissionsExt;
        if let Some(dir) = last_words.parent() {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::write(&last_words, b"")?;
        std::fs::set_permissions(&last_words, std::fs::Permissions::from_mode(0o666))
    })
    .await
    .map_err(broken)?;
    let created = host.runtime.create_container(state.uid(), made);
    host.metrics.operation("create_container", created).await.map_err(|e| broken(e.to_string()))
}

fn not_started(id: &str, error: &RuntimeError) -> Terminated {
    let exit_code = if let RuntimeError::Start { exit_code, .. } = error { *exit_code } else { 128 };
    Terminated {
        id: id.to_owned(),
        exit_code,
        signal: None,
        reason: "StartError".to_owned(),
        message: error.to_string(),
        started_at: Some(Timestamp::UNIX_EPOCH),
        finished_at: Some(Timestamp::now()),
    }
}

/// The end of a container, as the runtime and its last words tell it.
async fn ended(host: &Arc<Host>, container: Option<Arc<Container>>, id: &str) -> Terminated {
    let lost = Terminated {
        id: id.to_owned(),
        exit_code: 137,
        signal: None,
        reason: "ContainerStatusUnknown".to_owned(),
        message: "The container could not be located when the pod was terminated".to_owned(),
        started_at: None,
        finished_at: Some(Timestamp::now()),
    };
    let Some(status) = host.runtime.container(id) else { return lost };
    let layout = host.layout.clone();
    let work = move || exit::terminated(&layout, container.as_deref(), &status);
    tokio::task::spawn_blocking(work).await.unwrap_or(lost)
}

/// Tells the worker that container `id` has ended.
pub async fn report_exit(shared: &Arc<Shared>, container: Option<Arc<Container>>, id: &str) {
    let terminated = ended(&shared.host, container, id).await;
    shared.send(Input::Exited(terminated));
}

async fn stop(shared: &Arc<Shared>, state: &PodState, i: usize, id: &str, grace_s: i64, hook: bool) {
    let host = &shared.host;
    let c = &state.containers[i];
    let begun = Instant::now();
    let grace = Duration::from_secs(grace_s.max(0) as u64);
    let pre_stop =
        c.spec.lifecycle.as_ref().and_then(|l| l.pre_stop.as_ref()).filter(|_| hook && c.role.is_service());
    if let Some(pre_stop) = pre_stop {
        let ip = state.ips.first().copied().unwrap_or(NO_ADDRESS);
        if let Err(error) = hooks::run(&host.runtime, pre_stop, &c.spec, id, ip, grace).await {
            tracing::info!(pod = %spec::display(&state.pod), container = c.name(), %error, "preStop hook failed");
            host.event(&state.pod, Some(&c.spec), true, "FailedPreStopHook", "PreStopHook failed".to_owned());
        }
    }
    let least = Duration::from_secs(if pre_stop.is_some() { 2 } else { 0 });
    let left = grace.saturating_sub(begun.elapsed()).max(least);
    let asked = c.spec.lifecycle.as_ref().and_then(|l| l.stop_signal.clone());
    let image = host.runtime.image(c.spec.image.as_deref().unwrap_or_default());
    let signal = asked.or(image.map(|i| i.config.stop_signal)).unwrap_or_default();
    let stopped = host.runtime.stop_container(id, hooks::signal_number(&signal), left);
    warn(&state.pod, "container not stopped", host.metrics.operation("stop_container", stopped).await);
    if host.runtime.container(id).is_none_or(|c| c.state == ContainerState::Exited) {
        report_exit(shared, Some(c.spec.clone()), id).await;
    }
}

/// Takes back sandbox, network and volumes; logs and ended containers stay.
pub async fn clean_up(host: &Host, uid: &str) -> Result<(), String> {
    host.metrics
        .operation("stop_podsandbox", host.runtime.stop_sandbox(uid))
        .await
        .map_err(|e| e.to_string())?;
    host.network.detach(uid).await.map_err(|e| e.to_string())?;
    let (layout, uid) = (host.layout.clone(), uid.to_owned());
    blocking(move || layout.remove_volumes(&uid)).await
}

/// Removes the last traces of a pod.
pub async fn purge(host: &Host, uid: &str, log_dir: &Path) {
    if let Err(error) = host.runtime.remove_sandbox(uid).await {
        tracing::warn!(uid, %error, "sandbox not removed");
    }
    let (layout, log_dir, id) = (host.layout.clone(), log_dir.to_owned(), uid.to_owned());
    let removed = blocking(move || {
        layout.remove_pod(&id)?;
        match std::fs::remove_dir_all(log_dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    });
    if let Err(error) = removed.await {
        tracing::warn!(uid, %error, "files of a pod not removed");
    }
}

/// A probe of a running container.
pub fn probe(
    shared: &Arc<Shared>,
    state: &PodState,
    i: usize,
    instance: Instance,
    kind: ProbeKind,
) -> impl Future<Output = ()> + Send + 'static {
    let (shared, pod, container) = (shared.clone(), state.pod.clone(), state.containers[i].spec.clone());
    let target = probe::Target {
        runtime: shared.host.runtime.clone(),
        container: container.clone(),
        id: instance.id.clone(),
        started_at: instance.started_at,
        pod_ip: state.ips.first().copied().unwrap_or(shared.host.cfg.node_ip),
        kind,
    };
    async move {
        let report = |healthy, message| {
            shared.send(Input::Probed { id: instance.id.clone(), kind, healthy, message });
        };
        let unhealthy = |message| shared.host.event(&pod, Some(&container), true, "Unhealthy", message);
        let counted = |healthy: bool| {
            let result = if healthy { "successful" } else { "failed" };
            shared.host.metrics.probes.with_label_values(&[kind.name(), result]).inc();
        };
        probe::run(target, report, unhealthy, counted).await;
    }
}
