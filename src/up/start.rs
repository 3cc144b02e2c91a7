//! Starts the processes of a local cluster, each in its namespace, in the order that joining needs.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::layout::{API_PORT, Cluster, Files, GATEWAY_PORT, Host, Role, switch_address};
use crate::host::notify::Listener;
use crate::host::process::{Process, Spawn};
use crate::progress::Progress;

/// How long the servers may take until they answer.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Starts every process that does not run, and waits until the servers answer.
pub fn all(files: &Files, cluster: &Cluster, shown: &Progress) -> Result<()> {
    shown.step("balancer", || balancer(files, cluster))?;
    let notify = Listener::open(&PathBuf::from(format!("/run/trireme-{}/notify.sock", cluster.id)))?;
    let begun = |server: &Host| crate::server::has_state(&files.host(&server.name));
    if !cluster.server_hosts().any(|server| begun(&server)) {
        let first: Vec<Host> = cluster.server_hosts().take(1).collect();
        shown.step("first server", || servers(files, cluster, &first, &notify, Duration::ZERO))?;
    }
    let every: Vec<Host> = cluster.server_hosts().collect();
    // The nodes start beside the remaining servers: they need only one that answers.
    if every.iter().any(begun) && files.host("server-1").join(crate::server::TOKEN_FILE).exists() {
        agents(files, cluster)?;
    }
    shown.step("all servers", || servers(files, cluster, &every, &notify, READY_WITHIN))?;
    shown.step("agents", || agents(files, cluster))
}

/// Writes `DIR/admin.kubeconfig`, which leads through the balancer.
pub fn write_kubeconfig(files: &Files, cluster: &Cluster) -> Result<PathBuf> {
    let path = files.kubeconfig();
    let pki = crate::server::any_pki(files, cluster)?;
    let text = pki.admin_kubeconfig(&format!("https://127.0.0.1:{}", cluster.port))?;
    crate::secret_file::write(&path, text.as_bytes())?;
    Ok(path)
}

fn balancer(files: &Files, cluster: &Cluster) -> Result<()> {
    let name = "balancer";
    let servers: Vec<String> = cluster.api_addresses().iter().map(ToString::to_string).collect();
    let arguments = vec![
        name.into(),
        format!("--listen=127.0.0.1:{}", cluster.port),
        format!("--netns={}", cluster.netns_path("switch").display()),
        format!("--servers={}", servers.join(",")),
        format!("--gateway={}:{GATEWAY_PORT}", switch_address()),
    ];
    let wanted = arguments.join(" ");
    if let Some(running) = Process::find(&files.process(name))? {
        if std::fs::read_to_string(files.config(name)).is_ok_and(|had| had == wanted) {
            return Ok(());
        }
        running.end(Duration::from_secs(2))?;
    }
    refuse_busy_port(cluster.port)?;
    std::fs::write(files.config(name), wanted)?;
    let environment = vec![("TRIREME_GATEWAY_SECRET", cluster.gateway_secret.clone())];
    let spawn = Spawn {
        arguments,
        environment,
        namespace: None,
        log: &files.log(name),
        record: &files.process(name),
    };
    Process::start(&spawn).map(drop)
}

fn refuse_busy_port(port: u16) -> Result<()> {
    std::net::TcpListener::bind(("127.0.0.1", port)).map(drop).with_context(|| {
        format!("port {port} of the host's loopback is taken: stop what listens there or choose another with --port")
    })
}

/// Starts those of `hosts` that do not run; waits until all of those are ready (`patience` zero: the first).
fn servers(
    files: &Files,
    cluster: &Cluster,
    hosts: &[Host],
    notify: &Listener,
    patience: Duration,
) -> Result<()> {
    let patience = if patience.is_zero() { READY_WITHIN } else { patience };
    let mut waiting = BTreeSet::new();
    for server in hosts {
        if Process::find(&files.process(&server.name))?.is_some() {
            continue;
        }
        let founds = !crate::server::has_state(&files.host(&server.name)) && hosts.len() == 1;
        let configuration = server_configuration(files, cluster, server, founds)?;
        launch(files, cluster, server, "server", &configuration, Some(notify))?;
        waiting.insert(server.name.clone());
    }
    let deadline = Instant::now() + patience;
    while !waiting.is_empty() {
        // Woken at least this often, to see whether one of them has ended meanwhile.
        if let Some(ready) = notify.next(Duration::from_millis(200))? {
            waiting.remove(&ready);
        }
        for name in &waiting {
            if Process::find(&files.process(name))?.is_none() {
                bail!(
                    "{name} ended while it started. The end of {}:\n{}",
                    files.log(name).display(),
                    tail(&files.log(name))
                );
            }
        }
        if Instant::now() > deadline {
            let names: Vec<&str> = waiting.iter().map(String::as_str).collect();
            bail!(
                "not ready after {} s: {}. See {}",
                patience.as_secs(),
                names.join(", "),
                files.log(names[0]).display()
            );
        }
    }
    Ok(())
}

fn server_configuration(
    files: &Files,
    cluster: &Cluster,
    server: &Host,
    founds: bool,
) -> Result<serde_json::Value> {
    let mut wanted = serde_json::json!({
        "name": server.name,
        "dataDir": files.host(&server.name),
        "listen": format!("{}:{API_PORT}", server.address),
        "advertiseAddress": server.address,
        "peerListen": format!("{}:2380", server.address),
        "tlsSan": ["127.0.0.1", "localhost"],
    });
    if !founds && !crate::server::has_state(&files.host(&server.name)) {
        wanted["join"] = join_urls(cluster).into();
        wanted["tokenFile"] = token_file(files, cluster)?.display().to_string().into();
    }
    Ok(wanted)
}

/// Starts the agents that do not run.
fn agents(files: &Files, cluster: &Cluster) -> Result<()> {
    for node in cluster.node_hosts() {
        if Process::find(&files.process(&node.name))?.is_some() {
            continue;
        }
        let mut wanted = serde_json::json!({
            "name": node.name,
            "dataDir": files.host(&node.name),
            "join": join_urls(cluster),
            "nodeIp": node.address,
            "cgroupParent": cluster.cgroup_parent(&node.name),
            "imageProxy": cluster.gateway_url(),
            "insecureRegistries": cluster.insecure_registries,
        });
        if !crate::agent::has_state(&files.host(&node.name)) {
            wanted["tokenFile"] = token_file(files, cluster)?.display().to_string().into();
        }
        launch(files, cluster, &node, "agent", &wanted, None)?;
    }
    Ok(())
}

fn launch(
    files: &Files,
    cluster: &Cluster,
    host: &Host,
    subcommand: &str,
    configuration: &serde_json::Value,
    notify: Option<&Listener>,
) -> Result<()> {
    debug_assert_eq!(subcommand == "server", host.role == Role::Server);
    let path = files.config(&host.name);
    // JSON is YAML: the file is an ordinary configuration file.
    crate::secret_file::write(&path, &serde_json::to_vec_pretty(configuration)?)?;
    let spawn = Spawn {
        arguments: vec![subcommand.into(), format!("--config={}", path.display())],
        environment: notify.map(Listener::variable).into_iter().collect(),
        namespace: Some(&cluster.netns_path(&host.name)),
        log: &files.log(&host.name),
        record: &files.process(&host.name),
    };
    Process::start(&spawn).with_context(|| format!("start {}", host.name)).map(drop)
}

fn join_urls(cluster: &Cluster) -> Vec<String> {
    cluster.api_addresses().iter().map(|address| format!("https://{address}")).collect()
}

/// The join token that one of the servers keeps in its folder.
fn token_file(files: &Files, cluster: &Cluster) -> Result<PathBuf> {
    let kept = cluster.server_hosts().map(|server| files.host(&server.name).join(crate::server::TOKEN_FILE));
    kept.into_iter()
        .find(|path| path.exists())
        .context("no server has written a join token: see the servers' logs")
}

/// The last lines of a log.
pub fn tail(path: &Path) -> String {
    const BYTES: u64 = 2000;
    let read = || -> std::io::Result<String> {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("({}: {error})", path.display()))
}
