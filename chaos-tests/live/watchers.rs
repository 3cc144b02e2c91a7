//! The watchers of a live cluster: they watch all objects, those of a label or of a field, leave, and
//! resume at another server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::objects::{self, COLLECTION};
use super::wire::{Access, Answer, Ask, Wire};
use super::workload::Shared;
use crate::history::{Event, What};
use crate::sim::dice::Dice;

/// How long a watcher stays with one server, milliseconds.
const STAY_MS: (u64, u64) = (500, 12_000);
/// Before the next try after one that led nowhere.
const AGAIN: Duration = Duration::from_millis(100);

/// What a watcher watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    All,
    /// One group of keys at a time, found by its label.
    Label,
    /// One object at a time, found by its name, a field.
    Field,
}

/// One watcher.
pub struct Watcher {
    pub access: Access,
    pub servers: Vec<SocketAddr>,
    pub dice: Dice,
    pub shared: Arc<Shared>,
    pub selection: Selection,
}

/// Where a watch stands.
struct Place {
    /// None: a list says where to begin.
    from: Option<u64>,
    /// The only keys that come are those with this prefix.
    only: Option<String>,
}

impl Watcher {
    /// Watches until the last write of the run has come, or until it is told to stop.
    pub async fn run(mut self) {
        let mut place = Place { from: None, only: None };
        loop {
            if self.is_selective() && (place.only.is_none() || self.dice.per_mille(300)) {
                let group = self.shared.round.load(std::sync::atomic::Ordering::Relaxed) * 6;
                let name = if self.selection == Selection::Field { objects::NAMES[0] } else { "" };
                let only = objects::key(group + self.dice.below(6), name);
                place = Place { from: None, only: Some(only) };
            }
            if self.shared.has_all(place.from, self.is_selective()) {
                return;
            }
            let member = self.dice.below(self.servers.len() as u64);
            if !self.watch(member, &mut place).await {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    fn is_selective(&self) -> bool {
        self.selection != Selection::All
    }

    fn query(&self, place: &Place) -> String {
        match (&place.only, self.selection) {
            (Some(name), Selection::Field) => format!("fieldSelector=metadata.name%3D{name}&"),
            (Some(prefix), Selection::Label) => {
                format!("labelSelector=group%3D{}&", objects::group_of(prefix))
            }
            _ => String::new(),
        }
    }

    /// One watch at one server; false when there was none.
    async fn watch(&mut self, member: u64, place: &mut Place) -> bool {
        let mut wire = Wire::new(&self.access, self.servers[member as usize]);
        let query = self.query(place);
        let from = match place.from {
            Some(from) => from,
            None => {
                let Answer::Said(200, list) = wire.ask(Ask::get(format!("{COLLECTION}?{query}"))).await
                else {
                    return false;
                };
                let Some(revision) = objects::revision_of(&list) else { return false };
                revision
            }
        };
        let options = format!("watch=true&allowWatchBookmarks=true&timeoutSeconds=60&resourceVersion={from}");
        let Ok(response) = wire.open(&Ask::get(format!("{COLLECTION}?{query}{options}"))).await else {
            return false;
        };
        place.from = Some(from);
        if response.status() != 200 {
            return false;
        }
        let watch = self.shared.recorder.id();
        let prefix = place.only.clone().unwrap_or_default();
        self.shared.recorder.record(What::Watch { watch, member: member + 1, prefix, from, node: None });
        let stay = Duration::from_millis(self.dice.between(STAY_MS.0, STAY_MS.1));
        let follow = self.follow(watch, response.into_body(), place);
        let reason = tokio::time::timeout(stay, follow).await.unwrap_or_else(|_| "left".to_owned());
        // A write of this workload changes one object: what has come of a revision is all of it.
        self.shared.recorder.record(What::End { watch, reason, whole: true });
        true
    }

    /// Takes what comes until the stream ends; why it did.
    async fn follow(&self, watch: u64, mut body: Incoming, place: &mut Place) -> String {
        let mut kept = Vec::new();
        loop {
            let frame = match body.frame().await {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return error.to_string(),
                None => return "ended".to_owned(),
            };
            kept.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            while let Some(end) = kept.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = kept.drain(..=end).collect();
                if let Err(reason) = self.take(watch, &line, place) {
                    return reason;
                }
            }
            if self.shared.has_all(place.from, self.is_selective()) {
                return "the end of the run".to_owned();
            }
        }
    }

    fn take(&self, watch: u64, line: &[u8], place: &mut Place) -> Result<(), String> {
        let line: Value = serde_json::from_slice(line).map_err(|e| e.to_string())?;
        let (kind, object) = (line["type"].as_str().unwrap_or_default(), &line["object"]);
        if kind == "ERROR" {
            // As a rule, the revision is too old: the next watch begins with a list.
            place.from = None;
            return Err(line.to_string());
        }
        let Some(revision) = objects::revision_of(object) else {
            return Err(format!("no revision in {line}"));
        };
        place.from = Some(revision);
        if kind == "BOOKMARK" {
            self.shared.recorder.record(What::Progress { watch, revision });
            return Ok(());
        }
        self.shared.recorder.record(What::Event(Event {
            watch,
            revision,
            key: objects::name_of(object),
            delete: kind == "DELETED",
            token: objects::token_of(object),
            previous: None,
            epoch: None,
        }));
        Ok(())
    }
}
