//! Netlink as netfilter speaks it: messages, attributes, one synchronous socket.
//!
//! The kernel handles a netfilter request inside `sendmsg`: when that returns, every answer is already in the
//! receive queue. So the socket is synchronous and its calls take microseconds; long batches are sent from a
//! thread that may block.

mod message;
mod socket;

pub use message::{Attributes, Message};
pub use socket::{RequestError, Socket};
