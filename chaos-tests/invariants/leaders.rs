//! At most one leader per term. openraft orders its leaders by (term, member): that pair is what the
//! Raft paper calls a term, and of two members that both lead in "term 7" the one with the higher
//! number has replaced the other. So: a pair leads at most once. A member that leads again in the
//! same term after a restart has forgotten its vote.

use std::collections::BTreeMap;

use super::facts::Facts;
use crate::history::What;

pub fn check(facts: &Facts) -> Vec<String> {
    let mut leaders: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    let mut broken = Vec::new();
    for record in facts.records {
        let What::Leader { member, start, leader, term } = record.what else { continue };
        if member == leader && *leaders.entry((term, leader)).or_insert(start) != start {
            broken.push(format!("member {member} leads in term {term} again after a restart"));
        }
    }
    broken
}
