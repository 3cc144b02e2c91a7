//! The link of a pod: a veth pair, one end `eth0` in the pod's namespace, the other on the node.
//!
//! The pod has a /32 address and sends everything to the node: its default route is through 169.254.1.1, an
//! address nobody has, which a permanent neighbour entry maps to the node's end. The node has a /32 route to the
//! pod, with a permanent neighbour entry as well. No bridge, no ARP: every packet passes routing and nftables.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;

use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::RouteScope;
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::Lease;
use crate::kernel::{self, Kernel, KernelError};
use crate::netns;

/// The pod's default gateway; link-local, and on no interface.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// The address of every node end. It is local to each pair.
const NODE_MAC: [u8; 6] = [0x02, 0x74, 0x72, 0x69, 0x72, 0x65];
/// The interface of a pod.
const POD_INTERFACE: &str = "eth0";
/// How the names of node ends begin.
const PREFIX: &str = "trp";

/// What a link is made from.
#[derive(Clone, Debug)]
pub struct LinkPlan {
    pub lease: Lease,
    /// The source address of what the node itself sends to the pod.
    pub node_ip: Ipv4Addr,
    pub mtu: u32,
}

impl LinkPlan {
    /// The name of the node's end: unique, because the address is.
    pub fn node_interface(&self) -> String {
        interface_name(self.lease.address)
    }
}

fn interface_name(address: Ipv4Addr) -> String {
    format!("{PREFIX}{:08x}", u32::from(address))
}

/// Connects the pod, or repairs its connection.
pub async fn attach(kernel: &Kernel, namespace: &File, plan: &LinkPlan) -> Result<(), KernelError> {
    let name = plan.node_interface();
    let existing = kernel.link(&name).await?;
    let intact = match &existing {
        Some(link) if alias(link) == Some(&plan.lease.uid) => {
            is_peer_inside(namespace, link.header.index).await?
        }
        _ => false,
    };
    if !intact {
        if let Some(link) = existing {
            kernel.delete_link(link.header.index).await?;
        }
        match create(kernel, namespace, plan).await {
            // The pod has an interface already, of an attempt that did not end.
            Err(error) if error.errno() == Some(libc::EEXIST) => {
                delete_pod_interface(namespace).await?;
                create(kernel, namespace, plan).await?;
            }
            result => result?,
        }
    }
    configure_node(kernel, plan).await?;
    configure_pod(namespace, plan).await?;
    // The end that comes up last is alive at once; the other must be waited for.
    kernel.carries_packets(&name).await
}

/// Disconnects the pod; the other end goes with this one.
pub async fn detach(kernel: &Kernel, lease: &Lease) -> Result<(), KernelError> {
    match kernel.link(&interface_name(lease.address)).await? {
        // Somebody else's by now.
        Some(link) if alias(&link) != Some(&lease.uid) => Ok(()),
        Some(link) => kernel.delete_link(link.header.index).await,
        None => Ok(()),
    }
}

/// Removes the node ends of all pods.
pub async fn remove_all(kernel: &Kernel) -> Result<(), KernelError> {
    for link in kernel.links().await? {
        if kernel::link_name(&link).is_some_and(|n| n.starts_with(PREFIX) && n.len() == PREFIX.len() + 8) {
            kernel.delete_link(link.header.index).await?;
        }
    }
    Ok(())
}

fn alias(link: &LinkMessage) -> Option<&String> {
    link.attributes.iter().find_map(|a| match a {
        LinkAttribute::IfAlias(alias) => Some(alias),
        _ => None,
    })
}

/// Whether the namespace's interface is the other end of the node's link `index`.
async fn is_peer_inside(namespace: &File, index: u32) -> Result<bool, KernelError> {
    netns::run(namespace, move || async move {
        let pod = Kernel::open()?;
        let link = pod.link(POD_INTERFACE).await?;
        let is_peer = |a: &LinkAttribute| matches!(a, LinkAttribute::Link(peer) if *peer == index);
        Ok(link.is_some_and(|l| l.attributes.iter().any(is_peer)))
    })
    .await?
}

async fn delete_pod_interface(namespace: &File) -> Result<(), KernelError> {
    netns::run(namespace, || async {
        let pod = Kernel::open()?;
        match pod.link(POD_INTERFACE).await? {
            Some(link) => pod.delete_link(link.header.index).await,
            None => Ok(()),
        }
    })
    .await?
}

async fn create(kernel: &Kernel, namespace: &File, plan: &LinkPlan) -> Result<(), KernelError> {
    let peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name(POD_INTERFACE)
        .address(pod_mac(plan.lease.address).to_vec())
        .mtu(plan.mtu)
        .setns_by_fd(namespace.as_raw_fd())
        .build();
    let link = LinkVeth::new(&plan.node_interface(), POD_INTERFACE)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .address(NODE_MAC.to_vec())
        .mtu(plan.mtu)
        .build();
    kernel.add_link(link).await
}

async fn configure_pod(namespace: &File, plan: &LinkPlan) -> Result<(), KernelError> {
    let address = plan.lease.address;
    netns::run(namespace, move || async move {
        let pod = Kernel::open()?;
        let loopback = pod.link("lo").await?.ok_or(KernelError::NoInterface("lo".into()))?;
        pod.set_link(LinkUnspec::new_with_index(loopback.header.index).up().build()).await?;
        let link = pod.link(POD_INTERFACE).await?.ok_or(KernelError::NoInterface(POD_INTERFACE.into()))?;
        let index = link.header.index;
        pod.set_link(LinkUnspec::new_with_index(index).up().build()).await?;
        pod.add_address(index, address, false).await?;
        pod.add_neighbour(index, GATEWAY, NODE_MAC).await?;
        let gateway = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(GATEWAY, 32)
            .output_interface(index)
            .scope(RouteScope::Link);
        pod.add_route(gateway.build()).await?;
        let default = RouteMessageBuilder::<Ipv4Addr>::new().gateway(GATEWAY).output_interface(index);
        pod.add_route(default.build()).await
    })
    .await?
}

async fn configure_node(kernel: &Kernel, plan: &LinkPlan) -> Result<(), KernelError> {
    let name = plan.node_interface();
    let link = kernel.link(&name).await?.ok_or_else(|| KernelError::NoInterface(name.clone()))?;
    let index = link.header.index;
    // A pod may only send from its own address; 127.0.0.1 is routed for host ports there.
    kernel::set_sysctl(&format!("net/ipv4/conf/{name}/rp_filter"), "1")?;
    kernel::set_sysctl(&format!("net/ipv4/conf/{name}/route_localnet"), "1")?;
    kernel::disable_ipv6(&name)?;
    // The kernel takes no alias when it makes a link; a link without is not ours yet and is made anew.
    kernel.set_link(LinkUnspec::new_with_index(index).alias(plan.lease.uid.clone()).up().build()).await?;
    kernel.add_neighbour(index, plan.lease.address, pod_mac(plan.lease.address)).await?;
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(plan.lease.address, 32)
        .output_interface(index)
        .pref_source(plan.node_ip)
        .scope(RouteScope::Link)
        .protocol(kernel::ROUTE_PROTOCOL);
    kernel.add_route(route.build()).await
}

/// The link address of whoever has the address, a pod or a node's end of the overlay.
pub fn pod_mac(address: Ipv4Addr) -> [u8; 6] {
    kernel::mac_of(IpAddr::V4(address))
}
