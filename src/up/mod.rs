//! `trireme up`: a real multi-host cluster on one machine.
//!
//! It only composes `trireme server`, `trireme agent` and `trireme balancer`: each in a network
//! namespace of its own. Running it again repairs what is missing and keeps what stands.

pub mod egress;
pub mod layout;
pub mod lock;
mod ready;
mod start;
pub mod switch;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::host::privilege;
use layout::{Cluster, Files, NODES_MAX, SERVERS_MAX};
pub use ready::{connect, is_ready};

/// Where a local cluster lives unless told otherwise.
pub const DATA_DIR: &str = "/var/lib/trireme";

/// Options of `trireme up`.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Folder of everything the cluster keeps.
    #[arg(long, default_value = DATA_DIR)]
    data_dir: PathBuf,
    /// API server replicas, each a Raft member (1 to 9) [default: 3].
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=i64::from(SERVERS_MAX)))]
    servers: Option<u8>,
    /// Nodes that run pods (0 to 100) [default: 2].
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=i64::from(NODES_MAX)))]
    nodes: Option<u8>,
    /// Port of the API on the host's loopback [default: 6443].
    #[arg(long)]
    port: Option<u16>,
    /// Let pods reach the outside through NAT on the host (`down` removes it).
    #[arg(long)]
    egress: bool,
    /// Registry that is spoken to without TLS (`HOST:PORT`, may be repeated).
    #[arg(long, value_name = "HOST:PORT")]
    insecure_registry: Vec<String>,
}

/// Makes or repairs the cluster and returns when its nodes are ready.
pub fn run(options: &Options) -> Result<()> {
    let begun = Instant::now();
    privilege::check()?;
    let files = open_folder(&options.data_dir)?;
    let _lock = lock::take(&files)?;
    let cluster = agree(&files, options)?;
    let shown = crate::progress::Progress::new();
    shown.step("network", || switch::ensure(&cluster))?;
    if cluster.egress {
        shown.step("egress", || egress::ensure(&files, &cluster))?;
    }
    start::all(&files, &cluster, &shown)?;
    let kubeconfig = start::write_kubeconfig(&files, &cluster)?;
    shown.step("nodes ready", || ready::wait(&files, &cluster))?;
    println!("\nThe cluster is ready after {:.1} s. Use it:\n", begun.elapsed().as_secs_f64());
    println!("    export KUBECONFIG={}", kubeconfig.display());
    println!("    kubectl get nodes\n");
    let folder = if options.data_dir.as_os_str() == DATA_DIR {
        String::new()
    } else {
        format!(" --data-dir {}", files.root.display())
    };
    println!(
        "`trireme status{folder}` shows its parts, `trireme down{folder}` ends it (--purge forgets its data)."
    );
    Ok(())
}

fn open_folder(folder: &std::path::Path) -> Result<Files> {
    for part in ["log", "run"] {
        let path = folder.join(part);
        std::fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
    }
    let root = folder.canonicalize().with_context(|| format!("open {}", folder.display()))?;
    Ok(Files { root })
}

/// What is kept of an earlier `up`, with what this one asks for.
fn agree(files: &Files, options: &Options) -> Result<Cluster> {
    let path = files.cluster();
    let known = match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice::<Cluster>(&bytes).with_context(|| {
            format!("{} is damaged: restore it, or `trireme down --purge` and begin anew", path.display())
        })?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let cluster = merge(known.as_ref(), options)?;
    if known.as_ref() != Some(&cluster) {
        let staged = path.with_extension("json.new");
        std::fs::write(&staged, serde_json::to_vec_pretty(&cluster)?)
            .and_then(|()| {
                std::fs::set_permissions(&staged, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            })
            .and_then(|()| std::fs::rename(&staged, &path))
            .with_context(|| format!("write {}", path.display()))?;
    }
    Ok(cluster)
}

fn merge(known: Option<&Cluster>, options: &Options) -> Result<Cluster> {
    let fresh = || Cluster {
        id: hex::encode(rand::random::<[u8; 3]>()),
        servers: 3,
        nodes: 2,
        port: 6443,
        egress: false,
        insecure_registries: vec![],
        gateway_secret: hex::encode(rand::random::<[u8; 16]>()),
    };
    let mut cluster = known.cloned().unwrap_or_else(fresh);
    let counts =
        [("servers", &mut cluster.servers, options.servers), ("nodes", &mut cluster.nodes, options.nodes)];
    for (what, have, wanted) in counts {
        let wanted = wanted.unwrap_or(*have);
        if known.is_some() && wanted < *have {
            bail!(
                "the cluster has {have} {what}; `up` adds {what} but does not take any away (asked for {wanted})"
            );
        }
        *have = wanted;
    }
    cluster.port = options.port.unwrap_or(cluster.port);
    cluster.egress |= options.egress;
    for registry in &options.insecure_registry {
        if !cluster.insecure_registries.contains(registry) {
            cluster.insecure_registries.push(registry.clone());
        }
    }
    Ok(cluster)
}

/// Reads what `up` keeps in `folder`.
pub fn load(folder: &std::path::Path) -> Result<(Files, Cluster)> {
    let files = Files { root: folder.canonicalize().with_context(|| format!("open {}", folder.display()))? };
    let path = files.cluster();
    let bytes = std::fs::read(&path).with_context(|| {
        format!(
            "{} does not exist: `trireme up --data-dir {}` makes a cluster",
            path.display(),
            folder.display()
        )
    })?;
    let cluster = serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
    Ok((files, cluster))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(servers: Option<u8>, nodes: Option<u8>) -> Options {
        Options {
            data_dir: DATA_DIR.into(),
            servers,
            nodes,
            port: None,
            egress: false,
            insecure_registry: vec!["127.0.0.1:5000".into()],
        }
    }

    #[test]
    fn a_cluster_grows_but_never_shrinks() {
        let first = merge(None, &options(None, None)).unwrap();
        assert_eq!((first.servers, first.nodes), (3, 2));
        let second = merge(Some(&first), &options(None, Some(4))).unwrap();
        assert_eq!((second.servers, second.nodes), (3, 4));
        assert_eq!(second.insecure_registries, ["127.0.0.1:5000"]);
        assert_eq!(merge(Some(&second), &options(None, None)).unwrap(), second);
        let refused = merge(Some(&second), &options(Some(1), None)).unwrap_err().to_string();
        assert!(refused.contains("3 servers"), "{refused}");
    }
}
