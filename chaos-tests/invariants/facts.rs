//! What is known of a history, put in order once for all invariants.

use std::collections::BTreeMap;

use crate::history::{Call, Event, Op, Outcome, Record, Token, What, node_of};

/// An operation of a client.
pub struct Operation<'a> {
    pub id: u64,
    pub client: u64,
    pub member: u64,
    pub call: &'a Call,
    /// Places in the history.
    pub invoked: usize,
    pub returned: Option<usize>,
    pub outcome: Option<&'a Outcome>,
}

/// A watch.
pub struct Watch<'a> {
    pub id: u64,
    pub member: u64,
    pub prefix: &'a str,
    pub from: u64,
    pub node: Option<u64>,
    pub items: Vec<Item<'a>>,
    /// Its owner left after everything of the last revision had come.
    pub whole: bool,
}

/// What a watch delivered.
#[derive(Clone, Copy)]
pub enum Item<'a> {
    Event(&'a Event),
    Progress(u64),
}

/// A change that surely happened: it was acknowledged, or somebody saw it.
#[derive(Debug, Clone, Default)]
pub struct Change {
    pub delete: bool,
    /// What was put; of a deletion what was deleted.
    pub token: Token,
    pub previous: Option<Token>,
}

/// What is known.
pub struct Facts<'a> {
    pub records: &'a [Record],
    pub operations: Vec<Operation<'a>>,
    pub watches: Vec<Watch<'a>>,
    /// By revision and key.
    pub changes: BTreeMap<(u64, &'a str), Change>,
    /// Places where two sources say different things of one change.
    pub contradictions: Vec<String>,
    /// The epoch that each put of a lease wrote.
    pub epochs: BTreeMap<Token, &'a str>,
}

impl<'a> Facts<'a> {
    pub fn of(records: &'a [Record]) -> Facts<'a> {
        let mut facts = Facts {
            records,
            operations: Vec::new(),
            watches: Vec::new(),
            changes: BTreeMap::new(),
            contradictions: Vec::new(),
            epochs: BTreeMap::new(),
        };
        facts.collect();
        facts.add_acknowledged();
        facts.order_changes();
        facts
    }

    fn collect(&mut self) {
        let mut by_id = BTreeMap::new();
        let mut watch_by_id = BTreeMap::new();
        for (place, record) in self.records.iter().enumerate() {
            match &record.what {
                What::Invoke { op, client, member, call } => {
                    by_id.insert(*op, self.operations.len());
                    let (id, client, member) = (*op, *client, *member);
                    let (returned, outcome) = (None, None);
                    self.operations.push(Operation {
                        id,
                        client,
                        member,
                        call,
                        invoked: place,
                        returned,
                        outcome,
                    });
                }
                What::Return { op, outcome } => {
                    if let Some(&at) = by_id.get(op) {
                        self.operations[at].returned = Some(place);
                        self.operations[at].outcome = Some(outcome);
                    }
                }
                What::Watch { watch, member, prefix, from, node } => {
                    watch_by_id.insert(*watch, self.watches.len());
                    let (id, member, from, node) = (*watch, *member, *from, *node);
                    let items = Vec::new();
                    self.watches.push(Watch { id, member, prefix, from, node, items, whole: false });
                }
                What::Event(event) => {
                    if let Some(&at) = watch_by_id.get(&event.watch) {
                        self.watches[at].items.push(Item::Event(event));
                    }
                    self.add_event(event);
                }
                What::Progress { watch, revision } => {
                    if let Some(&at) = watch_by_id.get(watch) {
                        self.watches[at].items.push(Item::Progress(*revision));
                    }
                }
                What::End { watch, whole, .. } => {
                    if let Some(&at) = watch_by_id.get(watch) {
                        self.watches[at].whole = *whole;
                    }
                }
                _ => {}
            }
        }
    }

    fn add_event(&mut self, event: &'a Event) {
        let change = Change { delete: event.delete, token: event.token, previous: event.previous };
        let known = self.changes.entry((event.revision, &event.key)).or_insert_with(|| change.clone());
        let same =
            (known.delete, known.token, known.previous) == (change.delete, change.token, change.previous);
        if !same {
            let (revision, key) = (event.revision, &event.key);
            self.contradictions.push(format!(
                "{key} at revision {revision}: {known:?}, but watch {}: {change:?}",
                event.watch
            ));
        }
    }

    fn add_acknowledged(&mut self) {
        for operation in &self.operations {
            let Call::Txn { ops, .. } = operation.call else { continue };
            for op in ops {
                if let Op::Put { token, epoch: Some(epoch), .. } = op {
                    self.epochs.insert(*token, epoch);
                }
            }
            let Some(Outcome::Applied { revision }) = operation.outcome else { continue };
            for op in ops {
                let place = (*revision, op.key());
                let known = self.changes.get(&place).map(|known| (known.delete, known.token));
                let differs = match (op, known) {
                    (Op::Put { token, .. }, Some(known)) => known != (false, *token),
                    (Op::Delete { .. }, Some((delete, _))) => !delete,
                    (Op::Put { token, .. }, None) => {
                        self.changes.insert(place, Change { token: *token, ..Change::default() });
                        false
                    }
                    (Op::Delete { .. }, None) => {
                        self.changes.insert(place, Change { delete: true, ..Change::default() });
                        false
                    }
                };
                if differs {
                    let id = operation.id;
                    self.contradictions.push(format!("operation {id} was acknowledged as {op:?} at revision {revision}, where watches saw {known:?}"));
                }
            }
        }
    }

    /// Says of each change what was there before.
    fn order_changes(&mut self) {
        let mut last: BTreeMap<&str, Option<Token>> = BTreeMap::new();
        for ((_, key), change) in &mut self.changes {
            let before = last.get(key).copied().flatten();
            change.previous = change.previous.or(before);
            if change.delete && change.token == 0 {
                change.token = before.unwrap_or(0);
            }
            last.insert(key, (!change.delete).then_some(change.token));
        }
    }

    /// The changes that a watch must deliver after one revision and up to another.
    pub fn wanted(&self, watch: &Watch<'a>, after: u64, upto: u64) -> impl Iterator<Item = (u64, &'a str)> {
        let (prefix, node) = (watch.prefix, watch.node);
        let changes = self.changes.range((after + 1, "")..(upto.max(after) + 1, ""));
        changes
            .filter(move |((_, key), change)| {
                let has = |token: Token| node.is_none_or(|node| node_of(token) == node);
                key.starts_with(prefix) && (has(change.token) || change.previous.is_some_and(has))
            })
            .map(|(place, _)| *place)
    }
}

impl Watch<'_> {
    /// Everything up to this revision should have come.
    pub fn covered(&self) -> u64 {
        let mut covered = self.from;
        let mut last = self.from;
        for item in &self.items {
            match item {
                Item::Progress(revision) => covered = covered.max(*revision),
                Item::Event(event) if event.revision > last => {
                    covered = covered.max(last);
                    last = event.revision;
                }
                Item::Event(_) => {}
            }
        }
        if self.whole { covered.max(last) } else { covered }
    }

    /// How it is named in sentences.
    pub fn name(&self) -> String {
        format!("watch {} on member {} from {}", self.id, self.member, self.from)
    }
}
