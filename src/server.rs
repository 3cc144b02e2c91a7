//! `trireme server`: one API server replica with its Raft member, controllers and scheduler.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

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
const MEMBER_FILE: &str = "member.json";

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

/// Whether a server's data folder holds a member of a cluster.
pub fn has_state(data_dir: &Path) -> bool {
    read_member(data_dir).ok().flatten().is_some_and(|member| member.joined)
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

/// Serves until told to stop.
pub fn run(options: &Options) -> Result<()> {
    let settings = settle(options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: Settings) -> Result<()> {
    let stop = crate::stop::on_signals()?;
    std::fs::create_dir_all(&settings.data_dir)
        .with_context(|| format!("create {}", settings.data_dir.display()))?;
    let mut member = member(&settings.data_dir)?;
    let pki = keys(&settings, &member).await?;
    let registry = prometheus::Registry::new();
    let store = open_store(&settings, &pki, member.id, &registry).await?;
    if !member.joined {
        enter_cluster(&settings, &pki, &store, member.id).await?;
        member.joined = true;
        write_member(&settings.data_dir, &member)?;
    }
    let api = start_api(&settings, &pki, &registry, &store).await?;
    let components = CancellationToken::new();
    let working = start_components(&settings, member.id, &pki, &registry, &store, &api, &components);
    tokio::select! {
        outcome = until_stopped(&settings, &api, &stop) => outcome?,
        why = store.stopped() => bail!("the store stopped: {why}"),
    }
    tracing::info!("stopping");
    components.cancel();
    for component in working {
        component.await.context("a component panicked")?;
    }
    // Hands the leadership over before this member goes away.
    if let Err(error) = store.transfer_leadership().await {
        tracing::info!(%error, "leadership not handed over");
    }
    api.shutdown().await;
    store.shutdown().await;
    Ok(())
}

/// Tells when the server is ready, and goes on until it is told to stop.
async fn until_stopped(
    settings: &Settings,
    api: &apiserver::Apiserver,
    stop: &CancellationToken,
) -> Result<()> {
    tokio::select! {
        () = api.ready() => {}
        () = stop.cancelled() => return Ok(()),
    }
    ensure_token(settings, api).await?;
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
        data_dir: settings.data_dir.join("store"),
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
        pki::join_member(&settings.join, pki, id, &address)
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

fn start_components(
    settings: &Settings,
    id: u64,
    pki: &Pki,
    registry: &prometheus::Registry,
    store: &store::Store,
    api: &apiserver::Apiserver,
    stop: &CancellationToken,
) -> Vec<tokio::task::JoinHandle<()>> {
    let manager =
        client::in_process(api.in_process("system:kube-controller-manager", &["system:authenticated"]));
    let identity = format!("{}_{id}", settings.name);
    let lost = lost_leaders(store, stop.clone());
    let options = controllers::Options {
        identity: identity.clone(),
        cluster_cidr: settings.cluster_cidr.into(),
        ca_pem: pki.ca_pem().to_owned(),
        registry: registry.clone(),
        lost: Some(lost.clone()),
    };
    let scheduling = client::in_process(api.in_process("system:kube-scheduler", &["system:authenticated"]));
    let mut scheduler_options = scheduler::Options::new(&identity, registry.clone());
    scheduler_options.lost = Some(lost);
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

fn member(data_dir: &Path) -> Result<MemberRecord> {
    if let Some(known) = read_member(data_dir)? {
        return Ok(known);
    }
    // 53 bits: JSON numbers carry it whole.
    let fresh = MemberRecord { id: rand::random_range(1..1 << 53), joined: false };
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
