//! Watch, atomic: the events of one transaction come together, nothing between them, and who leaves
//! when nothing waits has seen them all.

use std::collections::BTreeSet;

use super::facts::{Facts, Item};
use super::watch_reliable::missing;

pub fn check(facts: &Facts) -> Vec<String> {
    let mut broken = Vec::new();
    for watch in &facts.watches {
        let mut done = BTreeSet::new();
        let mut now = None;
        for item in &watch.items {
            let next = match item {
                Item::Event(event) => Some(event.revision),
                Item::Progress(_) => None,
            };
            if next != now {
                done.extend(now);
                now = next;
            }
            if let Some(revision) = next.filter(|revision| done.contains(revision)) {
                broken.push(format!("{}: the events of {revision} are torn apart", watch.name()));
            }
        }
        let last = now.filter(|_| watch.whole);
        for (revision, key) in missing(facts, watch) {
            if last == Some(revision) {
                broken.push(format!("{}: {key} did not come with the rest of {revision}", watch.name()));
            }
        }
    }
    broken
}
