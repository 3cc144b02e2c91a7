//! Watch, reliable: between two events that it delivers, a watch leaves none out; and what it
//! delivers happened.

use std::collections::BTreeSet;

use super::facts::{Facts, Item, Watch};

pub fn check(facts: &Facts) -> Vec<String> {
    let mut broken = Vec::new();
    for watch in &facts.watches {
        for (revision, key) in missing(facts, watch) {
            if first_event(watch).is_some_and(|first| first < revision) {
                let upto = watch.covered();
                broken.push(format!("{}: {key} at {revision} is missing, {upto} was reached", watch.name()));
            }
        }
    }
    broken
}

/// What a watch should have delivered and did not.
pub(super) fn missing<'a>(facts: &Facts<'a>, watch: &Watch<'a>) -> Vec<(u64, &'a str)> {
    let event = |item: &Item<'a>| match item {
        Item::Event(event) => Some((event.revision, event.key.as_str())),
        Item::Progress(_) => None,
    };
    let delivered: BTreeSet<(u64, &str)> = watch.items.iter().filter_map(event).collect();
    facts.wanted(watch, watch.from, watch.covered()).filter(|place| !delivered.contains(place)).collect()
}

/// The revision of the first event.
pub(super) fn first_event(watch: &Watch) -> Option<u64> {
    watch.items.iter().find_map(|item| match item {
        Item::Event(event) => Some(event.revision),
        Item::Progress(_) => None,
    })
}
