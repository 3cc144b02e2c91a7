//! The history of a run while it is written. What is recorded first happened first: a call is
//! recorded before it is sent, an answer after it has come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::history::{Record, What};

/// Collects what happens.
pub struct Recorder {
    began: Instant,
    next: AtomicU64,
    records: Mutex<Vec<Record>>,
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder { began: Instant::now(), next: AtomicU64::new(1), records: Mutex::default() }
    }
}

impl Recorder {
    pub fn record(&self, what: What) {
        let mut records = self.records.lock();
        let at_ms = self.began.elapsed().as_millis() as u64;
        records.push(Record { at_ms, what });
    }

    /// A number that no other operation, watch or token of this run has.
    pub fn id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// How many records there are.
    pub fn count(&self) -> usize {
        self.records.lock().len()
    }

    /// The history so far; the next one begins empty.
    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut self.records.lock())
    }
}
