//! `trireme server`: one API server replica with its Raft member, controllers and scheduler.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use apiserver::pki::{self, JoinRole, Pki};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::host::notify;
use crate::up::layout::{Cluster, Files};

/// The file in a server's data folder that holds a token for joining servers and nodes.
pub const TOKEN_FILE: &str = "join-token";
/// Between two attempts to serve from a disk that failed.
const DISK_AGAIN: Duration = Duration::from_secs(5);
/// How long what is under way may take to end with its service.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(5);
const MEMBER_FILE: &str = "member.json";
const STORE_FOLDER: &str = "store";

/// Options of `trireme server`; each can stand in the configuration file too (in camelCase).
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Options {
    /// Configuration file (YAML); what the command line says wins.
    #[arg(long)]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Name of this server, unique in the cluster [default: the host's name].
    #[arg(long)]
    name: Option<String>,
    /// Folder of keys, log and snapshots [default: /var/lib/trireme/server].
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Address that the API is served on [default: 0.0.0.0:6443].
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Address of this machine that nodes and other servers reach it by [default: found by the routes].
    #[arg(long)]
    advertise_address: Option<IpAddr>,
    /// Address that the other servers' Raft connections come to [default: 0.0.0.0:2380].
    #[arg(long)]
    peer_listen: Option<SocketAddr>,
    /// Servers of the cluster to join (https://HOST:PORT, may be repeated); none: a new cluster.
    #[arg(long, value_name = "URL")]
    join: Vec<String>,
    /// Join without a vote, until `trireme admin member promote`.
    #[arg(long)]
    learner: bool,
    /// Join token, as `DATA-DIR/join-token` of a running server holds it.
    #[arg(long, env = "TRIREME_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// File that holds the join token.
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// More names or addresses for the serving certificate (may be repeated).
    #[arg(long, value_name = "NAME")]
    tls_san: Vec<String>,
    /// Addresses of Services [default: 10.96.0.0/16].
    #[arg(long)]
    service_cidr: Option<Ipv4Net>,
    /// Addresses of pods; every node gets a /24 of it [default: 10.244.0.0/16].
    #[arg(long)]
    cluster_cidr: Option<Ipv4Net>,
    /// DNS domain of the cluster [default: cluster.local].
    #[arg(long)]
    cluster_domain: Option<String>,
}

/// What a server that has become a member keeps about itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct MemberRecord {
    id: store::MemberId,
    /// Whether this member's cluster has been founded or joined.
    joined: bool,
}

/// Whether a server's data folder holds a member of a cluster, with its store.
pub fn has_state(data_dir: &Path) -> bool {
    read_member(data_dir).ok().flatten().is_some_and(|member| member.joined) && has_store(data_dir)
}

fn has_store(data_dir: &Path) -> bool {
    data_dir.join(STORE_FOLDER).join("member").exists()
}

/// Writes down which member a server is that did not become one by itself. Without keys it makes
/// new ones when it starts.
pub fn remember_member(data_dir: &Path, id: store::MemberId, has_keys: bool) -> Result<()> {
    write_member(data_dir, &MemberRecord { id, joined: has_keys })
}

/// A number that no other member has or had.
pub fn new_member_id() -> store::MemberId {
    // 53 bits: JSON numbers carry it whole.
    rand::random_range(1..1 << 53)
}

/// The cluster's keys from whichever server of a local cluster has them.
pub fn any_pki(files: &Files, cluster: &Cluster) -> Result<Pki> {
    let mut last = anyhow::anyhow!("no server of {} has keys", files.root.display());
    for server in cluster.server_hosts() {
        match Pki::load(&files.host(&server.name).join("pki")) {
            Ok(pki) => return Ok(pki),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

/// Options with every default filled in.
struct Settings {
    name: String,
    data_dir: PathBuf,
    listen: SocketAddr,
    advertise: IpAddr,
    peer_listen: SocketAddr,
    join: Vec<String>,
    learner: bool,
    token: Option<String>,
    tls_san: Vec<String>,
    service_cidr: Ipv4Net,
    cluster_cidr: Ipv4Net,
    cluster_domain: String,
}

fn settle(flags: &Options) -> Result<Settings> {
    let file: Options = config::read(flags.config.as_deref())?;
    let pick = |a: &Vec<String>, b: &Vec<String>| if a.is_empty() { b.clone() } else { a.clone() };
    let advertise = flags.advertise_address.or(file.advertise_address);
    let token_file = flags.token_file.clone().or(file.token_file);
    let token = flags.token.clone().or(file.token);
    Ok(Settings {
        name: flags.name.clone().or(file.name).map_or_else(config::host_name, Ok)?,
        data_dir: flags
            .data_dir
            .clone()
            .or(file.data_dir)
            .unwrap_or_else(|| "/var/lib/trireme/server".into()),
        listen: flags.listen.or(file.listen).unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 6443))),
        advertise: advertise.map_or_else(config::own_address, Ok)?,
        peer_listen: flags
            .peer_listen
            .or(file.peer_listen)
            .unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 2380))),
        join: pick(&flags.join, &file.join),
        learner: flags.learner || file.learner,
        token: config::token(token, token_file.as_deref())?,
        tls_san: pick(&flags.tls_san, &file.tls_san),
        service_cidr: flags.service_cidr.or(file.service_cidr).map_or_else(|| "10.96.0.0/16".parse(), Ok)?,
        cluster_cidr: flags.cluster_cidr.or(file.cluster_cidr).map_or_else(|| "10.244.0.0/16".parse(), Ok)?,
        cluster_domain: flags
            .cluster_domain
            .clone()
            .or(file.cluster_domain)
            .unwrap_or_else(|| "cluster.local".into()),
    })
}

/// Serves until told to stop. A disk that is full, read-only or broken ends the service, not the
/// process: it begins anew as soon as the disk works again.
pub fn run(options: &Options) -> Result<()> {
    let settings = settle(options)?;
    let control = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let stop = control.block_on(async { crate::stop::on_signals() })?;
    loop {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let ended = runtime.block_on(serve(&settings, &stop));
        // Nothing of a service that failed goes on beside the next one.
        runtime.shutdown_timeout(SHUTDOWN_WITHIN);
        match ended {
            Err(error) if is_disk_fault(&error) => {
                let again_s = DISK_AGAIN.as_secs();
                tracing::error!(
                    "{error:#}. This server does not serve; it tries again every {again_s} s: repair the disk or make room"
                );
            }
            done => return done,
        }
        let waited = control.block_on(async { tokio::time::timeout(DISK_AGAIN, stop.cancelled()).await });
        if waited.is_ok() {
            return Ok(());
        }
    }
}

/// Whether an error is the disk's, and may be over when somebody repairs it or makes room.
fn is_disk_fault(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let by_disk = |error: &std::io::Error| {
        matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
            || error.raw_os_error() == Some(libc::EIO)
    };
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(by_disk)
            || matches!(cause.downcast_ref(), Some(store::Doubt::Fault { .. }))
    })
}

async fn serve(settings: &Settings, stop: &CancellationToken) -> Result<()> {
    std::fs::create_dir_all(&settings.data_dir)
        .with_context(|| format!("create {}", settings.data_dir.display()))?;
    let mut member = member(&settings.data_dir, !settings.join.is_empty())?;
    let pki = keys(settings, &member).await?;
    let registry = prometheus::Registry::new();
    let store = open_store(settings, &pki, member.id, &registry).await?;
    if !member.joined {
        enter_cluster(settings, &pki, &store, member.id).await?;
        member.joined = true;
        write_member(&settings.data_dir, &member)?;
    }
    let api = start_api(settings, &pki, &registry, &store).await?;
    let mut components = Components::default();
    let serving =
        Serving { settings, id: member.id, pki: &pki, registry: &registry, store: &store, api: &api, stop };
    let outcome = tokio::select! {
        outcome = until_stopped(&serving, &mut components) => outcome,
        why = store.stopped() => Err(anyhow::Error::new(why).context("the store stopped")),
    };
    if outcome.is_err() {
        // What still runs ends with the runtime: clients shall find another server at once.
        store.shutdown().await;
        return outcome;
    }
    tracing::info!("stopping");
    store.leave().await;
    let stopped = tokio::select! {
        stopped = stop_in_order(components, &store, api) => stopped,
        // The others stop, too: there is nobody to hand anything to, and nothing can be written.
        () = store.abandoned() => Ok(()),
    };
    store.shutdown().await;
    stopped
}

/// Gives up what this server leads, and lets requests that are under way end.
async fn stop_in_order(
    components: Components,
    store: &store::Store,
    api: apiserver::Apiserver,
) -> Result<()> {
    components.stop().await?;
    if let Err(error) = store.transfer_leadership().await {
        tracing::info!(%error, "leadership not handed over");
    }
    api.shutdown().await;
    Ok(())
}

/// What a server consists of.
struct Serving<'a> {
    settings: &'a Settings,
    id: u64,
    pki: &'a Pki,
    registry: &'a prometheus::Registry,
    store: &'a store::Store,
    api: &'a apiserver::Apiserver,
    stop: &'a CancellationToken,
}

/// The controllers and the scheduler of this server, once they run.
#[derive(Default)]
struct Components {
    stop: CancellationToken,
    running: Vec<tokio::task::JoinHandle<()>>,
}

impl Components {
    async fn stop(self) -> Result<()> {
        self.stop.cancel();
        for component in self.running {
            component.await.context("a component panicked")?;
        }
        Ok(())
    }
}

/// Tells when the server is ready, starts its components, and goes on until it is told to stop.
async fn until_stopped(serving: &Serving<'_>, components: &mut Components) -> Result<()> {
    let Serving { settings, api, stop, .. } = serving;
    tokio::select! {
        () = api.ready() => {}
        () = stop.cancelled() => return Ok(()),
    }
    ensure_token(settings, api).await?;
    // Only now: what they may do is among the objects that every cluster has from its start.
    components.running = start_components(serving, &components.stop);
    notify::ready(&settings.name);
    tracing::info!(name = settings.name, "ready");
    stop.cancelled().await;
    Ok(())
}

/// The cluster's keys: kept, fetched from the cluster to join, or made for a new one.
async fn keys(settings: &Settings, member: &MemberRecord) -> Result<Pki> {
    let folder = settings.data_dir.join("pki");
    if member.joined {
        return Pki::load(&folder).context("this member's keys are damaged: restore its pki folder, or remove its data folder and join again");
    }
    if settings.join.is_empty() {
        return Ok(Pki::create(&folder)?);
    }
    let Some(token) = &settings.token else {
        bail!(
            "joining needs a token: give --token or --token-file (a running server has one in its data folder)"
        );
    };
    let token = token.parse().context("the join token is not usable")?;
    pki::join_server(&settings.join, &token, &folder).await.context("join the cluster")
}

async fn open_store(
    settings: &Settings,
    pki: &Pki,
    id: u64,
    registry: &prometheus::Registry,
) -> Result<store::Store> {
    let peer = pki.peer_tls(&settings.name)?;
    let config = store::StoreConfig {
        id,
        data_dir: settings.data_dir.join(STORE_FOLDER),
        peer_listen: settings.peer_listen,
        peer_advertise: SocketAddr::new(settings.advertise, settings.peer_listen.port()).to_string(),
        tls_server: peer.server,
        tls_client: peer.client,
        peer_server_name: peer.server_name,
        timings: store::Timings::default(),
        limits: store::Limits::default(),
        history: store::DEFAULT_HISTORY,
        registry: registry.clone(),
    };
    Ok(store::Store::open(config).await?)
}

async fn enter_cluster(settings: &Settings, pki: &Pki, store: &store::Store, id: u64) -> Result<()> {
    if settings.join.is_empty() {
        store.init_cluster().await.context("found the cluster")?;
    } else {
        let address = SocketAddr::new(settings.advertise, settings.peer_listen.port()).to_string();
        pki::join_member(&settings.join, pki, id, &address, settings.learner)
            .await
            .context("become a member of the cluster")?;
    }
    Ok(())
}

async fn start_api(
    settings: &Settings,
    pki: &Pki,
    registry: &prometheus::Registry,
    store: &store::Store,
) -> Result<apiserver::Apiserver> {
    let advertise = SocketAddr::new(settings.advertise, settings.listen.port()).to_string();
    let mut config = apiserver::Config::new(
        &settings.name,
        settings.listen,
        &advertise,
        settings.data_dir.clone(),
        pki.clone(),
    );
    config.service_cidr = settings.service_cidr;
    config.dns_ip = config::dns_address(settings.service_cidr)?;
    config.cluster_domain = settings.cluster_domain.clone();
    config.extra_names = settings.tls_san.clone();
    config.registry = registry.clone();
    Ok(apiserver::start(config, store.clone()).await?)
}

fn start_components(serving: &Serving<'_>, stop: &CancellationToken) -> Vec<tokio::task::JoinHandle<()>> {
    let Serving { settings, id, pki, registry, store, api, .. } = serving;
    let registry = *registry;
    let manager =
        client::in_process(api.in_process("system:kube-controller-manager", &["system:authenticated"]));
    let identity = format!("{}_{id}", settings.name);
    let lost = lost_leaders(store, stop.clone());
    let shared = controllers::Shared::start(&manager);
    let (pods, nodes, namespaces) = (shared.pods.clone(), shared.nodes.clone(), shared.namespaces.clone());
    let options = controllers::Options {
        identity: identity.clone(),
        cluster_cidr: settings.cluster_cidr.into(),
        ca_pem: pki.ca_pem().to_owned(),
        registry: registry.clone(),
        lost: Some(lost.clone()),
        shared,
    };
    let scheduling = client::in_process(api.in_process("system:kube-scheduler", &["system:authenticated"]));
    let mut scheduler_options = scheduler::Options::new(&identity, registry.clone());
    scheduler_options.lost = Some(lost);
    // What there may be a hundred thousand of is held once.
    scheduler_options.caches = Some(scheduler::Caches { pods, nodes, namespaces });
    vec![
        tokio::spawn(controllers::run(manager, options, stop.clone())),
        tokio::spawn(scheduler::run(scheduling, scheduler_options, stop.clone())),
    ]
}

/// Tells which member led the store until another one took over: as a rule, because it died. Its
/// leases need not be waited for.
fn lost_leaders(store: &store::Store, stop: CancellationToken) -> tokio::sync::watch::Receiver<String> {
    let (sender, receiver) = tokio::sync::watch::channel(String::new());
    let mut leadership = store.leadership();
    tokio::spawn(async move {
        let mut last = leadership.borrow_and_update().leader;
        while stop.run_until_cancelled(leadership.changed()).await.is_some_and(|changed| changed.is_ok()) {
            let now = leadership.borrow_and_update().leader;
            if let (Some(old), Some(new)) = (last, now)
                && old != new
            {
                sender.send_replace(old.to_string());
            }
            last = now.or(last);
        }
    });
    receiver
}

/// Keeps a valid join token in the data folder, where only root may read it.
async fn ensure_token(settings: &Settings, api: &apiserver::Apiserver) -> Result<()> {
    let path = settings.data_dir.join(TOKEN_FILE);
    if path.exists() {
        return Ok(());
    }
    let token = api.create_join_token(JoinRole::Server).await.map_err(|error| anyhow::anyhow!(error))?;
    crate::secret_file::write(&path, format!("{token}\n").as_bytes())
}

/// Which member this server is. One that lost its store becomes a new one, if it can join.
fn member(data_dir: &Path, joins: bool) -> Result<MemberRecord> {
    if let Some(known) = read_member(data_dir)? {
        if !known.joined || has_store(data_dir) {
            return Ok(known);
        }
        if !joins {
            bail!(
                "the store in {0} is gone, but the cluster it was a member of may go on without it: give --join and a \
                 token to join that again (this server gets its seat back), restore a snapshot with `trireme admin \
                 snapshot restore`, or remove {0} to found a new cluster",
                data_dir.display()
            );
        }
        // It has forgotten what it promised as that member, and must not be it any more.
        tracing::warn!(lost = known.id, "the store of this server is gone: it joins as a new member");
    }
    let fresh = MemberRecord { id: new_member_id(), joined: false };
    write_member(data_dir, &fresh)?;
    Ok(fresh)
}

fn read_member(data_dir: &Path) -> Result<Option<MemberRecord>> {
    let path = data_dir.join(MEMBER_FILE);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).with_context(|| {
            format!("{} is damaged: remove {} and join again", path.display(), data_dir.display())
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

fn write_member(data_dir: &Path, member: &MemberRecord) -> Result<()> {
    crate::secret_file::write(&data_dir.join(MEMBER_FILE), &serde_json::to_vec(member)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_disk_is_told_from_other_trouble() {
        let io = |code| anyhow::Error::new(std::io::Error::from_raw_os_error(code)).context("open the store");
        let fault = |problem: &str| store::Doubt::Fault { problem: problem.to_owned() };
        let cases = [
            (io(libc::ENOSPC), true),
            (io(libc::EDQUOT), true),
            (io(libc::EROFS), true),
            (io(libc::EIO), true),
            (anyhow::Error::new(fault("cannot write the log")).context("the store stopped"), true),
            (io(libc::EACCES), false),
            (anyhow::Error::new(store::Doubt::Stopped), false),
            (anyhow::anyhow!("the address is taken"), false),
        ];
        for (error, expected) in cases {
            assert_eq!(is_disk_fault(&error), expected, "{error:#}");
        }
    }

    #[test]
    fn a_server_without_its_store_is_no_member_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let first = member(folder.path(), false).unwrap();
        assert_eq!(
            member(folder.path(), false).unwrap().id,
            first.id,
            "until it is a member it keeps its number"
        );
        remember_member(folder.path(), first.id, true).unwrap();
        std::fs::create_dir(folder.path().join(STORE_FOLDER)).unwrap();
        std::fs::write(folder.path().join(STORE_FOLDER).join("member"), "").unwrap();
        assert!(has_state(folder.path()));
        assert_eq!(member(folder.path(), false).unwrap().id, first.id);
        std::fs::remove_dir_all(folder.path().join(STORE_FOLDER)).unwrap();
        assert!(!has_state(folder.path()));
        let refused = member(folder.path(), false).unwrap_err().to_string();
        assert!(refused.contains("--join") && refused.contains("restore"), "{refused}");
        let next = member(folder.path(), true).unwrap();
        assert!(next.id != first.id && !next.joined, "it joins as another");
    }
}
