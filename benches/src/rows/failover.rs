//! How long nobody can write after the leader was killed, or handed over.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::task::JoinSet;

use crate::cluster::{Cluster, Side, etcd_version};
use crate::grpc::Channel;
use crate::measure::{Latencies, median};
use crate::rows::verdict;
use crate::{Options, load, values, wire};

/// Between two attempts to write at one member.
const ATTEMPT: Duration = Duration::from_millis(5);
/// A write after a kill is given up.
const GIVE_UP: Duration = Duration::from_secs(30);
/// Writes go on for so long around a hand-over.
const AROUND: Duration = Duration::from_millis(150);

pub async fn run(options: &Options) -> Result<()> {
    let kills = options.size(50, 2);
    println!("\nleader killed with -9, first acknowledged write, {kills} kills");
    let mut ours = Cluster::start(Side::Ours, &options.dir).await?;
    let mut our_times = all_kills(&mut ours, kills).await?;
    print("ours", &mut our_times);
    verdict("p99", our_times.at(0.99), " ms", 500.0, false);
    let transfers = options.size(20, 2);
    let mut longest = Vec::new();
    for _ in 0..transfers {
        longest.push(transfer(&ours).await?);
    }
    println!("\nplanned transfer of leadership, longest write around it, {transfers} transfers");
    println!("  ours: median {:.1} ms", median(longest.iter().copied()));
    verdict("longest", longest.into_iter().fold(0.0, f64::max), " ms", 50.0, false);
    drop(ours);
    if !options.alone && etcd_version().is_some() {
        let kills = options.size(5, 1);
        let mut etcd = Cluster::start(Side::Etcd, &options.dir).await?;
        let mut times = all_kills(&mut etcd, kills).await?;
        println!("\nthe same with etcd, {kills} kills");
        print("etcd", &mut times);
        println!("  ratio of the medians: {:.1}x", times.at(0.5) / our_times.at(0.5));
    }
    Ok(())
}

fn print(name: &str, times: &mut Latencies) {
    println!(
        "  {name}: p50 {:.1} ms, p90 {:.1} ms, max {:.1} ms",
        times.at(0.5),
        times.at(0.9),
        times.at(1.0)
    );
}

async fn all_kills(cluster: &mut Cluster, kills: usize) -> Result<Latencies> {
    load::fill(cluster, 1).await?;
    let mut times = Latencies::default();
    for _ in 0..kills {
        let leader = cluster.leader().await?;
        times.add(kill(cluster, leader).await?);
        cluster.restart(leader).await?;
    }
    Ok(times)
}

/// From the kill to the first acknowledgement of a write that was sent after it.
async fn kill(cluster: &mut Cluster, leader: usize) -> Result<Duration> {
    let mut survivors = Vec::new();
    for (index, front) in cluster.fronts().into_iter().enumerate() {
        if index != leader {
            survivors.push(Channel::connect(front).await?);
        }
    }
    let request = wire::put_request("/core/configmaps/default/after", &values::random(1, 1024), None);
    let killed = Instant::now();
    cluster.members[leader].kill()?;
    tokio::time::timeout(GIVE_UP, first_write(&survivors, request)).await.context("nobody writes")?;
    Ok(killed.elapsed())
}

/// Sends the write to every member, again and again, until one acknowledges.
async fn first_write(members: &[Channel], request: Bytes) {
    let mut attempts = JoinSet::new();
    loop {
        for member in members {
            let (member, request) = (member.clone(), request.clone());
            attempts.spawn(async move { member.call(wire::PUT, request).await });
        }
        let next = tokio::time::sleep(ATTEMPT);
        tokio::pin!(next);
        loop {
            tokio::select! {
                () = &mut next => break,
                Some(done) = attempts.join_next() => if matches!(done, Ok(Ok(_))) { return },
            }
        }
    }
}

/// The longest write around a planned transfer, milliseconds: one client at each member, one write
/// after the other.
async fn transfer(cluster: &Cluster) -> Result<f64> {
    let leader = cluster.leader().await?;
    let writing = load::closed_loop(cluster, load::Work::Put, cluster.members.len(), AROUND * 2);
    let handing = async {
        tokio::time::sleep(AROUND).await;
        cluster.command(leader, "transfer").await
    };
    let (written, handed) = tokio::join!(writing, handing);
    handed?;
    Ok(written?.latencies.at(1.0))
}
