//! Forgets UDP flows that lead to endpoints that are gone.
//!
//! The kernel translates a flow as it did its first packet for as long as packets come, and UDP has no end of a
//! connection: a client that keeps its port would talk to a dead endpoint for ever.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use ipnet::Ipv4Net;

use super::service::{Frontend, Target};
use super::state::{Scope, State};
use crate::Protocol;
use crate::netlink::{Attributes, Message, RequestError, Socket};

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;

/// Numbers of `nfnetlink_conntrack.h`.
mod cta {
    pub const GET: u16 = 1 << 8 | 1;
    pub const DELETE: u16 = 1 << 8 | 2;
    pub const TUPLE_ORIGINAL: u16 = 1;
    pub const TUPLE_REPLY: u16 = 2;
    pub const ID: u16 = 12;
    pub const TUPLE_IP: u16 = 1;
    pub const TUPLE_PROTOCOL: u16 = 2;
    pub const IPV4_SOURCE: u16 = 1;
    pub const IPV4_DESTINATION: u16 = 2;
    pub const PROTOCOL_NUMBER: u16 = 1;
    pub const SOURCE_PORT: u16 = 2;
    pub const DESTINATION_PORT: u16 = 3;
}

/// One direction of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple {
    pub protocol: u8,
    pub source: SocketAddrV4,
    pub destination: SocketAddrV4,
}

/// A flow as it began, and where its answers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub original: Tuple,
    pub reply: Tuple,
    id: [u8; 4],
}

/// By what a flow is judged.
pub struct Judge<'a> {
    pub state: &'a State,
    /// Frontends that there were until now.
    pub gone: &'a BTreeSet<Frontend>,
    pub service_cidr: Ipv4Net,
    /// Where node ports are reached.
    pub node_addresses: &'a [Ipv4Addr],
}

/// Deletes the UDP flows that would be translated otherwise today. Answers how many there were.
pub fn reconcile(socket: &Socket, judge: &Judge) -> Result<usize, RequestError> {
    let mut stale = Vec::new();
    socket.dump(&dump_request(), |body| {
        if let Some(flow) = decode(body).filter(|flow| judge.is_stale(flow)) {
            stale.push(flow);
        }
    })?;
    for flow in &stale {
        match socket.transact(&delete_request(flow)) {
            Ok(()) => {}
            // It ended by itself.
            Err(e) if e.errno() == Some(libc::ENOENT) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(stale.len())
}

impl Judge<'_> {
    /// Whether a flow's first packet would be led somewhere else today. Pure.
    pub fn is_stale(&self, flow: &Flow) -> bool {
        if flow.original.protocol != libc::IPPROTO_UDP as u8 {
            return false;
        }
        let (address, port) = (*flow.original.destination.ip(), flow.original.destination.port());
        let endpoint = flow.reply.source;
        let translated = endpoint != flow.original.destination;
        let any = translated || self.node_addresses.contains(&address);
        let addresses = [Some(address), any.then_some(Ipv4Addr::UNSPECIFIED)];
        let frontends: Vec<Frontend> = addresses
            .into_iter()
            .flatten()
            .map(|address| Frontend { address, protocol: Protocol::Udp, port })
            .collect();
        let scopes = [Scope::Inside, Scope::Outside];
        let mut targets = frontends
            .iter()
            .flat_map(|f| scopes.map(|scope| self.state.target(scope, *f)))
            .flatten()
            .peekable();
        if targets.peek().is_some() {
            return !targets.any(|t| matches!(t, Target::Balance(b) if b.endpoints.contains(&endpoint)));
        }
        // Flows that others translate are not ours to judge.
        translated
            && (self.service_cidr.contains(&address) || frontends.iter().any(|f| self.gone.contains(f)))
    }
}

fn dump_request() -> Message {
    let mut message = Message::default();
    message.push(cta::GET, NLM_F_REQUEST | NLM_F_DUMP, 1, |m| m.raw(&[libc::AF_INET as u8, 0, 0, 0]));
    message
}

fn delete_request(flow: &Flow) -> Message {
    let mut message = Message::default();
    message.push(cta::DELETE, NLM_F_REQUEST | NLM_F_ACK, 1, |m| {
        m.raw(&[libc::AF_INET as u8, 0, 0, 0]);
        m.nested(cta::TUPLE_ORIGINAL, |m| encode(m, &flow.original));
        m.attribute(cta::ID, &flow.id);
    });
    message
}

fn encode(m: &mut Message, tuple: &Tuple) {
    m.nested(cta::TUPLE_IP, |m| {
        m.attribute(cta::IPV4_SOURCE, &tuple.source.ip().octets());
        m.attribute(cta::IPV4_DESTINATION, &tuple.destination.ip().octets());
    });
    m.nested(cta::TUPLE_PROTOCOL, |m| {
        m.attribute(cta::PROTOCOL_NUMBER, &[tuple.protocol]);
        m.attribute(cta::SOURCE_PORT, &tuple.source.port().to_be_bytes());
        m.attribute(cta::DESTINATION_PORT, &tuple.destination.port().to_be_bytes());
    });
}

/// Reads a flow from the body of a message; `None` for flows without ports and of other families.
fn decode(body: &[u8]) -> Option<Flow> {
    let attributes = Attributes(body.get(4..)?);
    Some(Flow {
        original: decode_tuple(attributes.nested(cta::TUPLE_ORIGINAL)?)?,
        reply: decode_tuple(attributes.nested(cta::TUPLE_REPLY)?)?,
        id: attributes.find(cta::ID)?.try_into().ok()?,
    })
}

fn decode_tuple(attributes: Attributes) -> Option<Tuple> {
    let (ip, protocol) = (attributes.nested(cta::TUPLE_IP)?, attributes.nested(cta::TUPLE_PROTOCOL)?);
    let address = |kind| Some(Ipv4Addr::from(<[u8; 4]>::try_from(ip.find(kind)?).ok()?));
    let port = |kind| Some(u16::from_be_bytes(protocol.find(kind)?.try_into().ok()?));
    Some(Tuple {
        protocol: *protocol.find(cta::PROTOCOL_NUMBER)?.first()?,
        source: SocketAddrV4::new(address(cta::IPV4_SOURCE)?, port(cta::SOURCE_PORT)?),
        destination: SocketAddrV4::new(address(cta::IPV4_DESTINATION)?, port(cta::DESTINATION_PORT)?),
    })
}

#[cfg(test)]
pub(super) fn flow(original: Tuple, reply: Tuple) -> Flow {
    Flow { original, reply, id: [0; 4] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deleted_is_named_as_it_was_read() {
        let tuple = |s: &str, d: &str| Tuple {
            protocol: 17,
            source: s.parse().unwrap(),
            destination: d.parse().unwrap(),
        };
        let original = tuple("10.244.1.2:4000", "10.96.0.20:53");
        let reply = tuple("10.244.2.3:5353", "10.244.1.2:4000");
        let mut message = Message::default();
        message.nested(cta::TUPLE_ORIGINAL, |m| encode(m, &original));
        message.nested(cta::TUPLE_REPLY, |m| encode(m, &reply));
        message.attribute(cta::ID, &[1, 2, 3, 4]);
        let body = [&[2, 0, 0, 0], message.as_bytes()].concat();
        let flow = decode(&body).unwrap();
        assert_eq!((flow.original, flow.reply), (original, reply));
        let request = delete_request(&flow);
        let request = request.as_bytes();
        assert!(
            request.windows(4).any(|w| w == [10, 96, 0, 20]) && request.windows(4).any(|w| w == [1, 2, 3, 4])
        );
        assert_eq!(decode(&[2, 0, 0, 0]), None);
    }
}
