//! Electing a leader at once when the old one's process is gone, or does not answer any more.
//!
//! Raft waits for a leader's silence. But when a process dies, its connections close, and a new
//! one is refused: that is known within a millisecond. And a leader that hears nothing is not silent
//! (see `pulse.rs`). The member that notices asks the others whether they see the same; with a
//! quorum of such answers it stands for election, and those who agreed vote without waiting for the
//! old leader's lease to end. A leader that a quorum can still reach is never disturbed, and nothing
//! here weakens Raft's own rules of voting.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::leadership::Leadership;
use crate::object::MemberId;
use crate::peer::{Kind, Lane, LeaderGone, LeaderGoneAnswer, LinkState, Peers};
use crate::pulse::Pulse;
use crate::raft::{LogId, Raft};

/// How long after another member the next one in rank stands for election.
const RANK_STEP: Duration = Duration::from_millis(40);
/// How long a member waits to see itself that the leader is gone, when it is asked.
const LOOK: Duration = Duration::from_millis(60);
const ANSWER: Duration = Duration::from_millis(150);
/// How long an agreement lets votes pass.
const AGREEMENT: Duration = Duration::from_millis(500);

/// The watch over the leader's process.
pub(crate) struct Failover {
    raft: Raft,
    peers: Arc<Peers>,
    leadership: watch::Receiver<Leadership>,
    pulse: Arc<Pulse>,
    /// Until when this member agrees that the leader is gone.
    agreed_until: Mutex<Option<Instant>>,
}

impl Failover {
    pub(crate) fn new(
        raft: Raft,
        peers: Arc<Peers>,
        leadership: watch::Receiver<Leadership>,
        pulse: Arc<Pulse>,
    ) -> Arc<Failover> {
        Arc::new(Failover { raft, peers, leadership, pulse, agreed_until: Mutex::new(None) })
    }

    /// Whether votes may pass although the old leader's lease has not ended.
    pub(crate) fn agreed(&self) -> bool {
        self.agreed_until.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Watches until cancelled.
    pub(crate) async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let mut leadership = self.leadership.clone();
        let watch = async {
            loop {
                let now = *leadership.borrow_and_update();
                let gone = async {
                    match now.leader {
                        Some(leader) if !now.is_self => self.wait_gone(leader).await,
                        _ => std::future::pending().await,
                    }
                };
                tokio::select! {
                    changed = leadership.changed() => if changed.is_err() { return },
                    () = gone => self.replace(now).await,
                }
            }
        };
        cancel.run_until_cancelled(watch).await;
    }

    /// Returns when the connection to the leader, once made, closed and can not be made again, or
    /// when the leader has not answered for the least election time.
    async fn wait_gone(&self, leader: MemberId) {
        let closed = async {
            let mut state = self.peers.link(leader, Lane::Control).state();
            if state.wait_for(|state| *state == LinkState::Up).await.is_err()
                || state.wait_for(is_gone).await.is_err()
            {
                std::future::pending::<()>().await;
            }
        };
        let mut silence = self.pulse.silence();
        tokio::select! {
            () = closed => {}
            // The pulse outlives this: its end is the store's.
            seen = async { silence.wait_for(|silence| silence.is_enough()).await.is_ok() } => debug_assert!(seen),
        }
    }

    /// Whether this member, by itself, still takes the leader for gone.
    fn sees_gone(&self, leader: MemberId) -> bool {
        *self.peers.link(leader, Lane::Control).state().borrow() != LinkState::Up
            || self.pulse.silence().borrow().agrees()
    }

    /// Tries to get the leader replaced, until it is or turns out to live.
    async fn replace(&self, old: Leadership) {
        let Some(leader) = old.leader else { return };
        tracing::debug!(leader, "the leader is gone, or does not answer");
        let (voters, last) = self.voters_and_log();
        let me = self.peers.me();
        if !voters.contains(&me) {
            self.leadership_changed(old, RANK_STEP * 8).await;
            return;
        }
        let rank = voters.iter().filter(|id| **id != leader && **id < me).count() as u32;
        if rank > 0 && self.leadership_changed(old, RANK_STEP * rank).await {
            return;
        }
        if !self.sees_gone(leader) {
            return;
        }
        let question = LeaderGone { leader, term: old.term };
        let others = voters.iter().copied().filter(|id| *id != leader && *id != me);
        let answers = join_all(
            others.map(|id| self.peers.call::<_, LeaderGoneAnswer>(id, Kind::LeaderGone, &question, ANSWER)),
        )
        .await;
        let agreeing: Vec<LeaderGoneAnswer> =
            answers.into_iter().filter_map(Result::ok).filter(|answer| answer.gone).collect();
        let quorum = (agreeing.len() + 1) * 2 > voters.len();
        let newest = agreeing.iter().all(|answer| answer.last <= last);
        if quorum && newest {
            tracing::info!(leader, "a quorum sees the leader gone: standing for election");
            self.agree();
            if let Err(error) = self.raft.trigger().elect(false).await {
                tracing::warn!(%error, "cannot stand for election");
            }
        }
        self.leadership_changed(old, RANK_STEP * 4).await;
    }

    /// Another member asks whether the leader is gone.
    pub(crate) async fn answer(&self, question: LeaderGone) -> LeaderGoneAnswer {
        let (_, last) = self.voters_and_log();
        let now = *self.leadership.borrow();
        let same = now.term <= question.term && now.leader.is_none_or(|leader| leader == question.leader);
        let gone = same
            && question.leader != self.peers.me()
            && {
                let mut state = self.peers.link(question.leader, Lane::Control).state();
                let mut silence = self.pulse.silence();
                let seen = async {
                    tokio::select! {
                        closed = state.wait_for(is_gone) => closed.is_ok(),
                        // Silence counts only of the leader that is asked about.
                        silent = silence.wait_for(|silence| now.leader.is_some() && silence.agrees()) => silent.is_ok(),
                    }
                };
                tokio::time::timeout(LOOK, seen).await.unwrap_or(false)
            };
        if gone {
            self.agree();
        }
        LeaderGoneAnswer { gone, last }
    }

    fn agree(&self) {
        *self.agreed_until.lock() = Some(Instant::now() + AGREEMENT);
    }

    fn voters_and_log(&self) -> (BTreeSet<MemberId>, Option<LogId>) {
        let metrics = self.raft.data_metrics();
        let last = metrics.borrow_watched().last_log;
        let metrics = self.raft.server_metrics();
        let voters = metrics.borrow_watched().membership_config.voter_ids().collect();
        (voters, last)
    }

    async fn leadership_changed(&self, old: Leadership, within: Duration) -> bool {
        let mut leadership = self.leadership.clone();
        let changed = leadership.wait_for(|now| now.leader != old.leader || now.term != old.term);
        tokio::time::timeout(within, changed).await.is_ok()
    }
}

fn is_gone(state: &LinkState) -> bool {
    matches!(state, LinkState::Down { attempts } if *attempts > 0)
}
