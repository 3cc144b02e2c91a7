//! The virtual switch: a bridge in a namespace of its own, and a cable from it to every host.
//!
//! Nothing here touches the namespace that the program was started in.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::path::Path;

use anyhow::{Context, Result};
use futures::TryStreamExt;
use rtnetlink::{LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::layout::{Cluster, Host, PREFIX, switch_address};
use crate::host::netns;

const BRIDGE: &str = "switch";
/// Name of the cable's end inside a host.
pub const INTERFACE: &str = "eth0";

/// Makes what is missing of the cluster's network; what stands is kept.
pub fn ensure(cluster: &Cluster) -> Result<()> {
    let switch = cluster.netns_path("switch");
    netns::ensure(&switch)?;
    in_namespace(&switch, |links| async move { links.ensure_bridge().await })?;
    for host in cluster.hosts() {
        ensure_host(cluster, &switch, &host).with_context(|| format!("make the network of {}", host.name))?;
    }
    Ok(())
}

fn ensure_host(cluster: &Cluster, switch: &Path, host: &Host) -> Result<()> {
    let path = cluster.netns_path(&host.name);
    netns::ensure(&path)?;
    let (name, target) = (host.name.clone(), path.clone());
    in_namespace(switch, |links| async move { links.ensure_cable(&name, &target).await })?;
    let address = host.address;
    let egress = cluster.egress;
    in_namespace(&path, move |links| async move { links.configure_host(address, egress).await })
}

/// Removes every namespace of the cluster, and with them all of its links.
pub fn remove(cluster_id: &str) -> Result<()> {
    let prefix = format!("trireme-{cluster_id}-");
    let Ok(entries) = std::fs::read_dir(super::layout::NETNS_FOLDER) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            netns::remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Runs netlink work on a thread inside the namespace at `path`.
pub fn in_namespace<F>(path: &Path, work: impl FnOnce(Links) -> F + Send + 'static) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    netns::inside(path, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async move {
            let (connection, handle, _) = rtnetlink::new_connection().context("open netlink")?;
            let pump = tokio::spawn(connection);
            let done = work(Links { handle }).await;
            pump.abort();
            done
        })
    })
}

/// The links of one namespace.
pub struct Links {
    handle: rtnetlink::Handle,
}

impl Links {
    async fn index(&self, name: &str) -> Result<Option<u32>> {
        let mut found = self.handle.link().get().match_name(name.to_owned()).execute();
        match found.try_next().await {
            Ok(link) => Ok(link.map(|link| link.header.index)),
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::ENODEV => Ok(None),
            Err(error) => Err(error).with_context(|| format!("look up link {name}")),
        }
    }

    async fn need(&self, name: &str) -> Result<u32> {
        self.index(name).await?.with_context(|| format!("link {name} is missing"))
    }

    pub async fn up(&self, name: &str) -> Result<u32> {
        let index = self.need(name).await?;
        let change = LinkUnspec::new_with_index(index).up().build();
        self.handle.link().set(change).execute().await.with_context(|| format!("set {name} up"))?;
        Ok(index)
    }

    pub async fn address(&self, index: u32, address: Ipv4Addr, prefix: u8) -> Result<()> {
        let request = self.handle.address().add(index, IpAddr::V4(address), prefix);
        match request.execute().await {
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::EEXIST => Ok(()),
            other => other.with_context(|| format!("add address {address}/{prefix}")),
        }
    }

    async fn ensure_bridge(&self) -> Result<()> {
        if self.index(BRIDGE).await?.is_none() {
            let bridge = LinkBridge::new(BRIDGE).build();
            self.handle.link().add(bridge).execute().await.context("make the switch")?;
        }
        self.up("lo").await?;
        let index = self.up(BRIDGE).await?;
        self.address(index, switch_address(), PREFIX).await
    }

    /// A veth pair whose near end is plugged into the bridge and whose far end is the host's `eth0`.
    async fn ensure_cable(&self, host: &str, target: &Path) -> Result<()> {
        self.ensure_veth(host, INTERFACE, target).await?;
        let bridge = self.need(BRIDGE).await?;
        let index = self.need(host).await?;
        let change = LinkUnspec::new_with_index(index).controller(bridge).up().build();
        self.handle.link().set(change).execute().await.with_context(|| format!("plug in {host}"))
    }

    /// A veth pair: `near` in this namespace, `far` in the one pinned at `target`.
    pub async fn ensure_veth(&self, near: &str, far: &str, target: &Path) -> Result<()> {
        if self.index(near).await?.is_some() {
            return Ok(());
        }
        let namespace = File::open(target).with_context(|| format!("open {}", target.display()))?;
        let peer = LinkUnspec::new_with_name(far).setns_by_fd(namespace.as_raw_fd()).build();
        let pair = LinkVeth::new(near, far).set_info_data(veth_peer(peer)).build();
        self.handle.link().add(pair).execute().await.with_context(|| format!("make the cable {near}"))
    }

    /// Removes a link; nothing happens when it is not there.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let Some(index) = self.index(name).await? else { return Ok(()) };
        self.handle.link().del(index).execute().await.with_context(|| format!("remove link {name}"))
    }

    /// Without egress a host has no default route: what leads outside fails at once, not by a timeout.
    async fn configure_host(&self, address: Ipv4Addr, egress: bool) -> Result<()> {
        self.up("lo").await?;
        let index = self.up(INTERFACE).await?;
        self.address(index, address, PREFIX).await?;
        if egress { self.default_route(switch_address()).await } else { self.no_default_route().await }
    }

    async fn no_default_route(&self) -> Result<()> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(switch_address()).build();
        match self.handle.route().del(route).execute().await {
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::ESRCH => Ok(()),
            other => other.context("remove the default route"),
        }
    }

    pub async fn default_route(&self, gateway: Ipv4Addr) -> Result<()> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).build();
        match self.handle.route().add(route).execute().await {
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::EEXIST => Ok(()),
            other => other.context("add the default route"),
        }
    }
}

fn veth_peer(peer: netlink_packet_route::link::LinkMessage) -> netlink_packet_route::link::InfoData {
    use netlink_packet_route::link::{InfoData, InfoVeth};
    InfoData::Veth(InfoVeth::Peer(peer))
}
