//! Stands in for the crate of this name, which openraft counts batch sizes with (`[patch.crates-io]` in the
//! workspace's manifest). That one builds tables for every width that a histogram could have, 27 MB in each
//! process, and openraft uses the smallest. Here: four buckets for each power of two, no tables. To be
//! dropped as soon as the crate makes its tables when they are asked for.

use std::fmt;
use std::marker::PhantomData;

/// Two bits below the highest one choose the bucket, as in the crate that this stands in for.
const FRACTION_BITS: u32 = 2;
const BUCKETS: usize = ((u64::BITS - FRACTION_BITS + 1) << FRACTION_BITS) as usize;

/// Counts values by size; each bucket is at most a quarter of its values wide.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram<D = ()> {
    counts: [u64; BUCKETS],
    data: PhantomData<D>,
}

impl<D> Histogram<D> {
    #[must_use]
    pub fn new() -> Self {
        Self { counts: [0; BUCKETS], data: PhantomData }
    }

    /// Counts `value`.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts `value` so many times.
    pub fn record_n(&mut self, value: u64, times: u64) {
        self.counts[bucket(value)] += times;
    }

    /// The smallest value of the bucket below which the given part (0 to 1) of all values lies.
    fn quantile(&self, part: f64) -> u64 {
        let total: u64 = self.counts.iter().sum();
        let rank = (total as f64 * part) as u64;
        let mut passed = 0;
        let found = self.counts.iter().position(|count| {
            passed += count;
            passed > rank
        });
        found.map_or(0, smallest)
    }

    #[must_use]
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.counts.iter().sum(),
            p0_1: self.quantile(0.001),
            p1: self.quantile(0.01),
            p5: self.quantile(0.05),
            p10: self.quantile(0.1),
            p50: self.quantile(0.5),
            p90: self.quantile(0.9),
            p99: self.quantile(0.99),
            p99_9: self.quantile(0.999),
        }
    }
}

impl<D> Default for Histogram<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D> fmt::Debug for Histogram<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.percentile_stats().fmt(f)
    }
}

/// Values grow by a quarter of the power of two that they lie in from bucket to bucket.
fn bucket(value: u64) -> usize {
    let Some(highest) = value.checked_ilog2() else { return 0 };
    if highest < FRACTION_BITS {
        return value as usize;
    }
    let shift = highest - FRACTION_BITS;
    let fraction = (value >> shift) as usize & ((1 << FRACTION_BITS) - 1);
    (((shift + 1) as usize) << FRACTION_BITS) + fraction
}

/// The smallest value of a bucket.
fn smallest(bucket: usize) -> u64 {
    let (octave, fraction) = (bucket >> FRACTION_BITS, bucket as u64 & ((1 << FRACTION_BITS) - 1));
    match octave {
        0 => fraction,
        _ => ((1 << FRACTION_BITS) + fraction) << (octave - 1),
    }
}

/// Values below which so many percent of all values lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PercentileStats {
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, p50, p90, p99, p99_9, .. } = self;
        write!(f, "[samples: {samples}, P50: {p50}, P90: {p90}, P99: {p99}, P99.9: {p99_9}]")
    }
}

/// Several histograms below each other: their percentiles, a line each.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart(Vec<(String, PercentileStats)>);

impl AsciiChart {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn add(mut self, name: impl Into<String>, histogram: Histogram) -> Self {
        self.0.push((name.into(), histogram.percentile_stats()));
        self
    }

    #[must_use]
    pub fn detailed(&self) -> &Self {
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, stats)| writeln!(f, "{name}: {stats}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_lies_in_its_bucket() {
        for value in (0..64).map(|bit| 1_u64 << bit).flat_map(|v| [v - 1, v, v + v / 3]).chain([u64::MAX]) {
            let bucket = bucket(value);
            assert!(smallest(bucket) <= value, "{value}");
            assert!(bucket + 1 == BUCKETS || value < smallest(bucket + 1), "{value}");
        }
    }

    #[test]
    fn percentiles_of_what_was_recorded() {
        let mut histogram = Histogram::<()>::new();
        assert_eq!(histogram.percentile_stats().p50, 0);
        histogram.record_n(2, 1000);
        histogram.record(64);
        let stats = histogram.percentile_stats();
        assert_eq!((stats.samples, stats.p1, stats.p99, stats.p99_9), (1001, 2, 2, 2));
        histogram.record_n(64, 1000);
        assert_eq!((histogram.percentile_stats().p50, histogram.percentile_stats().p10), (64, 2));
    }
}
