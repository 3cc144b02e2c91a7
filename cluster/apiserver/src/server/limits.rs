//! How many requests run at one time (Kubernetes' --max-requests-inflight).

use std::sync::atomic::{AtomicUsize, Ordering};

use api::Status;

const MOST_READS: usize = 800;
const MOST_WRITES: usize = 400;

/// Requests in flight, reads and writes apart.
#[derive(Default)]
pub(crate) struct Limits {
    reads: AtomicUsize,
    writes: AtomicUsize,
}

/// Counts one request for as long as it lives.
pub(crate) struct InFlight<'l>(&'l AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Limits {
    /// Takes a place, or refuses with 429. `exempt` requests are counted, never refused.
    pub(crate) fn enter(&self, write: bool, exempt: bool) -> Result<InFlight<'_>, Status> {
        let (count, most) = if write { (&self.writes, MOST_WRITES) } else { (&self.reads, MOST_READS) };
        let before = count.fetch_add(1, Ordering::Relaxed);
        let place = InFlight(count);
        if before >= most && !exempt {
            return Err(Status::too_many_requests("too many requests, please try again later", 1));
        }
        Ok(place)
    }

    /// (reads, writes) in flight.
    pub(crate) fn current(&self) -> (usize, usize) {
        (self.reads.load(Ordering::Relaxed), self.writes.load(Ordering::Relaxed))
    }
}
