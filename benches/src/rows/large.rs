//! Rows on a large store: memory per object, restart, a new member.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, Side};
use crate::grpc::Channel;
use crate::measure::{disk_bytes, resident};
use crate::rows::verdict;
use crate::{Options, load, values, wire};

const START: Duration = Duration::from_secs(120);
/// Writes per second while a member catches up.
const RATE: u64 = 200;

/// Which rows.
pub struct Parts {
    pub restart: bool,
    pub catch_up: bool,
}

/// Memory per object alone.
pub async fn memory(options: &Options) -> Result<()> {
    loaded(options).await.map(drop)
}

/// All on one store.
pub async fn run(options: &Options, parts: Parts) -> Result<()> {
    let (mut cluster, count) = loaded(options).await?;
    let started = Instant::now();
    cluster.grow(3).await?;
    println!("  two more members caught up after {:.1} s", started.elapsed().as_secs_f64());
    if parts.catch_up {
        catch_up(options, &mut cluster).await?;
    }
    if parts.restart {
        restart(&mut cluster, count).await?;
    }
    Ok(())
}

/// One member with a large store, and the number of its objects.
async fn loaded(options: &Options) -> Result<(Cluster, u64)> {
    let count = options.size(1_000_000, 2000);
    println!("\nmemory per object, {count} objects with values of 1 KiB, 2 labels and 2 fields");
    let mut cluster = Cluster::empty(Side::Ours, &options.dir)?;
    cluster.grow(1).await?;
    let pid = cluster.members[0].pid().context("a process")?;
    let before = resident(pid)?;
    let took = cluster.command(0, &format!("load {count} {}", values::VALUE_BYTES)).await?;
    let memory = (resident(pid)? - before) as f64 / count as f64;
    let object = (0..count).map(|n| values::object_bytes(n, values::VALUE_BYTES)).sum::<usize>() as f64;
    let object = object / count as f64;
    println!("  loaded in {took}; {memory:.0} bytes of memory for objects of {object:.0} bytes");
    verdict("beyond the object", memory - object, " bytes", 400.0, false);
    Ok((cluster, count))
}

/// A fourth member joins while writes go on.
async fn catch_up(options: &Options, cluster: &mut Cluster) -> Result<()> {
    println!("\na new member catches up, {RATE} writes per second going on");
    let channels = load::connect(&cluster.fronts(), 1).await?;
    let value = values::random(9, values::VALUE_BYTES);
    let request = move |n: u64| wire::put_request(&load::key(n), &value, None);
    let count = options.size(RATE * 10, RATE / 10);
    let mut calm = load::writes(&channels, RATE, count, &request).await?;
    println!("  before: writes p50 {:.2} ms, p99 {:.2} ms", calm.at(0.5), calm.at(0.99));
    let end = CancellationToken::new();
    let started = Instant::now();
    let joining = async {
        let index = cluster.add_process().await?;
        let joined = cluster.join(index).await;
        end.cancel();
        joined.map(|()| started.elapsed())
    };
    let writing = load::writes_until(&channels, RATE, u64::MAX, &request, &end);
    let (joined, busy) = tokio::join!(joining, writing);
    let mut busy = busy?;
    println!(
        "  during the {:.1} s until it voted: writes p50 {:.2} ms, p99 {:.2} ms",
        joined?.as_secs_f64(),
        busy.at(0.5),
        busy.at(0.99)
    );
    verdict("p99 during against before", busy.at(0.99) / calm.at(0.99), "x", 2.0, false);
    Ok(())
}

/// Kills a follower and times it from its start to its first linearizable read.
async fn restart(cluster: &mut Cluster, count: u64) -> Result<()> {
    println!("\nrestart of one of the members, {count} objects");
    let leader = cluster.leader().await?;
    let follower = if leader == 0 { 1 } else { 0 };
    cluster.members[follower].kill()?;
    let disk = disk_bytes(&cluster.data_dir(follower))?;
    let started = Instant::now();
    cluster.restart(follower).await?;
    let listens = started.elapsed();
    let channel = Channel::connect(cluster.members[follower].front).await?;
    let served = async {
        while channel.call(wire::RANGE, wire::get_request(&values::object_key(count - 1))).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(START, served).await.context("it does not serve")?;
    let pid = cluster.members[follower].pid().context("a process")?;
    println!(
        "  {:.0} MiB on its disk; opened after {:.2} s; {:.0} MiB of memory",
        disk as f64 / 1048576.0,
        listens.as_secs_f64(),
        resident(pid)? as f64 / 1048576.0
    );
    verdict("until a linearizable read is served", started.elapsed().as_secs_f64(), " s", 10.0, false);
    Ok(())
}
