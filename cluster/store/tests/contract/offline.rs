//! Snapshots of running clusters, clusters founded from them, and from what a lost quorum left.

use std::path::{Path, PathBuf};

use crate::common::{Cluster, apply, create, data, delete, linearizable, put, until, write};
use futures::StreamExt;
use store::offline::{self, RAISE_LEAST};
use store::{Consistency, MemberId, OpenError, Store, StoreConfig, WatchRequest};

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_millis() as u64
}

async fn save(store: &Store, path: &Path) {
    let mut pieces = store.snapshot().await.expect("a snapshot");
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece.expect("a piece"));
    }
    std::fs::write(path, bytes).expect("written");
}

/// The configuration of a member of another number in another folder, on the cluster's network.
fn founded(cluster: &Cluster, id: MemberId, data_dir: PathBuf) -> StoreConfig {
    let addr = crate::common::free_port();
    let advertise = addr.to_string();
    StoreConfig { id, data_dir, peer_listen: addr, peer_advertise: advertise, ..cluster.config(0) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_cluster_goes_on_and_nobody_sees_time_run_backwards() {
    let cluster = Cluster::of(3).await;
    for index in 0..300 {
        apply(cluster.store(0), create(&format!("/k/{index}"), "v")).await.expect("written");
    }
    apply(cluster.store(0), delete("/k/7")).await.expect("deleted");
    let file = cluster.dir.path().join("saved.snap");
    save(cluster.store(1), &file).await;
    let seen = apply(cluster.store(0), write(put("/k/1", "later"))).await.expect("written").revision;
    let summary = offline::verify(&file).expect("whole");
    assert_eq!((summary.revision, summary.objects, summary.voters), (301, 299, vec![1, 2, 3]));
    let into = cluster.dir.path().join("restored");
    let restored = offline::restore(&file, &into, 77, now_ms()).expect("restored");
    assert!(restored.revision > seen + RAISE_LEAST / 2, "{}", restored.revision);
    let again = offline::restore(&file, &into, 78, now_ms()).expect_err("the folder is in use");
    assert!(matches!(again, OpenError::Unusable { .. }), "{again}");
    let store = Store::open(founded(&cluster, 77, into)).await.expect("opens");
    store.init_cluster().await.expect("it is a cluster already");
    let view = linearizable(&store).await;
    assert_eq!((view.count("/k/"), data(&view, "/k/1").as_deref()), (299, Some("v")));
    let stale = WatchRequest { prefix: "/".to_owned(), from: seen, field: None };
    let gone = store.watch(stale).map(drop).expect_err("what the old cluster wrote later is not here");
    assert_eq!(gone.oldest, restored.revision);
    assert!(store.view_at(301).is_err());
    let next = apply(&store, create("/k/new", "v")).await.expect("written").revision;
    assert_eq!(next, restored.revision + 1);
    until("it knows its address", async || {
        store.members().await.ok()?.iter().find(|m| m.id == 77 && !m.addr.is_empty()).map(drop)
    })
    .await;
    store.kill().await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_founded_cluster_restarts_and_grows_again() {
    let mut cluster = Cluster::of(1).await;
    apply(cluster.store(0), create("/k/a", "v")).await.expect("written");
    let file = cluster.dir.path().join("saved.snap");
    save(cluster.store(0), &file).await;
    cluster.kill(0).await;
    std::fs::remove_dir_all(cluster.data_dir(0)).expect("removed");
    offline::restore(&file, &cluster.data_dir(0), 1, now_ms()).expect("restored");
    cluster.open(0).await;
    apply(cluster.store(0), create("/k/b", "v")).await.expect("written");
    cluster.kill(0).await;
    cluster.open(0).await;
    let mut cluster = cluster.grown(0).await;
    cluster.addrs.push(crate::common::free_port());
    cluster.stores.push(None);
    cluster.open(1).await;
    cluster.store(0).add_member(2, cluster.addrs[1].to_string()).await.expect("joins");
    assert_eq!(linearizable(cluster.store(1)).await.count("/k/"), 2);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_found() {
    let cluster = Cluster::of(1).await;
    apply(cluster.store(0), create("/k/a", "v")).await.expect("written");
    let file = cluster.dir.path().join("saved.snap");
    save(cluster.store(0), &file).await;
    let whole = std::fs::read(&file).expect("read");
    let mut longer = whole.clone();
    longer.push(0);
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let cases = [("cut", whole[..whole.len() - 1].to_vec()), ("flipped", flipped), ("longer", longer)];
    for (name, bytes) in cases {
        std::fs::write(&file, bytes).expect("written");
        let error = offline::verify(&file).expect_err(name);
        assert!(error.to_string().contains("saved.snap"), "{name}: {error}");
        offline::restore(&file, &cluster.dir.path().join("x"), 2, 0).expect_err(name);
    }
    assert!(!cluster.dir.path().join("x").exists(), "nothing is left of it");
    cluster.shutdown().await;
}

/// Two of three are lost: the third one alone founds the cluster again.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_quorum_is_recovered_from_the_newest_log() {
    let mut cluster = Cluster::of(3).await;
    for index in 0..20 {
        apply(cluster.store(0), create(&format!("/k/{index}"), "v")).await.expect("written");
    }
    let leader = cluster.leader().await;
    let late = cluster.follower().await;
    cluster.kill(late).await;
    let last = apply(cluster.store(leader), create("/k/last", "v")).await.expect("two are enough").revision;
    let error = offline::look(&cluster.data_dir(leader)).map(drop).expect_err("it runs");
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    for index in (0..3).filter(|index| *index != late) {
        cluster.kill(index).await;
    }
    let other = (0..3).find(|index| *index != late && *index != leader).expect("another");
    std::fs::remove_dir_all(cluster.data_dir(other)).expect("lost");
    let mut looked: Vec<_> =
        [late, leader].map(|i| offline::look(&cluster.data_dir(i)).expect("readable")).into_iter().collect();
    let replicas: Vec<_> = looked.iter().map(|looked| looked.replica.clone()).collect();
    let plan = offline::plan(&replicas).expect("a plan");
    assert_eq!((plan.newest, plan.may_lose), (1, false), "two of three: {replicas:?}");
    let before = std::fs::read_dir(cluster.data_dir(late).join("wal")).expect("a folder").count();
    let (kept, summary) = offline::recover(looked.swap_remove(1), 55, plan.may_lose, now_ms()).expect("done");
    assert!(kept.join("member").exists(), "what was there is kept");
    assert_eq!(summary.revision, last, "nothing is lost, so nothing is jumped over");
    drop(looked);
    assert_eq!(std::fs::read_dir(cluster.data_dir(late).join("wal")).expect("a folder").count(), before);
    let store = Store::open(founded(&cluster, 55, cluster.data_dir(leader))).await.expect("opens");
    let view = linearizable(&store).await;
    assert_eq!((view.count("/k/"), view.revision()), (21, last));
    assert!(store.view_at(last - 1).is_ok(), "with its history");
    // A member of the old cluster that comes back is alone, and stays so.
    cluster.open(late).await;
    apply(&store, create("/k/after", "v")).await.expect("written");
    let old = cluster.store(late).view(Consistency::Local).await.expect("a view");
    assert!(old.get("/k/after").is_none());
    cluster.kill(late).await;
    std::fs::remove_dir_all(cluster.data_dir(late)).expect("removed");
    cluster.open(late).await;
    store.add_member(late as MemberId + 1, cluster.addrs[late].to_string()).await.expect("joins anew");
    assert_eq!(linearizable(cluster.store(late)).await.count("/k/"), 22);
    store.kill().await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_missing_quorum_may_have_written_is_jumped_over() {
    let mut cluster = Cluster::of(3).await;
    let last = apply(cluster.store(0), create("/k/a", "v")).await.expect("written").revision;
    for index in 0..3 {
        cluster.kill(index).await;
    }
    let looked = offline::look(&cluster.data_dir(2)).expect("readable");
    let plan = offline::plan(std::slice::from_ref(&looked.replica)).expect("a plan");
    assert!(plan.may_lose && plan.missing == [1, 2].into());
    let (_, summary) = offline::recover(looked, 55, plan.may_lose, now_ms()).expect("done");
    assert!(summary.revision >= last + RAISE_LEAST && summary.oldest == summary.revision);
    let store = Store::open(founded(&cluster, 55, cluster.data_dir(2))).await.expect("opens");
    assert_eq!(linearizable(&store).await.count("/k/"), 1);
    store.kill().await;
    cluster.shutdown().await;
}
