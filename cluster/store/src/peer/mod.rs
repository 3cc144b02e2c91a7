//! How members talk: framed messages over connections that both sides authenticate.
//!
//! `net.rs` is the network behind a trait (the real one: TCP with mutual TLS); `frame.rs` the
//! frames; `book.rs` what is known of the peers; `wire.rs` the messages; `link.rs` one outgoing connection, made again when it breaks;
//! `peers.rs` all of them; `raft_net.rs` gives them to openraft; `server.rs` answers what comes in,
//! `receive.rs` takes snapshots, over as many connections as it needs.
//!
//! Members speak one version of the protocol: who speaks another one is told so, with both numbers,
//! and not let in. Neither is who was removed and does not know it yet.
//!
//! Between two members there are up to three connections in each direction, so that a large log
//! batch or a snapshot never stands before a heartbeat.

mod book;
mod commits;
mod frame;
mod link;
mod net;
mod peers;
mod raft_net;
mod receive;
mod server;
mod wire;

pub(crate) use self::book::REMOVED;
pub(crate) use self::frame::Kind;
pub(crate) use self::link::{CallError, LinkState};
pub(crate) use self::net::TlsNetwork;
pub use self::net::{Incoming, Listener, Network, Socket};
pub(crate) use self::peers::{Lane, Peers};
pub(crate) use self::raft_net::Factory;
pub(crate) use self::receive::Inbox;
pub(crate) use self::server::{Service, serve};
pub(crate) use self::wire::{
    Forward, Handed, LeaderGone, LeaderGoneAnswer, MembersRequest, MembersResponse, PulseAnswer,
    PulseQuestion, ReadRefusal,
};
