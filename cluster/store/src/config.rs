//! What a store is told at start, with every limit named.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::object::MemberId;

/// Everything [`crate::Store::open`] needs.
#[derive(Clone)]
pub struct StoreConfig {
    /// Who we are; never given to another member again.
    pub id: MemberId,
    /// Where the log and the snapshots go; made when missing.
    pub data_dir: PathBuf,
    /// Where peers reach us.
    pub peer_listen: SocketAddr,
    /// The address (host:port) that peers are told.
    pub peer_advertise: String,
    /// Must demand and verify client certificates.
    pub tls_server: Arc<rustls::ServerConfig>,
    /// Must present this member's certificate.
    pub tls_client: Arc<rustls::ClientConfig>,
    /// The name every peer's certificate carries.
    pub peer_server_name: String,
    /// How fast.
    pub timings: Timings,
    /// How much.
    pub limits: Limits,
    /// How long old revisions can be read and watched from.
    pub history: Duration,
    /// Where the metrics are registered.
    pub registry: prometheus::Registry,
}

/// Times of the consensus.
#[derive(Debug, Clone)]
pub struct Timings {
    /// Between two heartbeats of the leader.
    pub heartbeat: Duration,
    /// Least silence after which a member stands for election.
    pub election_min: Duration,
    /// Most.
    pub election_max: Duration,
    /// After this a write whose outcome is not known answers `Unknown`.
    pub write: Duration,
    /// After this a read that could not be confirmed fails; also how long a call waits for a leader.
    pub read: Duration,
    /// How long one call of [`crate::Store::add_member`] waits for the new member to catch up.
    pub catch_up: Duration,
    /// Between two progress notices on a watch without events.
    pub progress: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Timings {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(600),
            write: Duration::from_secs(5),
            read: Duration::from_secs(3),
            catch_up: Duration::from_secs(30),
            progress: Duration::from_secs(1),
        }
    }
}

/// Limits; each is refused with an error that names it.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest value of one object, bytes.
    pub object_bytes: usize,
    /// Largest transaction, bytes of all its values.
    pub txn_bytes: usize,
    /// Most operations and guards of one transaction.
    pub txn_ops: usize,
    /// Longest key, bytes.
    pub key_bytes: usize,
    /// Size of all objects at which writes that grow the store are refused.
    pub total_bytes: u64,
    /// Most proposals that wait for the log at one time.
    pub proposals_waiting: usize,
    /// Most events that wait in one watcher's queue before it is cut off.
    pub watch_backlog: usize,
    /// Most events kept for watchers that resume, whatever the history's length.
    pub history_events: usize,
    /// Most bytes of values that only the history still holds.
    pub history_bytes: u64,
    /// Size of one file of the log.
    pub segment_bytes: u64,
    /// Bytes that are kept on the disk and freed when it is full, so that a member can go on with
    /// deletes and restart; at most a tenth of the disk. With less than this free, writes that
    /// grow the store are refused.
    pub ballast_bytes: u64,
    /// Log entries after which a snapshot is made.
    pub snapshot_entries: u64,
    /// Bytes of log after which one is made, whatever the number of entries.
    pub snapshot_bytes: u64,
    /// Log entries kept behind a snapshot for members that are a little late.
    pub snapshot_trail: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            object_bytes: 3 << 19,
            txn_bytes: 8 << 20,
            txn_ops: 1024,
            key_bytes: 2048,
            total_bytes: 8 << 30,
            proposals_waiting: 16_384,
            watch_backlog: 16_384,
            history_events: 200_000,
            history_bytes: 256 << 20,
            segment_bytes: 32 << 20,
            ballast_bytes: 32 << 20,
            snapshot_entries: 200_000,
            snapshot_bytes: 128 << 20,
            snapshot_trail: 1_000,
        }
    }
}

/// How long old revisions are kept when nothing else is said.
pub const DEFAULT_HISTORY: Duration = Duration::from_secs(300);
