//! Whether the leader and the others hear each other, in both directions.
//!
//! A heartbeat says only that the leader can send. A leader that can not receive would keep its
//! followers calm and commit nothing; one that can not send would be missed late. So each member
//! asks the leader again and again, and the leader answers whether it is asked by a quorum. One
//! question is under way at a time: an answer proves both directions, its absence is counted in
//! heartbeats. (A member that was not scheduled for a while counts one, however long that was.)
//!
//! What follows from silence is decided elsewhere: `failover.rs` asks the others before anybody is
//! replaced, and a leader that no quorum asks is none any more for those who ask this member.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Timings;
use crate::leadership::Leadership;
use crate::object::MemberId;
use crate::peer::{Kind, Peers, PulseAnswer, PulseQuestion};
use crate::raft::Raft;

/// An answer that takes longer will not come: the question is asked anew.
const ANSWER: Duration = Duration::from_secs(10);

/// The questions to the leader, and those from the others when this member leads.
pub(crate) struct Pulse {
    raft: Raft,
    peers: Arc<Peers>,
    /// As openraft sees it: also a leader that is cut off leads there.
    leads: watch::Receiver<Leadership>,
    timings: Timings,
    /// Heartbeats for which the leader has not answered.
    missed: watch::Sender<u32>,
    /// When each of the others asked last.
    asked: Mutex<HashMap<MemberId, Instant>>,
    /// This member leads, but no quorum has asked it for the longest election time.
    cut_off: watch::Sender<bool>,
}

impl Pulse {
    pub(crate) fn new(
        raft: Raft,
        peers: Arc<Peers>,
        leads: watch::Receiver<Leadership>,
        timings: Timings,
    ) -> Arc<Pulse> {
        let (missed, cut_off) = (watch::Sender::new(0), watch::Sender::new(false));
        Arc::new(Pulse { raft, peers, leads, timings, missed, asked: Mutex::default(), cut_off })
    }

    /// Heartbeats for which the leader has not answered this member.
    pub(crate) fn missed(&self) -> watch::Receiver<u32> {
        self.missed.subscribe()
    }

    /// Whether this member leads nobody any more.
    pub(crate) fn cut_off(&self) -> watch::Receiver<bool> {
        self.cut_off.subscribe()
    }

    /// As many missed heartbeats as make, with the one before them, the least election time.
    pub(crate) fn silence(&self) -> u32 {
        let beats = self.timings.election_min.as_millis() / self.timings.heartbeat.as_millis().max(1);
        (beats as u32).saturating_sub(1).max(1)
    }

    /// Another member asks; whether this one leads and is asked by a quorum.
    pub(crate) fn answer(&self, from: MemberId, question: PulseQuestion) -> PulseAnswer {
        self.asked.lock().insert(from, Instant::now());
        let leads = self.leads.borrow().is_self && !*self.cut_off.borrow();
        match self.peers.removed(from, question.belongs) {
            Some(since) => PulseAnswer::Removed { since },
            None if leads && self.hears_quorum(self.timings.election_min) => PulseAnswer::Leads,
            None => PulseAnswer::No,
        }
    }

    /// Asks and listens until cancelled.
    pub(crate) async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let mut leads = self.leads.clone();
        let watch = async {
            loop {
                let now = *leads.borrow_and_update();
                self.missed.send_replace(0);
                self.cut_off.send_replace(false);
                let beat = async {
                    match now.leader {
                        Some(_) if now.is_self => self.listen().await,
                        Some(leader) => self.ask(leader).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    changed = leads.changed() => if changed.is_err() { return },
                    () = beat => return,
                }
            }
        };
        cancel.run_until_cancelled(watch).await;
    }

    /// Asks the leader again and again.
    async fn ask(&self, leader: MemberId) {
        loop {
            let belongs = PulseQuestion { belongs: self.peers.belongs() };
            let question = self.peers.call::<_, PulseAnswer>(leader, Kind::Pulse, &belongs, ANSWER);
            let mut question = std::pin::pin!(question);
            let answer = loop {
                tokio::select! {
                    biased;
                    answer = &mut question => break answer,
                    () = tokio::time::sleep(self.timings.heartbeat) => self.missed.send_modify(|n| *n += 1),
                }
            };
            if let Ok(PulseAnswer::Removed { since }) = answer {
                self.peers.book().removed(since);
            }
            let answered = matches!(answer, Ok(PulseAnswer::Leads));
            if answered {
                self.missed.send_if_modified(|missed| std::mem::take(missed) > 0);
            }
            tokio::time::sleep(self.timings.heartbeat).await;
            if !answered {
                self.missed.send_modify(|missed| *missed += 1);
            }
        }
    }

    /// While this member leads: notices when no quorum asks it any more, and when one does again.
    async fn listen(&self) {
        let now = Instant::now();
        // Who has not learned yet who leads is not missed.
        self.asked.lock().extend(self.voters().into_iter().map(|id| (id, now)));
        loop {
            tokio::time::sleep(self.timings.heartbeat).await;
            let cut_off = !self.hears_quorum(self.timings.election_max);
            let changed = self.cut_off.send_if_modified(|was| std::mem::replace(was, cut_off) != cut_off);
            if changed && cut_off {
                tracing::warn!(
                    "no quorum has been heard for the longest election time: this member leads nobody"
                );
            }
        }
    }

    fn hears_quorum(&self, within: Duration) -> bool {
        let voters = self.voters();
        let asked = self.asked.lock();
        let heard = |id: &MemberId| asked.get(id).is_some_and(|at| at.elapsed() <= within);
        let me = self.peers.me();
        voters.iter().filter(|id| **id == me || heard(id)).count() * 2 > voters.len()
    }

    fn voters(&self) -> BTreeSet<MemberId> {
        self.raft.server_metrics().borrow_watched().membership_config.voter_ids().collect()
    }
}
