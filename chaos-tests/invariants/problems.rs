//! Faults are survived: what needs no history to be seen as wrong did not happen. A healed cluster
//! serves, a crash damages nothing, a member does not go back in time, the unsafe is refused.

use super::facts::Facts;
use crate::history::What;

pub fn check(facts: &Facts) -> Vec<String> {
    let problem = |what: &What| match what {
        What::Problem { text } => Some(text.clone()),
        _ => None,
    };
    facts.records.iter().filter_map(|record| problem(&record.what)).collect()
}
