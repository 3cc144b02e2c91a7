//! One simulated run: a cluster, its clients, its nemesis, and the judgement.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use store::{Consistency, Limits, MemberId, WatchItem, WatchRequest};
use tokio_util::task::AbortOnDropHandle;

use super::clients::Client;
use super::cluster::{Cluster, addr_of};
use super::dice::Dice;
use super::nemesis::Nemesis;
use super::observe::{record_item, token_of};
use super::watchers::Watcher;
use super::world::World;
use crate::history::{Record, Seen, What};

const CLIENTS: u64 = 5;
const WATCHERS: u64 = 4;
/// How long a healed cluster may take to serve again.
const RECOVERY: Duration = Duration::from_secs(60);
/// How long a cluster may take to form.
const FORMING: Duration = Duration::from_secs(30);

/// What a run gave.
pub struct Finished {
    pub history: Vec<Record>,
    /// A checksum over every step: the same seed gives the same.
    pub hash: u64,
    pub steps: u64,
}

/// Runs a seed for so many simulated seconds; the calling thread must be new (see `entropy`).
#[must_use]
pub fn run(seed: u64, seconds: u64) -> Finished {
    super::entropy::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without threads");
    let world = {
        let _entered = runtime.enter();
        World::new(seed)
    };
    runtime.block_on(drive(world.clone(), Duration::from_secs(seconds)));
    // What is left of it ends with the process: its tasks are not worth waiting for.
    std::mem::forget(runtime);
    let (history, hash, steps) = world.take();
    Finished { history, hash, steps }
}

fn limits(dice: &mut Dice) -> Limits {
    let entries = dice.between(40, 600);
    Limits {
        segment_bytes: 64 << 10,
        snapshot_entries: entries,
        snapshot_trail: dice.between(0, entries),
        history_events: if dice.per_mille(200) { 150 } else { 200_000 },
        watch_backlog: if dice.per_mille(200) { 12 } else { 16_384 },
        ..Limits::default()
    }
}

async fn drive(world: Arc<World>, duration: Duration) {
    let mut dice = world.dice("shape");
    let members = if dice.per_mille(300) { 5 } else { 3 };
    let cluster = Cluster::new(world.clone(), limits(&mut dice));
    if !form(&cluster, members).await {
        world.problem("the cluster did not form".to_owned());
        return;
    }
    let mut nemesis = Nemesis::new(&cluster, members);
    {
        let mut tasks: Vec<AbortOnDropHandle<()>> = Vec::new();
        for id in 0..CLIENTS {
            tasks.push(AbortOnDropHandle::new(tokio::spawn(Client::new(id, &cluster).run())));
        }
        for id in 0..WATCHERS {
            tasks.push(AbortOnDropHandle::new(tokio::spawn(Watcher::new(id, &cluster).run())));
        }
        // The nemesis is interrupted wherever it is.
        drop(tokio::time::timeout(duration, nemesis.run()).await);
        nemesis.heal().await;
        if !recovered(&cluster, &mut nemesis).await {
            let states: Vec<String> =
                cluster.all_running().iter().map(|r| format!("{:?}", r.store.status())).collect();
            world.problem(format!("the healed cluster does not serve: {states:?}"));
        }
    }
    for running in cluster.all_running() {
        audit(&world, &running).await;
    }
}

async fn form(cluster: &Arc<Cluster>, members: MemberId) -> bool {
    let forming = async {
        for id in 1..=members {
            cluster.add(id);
            if cluster.start(id).await.is_err() {
                return false;
            }
        }
        let Some(first) = cluster.running(1) else { return false };
        if first.store.init_cluster().await.is_err() {
            return false;
        }
        for id in 2..=members {
            while first.store.add_member(id, addr_of(id)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        true
    };
    tokio::time::timeout(FORMING, forming).await.unwrap_or(false)
}

/// Waits until everybody who belongs serves linearizable reads.
async fn recovered(cluster: &Arc<Cluster>, nemesis: &mut Nemesis) -> bool {
    let serving = async {
        loop {
            nemesis.pick_up().await;
            let mut all = true;
            let members = members_of(cluster).await;
            for running in cluster.all_running() {
                if members.contains(&running.process.member) {
                    all &= running.store.view(Consistency::Linearizable).await.is_ok();
                }
            }
            if all && !members.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(RECOVERY, serving).await.is_ok()
}

/// The voters, as the newest member knows them.
async fn members_of(cluster: &Arc<Cluster>) -> Vec<MemberId> {
    for running in cluster.all_running() {
        if running.store.view(Consistency::Linearizable).await.is_ok() {
            let status = running.store.status();
            return status.members.iter().filter(|member| member.voter).map(|member| member.id).collect();
        }
    }
    Vec::new()
}

/// Writes down what a member holds at the end: its objects and its whole history.
async fn audit(world: &World, running: &super::cluster::Running) {
    let Ok(view) = running.store.view(Consistency::Linearizable).await else { return };
    let member = running.process.member;
    let seen = view.range("", None).map(|object| Seen {
        key: object.key.to_string(),
        found: Some((object.revision, token_of(&object))),
    });
    world.record(What::Final { member, revision: view.revision(), objects: seen.collect() });
    let prefix = "/".to_owned();
    let request = |from| WatchRequest { prefix: prefix.clone(), from, field: None };
    let (from, stream) = match running.store.watch(request(0)) {
        Ok(stream) => (0, stream),
        Err(compacted) => match running.store.watch(request(compacted.oldest)) {
            Ok(stream) => (compacted.oldest, stream),
            Err(_) => return,
        },
    };
    let watch = world.id();
    world.record(What::Watch { watch, member, prefix: prefix.clone(), from, node: None });
    let mut stream = stream;
    while let Some(Ok(item)) = stream.next().await {
        let revision = record_item(world, watch, &item);
        if matches!(item, WatchItem::Progress(_)) && revision >= view.revision() {
            return;
        }
    }
}
