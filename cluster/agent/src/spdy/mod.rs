//! SPDY/3.1, the server side, as far as Kubernetes clients need it for exec, attach and port-forward: streams opened by
//! the client, data in both directions, FIN and RST, pings. There is no flow control (Kubernetes' clients have none):
//! back pressure is the transport's, so one stream that is not read holds up the others of its connection.

mod dictionary;
pub mod frame;
mod session;

pub use frame::Headers;
pub use session::{Session, Stream, StreamSender};
