//! Watch, resumable: a watch from a revision begins with the first event after it, and with none
//! before.

use super::facts::{Facts, Item};
use super::watch_reliable::{first_event, missing};

pub fn check(facts: &Facts) -> Vec<String> {
    let mut broken = Vec::new();
    for watch in &facts.watches {
        let first = first_event(watch).unwrap_or(u64::MAX);
        for (revision, key) in missing(facts, watch).into_iter().filter(|(revision, _)| *revision <= first) {
            broken.push(format!("{}: begins without {key} at {revision}", watch.name()));
        }
        for item in &watch.items {
            if let Item::Event(event) = item
                && event.revision <= watch.from
            {
                broken.push(format!("{}: {} is not after that", watch.name(), event.revision));
            }
        }
    }
    broken
}
