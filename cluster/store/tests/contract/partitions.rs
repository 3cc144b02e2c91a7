//! Members that can not reach each other: nothing wrong is said, and all is well after healing.

use std::sync::Arc;
use std::time::Duration;

use crate::common::net::MemNet;
use crate::common::{Cluster, DEADLINE, apply, create, data, linearizable, put, until, write};
use store::{Consistency, Rejection, WriteError};

async fn cluster_on(net: &Arc<MemNet>) -> Cluster {
    let mut cluster = Cluster::empty();
    cluster.net = Some(net.clone());
    cluster.timings.write = Duration::from_millis(700);
    cluster.timings.read = Duration::from_millis(700);
    cluster.grown(3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isolated_leader_acknowledges_and_serves_nothing() {
    let net = MemNet::new();
    let cluster = cluster_on(&net).await;
    let old = cluster.leader().await;
    apply(cluster.store(old), create("/before", "1")).await.expect("written");
    net.isolate(old as u64 + 1, 3);
    // Handed to the log of the old leader, which can not commit it.
    let error = apply(cluster.store(old), create("/lost", "1")).await.expect_err("no quorum");
    assert!(
        matches!(error, WriteError::Unknown(_) | WriteError::Rejected(Rejection::NoQuorum { .. })),
        "{error}"
    );
    cluster.store(old).view(Consistency::Linearizable).await.expect_err("no quorum");
    let new = cluster.leader_without(old).await;
    apply(cluster.store(new), write(put("/before", "2"))).await.expect("the majority goes on");
    // Sooner or later it refuses at once, without logging.
    until("the old leader knows", async || {
        let refused = cluster.store(old).propose(create("/refused", "1")).await;
        matches!(refused, Err(WriteError::Rejected(Rejection::NoQuorum { .. }))).then_some(())
    })
    .await;
    net.heal();
    until("one leader again", async || {
        let leader = cluster.store(new).status().leader?;
        (cluster.store(old).status().leader == Some(leader)).then_some(())
    })
    .await;
    let view = linearizable(cluster.store(old)).await;
    assert_eq!(data(&view, "/before").as_deref(), Some("2"));
    assert!(view.get("/refused").is_none(), "surely not applied means that");
    for store in cluster.open_members() {
        let same = linearizable(store).await;
        assert_eq!((same.revision(), same.count("")), (view.revision(), view.count("")));
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_comes_back_disturbs_nobody() {
    let net = MemNet::new();
    let cluster = cluster_on(&net).await;
    let leader = cluster.leader().await;
    let away = cluster.follower().await;
    let term = cluster.store(leader).status().term;
    net.isolate(away as u64 + 1, 3);
    // Long enough for several elections, were it not for the pre-vote.
    cluster.store(away).view(Consistency::Linearizable).await.expect_err("cut off");
    cluster.store(away).view(Consistency::Linearizable).await.expect_err("cut off");
    for index in 0..20 {
        apply(cluster.store(leader), create(&format!("/k/{index}"), "v")).await.expect("written");
    }
    net.heal();
    assert_eq!(linearizable(cluster.store(away)).await.count("/k/"), 20);
    let status = cluster.store(away).status();
    assert_eq!((status.leader, status.term), (Some(leader as u64 + 1), term), "the leader stayed");
    cluster.shutdown().await;
}

/// A write that a follower handed over is retried inside when the leader is lost, and applied once.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_under_way_survives_a_new_leader() {
    let net = MemNet::new();
    let mut cluster = Cluster::empty();
    cluster.net = Some(net.clone());
    let cluster = cluster.grown(3).await;
    let old = cluster.leader().await;
    let follower = cluster.follower().await;
    net.isolate(old as u64 + 1, 3);
    let writes = (0..20).map(|index| apply(cluster.store(follower), create(&format!("/k/{index}"), "v")));
    for result in futures::future::join_all(writes).await {
        // A second attempt would find the first one's object, if that had been applied too.
        result.expect("written once");
    }
    net.heal();
    until("the old leader follows", async || {
        (cluster.store(old).status().leader != Some(old as u64 + 1)).then_some(())
    })
    .await;
    let view = linearizable(cluster.store(old)).await;
    assert_eq!((view.count("/k/"), view.revision()), (20, 20));
    cluster.shutdown().await;
}

/// Heartbeats of a leader that hears nothing still arrive, and one that is mute still hears all: both
/// are replaced, and lead nobody any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_cut_off_in_one_direction_is_replaced() {
    for deaf in [true, false] {
        let net = MemNet::new();
        let cluster = cluster_on(&net).await;
        let old = cluster.leader().await;
        let leader = old as u64 + 1;
        for other in (1..=3).filter(|other| *other != leader) {
            let (from, to) = if deaf { (other, leader) } else { (leader, other) };
            net.cut(from, to);
        }
        let new = cluster.leader_without(old).await;
        until("the majority goes on", async || {
            apply(cluster.store(new), write(put("/k", "v"))).await.ok().map(drop)
        })
        .await;
        let mut told = cluster.store(old).leadership();
        let led = told.wait_for(|now| !now.is_self);
        tokio::time::timeout(DEADLINE, led).await.expect("it leads nobody").expect("open");
        assert!(cluster.store(old).view(Consistency::Linearizable).await.is_err(), "deaf: {deaf}");
        net.heal();
        let view = linearizable(cluster.store(old)).await;
        assert_eq!(data(&view, "/k").as_deref(), Some("v"));
        cluster.shutdown().await;
    }
}
