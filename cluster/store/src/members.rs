//! Who belongs to the cluster, and how that is changed: by the leader, step by step, each step
//! safe by itself, so that a change that was interrupted is finished by asking again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{ChangeMembers, Instant as _};
use tokio::sync::watch;
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
/// Before the same leader is asked again.
const AGAIN: Duration = Duration::from_millis(50);

type Metrics = openraft::RaftMetrics<Types>;

/// Changes of the membership.
pub(crate) struct Members {
    raft: Raft,
    peers: Arc<Peers>,
    leadership: watch::Receiver<Leadership>,
    timings: Timings,
}

impl Members {
    pub(crate) fn new(
        raft: Raft,
        peers: Arc<Peers>,
        leadership: watch::Receiver<Leadership>,
        timings: Timings,
    ) -> Arc<Members> {
        Arc::new(Members { raft, peers, leadership, timings })
    }

    fn metrics(&self) -> Metrics {
        self.raft.metrics().borrow_watched().clone()
    }

    /// Gets a change done by whoever leads.
    pub(crate) async fn change(&self, request: MembersRequest) -> Result<(), MembershipError> {
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
            drop(tokio::time::timeout(AGAIN, leadership.changed()).await);
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
        };
        match done {
            Ok(()) => Some(Ok(())),
            Err(Step::NotLeader) => None,
            Err(Step::Failed(error)) => Some(Err(error)),
        }
    }

    async fn add(&self, id: MemberId, addr: &str) -> Result<(), Step> {
        let known = self.metrics().membership_config.get_node(&id).cloned();
        self.peers.book().learn(id, addr);
        let folder = self.peers.meet(id, self.timings.read).await;
        let folder = folder.ok_or(MembershipError::CatchingUp { id, behind: None })?;
        if known.as_ref().is_some_and(|node| node.folder != folder) {
            let reason = format!("member {id} has lost its data: remove it, then add it again");
            return Err(MembershipError::Unsafe { reason }.into());
        }
        let node = Peer { addr: addr.to_owned(), folder };
        if known.as_ref() != Some(&node) {
            tracing::info!(id, addr, "adding a member, or correcting its address");
            let nodes = BTreeMap::from([(id, node)]);
            let change =
                if known.is_some() { ChangeMembers::SetNodes(nodes) } else { ChangeMembers::AddNodes(nodes) };
            self.write(change).await?;
        }
        if self.is_voter(id) {
            return Ok(());
        }
        self.wait_caught_up(id).await?;
        let mut voters = self.voters();
        voters.insert(id);
        self.check_reachable(&voters, "promoting the new member").await?;
        self.write(ChangeMembers::AddVoterIds(BTreeSet::from([id]))).await?;
        tracing::info!(id, "the new member votes");
        Ok(())
    }

    async fn remove(&self, id: MemberId) -> Result<(), Step> {
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
            self.hand_over().await?;
            return Err(Step::NotLeader);
        }
        tracing::info!(id, "removing a member");
        self.write(ChangeMembers::RemoveVoters(BTreeSet::from([id]))).await
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
        let recent = self.timings.election_max;
        let silent = |metrics: &Metrics| -> Vec<MemberId> {
            let beats = metrics.heartbeat.as_ref();
            let beat = |id: &MemberId| beats.and_then(|beats| beats.get(id).copied().flatten());
            let heard =
                |id: &MemberId| *id == self.peers.me() || beat(id).is_some_and(|at| at.elapsed() < recent);
            voters.iter().copied().filter(|id| !heard(id)).collect()
        };
        // A new leader has not heard of everybody yet.
        let enough = |metrics: &Metrics| (voters.len() - silent(metrics).len()) * 2 > voters.len();
        let mut metrics = self.raft.metrics();
        let heard = tokio::time::timeout(recent, metrics.wait_until(enough)).await;
        if matches!(heard, Ok(Ok(_))) {
            return Ok(());
        }
        let silent = silent(&self.metrics());
        let reason = format!("{what} would stop the cluster: members {silent:?} are not in reach");
        Err(MembershipError::Unsafe { reason })
    }

    async fn wait_caught_up(&self, id: MemberId) -> Result<(), Step> {
        let behind = |metrics: &Metrics| -> Option<u64> {
            let matched = metrics.replication.as_ref()?.get(&id).copied().flatten()?;
            Some(metrics.last_log_index.unwrap_or(0).saturating_sub(matched.index))
        };
        let mut metrics = self.raft.metrics();
        let caught_up = metrics.wait_until(|metrics| {
            !metrics.state.is_leader() || behind(metrics).is_some_and(|entries| entries <= CAUGHT_UP)
        });
        let waited = tokio::time::timeout(self.timings.catch_up, caught_up).await;
        let now = self.metrics();
        if !now.state.is_leader() {
            return Err(Step::NotLeader);
        }
        match waited {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(MembershipError::ShuttingDown.into()),
            Err(_) => Err(MembershipError::CatchingUp { id, behind: behind(&now) }.into()),
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

    /// Hands leadership to the voter that has the most of the log.
    pub(crate) async fn hand_over(&self) -> Result<(), MembershipError> {
        let metrics = self.metrics();
        if !metrics.state.is_leader() {
            return Ok(());
        }
        let me = self.peers.me();
        let recent = self.timings.election_max;
        let matched =
            |id: &MemberId| metrics.replication.as_ref().and_then(|all| all.get(id).copied().flatten());
        let in_reach = |id: &MemberId| {
            let beat = metrics.heartbeat.as_ref().and_then(|beats| beats.get(id).copied().flatten());
            beat.is_some_and(|at| at.elapsed() < recent)
        };
        let next =
            metrics.membership_config.voter_ids().filter(|id| *id != me && in_reach(id)).max_by_key(matched);
        let Some(next) = next else {
            return Err(MembershipError::Unsafe { reason: "no other voter is in reach".to_owned() });
        };
        tracing::info!(to = next, "handing over leadership");
        let failed = |error: &dyn std::fmt::Display| MembershipError::Unknown { reason: error.to_string() };
        self.raft.trigger().transfer_leader(next).await.map_err(|error| failed(&error))?;
        let mut leadership = self.leadership.clone();
        let changed = leadership.wait_for(|now| now.leader.is_some_and(|leader| leader != me));
        match tokio::time::timeout(self.timings.election_max * 2, changed).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(MembershipError::ShuttingDown),
            Err(_) => Err(failed(&format!("member {next} did not take over in time"))),
        }
    }

    /// Keeps this member's address right in the membership: after a start with another address
    /// the cluster is told, as soon as somebody can be told.
    pub(crate) async fn heal_address(&self, advertise: &str) {
        let me = self.peers.me();
        let wrong = |metrics: &Metrics| {
            metrics.membership_config.get_node(&me).is_some_and(|node| node.addr != advertise)
        };
        let mut metrics = self.raft.metrics();
        while metrics.wait_until(wrong).await.is_ok() {
            let addr = advertise.to_owned();
            tracing::info!(addr, "this member's address changed: telling the cluster");
            if let Err(error) = self.change(MembersRequest::Add { id: me, addr }).await {
                tracing::warn!(%error, "the cluster does not know this member's new address yet");
            }
        }
    }
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
