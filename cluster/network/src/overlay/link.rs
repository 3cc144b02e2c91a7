//! The VXLAN link and the peers in the kernel.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use rtnetlink::packet_route::link::{InfoData, InfoVxlan, LinkAttribute, LinkInfo, LinkMessage};
use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteScope};
use rtnetlink::{LinkUnspec, LinkVxlan, RouteMessageBuilder};

use super::plan::{Peer, Peers};
use crate::kernel::{self, Kernel, KernelError};

/// The name of the VXLAN link.
pub const INTERFACE: &str = "trireme-vxlan";
const VNI: u32 = 1;
const PORT: u16 = 8472;
/// What the outer IPv4, UDP, VXLAN and Ethernet headers need.
const OVERHEAD_BYTES: u32 = 50;
const SMALLEST_MTU: u32 = 576;

/// What the link is made from.
#[derive(Clone, Debug)]
pub struct OverlayConfig {
    pub node_ip: Ipv4Addr,
    /// The interface that carries `node_ip`; found by the address when `None`.
    pub interface: Option<String>,
    /// Routed into the link, so that there is a route for what the node itself sends to services: which is
    /// translated before it gets there.
    pub service_cidr: Ipv4Net,
}

/// The link of this network namespace.
pub struct Overlay {
    kernel: Kernel,
    config: OverlayConfig,
    index: u32,
    /// The largest packet that a pod can send.
    pub mtu: u32,
    /// The peers in the kernel; `None`: not known yet.
    applied: Option<BTreeSet<Peer>>,
}

impl Overlay {
    /// Makes the link, or takes over one that is as it should be.
    pub async fn open(kernel: Kernel, config: OverlayConfig) -> Result<Self, KernelError> {
        let underlay = match &config.interface {
            Some(name) => kernel.link(name).await?.ok_or_else(|| KernelError::NoInterface(name.clone()))?,
            None => kernel.link_with(config.node_ip.into()).await?,
        };
        let mtu = kernel::link_mtu(&underlay)
            .unwrap_or(1500)
            .saturating_sub(OVERHEAD_BYTES)
            .clamp(SMALLEST_MTU, 65_000);
        let existing = kernel.link(INTERFACE).await?;
        if let Some(link) = existing.as_ref().filter(|l| !is_as_wanted(l, &config, &underlay)) {
            kernel.delete_link(link.header.index).await?;
        }
        if !existing.is_some_and(|l| is_as_wanted(&l, &config, &underlay)) {
            let link = LinkVxlan::new(INTERFACE, VNI)
                .dev(underlay.header.index)
                .local(config.node_ip)
                .port(PORT)
                .learning(false)
                .mtu(mtu)
                .build();
            kernel.add_link(link).await?;
        }
        let link = kernel.link(INTERFACE).await?.ok_or(KernelError::NoInterface(INTERFACE.into()))?;
        let index = link.header.index;
        kernel::set_sysctl("net/ipv4/ip_forward", "1")?;
        // Answers may come by another way than questions went; services of this node may be reached at 127.0.0.1.
        kernel::set_sysctl(&format!("net/ipv4/conf/{INTERFACE}/rp_filter"), "2")?;
        kernel::set_sysctl(&format!("net/ipv4/conf/{INTERFACE}/route_localnet"), "1")?;
        kernel::disable_ipv6(INTERFACE)?;
        kernel.set_link(LinkUnspec::new_with_index(index).mtu(mtu).up().build()).await?;
        let overlay = Self { kernel, config, index, mtu, applied: None };
        overlay.kernel.add_route(overlay.service_route()).await?;
        Ok(overlay)
    }

    /// Takes the node's own end of the overlay: the first address of its pod CIDR.
    pub async fn set_own(&self, pods: Ipv4Net) -> Result<(), KernelError> {
        let end = pods.network();
        let mac = kernel::mac_of(end.into());
        self.kernel.set_link(LinkUnspec::new_with_index(self.index).address(mac.to_vec()).build()).await?;
        for old in self.kernel.ipv4_addresses(self.index).await?.into_iter().filter(|a| *a != end) {
            self.kernel.delete_address(self.index, old).await?;
        }
        self.kernel.add_address(self.index, end, false).await
    }

    /// Makes the kernel know exactly these peers. `own`: this node's pod CIDR.
    pub async fn set_peers(&mut self, own: Ipv4Net, peers: &Peers) -> Result<(), KernelError> {
        let wanted: BTreeSet<Peer> = peers.values().copied().filter(|p| p.pods != own).collect();
        let applied = match self.applied.take() {
            Some(applied) => applied,
            // After a start or an error: nothing that is there is believed.
            None => {
                self.remove_unwanted(&wanted).await?;
                BTreeSet::new()
            }
        };
        for peer in applied.difference(&wanted) {
            // The end of a node that only changed its address stays: it is replaced below.
            if !wanted.iter().any(|w| w.pods == peer.pods) {
                self.remove_peer(peer).await?;
            }
        }
        for peer in wanted.difference(&applied) {
            self.add_peer(peer, own).await?;
        }
        self.applied = Some(wanted);
        Ok(())
    }

    async fn add_peer(&self, peer: &Peer, own: Ipv4Net) -> Result<(), KernelError> {
        let mac = kernel::mac_of(peer.end().into());
        self.kernel.add_forwarding(self.index, mac, peer.node_ip).await?;
        self.kernel.add_neighbour(self.index, peer.end(), mac).await?;
        self.kernel.add_route(self.peer_route(peer, Some(own))).await
    }

    async fn remove_peer(&self, peer: &Peer) -> Result<(), KernelError> {
        self.kernel.delete_route(self.peer_route(peer, None)).await?;
        let end = NeighbourAddress::Inet(peer.end());
        let mac = kernel::mac_of(peer.end().into());
        let has = |n: &NeighbourMessage, wanted: &NeighbourAttribute| n.attributes.contains(wanted);
        for neighbour in self.kernel.neighbours(self.index).await? {
            if has(&neighbour, &NeighbourAttribute::Destination(end.clone())) {
                self.kernel.delete_neighbour(neighbour).await?;
            }
        }
        for entry in self.kernel.forwarding(self.index).await? {
            if has(&entry, &NeighbourAttribute::LinkLayerAddress(mac.to_vec())) {
                self.kernel.delete_neighbour(entry).await?;
            }
        }
        Ok(())
    }

    /// Removes the entries of nodes that are gone.
    async fn remove_unwanted(&self, wanted: &BTreeSet<Peer>) -> Result<(), KernelError> {
        let is_wanted = |address: Ipv4Addr| wanted.iter().any(|p| p.end() == address);
        for route in self.kernel.routes().await? {
            let destination = route.attributes.iter().find_map(|a| match a {
                RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(*address),
                _ => None,
            });
            let through_here = route.attributes.contains(&RouteAttribute::Oif(self.index));
            let is_service = destination == Some(self.config.service_cidr.network());
            if through_here && !is_service && !destination.is_some_and(is_wanted) {
                self.kernel.delete_route(route).await?;
            }
        }
        for neighbour in self.kernel.neighbours(self.index).await? {
            let end = neighbour.attributes.iter().find_map(|a| match a {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(*address),
                _ => None,
            });
            if !end.is_some_and(is_wanted) {
                self.kernel.delete_neighbour(neighbour).await?;
            }
        }
        let macs: BTreeSet<Vec<u8>> =
            wanted.iter().map(|p| kernel::mac_of(p.end().into()).to_vec()).collect();
        for entry in self.kernel.forwarding(self.index).await? {
            let mac = entry.attributes.iter().find_map(|a| match a {
                NeighbourAttribute::LinkLayerAddress(mac) => Some(mac),
                _ => None,
            });
            if !mac.is_some_and(|m| macs.contains(m)) {
                self.kernel.delete_neighbour(entry).await?;
            }
        }
        Ok(())
    }

    fn peer_route(&self, peer: &Peer, own: Option<Ipv4Net>) -> RouteMessage {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(peer.pods.network(), peer.pods.prefix_len())
            .gateway(peer.end())
            .onlink()
            .output_interface(self.index)
            .protocol(kernel::ROUTE_PROTOCOL);
        match own {
            // What the node itself sends must come back through the overlay.
            Some(own) => route.pref_source(own.network()).build(),
            None => route.build(),
        }
    }

    fn service_route(&self) -> RouteMessage {
        let services = self.config.service_cidr;
        RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(services.network(), services.prefix_len())
            .output_interface(self.index)
            .pref_source(self.config.node_ip)
            .scope(RouteScope::Link)
            .protocol(kernel::ROUTE_PROTOCOL)
            .build()
    }
}

/// Removes the link, and with it its routes and entries.
pub async fn remove(kernel: &Kernel) -> Result<(), KernelError> {
    match kernel.link(INTERFACE).await? {
        Some(link) => kernel.delete_link(link.header.index).await,
        None => Ok(()),
    }
}

/// What can not be changed while the link exists.
fn is_as_wanted(link: &LinkMessage, config: &OverlayConfig, underlay: &LinkMessage) -> bool {
    let infos = link.attributes.iter().filter_map(|a| match a {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    let data = infos.flatten().find_map(|info| match info {
        LinkInfo::Data(InfoData::Vxlan(data)) => Some(data),
        _ => None,
    });
    let Some(data) = data else { return false };
    let wanted = [
        InfoVxlan::Id(VNI),
        InfoVxlan::Port(PORT),
        InfoVxlan::Local(config.node_ip),
        InfoVxlan::Link(underlay.header.index),
        InfoVxlan::Learning(false),
    ];
    wanted.iter().all(|w| data.contains(w))
}
