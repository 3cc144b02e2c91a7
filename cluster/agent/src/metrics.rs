//! The agent's own measurements, under the kubelet's metric names.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

#[derive(Clone)]
pub struct Metrics {
    pub running_pods: IntGauge,
    pub running_containers: IntGaugeVec,
    /// From the first sight of a pod to its first running report.
    pub pod_start: Histogram,
    /// One step of a pod's worker.
    pub pod_worker: HistogramVec,
    pub runtime_operations: HistogramVec,
    pub runtime_errors: IntCounterVec,
    pub started_containers: IntCounterVec,
    pub probes: IntCounterVec,
    pub http_requests: IntCounterVec,
}

fn start_buckets() -> Vec<f64> {
    vec![0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0]
}

impl Metrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter =
            |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let histogram = |name: &str, help: &str| HistogramOpts::new(name, help).buckets(start_buckets());
        let m = Metrics {
            running_pods: IntGauge::new("kubelet_running_pods", "Pods that have a running sandbox.")?,
            running_containers: IntGaugeVec::new(
                Opts::new("kubelet_running_containers", "Containers by state."),
                &["container_state"],
            )?,
            pod_start: Histogram::with_opts(histogram(
                "kubelet_pod_start_duration_seconds",
                "From the first sight of a pod to its first report as running.",
            ))?,
            pod_worker: HistogramVec::new(
                histogram("kubelet_pod_worker_duration_seconds", "One step of a pod's worker."),
                &["operation_type"],
            )?,
            runtime_operations: HistogramVec::new(
                histogram(
                    "kubelet_runtime_operations_duration_seconds",
                    "Operations of the container runtime.",
                ),
                &["operation_type"],
            )?,
            runtime_errors: counter(
                "kubelet_runtime_operations_errors_total",
                "Operations of the container runtime that failed.",
                &["operation_type"],
            )?,
            started_containers: counter(
                "kubelet_started_containers_total",
                "Containers that were started.",
                &["container_type"],
            )?,
            probes: counter("prober_probe_total", "Probes by type and result.", &["probe_type", "result"])?,
            http_requests: counter(
                "kubelet_http_requests_total",
                "Requests to the agent's server.",
                &["method", "path", "server_type"],
            )?,
        };
        registry.register(Box::new(m.running_pods.clone()))?;
        registry.register(Box::new(m.running_containers.clone()))?;
        registry.register(Box::new(m.pod_start.clone()))?;
        registry.register(Box::new(m.pod_worker.clone()))?;
        registry.register(Box::new(m.runtime_operations.clone()))?;
        registry.register(Box::new(m.runtime_errors.clone()))?;
        registry.register(Box::new(m.started_containers.clone()))?;
        registry.register(Box::new(m.probes.clone()))?;
        registry.register(Box::new(m.http_requests.clone()))?;
        Ok(m)
    }

    /// Measures one operation of the runtime.
    pub async fn operation<T, E>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let timer = self.runtime_operations.with_label_values(&[name]).start_timer();
        let result = work.await;
        timer.observe_duration();
        if result.is_err() {
            self.runtime_errors.with_label_values(&[name]).inc();
        }
        result
    }
}
