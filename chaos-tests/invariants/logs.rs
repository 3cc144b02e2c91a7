//! Logs match: a committed entry is the same entry on every member, and stays it.

use std::collections::BTreeMap;

use super::facts::Facts;
use crate::history::What;

pub fn check(facts: &Facts) -> Vec<String> {
    let mut entries: BTreeMap<u64, (u64, u64, u64)> = BTreeMap::new();
    let mut broken = Vec::new();
    for record in facts.records {
        let What::Log { member, index, term, check } = record.what else { continue };
        let (first, known_term, known_check) = *entries.entry(index).or_insert((member, term, check));
        if (known_term, known_check) != (term, check) {
            broken.push(format!(
                "entry {index} is of term {known_term} on member {first} and of term {term} on member {member}, \
                 or has other bytes"
            ));
        }
    }
    broken
}
