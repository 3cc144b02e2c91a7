//! `trireme agent`: one node: containers, pod network, service proxy, DNS.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use apiserver::pki::{self, NodeCredentials};
use ipnet::Ipv4Net;
use serde::Deserialize;

use crate::config;

/// Unix socket in an agent's data folder through which root manages its images.
pub const SOCKET_FILE: &str = "agent.sock";

/// Options of `trireme agent`; each can stand in the configuration file too (in camelCase).
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Options {
    /// Configuration file (YAML); what the command line says wins.
    #[arg(long)]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Name of the node [default: the host's name].
    #[arg(long)]
    name: Option<String>,
    /// Folder of keys, images, containers and pods [default: /var/lib/trireme/agent].
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Servers of the cluster (https://HOST:PORT, may be repeated).
    #[arg(long, value_name = "URL")]
    join: Vec<String>,
    /// Join token; needed once.
    #[arg(long, env = "TRIREME_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// File that holds the join token.
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// Address that the other machines reach this node by [default: found by the routes].
    #[arg(long)]
    node_ip: Option<IpAddr>,
    /// Port of the node's own API [default: 10250].
    #[arg(long)]
    port: Option<u16>,
    /// cgroup that all pods are put under [default: trireme].
    #[arg(long)]
    cgroup_parent: Option<String>,
    /// HTTP proxy for image pulls.
    #[arg(long, value_name = "URL")]
    image_proxy: Option<String>,
    /// Registry that is spoken to without TLS (may be repeated).
    #[arg(long = "insecure-registry", value_name = "HOST:PORT")]
    insecure_registries: Vec<String>,
    /// DNS server for names outside the cluster (may be repeated) [default: those of /etc/resolv.conf].
    #[arg(long, value_name = "IP:PORT")]
    upstream_dns: Vec<SocketAddr>,
    /// Label of the node (KEY=VALUE, may be repeated).
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// Most pods on this node [default: 110].
    #[arg(long)]
    max_pods: Option<u32>,
    /// Addresses of Services [default: 10.96.0.0/16].
    #[arg(long)]
    service_cidr: Option<Ipv4Net>,
    /// Addresses of pods [default: 10.244.0.0/16].
    #[arg(long)]
    cluster_cidr: Option<Ipv4Net>,
    /// DNS domain of the cluster [default: cluster.local].
    #[arg(long)]
    cluster_domain: Option<String>,
}

/// Options with every default filled in.
pub struct Settings {
    pub name: String,
    pub data_dir: PathBuf,
    pub join: Vec<String>,
    pub token: Option<String>,
    pub node_ip: IpAddr,
    pub port: u16,
    pub cgroup_parent: String,
    pub image_proxy: Option<String>,
    pub insecure_registries: Vec<String>,
    pub upstream_dns: Vec<SocketAddr>,
    pub labels: Vec<(String, String)>,
    pub max_pods: u32,
    pub service_cidr: Ipv4Net,
    pub cluster_cidr: Ipv4Net,
    pub cluster_domain: String,
}

fn settle(flags: &Options) -> Result<Settings> {
    let file: Options = config::read(flags.config.as_deref())?;
    let join = pick(&flags.join, file.join);
    if join.is_empty() {
        bail!("an agent needs a server: give --join https://HOST:6443");
    }
    let token_file = flags.token_file.clone().or(file.token_file);
    let labels = pick(&flags.labels, file.labels);
    Ok(Settings {
        name: flags.name.clone().or(file.name).map_or_else(config::host_name, Ok)?,
        data_dir: flags.data_dir.clone().or(file.data_dir).unwrap_or_else(|| "/var/lib/trireme/agent".into()),
        join,
        token: config::token(flags.token.clone().or(file.token), token_file.as_deref())?,
        node_ip: flags.node_ip.or(file.node_ip).map_or_else(config::own_address, Ok)?,
        port: flags.port.or(file.port).unwrap_or(10250),
        cgroup_parent: flags.cgroup_parent.clone().or(file.cgroup_parent).unwrap_or_else(|| "trireme".into()),
        image_proxy: flags.image_proxy.clone().or(file.image_proxy),
        insecure_registries: pick(&flags.insecure_registries, file.insecure_registries),
        upstream_dns: pick(&flags.upstream_dns, file.upstream_dns),
        labels: labels.iter().map(|label| parse_label(label)).collect::<Result<_>>()?,
        max_pods: flags.max_pods.or(file.max_pods).unwrap_or(110),
        service_cidr: flags.service_cidr.or(file.service_cidr).map_or_else(|| "10.96.0.0/16".parse(), Ok)?,
        cluster_cidr: flags.cluster_cidr.or(file.cluster_cidr).map_or_else(|| "10.244.0.0/16".parse(), Ok)?,
        cluster_domain: flags
            .cluster_domain
            .clone()
            .or(file.cluster_domain)
            .unwrap_or_else(|| "cluster.local".into()),
    })
}

fn pick<T: Clone>(flags: &[T], file: Vec<T>) -> Vec<T> {
    if flags.is_empty() { file } else { flags.to_vec() }
}

fn parse_label(text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').with_context(|| format!("label {text:?} is not KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Whether an agent's data folder holds a node's credentials.
pub fn has_state(data_dir: &Path) -> bool {
    data_dir.join("pki").join("ca.crt").exists()
}

/// The folder that the runtime keeps images and containers in.
pub fn runtime_root(data_dir: &Path) -> PathBuf {
    data_dir.join("runtime")
}

/// Runs the node until told to stop; its containers go on.
pub fn run(options: &Options) -> Result<()> {
    crate::host::privilege::check()?;
    let settings = settle(options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(work(settings))
}

async fn work(settings: Settings) -> Result<()> {
    let stop = crate::stop::on_signals()?;
    std::fs::create_dir_all(&settings.data_dir)
        .with_context(|| format!("create {}", settings.data_dir.display()))?;
    let containers = open_runtime(&settings).await?;
    let credentials = credentials(&settings).await?;
    let endpoints = client::Endpoints {
        urls: settings.join.clone(),
        ca_pem: credentials.ca_pem.clone(),
        identity: Some((credentials.client.cert_pem.clone(), credentials.client.key_pem.clone())),
        token: None,
    };
    let client = client::connect(endpoints)?;
    let registry = prometheus::Registry::new();
    let network = network::start(network_config(&settings, &registry)?, client.clone(), stop.clone()).await?;
    let images = crate::image::serve(&settings.data_dir.join(SOCKET_FILE), containers.clone())?;
    let config = agent_config(&settings, credentials, registry);
    let outcome = agent::run(config, client, containers, network, stop).await;
    images.abort();
    Ok(outcome?)
}

async fn open_runtime(settings: &Settings) -> Result<Arc<runtime::Runtime>> {
    let config = runtime::RuntimeConfig {
        root: runtime_root(&settings.data_dir),
        shim_exe: std::env::current_exe().context("find this program's own file")?,
        cgroup_parent: settings.cgroup_parent.clone(),
        registries: runtime::RegistryConfig {
            insecure_http: settings.insecure_registries.clone(),
            proxy: settings.image_proxy.clone(),
            ..Default::default()
        },
    };
    Ok(runtime::Runtime::open(config).await?)
}

/// The node's certificates: kept, or fetched with the token.
async fn credentials(settings: &Settings) -> Result<NodeCredentials> {
    let folder = settings.data_dir.join("pki");
    if let Some(kept) = pki::load_node(&folder) {
        return Ok(kept);
    }
    let Some(token) = &settings.token else {
        bail!("joining needs a token: give --token or --token-file (a server has one in its data folder)");
    };
    let token = token.parse().context("the join token is not usable")?;
    let addresses = [settings.node_ip];
    pki::join_agent(&settings.join, &token, &settings.name, &addresses, &folder)
        .await
        .context("join the cluster")
}

fn network_config(settings: &Settings, registry: &prometheus::Registry) -> Result<network::NetworkConfig> {
    let upstream_dns = if settings.upstream_dns.is_empty() {
        config::resolvers(Path::new("/etc/resolv.conf"))?
    } else {
        settings.upstream_dns.clone()
    };
    Ok(network::NetworkConfig {
        node_name: settings.name.clone(),
        node_ip: settings.node_ip,
        interface: None,
        state_dir: settings.data_dir.join("network"),
        service_cidr: settings.service_cidr.into(),
        cluster_cidr: settings.cluster_cidr.into(),
        cluster_domain: settings.cluster_domain.clone(),
        dns_ip: config::dns_address(settings.service_cidr)?.into(),
        upstream_dns,
        registry: registry.clone(),
    })
}

fn agent_config(
    settings: &Settings,
    credentials: NodeCredentials,
    registry: prometheus::Registry,
) -> agent::AgentConfig {
    agent::AgentConfig {
        node_name: settings.name.clone(),
        node_ip: settings.node_ip,
        data_dir: settings.data_dir.clone(),
        log_dir: settings.data_dir.join("pod-logs"),
        listen: SocketAddr::new(settings.node_ip, settings.port),
        tls: agent::ServingIdentity {
            cert_pem: credentials.serving.cert_pem,
            key_pem: credentials.serving.key_pem,
            client_ca_pem: credentials.ca_pem,
        },
        labels: settings.labels.iter().cloned().collect(),
        taints: Vec::new(),
        max_pods: settings.max_pods,
        reserved_cpu_millis: 0,
        reserved_memory_bytes: 0,
        static_pod_dir: None,
        resolv_conf: "/etc/resolv.conf".into(),
        timings: agent::Timings::default(),
        registry,
    }
}
