//! Who belongs to the cluster, and how that is changed: by the leader, step by step, each step
//! safe by itself, so that a change that was interrupted is finished by asking again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{ChangeMembers, Instant as _};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::time::Instant;

use crate::config::Timings;
use crate::error::MembershipError;
use crate::leadership::Leadership;
use crate::object::MemberId;
use crate::peer::{Kind, MembersRequest, MembersResponse, Peers};
use crate::raft::{Peer, Raft, Types};
use crate::sabotage::{self, Sabotage};

/// A learner this close to the end of the log is caught up: the rest follows within a round trip.
const CAUGHT_UP: u64 = 64;
/// How long a leader may take to say who belongs.
const LIST: Duration = Duration::from_secs(1);
/// Before the same leader is asked again.
const AGAIN: Duration = Duration::from_millis(50);

type Metrics = openraft::RaftMetrics<Types>;
type ServerMetrics = openraft::metrics::RaftServerMetrics<Types>;

/// One member. What only the leader knows is `None` when another one was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub id: MemberId,
    /// Where peers reach it.
    pub addr: String,
    /// It votes; otherwise it only receives.
    pub voter: bool,
    /// The last log entry it is known to have.
    pub matched: Option<u64>,
    /// Log entries of the leader that it is not known to have.
    pub behind: Option<u64>,
    /// Milliseconds since it answered the leader last.
    pub silent_ms: Option<u64>,
}

/// Everybody who belongs, as `me` knows it from its metrics.
pub(crate) fn list(metrics: &Metrics, me: MemberId) -> Vec<Member> {
    let membership = &metrics.membership_config;
    let voters: BTreeSet<MemberId> = membership.voter_ids().collect();
    let last = metrics.last_log_index.unwrap_or(0);
    let leads = metrics.state.is_leader();
    let matched = |id: &MemberId| match leads && *id == me {
        true => Some(last),
        false => metrics.replication.as_ref()?.get(id).copied().flatten().map(|log_id| log_id.index),
    };
    let silent_ms = |id: &MemberId| match leads && *id == me {
        true => Some(0),
        false => silence(metrics, id).map(|silence| silence.as_millis() as u64),
    };
    let member = |(id, node): (&MemberId, &Peer)| Member {
        id: *id,
        addr: node.addr.clone(),
        voter: voters.contains(id),
        matched: matched(id),
        behind: matched(id).map(|index| last.saturating_sub(index)),
        silent_ms: silent_ms(id),
    };
    membership.nodes().map(member).collect()
}

/// How long ago a member answered this one, which leads.
fn silence(metrics: &Metrics, id: &MemberId) -> Option<Duration> {
    metrics.heartbeat.as_ref()?.get(id).copied().flatten().map(|at| at.elapsed())
}

/// Changes of the membership.
pub(crate) struct Members {
    raft: Raft,
    peers: Arc<Peers>,
    leadership: watch::Receiver<Leadership>,
    timings: Timings,
    /// Whose turn it is to change the membership: what a change was decided on stays true until it
    /// is written.
    turn: Mutex<()>,
}

impl Members {
    pub(crate) fn new(
        raft: Raft,
        peers: Arc<Peers>,
        leadership: watch::Receiver<Leadership>,
        timings: Timings,
    ) -> Arc<Members> {
        Arc::new(Members { raft, peers, leadership, timings, turn: Mutex::default() })
    }

    fn metrics(&self) -> Metrics {
        self.raft.metrics().borrow_watched().clone()
    }

    /// Everybody who belongs, as the leader knows it now.
    pub(crate) async fn ask_leader(&self) -> Result<Vec<Member>, MembershipError> {
        let now = *self.leadership.borrow();
        let leader = now.leader.ok_or_else(|| no_quorum("no leader is known"))?;
        if now.is_self {
            return Ok(list(&self.metrics(), self.peers.me()));
        }
        let asked = self.peers.call::<_, MembersResponse>(leader, Kind::Members, &MembersRequest::List, LIST);
        match asked.await {
            Ok(Some(answer)) => answer,
            Ok(None) => Err(no_quorum("the leader changed")),
            Err(error) => Err(no_quorum(&error.to_string())),
        }
    }

    /// Gets a change done by whoever leads; the members afterwards.
    pub(crate) async fn change(&self, request: MembersRequest) -> Result<Vec<Member>, MembershipError> {
        let deadline = Instant::now() + self.timings.read;
        let mut leadership = self.leadership.clone();
        let mut refusal = no_quorum("no leader is known");
        while Instant::now() < deadline {
            if self.metrics().membership_config.nodes().next().is_none() {
                return Err(MembershipError::NotReady);
            }
            let now = *leadership.borrow_and_update();
            match now.leader {
                None => {}
                Some(_) if now.is_self => {
                    match self.as_leader(&request).await {
                        // One change at a time: this one waits for its turn.
                        Some(Err(MembershipError::Busy)) => refusal = MembershipError::Busy,
                        Some(done) => return done,
                        None => {}
                    }
                }
                Some(leader) => {
                    let within = self.timings.catch_up + self.timings.read;
                    match self.peers.call::<_, MembersResponse>(leader, Kind::Members, &request, within).await
                    {
                        Ok(Some(Err(MembershipError::Busy))) => refusal = MembershipError::Busy,
                        Ok(Some(done)) => return done,
                        Ok(None) => refusal = no_quorum("the leader changed"),
                        Err(error) => refusal = no_quorum(&error.to_string()),
                    }
                }
            }
            // A new leader, or the same one a little later.
            if let Ok(Err(_)) = tokio::time::timeout(AGAIN, leadership.changed()).await {
                return Err(MembershipError::ShuttingDown);
            }
        }
        Err(refusal)
    }

    /// Does a change when this member leads; `None` when it does not.
    pub(crate) async fn as_leader(&self, request: &MembersRequest) -> MembersResponse {
        if !self.metrics().state.is_leader() {
            return None;
        }
        let done = match request {
            MembersRequest::Add { id, addr } => self.add(*id, addr).await,
            MembersRequest::Remove { id } => self.remove(*id).await,
            MembersRequest::AddLearner { id, addr } => self.add_learner(*id, addr).await,
            MembersRequest::Promote { id } => self.promote(*id).await,
            MembersRequest::Lead { id } => self.hand_over(*id).await.map_err(Step::from),
            MembersRequest::List => Ok(()),
        };
        match done {
            Ok(()) => Some(Ok(list(&self.metrics(), self.peers.me()))),
            Err(Step::NotLeader) => None,
            Err(Step::Failed(error)) => Some(Err(error)),
        }
    }

    /// Takes a member in: learner, caught up, voter.
    async fn add(&self, id: MemberId, addr: &str) -> Result<(), Step> {
        self.add_learner(id, addr).await?;
        if self.is_voter(id) {
            return Ok(());
        }
        self.wait_caught_up(id).await?;
        self.make_voter(id, addr).await
    }

    /// Makes a learner that has caught up a voter.
    async fn promote(&self, id: MemberId) -> Result<(), Step> {
        let metrics = self.metrics();
        let Some(node) = metrics.membership_config.get_node(&id) else {
            let reason = format!("there is no member {id}: add it first");
            return Err(MembershipError::Unsafe { reason }.into());
        };
        if self.is_voter(id) {
            return Ok(());
        }
        let behind = behind(&metrics, id);
        if behind.is_none_or(|entries| entries > CAUGHT_UP) {
            return Err(MembershipError::CatchingUp { id, behind }.into());
        }
        self.make_voter(id, &node.addr).await
    }

    /// Takes a member in that does not vote, or corrects its address.
    async fn add_learner(&self, id: MemberId, addr: &str) -> Result<(), Step> {
        self.peers.book().learn(id, addr);
        let folder = self.peers.meet(id, self.timings.read).await;
        let folder = folder.ok_or(MembershipError::CatchingUp { id, behind: None })?;
        let _turn = self.turn().await?;
        let known = self.metrics().membership_config.get_node(&id).cloned();
        if known.as_ref().is_some_and(|node| node.folder != folder) {
            let reason = format!("member {id} has lost its data: remove it, then add it again");
            return Err(MembershipError::Unsafe { reason }.into());
        }
        let node = Peer { addr: addr.to_owned(), folder };
        if known.as_ref() == Some(&node) {
            return Ok(());
        }
        tracing::info!(id, addr, "adding a member, or correcting its address");
        let nodes = BTreeMap::from([(id, node)]);
        let change =
            if known.is_some() { ChangeMembers::SetNodes(nodes) } else { ChangeMembers::AddNodes(nodes) };
        self.write(change).await
    }

    /// Gives a learner its vote, and with the same change takes away the one of a dead member
    /// whose address it has: so that a server that lost its data folder gets its seat back, and
    /// the dead vote never counts beside the new one.
    async fn make_voter(&self, id: MemberId, addr: &str) -> Result<(), Step> {
        let _turn = self.turn().await?;
        let replaced = self.silent_at(addr, id).await;
        let mut voters = self.voters();
        voters.insert(id);
        voters.retain(|voter| !replaced.contains(voter));
        self.check_reachable(&voters, "promoting the new member").await?;
        self.write(ChangeMembers::ReplaceAllVoters(voters)).await?;
        tracing::info!(id, ?replaced, "the new member votes");
        let nodes = &self.metrics().membership_config;
        let left: BTreeSet<_> = replaced.into_iter().filter(|id| nodes.get_node(id).is_some()).collect();
        if left.is_empty() { Ok(()) } else { self.write(ChangeMembers::RemoveNodes(left)).await }
    }

    /// The other members of this address, none of which answers: only one can listen there.
    async fn silent_at(&self, addr: &str, id: MemberId) -> BTreeSet<MemberId> {
        let now = self.metrics();
        let nodes = now.membership_config.nodes();
        let others =
            nodes.filter(|(other, node)| **other != id && node.addr == addr).map(|(other, _)| *other);
        let others: BTreeSet<MemberId> = others.filter(|other| *other != self.peers.me()).collect();
        if others.is_empty() {
            return others;
        }
        self.silent(&others, |silent| silent.is_empty()).await
    }

    /// Those who do not answer this leader from now on, once `enough` do, or after the time in
    /// which a living member would have.
    async fn silent(
        &self,
        asked: &BTreeSet<MemberId>,
        enough: impl Fn(&BTreeSet<MemberId>) -> bool + Send + Sync,
    ) -> BTreeSet<MemberId> {
        let begun = Instant::now();
        let me = self.peers.me();
        // An answer from before says nothing: who died since then would count as in reach.
        let heard = |metrics: &Metrics, id| {
            id == me || silence(metrics, &id).is_some_and(|silence| silence < begun.elapsed())
        };
        let silent = |metrics: &Metrics| -> BTreeSet<MemberId> {
            asked.iter().copied().filter(|id| !heard(metrics, *id)).collect()
        };
        let mut metrics = self.raft.metrics();
        let waited = metrics.wait_until(|metrics| enough(&silent(metrics)));
        drop(tokio::time::timeout(self.timings.election_max, waited).await);
        silent(&self.metrics())
    }

    async fn remove(&self, id: MemberId) -> Result<(), Step> {
        let _turn = self.turn().await?;
        if self.metrics().membership_config.get_node(&id).is_none() {
            return Ok(());
        }
        if !self.is_voter(id) {
            return self.write(ChangeMembers::RemoveNodes(BTreeSet::from([id]))).await;
        }
        let mut voters = self.voters();
        voters.remove(&id);
        if voters.is_empty() {
            let reason = format!("member {id} is the last one that votes");
            return Err(MembershipError::Unsafe { reason }.into());
        }
        self.check_reachable(&voters, "removing the member").await?;
        if id == self.peers.me() {
            // The next leader removes this one: so nobody waits for an election.
            self.hand_over(None).await?;
            return Err(Step::NotLeader);
        }
        tracing::info!(id, "removing a member");
        self.write(ChangeMembers::RemoveVoters(BTreeSet::from([id]))).await
    }

    /// Waits for the end of the change that is under way.
    async fn turn(&self) -> Result<MutexGuard<'_, ()>, MembershipError> {
        tokio::time::timeout(self.timings.read, self.turn.lock()).await.map_err(|_| MembershipError::Busy)
    }

    fn voters(&self) -> BTreeSet<MemberId> {
        self.metrics().membership_config.voter_ids().collect()
    }

    fn is_voter(&self, id: MemberId) -> bool {
        self.voters().contains(&id)
    }

    /// A majority of these must be in reach, or the change would stop the cluster.
    async fn check_reachable(&self, voters: &BTreeSet<MemberId>, what: &str) -> Result<(), MembershipError> {
        if sabotage::is(Sabotage::MinorityMembership) {
            return Ok(());
        }
        let enough = |silent: &BTreeSet<MemberId>| (voters.len() - silent.len()) * 2 > voters.len();
        let silent = self.silent(voters, enough).await;
        if enough(&silent) {
            return Ok(());
        }
        let reason = format!("{what} would stop the cluster: members {silent:?} do not answer");
        Err(MembershipError::Unsafe { reason })
    }

    async fn wait_caught_up(&self, id: MemberId) -> Result<(), Step> {
        let mut metrics = self.raft.metrics();
        let caught_up = metrics.wait_until(|metrics| {
            !metrics.state.is_leader() || behind(metrics, id).is_some_and(|entries| entries <= CAUGHT_UP)
        });
        let waited = tokio::time::timeout(self.timings.catch_up, caught_up).await;
        let now = self.metrics();
        if !now.state.is_leader() {
            return Err(Step::NotLeader);
        }
        match waited {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(MembershipError::ShuttingDown.into()),
            Err(_) => Err(MembershipError::CatchingUp { id, behind: behind(&now, id) }.into()),
        }
    }

    async fn write(&self, change: ChangeMembers<MemberId, Peer>) -> Result<(), Step> {
        match self.raft.change_membership(change, false).await {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Err(Step::NotLeader),
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_),
            ))) => Err(MembershipError::Busy.into()),
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(refused))) => {
                Err(MembershipError::Unsafe { reason: refused.to_string() }.into())
            }
            Err(error) => Err(MembershipError::Unknown { reason: error.to_string() }.into()),
        }
    }

    /// Hands leadership to a voter: `to`, or the one that has the most of the log.
    pub(crate) async fn hand_over(&self, to: Option<MemberId>) -> Result<(), MembershipError> {
        let metrics = self.metrics();
        if !metrics.state.is_leader() || to == Some(self.peers.me()) {
            return Ok(());
        }
        let me = self.peers.me();
        let recent = self.timings.election_max;
        // A new leader has not heard of everybody yet.
        let gone = |id: MemberId| self.peers.is_gone(id);
        let mut newest = self.raft.metrics();
        let found = newest.wait_until(|now| successor(now, me, to, recent, gone).is_ok());
        let all_gone = self.until_gone(self.voters().into_iter().filter(|id| *id != me).collect());
        tokio::select! {
            _ = tokio::time::timeout(recent, found) => {}
            () = all_gone => {}
        }
        let next = successor(&self.metrics(), me, to, recent, gone)
            .map_err(|reason| MembershipError::Unsafe { reason })?;
        tracing::info!(to = next, "handing over leadership");
        let failed = |error: &dyn std::fmt::Display| MembershipError::Unknown { reason: error.to_string() };
        self.raft.trigger().transfer_leader(next).await.map_err(|error| failed(&error))?;
        let mut leadership = self.leadership.clone();
        let changed = leadership.wait_for(|now| now.leader.is_some_and(|leader| leader != me));
        tokio::select! {
            biased;
            changed = tokio::time::timeout(self.timings.election_max * 2, changed) => match changed {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(_)) => Err(MembershipError::ShuttingDown),
                Err(_) => Err(failed(&format!("member {next} did not take over in time"))),
            },
            () = self.until_gone(vec![next]) => Err(failed(&format!("member {next} stopped before it took over"))),
        }
    }

    /// Returns when none of these can be expected to do anything.
    async fn until_gone(&self, ids: Vec<MemberId>) {
        let mut news = self.peers.book().news();
        while !ids.iter().all(|id| self.peers.is_gone(*id)) {
            if news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns when so many voters have stopped, or are about to, that none is left to write with.
    pub(crate) async fn abandoned(&self) {
        let mut news = self.peers.book().news();
        loop {
            let voters = self.voters();
            let gone = voters.iter().filter(|id| **id != self.peers.me() && self.peers.is_gone(**id)).count();
            if !voters.is_empty() && (voters.len() - gone) * 2 <= voters.len() {
                return;
            }
            if news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Tells the others that this member is about to stop.
    pub(crate) async fn leave(&self) {
        let members: Vec<MemberId> = self.metrics().membership_config.nodes().map(|(id, _)| *id).collect();
        self.peers.say_leaving(members).await;
    }

    /// Keeps this member's address right in the membership: after a start with another address
    /// the cluster is told, as soon as somebody can be told.
    pub(crate) async fn heal_address(&self, advertise: &str) {
        let me = self.peers.me();
        let wrong = |now: &ServerMetrics| {
            now.membership_config.get_node(&me).is_some_and(|node| node.addr != advertise)
        };
        let mut metrics = self.raft.server_metrics();
        while metrics.wait_until(wrong).await.is_ok() {
            let addr = advertise.to_owned();
            tracing::info!(addr, "this member's address changed: telling the cluster");
            if let Err(error) = self.change(MembersRequest::AddLearner { id: me, addr }).await {
                tracing::warn!(%error, "the cluster does not know this member's new address yet");
                tokio::time::sleep(self.timings.heartbeat).await;
            }
        }
    }
}

/// Who is to lead next, or why nobody can.
fn successor(
    metrics: &Metrics,
    me: MemberId,
    wanted: Option<MemberId>,
    recent: Duration,
    gone: impl Fn(MemberId) -> bool,
) -> Result<MemberId, String> {
    let voters: BTreeSet<MemberId> = metrics.membership_config.voter_ids().filter(|id| *id != me).collect();
    let heard = |id: &MemberId| silence(metrics, id).is_some_and(|silence| silence < recent);
    let in_reach = |id: &MemberId| heard(id) && !gone(*id);
    match wanted {
        None => {
            let reachable = voters.into_iter().filter(in_reach);
            let most = reachable.min_by_key(|id| behind(metrics, *id).unwrap_or(u64::MAX));
            most.ok_or_else(|| "no other voter is in reach".to_owned())
        }
        Some(id) if !voters.contains(&id) => Err(format!("member {id} does not vote: it can not lead")),
        Some(id) if !in_reach(&id) => Err(format!("member {id} is not in reach: it can not lead")),
        Some(id) => Ok(id),
    }
}

/// How many entries of this member, which leads, another one is not known to have.
fn behind(metrics: &Metrics, id: MemberId) -> Option<u64> {
    let matched = metrics.replication.as_ref()?.get(&id).copied().flatten()?;
    Some(metrics.last_log_index.unwrap_or(0).saturating_sub(matched.index))
}

fn no_quorum(reason: &str) -> MembershipError {
    MembershipError::NoQuorum { reason: reason.to_owned() }
}

/// Why a step of a change was not done.
enum Step {
    NotLeader,
    Failed(MembershipError),
}

impl From<MembershipError> for Step {
    fn from(error: MembershipError) -> Self {
        Step::Failed(error)
    }
}
