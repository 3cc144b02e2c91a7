//! Applying: guards, times, history, repeated proposals, snapshots.

use std::time::Duration;

use super::state::Session;
use super::*;
use crate::error::Rejection;
use crate::object::{Guard, Object, Op, Put, Txn};
use crate::raft::{Body, Proposal, TxnRef};

fn limits() -> HistoryLimits {
    HistoryLimits { window: Duration::from_secs(300), changes: 100_000, bytes: 1 << 30 }
}

/// A state with the sequence number of its next proposal.
#[derive(Default)]
struct Sim {
    state: State,
    seq: u64,
    now_ms: u64,
}

impl Sim {
    fn body(&mut self, body: Body<'_>) -> Outcome {
        self.seq += 1;
        let ticket = Ticket { member: 1, boot: 1, seq: self.seq, floor: self.seq };
        let outcome = self.state.apply(self.now_ms, &Proposal { ticket, body });
        self.state.checkpoint();
        outcome
    }

    fn txn(&mut self, txn: &Txn) -> Result<crate::object::Applied, Rejection> {
        match self.body(Body::Txn(TxnRef::of(txn))) {
            Outcome::Done(result) => result,
            Outcome::Repeated => panic!("it is new"),
        }
    }

    fn put(&mut self, key: &str, value: &str) -> Arc<Object> {
        let txn = Txn { guards: vec![], ops: vec![put(key, value)] };
        self.txn(&txn).expect("applied").objects[0].clone()
    }

    fn keys(&self) -> Vec<&str> {
        self.state.root.objects.keys().map(|key| &**key).collect()
    }
}

fn put(key: &str, value: &str) -> Op {
    Op::Put(Put { key: key.to_owned(), value: value.to_owned().into(), splice_at: Some(1), ..Put::default() })
}

fn with_ttl(key: &str, ttl_ms: u64) -> Op {
    let ttl = Some(Duration::from_millis(ttl_ms));
    Op::Put(Put { key: key.to_owned(), value: "v".into(), ttl, ..Put::default() })
}

fn delete(key: &str) -> Op {
    Op::Delete { key: key.to_owned() }
}

fn absent(key: &str) -> Guard {
    Guard::Absent { key: key.to_owned() }
}

fn at(key: &str, revision: u64) -> Guard {
    Guard::AtRevision { key: key.to_owned(), revision }
}

fn lease(epoch: &str) -> Guard {
    Guard::Lease { key: "lease".to_owned(), epoch: epoch.to_owned() }
}

#[test]
fn guards_let_through_or_refuse_the_whole_transaction() {
    // State: "a" changed at 2, "lease" with epoch "e1" at 3.
    let cases: Vec<(&str, Vec<Guard>, Vec<Op>, bool)> = vec![
        ("no guard", vec![], vec![put("a", "()")], true),
        ("absent and it is", vec![absent("b")], vec![put("b", "()")], true),
        ("absent and it is not", vec![absent("a")], vec![put("a", "()")], false),
        ("at its revision", vec![at("a", 2)], vec![put("a", "()")], true),
        ("at an older revision", vec![at("a", 1)], vec![put("a", "()")], false),
        ("at a revision of nothing", vec![at("b", 1)], vec![put("b", "()")], false),
        ("in the epoch", vec![lease("e1")], vec![put("b", "()")], true),
        ("in an older epoch", vec![lease("e0")], vec![put("b", "()")], false),
        ("delete", vec![], vec![delete("a")], true),
        ("delete nothing", vec![], vec![delete("b")], false),
        ("one of two guards fails", vec![at("a", 2), absent("lease")], vec![put("b", "()")], false),
        ("one of two deletes fails", vec![], vec![delete("a"), delete("b")], false),
        ("two at once", vec![at("a", 2)], vec![delete("a"), put("b", "()")], true),
    ];
    for (name, guards, ops, passes) in cases {
        let mut sim = Sim::default();
        sim.put("a", "()");
        sim.put("a", "()");
        let mut held = Put { key: "lease".to_owned(), ..Put::default() };
        held.fields = vec![("epoch".to_owned(), "e1".to_owned())];
        sim.txn(&Txn { guards: vec![], ops: vec![Op::Put(held)] }).expect("applied");
        let before = sim.state.root.clone();
        let result = sim.txn(&Txn { guards, ops });
        assert_eq!(result.is_ok(), passes, "{name}: {result:?}");
        if passes {
            assert_eq!(sim.state.root.revision, 4, "{name}");
        } else {
            assert_eq!(sim.state.root.objects, before.objects, "{name}: nothing happened");
            assert_eq!((sim.state.root.revision, sim.state.root.bytes), (3, before.bytes), "{name}");
        }
    }
}

#[test]
fn refusals_say_what_is_there() {
    let mut sim = Sim::default();
    sim.put("a", "()");
    let refused = sim.txn(&Txn { guards: vec![absent("b"), at("a", 9)], ops: vec![put("a", "()")] });
    let expected = Rejection::Conflict { guard: Some(1), key: "a".to_owned(), current: Some(1) };
    assert_eq!(refused, Err(expected));
    let refused = sim.txn(&Txn { guards: vec![lease("x")], ops: vec![put("a", "()")] });
    assert_eq!(refused, Err(Rejection::Fenced { guard: 0, key: "lease".to_owned(), current: None }));
}

#[test]
fn the_revision_is_spliced_into_the_bytes() {
    let mut sim = Sim::default();
    for _ in 0..10 {
        sim.put("a", "()");
    }
    let object = sim.put("a", "()");
    assert_eq!((&*object.value, object.revision, object.create_revision), (&b"(11)"[..], 11, 1));
    for _ in 0..88 {
        sim.put("b", "()");
    }
    let gone = sim.txn(&Txn { guards: vec![], ops: vec![delete("a")] }).expect("deleted");
    assert_eq!((&*gone.objects[0].value, gone.objects[0].revision), (&b"(100)"[..], 100));
}

#[test]
fn a_proposal_that_comes_twice_is_applied_once() {
    let mut state = State::default();
    let txn = Txn { guards: vec![], ops: vec![put("a", "()")] };
    let mut apply = |member, boot, seq, floor| {
        let ticket = Ticket { member, boot, seq, floor };
        let done = state.apply(0, &Proposal { ticket, body: Body::Txn(TxnRef::of(&txn)) });
        matches!(done, Outcome::Done(_))
    };
    assert!(apply(1, 1, 1, 1));
    assert!(!apply(1, 1, 1, 1), "again");
    assert!(apply(2, 1, 1, 1), "another member's");
    assert!(apply(1, 1, 3, 1), "out of order");
    assert!(apply(1, 1, 2, 1), "out of order");
    assert!(apply(1, 1, 9, 7), "settles everything below 7");
    assert!(!apply(1, 1, 5, 1), "a late copy of something settled");
    assert!(apply(1, 2, 1, 1), "after a restart the numbers begin again");
    assert!(!apply(1, 1, 10, 1), "a late copy from before the restart");
    let session: &Session = &state.sessions[&1];
    assert_eq!((session.boot, session.applied.len()), (2, 1));
}

#[test]
fn objects_expire_in_order_each_with_its_revision() {
    let mut sim = Sim { now_ms: 1_000, ..Sim::default() };
    for (key, ttl_ms) in [("late", 900), ("soon", 100), ("next", 200)] {
        sim.txn(&Txn { guards: vec![], ops: vec![with_ttl(key, ttl_ms)] }).expect("applied");
    }
    sim.put("forever", "()");
    assert_eq!(sim.state.root.next_expiry_ms, Some(1_100));
    // Written again: it lives on.
    sim.txn(&Txn { guards: vec![], ops: vec![with_ttl("soon", 5_000)] }).expect("applied");
    sim.body(Body::Expire { before_ms: 1_150, limit: 10 });
    assert_eq!(sim.keys(), ["forever", "late", "next", "soon"], "nothing is due");
    sim.body(Body::Expire { before_ms: 2_000, limit: 1 });
    assert_eq!(sim.keys(), ["forever", "late", "soon"], "one at a time was asked");
    sim.body(Body::Expire { before_ms: u64::MAX, limit: 10 });
    assert_eq!(sim.keys(), ["forever"]);
    assert_eq!((sim.state.root.revision, sim.state.root.next_expiry_ms), (8, None));
    let revisions: Vec<u64> = sim.state.root.history.iter().map(|change| change.revision).collect();
    assert_eq!(revisions, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn every_kept_revision_can_be_viewed() {
    let mut sim = Sim::default();
    let mut states = vec![sim.state.root.objects.clone()];
    // Long enough for several checkpoints.
    for step in 0..1_700u64 {
        let key = format!("k{}", step * 7 % 23);
        let op = if step % 5 == 4 && sim.state.root.objects.contains_key(key.as_str()) {
            delete(&key)
        } else {
            put(&key, "()")
        };
        sim.txn(&Txn { guards: vec![], ops: vec![op] }).expect("applied");
        states.push(sim.state.root.objects.clone());
    }
    sim.state.trim(&HistoryLimits { changes: 1_500, ..limits() });
    assert_eq!(sim.state.root.floor, 200);
    for (revision, objects) in states.iter().enumerate() {
        let view = sim.state.root.view_at(revision as u64);
        match view {
            Ok(view) => assert_eq!(view.objects, *objects, "revision {revision}"),
            Err(error) => assert!(revision < 200, "{error}"),
        }
    }
    assert!(sim.state.root.view_at(1_701).is_err());
}

#[test]
fn history_is_forgotten_by_time_and_by_size() {
    let mut sim = Sim::default();
    for second in 0..10 {
        sim.now_ms = second * 1_000;
        sim.put("a", "()");
    }
    sim.state.trim(&HistoryLimits { window: Duration::from_secs(4), ..limits() });
    assert_eq!((sim.state.root.floor, sim.state.root.history.len()), (5, 5));
    sim.state.trim(&HistoryLimits { bytes: 500, ..limits() });
    assert!(sim.state.root.history_bytes <= 500 && sim.state.root.floor > 5);
    sim.state.trim(&HistoryLimits { bytes: 0, ..limits() });
    assert_eq!((sim.state.root.floor, sim.state.root.history_bytes), (10, 0));
}

#[test]
fn a_snapshot_has_the_state_its_history_and_its_sessions() {
    let mut sim = Sim { now_ms: 1_000, ..Sim::default() };
    for step in 0..900u64 {
        sim.now_ms += 1;
        sim.put(&format!("k{}", step % 40), "(value)");
    }
    sim.txn(&Txn { guards: vec![], ops: vec![with_ttl("e", 50), delete("k3")] }).expect("applied");
    sim.state.trim(&HistoryLimits { changes: 700, ..limits() });
    let mut bytes = Vec::new();
    snapshot::write(&sim.state.root, &sim.state.sessions, &mut bytes).expect("written");
    let read = snapshot::read(&mut bytes.as_slice()).expect("read");
    let (old, new) = (&sim.state.root, &read.root);
    assert_eq!((&new.objects, &new.history), (&old.objects, &old.history));
    assert_eq!((new.revision, new.floor, new.clock_ms), (old.revision, old.floor, old.clock_ms));
    assert_eq!((new.bytes, new.history_bytes), (old.bytes, old.history_bytes));
    assert_eq!(new.next_expiry_ms, old.next_expiry_ms);
    assert_eq!((&read.sessions, &read.expiries), (&sim.state.sessions, &sim.state.expiries));
    for revision in [old.floor, 500, 899, 901] {
        let views = (old.view_at(revision).expect("kept"), new.view_at(revision).expect("kept"));
        assert_eq!(views.0.objects, views.1.objects);
    }
    snapshot::check(&mut bytes.as_slice()).expect("whole");
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    snapshot::check(&mut damaged.as_slice()).expect_err("a checksum does not fit");
    for at in (0..bytes.len()).step_by(13) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(
            snapshot::read(&mut damaged.as_slice()).is_err(),
            "the flipped bit of byte {at} was not found"
        );
        assert!(snapshot::read(&mut &bytes[..at]).is_err(), "cut at byte {at}");
    }
}
