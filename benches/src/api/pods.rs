//! The list of very many pods: how much memory the servers take for it beyond what they had.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;

use super::Bench;
use super::client::Client;
use super::objects::{fill, pod, pods};
use crate::measure::resident;

/// Between two looks at the memory.
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub async fn run(bench: &Bench) -> Result<()> {
    let begun = Instant::now();
    fill(&bench.target, pods(), bench.args.pods, pod).await?;
    println!("{} pods created in {:.1} s", bench.args.pods, begun.elapsed().as_secs_f64());
    let done = Arc::new(AtomicBool::new(false));
    let before = peaks(&bench.args.pids)?;
    let (pids, ended) = (bench.args.pids.clone(), done.clone());
    let looking = std::thread::spawn(move || {
        let mut most = vec![0; pids.len()];
        while !ended.load(Ordering::Relaxed) {
            for (most, now) in most.iter_mut().zip(peaks(&pids)?) {
                *most = now.max(*most);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok::<_, anyhow::Error>(most)
    });
    let mut client = Client::connect(&bench.target, 0).await?;
    let begun = Instant::now();
    let answer = client.open(Method::GET, &pods(), Bytes::new()).await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    let (mut body, mut bytes) = (answer.into_body(), 0);
    while let Some(frame) = body.frame().await {
        bytes += frame?.into_data().map_or(0, |data| data.len());
    }
    let seconds = begun.elapsed().as_secs_f64();
    done.store(true, Ordering::Relaxed);
    let most = looking.join().map_err(|_| anyhow::anyhow!("the look at the memory panicked"))??;
    let growth = most.iter().zip(&before).map(|(most, before)| most.saturating_sub(*before)).max();
    println!(
        "list of {} pods: {:.0} MB in {seconds:.2} s; the most that a server grew: {:.1} MB",
        bench.args.pods,
        bytes as f64 / 1e6,
        growth.unwrap_or(0) as f64 / 1e6,
    );
    Ok(())
}

fn peaks(pids: &[u32]) -> Result<Vec<u64>> {
    pids.iter().map(|pid| resident(*pid)).collect()
}
