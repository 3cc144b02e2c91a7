//! The same revision is the same state on every replica, for whoever looks: whole states, events
//! and answers.

use std::collections::BTreeMap;

use super::facts::Facts;
use crate::history::{Outcome, What};

pub fn check(facts: &Facts) -> Vec<String> {
    let mut broken = Vec::new();
    let mut hashes: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for record in facts.records {
        let What::State { member, revision, hash } = record.what else { continue };
        let (first, known) = *hashes.entry(revision).or_insert((member, hash));
        if known != hash {
            broken.push(format!(
                "revision {revision} is {known:016x} on member {first}, {hash:016x} on {member}"
            ));
        }
    }
    broken.extend(facts.contradictions.iter().cloned());
    let mut owners: BTreeMap<u64, u64> = BTreeMap::new();
    for operation in &facts.operations {
        match operation.outcome {
            Some(Outcome::Applied { revision }) => {
                if let Some(other) = owners.insert(*revision, operation.id) {
                    let id = operation.id;
                    broken.push(format!("operations {other} and {id} both have revision {revision}"));
                }
            }
            Some(Outcome::Read { seen, .. }) => {
                for seen in seen {
                    let Some((revision, token)) = seen.found else { continue };
                    let known = facts.changes.get(&(revision, seen.key.as_str()));
                    if known.is_some_and(|known| known.token != token) {
                        let id = operation.id;
                        broken.push(format!("read {id} saw {seen:?}, where others saw {known:?}"));
                    }
                }
            }
            _ => {}
        }
    }
    broken
}
