//! No rejected write is applied: nobody ever sees what it would have written.

use std::collections::BTreeSet;

use super::facts::Facts;
use crate::history::{Call, Op, Outcome, Token, What};

pub fn check(facts: &Facts) -> Vec<String> {
    let mut seen: BTreeSet<Token> =
        facts.changes.values().filter(|change| !change.delete).map(|change| change.token).collect();
    for record in facts.records {
        let found = match &record.what {
            What::Final { objects, .. } => objects,
            What::Return { outcome: Outcome::Read { seen, .. }, .. } => seen,
            _ => continue,
        };
        seen.extend(found.iter().filter_map(|object| Some(object.found?.1)));
    }
    let mut broken = Vec::new();
    for operation in &facts.operations {
        let Call::Txn { ops, .. } = operation.call else { continue };
        let Some(outcome @ (Outcome::Conflict { .. } | Outcome::Fenced { .. } | Outcome::Rejected { .. })) =
            operation.outcome
        else {
            continue;
        };
        for op in ops {
            if let Op::Put { token, key, .. } = op
                && seen.contains(token)
            {
                let id = operation.id;
                broken
                    .push(format!("operation {id} was answered {outcome:?}, but its put of {key} was seen"));
            }
        }
    }
    broken
}
