//! What is written down about every running member: who it thinks leads, its states, its log, and
//! every event from the first revision on.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use store::{Consistency, EventKind, Object, View, WatchItem, WatchRequest};

use super::cluster::Running;
use super::world::World;
use crate::history::{self, Token, What};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(1_000);

/// Follows a member until its process ends.
pub fn start(world: &Arc<World>, running: &Running) {
    let spawn = |task: futures::future::BoxFuture<'static, ()>| {
        let end = running.process.end.clone();
        tokio::spawn(async move {
            end.run_until_cancelled(task).await;
        });
    };
    spawn(Box::pin(follow_leader(world.clone(), running.clone())));
    spawn(Box::pin(follow_state(world.clone(), running.clone())));
    spawn(Box::pin(follow_log(world.clone(), running.clone())));
    spawn(Box::pin(follow_events(world.clone(), running.clone())));
}

async fn follow_leader(world: Arc<World>, running: Running) {
    let mut leadership = running.store.leadership();
    let start = world.id();
    loop {
        let now = *leadership.borrow_and_update();
        if let Some(leader) = now.leader {
            let member = running.process.member;
            world.record(What::Leader { member, start, leader, term: now.term });
        }
        if leadership.changed().await.is_err() {
            return;
        }
    }
}

/// The checksum of every object of a view.
fn hash_of(view: &View) -> u64 {
    let mut hash = 0u64;
    let mut add = |bytes: &[u8]| {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            hash = (hash.rotate_left(7) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    };
    for object in view.range("", None) {
        add(object.key.as_bytes());
        add(&object.revision.to_le_bytes());
        add(&object.create_revision.to_le_bytes());
        add(&object.value);
    }
    hash
}

/// Every revision that is new since the last look.
async fn follow_state(world: Arc<World>, running: Running) {
    let member = running.process.member;
    let mut seen = 0;
    loop {
        if let Ok(view) = running.store.view(Consistency::Local).await {
            let newest = view.revision();
            if newest < seen {
                world.problem(format!("member {member} went back from revision {seen} to {newest}"));
            }
            for revision in (seen + 1).max(newest.saturating_sub(200))..newest {
                if let Ok(view) = running.store.view_at(revision) {
                    world.record(What::State { member, revision, hash: hash_of(&view) });
                }
            }
            if newest > seen {
                world.record(What::State { member, revision: newest, hash: hash_of(&view) });
            }
            seen = newest;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Every entry that is applied, and so surely committed.
async fn follow_log(world: Arc<World>, running: Running) {
    let member = running.process.member;
    let mut seen = 0;
    loop {
        let applied = running.store.status().applied;
        if applied > seen
            && let Ok(records) = running.store.log(seen + 1, applied + 1).await
        {
            for record in records {
                let (index, term, check) = (record.index, record.term, u64::from(record.check));
                world.record(What::Log { member, index, term, check });
            }
            seen = applied;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// One watch of everything.
async fn follow_events(world: Arc<World>, running: Running) {
    let mut from = 0;
    loop {
        let prefix = "/".to_owned();
        let request = WatchRequest { prefix: prefix.clone(), from, field: None };
        let mut stream = match running.store.watch(request) {
            Ok(stream) => stream,
            Err(compacted) => {
                from = compacted.oldest;
                continue;
            }
        };
        let watch = world.id();
        world.record(What::Watch { watch, member: running.process.member, prefix, from, node: None });
        while let Some(item) = stream.next().await {
            if running.process.is_gone() {
                return;
            }
            match item {
                Ok(item) => from = record_item(&world, watch, &item).max(from),
                Err(end) => {
                    world.record(What::End { watch, reason: end.to_string(), whole: false });
                    if end == store::WatchEnd::Shutdown {
                        return;
                    }
                }
            }
        }
        from = from.saturating_sub(1);
    }
}

/// Writes down what a watch delivered; its revision.
pub fn record_item(world: &World, watch: u64, item: &WatchItem) -> u64 {
    match item {
        WatchItem::Progress(revision) => {
            world.record(What::Progress { watch, revision: *revision });
            *revision
        }
        WatchItem::Event(event) => {
            if event.object.revision != event.revision {
                world.problem(format!("an event of revision {} has another object", event.revision));
            }
            world.record(What::Event(history::Event {
                watch,
                revision: event.revision,
                key: event.object.key.to_string(),
                delete: event.kind == EventKind::Delete,
                token: token_of(&event.object),
                previous: event.previous.as_deref().map(token_of),
                epoch: event.object.field("epoch").map(str::to_owned),
            }));
            event.revision
        }
    }
}

/// The token in an object's bytes, 0 when there is none.
#[must_use]
pub fn token_of(object: &Object) -> Token {
    let text = String::from_utf8_lossy(&object.value);
    let digits = text.split_once("\"token\":").map(|(_, rest)| rest.split(',').next().unwrap_or(""));
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
