//! Reading counters in the words of either version.

use std::io;
use std::path::{Path, PathBuf};

use super::Hierarchy;
use crate::status::Stats;

/// Collects the counters of one cgroup from all hierarchies.
pub fn read(dirs: &[(&Hierarchy, PathBuf)]) -> io::Result<Stats> {
    let mut stats = Stats::default();
    let mut found = false;
    for (hierarchy, dir) in dirs {
        found |= dir.is_dir();
        if hierarchy.is_v2() {
            read_v2(dir, &mut stats);
        } else {
            read_v1(hierarchy, dir, &mut stats);
        }
    }
    if found { Ok(stats) } else { Err(io::ErrorKind::NotFound.into()) }
}

fn read_v1(hierarchy: &Hierarchy, dir: &Path, stats: &mut Stats) {
    if hierarchy.has_v1("cpuacct") {
        stats.cpu_ns = number(&dir.join("cpuacct.usage"));
    }
    if hierarchy.has_v1("memory") {
        let table = text(&dir.join("memory.stat"));
        stats.memory_usage = number(&dir.join("memory.usage_in_bytes"));
        stats.memory_working_set = stats.memory_usage.saturating_sub(entry(&table, "total_inactive_file"));
        stats.memory_rss = entry(&table, "total_rss");
        stats.page_faults = entry(&table, "total_pgfault");
        stats.major_page_faults = entry(&table, "total_pgmajfault");
    }
    if hierarchy.has_v1("pids") {
        stats.pids = number(&dir.join("pids.current"));
    }
}

/// In a hybrid layout the files of absent controllers do not exist and change nothing.
fn read_v2(dir: &Path, stats: &mut Stats) {
    if dir.join("memory.current").exists() {
        let table = text(&dir.join("memory.stat"));
        stats.memory_usage = number(&dir.join("memory.current"));
        stats.memory_working_set = stats.memory_usage.saturating_sub(entry(&table, "inactive_file"));
        stats.memory_rss = entry(&table, "anon");
        stats.page_faults = entry(&table, "pgfault");
        stats.major_page_faults = entry(&table, "pgmajfault");
    }
    if stats.cpu_ns == 0 {
        stats.cpu_ns = entry(&text(&dir.join("cpu.stat")), "usage_usec") * 1000;
    }
    if dir.join("pids.current").exists() {
        stats.pids = number(&dir.join("pids.current"));
    }
}

/// Out-of-memory kills counted in one directory.
pub fn oom_kills(dir: &Path) -> u64 {
    let v2 = entry(&text(&dir.join("memory.events")), "oom_kill");
    v2.max(entry(&text(&dir.join("memory.oom_control")), "oom_kill"))
}

/// A cgroup that is just being removed reads as empty.
fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn number(path: &Path) -> u64 {
    text(path).trim().parse().unwrap_or(0)
}

fn entry(table: &str, key: &str) -> u64 {
    let value = |line: &str| line.split_once(' ').filter(|(k, _)| *k == key).map(|(_, v)| v.trim().parse());
    table.lines().find_map(value).and_then(Result::ok).unwrap_or(0)
}
