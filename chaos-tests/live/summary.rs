//! A recorded run in numbers. Pure.

use std::collections::BTreeMap;
use std::fmt;

use crate::history::{Outcome, Record, What};

/// How a fault's beginning is written in a history; what follows is its name.
pub const BEGINS: &str = "begins: ";

/// A run in numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub operations: u64,
    /// Those without an end are unknown.
    pub outcomes: BTreeMap<&'static str, u64>,
    pub events: u64,
    /// Each fault with the longest time, from its beginning to that of the next, in which no write of
    /// any client was acknowledged; milliseconds.
    pub gaps: Vec<(String, u64)>,
}

impl Summary {
    #[must_use]
    pub fn of(records: &[Record]) -> Summary {
        let mut summary = Summary::default();
        let mut last_ms = 0;
        for record in records {
            match &record.what {
                What::Invoke { .. } => summary.operations += 1,
                What::Return { outcome, .. } => {
                    *summary.outcomes.entry(name(outcome)).or_default() += 1;
                    if matches!(outcome, Outcome::Applied { .. }) {
                        summary.gap(record.at_ms - last_ms);
                        last_ms = record.at_ms;
                    }
                }
                What::Event(_) => summary.events += 1,
                What::Fault { text } => {
                    if let Some(fault) = text.strip_prefix(BEGINS) {
                        summary.gap(record.at_ms - last_ms);
                        last_ms = record.at_ms;
                        summary.gaps.push((fault.to_owned(), 0));
                    }
                }
                _ => {}
            }
        }
        let ended: u64 = summary.outcomes.values().sum();
        *summary.outcomes.entry("unknown").or_default() += summary.operations.saturating_sub(ended);
        summary
    }

    fn gap(&mut self, gap_ms: u64) {
        if let Some((_, longest)) = self.gaps.last_mut() {
            *longest = gap_ms.max(*longest);
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcomes: Vec<String> = self.outcomes.iter().map(|(name, n)| format!("{n} {name}")).collect();
        let longest = self.gaps.iter().map(|(_, gap)| *gap).max().unwrap_or(0);
        let (operations, faults) = (self.operations, self.gaps.len());
        write!(
            f,
            "{operations} operations ({}), {} watch events, {faults} faults, longest gap {longest} ms",
            outcomes.join(", "),
            self.events
        )
    }
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Read { .. } => "read",
        Outcome::Applied { .. } => "applied",
        Outcome::Conflict { .. } | Outcome::Fenced { .. } => "conflict",
        Outcome::Rejected { .. } => "rejected",
        Outcome::Unknown { .. } => "unknown",
        Outcome::Failed { .. } => "failed read",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Call;

    #[test]
    fn gaps_are_counted_within_each_fault() {
        let call = Call::Read { keys: vec![] };
        let fault = |text: &str| What::Fault { text: text.to_owned() };
        let applied = || What::Return { op: 1, outcome: Outcome::Applied { revision: 1 } };
        let lines = [
            (0, What::Invoke { op: 1, client: 1, member: 1, call: call.clone() }),
            (5, What::Invoke { op: 2, client: 1, member: 1, call }),
            (1_000, applied()),
            (1_100, fault("begins: kill server-1")),
            (1_150, applied()),
            (1_550, applied()),
            (1_560, fault("healed")),
            // A gap that nobody ends is one, too.
            (2_100, fault("begins: pause server-2")),
            (2_400, applied()),
        ];
        let records: Vec<Record> = lines.into_iter().map(|(at_ms, what)| Record { at_ms, what }).collect();
        let mut summary = Summary::of(&records);
        assert_eq!(summary.gaps, [("kill server-1".to_owned(), 550), ("pause server-2".to_owned(), 300)]);
        assert_eq!(summary.operations, 2);
        // More answers than calls can not be: take those away and look at what is left.
        summary.outcomes.remove("unknown");
        assert_eq!(summary.outcomes, BTreeMap::from([("applied", 4)]));
    }

    #[test]
    fn what_never_ended_is_unknown() {
        let what = What::Invoke { op: 1, client: 1, member: 1, call: Call::Read { keys: vec![] } };
        assert_eq!(Summary::of(&[Record { at_ms: 0, what }]).outcomes["unknown"], 1);
    }
}
