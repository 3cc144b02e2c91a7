//! What a watch promises: all events, in order, once, from any revision that is kept.

use std::time::Duration;

use futures::{FutureExt, StreamExt};

use super::*;
use crate::machine::{HistoryLimits, Outcome, Root, State};
use crate::metrics::Metrics;
use crate::object::{Op, Put, Txn};
use crate::raft::{Body, Proposal, Ticket, TxnRef};

struct Sim {
    state: State,
    hub: Arc<Hub>,
    seq: u64,
}

impl Sim {
    fn new(backlog: usize) -> Sim {
        let metrics = Metrics::new(&prometheus::Registry::new()).expect("metrics");
        let hub = Hub::new(backlog, Duration::from_millis(20), metrics);
        Sim { state: State::default(), hub, seq: 0 }
    }

    fn apply(&mut self, ops: Vec<Op>) {
        self.seq += 1;
        let ticket = Ticket { member: 1, boot: 1, seq: self.seq, floor: self.seq };
        let txn = Txn { guards: vec![], ops };
        let outcome = self.state.apply(0, &Proposal { ticket, body: Body::Txn(TxnRef::of(&txn)) });
        assert!(matches!(outcome, Outcome::Done(Ok(_))), "{outcome:?}");
        self.state.checkpoint();
    }

    fn put(&mut self, key: &str) {
        self.apply(vec![put(key, "")]);
    }

    fn dispatch(&self) {
        self.hub.dispatch(&Arc::new(self.state.root.clone()));
    }

    fn watch(&self, prefix: &str, from: Revision) -> WatchStream {
        self.hub.watch(request(prefix, from)).expect("kept")
    }

    /// The root without the changes up to a revision.
    fn trim(&mut self, changes: usize) {
        let window = Duration::from_secs(300);
        self.state.trim(&HistoryLimits { window, changes, bytes: u64::MAX });
    }
}

fn request(prefix: &str, from: Revision) -> WatchRequest {
    WatchRequest { prefix: prefix.to_owned(), from, field: None }
}

fn put(key: &str, node: &str) -> Op {
    let fields = vec![("node".to_owned(), node.to_owned())];
    Op::Put(Put { key: key.to_owned(), fields, ..Put::default() })
}

fn delete(key: &str) -> Op {
    Op::Delete { key: key.to_owned() }
}

/// Everything that is there now: "key@revision", "-key@revision", "=revision", or the end.
fn now(stream: &mut WatchStream) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(Some(item)) = stream.next().now_or_never() {
        seen.push(match item {
            Ok(WatchItem::Event(event)) => {
                let sign = if event.kind == EventKind::Delete { "-" } else { "" };
                assert_eq!(event.object.revision, event.revision);
                format!("{sign}{}@{}", event.object.key, event.revision)
            }
            Ok(WatchItem::Progress(revision)) => format!("={revision}"),
            Err(end) => format!("{end:?}"),
        });
    }
    seen
}

#[tokio::test]
async fn events_come_in_order_from_the_history_and_then_live() {
    let mut sim = Sim::new(100);
    sim.put("/a/1");
    sim.put("/b/1");
    sim.put("/a/2");
    sim.dispatch();
    let mut all = sim.watch("", 0);
    let mut some = sim.watch("/a/", 1);
    assert_eq!(now(&mut all), ["/a/1@1", "/b/1@2", "/a/2@3", "=3"]);
    assert_eq!(now(&mut some), ["/a/2@3", "=3"]);
    sim.apply(vec![delete("/a/1"), put("/b/2", "")]);
    sim.put("/a");
    sim.dispatch();
    assert_eq!(now(&mut all), ["-/a/1@4", "/b/2@4", "/a@5"]);
    assert_eq!(now(&mut some), ["-/a/1@4"]);
}

#[tokio::test]
async fn a_watcher_that_registers_between_chunks_misses_and_repeats_nothing() {
    let mut sim = Sim::new(100_000);
    let mut live = sim.watch("/k/", 0);
    let mut expected = Vec::new();
    for index in 0..1_000 {
        // Two changes in one revision, so that chunks end inside of one.
        sim.apply(vec![put(&format!("/k/{index}"), ""), put("/k/same", "")]);
        expected.push(format!("/k/{index}@{}", index + 1));
        expected.push(format!("/k/same@{}", index + 1));
    }
    sim.dispatch();
    let mut late = sim.watch("/k/", 0);
    let mut seen = now(&mut live);
    assert_eq!(seen.pop().as_deref(), Some("=1000"));
    assert_eq!(seen, expected);
    assert_eq!(drain(&mut late).await, expected);
}

/// Like [`now`], but gives a replay the turns it asks for; without notices.
async fn drain(stream: &mut WatchStream) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        match stream.next().await {
            Some(Ok(WatchItem::Event(event))) => {
                seen.push(format!("{}@{}", event.object.key, event.revision))
            }
            Some(Ok(WatchItem::Progress(_))) | None => return seen,
            Some(Err(end)) => panic!("{end}"),
        }
    }
}

#[tokio::test]
async fn a_field_selects_what_has_it_and_what_just_lost_it() {
    let mut sim = Sim::new(100);
    let on = |value: &str| WatchRequest {
        field: Some(("node".to_owned(), value.to_owned())),
        ..request("/pods/", 0)
    };
    let mut live = sim.hub.watch(on("n1")).expect("kept");
    sim.apply(vec![put("/pods/a", "")]);
    sim.apply(vec![put("/pods/b", "n2")]);
    sim.apply(vec![put("/pods/a", "n1")]);
    sim.apply(vec![put("/pods/a", "n1")]);
    sim.apply(vec![put("/pods/a", "n2")]);
    sim.apply(vec![put("/pods/a", "n2")]);
    sim.apply(vec![put("/pods/b", "n1")]);
    sim.apply(vec![delete("/pods/b")]);
    sim.dispatch();
    let mut replayed = sim.hub.watch(on("n1")).expect("kept");
    let expected = ["/pods/a@3", "/pods/a@4", "/pods/a@5", "/pods/b@7", "-/pods/b@8", "=8"];
    assert_eq!(now(&mut live), expected);
    assert_eq!(now(&mut replayed), expected);
}

#[tokio::test]
async fn a_slow_watcher_is_cut_off_and_holds_up_nobody() {
    let mut sim = Sim::new(3);
    let (mut slow, mut other) = (sim.watch("/k/", 0), sim.watch("/other/", 0));
    for _ in 0..4 {
        sim.put("/k/a");
    }
    sim.put("/other/a");
    sim.dispatch();
    assert_eq!(now(&mut slow), ["Lagged"]);
    assert!(slow.next().await.is_none(), "nothing comes after the end");
    assert_eq!(now(&mut other), ["/other/a@5", "=5"]);
    // It can resume where it was.
    assert_eq!(now(&mut sim.watch("/k/", 2)), ["/k/a@3", "/k/a@4", "=5"]);
}

#[tokio::test]
async fn what_is_not_kept_is_refused() {
    let mut sim = Sim::new(100);
    for _ in 0..10 {
        sim.put("/k");
    }
    sim.trim(4);
    sim.dispatch();
    let refused = sim.hub.watch(request("/k", 5)).err().expect("not kept");
    assert_eq!((refused.oldest, refused.newest), (6, 10));
    assert_eq!(now(&mut sim.watch("/k", 6)).len(), 5);
}

#[tokio::test]
async fn a_revision_that_is_not_there_yet_is_waited_for() {
    let mut sim = Sim::new(100);
    let mut stream = sim.watch("/k", 2);
    for _ in 0..2 {
        sim.put("/k");
    }
    assert!(now(&mut stream).is_empty());
    sim.dispatch();
    assert_eq!(now(&mut stream), ["=2"]);
    sim.put("/k");
    sim.dispatch();
    assert_eq!(now(&mut stream), ["/k@3"]);
}

#[tokio::test]
async fn notices_come_while_nothing_else_does() {
    let mut sim = Sim::new(100);
    let mut stream = sim.watch("/k", 0);
    assert_eq!(now(&mut stream), ["=0"]);
    sim.put("/other");
    sim.dispatch();
    let item = tokio::time::timeout(Duration::from_secs(10), stream.next()).await.expect("in time");
    assert!(matches!(item, Some(Ok(WatchItem::Progress(1)))), "{item:?}");
}

#[tokio::test]
async fn a_snapshot_with_history_goes_unnoticed_and_one_without_ends_the_watch() {
    let mut sim = Sim::new(100);
    sim.put("/k");
    sim.dispatch();
    let mut stream = sim.watch("/k", 0);
    assert_eq!(now(&mut stream), ["/k@1", "=1"]);
    for _ in 0..3 {
        sim.put("/k");
    }
    // As after an install: another state, with the history since.
    let mut bytes = Vec::new();
    crate::snapshot::write(&sim.state.root, &sim.state.sessions, &mut bytes).expect("written");
    sim.state = crate::snapshot::read(&mut bytes.as_slice()).expect("read");
    sim.dispatch();
    assert_eq!(now(&mut stream), ["/k@2", "/k@3", "/k@4"]);
    for _ in 0..3 {
        sim.put("/k");
    }
    sim.trim(1);
    sim.dispatch();
    assert_eq!(now(&mut stream), ["Compacted"]);
}

#[tokio::test]
async fn closing_ends_all_watches() {
    let sim = Sim::new(100);
    let mut stream = sim.watch("/k", 0);
    sim.hub.close();
    assert_eq!(now(&mut stream), ["Shutdown"]);
    assert_eq!(now(&mut sim.watch("/k", 0)), ["Shutdown"]);
    sim.hub.dispatch(&Arc::new(Root::default()));
}
