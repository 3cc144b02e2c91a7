//! Fenced writes: what was written under a lease's epoch was written while the lease had it.

use super::facts::Facts;
use crate::history::{Call, Guard, Op, Outcome};

pub fn check(facts: &Facts) -> Vec<String> {
    let mut broken = Vec::new();
    for operation in &facts.operations {
        let Call::Txn { guards, ops } = operation.call else { continue };
        let Some(revision) = revision_of(facts, operation.outcome, ops) else { continue };
        for guard in guards {
            let Guard::Lease { key, epoch } = guard else { continue };
            let before = facts.changes.range(..(revision, "")).rev().find(|((_, k), _)| k == key);
            let held =
                before.filter(|(_, change)| !change.delete).and_then(|(_, c)| facts.epochs.get(&c.token));
            if held.is_none_or(|held| held != epoch) {
                let id = operation.id;
                broken.push(format!(
                    "operation {id} wrote in epoch {epoch} at revision {revision}, when {key} had {held:?}"
                ));
            }
        }
    }
    broken
}

/// Where a transaction was applied, when that is known.
fn revision_of(facts: &Facts, outcome: Option<&Outcome>, ops: &[Op]) -> Option<u64> {
    if let Some(Outcome::Applied { revision }) = outcome {
        return Some(*revision);
    }
    let Some(Op::Put { key, token, .. }) = ops.first() else { return None };
    let applied = |((_, k), change): &(&(u64, &str), &super::facts::Change)| {
        k == key && !change.delete && change.token == *token
    };
    facts.changes.iter().find(applied).map(|((revision, _), _)| *revision)
}
