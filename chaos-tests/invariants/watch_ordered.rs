//! Watch, ordered: events come in the order of their revisions.

use super::facts::{Facts, Item};

pub fn check(facts: &Facts) -> Vec<String> {
    let mut broken = Vec::new();
    for watch in &facts.watches {
        let mut last = 0;
        for item in &watch.items {
            let Item::Event(event) = item else { continue };
            if event.revision < last {
                broken.push(format!("{}: {} after {last}", watch.name(), event.revision));
            }
            last = last.max(event.revision);
        }
    }
    broken
}
