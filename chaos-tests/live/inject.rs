//! How each fault begins and ends.

use std::time::{Duration, Instant};

use super::cluster::{Cluster, SERVERS};
use super::plan::Fault;
use super::stop::Stop;
use crate::sim::dice::Dice;

/// How long a slow disk stands still at a time, and works in between, milliseconds.
const STILL_MS: (u64, u64) = (100, 900);
const WORKS_MS: (u64, u64) = (5, 100);

/// Begins a fault, holds it, ends it, and starts again what has died of it. Whatever fails in
/// between, the fault is ended.
///
/// # Errors
/// What could not be done: the machine's fault or the program's.
pub fn strike(
    cluster: &Cluster,
    fault: Fault,
    victim: u64,
    hold: Duration,
    dice: &mut Dice,
    stop: &Stop,
) -> Result<(), String> {
    let begun = begin(cluster, fault, victim);
    let held = match fault {
        _ if begun.is_err() => Ok(()),
        Fault::SlowDisk => stutter(cluster, victim, hold, dice, stop),
        Fault::FullRestart => {
            stop.wait(hold);
            cluster.up()
        }
        _ => {
            stop.wait(hold);
            Ok(())
        }
    };
    let ended = end(cluster, fault, victim);
    begun.and(held).and(ended)?;
    cluster.up()
}

fn begin(cluster: &Cluster, fault: Fault, victim: u64) -> Result<(), String> {
    match fault {
        Fault::Kill => cluster.signal(victim, libc::SIGKILL),
        Fault::Pause => cluster.signal(victim, libc::SIGSTOP),
        Fault::Transfer => cluster.signal(victim, libc::SIGTERM),
        Fault::Partition | Fault::Mute | Fault::Deaf => cut(cluster, fault, victim, true),
        Fault::DiskFull => cluster.fill(victim, true),
        Fault::FullRestart => cluster.fill(victim, true).and_then(|()| cluster.signal(victim, libc::SIGKILL)),
        Fault::SlowDisk => Ok(()),
    }
}

fn end(cluster: &Cluster, fault: Fault, victim: u64) -> Result<(), String> {
    match fault {
        Fault::Kill | Fault::Transfer | Fault::SlowDisk => Ok(()),
        Fault::Pause => cluster.signal(victim, libc::SIGCONT),
        Fault::Partition | Fault::Mute | Fault::Deaf => cut(cluster, fault, victim, false),
        Fault::DiskFull | Fault::FullRestart => cluster.fill(victim, false),
    }
}

fn cut(cluster: &Cluster, fault: Fault, victim: u64, lose: bool) -> Result<(), String> {
    for other in (1..=SERVERS).filter(|other| *other != victim) {
        if fault != Fault::Deaf {
            cluster.lose(victim, other, lose)?;
        }
        if fault != Fault::Mute {
            cluster.lose(other, victim, lose)?;
        }
    }
    Ok(())
}

/// A disk that is slow: whatever wants to write to it waits, again and again.
fn stutter(
    cluster: &Cluster,
    victim: u64,
    hold: Duration,
    dice: &mut Dice,
    stop: &Stop,
) -> Result<(), String> {
    let until = Instant::now() + hold;
    while Instant::now() < until && !stop.is_asked() {
        cluster.freeze(victim, true)?;
        stop.wait(Duration::from_millis(dice.between(STILL_MS.0, STILL_MS.1)));
        cluster.freeze(victim, false)?;
        stop.wait(Duration::from_millis(dice.between(WORKS_MS.0, WORKS_MS.1)));
    }
    Ok(())
}
