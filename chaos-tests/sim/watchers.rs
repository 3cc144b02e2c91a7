//! The watchers of a simulated cluster: they watch a part, leave, and resume elsewhere.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use store::{Consistency, WatchItem, WatchRequest, WatchStream};

use super::cluster::{Cluster, Running};
use super::dice::Dice;
use super::observe::record_item;
use super::world::World;
use crate::history::What;

/// One watcher.
pub struct Watcher {
    world: Arc<World>,
    cluster: Arc<Cluster>,
    dice: Dice,
    prefix: String,
    node: Option<u64>,
    /// Everything up to this revision was delivered.
    from: u64,
}

impl Watcher {
    #[must_use]
    pub fn new(id: u64, cluster: &Arc<Cluster>) -> Watcher {
        let world = cluster.world.clone();
        let dice = world.dice(&format!("watcher {id}"));
        let prefix = if id.is_multiple_of(2) { "/" } else { "/g/" }.to_owned();
        let node = (id > 1).then_some(id % 3);
        Watcher { world, cluster: cluster.clone(), dice, prefix, node, from: 0 }
    }

    /// Watches until it is dropped.
    pub async fn run(mut self) {
        loop {
            let wait = Duration::from_millis(self.dice.between(1, 200));
            tokio::time::sleep(wait).await;
            let ids = self.cluster.ids();
            let Some(running) = self.dice.pick(&ids).and_then(|id| self.cluster.running(id)) else {
                continue;
            };
            self.watch(&running).await;
        }
    }

    async fn watch(&mut self, running: &Running) {
        let (prefix, from, node) = (self.prefix.clone(), self.from, self.node);
        let field = node.map(|node| ("node".to_owned(), node.to_string()));
        let Ok(stream) = running.store.watch(WatchRequest { prefix: prefix.clone(), from, field }) else {
            // List again, as a client would.
            if let Ok(view) = running.store.view(Consistency::Linearizable).await {
                self.from = view.revision();
            }
            return;
        };
        let watch = self.world.id();
        self.world.record(What::Watch { watch, member: running.process.member, prefix, from, node });
        let patience = Duration::from_millis(self.dice.between(100, 6_000));
        let follow = self.follow(watch, stream);
        let left = running.process.end.run_until_cancelled(tokio::time::timeout(patience, follow)).await;
        if left.is_none() {
            self.end(watch, "the process was killed", false);
        }
    }

    fn end(&self, watch: u64, reason: &str, whole: bool) {
        self.world.record(What::End { watch, reason: reason.to_owned(), whole });
    }

    async fn follow(&mut self, watch: u64, mut stream: WatchStream) {
        let patience = self.dice.between(1, 40);
        let mut last = self.from;
        for _ in 0..patience {
            let Some(item) = stream.next().await else { return };
            if !self.take(watch, item, &mut last) {
                return;
            }
        }
        // What belongs to one transaction is handed out together: so this has seen it all.
        while let Some(Some(item)) = stream.next().now_or_never() {
            if !self.take(watch, item, &mut last) {
                return;
            }
        }
        self.from = last;
        self.end(watch, "left", true);
    }

    fn take(&mut self, watch: u64, item: Result<WatchItem, store::WatchEnd>, last: &mut u64) -> bool {
        match item {
            Ok(item) => {
                let revision = record_item(&self.world, watch, &item);
                // Everything before the newest revision has come.
                let whole = if matches!(item, WatchItem::Progress(_)) { revision } else { *last };
                if revision > *last {
                    self.from = self.from.max(whole);
                }
                *last = revision;
                true
            }
            Err(end) => {
                self.end(watch, &end.to_string(), false);
                if end == store::WatchEnd::Compacted {
                    self.from = 0;
                }
                false
            }
        }
    }
}
