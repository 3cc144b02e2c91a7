//! Rows about watches: delivery counts from the moment at which the write was sent.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures::future::join_all;

use crate::cluster::{Cluster, Side, etcd_version};
use crate::grpc::Answers;
use crate::measure::{Latencies, cpu_seconds};
use crate::rows::verdict;
use crate::wire::Watched;
use crate::{Options, load, values, wire};

const PREFIX: &str = "/core/pods/";
/// Connections of watchers to each member.
const CONNECTIONS: usize = 8;
/// Digits of the time at which a value was written.
const STAMP: usize = 16;
/// Everything must have been delivered so long after the last write.
const LAST: Duration = Duration::from_secs(20);

/// Times in values count from here.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Writes at a rate, watched by many.
#[derive(Clone, Copy)]
struct Scene {
    watchers: usize,
    per_second: u64,
    time: Duration,
    /// Each write is for one watcher.
    by_node: bool,
}

struct Seen {
    latencies: Latencies,
    /// Milliseconds until the writes were acknowledged, p99.
    write_p99: f64,
    /// CPU-seconds of the servers in one second.
    cpu: f64,
}

/// 1,000 watchers of everything.
pub async fn everything(options: &Options) -> Result<()> {
    let scene = Scene {
        watchers: options.size(1000, 10),
        per_second: 100,
        time: options.size(Duration::from_secs(8), Duration::from_secs(1)),
        by_node: false,
    };
    println!("\n{} watchers of everything, {} writes per second", scene.watchers, scene.per_second);
    let ours = Cluster::start(Side::Ours, &options.dir).await?;
    let mut seen = show(&ours, scene, "ours").await?;
    verdict("delivery p99", seen.latencies.at(0.99), " ms", 50.0, false);
    drop(ours);
    if !options.alone && etcd_version().is_some() {
        let etcd = Cluster::start(Side::Etcd, &options.dir).await?;
        let theirs = show(&etcd, scene, "etcd").await?;
        println!("  CPU of the servers, etcd's against ours: {:.2}x", theirs.cpu / seen.cpu);
    }
    Ok(())
}

/// 10,000 watchers of one node each.
pub async fn by_node(options: &Options) -> Result<()> {
    let many = Scene {
        watchers: options.size(10_000, 100),
        per_second: options.size(1000, 100),
        time: options.size(Duration::from_secs(8), Duration::from_secs(1)),
        by_node: true,
    };
    let few = Scene { watchers: many.watchers / 100, ..many };
    println!("\n{} watchers by node name, {} writes per second", many.watchers, many.per_second);
    let ours = Cluster::start(Side::Ours, &options.dir).await?;
    let first = show(&ours, few, &format!("{} watchers", few.watchers)).await?;
    let mut seen = show(&ours, many, &format!("{} watchers", many.watchers)).await?;
    let again = show(&ours, few, &format!("{} watchers", few.watchers)).await?;
    verdict("delivery p99", seen.latencies.at(0.99), " ms", 20.0, false);
    let flat = seen.cpu / f64::midpoint(first.cpu, again.cpu);
    verdict("CPU with a hundred times the watchers", flat, "x", 1.25, false);
    Ok(())
}

async fn show(cluster: &Cluster, scene: Scene, name: &str) -> Result<Seen> {
    let mut seen = play(cluster, scene).await?;
    println!(
        "  {name}: {} deliveries, nothing lost, p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms; writes p99 {:.2} ms; \
         {:.3} cores of the three servers",
        seen.latencies.len(),
        seen.latencies.at(0.5),
        seen.latencies.at(0.99),
        seen.latencies.at(1.0),
        seen.write_p99,
        seen.cpu,
    );
    Ok(seen)
}

async fn play(cluster: &Cluster, scene: Scene) -> Result<Seen> {
    LazyLock::force(&BEGINNING);
    let streams = open(&cluster.fronts(), scene).await?;
    let writes = scene.per_second * scene.time.as_secs();
    let each = if scene.by_node { None } else { Some(writes) };
    let watching = streams.into_iter().enumerate().map(|(watcher, stream)| {
        let expected = each.unwrap_or_else(|| {
            let (watcher, watchers) = (watcher as u64, scene.watchers as u64);
            writes / watchers + u64::from(watcher < writes % watchers)
        });
        tokio::spawn(follow(stream, expected))
    });
    let watching: Vec<_> = watching.collect();
    let channels = load::connect(&cluster.fronts(), 1).await?;
    let value = values::random(3, values::VALUE_BYTES);
    let request = move |n: u64| {
        let node = scene.by_node.then(|| format!("node-{}", n % scene.watchers as u64));
        let key = format!("{PREFIX}default/pod-{:06}", n % load::KEYS);
        wire::put_request(&key, &stamped(&value), node.as_deref())
    };
    let cpu = cpu_seconds(&cluster.pids())?;
    let mut written = load::writes(&channels, scene.per_second, writes, request).await?;
    let seconds = scene.time.as_secs_f64();
    let cpu = (cpu_seconds(&cluster.pids())? - cpu) / seconds;
    let mut latencies = Latencies::default();
    let done = tokio::time::timeout(LAST, join_all(watching)).await;
    for seen in done.context("events are missing")? {
        latencies.join(seen??);
    }
    ensure!(each.is_some() || latencies.len() as u64 == writes, "events came twice");
    Ok(Seen { latencies, write_p99: written.at(0.99), cpu })
}

/// Watches over several connections to each member; returns when all have begun.
async fn open(fronts: &[SocketAddr], scene: Scene) -> Result<Vec<Answers>> {
    let channels = load::connect(fronts, CONNECTIONS).await?;
    let mut streams = Vec::new();
    for watcher in 0..scene.watchers {
        let node = scene.by_node.then(|| format!("node-{watcher}"));
        let request = wire::watch_request(PREFIX, node.as_deref());
        streams.push(channels[watcher % channels.len()].stream(wire::WATCH, request)?);
    }
    for stream in &mut streams {
        let first = stream.next().await?;
        ensure!(matches!(wire::read_watched(&first), Watched::Created), "a watch was not created");
    }
    Ok(streams)
}

/// Follows one watch until it has seen so many events; checks their order.
async fn follow(mut stream: Answers, expected: u64) -> Result<Latencies> {
    let mut latencies = Latencies::default();
    let mut last = 0;
    while (latencies.len() as u64) < expected {
        let message = stream.next().await?;
        let Watched::Events(events) = wire::read_watched(&message) else { bail!("the watch ended") };
        for (revision, value) in events {
            ensure!(revision > last, "revision {revision} after {last}");
            last = revision;
            latencies.add(age(value)?);
        }
    }
    Ok(latencies)
}

fn stamped(value: &[u8]) -> Bytes {
    let mut out = format!("{:0STAMP$x}", BEGINNING.elapsed().as_nanos()).into_bytes();
    out.extend_from_slice(&value[STAMP..]);
    Bytes::from(out)
}

fn age(value: &[u8]) -> Result<Duration> {
    let stamp = std::str::from_utf8(value.get(..STAMP).context("a value without its time")?)?;
    let written = Duration::from_nanos(u64::from_str_radix(stamp, 16)?);
    Ok(BEGINNING.elapsed().saturating_sub(written))
}
