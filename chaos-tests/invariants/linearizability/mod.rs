//! Is there an order of concurrent operations that explains every answer?
//!
//! The search of Wing and Gong with the improvements of Lowe ("Testing for linearizability", 2017):
//! try operations that had begun before the first return of those left, remember pairs of (what was
//! done, state) that lead nowhere. An operation whose outcome is not known may take effect at any
//! time after it began, or never.

use std::collections::HashSet;

use crate::history::Token;

/// What a key has; none when nothing is there.
type State = Vec<Option<Token>>;

/// Pairs of (what was done, state) after which the search gives up.
const MOST_STATES: usize = 200_000;

/// An operation with its time.
#[derive(Debug, Clone)]
pub struct Timed {
    pub id: u64,
    pub invoked: usize,
    /// None when it may take effect at any later time, or never.
    pub returned: Option<usize>,
    pub act: Act,
}

/// What an operation did, as it was told; keys are numbers.
#[derive(Debug, Clone)]
pub enum Act {
    Read {
        seen: Vec<(usize, Option<Token>)>,
    },
    Applied {
        conditions: Vec<Condition>,
        writes: Vec<(usize, Option<Token>)>,
    },
    /// Not applied, because of this key; `there` is what was said to be there, when it was said.
    Refused {
        conditions: Vec<Condition>,
        key: usize,
        there: Option<Option<Token>>,
    },
    /// Applied if its conditions hold, or never.
    Perhaps {
        conditions: Vec<Condition>,
        writes: Vec<(usize, Option<Token>)>,
    },
}

/// What a transaction demands.
#[derive(Debug, Clone)]
pub enum Condition {
    Absent { key: usize },
    Present { key: usize },
    OneOf { key: usize, tokens: Vec<Token> },
}

impl Condition {
    fn holds(&self, state: &State) -> bool {
        match self {
            Condition::Absent { key } => state[*key].is_none(),
            Condition::Present { key } => state[*key].is_some(),
            Condition::OneOf { key, tokens } => state[*key].is_some_and(|token| tokens.contains(&token)),
        }
    }
}

impl Act {
    /// The state afterwards; none when it can not happen in this one.
    fn step(&self, state: &State) -> Option<State> {
        match self {
            Act::Read { seen } => {
                seen.iter().all(|(key, found)| state[*key] == *found).then(|| state.clone())
            }
            Act::Applied { conditions, writes } | Act::Perhaps { conditions, writes } => {
                if !conditions.iter().all(|condition| condition.holds(state)) {
                    return None;
                }
                let mut next = state.clone();
                writes.iter().for_each(|(key, token)| next[*key] = *token);
                Some(next)
            }
            Act::Refused { conditions, key, there } => {
                let told = there.is_none_or(|there| state[*key] == there);
                let refused = !conditions.iter().all(|condition| condition.holds(state));
                (told && refused).then(|| state.clone())
            }
        }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explained {
    Yes,
    /// None; the search never got past this operation.
    No {
        stuck_at: u64,
    },
    /// There were too many possibilities.
    Unknown,
}

/// A call or a return, in a doubly linked list in the order of time.
#[derive(Clone, Copy)]
struct Entry {
    operation: usize,
    is_call: bool,
    before: usize,
    after: usize,
}

/// The list; place 0 is its head.
struct List {
    entries: Vec<Entry>,
    /// Where each operation's call and return are.
    calls: Vec<usize>,
    returns: Vec<Option<usize>>,
}

const END: usize = usize::MAX;

impl List {
    fn of(operations: &[Timed]) -> List {
        let mut times: Vec<(usize, usize, bool)> = Vec::new();
        for (at, operation) in operations.iter().enumerate() {
            times.push((operation.invoked, at, true));
            times.extend(operation.returned.map(|returned| (returned, at, false)));
        }
        times.sort_unstable();
        let mut list = List {
            entries: vec![Entry { operation: END, is_call: true, before: END, after: END }],
            calls: vec![0; operations.len()],
            returns: vec![None; operations.len()],
        };
        for (place, (_, operation, is_call)) in times.into_iter().enumerate() {
            let place = place + 1;
            list.entries.push(Entry { operation, is_call, before: place - 1, after: END });
            list.entries[place - 1].after = place;
            if is_call {
                list.calls[operation] = place;
            } else {
                list.returns[operation] = Some(place);
            }
        }
        list
    }

    fn remove(&mut self, place: usize) {
        let Entry { before, after, .. } = self.entries[place];
        self.entries[before].after = after;
        if after != END {
            self.entries[after].before = before;
        }
    }

    fn put_back(&mut self, place: usize) {
        let Entry { before, after, .. } = self.entries[place];
        self.entries[before].after = place;
        if after != END {
            self.entries[after].before = place;
        }
    }

    fn lift(&mut self, operation: usize) {
        self.remove(self.calls[operation]);
        if let Some(place) = self.returns[operation] {
            self.remove(place);
        }
    }

    fn unlift(&mut self, operation: usize) {
        if let Some(place) = self.returns[operation] {
            self.put_back(place);
        }
        self.put_back(self.calls[operation]);
    }
}

/// Looks for an order; at the beginning nothing is at any key.
#[must_use]
pub fn explain(operations: &[Timed], keys: usize) -> Explained {
    let mut list = List::of(operations);
    let mut state: State = vec![None; keys];
    let mut done = vec![0u64; operations.len().div_ceil(64)];
    let mut known: HashSet<(Vec<u64>, State)> = HashSet::new();
    let mut stack: Vec<(usize, State)> = Vec::new();
    let (mut deepest, mut stuck_at) = (0, 0);
    let mut place = list.entries[0].after;
    while place != END {
        let Entry { operation, is_call, after, .. } = list.entries[place];
        if is_call {
            let next = operations[operation].act.step(&state);
            place = after;
            let Some(next) = next else { continue };
            done[operation / 64] |= 1 << (operation % 64);
            if known.insert((done.clone(), next.clone())) {
                if known.len() > MOST_STATES {
                    return Explained::Unknown;
                }
                stack.push((operation, std::mem::replace(&mut state, next)));
                list.lift(operation);
                place = list.entries[0].after;
            } else {
                done[operation / 64] &= !(1 << (operation % 64));
            }
            continue;
        }
        // The first return of those left: its operation can not wait any longer.
        if stack.len() >= deepest {
            (deepest, stuck_at) = (stack.len(), operations[operation].id);
        }
        let Some((last, before)) = stack.pop() else { return Explained::No { stuck_at } };
        state = before;
        done[last / 64] &= !(1 << (last % 64));
        list.unlift(last);
        place = list.entries[list.calls[last]].after;
    }
    Explained::Yes
}

#[cfg(test)]
mod tests;
