//! Links, addresses, neighbours and routes of the network namespace in which a [`Kernel`] was opened.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressScope};
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage, State};
use rtnetlink::packet_route::neighbour::{
    NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{RouteMessage, RouteProtocol};
use rtnetlink::{Handle, MulticastGroup, RouteMessageBuilder};

/// Marks our routes (an unassigned number of `/etc/iproute2/rt_protos`).
pub const ROUTE_PROTOCOL: RouteProtocol = RouteProtocol::Other(98);

/// How long a link may take to carry packets; usual are milliseconds, and the kernel's own limit is a second.
const CARRIER: Duration = Duration::from_secs(3);

/// What the kernel refused.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error("{action}: {source}")]
    Request { action: &'static str, source: rtnetlink::Error },
    #[error("there is no interface {0}")]
    NoInterface(String),
    #[error("interface {0} has no carrier")]
    NoCarrier(String),
    #[error("no interface has the address {0}")]
    NoInterfaceWith(IpAddr),
    #[error("sysctl {path}: {source}")]
    Sysctl { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl KernelError {
    /// The error number of a refusal.
    pub fn errno(&self) -> Option<i32> {
        match self {
            KernelError::Request { source, .. } => errno(source),
            KernelError::Sysctl { source, .. } | KernelError::Io(source) => source.raw_os_error(),
            KernelError::NoInterface(_) | KernelError::NoInterfaceWith(_) | KernelError::NoCarrier(_) => None,
        }
    }
}

/// A connection to one network namespace.
#[derive(Clone)]
pub struct Kernel {
    handle: Handle,
}

impl Kernel {
    /// Opens a connection to the current network namespace. Its task ends with the last clone.
    pub fn open() -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Waits until a link that is up has a queue: until then the kernel drops what is sent, and it gives links
    /// their queue in its own time. In the namespace in which the caller runs.
    pub async fn carries_packets(&self, name: &str) -> Result<(), KernelError> {
        if self.is_alive(name).await? {
            return Ok(());
        }
        let (connection, _, mut changes) = rtnetlink::new_multicast_connection(&[MulticastGroup::Link])?;
        let listener = tokio::spawn(connection);
        let wait = async {
            while !self.is_alive(name).await? {
                if changes.next().await.is_none() {
                    break;
                }
            }
            Ok(())
        };
        let result = tokio::time::timeout(CARRIER, wait).await;
        listener.abort();
        result.unwrap_or_else(|_| Err(KernelError::NoCarrier(name.to_owned())))
    }

    async fn is_alive(&self, name: &str) -> Result<bool, KernelError> {
        let link = self.link(name).await?;
        Ok(link.is_some_and(|l| l.attributes.contains(&LinkAttribute::OperState(State::Up))))
    }

    pub async fn link(&self, name: &str) -> Result<Option<LinkMessage>, KernelError> {
        let mut found = self.handle.link().get().match_name(name.to_owned()).execute();
        match found.try_next().await {
            Ok(link) => Ok(link),
            Err(e) if errno(&e) == Some(libc::ENODEV) => Ok(None),
            Err(e) => Err(request("find a link")(e)),
        }
    }

    pub async fn links(&self) -> Result<Vec<LinkMessage>, KernelError> {
        self.handle.link().get().execute().try_collect().await.map_err(request("list links"))
    }

    /// The link that carries an address.
    pub async fn link_with(&self, address: IpAddr) -> Result<LinkMessage, KernelError> {
        let mut found = self.handle.address().get().set_address_filter(address).execute();
        let index = found.try_next().await.map_err(request("find an address"))?.map(|a| a.header.index);
        let index = index.ok_or(KernelError::NoInterfaceWith(address))?;
        let mut links = self.handle.link().get().match_index(index).execute();
        links.try_next().await.map_err(request("find a link"))?.ok_or(KernelError::NoInterfaceWith(address))
    }

    pub async fn add_link(&self, link: LinkMessage) -> Result<(), KernelError> {
        self.handle.link().add(link).execute().await.map_err(request("make a link"))
    }

    pub async fn set_link(&self, link: LinkMessage) -> Result<(), KernelError> {
        self.handle.link().set(link).execute().await.map_err(request("change a link"))
    }

    /// It may be gone already.
    pub async fn delete_link(&self, index: u32) -> Result<(), KernelError> {
        match self.handle.link().del(index).execute().await {
            Err(e) if errno(&e) == Some(libc::ENODEV) => Ok(()),
            result => result.map_err(request("delete a link")),
        }
    }

    /// Adds a /32 address, which may be there. `host`: it is never chosen as a source to other hosts.
    pub async fn add_address(&self, index: u32, address: Ipv4Addr, host: bool) -> Result<(), KernelError> {
        let mut add = self.handle.address().add(index, address.into(), 32).replace();
        if host {
            add.message_mut().header.scope = AddressScope::Host;
        }
        add.execute().await.map_err(request("add an address"))
    }

    /// Removes an address from the links of a namespace; it may be gone.
    pub async fn delete_address(&self, index: u32, address: Ipv4Addr) -> Result<(), KernelError> {
        for message in self.addresses(index).await? {
            if address_of(&message) != Some(address) {
                continue;
            }
            match self.handle.address().del(message).execute().await {
                Err(e) if errno(&e) != Some(libc::EADDRNOTAVAIL) => {
                    return Err(request("delete an address")(e));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The IPv4 addresses of a link.
    pub async fn ipv4_addresses(&self, index: u32) -> Result<Vec<Ipv4Addr>, KernelError> {
        Ok(self.addresses(index).await?.iter().filter_map(address_of).collect())
    }

    async fn addresses(
        &self,
        index: u32,
    ) -> Result<Vec<rtnetlink::packet_route::address::AddressMessage>, KernelError> {
        let found = self.handle.address().get().set_link_index_filter(index).execute();
        found.try_collect().await.map_err(request("list addresses"))
    }

    /// Says for good who has an address.
    pub async fn add_neighbour(
        &self,
        index: u32,
        address: Ipv4Addr,
        mac: [u8; 6],
    ) -> Result<(), KernelError> {
        let add = self.handle.neighbours().add(index, address.into()).link_layer_address(&mac);
        add.state(NeighbourState::Permanent).replace().execute().await.map_err(request("add a neighbour"))
    }

    /// Says for good behind which node of the overlay a link address is.
    pub async fn add_forwarding(&self, index: u32, mac: [u8; 6], node: Ipv4Addr) -> Result<(), KernelError> {
        let add = self.handle.neighbours().add_bridge(index, &mac).destination(node.into());
        let flags = NeighbourFlags::Own;
        add.flags(flags).replace().execute().await.map_err(request("add a forwarding entry"))
    }

    /// The permanent neighbours of a link.
    pub async fn neighbours(&self, index: u32) -> Result<Vec<NeighbourMessage>, KernelError> {
        let all = self.handle.neighbours().get().set_address_family(AddressFamily::Inet).execute();
        let all: Vec<NeighbourMessage> = all.try_collect().await.map_err(request("list neighbours"))?;
        Ok(all
            .into_iter()
            .filter(|n| n.header.ifindex == index && n.header.state == NeighbourState::Permanent)
            .collect())
    }

    /// The forwarding entries of a link.
    pub async fn forwarding(&self, index: u32) -> Result<Vec<NeighbourMessage>, KernelError> {
        let mut get = self.handle.neighbours().get().set_address_family(AddressFamily::Bridge);
        get.message_mut().header.ifindex = index;
        let all: Vec<NeighbourMessage> =
            get.execute().try_collect().await.map_err(request("list forwarding entries"))?;
        let ours = all.into_iter().filter(|n| n.header.ifindex == index);
        Ok(ours
            .filter(|n| n.attributes.iter().any(|a| matches!(a, NeighbourAttribute::Destination(_))))
            .collect())
    }

    /// It may be gone already.
    pub async fn delete_neighbour(&self, neighbour: NeighbourMessage) -> Result<(), KernelError> {
        match self.handle.neighbours().del(neighbour).execute().await {
            Err(e) if errno(&e) == Some(libc::ENOENT) => Ok(()),
            result => result.map_err(request("delete a neighbour")),
        }
    }

    /// Adds a route, or replaces the one to the same destination.
    pub async fn add_route(&self, route: RouteMessage) -> Result<(), KernelError> {
        self.handle.route().add(route).replace().execute().await.map_err(request("add a route"))
    }

    /// It may be gone already.
    pub async fn delete_route(&self, route: RouteMessage) -> Result<(), KernelError> {
        match self.handle.route().del(route).execute().await {
            Err(e) if errno(&e) == Some(libc::ESRCH) => Ok(()),
            result => result.map_err(request("delete a route")),
        }
    }

    /// The IPv4 routes that are ours.
    pub async fn routes(&self) -> Result<Vec<RouteMessage>, KernelError> {
        let all = self.handle.route().get(RouteMessageBuilder::<Ipv4Addr>::new().build()).execute();
        let all: Vec<RouteMessage> = all.try_collect().await.map_err(request("list routes"))?;
        Ok(all.into_iter().filter(|r| r.header.protocol == ROUTE_PROTOCOL).collect())
    }
}

/// Writes a sysctl of the current network namespace. What has the value already is not written: `/proc/sys` may be
/// read-only.
pub fn set_sysctl(name: &str, value: &str) -> Result<(), KernelError> {
    let path = PathBuf::from("/proc/sys").join(name);
    let error = |source| KernelError::Sysctl { path: path.clone(), source };
    if fs::read_to_string(&path).map_err(error)?.trim() == value {
        return Ok(());
    }
    fs::write(&path, value).map_err(error)
}

/// Keeps a link free of IPv6, whose address checks only make noise on links that carry none.
pub fn disable_ipv6(link: &str) -> Result<(), KernelError> {
    match set_sysctl(&format!("net/ipv6/conf/{link}/disable_ipv6"), "1") {
        // A kernel without IPv6.
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(()),
        result => result,
    }
}

/// A locally administered link address that is a function of the IP address.
pub fn mac_of(address: IpAddr) -> [u8; 6] {
    let last: [u8; 4] = match address {
        IpAddr::V4(a) => a.octets(),
        IpAddr::V6(a) => {
            let o = a.octets();
            [o[12], o[13], o[14], o[15]]
        }
    };
    [0x0a, 0x58, last[0], last[1], last[2], last[3]]
}

pub fn link_name(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|a| match a {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

pub fn link_mtu(link: &LinkMessage) -> Option<u32> {
    link.attributes.iter().find_map(|a| match a {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    })
}

fn address_of(message: &rtnetlink::packet_route::address::AddressMessage) -> Option<Ipv4Addr> {
    message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Local(IpAddr::V4(address)) | AddressAttribute::Address(IpAddr::V4(address)) => {
            Some(*address)
        }
        _ => None,
    })
}

fn request(action: &'static str) -> impl Fn(rtnetlink::Error) -> KernelError {
    move |source| KernelError::Request { action, source }
}

fn errno(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.code.map(|code| -code.get()),
        _ => None,
    }
}
