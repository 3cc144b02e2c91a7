//! Metrics with Kubernetes' names. Labels come from the registry of resources and from fixed
//! words, never from what a client wrote.

use std::time::Instant;

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::request::RequestInfo;

/// Seconds, as Kubernetes buckets request durations.
const REQUEST_BUCKETS: &[f64] = &[
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0,
    20.0, 30.0, 45.0, 60.0,
];
const STAGE_BUCKETS: &[f64] = &[
    0.000_01, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0, 10.0,
];

const REQUEST: [&str; 6] = ["verb", "group", "version", "resource", "subresource", "scope"];

/// All metrics of the API server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    in_flight: IntGaugeVec,
    long_running: IntGaugeVec,
    stages: HistogramVec,
    watch_events: IntCounterVec,
    storage_objects: IntGaugeVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let labels = |more: &[&'static str]| [&REQUEST, more].concat();
        let metrics = Self {
            registry: registry.clone(),
            requests: IntCounterVec::new(
                Opts::new("apiserver_request_total", "Requests by what they asked for and the HTTP code."),
                &labels(&["component", "code", "dry_run"]),
            )?,
            durations: HistogramVec::new(
                HistogramOpts::new("apiserver_request_duration_seconds", "Time to answer a request.")
                    .buckets(REQUEST_BUCKETS.to_vec()),
                &labels(&["component", "dry_run"]),
            )?,
            in_flight: IntGaugeVec::new(
                Opts::new("apiserver_current_inflight_requests", "Requests that are being answered."),
                &["request_kind"],
            )?,
            long_running: IntGaugeVec::new(
                Opts::new("apiserver_longrunning_requests", "Watches, logs and sessions that are open."),
                &labels(&["component"]),
            )?,
            stages: HistogramVec::new(
                HistogramOpts::new(
                    "trireme_apiserver_stage_duration_seconds",
                    "Time in one stage of a request.",
                )
                .buckets(STAGE_BUCKETS.to_vec()),
                &["stage"],
            )?,
            watch_events: IntCounterVec::new(
                Opts::new("apiserver_watch_events_total", "Events sent to watchers."),
                &["group", "version", "resource"],
            )?,
            storage_objects: IntGaugeVec::new(
                Opts::new("apiserver_storage_objects", "Stored objects by resource."),
                &["resource"],
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.durations.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.long_running.clone()))?;
        registry.register(Box::new(metrics.stages.clone()))?;
        registry.register(Box::new(metrics.watch_events.clone()))?;
        registry.register(Box::new(metrics.storage_objects.clone()))?;
        Ok(metrics)
    }

    /// One stage is over.
    pub(crate) fn stage(&self, stage: &str, start: Instant) {
        self.stages.with_label_values(&[stage]).observe(start.elapsed().as_secs_f64());
    }

    /// One request is answered. Paths that name no known resource share one label.
    pub(crate) fn request(&self, info: &RequestInfo, known: bool, code: u16, dry_run: bool, start: Instant) {
        let verb = info.verb.to_ascii_uppercase();
        let dry_run = if dry_run { "All" } else { "" };
        let request = Self::labels(&verb, info, known);
        let mut labels = [&request[..], &["apiserver", dry_run]].concat();
        if !info.is_long_running() {
            self.durations.with_label_values(&labels).observe(start.elapsed().as_secs_f64());
        }
        let code = code.to_string();
        labels.insert(7, &code);
        self.requests.with_label_values(&labels).inc();
    }

    fn labels<'a>(verb: &'a str, info: &'a RequestInfo, known: bool) -> [&'a str; 6] {
        if known {
            [verb, &info.group, &info.version, &info.resource, &info.subresource, info.scope()]
        } else {
            [verb, "", "", "", "", ""]
        }
    }

    /// A watch, log or session is open for as long as the guard lives.
    pub(crate) fn long_running(&self, info: &RequestInfo) -> LongRunning {
        let verb = info.verb.to_ascii_uppercase();
        let labels = [&Self::labels(&verb, info, true)[..], &["apiserver"]].concat();
        let gauge = self.long_running.with_label_values(&labels);
        gauge.inc();
        LongRunning(gauge)
    }

    /// A counter of the events sent to one watch.
    pub(crate) fn watch_events(&self, group: &str, version: &str, resource: &str) -> prometheus::IntCounter {
        self.watch_events.with_label_values(&[group, version, resource])
    }

    /// `/metrics`, with the gauges that are only known when somebody asks.
    pub(crate) fn render(
        &self,
        (reads, writes): (usize, usize),
        objects: impl Iterator<Item = (String, usize)>,
    ) -> Result<Vec<u8>, prometheus::Error> {
        self.in_flight.with_label_values(&["readOnly"]).set(reads as i64);
        self.in_flight.with_label_values(&["mutating"]).set(writes as i64);
        for (resource, count) in objects {
            self.storage_objects.with_label_values(&[&resource]).set(count as i64);
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// See [`Metrics::long_running`].
pub(crate) struct LongRunning(prometheus::IntGauge);

impl Drop for LongRunning {
    fn drop(&mut self) {
        self.0.dec();
    }
}
