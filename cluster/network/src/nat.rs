//! NAT for what leaves one network: the one thing that a local cluster with a way out needs of its surroundings.

use ipnet::Ipv4Net;

use crate::RequestError;
use crate::netlink::Socket;
use crate::nft::{Batch, Comparison, Expression, Field, Hook};

/// `NF_INET_POST_ROUTING`.
const POST_ROUTING: u32 = 4;
/// `NF_IP_PRI_NAT_SRC`.
const PRIORITY_SOURCE_NAT: i32 = 100;
const CHAIN: &str = "postrouting";

/// Lets packets from `source` to anywhere else leave with the address of this network namespace.
///
/// `table` is the name of an nftables table of its own, made anew if it is there.
pub fn masquerade(table: &'static str, source: Ipv4Net) -> Result<(), RequestError> {
    let socket = Socket::open()?;
    let mut batch = Batch::new(table);
    batch.add_table();
    batch.delete_table();
    batch.add_table();
    batch.add_chain(CHAIN, Some(Hook { kind: "nat", number: POST_ROUTING, priority: PRIORITY_SOURCE_NAT }));
    let mut rule = Vec::new();
    rule.extend(Expression::within(Field::SourceAddress, source, Comparison::Equal));
    rule.extend(Expression::within(Field::DestinationAddress, source, Comparison::NotEqual));
    rule.push(Expression::Masquerade);
    batch.add_rule(CHAIN, &rule);
    batch.commit(&socket)
}

/// Removes a table that [`masquerade`] made; nothing happens when it is not there.
pub fn remove(table: &'static str) -> Result<(), RequestError> {
    let socket = Socket::open()?;
    let mut batch = Batch::new(table);
    batch.add_table();
    batch.delete_table();
    batch.commit(&socket)
}
