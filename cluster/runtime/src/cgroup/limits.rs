//! Writing limits in the words of either version.

use std::io;
use std::path::Path;

use super::Hierarchy;
use crate::spec::Resources;
use crate::sys::write_control;

const DEFAULT_PERIOD_US: u64 = 100_000;
/// The kernel refuses a quota below this.
const MIN_QUOTA_US: i64 = 1_000;

/// Applies limits to one directory of one hierarchy.
pub fn apply(hierarchy: &Hierarchy, dir: &Path, r: &Resources) -> io::Result<()> {
    if hierarchy.is_v2() {
        return apply_v2(dir, r);
    }
    if hierarchy.has_v1("cpu") {
        if let Some(shares) = r.cpu_shares {
            set(dir, "cpu.shares", &shares.clamp(2, 262_144).to_string())?;
        }
        if let Some(quota) = r.cpu_quota {
            let quota = if quota > 0 { quota.max(MIN_QUOTA_US) } else { -1 };
            set(dir, "cpu.cfs_period_us", &r.cpu_period.unwrap_or(DEFAULT_PERIOD_US).to_string())?;
            set(dir, "cpu.cfs_quota_us", &quota.to_string())?;
        }
    }
    if hierarchy.has_v1("memory")
        && let Some(limit) = r.memory_limit
    {
        set(dir, "memory.limit_in_bytes", &limit.to_string())?;
    }
    if hierarchy.has_v1("pids")
        && let Some(pids) = r.pids
    {
        set(dir, "pids.max", &pids.to_string())?;
    }
    Ok(())
}

fn apply_v2(dir: &Path, r: &Resources) -> io::Result<()> {
    if let Some(shares) = r.cpu_shares {
        set_if_present(dir, "cpu.weight", &weight(shares).to_string())?;
    }
    if let Some(quota) = r.cpu_quota {
        let period = r.cpu_period.unwrap_or(DEFAULT_PERIOD_US);
        let quota = if quota > 0 { quota.max(MIN_QUOTA_US).to_string() } else { "max".into() };
        set_if_present(dir, "cpu.max", &format!("{quota} {period}"))?;
    }
    if let Some(limit) = r.memory_limit {
        set_if_present(dir, "memory.max", &limit.to_string())?;
        set_if_present(dir, "memory.swap.max", "0")?;
        set_if_present(dir, "memory.oom.group", "1")?;
    }
    if let Some(pids) = r.pids {
        set_if_present(dir, "pids.max", &pids.to_string())?;
    }
    Ok(())
}

/// Weight (1..=10000, 100 is usual) for v1 shares (2..=262144, 1024 is usual), on the curve that
/// the OCI runtimes agreed upon: it meets both usual values and both ends.
fn weight(shares: u64) -> u64 {
    let l = (shares.clamp(2, 262_144) as f64).log2();
    let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
    (10f64.powf(exponent).ceil() as u64).clamp(1, 10_000)
}

fn set(dir: &Path, file: &str, value: &str) -> io::Result<()> {
    let path = dir.join(file);
    write_control(&path, value)
        .map_err(|e| io::Error::new(e.kind(), format!("{} to {value}: {e}", path.display())))
}

/// In v2 a file is absent when its controller is not delegated (or belongs to v1, in a hybrid layout).
fn set_if_present(dir: &Path, file: &str, value: &str) -> io::Result<()> {
    if dir.join(file).exists() { set(dir, file, value) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::weight;

    #[test]
    fn weights_meet_the_usual_values() {
        assert_eq!(weight(2), 1);
        assert_eq!(weight(1024), 100);
        assert_eq!(weight(262_144), 10_000);
    }
}
