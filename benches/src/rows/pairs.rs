//! Rows that are measured against etcd, in turns.

use std::time::Duration;

use anyhow::Result;

use crate::Options;
use crate::cluster::{Cluster, Side, etcd_version};
use crate::load::{self, Slice, Work};
use crate::measure::{fsyncs, median};
use crate::rows::verdict;

/// A row of this kind.
#[derive(Clone, Copy)]
pub struct Pair {
    title: &'static str,
    work: Work,
    clients: usize,
    least_ratio: f64,
    /// Operations per CPU-second, against etcd.
    least_cpu_ratio: Option<f64>,
}

pub const PUTS: Pair = Pair {
    title: "puts, 256 clients",
    work: Work::Put,
    clients: 256,
    least_ratio: 3.0,
    least_cpu_ratio: Some(5.0),
};
pub const SINGLE: Pair =
    Pair { title: "puts, one client", work: Work::Put, clients: 1, least_ratio: 3.0, least_cpu_ratio: None };
pub const READS: Pair = Pair {
    title: "linearizable reads, 256 clients",
    work: Work::Get,
    clients: 256,
    least_ratio: 5.0,
    least_cpu_ratio: None,
};

const SLICE: Duration = Duration::from_millis(2500);
/// Times that every key is written before: more than the history keeps.
const WARM: u64 = 25;
const TOY_SLICE: Duration = Duration::from_millis(100);
const FSYNCS: usize = 200;

/// Medians of all slices of one side.
struct Figures {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
}

fn medians(slices: &mut [Slice]) -> Figures {
    Figures {
        per_second: median(slices.iter().map(|slice| slice.per_second)),
        p50_ms: median(slices.iter_mut().map(|slice| slice.latencies.at(0.5))),
        p99_ms: median(slices.iter_mut().map(|slice| slice.latencies.at(0.99))),
        cpu_us: median(slices.iter().map(|slice| slice.cpu_each * 1e6)),
    }
}

/// Runs rows on one pair of clusters.
pub async fn run(options: &Options, rows: &[Pair]) -> Result<()> {
    let ours = Cluster::start(Side::Ours, &options.dir).await?;
    load::fill(&ours, options.size(WARM, 1)).await?;
    let compared = !options.alone && etcd_version().is_some();
    let etcd = if compared { Some(Cluster::start(Side::Etcd, &options.dir).await?) } else { None };
    if let Some(etcd) = &etcd {
        load::fill(etcd, options.size(WARM, 1)).await?;
    }
    for row in rows {
        one(options, row, &ours, etcd.as_ref()).await?;
    }
    Ok(())
}

async fn one(options: &Options, row: &Pair, ours: &Cluster, etcd: Option<&Cluster>) -> Result<()> {
    println!("\n{}", row.title);
    let time = options.size(SLICE, TOY_SLICE);
    let (mut our_slices, mut etcd_slices, mut fsync_ms) = (Vec::new(), Vec::new(), Vec::new());
    let single = row.clients == 1;
    for _ in 0..options.pairs {
        if single {
            fsync_ms.push(fsyncs(&options.dir, options.size(FSYNCS, 10))?.at(0.5));
        }
        our_slices.push(load::closed_loop(ours, row.work, row.clients, time).await?);
        if let Some(etcd) = etcd {
            etcd_slices.push(load::closed_loop(etcd, row.work, row.clients, time).await?);
        }
    }
    let ratios: Vec<f64> =
        our_slices.iter().zip(&etcd_slices).map(|(ours, etcd)| ours.per_second / etcd.per_second).collect();
    let cpu_ratios: Vec<f64> =
        our_slices.iter().zip(&etcd_slices).map(|(ours, etcd)| etcd.cpu_each / ours.cpu_each).collect();
    let p50_ratios: Vec<f64> = our_slices
        .iter_mut()
        .zip(&mut etcd_slices)
        .map(|(ours, etcd)| ours.latencies.at(0.5) / etcd.latencies.at(0.5))
        .collect();
    let our = medians(&mut our_slices);
    print_side("ours", &our);
    if single {
        let fsync = median(fsync_ms);
        println!("  append of 1 KiB and fsync, same disk: p50 {fsync:.3} ms");
        verdict("p50 in fsyncs", our.p50_ms / fsync, "", 3.0, false);
    }
    if etcd.is_none() {
        return Ok(());
    }
    print_side("etcd", &medians(&mut etcd_slices));
    let all = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(", ");
    println!("  ratios of the {} pairs: {all}", ratios.len());
    if single {
        verdict("p50 against etcd's", median(p50_ratios), "", 1.0 / row.least_ratio, false);
    } else {
        verdict("per second, against etcd", median(ratios), "x", row.least_ratio, true);
    }
    let cpu_ratio = median(cpu_ratios);
    match row.least_cpu_ratio {
        Some(least) => verdict("per CPU-second of the servers, against etcd", cpu_ratio, "x", least, true),
        None => println!("  per CPU-second of the servers, against etcd: {cpu_ratio:.2}x"),
    }
    Ok(())
}

fn print_side(name: &str, side: &Figures) {
    println!(
        "  {name}: {:.0}/s, p50 {:.3} ms, p99 {:.3} ms, {:.1} us CPU of the three servers each",
        side.per_second, side.p50_ms, side.p99_ms, side.cpu_us
    );
}
