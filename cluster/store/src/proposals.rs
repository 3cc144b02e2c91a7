//! The proposals of this member's callers: from the call to the moment they are applied here.
//!
//! A proposal is handed to the leader (which may be this member) and settled when this member's
//! own machine applies it. Until then it is handed over again whenever the leader changes or the
//! way to it breaks; its ticket makes sure that it is applied once. After its deadline it is
//! settled as rejected when no leader can have it, else as unknown.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::batcher::Batcher;
use crate::codec::{self, Raw};
use crate::error::{Doubt, Rejection, WriteError};
use crate::leadership::Leadership;
use crate::machine::{Outcome, Session};
use crate::metrics::Metrics;
use crate::object::{Applied, MemberId};
use crate::peer::{CallError, Forward, Handed, Kind, Peers};
use crate::raft::Ticket;

/// Hand-overs to the leader under way at one time.
const HANDOVERS: usize = 4;
/// Proposals and bytes of one hand-over.
const HANDOVER_PROPOSALS: usize = 512;
const HANDOVER_BYTES: usize = 1 << 20;
/// Before a proposal is handed over again to the same leader.
const AGAIN: Duration = Duration::from_millis(5);
/// Longest wait for the leader's answer to a hand-over.
const HANDOVER_ANSWER: Duration = Duration::from_secs(10);

type Settled = Result<Applied, WriteError>;

/// One proposal that is not settled.
struct Waiter {
    caller: oneshot::Sender<Settled>,
    bytes: Bytes,
    deadline: Instant,
    /// Hand-overs that may have put it into a log.
    maybe: u32,
    /// The leader said that it is committed: it only has to be applied here.
    committed: bool,
    queued: bool,
}

/// The proposals that are not settled, shared with the machine.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<BTreeMap<u64, Waiter>>);

impl Waiters {
    /// The machine applied proposals of this member.
    pub(crate) fn complete(&self, done: impl Iterator<Item = (Ticket, Outcome)>) {
        let mut settled = Vec::new();
        {
            let mut open = self.0.lock();
            for (ticket, outcome) in done {
                let Some(waiter) = open.remove(&ticket.seq) else { continue };
                let result = match outcome {
                    Outcome::Done(result) => result.map_err(WriteError::Rejected),
                    Outcome::Repeated => Err(WriteError::Unknown(Doubt::LeaderLost)),
                };
                settled.push((waiter.caller, result));
            }
        }
        for (caller, result) in settled {
            // The caller may have given up.
            drop(caller.send(result));
        }
    }

    /// A snapshot took the place of entries: those of our proposals that it contains were applied,
    /// but their results are not known any more.
    pub(crate) fn skipped(&self, session: Option<&Session>) {
        let Some(session) = session else { return };
        let mut open = self.0.lock();
        let gone: Vec<u64> = open
            .keys()
            .copied()
            .filter(|seq| session.applied.contains(seq) || *seq < session.floor)
            .collect();
        for seq in gone {
            if let Some(waiter) = open.remove(&seq) {
                drop(waiter.caller.send(Err(WriteError::Unknown(Doubt::LeaderLost))));
            }
        }
    }

    fn settle_all(&self, doubt: &Doubt, rejection: &Rejection) {
        for (_, waiter) in std::mem::take(&mut *self.0.lock()) {
            let error = if waiter.maybe == 0 {
                WriteError::Rejected(rejection.clone())
            } else {
                WriteError::Unknown(doubt.clone())
            };
            drop(waiter.caller.send(Err(error)));
        }
    }
}

/// A body that somebody proposes.
struct Submission {
    body: Vec<u8>,
    caller: oneshot::Sender<Settled>,
}

/// What proposals need.
pub(crate) struct ProposerConfig {
    pub me: MemberId,
    pub boot: u64,
    pub waiters: Arc<Waiters>,
    pub batcher: Batcher,
    pub peers: Arc<Peers>,
    pub leadership: watch::Receiver<Leadership>,
    pub timeout: Duration,
    pub most_waiting: usize,
    pub metrics: Arc<Metrics>,
    /// Set when the store stops or fails: why.
    pub stopped: watch::Receiver<Option<Doubt>>,
}

/// The handle for those who propose.
#[derive(Clone)]
pub(crate) struct Proposer {
    queue: mpsc::Sender<Submission>,
    most_waiting: usize,
}

impl Proposer {
    pub(crate) fn start(config: ProposerConfig) -> Proposer {
        let most_waiting = config.most_waiting;
        let (queue, submissions) = mpsc::channel(most_waiting);
        let (results, handed) = mpsc::unbounded_channel();
        let worker = Worker {
            config,
            results,
            ready: VecDeque::new(),
            next_seq: 1,
            round: 0,
            under_way: 0,
            again_at: None,
        };
        tokio::spawn(worker.run(submissions, handed));
        Proposer { queue, most_waiting }
    }

    /// Proposes an encoded body and waits until it is settled.
    pub(crate) async fn propose(&self, body: Vec<u8>) -> Settled {
        let (caller, settled) = oneshot::channel();
        match self.queue.try_send(Submission { body, caller }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                let waiting = self.most_waiting as u64;
                return Err(WriteError::Rejected(Rejection::Overloaded { waiting }));
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {
                return Err(WriteError::Rejected(Rejection::ShuttingDown));
            }
        }
        settled.await.unwrap_or(Err(WriteError::Unknown(Doubt::Stopped)))
    }
}

/// The end of a hand-over.
struct HandedOver {
    round: u64,
    seqs: Vec<u64>,
    handed: Handed,
}

struct Worker {
    config: ProposerConfig,
    results: mpsc::UnboundedSender<HandedOver>,
    /// To be handed over.
    ready: VecDeque<u64>,
    next_seq: u64,
    /// +1 with each change of leadership; hand-overs of earlier rounds do not count any more.
    round: u64,
    under_way: usize,
    again_at: Option<Instant>,
}

impl Worker {
    async fn run(
        mut self,
        mut submissions: mpsc::Receiver<Submission>,
        mut handed: mpsc::UnboundedReceiver<HandedOver>,
    ) {
        let mut leadership = self.config.leadership.clone();
        let mut stopped = self.config.stopped.clone();
        let mut fresh = Vec::new();
        loop {
            let wake = self.next_wake();
            tokio::select! {
                biased;
                stop = stopped.wait_for(Option::is_some) => {
                    let doubt = stop.ok().and_then(|s| s.clone()).unwrap_or(Doubt::Stopped);
                    self.config.waiters.settle_all(&doubt, &Rejection::ShuttingDown);
                    return;
                }
                Ok(()) = leadership.changed() => self.new_leadership(),
                Some(end) = handed.recv() => self.handed_over(&end),
                () = sleep_until(wake) => self.expire(),
                count = submissions.recv_many(&mut fresh, HANDOVER_PROPOSALS), if self.has_room() => {
                    if count == 0 {
                        return;
                    }
                    self.admit(&mut fresh);
                }
            }
            self.hand_over();
        }
    }

    fn has_room(&self) -> bool {
        self.config.waiters.0.lock().len() < self.config.most_waiting
    }

    fn admit(&mut self, fresh: &mut Vec<Submission>) {
        let deadline = Instant::now() + self.config.timeout;
        let mut open = self.config.waiters.0.lock();
        for Submission { body, caller } in fresh.drain(..) {
            let seq = self.next_seq;
            self.next_seq += 1;
            let floor = open.first_key_value().map_or(seq, |(first, _)| *first);
            let ticket = Ticket { member: self.config.me, boot: self.config.boot, seq, floor };
            // A Proposal: its two fields, one after the other.
            let mut bytes = Vec::with_capacity(body.len() + 24);
            codec::encode_into(&ticket, &mut bytes);
            bytes.extend_from_slice(&body);
            let bytes = Bytes::from(bytes);
            open.insert(seq, Waiter { caller, bytes, deadline, maybe: 0, committed: false, queued: true });
            self.ready.push_back(seq);
        }
        self.config.metrics.proposals_pending.set(open.len() as i64);
    }

    /// Everything that is not committed is handed over again: to the new leader.
    fn new_leadership(&mut self) {
        self.round += 1;
        self.under_way = 0;
        self.again_at = None;
        self.ready.clear();
        for (seq, waiter) in self.config.waiters.0.lock().iter_mut() {
            waiter.queued = !waiter.committed;
            if waiter.queued {
                self.ready.push_back(*seq);
            }
        }
    }

    fn handed_over(&mut self, end: &HandedOver) {
        let current = end.round == self.round;
        if current {
            self.under_way -= 1;
        }
        let mut open = self.config.waiters.0.lock();
        let mut again = false;
        for seq in &end.seqs {
            let Some(waiter) = open.get_mut(seq) else { continue };
            match end.handed {
                Handed::Committed => waiter.committed = true,
                Handed::Refused => waiter.maybe -= 1,
                Handed::Lost => {}
            }
            if current && !waiter.committed && !waiter.queued {
                waiter.queued = true;
                self.ready.push_back(*seq);
                again = true;
            }
        }
        if again {
            // Not at once: the leader that refused is likely to refuse again.
            self.again_at = Some(Instant::now() + AGAIN);
        }
        self.config.metrics.proposals_pending.set(open.len() as i64);
    }

    /// Settles what is too old; deadlines are in the order of the numbers.
    fn expire(&mut self) {
        let now = Instant::now();
        if self.again_at.is_some_and(|at| at <= now) {
            self.again_at = None;
        }
        let waited_ms = self.config.timeout.as_millis() as u64;
        let mut open = self.config.waiters.0.lock();
        while let Some(first) = open.first_entry()
            && first.get().deadline <= now
        {
            let waiter = first.remove();
            let error = if waiter.maybe == 0 {
                let reason = format!("no leader took the write within {waited_ms} ms");
                WriteError::Rejected(Rejection::NoQuorum { reason })
            } else {
                WriteError::Unknown(Doubt::Timeout { waited_ms })
            };
            drop(waiter.caller.send(Err(error)));
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        let deadline = self.config.waiters.0.lock().first_key_value().map(|(_, waiter)| waiter.deadline);
        match (deadline, self.again_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn hand_over(&mut self) {
        let leader = self.config.leadership.borrow().leader;
        let Some(leader) = leader else { return };
        while self.under_way < HANDOVERS && self.again_at.is_none() {
            let (seqs, proposals) = self.take_ready();
            if seqs.is_empty() {
                return;
            }
            self.under_way += 1;
            let (round, results) = (self.round, self.results.clone());
            let (batcher, peers) = (self.config.batcher.clone(), self.config.peers.clone());
            tokio::spawn(async move {
                let handed = if leader == peers.me() {
                    batcher.submit(proposals).await
                } else {
                    forward(&peers, leader, &proposals).await
                };
                // The worker is gone when the store stops.
                drop(results.send(HandedOver { round, seqs, handed }));
            });
        }
    }

    fn take_ready(&mut self) -> (Vec<u64>, Vec<Bytes>) {
        let (mut seqs, mut proposals, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut open = self.config.waiters.0.lock();
        while seqs.len() < HANDOVER_PROPOSALS && bytes < HANDOVER_BYTES {
            let Some(seq) = self.ready.pop_front() else { break };
            let Some(waiter) = open.get_mut(&seq) else { continue };
            waiter.queued = false;
            waiter.maybe += 1;
            bytes += waiter.bytes.len();
            seqs.push(seq);
            proposals.push(waiter.bytes.clone());
        }
        (seqs, proposals)
    }
}

async fn forward(peers: &Peers, leader: MemberId, proposals: &[Bytes]) -> Handed {
    let request = Forward(proposals.iter().map(|p| Raw(p)).collect());
    match peers.call(leader, Kind::Forward, &request, HANDOVER_ANSWER).await {
        Ok(handed) => handed,
        Err(CallError::NotSent { .. }) => Handed::Refused,
        Err(error) => {
            tracing::debug!(%error, "a hand-over to the leader was lost");
            Handed::Lost
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
