//! Who belongs, changed on running clusters.

use crate::common::net::MemNet;
use crate::common::{Cluster, DEADLINE, apply, create, free_port, linearizable, noise, until};
use store::{Member, MemberId, MembershipError, Store};

/// A member that is open and belongs to nothing yet; its index.
async fn waiting_member(cluster: &mut Cluster) -> usize {
    let index = cluster.stores.len();
    cluster.addrs.push(free_port());
    cluster.stores.push(None);
    cluster.open(index).await;
    index
}

async fn members(store: &Store) -> Vec<Member> {
    until("the leader tells the members", async || store.members().await.ok()).await
}

fn voters(members: &[Member]) -> Vec<MemberId> {
    members.iter().filter(|member| member.voter).map(|member| member.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_receives_everything_and_votes_once_promoted() {
    let mut cluster = Cluster::of(1).await;
    for index in 0..20 {
        apply(cluster.store(0), create(&format!("/k/{index}"), "v")).await.expect("written");
    }
    let learner = waiting_member(&mut cluster).await;
    let (id, addr) = (learner as MemberId + 1, cluster.addrs[learner].to_string());
    let unknown = cluster.store(0).promote_member(id).await.expect_err("it does not belong");
    assert!(unknown.to_string().contains("add it first"), "{unknown}");
    cluster.store(0).add_learner(id, addr.clone()).await.expect("added");
    cluster.store(0).add_learner(id, addr).await.expect("again is no error");
    assert_eq!(voters(&members(cluster.store(0)).await), [1]);
    let mut learned = cluster.store(learner).leadership();
    learned.wait_for(|now| now.leader.is_some()).await.expect("open");
    assert_eq!(linearizable(cluster.store(learner)).await.count("/k/"), 20);
    let refused = cluster.store(learner).lead(Some(id)).await.expect_err("it does not vote");
    assert!(matches!(&refused, MembershipError::Unsafe { reason } if reason.contains("vote")), "{refused}");
    until("promoted", async || cluster.store(learner).promote_member(id).await.ok()).await;
    cluster.store(learner).promote_member(id).await.expect("again is no error");
    let now = members(cluster.store(learner)).await;
    assert_eq!(voters(&now), [1, 2]);
    assert!(now.iter().all(|member| member.silent_ms.is_some()), "the leader knows: {now:?}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_out_of_reach_is_not_promoted() {
    let mut cluster = Cluster::of(1).await;
    let learner = waiting_member(&mut cluster).await;
    cluster.store(0).add_learner(2, cluster.addrs[learner].to_string()).await.expect("added");
    until("caught up", async || {
        members(cluster.store(0)).await.iter().find(|m| m.id == 2 && m.behind == Some(0)).map(drop)
    })
    .await;
    cluster.kill(learner).await;
    for index in 0..100 {
        apply(cluster.store(0), create(&format!("/k/{index}"), "v")).await.expect("written");
    }
    let error = cluster.store(0).promote_member(2).await.expect_err("it is behind");
    assert!(matches!(error, MembershipError::CatchingUp { id: 2, behind: Some(100..) }), "{error}");
    cluster.shutdown().await;
}

/// What `trireme server --join` does on a machine whose data folder was lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_member_at_the_address_of_a_dead_one_takes_its_seat() {
    let mut cluster = Cluster::of(3).await;
    let lost = cluster.follower().await;
    apply(cluster.store(lost), create("/k", "v")).await.expect("written");
    cluster.kill(lost).await;
    let index = cluster.stores.len();
    cluster.addrs.push(cluster.addrs[lost]);
    cluster.stores.push(None);
    cluster.open(index).await;
    let leader = cluster.leader_without(index).await;
    let addr = cluster.addrs[index].to_string();
    cluster.store(leader).add_member(index as MemberId + 1, addr).await.expect("takes the seat");
    let now = members(cluster.store(leader)).await;
    let mut expected: Vec<MemberId> = (1..=4).filter(|id| *id != lost as MemberId + 1).collect();
    expected.sort_unstable();
    assert_eq!((voters(&now), now.len()), (expected, 3), "{now:?}");
    assert!(linearizable(cluster.store(index)).await.get("/k").is_some());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_living_member_keeps_its_seat() {
    let mut cluster = Cluster::empty();
    cluster.timings.read = std::time::Duration::from_millis(500);
    let cluster = cluster.grown(2).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    let taken = cluster.addrs[follower].to_string();
    let error = cluster.store(leader).add_member(3, taken).await.expect_err("another member answers there");
    assert_eq!(error, MembershipError::CatchingUp { id: 3, behind: None });
    assert_eq!(voters(&members(cluster.store(leader)).await), [1, 2]);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_can_be_asked_to_hand_over() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    for next in (0..3).filter(|index| *index != leader) {
        let asked = (next + 1) % 3;
        cluster.store(asked).lead(Some(next as MemberId + 1)).await.expect("handed over");
        assert_eq!(cluster.leader().await, next);
    }
    cluster.store(leader).lead(None).await.expect("handed over");
    cluster.leader().await;
    let error = cluster.store(leader).lead(Some(99)).await.expect_err("nobody");
    assert!(matches!(error, MembershipError::Unsafe { .. }), "{error}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_would_stop_the_cluster_is_refused_with_the_reason() {
    let mut cluster = Cluster::of(3).await;
    let dead = cluster.follower().await;
    let leader = cluster.leader().await;
    cluster.kill(dead).await;
    let alive = (0..3).find(|index| *index != dead && *index != leader).expect("another");
    let error = cluster.store(leader).remove_member(alive as MemberId + 1).await.expect_err("unsafe");
    let MembershipError::Unsafe { reason } = &error else { panic!("{error}") };
    assert!(reason.contains(&format!("{{{}}}", dead + 1)), "it names who does not answer: {reason}");
    cluster.store(leader).remove_member(dead as MemberId + 1).await.expect("the dead one may go");
    assert_eq!(members(cluster.store(alive)).await.len(), 2);
    cluster.shutdown().await;
}

/// The connection breaks three times, each time after a quarter: the parts that came are kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_goes_on_where_its_connection_broke() {
    let mut cluster = Cluster::empty();
    let net = MemNet::new();
    cluster.net = Some(net.clone());
    cluster.limits.snapshot_entries = 70;
    cluster.limits.snapshot_trail = 1;
    let mut cluster = cluster.grown(1).await;
    for index in 0..60 {
        apply(cluster.store(0), create(&format!("/k/{index}"), &noise(100_000))).await.expect("written");
    }
    for index in 0..15 {
        apply(cluster.store(0), create(&format!("/small/{index}"), "v")).await.expect("written");
    }
    let snapshots = cluster.data_dir(0).join("snapshots");
    let size = until("a snapshot of it all", async || {
        let files = std::fs::read_dir(&snapshots).ok()?.flatten();
        let sizes = files.filter(|file| file.path().extension().is_some_and(|end| end == "snap"));
        sizes.filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).find(|size| *size > 4_000_000)
    })
    .await;
    let learner = waiting_member(&mut cluster).await;
    net.break_after((1, 2), vec![size / 4; 3]);
    let addr = cluster.addrs[learner].to_string();
    until("added", async || cluster.store(0).add_member(2, addr.clone()).await.ok()).await;
    assert_eq!(linearizable(cluster.store(learner)).await.count("/k/"), 60);
    let (carried, breaks) = net.carried((1, 2));
    assert_eq!(breaks, 0, "all connections broke");
    // Everything once, and for each break no more than what was on its way.
    assert!(carried < size + size / 2, "{carried} bytes were sent for a snapshot of {size}");
    cluster.shutdown().await;
}

/// What `trireme up` does: everybody joins at once and writes at once. Whoever would wait for a time-out,
/// waits longer than this test.
#[tokio::test(flavor = "multi_thread")]
async fn members_that_join_together_write_without_delay() {
    for _ in 0..10 {
        let mut cluster = Cluster::empty();
        (cluster.timings.read, cluster.timings.write) = (2 * DEADLINE, 2 * DEADLINE);
        let mut cluster = cluster.grown(1).await;
        let joining = [waiting_member(&mut cluster).await, waiting_member(&mut cluster).await];
        let joins = joining.map(|index| {
            let (first, store) = (cluster.store(0).clone(), cluster.store(index).clone());
            let (id, addr) = (index as MemberId + 1, cluster.addrs[index].to_string());
            tokio::spawn(tokio::time::timeout(DEADLINE, async move {
                while first.add_member(id, addr.clone()).await.is_err() {
                    tokio::task::yield_now().await;
                }
                for turn in 0..20 {
                    apply(&store, create(&format!("/w/{id}/{turn}"), "v")).await.expect("written");
                }
            }))
        });
        for join in joins {
            join.await.expect("joined").expect("in time");
        }
        cluster.shutdown().await;
    }
}

/// What `trireme up` does: each keeps its vote, whichever change comes between which steps of another.
#[tokio::test(flavor = "multi_thread")]
async fn members_that_join_at_the_same_time_all_vote() {
    let mut cluster = Cluster::empty();
    cluster.net = Some(MemNet::new());
    let mut cluster = cluster.grown(1).await;
    let mut joining = Vec::new();
    for _ in 0..4 {
        joining.push(waiting_member(&mut cluster).await);
    }
    let join = joining.iter().map(|&index| {
        let addr = cluster.addrs[index].to_string();
        cluster.store(0).add_member(index as MemberId + 1, addr)
    });
    for joined in futures::future::join_all(join).await {
        joined.expect("a new member");
    }
    assert_eq!(voters(&members(cluster.store(0)).await), [1, 2, 3, 4, 5]);
    cluster.shutdown().await;
}

/// When all members stop at the same time, none waits for another one to take over: here that would
/// take longer than the test.
#[tokio::test(flavor = "multi_thread")]
async fn members_that_all_stop_wait_for_nobody() {
    let mut cluster = Cluster::empty();
    cluster.net = Some(MemNet::new());
    cluster.timings.election_min = DEADLINE;
    cluster.timings.election_max = DEADLINE * 2;
    let cluster = cluster.grown(3).await;
    apply(cluster.store(0), create("/k", "v")).await.expect("written");
    futures::future::join_all(cluster.open_members().map(Store::leave)).await;
    let abandoned = futures::future::join_all(cluster.open_members().map(Store::abandoned));
    tokio::time::timeout(DEADLINE, abandoned).await.expect("everybody knows");
    let stopped = futures::future::join_all(cluster.open_members().map(Store::shutdown));
    tokio::time::timeout(DEADLINE, stopped).await.expect("nobody waits");
}

/// A server that nobody ended: it says what to do, and answers nothing old.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_member_that_still_runs_is_told_so() {
    let cluster = Cluster::of(3).await;
    let removed = cluster.follower().await;
    let leader = cluster.leader().await;
    cluster.store(leader).remove_member(removed as MemberId + 1).await.expect("removed");
    let told = until("it is told", async || {
        let told = cluster.store(removed).status().healthy.err()?;
        told.contains("was removed").then_some(told)
    })
    .await;
    assert!(told.contains("empty its data folder"), "{told}");
    let read = cluster.store(removed).view(store::Consistency::Linearizable).await.expect_err("removed");
    assert!(read.to_string().contains("was removed"), "{read}");
    let written = apply(cluster.store(removed), create("/k", "v")).await.expect_err("removed");
    assert!(written.to_string().contains("was removed"), "{written}");
    apply(cluster.store(leader), create("/k", "v")).await.expect("the others go on");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_waits_for_a_leader_ends_when_the_store_stops() {
    let mut cluster = Cluster::empty();
    // Not that it gave up by itself.
    cluster.timings.read = DEADLINE;
    let mut cluster = cluster.grown(2).await;
    cluster.kill(1).await;
    let store = cluster.store(0);
    let mut leadership = store.leadership();
    leadership.wait_for(|now| now.leader.is_none()).await.expect("open");
    let changes = futures::future::join_all((0..4).map(|_| store.remove_member(2)));
    let stop = async {
        // Those who wait are under way.
        tokio::task::yield_now().await;
        store.shutdown().await;
    };
    let (ends, ()) = tokio::join!(changes, stop);
    for end in ends {
        assert!(matches!(end, Err(MembershipError::ShuttingDown)), "{end:?}");
    }
}
