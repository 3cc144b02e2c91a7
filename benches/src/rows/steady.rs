//! Rows about a rate that goes on: memory and disk over a day, and node heartbeats.

use std::time::Duration;

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, Side};
use crate::measure::{cpu_seconds, disk_bytes, resident};
use crate::rows::{SteadyOptions, verdict};
use crate::{Options, load, values, wire};

/// Writes of one day at 1,000 per second.
const DAY_WRITES: f64 = 86_400_000.0;
/// What `store::Limits` keeps of the history by default: before that many writes it still grows.
const HISTORY: u64 = 200_000;
const SAMPLE: Duration = Duration::from_millis(500);
const LEASE_BYTES: usize = 400;

/// What the three members take at one moment, bytes.
#[derive(Clone, Copy, Default)]
struct Sample {
    memory: f64,
    disk: f64,
}

/// Memory and disk while writes go on, at many times the rate of the target.
pub async fn run(options: &SteadyOptions) -> Result<()> {
    let toy = options.common.toy;
    let rate = if toy { 500 } else { options.rate };
    let before = if toy { 200 } else { HISTORY * 5 / 4 };
    let count = if toy { 500 } else { rate * options.seconds };
    println!("\nsteady writes: {count} at {rate}/s, after the first {before} that fill the history");
    let ours = Cluster::start(Side::Ours, &options.common.dir).await?;
    let channels = load::connect(&ours.fronts(), 2).await?;
    let value = values::random(9, values::VALUE_BYTES);
    let request = move |n: u64| wire::put_request(&load::key(n), &value, None);
    load::writes(&channels, rate, before, &request).await?;
    let end = CancellationToken::new();
    let sampling = sample_until(&ours, &end);
    let writing = async {
        let written = load::writes(&channels, rate, count, &request).await;
        end.cancel();
        written
    };
    let (samples, written) = tokio::join!(sampling, writing);
    let (samples, mut written) = (samples?, written?);
    println!("  writes p50 {:.2} ms, p99 {:.2} ms", written.at(0.5), written.at(0.99));
    let (first, second) = samples.split_at(samples.len() / 2);
    let peak = |part: &[Sample], of: fn(&Sample) -> f64| part.iter().map(of).fold(0.0, f64::max);
    for (name, of) in [("memory", (|s| s.memory) as fn(&Sample) -> f64), ("disk", |s| s.disk)] {
        let (was, is) = (peak(first, of), peak(second, of));
        let day = (is - was) / (count as f64 / 2.0) * DAY_WRITES;
        println!(
            "  {name} of the three members: peak {:.1} MiB in the first half, {:.1} MiB in the second; if that \
             went on, {:+.1} MiB after a day of 1,000/s",
            was / 1048576.0,
            is / 1048576.0,
            day / 1048576.0
        );
        verdict(&format!("{name}, second half against first"), is / was, "x", 1.05, false);
    }
    Ok(())
}

async fn sample_until(cluster: &Cluster, end: &CancellationToken) -> Result<Vec<Sample>> {
    let mut samples = vec![];
    while !end.is_cancelled() {
        let mut sample = Sample::default();
        for (index, pid) in cluster.pids().into_iter().enumerate() {
            sample.memory += resident(pid)? as f64;
            sample.disk += disk_bytes(&cluster.data_dir(index))? as f64;
        }
        samples.push(sample);
        tokio::time::sleep(SAMPLE).await;
    }
    Ok(samples)
}

/// Every node renews its lease once a second.
pub async fn heartbeats(options: &Options) -> Result<()> {
    let nodes: u64 = options.size(10_000, 100);
    let seconds = options.size(10, 1);
    println!("\n{nodes} node heartbeats per second, leases of {LEASE_BYTES} bytes");
    let ours = Cluster::start(Side::Ours, &options.dir).await?;
    let channels = load::connect(&ours.fronts(), 4).await?;
    let value = values::random(5, LEASE_BYTES);
    let request = move |n: u64| {
        let node = format!("node-{:05}", n % nodes);
        wire::put_request(&format!("/coordination/leases/kube-node-lease/{node}"), &value, None)
    };
    let (cpu, started) = (cpu_seconds(&ours.pids())?, std::time::Instant::now());
    let mut renewals = load::writes(&channels, nodes, nodes * seconds, request).await?;
    let time = started.elapsed().as_secs_f64();
    let cpu = (cpu_seconds(&ours.pids())? - cpu) / time;
    let rate = renewals.len() as f64 / time;
    println!(
        "  {rate:.0}/s, p50 {:.2} ms, p99 {:.2} ms, {cpu:.2} cores of the three servers, {:.1} us CPU each",
        renewals.at(0.5),
        renewals.at(0.99),
        cpu / rate * 1e6
    );
    verdict("heartbeats per second", rate, "", nodes as f64 * 0.97, true);
    Ok(())
}
