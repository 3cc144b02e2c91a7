//! What pods use: `/stats/summary`, `/metrics/resource`, `/metrics/cadvisor`.

use std::fmt::Write;
use std::sync::Arc;

use http::Response;
use jiff::Timestamp;
use runtime::Stats;
use serde_json::{Value, json};

use super::answer::{Body, json as as_json};
use crate::host::Host;
use crate::manager::Pods;
use crate::pod::spec;
use crate::pod::worker::View;

struct Sample {
    namespace: String,
    pod: String,
    uid: String,
    container: String,
    id: String,
    started_at: Timestamp,
    stats: Stats,
}

fn samples(host: &Host, views: &[View]) -> Vec<Sample> {
    let mut all = Vec::new();
    for view in views {
        for c in &view.state.containers {
            let Some(instance) = c.run.instance() else { continue };
            // A container that just ended has no counters any more.
            let Ok(stats) = host.runtime.stats(&instance.id) else { continue };
            all.push(Sample {
                namespace: spec::namespace(&view.state.pod).to_owned(),
                pod: spec::name(&view.state.pod).to_owned(),
                uid: spec::uid(&view.state.pod).to_owned(),
                container: c.name().to_owned(),
                id: instance.id.clone(),
                started_at: instance.started_at,
                stats,
            });
        }
    }
    all
}

fn cpu(stats: &Stats, now: Timestamp) -> Value {
    json!({"time": now.to_string(), "usageCoreNanoSeconds": stats.cpu_ns})
}

fn memory(stats: &Stats, now: Timestamp) -> Value {
    json!({"time": now.to_string(), "usageBytes": stats.memory_usage, "workingSetBytes": stats.memory_working_set,
        "rssBytes": stats.memory_rss, "pageFaults": stats.page_faults, "majorPageFaults": stats.major_page_faults})
}

/// The summary of the node and its pods.
pub async fn summary(host: &Arc<Host>, pods: &Pods) -> Response<Body> {
    let now = Timestamp::now();
    let views = pods.views();
    let all = samples(host, &views);
    let list: Vec<Value> = views
        .iter()
        .map(|view| {
            let uid = spec::uid(&view.state.pod);
            let containers: Vec<Value> = all
                .iter()
                .filter(|s| s.uid == uid)
                .map(|s| {
                    json!({"name": s.container, "startTime": s.started_at.to_string(), "cpu": cpu(&s.stats, now),
                        "memory": memory(&s.stats, now)})
                })
                .collect();
            let total = host.runtime.sandbox_stats(uid).unwrap_or_default();
            json!({
                "podRef": {"name": spec::name(&view.state.pod), "namespace": spec::namespace(&view.state.pod), "uid": uid},
                "startTime": view.state.started_at.to_string(), "containers": containers, "cpu": cpu(&total, now),
                "memory": memory(&total, now), "process_stats": {"process_count": total.pids},
            })
        })
        .collect();
    let capacity = host.runtime.capacity();
    let node = node_stats();
    as_json(&json!({
        "node": {
            "nodeName": host.cfg.node_name, "startTime": now.to_string(), "cpu": cpu(&node, now),
            "memory": memory(&node, now),
            "fs": {"time": now.to_string(), "capacityBytes": capacity.disk_bytes,
                "availableBytes": capacity.disk_available_bytes, "inodes": capacity.disk_inodes,
                "inodesFree": capacity.disk_inodes_available},
        },
        "pods": list,
    }))
}

/// The machine as a whole, from `/proc`.
fn node_stats() -> Stats {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let stat = read("/proc/stat");
    let ticks: u64 = stat
        .lines()
        .next()
        .map(|l| l.split_whitespace().skip(1).take(8).enumerate())
        .map(|fields| {
            fields.filter(|(i, _)| *i != 3 && *i != 4).filter_map(|(_, v)| v.parse::<u64>().ok()).sum()
        })
        .unwrap_or(0);
    let meminfo = read("/proc/meminfo");
    let kib = |name: &str| -> u64 {
        let line = meminfo.lines().find(|l| l.starts_with(name));
        line.and_then(|l| l.split_whitespace().nth(1)).and_then(|v| v.parse().ok()).unwrap_or(0)
    };
    let used = (kib("MemTotal:").saturating_sub(kib("MemFree:"))) * 1024;
    Stats {
        cpu_ns: ticks.saturating_mul(10_000_000),
        memory_usage: used,
        memory_working_set: kib("MemTotal:").saturating_sub(kib("MemAvailable:")) * 1024,
        memory_rss: kib("AnonPages:") * 1024,
        ..Stats::default()
    }
}

/// Name, kind, help and value of a family of metrics.
type Family<T> = (&'static str, &'static str, &'static str, fn(&T) -> f64);

struct Writer(String);

impl Writer {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a String can not fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        // Writing into a String can not fail.
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

fn seconds(stats: &Stats) -> f64 {
    stats.cpu_ns as f64 / 1e9
}

/// The metrics that the metrics server reads.
pub fn resource_metrics(host: &Host, pods: &Pods) -> String {
    let views = pods.views();
    let all = samples(host, &views);
    let mut w = Writer(String::new());
    let of = |s: &Sample| [s.container.clone(), s.namespace.clone(), s.pod.clone()];
    let labels = |v: &[String; 3]| -> Vec<(&'static str, String)> {
        vec![("container", v[0].clone()), ("namespace", v[1].clone()), ("pod", v[2].clone())]
    };
    let families: [Family<Sample>; 3] = [
        ("container_cpu_usage_seconds_total", "counter", "CPU time of a container.", |s| seconds(&s.stats)),
        ("container_memory_working_set_bytes", "gauge", "Working set of a container.", |s| {
            s.stats.memory_working_set as f64
        }),
        ("container_start_time_seconds", "gauge", "Start of a container.", |s| {
            s.started_at.as_millisecond() as f64 / 1e3
        }),
    ];
    for (name, kind, help, value) in families {
        w.family(name, kind, help);
        for s in &all {
            let owned = labels(&of(s));
            let borrowed: Vec<(&str, &str)> = owned.iter().map(|(k, v)| (*k, v.as_str())).collect();
            w.sample(name, &borrowed, value(s));
        }
    }
    let node = node_stats();
    w.family("node_cpu_usage_seconds_total", "counter", "CPU time of the node.");
    w.sample("node_cpu_usage_seconds_total", &[], seconds(&node));
    w.family("node_memory_working_set_bytes", "gauge", "Working set of the node.");
    w.sample("node_memory_working_set_bytes", &[], node.memory_working_set as f64);
    let totals: Vec<(View, Stats)> = views
        .into_iter()
        .filter_map(|v| host.runtime.sandbox_stats(spec::uid(&v.state.pod)).ok().map(|s| (v, s)))
        .collect();
    w.family("pod_cpu_usage_seconds_total", "counter", "CPU time of a pod.");
    for (v, s) in &totals {
        let p = &v.state.pod;
        w.sample(
            "pod_cpu_usage_seconds_total",
            &[("namespace", spec::namespace(p)), ("pod", spec::name(p))],
            seconds(s),
        );
    }
    w.family("pod_memory_working_set_bytes", "gauge", "Working set of a pod.");
    for (v, s) in &totals {
        let p = &v.state.pod;
        let labels = [("namespace", spec::namespace(p)), ("pod", spec::name(p))];
        w.sample("pod_memory_working_set_bytes", &labels, s.memory_working_set as f64);
    }
    w.family("resource_scrape_error", "gauge", "1 when the sizes could not be read.");
    w.sample("resource_scrape_error", &[], 0.0);
    w.0
}

/// The container metrics that dashboards know.
pub fn cadvisor_metrics(host: &Host, pods: &Pods) -> String {
    let all = samples(host, &pods.views());
    let mut w = Writer(String::new());
    let families: [Family<Stats>; 5] = [
        ("container_cpu_usage_seconds_total", "counter", "CPU time.", seconds),
        ("container_memory_working_set_bytes", "gauge", "Working set.", |s| s.memory_working_set as f64),
        ("container_memory_usage_bytes", "gauge", "Memory in use.", |s| s.memory_usage as f64),
        ("container_memory_rss", "gauge", "Anonymous memory.", |s| s.memory_rss as f64),
        ("container_processes", "gauge", "Processes.", |s| s.pids as f64),
    ];
    for (name, kind, help, value) in families {
        w.family(name, kind, help);
        for s in &all {
            let labels = [
                ("container", &*s.container),
                ("id", &*s.id),
                ("namespace", &*s.namespace),
                ("pod", &*s.pod),
            ];
            w.sample(name, &labels, value(&s.stats));
        }
    }
    w.0
}
