//! How fast three members in one process write: puts per second and latencies.
//!
//! `cargo run -p trireme-store --example load -- [writers] [seconds] [members] [bytes]`

#[path = "../tests/common/mod.rs"]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Cluster, put, write};
use store::{Consistency, Store};

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>().expect("a number"));
    let mut next = |default| args.next().unwrap_or(default);
    let (writers, seconds, members, bytes) = (next(64), next(5), next(3), next(1024));
    let cluster = Cluster::of(members).await;
    let leader = cluster.leader().await;
    println!("{members} members, {writers} writers, {bytes} bytes, leader {}", leader + 1);
    for (name, index) in [("leader", leader), ("follower", (leader + 1) % members)] {
        let store = cluster.store(index).clone();
        let write_one = move |n: u64| put_one(store.clone(), n, bytes);
        measure(&format!("puts by the {name}"), writers, seconds, write_one).await;
        let store = cluster.store(index).clone();
        let read_one = move |_| read_one(store.clone());
        measure(&format!("linearizable views by the {name}"), writers, seconds.min(2), read_one).await;
    }
    let store = cluster.store(leader).clone();
    measure("puts, one writer", 1, seconds.min(2), move |n| put_one(store.clone(), n, bytes)).await;
    cluster.shutdown().await;
}

async fn put_one(store: Store, n: u64, bytes: usize) {
    let key = format!("/core/configmaps/default/load-{}", n % 5000);
    store.propose(write(put(&key, &"x".repeat(bytes)))).await.expect("written");
}

async fn read_one(store: Store) {
    store.view(Consistency::Linearizable).await.expect("a view");
}

async fn measure<F: Future<Output = ()> + Send>(
    what: &str,
    tasks: usize,
    seconds: usize,
    work: impl Fn(u64) -> F + Clone + Send + 'static,
) {
    let counter = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + Duration::from_secs(seconds as u64);
    let cpu = cpu_seconds();
    let all: Vec<_> = (0..tasks)
        .map(|_| {
            let (work, counter) = (work.clone(), counter.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                while Instant::now() < end {
                    let started = Instant::now();
                    work(counter.fetch_add(1, Ordering::Relaxed)).await;
                    times.push(started.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in all {
        times.extend(task.await.expect("a task"));
    }
    times.sort_unstable();
    let at = |part: usize| times[(times.len() * part / 1000).min(times.len() - 1)];
    println!(
        "{what}: {}/s, p50 {:?}, p99 {:?}, max {:?}, {:.0} us CPU each",
        times.len() / seconds,
        at(500),
        at(990),
        at(1000),
        (cpu_seconds() - cpu) / times.len() as f64 * 1e6,
    );
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
