//! Clients that each have one request under way at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::Bench;
use super::client::Client;
use super::objects::{config_map, config_maps, fill};
use crate::measure::{Latencies, cpu_seconds};

/// Keys of the rows that read.
const KEYS: usize = 1000;
/// Objects of the list.
const LISTED: usize = 5000;
/// Clients of the list.
const LISTERS: usize = 4;

/// One kind of work of a client.
#[derive(Clone, Copy)]
enum Work {
    Create,
    Get,
    Update,
    List,
}

/// What all clients of a row share.
struct Shared {
    work: Work,
    path: String,
    /// Distinguishes the objects of this run.
    run: u64,
    next: AtomicUsize,
    bytes: AtomicUsize,
    conflicts: AtomicUsize,
}

pub async fn create(bench: &Bench, clients: usize) -> Result<()> {
    run(bench, &format!("create, {clients} clients"), Work::Create, clients).await
}

pub async fn get(bench: &Bench) -> Result<()> {
    fill(&bench.target, config_maps(), KEYS, key).await?;
    run(bench, &format!("get, {} clients", bench.args.clients), Work::Get, bench.args.clients).await
}

pub async fn update(bench: &Bench) -> Result<()> {
    fill(&bench.target, config_maps(), KEYS, key).await?;
    let name = format!("read-modify-write, {} clients over {KEYS} keys", bench.args.clients);
    run(bench, &name, Work::Update, bench.args.clients).await
}

pub async fn list(bench: &Bench) -> Result<()> {
    fill(&bench.target, config_maps(), LISTED, |n| config_map(&format!("l-{n}"), "list", "0")).await?;
    run(bench, &format!("list of {LISTED} objects, {LISTERS} clients"), Work::List, LISTERS).await
}

fn key(n: usize) -> Bytes {
    config_map(&format!("k-{n}"), "keys", "0")
}

async fn run(bench: &Bench, name: &str, work: Work, clients: usize) -> Result<()> {
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as u64;
    let shared = Arc::new(Shared {
        work,
        path: config_maps(),
        run,
        next: AtomicUsize::new(0),
        bytes: AtomicUsize::new(0),
        conflicts: AtomicUsize::new(0),
    });
    let mut connected = Vec::new();
    for n in 0..clients {
        connected.push(Client::connect(&bench.target, n).await?);
    }
    let cpu = cpu_seconds(&bench.args.pids)?;
    let (started, time) = (Instant::now(), bench.time());
    let running: Vec<_> = connected
        .into_iter()
        .map(|client| tokio::spawn(one(client, shared.clone(), started, time)))
        .collect();
    let mut latencies = Latencies::default();
    for client in running {
        latencies.join(client.await??);
    }
    let seconds = started.elapsed().as_secs_f64();
    let count = latencies.len() as f64;
    let cpu = (cpu_seconds(&bench.args.pids)? - cpu) / count * 1e6;
    println!(
        "{name}: {:.0}/s, p50 {:.2} ms, p99 {:.2} ms, {cpu:.0} us CPU of the servers each",
        count / seconds,
        latencies.at(0.5),
        latencies.at(0.99),
    );
    let (bytes, conflicts) = (shared.bytes.load(Ordering::Relaxed), shared.conflicts.load(Ordering::Relaxed));
    match work {
        Work::List => println!("  {:.0} MB/s", bytes as f64 / seconds / 1e6),
        Work::Update => println!("  {conflicts} conflicts, tried again"),
        Work::Create | Work::Get => {}
    }
    Ok(())
}

async fn one(mut client: Client, shared: Arc<Shared>, started: Instant, time: Duration) -> Result<Latencies> {
    let mut latencies = Latencies::default();
    while started.elapsed() < time {
        let n = shared.next.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        match shared.work {
            Work::Create => {
                let body = config_map(&format!("c-{}-{n}", shared.run), "create", "0");
                client.expect(Method::POST, &shared.path, body, &[]).await?;
            }
            Work::Get => {
                let path = format!("{}/k-{}", shared.path, n % KEYS);
                client.expect(Method::GET, &path, Bytes::new(), &[]).await?;
            }
            Work::Update => modify(&mut client, &shared, n).await?,
            Work::List => {
                let path = format!("{}?labelSelector=bench%3Dlist", shared.path);
                let answer = client.expect(Method::GET, &path, Bytes::new(), &[]).await?;
                shared.bytes.fetch_add(answer.len(), Ordering::Relaxed);
            }
        }
        latencies.add(begun.elapsed());
    }
    Ok(latencies)
}

/// Reads, changes and writes an object; again when somebody else was faster.
async fn modify(client: &mut Client, shared: &Shared, n: usize) -> Result<()> {
    // Neighbours in time are no neighbours in keys, as with independent clients.
    let path = format!("{}/k-{}", shared.path, n.wrapping_mul(7919) % KEYS);
    loop {
        let read = client.expect(Method::GET, &path, Bytes::new(), &[]).await?;
        let mut object: Value = serde_json::from_slice(&read).context("protobuf can not be modified here")?;
        object["data"]["note"] = format!("<{n}>").into();
        let (code, answer) = client.request(Method::PUT, &path, object.to_string().into()).await?;
        match code.as_u16() {
            200 => return Ok(()),
            409 => drop(shared.conflicts.fetch_add(1, Ordering::Relaxed)),
            _ => anyhow::bail!("PUT {path}: {code} {}", String::from_utf8_lossy(&answer)),
        }
    }
}
