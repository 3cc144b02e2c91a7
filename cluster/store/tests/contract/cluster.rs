//! Three members in one process: what is acknowledged is never lost, reads are linearizable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::common::{Cluster, apply, create, data, delete, linearizable, put, until, write};
use store::{Consistency, Guard, MembershipError, Op, OpenError, Rejection, Store, Txn, WriteError};

#[tokio::test(flavor = "multi_thread")]
async fn one_member_writes_and_reads() {
    let cluster = Cluster::of(1).await;
    let store = cluster.store(0);
    let applied = apply(store, create("/core/pods/default/a", "1")).await.expect("created");
    assert_eq!(applied.revision, 1);
    assert_eq!(&*applied.objects[0].value, br#"{"resourceVersion":"1","data":"1"}"#);
    let view = linearizable(store).await;
    assert_eq!(data(&view, "/core/pods/default/a").as_deref(), Some("1"));
    let gone = apply(store, delete("/core/pods/default/a")).await.expect("deleted");
    assert_eq!(&*gone.objects[0].value, br#"{"resourceVersion":"2","data":"1"}"#);
    assert_eq!(store.view(Consistency::Local).await.expect("a view").count(""), 0);
    store.init_cluster().await.expect("again is no error");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_writes_and_reads_its_own_writes() {
    let cluster = Cluster::of(3).await;
    for (index, store) in cluster.open_members().enumerate() {
        let key = format!("/k/{index}");
        apply(store, create(&key, "x")).await.expect("created");
        assert!(store.view(Consistency::Local).await.expect("a view").get(&key).is_some());
        for other in cluster.open_members() {
            assert!(linearizable(other).await.get(&key).is_some(), "every member sees it afterwards");
        }
        let again = apply(store, create(&key, "y")).await.expect_err("it exists");
        let WriteError::Rejected(Rejection::Conflict { guard, current, .. }) = again else {
            panic!("{again}");
        };
        assert_eq!((guard, current), (Some(0), Some(index as u64 + 1)));
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_writer_can_not_write() {
    let cluster = Cluster::of(1).await;
    let store = cluster.store(0);
    let lease = |epoch: &str| {
        let mut lease = put("/leases/x", epoch);
        lease.fields = vec![("epoch".to_owned(), epoch.to_owned())];
        write(lease)
    };
    let fenced = |epoch: &str| Txn {
        guards: vec![Guard::Lease { key: "/leases/x".to_owned(), epoch: epoch.to_owned() }],
        ops: vec![Op::Put(put("/k", epoch))],
    };
    apply(store, lease("a/1")).await.expect("the lease");
    apply(store, fenced("a/1")).await.expect("the leader writes");
    apply(store, lease("b/2")).await.expect("another leads");
    let error = apply(store, fenced("a/1")).await.expect_err("deposed");
    assert!(matches!(error, WriteError::Rejected(Rejection::Fenced { .. })), "{error}");
    cluster.shutdown().await;
}

/// The members that writers may use now.
type Open = tokio::sync::watch::Receiver<Vec<Store>>;

/// Writers write through every member while leaders die: each acknowledged write stays, each
/// write is applied at most once.
#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost_when_leaders_die() {
    let mut cluster = Cluster::of(3).await;
    let (open, seen) = tokio::sync::watch::channel(cluster.open_members().cloned().collect::<Vec<_>>());
    let writers: Vec<_> = (0..6).map(|writer| tokio::spawn(counting(seen.clone(), writer))).collect();
    for _ in 0..4 {
        let leader = cluster.leader().await;
        wait_for_progress(cluster.store(leader)).await;
        cluster.kill(leader).await;
        open.send_replace(cluster.open_members().cloned().collect());
        let next = cluster.leader().await;
        wait_for_progress(cluster.store(next)).await;
        cluster.open(leader).await;
        open.send_replace(cluster.open_members().cloned().collect());
    }
    open.send_replace(Vec::new());
    let mut written = BTreeMap::new();
    for writer in writers {
        let (key, acknowledged, tried) = writer.await.expect("a writer");
        written.insert(key, (acknowledged, tried));
    }
    for store in cluster.open_members() {
        let view = linearizable(store).await;
        for (key, (acknowledged, tried)) in &written {
            let found: u64 = data(&view, key).expect("the counter").parse().expect("a number");
            assert!((*acknowledged..=*tried).contains(&found), "{key}: {acknowledged} <= {found} <= {tried}");
        }
    }
    cluster.shutdown().await;
}

/// Counts up with the revision as guard; the last number acknowledged, and the last one tried.
async fn counting(open: Open, writer: usize) -> (String, u64, u64) {
    let key = format!("/counter/{writer}");
    let (mut acknowledged, mut tried) = (0, 0);
    for turn in 0.. {
        let stores = open.borrow().clone();
        if stores.is_empty() {
            break;
        }
        let store = &stores[(writer + turn) % stores.len()];
        let Ok(view) = store.view(Consistency::Linearizable).await else { continue };
        let current = data(&view, &key).map_or(0, |d| d.parse::<u64>().expect("a number"));
        assert!(current >= acknowledged, "an acknowledged write was lost: {current} < {acknowledged}");
        assert!(current <= tried, "{key} is {current}, only {tried} was tried");
        let guard = match view.get(&key) {
            Some(object) => Guard::AtRevision { key: key.clone(), revision: object.revision },
            None => Guard::Absent { key: key.clone() },
        };
        tried = current + 1;
        let txn = Txn { guards: vec![guard], ops: vec![Op::Put(put(&key, &tried.to_string()))] };
        match store.propose(txn).await {
            Ok(_) => acknowledged = tried,
            // After an unknown outcome the next view tells; a write that was given up may still
            // take effect between that view and the next write.
            Err(WriteError::Unknown(_) | WriteError::Rejected(Rejection::Conflict { .. })) => {}
            Err(WriteError::Rejected(Rejection::NoQuorum { .. } | Rejection::ShuttingDown)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    (key, acknowledged, tried)
}

async fn wait_for_progress(store: &Store) {
    let start = store.status().revision;
    until("writes go on", async || (store.status().revision > start + 20).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_leader_writes_soon_after_the_old_one_died() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    apply(cluster.store(follower), create("/before", "1")).await.expect("written");
    let started = Instant::now();
    cluster.kill(leader).await;
    apply(cluster.store(follower), create("/after", "1")).await.expect("written");
    let took = started.elapsed();
    println!("leader killed to first acknowledged write: {took:?}");
    assert!(took.as_millis() < 1000, "{took:?}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_all_restart() {
    let mut cluster = Cluster::of(3).await;
    for index in 0..50 {
        apply(cluster.store(index % 3), create(&format!("/k/{index}"), "v")).await.expect("written");
    }
    let revision = linearizable(cluster.store(0)).await.revision();
    for index in 0..3 {
        cluster.kill(index).await;
    }
    for index in 0..3 {
        cluster.open(index).await;
    }
    for store in cluster.open_members() {
        let view = linearizable(store).await;
        assert_eq!((view.count("/k/"), view.revision()), (50, revision));
    }
    apply(cluster.store(1), create("/k/after", "v")).await.expect("written");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_member_gets_a_snapshot() {
    let mut cluster = Cluster::empty();
    cluster.limits.snapshot_entries = 40;
    cluster.limits.snapshot_trail = 5;
    cluster.limits.segment_bytes = 64 << 10;
    let mut cluster = cluster.grown(1).await;
    for index in 0..300 {
        apply(cluster.store(0), write(put(&format!("/k/{}", index % 100), "v"))).await.expect("written");
    }
    apply(cluster.store(0), delete("/k/7")).await.expect("deleted");
    let snapshots = cluster.data_dir(0).join("snapshots");
    until("a snapshot", async || std::fs::read_dir(&snapshots).ok()?.next().map(drop)).await;
    cluster.addrs.push(crate::common::free_port());
    cluster.stores.push(None);
    cluster.open(1).await;
    let addr = cluster.addrs[1].to_string();
    cluster.store(0).add_member(2, addr.clone()).await.expect("added");
    cluster.store(0).add_member(2, addr).await.expect("again is no error");
    let view = linearizable(cluster.store(1)).await;
    assert_eq!((view.count("/k/"), view.revision()), (99, 301));
    let old = cluster.store(1).view_at(200).expect("the history came with the snapshot");
    assert!(old.get("/k/7").is_some());
    cluster.kill(1).await;
    cluster.open(1).await;
    assert_eq!(linearizable(cluster.store(1)).await.count("/k/"), 99);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    // Leadership moves without a gap.
    cluster.store(leader).transfer_leadership().await.expect("handed over");
    assert_ne!(cluster.leader().await, leader);
    // Asked of any member.
    let gone = leader as u64 + 1;
    cluster.store(follower).remove_member(gone).await.expect("removed");
    cluster.store(follower).remove_member(gone).await.expect("again is no error");
    cluster.kill(leader).await;
    apply(cluster.store(follower), create("/k", "v")).await.expect("two go on");
    assert_eq!(cluster.store(follower).status().members.len(), 2);
    // The last one that would be left with a dead peer is not removed.
    let other = (0..3).find(|i| *i != leader && *i != follower).expect("another");
    cluster.kill(other).await;
    let error = cluster.store(follower).remove_member(follower as u64 + 1).await.expect_err("unsafe");
    assert!(
        matches!(
            error,
            MembershipError::NoQuorum { .. }
                | MembershipError::Unsafe { .. }
                | MembershipError::Unknown { .. }
        ),
        "{error}"
    );
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_moved_is_found() {
    let mut cluster = Cluster::of(3).await;
    let moved = cluster.follower().await;
    cluster.kill(moved).await;
    cluster.addrs[moved] = crate::common::free_port();
    cluster.open(moved).await;
    let addr = cluster.addrs[moved].to_string();
    let leader = cluster.leader().await;
    until("the cluster knows the new address", async || {
        let members = cluster.store(leader).status().members;
        members.iter().any(|m| m.id == moved as u64 + 1 && m.addr == addr).then_some(())
    })
    .await;
    apply(cluster.store(moved), create("/k", "v")).await.expect("written");
    cluster.shutdown().await;
}

/// A member that forgot what it acknowledged and whom it voted for is a danger to the cluster.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_lost_its_folder_is_not_let_in_until_it_is_added_again() {
    let mut cluster = Cluster::of(3).await;
    let lost = cluster.follower().await;
    apply(cluster.store(lost), create("/k", "v")).await.expect("written");
    cluster.kill(lost).await;
    std::fs::remove_dir_all(cluster.data_dir(lost)).expect("removed");
    cluster.open(lost).await;
    let leader = cluster.leader_without(lost).await;
    let (id, addr) = (lost as u64 + 1, cluster.addrs[lost].to_string());
    let error = cluster.store(leader).add_member(id, addr.clone()).await.expect_err("it lost its data");
    assert!(matches!(error, MembershipError::Unsafe { .. }), "{error}");
    assert!(cluster.store(lost).status().healthy.is_err());
    cluster.store(leader).remove_member(id).await.expect("removed");
    cluster.store(leader).add_member(id, addr).await.expect("added again");
    assert!(linearizable(cluster.store(lost)).await.get("/k").is_some());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_used_by_one_process_and_one_member() {
    let mut cluster = Cluster::of(1).await;
    let mut second = cluster.config(0);
    second.peer_listen = crate::common::free_port();
    let error = Store::open(second).await.err().expect("the folder is in use");
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    cluster.kill(0).await;
    let mut foreign = cluster.config(0);
    foreign.id = 9;
    let error = Store::open(foreign).await.err().expect("the folder is another member's");
    assert!(matches!(error, OpenError::ForeignFolder { found: 1, expected: 9, .. }), "{error}");
    cluster.open(0).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_a_time_expires() {
    let cluster = Cluster::of(3).await;
    let mut short = put("/events/a", "v");
    short.ttl = Some(std::time::Duration::from_millis(50));
    apply(cluster.store(0), write(short)).await.expect("written");
    apply(cluster.store(0), create("/events/b", "v")).await.expect("written");
    for store in cluster.open_members() {
        let store = Arc::new(store.clone());
        until("the event expires", async || {
            let view = store.view(Consistency::Local).await.ok()?;
            (view.count("/events/") == 1).then_some(())
        })
        .await;
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_nothing_is_acknowledged() {
    let mut cluster = Cluster::empty();
    cluster.timings.write = std::time::Duration::from_millis(400);
    cluster.timings.read = std::time::Duration::from_millis(400);
    let mut cluster = cluster.grown(3).await;
    let left = cluster.follower().await;
    for index in (0..3).filter(|i| *i != left) {
        cluster.kill(index).await;
    }
    apply(cluster.store(left), create("/k", "v")).await.expect_err("no quorum");
    cluster.store(left).view(Consistency::Linearizable).await.expect_err("no quorum");
    assert!(cluster.store(left).view(Consistency::Local).await.is_ok());
    cluster.shutdown().await;
}
