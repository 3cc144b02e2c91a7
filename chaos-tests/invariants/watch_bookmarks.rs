//! Watch, bookmarkable: a progress notice means that everything up to its revision was delivered;
//! notices never go back.

use super::facts::{Facts, Item};

pub fn check(facts: &Facts) -> Vec<String> {
    let mut broken = Vec::new();
    for watch in &facts.watches {
        let mut promised = 0;
        for item in &watch.items {
            match item {
                Item::Progress(revision) if *revision < promised => {
                    broken.push(format!("{}: notice {revision} after {promised}", watch.name()));
                }
                Item::Progress(revision) => promised = *revision,
                Item::Event(event) if event.revision <= promised => {
                    let (name, revision) = (watch.name(), event.revision);
                    broken
                        .push(format!("{name}: the event of {revision} came after the notice of {promised}"));
                }
                Item::Event(_) => {}
            }
        }
    }
    broken
}
