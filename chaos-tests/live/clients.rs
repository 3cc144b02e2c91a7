//! The clients of a live cluster, each pinned to one server: readers and writers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::objects::{self, NAMES};
use super::wire::Wire;
use super::workload::Shared;
use crate::history::{Call, Guard, Op, Outcome, Seen, Token, What};
use crate::sim::dice::Dice;

/// Groups of keys in use at one time; others follow with every fault, which bounds what must be
/// explained together.
const GROUPS: u64 = 6;
/// Between two operations of a client, milliseconds.
const THINK_MS: (u64, u64) = (10, 60);

/// One client.
pub struct Client {
    pub id: u64,
    pub member: u64,
    pub wire: Wire,
    pub dice: Dice,
    pub shared: Arc<Shared>,
    /// What it saw last at each key.
    pub seen: BTreeMap<String, Option<(u64, Token)>>,
}

impl Client {
    /// Works until it is told to stop.
    pub async fn run(mut self) {
        while !self.shared.is_over() {
            let wait = self.dice.between(THINK_MS.0, THINK_MS.1);
            tokio::time::sleep(Duration::from_millis(wait)).await;
            let call = self.next_call();
            self.call(call).await;
        }
    }

    fn next_call(&mut self) -> Call {
        let group = self.shared.round.load(Ordering::Relaxed) * GROUPS + self.dice.below(GROUPS);
        let keys = NAMES.map(|name| objects::key(group, name));
        let one = keys[self.dice.below(NAMES.len() as u64) as usize].clone();
        let put = Op::Put { key: one.clone(), token: self.shared.recorder.id(), epoch: None, expires: false };
        let absent = Guard::Absent { key: one.clone() };
        let (guards, op) = match self.dice.below(100) {
            0..25 => return Call::Read { keys: keys.to_vec() },
            25..35 => return Call::Read { keys: vec![one] },
            35..50 => (vec![], put),
            50..60 => (vec![absent], put),
            60..82 => (vec![self.at(&one)], put),
            82..90 => match self.at(&one) {
                at @ Guard::At { .. } => (vec![at], Op::Delete { key: one }),
                _ => (vec![], put),
            },
            _ => (vec![], Op::Delete { key: one }),
        };
        Call::Txn { guards, ops: vec![op] }
    }

    /// A guard on what was seen last.
    fn at(&self, key: &str) -> Guard {
        let key = key.to_owned();
        match self.seen.get(&key) {
            Some(Some((revision, token))) => Guard::At { key, revision: *revision, token: *token },
            _ => Guard::Absent { key },
        }
    }

    async fn call(&mut self, call: Call) {
        let (op, client, member) = (self.shared.recorder.id(), self.id, self.member);
        self.shared.recorder.record(What::Invoke { op, client, member, call: call.clone() });
        let answer = self.wire.ask(objects::ask(&call)).await;
        let outcome = objects::outcome(&call, answer);
        self.shared.recorder.record(What::Return { op, outcome: outcome.clone() });
        self.learn(&call, &outcome);
    }

    fn learn(&mut self, call: &Call, outcome: &Outcome) {
        match (outcome, call) {
            (Outcome::Read { seen, .. }, _) => {
                for Seen { key, found } in seen {
                    self.seen.insert(key.clone(), *found);
                }
            }
            (Outcome::Applied { revision }, Call::Txn { ops, .. }) => {
                for op in ops {
                    let now = match op {
                        Op::Put { token, .. } => Some((*revision, *token)),
                        Op::Delete { .. } => None,
                    };
                    self.seen.insert(op.key().to_owned(), now);
                }
            }
            (Outcome::Conflict { key, .. }, _) => drop(self.seen.remove(key)),
            _ => {}
        }
    }
}
