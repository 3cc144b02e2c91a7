//! The history is linearizable: revisions respect real time, and for each group of keys that
//! transactions connect there is one order of operations that explains every answer.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Facts, Operation};
use super::linearizability::{self, Act, Condition, Explained, Timed};
use crate::history::{Call, Guard, Op, Outcome, Token};

/// How a sentence begins that is about a history in which nothing wrong was found, nor anything right.
pub const NOT_JUDGED: &str = "not judged";

pub fn check(facts: &Facts) -> Vec<String> {
    let mut broken = real_time(facts);
    for keys in groups(facts) {
        if !broken.is_empty() {
            // A history that is broken may take long to be searched.
            break;
        }
        let operations: Vec<&Operation> = facts
            .operations
            .iter()
            .filter(|operation| keys_of(operation.call).any(|k| keys.contains(k)))
            .collect();
        let timed: Vec<Timed> =
            operations.iter().filter_map(|operation| timed(facts, operation, &keys)).collect();
        match linearizability::explain(&timed, keys.len()) {
            Explained::Yes => {}
            Explained::No { stuck_at } => {
                let names: Vec<&str> = keys.iter().copied().collect();
                let stuck = facts.operations.iter().find(|operation| operation.id == stuck_at);
                let text = stuck.map(|o| {
                    format!(
                        "{:?} by client {} on member {} answered {:?}",
                        o.call, o.client, o.member, o.outcome
                    )
                });
                broken.push(format!(
                    "no order explains the history of {names:?}; operation {stuck_at}: {}",
                    text.unwrap_or_default()
                ));
            }
            Explained::Unknown => {
                let acts = timed.len();
                broken.push(format!(
                    "{NOT_JUDGED}: {acts} operations on {keys:?} have too many possible orders"
                ));
            }
        }
    }
    broken
}

/// What returned before another began has the lower revision, or, for a read, not a higher one.
fn real_time(facts: &Facts) -> Vec<String> {
    let mut by_return: Vec<&Operation> = facts.operations.iter().filter(|o| o.returned.is_some()).collect();
    by_return.sort_by_key(|operation| operation.returned);
    let mut by_invoke: Vec<&Operation> = by_return.clone();
    by_invoke.sort_by_key(|operation| operation.invoked);
    let mut broken = Vec::new();
    let (mut newest, mut newest_id, mut next) = (0, 0, 0);
    for operation in by_invoke {
        while next < by_return.len() && by_return[next].returned < Some(operation.invoked) {
            if let Some((revision, _)) = revision_of(by_return[next])
                && revision > newest
            {
                (newest, newest_id) = (revision, by_return[next].id);
            }
            next += 1;
        }
        let Some((revision, is_write)) = revision_of(operation) else { continue };
        if revision < newest + u64::from(is_write) {
            let id = operation.id;
            broken.push(format!(
                "operation {id} has revision {revision}, but {newest_id} had returned with {newest} before it began"
            ));
        }
    }
    broken
}

fn revision_of(operation: &Operation) -> Option<(u64, bool)> {
    match operation.outcome? {
        Outcome::Read { revision, .. } if *revision > 0 => Some((*revision, false)),
        Outcome::Applied { revision } => Some((*revision, true)),
        _ => None,
    }
}

fn keys_of(call: &Call) -> Box<dyn Iterator<Item = &str> + '_> {
    match call {
        Call::Read { keys } => Box::new(keys.iter().map(String::as_str)),
        Call::Txn { guards, ops } => Box::new(guards.iter().map(key_of).chain(ops.iter().map(Op::key))),
    }
}

fn key_of(guard: &Guard) -> &str {
    match guard {
        Guard::Absent { key } | Guard::At { key, .. } | Guard::Lease { key, .. } => key,
    }
}

/// Keys that occur together, without groups in which something vanishes by itself.
fn groups<'a>(facts: &'a Facts) -> Vec<BTreeSet<&'a str>> {
    let mut groups: Vec<BTreeSet<&str>> = Vec::new();
    let mut expiring: BTreeSet<&str> = BTreeSet::new();
    for operation in &facts.operations {
        let keys: BTreeSet<&'a str> = keys_of(operation.call).collect();
        if let Call::Txn { ops, .. } = operation.call {
            let expires = |op: &&Op| matches!(op, Op::Put { expires: true, .. });
            expiring.extend(ops.iter().filter(expires).map(Op::key));
        }
        if groups.iter().any(|group| group.is_superset(&keys)) {
            continue;
        }
        let (mut joined, rest): (Vec<_>, Vec<_>) = groups.into_iter().partition(|g| !g.is_disjoint(&keys));
        joined.push(keys);
        groups = rest;
        groups.push(joined.into_iter().flatten().collect());
    }
    groups.retain(|group| group.is_disjoint(&expiring));
    groups
}

fn timed(facts: &Facts, operation: &Operation, keys: &BTreeSet<&str>) -> Option<Timed> {
    let place: BTreeMap<&str, usize> = keys.iter().enumerate().map(|(at, key)| (*key, at)).collect();
    let act = match (operation.call, operation.outcome) {
        (Call::Read { .. }, Some(Outcome::Read { seen, .. })) => {
            let seen = seen.iter().filter_map(|s| Some((*place.get(s.key.as_str())?, s.found.map(|f| f.1))));
            Act::Read { seen: seen.collect() }
        }
        (Call::Read { .. }, _) | (_, Some(Outcome::Rejected { .. })) => return None,
        (Call::Txn { guards, ops }, outcome) => {
            let conditions = guards.iter().map(|guard| condition(facts, guard, place[key_of(guard)]));
            let mut conditions: Vec<Condition> = conditions.collect();
            for op in ops {
                if let Op::Delete { key } = op {
                    conditions.push(Condition::Present { key: place[key.as_str()] });
                }
            }
            let write = |op: &Op| match op {
                Op::Put { key, token, .. } => (place[key.as_str()], Some(*token)),
                Op::Delete { key } => (place[key.as_str()], None),
            };
            let writes = ops.iter().map(write).collect();
            match outcome {
                Some(Outcome::Applied { .. }) => Act::Applied { conditions, writes },
                Some(Outcome::Conflict { key, current }) => {
                    let key = place[key.as_str()];
                    let there = there(facts, keys, key, *current);
                    Act::Refused { conditions, key, there }
                }
                Some(Outcome::Fenced { key, current }) => {
                    let there = current.is_none().then_some(None);
                    Act::Refused { conditions, key: place[key.as_str()], there }
                }
                _ => Act::Perhaps { conditions, writes },
            }
        }
    };
    let returned = operation.returned.filter(|_| !matches!(act, Act::Perhaps { .. }));
    Some(Timed { id: operation.id, invoked: operation.invoked, returned, act })
}

/// What a refusal says to be at the key, when that is known.
fn there(facts: &Facts, keys: &BTreeSet<&str>, key: usize, current: Option<u64>) -> Option<Option<Token>> {
    let Some(revision) = current else { return Some(None) };
    let name = keys.iter().nth(key)?;
    facts.changes.get(&(revision, *name)).map(|change| Some(change.token))
}

fn condition(facts: &Facts, guard: &Guard, key: usize) -> Condition {
    match guard {
        Guard::Absent { .. } => Condition::Absent { key },
        Guard::At { token, .. } => Condition::OneOf { key, tokens: vec![*token] },
        Guard::Lease { epoch, .. } => {
            let tokens = facts.epochs.iter().filter(|(_, known)| *known == epoch).map(|(token, _)| *token);
            Condition::OneOf { key, tokens: tokens.collect() }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::history::{Call, Op, Outcome, Record, Seen, What};

    /// So many writes without an answer can have happened in too many orders to try them all.
    #[test]
    fn a_history_too_large_to_be_judged_fails() {
        let put = |token| Op::Put { key: "k".to_owned(), token, epoch: None, expires: false };
        let invoke = |op, call| What::Invoke { op, client: op, member: 1, call };
        let mut lines: Vec<What> =
            (1..=40).map(|op| invoke(op, Call::Txn { guards: vec![], ops: vec![put(op)] })).collect();
        let seen = vec![Seen { key: "k".to_owned(), found: Some((1, 1_000)) }];
        lines.push(invoke(99, Call::Read { keys: vec!["k".to_owned()] }));
        lines.push(What::Return { op: 99, outcome: Outcome::Read { revision: 0, seen } });
        let records: Vec<Record> = lines.into_iter().map(|what| Record { at_ms: 0, what }).collect();
        let violations = crate::invariants::check(&records);
        assert_eq!(crate::invariants::not_judged(&violations), 1, "{violations:?}");
    }
}
