//! Linearizable reads: one ReadIndex round for all that wait.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::ReadPolicy;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::ReadError;
use crate::leadership::Leadership;
use crate::machine::{Published, Root};
use crate::metrics::Metrics;
use crate::peer::{Kind, Peers, ReadRefusal};
use crate::raft::Raft;
use crate::sabotage::{self, Sabotage};

/// Before the same leader is asked again.
const AGAIN: Duration = Duration::from_millis(10);
/// Longest wait for the answer of a leader that may be gone.
const ANSWER: Duration = Duration::from_millis(500);

/// Rounds of something that many ask for: a round answers all who asked before it began.
struct Rounds<T> {
    queue: mpsc::UnboundedSender<oneshot::Sender<T>>,
}

impl<T> Clone for Rounds<T> {
    fn clone(&self) -> Self {
        Rounds { queue: self.queue.clone() }
    }
}

impl<T: Clone + Send + 'static> Rounds<T> {
    fn start(
        cancel: CancellationToken,
        round: impl Fn() -> BoxFuture<'static, T> + Send + Sync + 'static,
    ) -> Self {
        let (queue, mut asked) = mpsc::unbounded_channel::<oneshot::Sender<T>>();
        tokio::spawn(async move {
            let work = async {
                let mut waiting = Vec::new();
                while asked.recv_many(&mut waiting, usize::MAX).await > 0 {
                    let answer = round().await;
                    // Who asked may have given up.
                    waiting.drain(..).for_each(|sender| drop(sender.send(answer.clone())));
                }
            };
            cancel.run_until_cancelled(work).await;
        });
        Rounds { queue }
    }

    /// The answer of the next round; `None` when the store stops.
    async fn ask(&self) -> Option<T> {
        let (sender, answer) = oneshot::channel();
        self.queue.send(sender).ok()?;
        answer.await.ok()
    }
}

/// Read indexes given by this member when it leads.
#[derive(Clone)]
pub(crate) struct LeaderReads {
    rounds: Rounds<Result<u64, ReadRefusal>>,
}

impl LeaderReads {
    pub(crate) fn start(raft: Raft, metrics: Arc<Metrics>, cancel: CancellationToken) -> LeaderReads {
        let rounds = Rounds::start(cancel, move || {
            let (raft, metrics) = (raft.clone(), metrics.clone());
            Box::pin(async move {
                let timer = metrics.read_index.start_timer();
                let index = read_index(&raft).await;
                timer.observe_duration();
                index
            })
        });
        LeaderReads { rounds }
    }

    /// What must be applied before a read is linearizable, confirmed by a quorum.
    pub(crate) async fn index(&self) -> Result<u64, ReadRefusal> {
        self.rounds.ask().await.unwrap_or(Err(ReadRefusal::NotLeader))
    }
}

async fn read_index(raft: &Raft) -> Result<u64, ReadRefusal> {
    use openraft::errors::{LinearizableReadError, RaftError};
    if sabotage::is(Sabotage::SkipReadIndex) && raft.metrics().borrow_watched().state.is_leader() {
        return Ok(raft.data_metrics().borrow_watched().last_applied.map_or(0, |id| id.index));
    }
    match raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
        Ok(linearizer) => Ok(linearizer.read_log_id().index()),
        Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_))) => Err(ReadRefusal::NotLeader),
        Err(error) => Err(ReadRefusal::NoQuorum(error.to_string())),
    }
}

/// Linearizable reads of this member's callers.
#[derive(Clone)]
pub(crate) struct Reads {
    rounds: Rounds<Result<Arc<Root>, ReadError>>,
}

/// What a round needs.
pub(crate) struct Round {
    pub leader: LeaderReads,
    pub peers: Arc<Peers>,
    pub published: Arc<Published>,
    pub leadership: watch::Receiver<Leadership>,
    pub timeout: Duration,
}

impl Reads {
    pub(crate) fn start(round: Round, cancel: CancellationToken) -> Reads {
        let round = Arc::new(round);
        let rounds = Rounds::start(cancel, move || {
            let round = round.clone();
            Box::pin(async move { round.run().await })
        });
        Reads { rounds }
    }

    /// A state that has every write acknowledged before the call.
    pub(crate) async fn root(&self) -> Result<Arc<Root>, ReadError> {
        self.rounds.ask().await.unwrap_or(Err(ReadError::ShuttingDown))
    }
}

impl Round {
    async fn run(&self) -> Result<Arc<Root>, ReadError> {
        let deadline = Instant::now() + self.timeout;
        let mut reason = "no leader is known".to_owned();
        let confirmed = tokio::time::timeout_at(deadline, self.confirm(&mut reason)).await;
        match confirmed {
            Ok(root) => Ok(root),
            Err(_) => Err(ReadError::NoQuorum { reason }),
        }
    }

    async fn confirm(&self, reason: &mut String) -> Arc<Root> {
        let mut leadership = self.leadership.clone();
        loop {
            let now = *leadership.borrow_and_update();
            if sabotage::is(Sabotage::FollowerReadsLocal) && !now.is_self {
                return self.published.root();
            }
            let index = match now.leader {
                None => Err(ReadRefusal::NotLeader),
                Some(_) if now.is_self => self.leader.index().await,
                Some(leader) => tokio::select! {
                    answer = self.peers.call(leader, Kind::ReadIndex, &(), ANSWER) => match answer {
                        Ok(index) => index,
                        Err(error) => Err(ReadRefusal::NoQuorum(error.to_string())),
                    },
                    // Whoever leads now is asked; the old one may be unable to answer.
                    changed = leadership.changed() => if changed.is_ok() { continue } else { Err(ReadRefusal::NotLeader) },
                },
            };
            match index {
                Ok(index) => {
                    let mut applied = self.published.applied();
                    if applied.wait_for(|applied| *applied >= index).await.is_ok() {
                        return self.published.root();
                    }
                    "the machine stopped".clone_into(reason);
                }
                Err(ReadRefusal::NotLeader) => "no leader is known".clone_into(reason),
                Err(ReadRefusal::NoQuorum(why)) => *reason = why,
            }
            // A new leader, or the same one a little later.
            if let Ok(Err(_)) = tokio::time::timeout(AGAIN, leadership.changed()).await {
                // The store stops, and this with it.
                std::future::pending::<()>().await;
            }
        }
    }
}
