//! Watch, unique: no event comes twice.

use std::collections::BTreeSet;

use super::facts::{Facts, Item};

pub fn check(facts: &Facts) -> Vec<String> {
    let mut broken = Vec::new();
    for watch in &facts.watches {
        let mut seen = BTreeSet::new();
        for item in &watch.items {
            if let Item::Event(event) = item
                && !seen.insert((event.revision, event.key.as_str()))
            {
                broken.push(format!("{}: {} at {} twice", watch.name(), event.key, event.revision));
            }
        }
    }
    broken
}
