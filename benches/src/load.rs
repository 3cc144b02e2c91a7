//! Clients: the same for both sides.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::future::join_all;

use crate::cluster::Cluster;
use crate::grpc::Channel;
use crate::measure::{Latencies, cpu_seconds};
use crate::{values, wire};

/// Connections to each member.
const CONNECTIONS: usize = 4;
/// Keys that are written again and again.
pub const KEYS: u64 = 10_000;

/// What clients do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Work {
    Put,
    Get,
}

/// What a slice of a run showed.
pub struct Slice {
    pub per_second: f64,
    pub latencies: Latencies,
    /// CPU-seconds of the three servers for one operation.
    pub cpu_each: f64,
}

/// Connections to members, used in turn.
pub async fn connect(fronts: &[SocketAddr], each: usize) -> Result<Vec<Channel>> {
    let mut channels = Vec::new();
    for _ in 0..each {
        for front in fronts {
            channels.push(Channel::connect(*front).await?);
        }
    }
    Ok(channels)
}

/// The key of write `n`.
pub fn key(n: u64) -> String {
    format!("/core/configmaps/default/bench-{:06}", n % KEYS)
}

/// `clients` at the members in turn (as etcd's own client balances), each with one operation at a
/// time, for so long.
pub async fn closed_loop(cluster: &Cluster, work: Work, clients: usize, time: Duration) -> Result<Slice> {
    let channels = connect(&cluster.fronts(), CONNECTIONS.min(clients)).await?;
    closed_loop_on(&channels, &cluster.pids(), work, clients, time).await
}

/// The same on given connections.
pub async fn closed_loop_on(
    channels: &[Channel],
    pids: &[u32],
    work: Work,
    clients: usize,
    time: Duration,
) -> Result<Slice> {
    let value = values::random(7, values::VALUE_BYTES);
    let counter = Arc::new(AtomicU64::new(0));
    let cpu = cpu_seconds(pids)?;
    let started = Instant::now();
    let running = (0..clients).map(|client| {
        let (channel, value, counter) =
            (channels[client % channels.len()].clone(), value.clone(), counter.clone());
        tokio::spawn(async move {
            let mut latencies = Latencies::default();
            while started.elapsed() < time {
                let key = key(counter.fetch_add(1, Ordering::Relaxed));
                let begun = Instant::now();
                match work {
                    Work::Put => {
                        channel.call(wire::PUT, wire::put_request(&key, &value, None)).await?;
                    }
                    Work::Get => {
                        let answer = channel.call(wire::RANGE, wire::get_request(&key)).await?;
                        ensure!(wire::read_range(&answer).is_some(), "{key} is not there");
                    }
                }
                latencies.add(begun.elapsed());
            }
            Ok(latencies)
        })
    });
    let mut latencies = Latencies::default();
    for done in join_all(running).await {
        latencies.join(done??);
    }
    let seconds = started.elapsed().as_secs_f64();
    let count = latencies.len() as f64;
    Ok(Slice { per_second: count / seconds, latencies, cpu_each: (cpu_seconds(pids)? - cpu) / count })
}

/// Writes every key, so that reads find it, so many times over: a cluster in use has a full
/// history and has touched its memory before.
pub async fn fill(cluster: &Cluster, times: u64) -> Result<()> {
    const WRITERS: u64 = 128;
    let channels = connect(&cluster.fronts(), 2).await?;
    let value = values::random(7, values::VALUE_BYTES);
    let writers = (0..WRITERS).map(|first| {
        let (channel, value) = (channels[first as usize % channels.len()].clone(), value.clone());
        tokio::spawn(async move {
            for n in (first..KEYS * times).step_by(WRITERS as usize) {
                channel.call(wire::PUT, wire::put_request(&key(n), &value, None)).await?;
            }
            Ok::<_, anyhow::Error>(())
        })
    });
    for done in join_all(writers).await {
        done??;
    }
    Ok(())
}

/// Writes at a steady rate, whether or not the earlier ones are done: what waits counts as late.
/// `request` makes write `n`; a latency counts from the moment at which the write was due.
pub async fn writes(
    channels: &[Channel],
    per_second: u64,
    count: u64,
    request: impl Fn(u64) -> bytes::Bytes,
) -> Result<Latencies> {
    let never = tokio_util::sync::CancellationToken::new();
    writes_until(channels, per_second, count, request, &never).await
}

/// The same, but ends early when told.
pub async fn writes_until(
    channels: &[Channel],
    per_second: u64,
    count: u64,
    request: impl Fn(u64) -> bytes::Bytes,
    end: &tokio_util::sync::CancellationToken,
) -> Result<Latencies> {
    const TICK: Duration = Duration::from_millis(1);
    let started = tokio::time::Instant::now();
    let mut running = tokio::task::JoinSet::new();
    let mut latencies = Latencies::default();
    let mut sent = 0;
    while sent < count && !end.is_cancelled() {
        let due = (started.elapsed().as_secs_f64() * per_second as f64) as u64;
        while sent < due.min(count) {
            let (channel, message) = (channels[sent as usize % channels.len()].clone(), request(sent));
            let at = started + Duration::from_secs_f64(sent as f64 / per_second as f64);
            running.spawn(async move {
                channel.call(wire::PUT, message).await?;
                Ok::<_, anyhow::Error>(at.elapsed())
            });
            sent += 1;
        }
        while let Some(done) = running.try_join_next() {
            latencies.add(done??);
        }
        tokio::time::sleep(TICK).await;
    }
    while let Some(done) = running.join_next().await {
        latencies.add(done??);
    }
    Ok(latencies)
}
