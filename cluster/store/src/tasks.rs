//! What runs in the background of an open store.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::watch;

use crate::codec;
use crate::error::Doubt;
use crate::leadership::Leadership;
use crate::object::MemberId;
use crate::peer::Lane;
use crate::raft::{Body, Peer, Raft, Types};
use crate::store::Inner;

/// Objects deleted by one proposal when their time is over.
const EXPIRE_AT_ONCE: u32 = 256;
/// After a proposal to expire failed.
const EXPIRE_AGAIN: Duration = Duration::from_millis(500);

/// Between two looks at how much room the disk has.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Between two snapshots that are made because room is short.
const SHRINK_AGAIN: Duration = Duration::from_secs(5);
/// A snapshot that takes longer was not made, for want of room.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(60);

/// Starts all of them; they end when the store is cancelled.
pub(crate) fn start(inner: &Arc<Inner>, seen: (watch::Sender<Leadership>, watch::Sender<Leadership>)) {
    let spawn = |task: futures::future::BoxFuture<'static, ()>| {
        let cancel = inner.cancel.child_token();
        inner.tasks.spawn(async move {
            cancel.run_until_cancelled(task).await;
        });
    };
    let (following, cancel) = (inner.clone(), inner.cancel.child_token());
    inner.tasks.spawn(async move {
        let (leads, leadership) = seen;
        cancel.run_until_cancelled(follow_raft(&following, &leads, &leadership)).await;
        // A store that stopped knows no leader, least of all itself.
        leadership.send_replace(Leadership::default());
    });
    spawn(Box::pin(dispatch(inner.clone())));
    spawn(Box::pin(expire(inner.clone())));
    spawn(Box::pin(compact(inner.clone())));
    spawn(Box::pin(watch_faults(inner.clone())));
    spawn(Box::pin(watch_room(inner.clone())));
    let (failover, pulse) = (inner.failover.clone(), inner.pulse.clone());
    spawn(Box::pin(failover.run(inner.cancel.child_token())));
    spawn(Box::pin(pulse.run(inner.cancel.child_token())));
    let healing = inner.clone();
    spawn(Box::pin(async move { healing.members.heal_address(&healing.cfg.peer_advertise).await }));
}

type ServerMetrics = openraft::metrics::RaftServerMetrics<Types>;

/// Follows openraft's view of who leads and who belongs. A leader that is cut off leads for openraft
/// only: for everybody who asks this member, nobody leads.
async fn follow_raft(
    inner: &Inner,
    leads: &watch::Sender<Leadership>,
    leadership: &watch::Sender<Leadership>,
) {
    let mut metrics = inner.raft.server_metrics();
    let mut cut_off = inner.pulse.cut_off();
    let mut known = HashMap::new();
    loop {
        let now = metrics.borrow_and_update().clone();
        // The addresses first: who hears of a new leader will want to reach it.
        follow_members(inner, &now, &mut known);
        let next = Leadership {
            leader: now.current_leader,
            term: now.vote.leader_id().term,
            is_self: now.current_leader == Some(inner.cfg.id),
        };
        leads.send_if_modified(|current| std::mem::replace(current, next) != next);
        let nobody = next.is_self && *cut_off.borrow_and_update();
        let told = if nobody { Leadership { term: next.term, ..Leadership::default() } } else { next };
        tell_leadership(inner, leadership, told);
        tokio::select! {
            changed = metrics.changed() => if changed.is_err() { return },
            changed = cut_off.changed() => if changed.is_err() { return },
        }
    }
}

fn tell_leadership(inner: &Inner, leadership: &watch::Sender<Leadership>, next: Leadership) {
    let had_leader = inner.metrics.has_leader.get() == 1;
    leadership.send_if_modified(|current| {
        if *current == next {
            return false;
        }
        if next.leader.is_some() && (!had_leader || current.leader != next.leader) {
            tracing::info!(leader = ?next.leader, term = next.term, "a leader is known");
            inner.metrics.leader_changes.inc();
        }
        *current = next;
        true
    });
    inner.metrics.has_leader.set(i64::from(next.leader.is_some()));
    inner.metrics.is_leader.set(i64::from(next.is_self));
}

fn follow_members(inner: &Inner, now: &ServerMetrics, known: &mut HashMap<MemberId, Peer>) {
    let membership = &now.membership_config;
    let voters = membership.voter_ids().count();
    inner.metrics.sizes.voters.set(voters as i64);
    inner.metrics.sizes.learners.set((membership.nodes().count() - voters) as i64);
    let book = inner.peers.book();
    let members: BTreeSet<MemberId> = membership.nodes().map(|(id, _)| *id).collect();
    known.retain(|id, _| {
        let stays = members.contains(id);
        if !stays {
            book.joined(*id, None);
        }
        stays
    });
    for (id, node) in membership.nodes() {
        if known.get(id) != Some(node) {
            known.insert(*id, node.clone());
            book.learn(*id, &node.addr);
            book.joined(*id, Some(node.folder));
        }
        if *id != inner.cfg.id {
            // Connected from now on, so that its end is noticed at once.
            drop(inner.peers.link(*id, Lane::Control));
        }
    }
    inner.peers.retain(&members);
}

/// Hands new events to the watchers.
async fn dispatch(inner: Arc<Inner>) {
    let mut applied = inner.published.applied();
    let mut belonged = false;
    #[cfg(feature = "sabotage")]
    let mut leadership = inner.leadership.clone();
    loop {
        #[cfg(feature = "sabotage")]
        if crate::sabotage::is(crate::sabotage::Sabotage::EventLostAtLeaderChange)
            && leadership.has_changed().unwrap_or(false)
            && inner.hub.lose_one(&inner.published.root())
        {
            leadership.mark_unchanged();
        }
        let root = inner.published.root();
        inner.hub.dispatch(&root);
        let belongs = root.since(inner.cfg.id).is_some();
        if let Some(removal) = root.membership.log_id()
            && std::mem::replace(&mut belonged, belongs)
            && !belongs
        {
            inner.peers.book().removed(removal.index);
        }
        drop(root);
        if applied.changed().await.is_err() {
            return;
        }
    }
}

/// Makes a snapshot when the log is long, so that it can be cut.
async fn compact(inner: Arc<Inner>) {
    loop {
        let short = tokio::select! {
            () = inner.wal.long() => false,
            () = inner.room.shrink() => true,
        };
        if let Err(error) = snapshot_now(&inner, short).await {
            tracing::warn!(%error, "cannot make a snapshot");
        }
        if short {
            // Room does not come back at once; the log is not cut for each byte.
            tokio::time::sleep(SHRINK_AGAIN).await;
        }
    }
}

/// Makes a snapshot; when room is short, also cuts the log that is kept behind it for others.
async fn snapshot_now(inner: &Inner, short: bool) -> Result<(), openraft::errors::Fatal<Types>> {
    let wanted = inner.published.root().applied;
    inner.raft.trigger().snapshot().await?;
    if short {
        let mut metrics = inner.raft.metrics();
        let made = metrics.wait_until(move |now| now.snapshot >= wanted);
        if let Ok(Ok(now)) = tokio::time::timeout(SNAPSHOT_WITHIN, made).await
            && let Some(upto) = now.snapshot
        {
            inner.raft.trigger().purge_log(upto.index).await?;
        }
    }
    Ok(())
}

/// While this member leads: proposes the end of objects whose time is over.
async fn expire(inner: Arc<Inner>) {
    let mut leadership = inner.leadership.clone();
    let mut expiry = inner.published.expiry();
    loop {
        if leadership.wait_for(|now| now.is_self).await.is_err() {
            return;
        }
        let next = *expiry.borrow_and_update();
        let due = async {
            match next {
                Some(at_ms) => {
                    let wait_ms = at_ms.saturating_sub((inner.clock)());
                    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                }
                None => std::future::pending().await,
            }
        };
        let before_ms = tokio::select! {
            () = due => (inner.clock)(),
            // No room is left: what has a time anyway goes first.
            () = inner.shed.notified() => u64::MAX,
            changed = expiry.changed() => {
                if changed.is_err() {
                    return;
                }
                continue;
            }
            _ = leadership.changed() => continue,
        };
        let body = codec::encode(&Body::Expire { before_ms, limit: EXPIRE_AT_ONCE });
        if let Err(error) = inner.proposer.propose(body).await {
            tracing::debug!(%error, "could not expire objects");
            tokio::time::sleep(EXPIRE_AGAIN).await;
        }
    }
}

/// Others fill the disk, too, and nobody tells.
async fn watch_room(inner: Arc<Inner>) {
    loop {
        let room = inner.room.clone();
        match inner.work.run(move || room.refresh()).await {
            Ok(true) => tokio::time::sleep(LOOK_AGAIN).await,
            Ok(false) => return,
            Err(error) => return tracing::error!(%error, "the disk is not watched any more"),
        }
    }
}

/// A member whose log or consensus failed takes no part any more, and says so.
async fn watch_faults(inner: Arc<Inner>) {
    let mut log = inner.wal.fault();
    let problem = tokio::select! {
        Ok(fault) = log.wait_for(Option::is_some) => fault.clone().unwrap_or_default(),
        problem = consensus_ended(&inner.raft) => problem,
    };
    if inner.stop.borrow().is_some() {
        return;
    }
    tracing::error!(problem, "the store of this member failed");
    inner.stop.send_replace(Some(Doubt::Fault { problem }));
    inner.hub.close();
    // The connections close: so the others notice at once.
    inner.cancel.cancel();
}

/// Returns when the consensus task has ended: why. Woken by changes of who leads, not by every step.
async fn consensus_ended(raft: &Raft) -> String {
    let mut server = raft.server_metrics();
    while server.changed().await.is_ok() {}
    match &raft.metrics().borrow_watched().running_state {
        Err(fatal) => fatal.to_string(),
        // It did not come to say more; or it was shut down, and then `stop` is set.
        Ok(()) => "the consensus task panicked".to_owned(),
    }
}
