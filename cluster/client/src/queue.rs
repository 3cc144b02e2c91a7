//! Work queues: a set of keys to look at, each given to one worker at a time.

use parking_lot::Mutex;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, core::Collector};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    hash::Hash,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// The first delay after a failure; doubled with each further one.
const FIRST_RETRY: Duration = Duration::from_millis(5);
/// The longest delay after a failure.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// The `workqueue_*` metrics of Kubernetes, shared by all queues of a process.
#[derive(Clone)]
pub struct QueueMetrics {
    depth: IntGaugeVec,
    adds: IntCounterVec,
    retries: IntCounterVec,
    waited: HistogramVec,
    worked: HistogramVec,
}

impl QueueMetrics {
    /// Makes the metrics and registers them in `registry`; when it has them already, these ones are
    /// counted but not shown, so make them once per process.
    pub fn new(registry: &Registry) -> Self {
        let label = &["name"];
        let buckets = || prometheus::exponential_buckets(1e-5, 10.0, 7).expect("valid buckets");
        let histogram = |name: &str, help: &str| {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets()), label).expect("valid metric")
        };
        let counter =
            |name: &str, help: &str| IntCounterVec::new(Opts::new(name, help), label).expect("valid metric");
        let metrics = Self {
            depth: IntGaugeVec::new(Opts::new("workqueue_depth", "Keys that are due."), label)
                .expect("valid metric"),
            adds: counter("workqueue_adds_total", "Keys added."),
            retries: counter("workqueue_retries_total", "Keys added again after a failure."),
            waited: histogram(
                "workqueue_queue_duration_seconds",
                "How long a key was due before a worker took it.",
            ),
            worked: histogram("workqueue_work_duration_seconds", "How long a worker took for a key."),
        };
        let collectors: [Box<dyn Collector>; 5] = [
            Box::new(metrics.depth.clone()),
            Box::new(metrics.adds.clone()),
            Box::new(metrics.retries.clone()),
            Box::new(metrics.waited.clone()),
            Box::new(metrics.worked.clone()),
        ];
        for collector in collectors {
            if let Err(error) = registry.register(collector) {
                tracing::debug!(%error, "work queue metrics are registered already");
            }
        }
        metrics
    }
}

/// A deduplicating queue with per-key exponential back-off. Clones share it.
pub struct Queue<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    state: Mutex<State<K>>,
    wake: Notify,
    metrics: Option<(&'static str, QueueMetrics)>,
}

struct State<K> {
    due: VecDeque<K>,
    /// Since when each key waits: those in `due`, and those to be due again after `done`.
    dirty: HashMap<K, Instant>,
    working: HashMap<K, Instant>,
    delayed: BTreeSet<(Instant, K)>,
    delays: HashMap<K, Instant>,
    failures: HashMap<K, u32>,
    closed: bool,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<K: Clone + Eq + Hash + Ord> State<K> {
    fn add(&mut self, key: K, now: Instant) -> bool {
        if self.dirty.contains_key(&key) {
            return false;
        }
        self.dirty.insert(key.clone(), now);
        if !self.working.contains_key(&key) {
            self.due.push_back(key);
        }
        true
    }

    /// Makes due what was delayed until now; the next moment at which there is something to do.
    fn ripen(&mut self, now: Instant) -> Option<Instant> {
        while let Some((at, key)) = self.delayed.first().cloned() {
            if at > now {
                return Some(at);
            }
            self.delayed.pop_first();
            self.delays.remove(&key);
            self.add(key, now);
        }
        None
    }
}

impl<K: Clone + Eq + Hash + Ord + Send + 'static> Queue<K> {
    /// A queue without metrics.
    pub fn new() -> Self {
        Self::build(None)
    }

    /// A queue whose depth, latency and retries are reported under `name`.
    pub fn named(name: &'static str, metrics: &QueueMetrics) -> Self {
        Self::build(Some((name, metrics.clone())))
    }

    fn build(metrics: Option<(&'static str, QueueMetrics)>) -> Self {
        let state = State {
            due: VecDeque::new(),
            dirty: HashMap::new(),
            working: HashMap::new(),
            delayed: BTreeSet::new(),
            delays: HashMap::new(),
            failures: HashMap::new(),
            closed: false,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), wake: Notify::new(), metrics }) }
    }

    /// Asks for a look at `key` as soon as a worker is free.
    pub fn add(&self, key: K) {
        let added = self.shared.state.lock().add(key, Instant::now());
        if added {
            self.shared.wake.notify_one();
            if let Some((name, metrics)) = &self.shared.metrics {
                metrics.adds.with_label_values(&[name]).inc();
            }
        }
        self.report_depth();
    }

    /// Asks for a look at `key` after `delay` (an earlier wish for the same key wins).
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let at = Instant::now() + delay;
        let mut state = self.shared.state.lock();
        match state.delays.get(&key).copied() {
            Some(earlier) if earlier <= at => return,
            Some(later) => {
                state.delayed.remove(&(later, key.clone()));
            }
            None => {}
        }
        state.delays.insert(key.clone(), at);
        state.delayed.insert((at, key));
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Asks for another look after a failure: 5 ms, doubled each time up to 30 s.
    pub fn retry(&self, key: K) {
        let delay = {
            let mut state = self.shared.state.lock();
            let failures = state.failures.entry(key.clone()).or_insert(0);
            *failures += 1;
            FIRST_RETRY.saturating_mul(1 << (*failures - 1).min(16)).min(LONGEST_RETRY)
        };
        if let Some((name, metrics)) = &self.shared.metrics {
            metrics.retries.with_label_values(&[name]).inc();
        }
        self.add_after(key, delay);
    }

    /// The last look succeeded: the next failure begins with the shortest delay again.
    pub fn forget(&self, key: &K) {
        self.shared.state.lock().failures.remove(key);
    }

    /// How often in a row `key` was retried.
    pub fn retries(&self, key: &K) -> u32 {
        self.shared.state.lock().failures.get(key).copied().unwrap_or(0)
    }

    /// The next key; no other worker gets it before [`Queue::done`]. `None` after [`Queue::close`].
    pub async fn next(&self) -> Option<K> {
        loop {
            let notified = self.shared.wake.notified();
            let next_at = {
                let mut state = self.shared.state.lock();
                if state.closed {
                    return None;
                }
                let now = Instant::now();
                let next_at = state.ripen(now);
                if let Some(key) = state.due.pop_front() {
                    let since = state.dirty.remove(&key).unwrap_or(now);
                    state.working.insert(key.clone(), now);
                    let more = !state.due.is_empty();
                    drop(state);
                    self.taken(now - since, more);
                    return Some(key);
                }
                next_at
            };
            match next_at {
                None => notified.await,
                Some(at) => tokio::select! {
                    () = notified => {}
                    () = tokio::time::sleep_until(at) => {}
                },
            }
        }
    }

    fn taken(&self, waited: Duration, more: bool) {
        if more {
            // A burst may have left one stored permit only: wake the next worker.
            self.shared.wake.notify_one();
        }
        if let Some((name, metrics)) = &self.shared.metrics {
            metrics.waited.with_label_values(&[name]).observe(waited.as_secs_f64());
        }
        self.report_depth();
    }

    /// The worker has finished with `key`; a wish that came meanwhile makes it due again.
    pub fn done(&self, key: &K) {
        let mut state = self.shared.state.lock();
        let began = state.working.remove(key);
        let again = state.dirty.contains_key(key);
        if again {
            state.due.push_back(key.clone());
        }
        drop(state);
        if again {
            self.shared.wake.notify_one();
        }
        if let (Some((name, metrics)), Some(began)) = (&self.shared.metrics, began) {
            metrics.worked.with_label_values(&[name]).observe(began.elapsed().as_secs_f64());
        }
        self.report_depth();
    }

    fn report_depth(&self) {
        if let Some((name, metrics)) = &self.shared.metrics {
            metrics.depth.with_label_values(&[name]).set(self.len() as i64);
        }
    }

    /// How many keys are due.
    pub fn len(&self) -> usize {
        self.shared.state.lock().due.len()
    }

    /// Whether no key is due.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends all calls of [`Queue::next`].
    pub fn close(&self) {
        self.shared.state.lock().closed = true;
        self.shared.wake.notify_waiters();
        self.shared.wake.notify_one();
    }
}

impl<K: Clone + Eq + Hash + Ord + Send + 'static> Default for Queue<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::collections::HashSet;

    #[tokio::test]
    async fn a_key_is_with_one_worker_and_no_wish_is_lost() {
        let queue = Queue::new();
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.next().await, Some("a"));
        queue.add("a");
        assert!(queue.next().now_or_never().is_none(), "still with the first worker");
        queue.done(&"a");
        assert_eq!(queue.next().await, Some("a"));
        queue.done(&"a");
        assert!(queue.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn delays_and_failures() {
        let queue = Queue::new();
        let start = Instant::now();
        queue.add_after("late", Duration::from_secs(9));
        queue.add_after("late", Duration::from_millis(80));
        queue.add_after("late", Duration::from_secs(5));
        queue.retry("bad");
        queue.retry("bad");
        assert_eq!(queue.next().await, Some("bad"));
        queue.done(&"bad");
        assert_eq!(queue.retries(&"bad"), 2);
        queue.forget(&"bad");
        assert_eq!(queue.retries(&"bad"), 0);
        assert_eq!(queue.next().await, Some("late"));
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(80) && took < Duration::from_secs(4), "{took:?}");
        queue.done(&"late");
        queue.close();
        assert_eq!(queue.next().await, None);
    }

    #[tokio::test]
    async fn every_worker_gets_something_of_a_burst() {
        let queue = Queue::new();
        let workers: Vec<_> = (0..4)
            .map(|_| {
                tokio::spawn({
                    let queue = queue.clone();
                    async move { queue.next().await }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        (0..4).for_each(|n| queue.add(n));
        let mut got = HashSet::new();
        for worker in workers {
            got.insert(tokio::time::timeout(Duration::from_secs(5), worker).await.unwrap().unwrap().unwrap());
        }
        assert_eq!(got.len(), 4);
    }
}
