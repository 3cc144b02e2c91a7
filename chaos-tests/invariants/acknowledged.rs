//! No acknowledged write is lost, and none is applied twice: at the end every member has it, or
//! what was written later.

use std::collections::BTreeMap;

use super::facts::Facts;
use crate::history::{Call, Op, Outcome, Token, What};

pub fn check(facts: &Facts) -> Vec<String> {
    let mut broken = applied_twice(facts);
    // The last acknowledged change of each key.
    let mut last: BTreeMap<&str, (u64, &Op)> = BTreeMap::new();
    let mut newest = 0;
    for operation in &facts.operations {
        let Call::Txn { ops, .. } = operation.call else { continue };
        let Some(Outcome::Applied { revision }) = operation.outcome else { continue };
        newest = newest.max(*revision);
        for op in ops {
            let known = last.entry(op.key()).or_insert((*revision, op));
            if known.0 < *revision {
                *known = (*revision, op);
            }
        }
    }
    for record in facts.records {
        let What::Final { member, revision, objects } = &record.what else { continue };
        if *revision < newest {
            broken.push(format!("member {member} ends at revision {revision}, {newest} was acknowledged"));
        }
        let objects: BTreeMap<&str, (u64, Token)> =
            objects.iter().filter_map(|seen| Some((seen.key.as_str(), seen.found?))).collect();
        for (key, (acknowledged, op)) in &last {
            let found = objects.get(key).copied();
            let deleted_later =
                || facts.changes.range((*acknowledged + 1, "")..).any(|((_, k), c)| k == key && c.delete);
            let lost = match (op, found) {
                (Op::Put { expires: true, .. }, None) => false,
                (Op::Put { .. }, None) => !deleted_later(),
                (Op::Put { token, .. }, Some((at, there))) => {
                    at < *acknowledged || (at == *acknowledged && there != *token)
                }
                (Op::Delete { .. }, Some((at, _))) => at <= *acknowledged,
                (Op::Delete { .. }, None) => false,
            };
            if lost {
                broken.push(format!(
                    "{op:?} was acknowledged at revision {acknowledged}, member {member} ends with {found:?}"
                ));
            }
        }
    }
    broken
}

fn applied_twice(facts: &Facts) -> Vec<String> {
    let mut places: BTreeMap<(Token, &str), u64> = BTreeMap::new();
    let mut broken = Vec::new();
    for ((revision, key), change) in facts.changes.iter().filter(|(_, change)| !change.delete) {
        if let Some(first) = places.insert((change.token, key), *revision) {
            let token = change.token;
            broken.push(format!("the put {token} of {key} was applied at revisions {first} and {revision}"));
        }
    }
    broken
}
