//! What must hold in every history. Each file is one invariant: a function from what is known of
//! the history to the sentences that say where it is broken.

mod acknowledged;
mod facts;
mod fenced;
mod leaders;
pub mod linearizability;
mod linearizable;
mod logs;
mod problems;
mod rejected;
mod revisions;
mod watch_atomic;
mod watch_bookmarks;
mod watch_ordered;
mod watch_reliable;
mod watch_resumable;
mod watch_unique;

use serde::{Deserialize, Serialize};

use self::facts::Facts;
use crate::history::Record;

/// Where an invariant is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    pub invariant: String,
    pub text: String,
}

type Check = fn(&Facts) -> Vec<String>;

/// Every invariant, by name.
const INVARIANTS: [(&str, Check); 14] = [
    ("at most one leader per term", leaders::check),
    ("logs match", logs::check),
    ("the same revision has the same hash", revisions::check),
    ("no acknowledged write lost", acknowledged::check),
    ("no rejected write applied", rejected::check),
    ("linearizable history", linearizable::check),
    ("fenced writes", fenced::check),
    ("watch: ordered", watch_ordered::check),
    ("watch: unique", watch_unique::check),
    ("watch: reliable", watch_reliable::check),
    ("watch: atomic", watch_atomic::check),
    ("watch: resumable", watch_resumable::check),
    ("watch: bookmarkable", watch_bookmarks::check),
    ("faults are survived", problems::check),
];

/// How many of these violations are histories that were too large to be judged: they prove nothing,
/// and so the run has failed.
#[must_use]
pub fn not_judged(violations: &[Violation]) -> usize {
    violations.iter().filter(|violation| violation.text.starts_with(linearizable::NOT_JUDGED)).count()
}

/// Most sentences about one invariant.
const MOST: usize = 5;

/// Judges a history.
#[must_use]
pub fn check(records: &[Record]) -> Vec<Violation> {
    let facts = Facts::of(records);
    let mut violations = Vec::new();
    for (name, check) in INVARIANTS {
        let found = check(&facts).into_iter().take(MOST);
        violations.extend(found.map(|text| Violation { invariant: name.to_owned(), text }));
    }
    violations
}
