//! The `scheduler_*` metrics of Kubernetes.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, core::Collector,
};
use std::time::Duration;

#[derive(Clone)]
pub(crate) struct Metrics {
    attempts: IntCounterVec,
    attempt_duration: HistogramVec,
    algorithm_duration: Histogram,
    pending: IntGaugeVec,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Self {
        let buckets = || prometheus::exponential_buckets(0.0001, 2.0, 16).expect("valid buckets");
        let histogram = |name: &str, help: &str| HistogramOpts::new(name, help).buckets(buckets());
        let metrics = Self {
            attempts: IntCounterVec::new(
                Opts::new("scheduler_schedule_attempts_total", "Attempts to place a pod, by result."),
                &["result", "profile"],
            )
            .expect("valid metric"),
            attempt_duration: HistogramVec::new(
                histogram("scheduler_scheduling_attempt_duration_seconds", "Decision and binding together."),
                &["result", "profile"],
            )
            .expect("valid metric"),
            algorithm_duration: Histogram::with_opts(histogram(
                "scheduler_scheduling_algorithm_duration_seconds",
                "The decision alone.",
            ))
            .expect("valid metric"),
            pending: IntGaugeVec::new(
                Opts::new("scheduler_pending_pods", "Pods that wait, by queue."),
                &["queue"],
            )
            .expect("valid metric"),
        };
        let collectors: [Box<dyn Collector>; 4] = [
            Box::new(metrics.attempts.clone()),
            Box::new(metrics.attempt_duration.clone()),
            Box::new(metrics.algorithm_duration.clone()),
            Box::new(metrics.pending.clone()),
        ];
        for collector in collectors {
            if let Err(error) = registry.register(collector) {
                tracing::debug!(%error, "scheduler metrics are registered already");
            }
        }
        metrics
    }

    pub fn decided(&self, took: Duration) {
        self.algorithm_duration.observe(took.as_secs_f64());
    }

    pub fn attempted(&self, result: &str, took: Duration) {
        let labels = [result, "default-scheduler"];
        self.attempts.with_label_values(&labels).inc();
        self.attempt_duration.with_label_values(&labels).observe(took.as_secs_f64());
    }

    pub fn pending(&self, [active, backoff, unschedulable]: [usize; 3]) {
        for (queue, count) in [("active", active), ("backoff", backoff), ("unschedulable", unschedulable)] {
            self.pending.with_label_values(&[queue]).set(count as i64);
        }
    }
}
