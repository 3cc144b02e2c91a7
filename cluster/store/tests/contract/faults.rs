//! Disks that fail and stores that are full.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::common::disk::Quota;
use crate::common::net::MemNet;
use crate::common::{Cluster, apply, create, delete, linearizable, noise, put, until, write};
use store::{Doubt, Rejection, WatchEnd, WatchRequest, WriteError};

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_disk_fails_steps_aside_and_says_why() {
    let net = MemNet::new();
    let mut cluster = Cluster::empty();
    cluster.net = Some(net.clone());
    cluster.failing = (0..3).map(|_| Arc::new(AtomicBool::new(false))).collect();
    let cluster = cluster.grown(3).await;
    let leader = cluster.leader().await;
    apply(cluster.store(leader), create("/k/1", "v")).await.expect("written");
    let watch = WatchRequest { prefix: "/".to_owned(), from: 1, field: None };
    let mut stream = cluster.store(leader).watch(watch).expect("kept");
    // The others alone would be a quorum, and might have it committed before the disk has failed.
    net.isolate(leader as u64 + 1, 3);
    cluster.failing[leader].store(true, Ordering::SeqCst);
    let error = apply(cluster.store(leader), create("/k/2", "v")).await.expect_err("the disk fails");
    assert!(matches!(error, WriteError::Unknown(Doubt::Fault { .. })), "{error}");
    let Doubt::Fault { problem } = cluster.store(leader).stopped().await else { panic!("a fault") };
    assert!(problem.contains("cannot write the log"), "{problem}");
    assert_eq!(cluster.store(leader).status().healthy, Err(format!("this member failed: {problem}")));
    let end = until("the watch ends", async || futures::StreamExt::next(&mut stream).await?.err()).await;
    assert_eq!(end, WatchEnd::Shutdown);
    net.heal();
    let next = (leader + 1) % 3;
    apply(cluster.store(next), create("/k/3", "v")).await.expect("the others go on");
    assert_ne!(cluster.store(next).status().leader, Some(leader as u64 + 1));
    assert!(linearizable(cluster.store(next)).await.get("/k/1").is_some());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_disk_failed_rejoins_after_the_repair() {
    let mut cluster = Cluster::empty();
    cluster.net = Some(MemNet::new());
    cluster.failing = (0..3).map(|_| Arc::new(AtomicBool::new(false))).collect();
    let mut cluster = cluster.grown(3).await;
    let broken = cluster.follower().await;
    cluster.failing[broken].store(true, Ordering::SeqCst);
    let next = (broken + 1) % 3;
    apply(cluster.store(next), create("/k/1", "v")).await.expect("the others go on");
    let Doubt::Fault { problem } = cluster.store(broken).stopped().await else { panic!("a fault") };
    assert!(problem.contains("the disk does not answer"), "{problem}");
    apply(cluster.store(next), create("/k/2", "v")).await.expect("the others go on");
    cluster.kill(broken).await;
    cluster.failing[broken].store(false, Ordering::SeqCst);
    cluster.open(broken).await;
    assert_eq!(linearizable(cluster.store(broken)).await.count("/k/"), 2);
    cluster.shutdown().await;
}

/// With 12 MB of disk: what grows is refused before the disk is full, deletes work, the log is cut.
#[tokio::test(flavor = "multi_thread")]
async fn a_nearly_full_disk_takes_deletes_and_restarts() {
    let mut cluster = Cluster::empty();
    cluster.net = Some(MemNet::new());
    cluster.quotas = vec![Quota::of(12 << 20)];
    cluster.limits.segment_bytes = 256 << 10;
    let mut cluster = cluster.grown(1).await;
    let mut count = 0;
    let refused = loop {
        match apply(cluster.store(0), create(&format!("/k/{count}"), &noise(100_000))).await {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, WriteError::Rejected(Rejection::DiskFull { .. })), "{refused}");
    assert!(refused.to_string().contains("deletes still work"), "{refused}");
    apply(cluster.store(0), write(put("/k/0", "smaller"))).await.expect("does not grow");
    cluster.kill(0).await;
    cluster.open(0).await;
    for index in 1..count {
        apply(cluster.store(0), delete(&format!("/k/{index}"))).await.expect("deletes work");
    }
    assert_eq!(linearizable(cluster.store(0)).await.count("/k/"), 1);
    cluster.quotas[0].total.fetch_add(20 << 20, Ordering::SeqCst);
    apply(cluster.store(0), create("/k/new", &noise(100_000))).await.expect("there is room again");
    cluster.shutdown().await;
}

/// The disk is full at once, as by another program: the ballast is given up, and the member goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_the_ballast_and_nothing_else() {
    let mut cluster = Cluster::empty();
    cluster.net = Some(MemNet::new());
    cluster.quotas = vec![Quota::of(64 << 20)];
    let mut cluster = cluster.grown(1).await;
    apply(cluster.store(0), create("/k/0", &noise(20_000))).await.expect("written");
    let quota = cluster.quotas[0].clone();
    let ballast = cluster.data_dir(0).join("ballast");
    assert_eq!(crate::common::size_of(&ballast), 1 << 20);
    quota.fill();
    // The log has some room that is prepared already; then it needs the ballast's.
    for round in 0.. {
        assert!(round < 1000, "the ballast is still there");
        // It does not grow: that would be refused as soon as somebody looks at the disk.
        let smaller = noise(19_000 - round);
        apply(cluster.store(0), write(put("/k/0", &smaller))).await.expect("there is room, or is made");
        if !ballast.exists() {
            break;
        }
    }
    apply(cluster.store(0), delete("/k/0")).await.expect("the ballast makes room");
    let refused = apply(cluster.store(0), create("/k/1", &noise(10_000))).await.expect_err("no room");
    assert!(matches!(refused, WriteError::Rejected(Rejection::DiskFull { .. })), "{refused}");
    cluster.kill(0).await;
    cluster.open(0).await;
    quota.others.store(0, Ordering::SeqCst);
    apply(cluster.store(0), create("/k/1", &noise(10_000))).await.expect("there is room again");
    assert_eq!(crate::common::size_of(&ballast), 1 << 20, "the ballast, too");
    cluster.shutdown().await;
}

/// Whoever is asked: what counts is the leader's disk, and that a quorum has room.
#[tokio::test(flavor = "multi_thread")]
async fn a_nearly_full_disk_is_the_clusters_when_it_is_the_leaders_or_a_quorums() {
    let mut cluster = Cluster::empty();
    cluster.net = Some(MemNet::new());
    cluster.quotas = (0..3).map(|_| Quota::of(64 << 20)).collect();
    let cluster = cluster.grown(3).await;
    let count = AtomicU64::new(0);
    let grow = async |index: usize| {
        let key = format!("/k/{}", count.fetch_add(1, Ordering::SeqCst));
        cluster.store(index).propose(create(&key, "v")).await
    };
    // Nearly full: what there is goes on.
    let fill = |full: &[usize]| {
        for (index, quota) in cluster.quotas.iter().enumerate() {
            if full.contains(&index) {
                quota.fill();
                quota.others.fetch_sub(700 << 10, Ordering::SeqCst);
            } else {
                quota.others.store(0, Ordering::SeqCst);
            }
        }
    };
    for leaders in [true, false] {
        until("growth is refused", async || {
            // On a busy machine another one may come to lead.
            let leader = cluster.leader().await;
            let others: Vec<usize> = (0..3).filter(|index| *index != leader).collect();
            let asked = if leaders { others[0] } else { leader };
            fill(if leaders { std::slice::from_ref(&leader) } else { &others });
            let refused = grow(asked).await.err()?;
            matches!(refused, WriteError::Rejected(Rejection::DiskFull { .. })).then_some(())
        })
        .await;
        fill(&[]);
        for index in 0..3 {
            until("there is room again", async || grow(index).await.ok().map(drop)).await;
        }
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_takes_deletes_and_gives_up_what_has_a_time_first() {
    let mut cluster = Cluster::empty();
    cluster.limits.total_bytes = 100_000;
    let cluster = cluster.grown(1).await;
    let store = cluster.store(0);
    let mut event = put("/events/e", &"x".repeat(5_000));
    event.ttl = Some(Duration::from_secs(3_600));
    apply(store, write(event)).await.expect("written");
    let mut count = 0;
    let full = loop {
        match apply(store, create(&format!("/k/{count}"), &"x".repeat(10_000))).await {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, WriteError::Rejected(Rejection::StorageFull { limit: 100_000, .. })), "{full}");
    until("the event is given up", async || {
        let view = store.view(store::Consistency::Local).await.ok()?;
        view.get("/events/e").is_none().then_some(())
    })
    .await;
    // Not larger is allowed, and so is smaller.
    while apply(store, create(&format!("/k/{count}"), &"x".repeat(10_000))).await.is_ok() {
        count += 1;
    }
    apply(store, write(put("/k/0", &"y".repeat(10_000)))).await.expect("not larger");
    apply(store, delete("/k/1")).await.expect("deletes always work");
    apply(store, create("/k/1", &"x".repeat(9_000))).await.expect("there is room again");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_makes_no_sense_is_refused_by_name() {
    let mut cluster = Cluster::empty();
    cluster.limits.object_bytes = 1_000;
    cluster.limits.txn_ops = 3;
    cluster.limits.key_bytes = 20;
    let cluster = cluster.grown(1).await;
    let store = cluster.store(0);
    let twice =
        |key: &str| store::Txn { guards: vec![], ops: [key; 2].map(|k| store::Op::Put(put(k, ""))).to_vec() };
    let mut misplaced = put("/k", "v");
    misplaced.splice_at = Some(1_000_000);
    let many =
        store::Txn { guards: vec![], ops: (0..4).map(|i| store::Op::Put(put(&i.to_string(), ""))).collect() };
    let cases = [
        (write(put("/k", &"x".repeat(1_000))), "the object /k has "),
        (many, "the number of operations and guards has 4, the limit is 3"),
        (write(put(&"k".repeat(21), "")), "a key has 21, the limit is 20"),
        (twice("/k"), "two operations on one key"),
        (store::Txn::default(), "without operations"),
        (write(put("", "")), "an empty key"),
        (write(misplaced), "outside of the value"),
    ];
    for (txn, expected) in cases {
        let error = apply(store, txn).await.expect_err(expected);
        assert!(matches!(error, WriteError::Rejected(_)) && error.to_string().contains(expected), "{error}");
    }
    assert_eq!(store.status().revision, 0);
    cluster.shutdown().await;
}
