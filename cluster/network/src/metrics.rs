//! What is counted. Names are those of kube-proxy and CoreDNS, so that existing dashboards work.

use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Seconds; from a cached DNS answer to a full rewrite of a large table.
const BUCKETS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// Of the service proxy.
#[derive(Clone)]
pub struct ProxyMetrics {
    pub sync_duration: Histogram,
    pub last_sync: Gauge,
    pub sync_failures: IntCounter,
    pub full_syncs: IntCounter,
    pub frontends: IntGauge,
    pub stale_flows: IntCounter,
}

impl ProxyMetrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            sync_duration: histogram(
                "kubeproxy_sync_proxy_rules_duration_seconds",
                "Time to bring a change of services into the kernel",
            )?,
            last_sync: Gauge::new(
                "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
                "When the kernel last agreed with the services",
            )?,
            sync_failures: IntCounter::new(
                "kubeproxy_sync_proxy_rules_nftables_sync_failures_total",
                "Changes that the kernel refused; each is followed by a full rewrite",
            )?,
            full_syncs: IntCounter::new(
                "kubeproxy_sync_proxy_rules_full_total",
                "How often the whole table was written",
            )?,
            frontends: IntGauge::new(
                "kubeproxy_frontends",
                "Addresses and ports on which services are reached",
            )?,
            stale_flows: IntCounter::new(
                "kubeproxy_conntrack_reconciler_deleted_entries_total",
                "UDP flows to endpoints that are gone, forgotten",
            )?,
        };
        registry.register(Box::new(metrics.sync_duration.clone()))?;
        registry.register(Box::new(metrics.last_sync.clone()))?;
        registry.register(Box::new(metrics.sync_failures.clone()))?;
        registry.register(Box::new(metrics.full_syncs.clone()))?;
        registry.register(Box::new(metrics.frontends.clone()))?;
        registry.register(Box::new(metrics.stale_flows.clone()))?;
        Ok(metrics)
    }
}

/// Of the cluster DNS.
#[derive(Clone)]
pub struct DnsMetrics {
    requests: IntCounterVec,
    responses: IntCounterVec,
    duration: Histogram,
}

impl DnsMetrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = Opts::new("coredns_dns_requests_total", "Questions asked");
        let responses = Opts::new("coredns_dns_responses_total", "Answers by response code");
        let metrics = Self {
            requests: IntCounterVec::new(requests, &["proto", "type"])?,
            responses: IntCounterVec::new(responses, &["rcode"])?,
            duration: histogram("coredns_dns_request_duration_seconds", "Time to answer a question")?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.responses.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        Ok(metrics)
    }

    /// Counts one question with its answer.
    pub fn observe(&self, udp: bool, kind: Option<RecordType>, code: ResponseCode, took: Duration) {
        let kind = match kind {
            Some(RecordType::A) => "A",
            Some(RecordType::AAAA) => "AAAA",
            Some(RecordType::SRV) => "SRV",
            Some(RecordType::PTR) => "PTR",
            Some(RecordType::CNAME) => "CNAME",
            Some(RecordType::TXT) => "TXT",
            Some(RecordType::SOA) => "SOA",
            Some(RecordType::NS) => "NS",
            Some(RecordType::ANY) => "ANY",
            _ => "other",
        };
        let code = match code {
            ResponseCode::NoError => "NOERROR",
            ResponseCode::NXDomain => "NXDOMAIN",
            ResponseCode::ServFail => "SERVFAIL",
            ResponseCode::Refused => "REFUSED",
            ResponseCode::FormErr => "FORMERR",
            ResponseCode::NotImp => "NOTIMP",
            _ => "other",
        };
        self.requests.with_label_values(&[if udp { "udp" } else { "tcp" }, kind]).inc();
        self.responses.with_label_values(&[code]).inc();
        self.duration.observe(took.as_secs_f64());
    }
}

fn histogram(name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(BUCKETS.to_vec()))
}
