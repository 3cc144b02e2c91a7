//! On the leader: all proposals that wait become one log entry, which costs one fsync per member.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::metrics::Metrics;
use crate::peer::Handed;
use crate::raft::{Batch, Command, Raft};

/// Entries under way at one time: while they are, the next one collects. One is on the disks and one
/// on its way there; with more of them, each is smaller, and costs as much.
const ENTRIES_UNDER_WAY: usize = 2;
/// Proposals and bytes of one entry.
const ENTRY_PROPOSALS: usize = 1024;
const ENTRY_BYTES: usize = 1 << 20;
/// Submissions that wait.
const QUEUE: usize = 4096;

/// Where the time in log entries comes from.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The host's clock, milliseconds since the Unix epoch.
pub(crate) fn host_clock() -> Clock {
    Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64)
}

struct Submission {
    proposals: Vec<Bytes>,
    reply: oneshot::Sender<Handed>,
}

/// The handle of the batcher. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Batcher {
    queue: mpsc::Sender<Submission>,
}

impl Batcher {
    /// `stale` is the silence of the quorum after which nothing is accepted.
    pub(crate) fn start(raft: Raft, clock: Clock, stale: Duration, metrics: Arc<Metrics>) -> Batcher {
        let (queue, submissions) = mpsc::channel(QUEUE);
        let worker =
            Worker { raft, clock, stale, metrics, room: Arc::new(Semaphore::new(ENTRIES_UNDER_WAY)) };
        tokio::spawn(worker.run(submissions));
        Batcher { queue }
    }

    /// Puts proposals into the log; what became of them.
    pub(crate) async fn submit(&self, proposals: Vec<Bytes>) -> Handed {
        let (reply, answer) = oneshot::channel();
        if self.queue.send(Submission { proposals, reply }).await.is_err() {
            return Handed::Refused;
        }
        answer.await.unwrap_or(Handed::Lost)
    }
}

struct Worker {
    raft: Raft,
    clock: Clock,
    stale: Duration,
    metrics: Arc<Metrics>,
    room: Arc<Semaphore>,
}

impl Worker {
    async fn run(self, mut submissions: mpsc::Receiver<Submission>) {
        let mut waiting: Vec<Submission> = Vec::new();
        loop {
            if waiting.is_empty() && submissions.recv_many(&mut waiting, 1).await == 0 {
                return;
            }
            let Ok(room) = self.room.clone().acquire_owned().await else { return };
            // Everything that came while the entries before were under way goes together.
            while waiting.len() < ENTRY_PROPOSALS
                && let Ok(more) = submissions.try_recv()
            {
                waiting.push(more);
            }
            let taken = take_entry(&mut waiting);
            if !self.can_commit() {
                taken.into_iter().for_each(|submission| tell(submission.reply, Handed::Refused));
                continue;
            }
            let (command, replies) = self.entry(taken);
            let raft = self.raft.clone();
            tokio::spawn(async move {
                let handed = write(&raft, command).await;
                drop(room);
                replies.into_iter().for_each(|reply| tell(reply, handed));
            });
        }
    }

    fn entry(&self, taken: Vec<Submission>) -> (Command, Vec<oneshot::Sender<Handed>>) {
        let mut proposals = Vec::new();
        let mut replies = Vec::with_capacity(taken.len());
        for mut submission in taken {
            proposals.append(&mut submission.proposals);
            replies.push(submission.reply);
        }
        self.metrics.batch.observe(proposals.len() as f64);
        (Batch::encode((self.clock)(), &proposals), replies)
    }

    /// Whether this member leads and hears of a quorum: otherwise a write would only wait in the
    /// log for somebody to decide its fate.
    fn can_commit(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        if !metrics.state.is_leader() {
            return false;
        }
        let alone = metrics.membership_config.voter_ids().count() <= 1;
        alone || metrics.last_quorum_acked.is_none_or(|acked| acked.elapsed() < self.stale)
    }
}

fn tell(reply: oneshot::Sender<Handed>, handed: Handed) {
    if reply.send(handed).is_err() {
        tracing::trace!("who submitted has given up: nobody is left to tell");
    }
}

/// As many submissions as one entry may hold, at least one.
fn take_entry(waiting: &mut Vec<Submission>) -> Vec<Submission> {
    let (mut proposals, mut bytes) = (0, 0);
    let fitting = waiting
        .iter()
        .take_while(|submission| {
            proposals += submission.proposals.len();
            bytes += submission.proposals.iter().map(Bytes::len).sum::<usize>();
            proposals <= ENTRY_PROPOSALS && bytes <= ENTRY_BYTES
        })
        .count()
        .max(1);
    let rest = waiting.split_off(fitting);
    std::mem::replace(waiting, rest)
}

async fn write(raft: &Raft, command: Command) -> Handed {
    match raft.client_write(command).await {
        Ok(_) => Handed::Committed,
        Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Handed::Refused,
        Err(RaftError::APIError(error)) => {
            tracing::debug!(%error, "a log entry was lost");
            Handed::Lost
        }
        Err(RaftError::Fatal(error)) => {
            tracing::debug!(%error, "a log entry was lost");
            Handed::Lost
        }
    }
}
