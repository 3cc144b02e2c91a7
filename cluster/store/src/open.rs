//! Putting a store together at start.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::batcher::{Batcher, Clock};
use crate::codec;
use crate::config::{StoreConfig, Timings};
use crate::disk::{self, Disk, Layout};
use crate::error::{Doubt, OpenError};
use crate::failover::Failover;
use crate::leadership::Leadership;
use crate::machine::{HistoryLimits, Machine, Meter, Published, SnapshotFiles, State};
use crate::members::Members;
use crate::metrics::Metrics;
use crate::object::MemberId;
use crate::peer::{self, Factory, Inbox, Network, Peers, Service};
use crate::proposals::{Proposer, ProposerConfig, Waiters};
use crate::pulse::Pulse;
use crate::raft::Raft;
use crate::reads::{LeaderReads, Reads, Round};
use crate::room::Room;
use crate::store::Inner;
use crate::tasks;
use crate::wal::{Wal, WalConfig};
use crate::watch::Hub;
use crate::work::Work;

/// What a store runs on: the host, or a simulator.
#[derive(Clone)]
pub struct Environment {
    /// Where the files are.
    pub disk: Arc<dyn Disk>,
    /// Where the peers are.
    pub network: Arc<dyn Network>,
    /// Milliseconds since the Unix epoch.
    pub clock: Clock,
    /// Who does what waits for the disk.
    pub work: Work,
}

/// Entries of the log kept in memory.
const LOG_CACHE_BYTES: usize = 8 << 20;

/// Format of the member file.
const MEMBER_VERSION: u8 = 1;

/// Whose folder it is, and how often it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberFile {
    pub id: MemberId,
    /// A random number, made with the folder.
    pub folder: u64,
    boot: u64,
    check: u32,
}

impl MemberFile {
    pub(crate) fn new(id: MemberId) -> MemberFile {
        MemberFile { id, folder: rand::random(), boot: 0, check: 0 }
    }

    /// The file of a folder; `None` when it is empty.
    pub(crate) fn read(disk: &dyn Disk, layout: &Layout) -> Result<Option<MemberFile>, OpenError> {
        let path = layout.member();
        let bytes = disk::read_all(disk, &path).map_err(io_error("read", &path))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let damaged = |problem: String| OpenError::Damaged { path: path.clone(), offset: 0, problem };
        let member: MemberFile =
            codec::decode_versioned(&bytes, MEMBER_VERSION).map_err(|e| damaged(e.to_string()))?;
        if member.check != member.checksum() {
            return Err(damaged("its checksum does not fit".to_owned()));
        }
        Ok(Some(member))
    }

    /// Writes a folder's file.
    pub(crate) fn write(mut self, disk: &dyn Disk, layout: &Layout) -> Result<MemberFile, OpenError> {
        self.check = self.checksum();
        let path = layout.member();
        disk::replace(disk, &path, &self.bytes()).map_err(io_error("write", &path))?;
        Ok(self)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        codec::encode_versioned_into(MEMBER_VERSION, self, &mut bytes);
        bytes
    }

    fn checksum(&self) -> u32 {
        crc32fast::hash(&codec::encode(&(self.id, self.folder, self.boot)))
    }
}

/// Opens the folder and starts everything.
pub(crate) async fn open(cfg: StoreConfig, env: Environment) -> Result<Arc<Inner>, OpenError> {
    check(&cfg)?;
    let metrics = Metrics::new(&cfg.registry).map_err(|e| OpenError::Config { problem: e.to_string() })?;
    let files = {
        let (cfg, env, metrics) = (cfg.clone(), env.clone(), metrics.clone());
        let opened = env.work.clone();
        let opened = opened.run(move || open_files(&cfg, &env, metrics));
        opened.await.map_err(|e| OpenError::Raft { problem: e.to_string() })??
    };
    let addr = cfg.peer_listen.to_string();
    let listener = env.network.listen().await.map_err(|source| OpenError::Listen { addr, source })?;
    let cancel = CancellationToken::new();
    let advertise = cfg.peer_advertise.clone();
    let published = Published::new();
    let peers = Peers::new(
        cfg.id,
        files.member.folder,
        advertise,
        env.network.clone(),
        metrics.clone(),
        published.clone(),
        cancel.child_token(),
    );
    let core = start_raft(&cfg, files, &peers, published, &metrics, &env.work).await?;
    let seen = (watch::Sender::default(), watch::Sender::default());
    let leadership = (seen.0.subscribe(), seen.1.subscribe());
    let (inner, service) = assemble(cfg, env, core, peers, leadership, metrics, cancel);
    let cancel = inner.cancel.child_token();
    inner.tasks.spawn(peer::serve(listener, Arc::new(service), cancel));
    tasks::start(&inner, seen);
    Ok(inner)
}

/// The consensus, and what it works on.
struct Core {
    raft: Raft,
    wal: Wal,
    published: Arc<Published>,
    waiters: Arc<Waiters>,
    snapshots: Arc<SnapshotFiles>,
    boot: u64,
    room: Arc<Room>,
    lock: Box<dyn Send + Sync>,
}

async fn start_raft(
    cfg: &StoreConfig,
    files: Files,
    peers: &Arc<Peers>,
    published: Arc<Published>,
    metrics: &Arc<Metrics>,
    work: &Work,
) -> Result<Core, OpenError> {
    let Files { lock, room, member, snapshots, state, wal } = files;
    let boot = member.boot;
    let waiters = Arc::new(Waiters::default());
    let mut machine = Machine {
        id: cfg.id,
        boot,
        state,
        history: HistoryLimits {
            window: cfg.history,
            changes: cfg.limits.history_events,
            bytes: cfg.limits.history_bytes,
        },
        published: published.clone(),
        waiters: waiters.clone(),
        files: snapshots.clone(),
        meter: Meter::new(metrics.clone()),
        metrics: metrics.clone(),
        work: work.clone(),
    };
    machine.publish(&mut Vec::new());
    let config = Arc::new(raft_config(cfg)?);
    let raft =
        Raft::new(cfg.id, config, Factory { peers: peers.clone(), work: work.clone() }, wal.clone(), machine)
            .await
            .map_err(|e| OpenError::Raft { problem: e.to_string() })?;
    Ok(Core { raft, wal, published, waiters, snapshots, boot, room, lock })
}

fn assemble(
    cfg: StoreConfig,
    env: Environment,
    Core { raft, wal, published, waiters, snapshots, boot, room, lock }: Core,
    peers: Arc<Peers>,
    (leads, leadership): (watch::Receiver<Leadership>, watch::Receiver<Leadership>),
    metrics: Arc<Metrics>,
    cancel: CancellationToken,
) -> (Arc<Inner>, Service) {
    let (stop, stopped) = watch::channel(None::<Doubt>);
    let batcher = Batcher::start(raft.clone(), env.clock.clone(), stale_after(&cfg.timings), metrics.clone());
    let leader_reads = LeaderReads::start(raft.clone(), metrics.clone(), cancel.child_token());
    let round = Round {
        leader: leader_reads.clone(),
        peers: peers.clone(),
        published: published.clone(),
        leadership: leadership.clone(),
        timeout: cfg.timings.read,
    };
    let members = Members::new(raft.clone(), peers.clone(), leadership.clone(), cfg.timings.clone());
    let pulse = Pulse::new(raft.clone(), peers.clone(), leads, cfg.timings.clone(), room.clone());
    let failover = Failover::new(raft.clone(), peers.clone(), leadership.clone(), pulse.clone());
    let proposer = Proposer::start(ProposerConfig {
        me: cfg.id,
        boot,
        waiters,
        batcher: batcher.clone(),
        peers: peers.clone(),
        leadership: leadership.clone(),
        timeout: cfg.timings.write,
        most_waiting: cfg.limits.proposals_waiting,
        metrics: metrics.clone(),
        stopped,
    });
    let service = Service {
        raft: raft.clone(),
        peers: peers.clone(),
        batcher,
        reads: leader_reads,
        members: members.clone(),
        failover: failover.clone(),
        pulse: pulse.clone(),
        inbox: Inbox::new(snapshots, env.work.clone()),
        metrics: metrics.clone(),
    };
    let inner = Inner {
        hub: start_hub(&cfg, &published, metrics.clone()),
        cfg,
        raft,
        wal,
        peers,
        published,
        proposer,
        reads: Reads::start(round, cancel.child_token()),
        members,
        failover,
        pulse,
        leadership,
        metrics,
        room,
        clock: env.clock,
        work: env.work,
        stop,
        cancel,
        tasks: TaskTracker::new(),
        lock: Mutex::new(Some(lock)),
        shed: Notify::new(),
    };
    (Arc::new(inner), service)
}

fn start_hub(cfg: &StoreConfig, published: &Published, metrics: Arc<Metrics>) -> Arc<Hub> {
    let hub = Hub::new(cfg.limits.watch_backlog, cfg.timings.progress, metrics);
    hub.dispatch(&published.root());
    hub
}

fn check(cfg: &StoreConfig) -> Result<(), OpenError> {
    let timings = &cfg.timings;
    let problem = if timings.election_min >= timings.election_max {
        "the least election time must be below the most"
    } else if timings.heartbeat * 2 > timings.election_min {
        "the election time must be at least twice the heartbeat"
    } else if cfg.limits.segment_bytes < 64 << 10 {
        "a log segment must have at least 64 KiB"
    } else {
        return Ok(());
    };
    Err(OpenError::Config { problem: problem.to_owned() })
}

/// Silence of the quorum after which a leader accepts no writes.
fn stale_after(timings: &Timings) -> Duration {
    timings.election_max * 2
}

/// What the data folder holds.
struct Files {
    lock: Box<dyn Send + Sync>,
    room: Arc<Room>,
    member: MemberFile,
    snapshots: Arc<SnapshotFiles>,
    state: State,
    wal: Wal,
}

/// Blocking.
fn open_files(cfg: &StoreConfig, env: &Environment, metrics: Arc<Metrics>) -> Result<Files, OpenError> {
    let layout = Layout { root: cfg.data_dir.clone() };
    let disk = &env.disk;
    disk.create_dir(&layout.root).map_err(io_error("create", &layout.root))?;
    let path = layout.lock();
    let lock = disk.lock(&path).map_err(io_error("lock", &path))?;
    let lock = lock.ok_or(OpenError::Locked { path })?;
    let room = Room::open(disk.clone(), layout.root.clone(), cfg.limits.ballast_bytes, metrics.clone());
    let member = count_boot(disk.as_ref(), &layout, cfg.id, &room)?;
    let (snapshots, state) = SnapshotFiles::open(disk.clone(), layout.snapshots(), room.clone())?;
    if let Some((_, blob)) = snapshots.current() {
        let path = &blob.path;
        metrics.sizes.snapshot_bytes.set(blob.file.len().map_err(io_error("read", path))? as i64);
    }
    let config = WalConfig {
        disk: disk.clone(),
        dir: layout.wal(),
        member: cfg.id,
        segment_bytes: cfg.limits.segment_bytes,
        cache_bytes: LOG_CACHE_BYTES,
        long_bytes: cfg.limits.snapshot_bytes,
        metrics,
        work: env.work.clone(),
        room: room.clone(),
    };
    let wal = Wal::open(config, state.root.applied)?;
    disk.sync_dir(&layout.root).map_err(io_error("sync", &layout.root))?;
    Ok(Files { lock, room, member, snapshots, state, wal })
}

/// Checks whose folder it is and counts the start.
fn count_boot(disk: &dyn Disk, layout: &Layout, id: MemberId, room: &Room) -> Result<MemberFile, OpenError> {
    let mut member = MemberFile::read(disk, layout)?.unwrap_or_else(|| MemberFile::new(id));
    if member.id != id {
        return Err(OpenError::ForeignFolder { path: layout.root.clone(), found: member.id, expected: id });
    }
    member.boot += 1;
    member.check = member.checksum();
    let path = layout.member();
    let written = room.make(|| disk::replace(disk, &path, &member.bytes()));
    written.map(|()| member).map_err(io_error("write", &path))
}

pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io { action, path, source }
}

/// openraft waits for the lease of the old leader to end, which is its longest election time, and
/// then for a random election time. Half of ours for each keeps the sum within ours.
fn raft_config(cfg: &StoreConfig) -> Result<openraft::Config, OpenError> {
    let timings = &cfg.timings;
    let config = openraft::Config {
        cluster_name: "trireme".to_owned(),
        heartbeat_interval: timings.heartbeat.as_millis() as u64,
        election_timeout_min: (timings.election_min / 2).as_millis() as u64,
        election_timeout_max: (timings.election_max / 2).as_millis() as u64,
        enable_pre_vote: Some(true),
        // A leader that was restarted asks for votes like everybody else.
        enable_leader_restore: Some(false),
        max_payload_entries: 64,
        snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(cfg.limits.snapshot_entries),
        max_in_snapshot_log_to_keep: cfg.limits.snapshot_trail,
        replication_lag_threshold: cfg.limits.snapshot_entries.max(cfg.limits.snapshot_trail) * 2,
        purge_batch_size: 64,
        install_snapshot_timeout: 120_000,
        ..openraft::Config::default()
    };
    config.validate().map_err(|e| OpenError::Config { problem: e.to_string() })
}
