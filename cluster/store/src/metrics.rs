//! The store's metrics: our own names, and etcd's where dashboards know them already.

use std::sync::Arc;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    exponential_buckets,
};

/// Everything that is counted.
pub(crate) struct Metrics {
    /// Proposal to applied, seen by the caller.
    pub commit: Histogram,
    /// One fsync of the log.
    pub fsync: Histogram,
    /// One entry batch applied to memory.
    pub apply: Histogram,
    /// One ReadIndex round.
    pub read_index: Histogram,
    /// A snapshot written.
    pub snapshot: Histogram,
    /// Proposals in one log entry.
    pub batch: Histogram,
    pub leader_changes: IntCounter,
    pub has_leader: IntGauge,
    pub is_leader: IntGauge,
    pub proposals: IntCounterVec,
    pub proposals_pending: IntGauge,
    pub proposals_committed: IntGauge,
    pub proposals_applied: IntGauge,
    pub revision: IntGauge,
    pub objects: IntGauge,
    pub bytes: IntGauge,
    pub history_bytes: IntGauge,
    pub history_revisions: IntGauge,
    pub history_seconds: IntGauge,
    pub sizes: Sizes,
    pub watchers: IntGauge,
    pub watchers_lagged: IntCounter,
    pub events: IntCounter,
    pub log_bytes: IntGauge,
    pub log_written: IntCounter,
    pub peer_sent: IntCounter,
    pub peer_received: IntCounter,
}

impl Metrics {
    /// Makes and registers all of them.
    pub(crate) fn new(registry: &Registry) -> Result<Arc<Metrics>, prometheus::Error> {
        let make = Maker(registry);
        let seconds = |first: f64| exponential_buckets(first, 2.0, 16);
        Ok(Arc::new(Metrics {
            commit: make.histogram(
                "trireme_store_commit_duration_seconds",
                "Proposal to applied",
                seconds(0.0001)?,
            )?,
            fsync: make.histogram(
                "etcd_disk_wal_fsync_duration_seconds",
                "Time of one fsync of the log",
                seconds(0.0001)?,
            )?,
            apply: make.histogram(
                "trireme_store_apply_duration_seconds",
                "Time to apply one run of entries",
                seconds(0.00001)?,
            )?,
            read_index: make.histogram(
                "trireme_store_read_index_duration_seconds",
                "Time of one ReadIndex round",
                seconds(0.0001)?,
            )?,
            snapshot: make.histogram(
                "trireme_store_snapshot_duration_seconds",
                "Time to write a snapshot",
                seconds(0.001)?,
            )?,
            batch: make.histogram(
                "trireme_store_batch_proposals",
                "Proposals that shared one log entry",
                exponential_buckets(1.0, 2.0, 11)?,
            )?,
            leader_changes: make.counter("etcd_server_leader_changes_seen_total", "Leader changes seen")?,
            has_leader: make.gauge("etcd_server_has_leader", "1 when a leader is known")?,
            is_leader: make.gauge("etcd_server_is_leader", "1 when this member leads")?,
            proposals: make.counters("trireme_store_proposals_total", "Proposals by result", "result")?,
            proposals_pending: make.gauge("etcd_server_proposals_pending", "Proposals under way")?,
            proposals_committed: make
                .gauge("etcd_server_proposals_committed_total", "Last committed log index")?,
            proposals_applied: make.gauge("etcd_server_proposals_applied_total", "Last applied log index")?,
            revision: make.gauge("trireme_store_revision", "Newest revision here")?,
            objects: make.gauge("trireme_store_objects", "Objects")?,
            bytes: make.gauge("etcd_mvcc_db_total_size_in_use_in_bytes", "Bytes of all objects")?,
            history_bytes: make.gauge("trireme_store_history_bytes", "Bytes that only the history holds")?,
            history_revisions: make.gauge(
                "trireme_store_history_revisions",
                "Revisions that can still be read and watched from",
            )?,
            history_seconds: make
                .gauge("trireme_store_history_seconds", "Time since the oldest change in the history")?,
            sizes: Sizes::new(&make)?,
            watchers: make.gauge("trireme_store_watchers", "Watches open")?,
            watchers_lagged: make
                .counter("trireme_store_watchers_lagged_total", "Watches cut off for lagging")?,
            events: make.counter("trireme_store_watch_events_total", "Events put into watch queues")?,
            log_bytes: make.gauge("trireme_store_log_bytes", "Bytes of the log on disk")?,
            log_written: make.counter("trireme_store_log_written_bytes_total", "Bytes written to the log")?,
            peer_sent: make.counter("etcd_network_peer_sent_bytes_total", "Bytes sent to peers")?,
            peer_received: make
                .counter("etcd_network_peer_received_bytes_total", "Bytes received from peers")?,
        }))
    }
}

/// What there is, and how much room it takes.
pub(crate) struct Sizes {
    pub voters: IntGauge,
    pub learners: IntGauge,
    /// By kind: the first two segments of a key.
    pub kind_bytes: IntGaugeVec,
    pub kind_objects: IntGaugeVec,
    pub snapshot_bytes: IntGauge,
    pub disk_free: IntGauge,
    pub disk_low: IntGauge,
}

impl Sizes {
    fn new(make: &Maker<'_>) -> Result<Sizes, prometheus::Error> {
        Ok(Sizes {
            disk_free: make
                .gauge("trireme_store_disk_free_bytes", "Room left on the disk, when looked last")?,
            disk_low: make
                .gauge("trireme_store_disk_low", "1 while the disk is nearly full and nothing may grow")?,
            kind_bytes: make.gauges("trireme_store_kind_bytes", "Bytes of all objects of a kind", "kind")?,
            kind_objects: make.gauges("trireme_store_kind_objects", "Objects of a kind", "kind")?,
            voters: make.gauge("trireme_store_voters", "Members that vote")?,
            learners: make.gauge("trireme_store_learners", "Members that do not vote")?,
            snapshot_bytes: make.gauge("trireme_store_snapshot_bytes", "Bytes of the snapshot on disk")?,
        })
    }
}

struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn histogram(&self, name: &str, help: &str, buckets: Vec<f64>) -> Result<Histogram, prometheus::Error> {
        let made = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        let made = IntCounter::new(name, help)?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> Result<IntCounterVec, prometheus::Error> {
        let made = IntCounterVec::new(Opts::new(name, help), &[label])?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn gauges(&self, name: &str, help: &str, label: &str) -> Result<IntGaugeVec, prometheus::Error> {
        let made = IntGaugeVec::new(Opts::new(name, help), &[label])?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        let made = IntGauge::new(name, help)?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }
}
