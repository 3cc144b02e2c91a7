//! The clients of a simulated cluster: readers, writers, holders of a lease.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use store::{Consistency, Object, ReadError, Rejection, Txn, WriteError};

use super::cluster::{Cluster, Running};
use super::dice::Dice;
use super::observe::token_of;
use super::world::World;
use crate::history::{Call, Guard, Op, Outcome, Seen, Token, What, node_of};

/// Groups of keys: a transaction stays within one.
const GROUPS: u64 = 6;
const NAMES: [&str; 3] = ["a", "b", "c"];
/// The lease that some clients fight for.
const LEASE: &str = "/lease/leader";
/// Bytes beside the token in each value.
const PADDING: usize = 200;

/// Between two operations of a client, milliseconds.
const THINK_MS: (u64, u64) = (50, 400);

/// One client.
pub struct Client {
    id: u64,
    world: Arc<World>,
    cluster: Arc<Cluster>,
    dice: Dice,
    /// What it saw last at each key.
    seen: BTreeMap<String, Option<(u64, Token)>>,
    /// The member it talks to.
    home: Option<u64>,
    /// The epoch in which it holds the lease, as it believes.
    epoch: Option<String>,
}

impl Client {
    #[must_use]
    pub fn new(id: u64, cluster: &Arc<Cluster>) -> Client {
        let world = cluster.world.clone();
        let dice = world.dice(&format!("client {id}"));
        Client { id, world, cluster: cluster.clone(), dice, seen: BTreeMap::new(), home: None, epoch: None }
    }

    /// Works until it is dropped.
    pub async fn run(mut self) {
        loop {
            let wait = Duration::from_millis(self.dice.between(THINK_MS.0, THINK_MS.1));
            tokio::time::sleep(wait).await;
            let Some(running) = self.member() else { continue };
            let call = self.next_call();
            self.call(&running, call).await;
        }
    }

    fn member(&mut self) -> Option<Running> {
        if self.home.is_none() || self.dice.per_mille(100) {
            let ids = self.cluster.ids();
            self.home = self.dice.pick(&ids);
        }
        let running = self.home.and_then(|id| self.cluster.running(id));
        if running.is_none() {
            self.home = None;
        }
        running
    }

    fn next_call(&mut self) -> Call {
        if self.id < 2 && self.dice.per_mille(400) {
            return self.lease_call();
        }
        let group = self.dice.below(GROUPS);
        let key = |name: &str| format!("/g/{group}/{name}");
        let one = key(NAMES[self.dice.below(3) as usize]);
        match self.dice.below(100) {
            0..35 => Call::Read { keys: NAMES.map(key).to_vec() },
            35..50 => self.txn(vec![], vec![self.put(&one)]),
            50..60 => {
                let guards = vec![Guard::Absent { key: one.clone() }];
                self.txn(guards, vec![self.put(&one)])
            }
            60..78 => self.txn(self.at(&one), vec![self.put(&one)]),
            78..86 => self.txn(self.at(&one), vec![Op::Delete { key: one.clone() }]),
            86..96 => {
                let ops = NAMES.iter().map(|name| self.put(&key(name))).collect();
                self.txn(self.at(&one), ops)
            }
            _ => {
                let key = format!("/ttl/{}", self.dice.below(4));
                let token = self.world.id();
                let op = Op::Put { key, token, epoch: None, expires: true };
                self.txn(vec![], vec![op])
            }
        }
    }

    fn txn(&self, guards: Vec<Guard>, ops: Vec<Op>) -> Call {
        Call::Txn { guards, ops }
    }

    fn put(&self, key: &str) -> Op {
        Op::Put { key: key.to_owned(), token: self.world.id(), epoch: None, expires: false }
    }

    /// A guard on what was seen last.
    fn at(&self, key: &str) -> Vec<Guard> {
        match self.seen.get(key) {
            Some(Some((revision, token))) => {
                vec![Guard::At { key: key.to_owned(), revision: *revision, token: *token }]
            }
            Some(None) => vec![Guard::Absent { key: key.to_owned() }],
            None => vec![],
        }
    }

    fn lease_call(&mut self) -> Call {
        if let Some(epoch) = self.epoch.clone()
            && self.dice.per_mille(750)
        {
            let guards = vec![Guard::Lease { key: LEASE.to_owned(), epoch }];
            return self.txn(guards, vec![self.put(&format!("/work/{}", self.dice.clone().below(3)))]);
        }
        if self.dice.per_mille(400) {
            return Call::Read { keys: vec![LEASE.to_owned()] };
        }
        let token = self.world.id();
        let epoch = Some(format!("{}/{token}", self.id));
        let op = Op::Put { key: LEASE.to_owned(), token, epoch, expires: false };
        self.txn(self.at(LEASE), vec![op])
    }

    async fn call(&mut self, running: &Running, call: Call) {
        let op = self.world.id();
        let (client, member) = (self.id, running.process.member);
        self.world.record(What::Invoke { op, client, member, call: call.clone() });
        let work = async {
            match &call {
                Call::Read { keys } => read(running, keys).await,
                Call::Txn { guards, ops } => write(running, guards, ops).await,
            }
        };
        let outcome = running.process.end.run_until_cancelled(work).await;
        let outcome = match outcome {
            Some(outcome) if !running.process.is_gone() => outcome,
            _ => {
                let reason = "the process was killed".to_owned();
                match call {
                    Call::Read { .. } => Outcome::Failed { reason },
                    Call::Txn { .. } => Outcome::Unknown { reason },
                }
            }
        };
        self.learn(&call, &outcome);
        self.world.record(What::Return { op, outcome });
    }

    fn learn(&mut self, call: &Call, outcome: &Outcome) {
        match outcome {
            Outcome::Read { seen, .. } => {
                for Seen { key, found } in seen {
                    self.seen.insert(key.clone(), *found);
                }
            }
            Outcome::Applied { revision } => {
                let Call::Txn { ops, .. } = call else { return };
                for op in ops {
                    match op {
                        Op::Put { key, token, epoch, .. } => {
                            self.seen.insert(key.clone(), Some((*revision, *token)));
                            self.epoch = epoch.clone().or(self.epoch.take());
                        }
                        Op::Delete { key } => drop(self.seen.insert(key.clone(), None)),
                    }
                }
            }
            Outcome::Conflict { key, .. } => drop(self.seen.remove(key)),
            // A leader that does not yet believe that it was replaced tries again.
            Outcome::Fenced { .. } if self.dice.per_mille(500) => self.epoch = None,
            _ => self.home = None,
        }
    }
}

async fn read(running: &Running, keys: &[String]) -> Outcome {
    match running.store.view(Consistency::Linearizable).await {
        Ok(view) => {
            let found = |key: &str| view.get(key).map(|object| (object.revision, token_of(&object)));
            let seen = keys.iter().map(|key| Seen { key: key.clone(), found: found(key) }).collect();
            Outcome::Read { revision: view.revision(), seen }
        }
        Err(error @ (ReadError::NoQuorum { .. } | ReadError::NotReady | ReadError::ShuttingDown)) => {
            Outcome::Failed { reason: error.to_string() }
        }
    }
}

async fn write(running: &Running, guards: &[Guard], ops: &[Op]) -> Outcome {
    let txn = Txn { guards: guards.iter().map(guard_of).collect(), ops: ops.iter().map(op_of).collect() };
    match running.store.propose(txn).await {
        Ok(applied) => {
            let wrong = |object: &Arc<Object>| object.revision != applied.revision;
            let kept = running.store.view(Consistency::Local).await;
            let behind = kept.is_ok_and(|view| view.revision() < applied.revision);
            if behind || applied.objects.iter().any(wrong) {
                return Outcome::Unknown { reason: "an answer that contradicts itself".to_owned() };
            }
            Outcome::Applied { revision: applied.revision }
        }
        Err(WriteError::Rejected(Rejection::Conflict { key, current, .. })) => {
            Outcome::Conflict { key, current }
        }
        Err(WriteError::Rejected(Rejection::Fenced { key, current, .. })) => Outcome::Fenced { key, current },
        Err(WriteError::Rejected(other)) => Outcome::Rejected { reason: other.to_string() },
        Err(WriteError::Unknown(doubt)) => Outcome::Unknown { reason: doubt.to_string() },
    }
}

fn guard_of(guard: &Guard) -> store::Guard {
    match guard {
        Guard::Absent { key } => store::Guard::Absent { key: key.clone() },
        Guard::At { key, revision, .. } => store::Guard::AtRevision { key: key.clone(), revision: *revision },
        Guard::Lease { key, epoch } => store::Guard::Lease { key: key.clone(), epoch: epoch.clone() },
    }
}

fn op_of(op: &Op) -> store::Op {
    match op {
        Op::Delete { key } => store::Op::Delete { key: key.clone() },
        Op::Put { key, token, epoch, expires } => {
            let head = "{\"resourceVersion\":\"";
            let padding = "x".repeat(PADDING);
            let value = format!("{head}\",\"token\":{token},\"padding\":\"{padding}\"}}");
            let mut fields = vec![("node".to_owned(), node_of(*token).to_string())];
            fields.extend(epoch.clone().map(|epoch| ("epoch".to_owned(), epoch)));
            store::Op::Put(store::Put {
                key: key.clone(),
                value: value.into(),
                splice_at: Some(head.len() as u32),
                labels: Vec::new(),
                fields,
                ttl: expires.then(|| Duration::from_secs(1 + token % 5)),
            })
        }
    }
}
