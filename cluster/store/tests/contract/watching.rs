//! Watches of a real cluster: a watcher that wanders sees every event once.

use crate::common::{Cluster, DEADLINE, apply, delete, put, until, write};
use futures::StreamExt;
use store::{Event, Store, WatchItem, WatchRequest};

/// The events after a revision, up to another, from one member.
async fn events(store: &Store, from: u64, upto: u64) -> Vec<std::sync::Arc<Event>> {
    let request = WatchRequest { prefix: "/".to_owned(), from, field: None };
    let mut stream = store.watch(request).expect("kept");
    let mut events = Vec::new();
    let collect = async {
        loop {
            match stream.next().await.expect("an item").expect("no end") {
                WatchItem::Event(event) => events.push(event),
                WatchItem::Progress(revision) => {
                    let last = events.last().map_or(from, |event| event.revision);
                    assert!(revision >= last, "a notice never goes back");
                }
            }
            if events.last().is_some_and(|event| event.revision >= upto) {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, collect).await.expect("in time");
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_wanders_sees_every_event_once() {
    let mut cluster = Cluster::empty();
    cluster.limits.snapshot_entries = 50;
    cluster.limits.snapshot_trail = 5;
    let mut cluster = cluster.grown(3).await;
    let mut seen = Vec::new();
    let mut at = 0;
    for round in 0..6 {
        let leader = cluster.leader().await;
        for index in 0..40 {
            let key = format!("/k/{}", index % 7);
            apply(cluster.store((leader + index) % 3), write(put(&key, "v"))).await.expect("written");
        }
        let gone = apply(cluster.store(leader), delete("/k/3")).await.expect("deleted");
        // From each member in turn, in parts, resumed where the last one ended.
        let store = cluster.store(round % 3);
        let middle = at + 17;
        seen.extend(events(store, at, middle).await.iter().map(|event| event.revision));
        let rest = events(cluster.store((round + 1) % 3), middle, gone.revision).await;
        assert!(rest.last().is_some_and(|event| event.previous.is_some()));
        seen.extend(rest.iter().map(|event| event.revision));
        at = gone.revision;
        // The next one is asked after a restart, some after a change of the leader too.
        let restarted = (round + 2) % 3;
        cluster.kill(restarted).await;
        cluster.open(restarted).await;
    }
    let expected: Vec<u64> = (1..=at).collect();
    assert_eq!(seen, expected);
    // Everything from the beginning, from every member, although the logs were cut long ago.
    for store in cluster.open_members() {
        let all = events(store, 0, at).await;
        assert_eq!(all.iter().map(|event| event.revision).collect::<Vec<_>>(), expected);
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_encoded_once_for_all() {
    let cluster = Cluster::of(1).await;
    let store = cluster.store(0);
    let request = WatchRequest { prefix: "/k".to_owned(), from: 0, field: None };
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(store.watch(request.clone()).expect("kept"));
    }
    apply(store, write(put("/k", "v"))).await.expect("written");
    let mut encoded = 0;
    for stream in &mut streams {
        let event = until("the event", async || match stream.next().await? {
            Ok(WatchItem::Event(event)) => Some(event),
            _ => None,
        })
        .await;
        event.encoded[0].get_or_init(|| {
            encoded += 1;
            event.object.value.clone()
        });
    }
    assert_eq!(encoded, 1);
    cluster.shutdown().await;
}
