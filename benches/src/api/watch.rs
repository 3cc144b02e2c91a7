//! Watchers of one namespace, and a writer with a steady pace. A delivery counts from the moment at which the
//! write was sent to the one at which a watcher has it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Bench;
use super::client::Client;
use super::objects::{config_map, config_maps, fill};
use crate::measure::{Latencies, cpu_seconds};

/// Objects that are written in turn.
const OBJECTS: usize = 50;
/// What is still on its way when the writer is done has so long.
const DRAIN: Duration = Duration::from_secs(5);

pub async fn run(bench: &Bench) -> Result<()> {
    fill(&bench.target, config_maps(), OBJECTS, |n| config_map(&format!("w-{n}"), "watch", "0")).await?;
    let (watchers, rate) = (bench.args.watchers, bench.args.rate);
    let epoch = Instant::now();
    let ready = Arc::new(Barrier::new(watchers + 1));
    let end = epoch + Duration::from_secs(3600);
    let (stop, stopped) = tokio::sync::watch::channel(end);
    let mut watching = JoinSet::new();
    for n in 0..watchers {
        let client = Client::connect(&bench.target, n).await?;
        watching.spawn(watcher(client, epoch, ready.clone(), stopped.clone()));
    }
    ready.wait().await;
    let cpu = cpu_seconds(&bench.args.pids)?;
    let (writes, mut late) = write(bench, epoch).await?;
    let cpu = cpu_seconds(&bench.args.pids)? - cpu;
    stop.send(Instant::now() + DRAIN)?;
    let (mut latencies, expected) = (Latencies::default(), writes * watchers as u64);
    while let Some(done) = watching.join_next().await {
        latencies.join(done??);
    }
    println!(
        "watch, {watchers} watchers x {rate} writes/s: {} of {expected} deliveries, p50 {:.2} ms, p99 {:.2} ms; \
         writes p50 {:.2} ms, p99 {:.2} ms; {:.1} us CPU of the servers for a delivery",
        latencies.len(),
        latencies.at(0.5),
        latencies.at(0.99),
        late.at(0.5),
        late.at(0.99),
        cpu / expected as f64 * 1e6,
    );
    ensure!(latencies.len() as u64 >= expected, "events were lost");
    Ok(())
}

/// Writes at a steady pace; a write that is late is not made up for.
async fn write(bench: &Bench, epoch: Instant) -> Result<(u64, Latencies)> {
    let count = bench.args.rate * bench.args.seconds;
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / bench.args.rate as f64));
    let mut running = JoinSet::new();
    let mut idle: Vec<Client> = Vec::new();
    let mut latencies = Latencies::default();
    for n in 0..count {
        ticks.tick().await;
        while let Some(done) = running.try_join_next() {
            let (client, latency) = done??;
            latencies.add(latency);
            idle.push(client);
        }
        let mut client = match idle.pop() {
            Some(client) => client,
            None => Client::connect(&bench.target, n as usize).await?,
        };
        running.spawn(async move {
            let name = format!("w-{}", n as usize % OBJECTS);
            let begun = Instant::now();
            let body = config_map(&name, "watch", &(begun - epoch).as_micros().to_string());
            client.expect(Method::PUT, &format!("{}/{name}", config_maps()), body, &[]).await?;
            Ok::<_, anyhow::Error>((client, begun.elapsed()))
        });
    }
    while let Some(done) = running.join_next().await {
        latencies.add(done??.1);
    }
    Ok((count, latencies))
}

async fn watcher(
    mut client: Client,
    epoch: Instant,
    ready: Arc<Barrier>,
    mut stopped: tokio::sync::watch::Receiver<Instant>,
) -> Result<Latencies> {
    let path = format!("{}?labelSelector=bench%3Dwatch", config_maps());
    let list = client.expect(Method::GET, &format!("{path}&limit=1"), Bytes::new(), &[]).await?;
    let version = version_of(&list).context("a list without a version")?;
    let path = format!("{path}&watch=true&resourceVersion={version}");
    let mut body = client.open(Method::GET, &path, Bytes::new()).await?.into_body();
    ready.wait().await;
    let mut latencies = Latencies::default();
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let end = *stopped.borrow_and_update();
        let frame = tokio::select! {
            frame = body.frame() => frame,
            _ = stopped.changed() => continue,
            () = tokio::time::sleep_until(end.into()) => return Ok(latencies),
        };
        let Some(frame) = frame else { return Ok(latencies) };
        let Ok(data) = frame?.into_data() else { continue };
        rest.extend_from_slice(&data);
        let now = epoch.elapsed();
        let mut used = 0;
        while let Some((sent, length)) = note(&rest[used..]) {
            used += length;
            latencies.add(now.saturating_sub(Duration::from_micros(sent)));
        }
        rest.drain(..used);
    }
}

/// The number of the first note (`<123>`) and where it ends. Notes are looked for in JSON and protobuf alike.
fn note(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut from = 0;
    loop {
        let start = from + bytes[from..].iter().position(|b| *b == b'<')?;
        let digits = bytes[start + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        let end = start + 1 + digits;
        match bytes.get(end)? {
            b'>' if digits > 0 => {
                let number = std::str::from_utf8(&bytes[start + 1..end]).ok()?.parse().ok()?;
                return Some((number, end + 1));
            }
            _ => from = start + 1,
        }
    }
}

/// The resourceVersion of a list in JSON; of one in protobuf the second field of its metadata.
fn version_of(list: &[u8]) -> Option<String> {
    if let Ok(list) = serde_json::from_slice::<serde_json::Value>(list) {
        return list["metadata"]["resourceVersion"].as_str().map(str::to_owned);
    }
    // In protobuf: selfLink (1, empty), then resourceVersion (2).
    let at = list.windows(3).position(|w| w == [0x0a, 0, 0x12])? + 3;
    let length = usize::from(*list.get(at)?);
    String::from_utf8(list.get(at + 1..at + 1 + length)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_found_in_pieces() {
        assert_eq!(note(b"x<<a><12>y<3"), Some((12, 9)));
        assert_eq!(note(b"y<3"), None);
        assert_eq!(note(b"y<3>"), Some((3, 4)));
    }
}
