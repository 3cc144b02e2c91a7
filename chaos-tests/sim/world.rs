//! What everything simulated shares: the time, the trace, the history.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::dice::Dice;
use crate::history::{Record, What};

/// The start of simulated time, milliseconds since the Unix epoch.
pub const EPOCH_MS: u64 = 1_800_000_000_000;

/// The shared part of one run.
pub struct World {
    pub seed: u64,
    started: Instant,
    trace: Mutex<Trace>,
    history: Mutex<Vec<Record>>,
    ids: AtomicU64,
}

/// A checksum over every step.
#[derive(Default)]
struct Trace {
    hash: u64,
    steps: u64,
}

/// What kind of step the trace notes.
#[derive(Clone, Copy)]
pub enum Step {
    Sent = 1,
    Received,
    Connected,
    DiskWrite,
    DiskSync,
    DiskOther,
    Recorded,
}

impl World {
    /// A new world; within the runtime whose time it uses.
    #[must_use]
    pub fn new(seed: u64) -> Arc<World> {
        Arc::new(World {
            seed,
            started: Instant::now(),
            trace: Mutex::default(),
            history: Mutex::default(),
            ids: AtomicU64::new(1),
        })
    }

    /// Random numbers for one purpose.
    #[must_use]
    pub fn dice(&self, stream: &str) -> Dice {
        Dice::new(self.seed, stream)
    }

    /// A number that was not given before.
    pub fn id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Adds a step to the trace.
    pub fn step(&self, step: Step, a: u64, b: u64) {
        let now = self.elapsed().as_micros() as u64;
        let mut trace = self.trace.lock();
        trace.steps += 1;
        for word in [step as u64, now, a, b] {
            trace.hash = (trace.hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    /// Adds to the history.
    pub fn record(&self, what: What) {
        let at_ms = self.elapsed().as_millis() as u64;
        tracing::debug!(at_ms, ?what, "recorded");
        let mut history = self.history.lock();
        history.push(Record { at_ms, what });
        let place = history.len() as u64;
        drop(history);
        self.step(Step::Recorded, place, 0);
    }

    /// A fault was injected.
    pub fn fault(&self, text: String) {
        self.record(What::Fault { text });
    }

    /// What may not happen happened.
    pub fn problem(&self, text: String) {
        self.record(What::Problem { text });
    }

    /// Ends the recording.
    pub fn take(&self) -> (Vec<Record>, u64, u64) {
        let trace = self.trace.lock();
        let history = std::mem::take(&mut *self.history.lock());
        let text = format!("{history:?}");
        let hash = trace.hash ^ u64::from(crc32fast::hash(text.as_bytes()));
        (history, hash, trace.steps)
    }
}
