//! How the cluster's own components talk to its API: one typed client type (`kube::Client`) whether
//! the API is in the same process or behind TLS on another machine, and the pieces that every
//! controller-like component is made of.
//!
//! Invariants
//! - A component never knows which transport it has: [`connect`] and [`in_process`] give the same type.
//! - A [`Cache`] is an ordered, gap-free copy of one resource: readers see some past revision of the
//!   server, and never a mixture. What a component itself wrote can be put in at once
//!   ([`Cache::note`]), so that it never acts on a state older than its own last action.
//! - A [`Queue`] gives one key to one worker at a time, and loses no wish to look at a key.
//! - Writes of a leader carry its epoch ([`fenced`]): a deposed leader can not write.
//! - A [`Recorder`] never makes its caller wait.
//!
//! Map
//! - `connect.rs` the TLS client with several servers; `transport.rs` its connector
//! - `cache.rs` watch-driven caches; `contents.rs` what they hold; `changes.rs` the streams of their changes
//! - `queue.rs` work queues
//! - `elector.rs` leader election over a Lease; `fence.rs` the client of a leader
//! - `recorder.rs` Events; `placement.rs` which nodes a pod allows

mod cache;
mod changes;
mod connect;
mod contents;
mod elector;
mod fence;
pub mod placement;
mod queue;
mod recorder;
mod transport;

pub use cache::{Cache, CacheBuilder, Cacheable, ObjectKey};
pub use changes::{Change, Changes};
pub use connect::{ConnectError, Endpoints, connect, in_process};
pub use elector::{Elector, ElectorConfig, Leadership, Lost, lead};
pub use fence::{FENCE_HEADER, fenced};
pub use queue::{Queue, QueueMetrics};
pub use recorder::{EventType, Recorder};

pub use k8s_openapi;
pub use kube;
