//! A way out for pods, only when asked for: a cable from the host to the switch, and NAT at both ends.
//!
//! This is the one part of a local cluster that the host's network sees; `remove` takes it away again.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ipnet::Ipv4Net;
use network::nat;

use super::layout::{Cluster, Files, PREFIX, switch_address};
use super::switch::{Links, in_namespace};
use crate::host::netns;

/// Name of the cable's end inside the switch's namespace.
const INSIDE: &str = "outside";
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// Makes the way out; what stands is kept.
pub fn ensure(files: &Files, cluster: &Cluster) -> Result<()> {
    let switch = cluster.netns_path("switch");
    let (name, target) = (link(cluster), switch.clone());
    let [near, far] = addresses(cluster);
    on_the_host(move |links| async move {
        links.ensure_veth(&name, INSIDE, &target).await?;
        let index = links.up(&name).await?;
        links.address(index, near, 30).await
    })?;
    in_namespace(&switch, move |links| async move {
        let index = links.up(INSIDE).await?;
        links.address(index, far, 30).await?;
        links.default_route(near).await
    })?;
    let (table, hosts) = (table(cluster), Ipv4Net::new(switch_address(), PREFIX)?.trunc());
    netns::inside(&switch, move || {
        std::fs::write(FORWARDING, "1").context("forward packets in the switch")?;
        nat::masquerade(table, hosts).context("NAT in the switch")
    })?;
    forward_on_the_host(files)?;
    nat::masquerade(table, Ipv4Net::new(near, 30)?.trunc()).context("NAT on the host")
}

/// Takes away what [`ensure`] made on the host; what it made in the switch goes with the switch.
pub fn remove(files: &Files, cluster: &Cluster) -> Result<()> {
    if !cluster.egress {
        return Ok(());
    }
    let name = link(cluster);
    on_the_host(move |links| async move { links.delete(&name).await })?;
    nat::remove(table(cluster)).context("remove the NAT on the host")?;
    let record = record(files);
    if record.exists() {
        std::fs::write(FORWARDING, "0").context("forward no more packets on the host")?;
        std::fs::remove_file(&record).with_context(|| format!("remove {}", record.display()))?;
    }
    Ok(())
}

/// Switches forwarding on, and remembers whether it was off.
fn forward_on_the_host(files: &Files) -> Result<()> {
    let before = std::fs::read_to_string(FORWARDING).with_context(|| format!("read {FORWARDING}"))?;
    if before.trim() != "0" {
        return Ok(());
    }
    std::fs::write(record(files), "forwarding was off\n")?;
    std::fs::write(FORWARDING, "1").context("forward packets on the host")
}

fn record(files: &Files) -> PathBuf {
    files.root.join("run").join("host-forwarding-was-off")
}

fn on_the_host<F: Future<Output = Result<()>>>(work: impl FnOnce(Links) -> F + Send + 'static) -> Result<()> {
    in_namespace(Path::new("/proc/self/ns/net"), work)
}

/// Name of the cable's end on the host; a link's name has at most 15 bytes.
fn link(cluster: &Cluster) -> String {
    format!("trireme-{}", cluster.id)
}

/// The program makes or removes one cluster and ends: the name is leaked once.
fn table(cluster: &Cluster) -> &'static str {
    Box::leak(format!("trireme-{}", cluster.id).into_boxed_str())
}

/// The two ends' addresses: a link-local pair per cluster.
fn addresses(cluster: &Cluster) -> [Ipv4Addr; 2] {
    let third = u8::from_str_radix(&cluster.id[..2], 16).unwrap_or(0).clamp(1, 253);
    [Ipv4Addr::new(169, 254, third, 1), Ipv4Addr::new(169, 254, third, 2)]
}
