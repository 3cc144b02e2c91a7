//! When a row of successes or failures counts. Pure.

use std::time::Duration;

use k8s_openapi::api::core::v1::Probe;

use crate::pod::machine::ProbeKind;

/// How many in a row change the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    pub successes: u32,
    pub failures: u32,
    /// The state before anything was counted; `None` means that also the first success is reported.
    pub initial: Option<bool>,
}

impl Thresholds {
    /// A container is alive and not ready until its probes say otherwise; whether it has started is open.
    pub fn of(probe: &Probe, kind: ProbeKind) -> Self {
        let at_least_one = |n: Option<i32>, default| n.unwrap_or(default).max(1) as u32;
        Thresholds {
            successes: at_least_one(probe.success_threshold, 1),
            failures: at_least_one(probe.failure_threshold, 3),
            initial: match kind {
                ProbeKind::Liveness => Some(true),
                ProbeKind::Readiness => Some(false),
                ProbeKind::Startup => None,
            },
        }
    }
}

/// Within its first period a container that is not ready is asked again soon, so that it need not wait a period for what
/// it became meanwhile. These failures count for nothing: a first probe could as well have come a period later.
#[derive(Debug)]
pub struct Early {
    wait: Duration,
    left: Duration,
}

impl Early {
    const FIRST: Duration = Duration::from_millis(50);

    pub fn new(kind: ProbeKind, period: Duration) -> Self {
        let left = if kind == ProbeKind::Liveness { Duration::ZERO } else { period };
        Early { wait: Self::FIRST, left }
    }

    /// How long until the next early attempt; `None` when failures count from now on.
    pub fn next(&mut self) -> Option<Duration> {
        let wait = self.wait;
        self.left = self.left.checked_sub(wait)?;
        self.wait *= 2;
        Some(wait)
    }

    pub fn end(&mut self) {
        self.left = Duration::ZERO;
    }
}

/// Counts outcomes in a row.
#[derive(Clone, Debug)]
pub struct Counter {
    thresholds: Thresholds,
    state: Option<bool>,
    last: bool,
    in_a_row: u32,
}

impl Counter {
    pub fn new(thresholds: Thresholds) -> Self {
        Counter { thresholds, state: thresholds.initial, last: false, in_a_row: 0 }
    }

    /// The new state, when this outcome changed it.
    pub fn note(&mut self, healthy: bool) -> Option<bool> {
        self.in_a_row = if self.in_a_row > 0 && self.last == healthy { self.in_a_row + 1 } else { 1 };
        self.last = healthy;
        let needed = if healthy { self.thresholds.successes } else { self.thresholds.failures };
        if self.in_a_row < needed || self.state == Some(healthy) {
            return None;
        }
        self.state = Some(healthy);
        Some(healthy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_attempts_fill_one_period() {
        let mut early = Early::new(ProbeKind::Readiness, Duration::from_secs(1));
        let waits: Vec<u128> = std::iter::from_fn(|| early.next()).map(|w| w.as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 400]);
        assert_eq!(Early::new(ProbeKind::Liveness, Duration::from_secs(1)).next(), None);
    }

    #[test]
    fn rows_decide() {
        let cases: [(ProbeKind, i32, i32, &str, &str); 6] = [
            (ProbeKind::Readiness, 1, 3, "+", "+"),
            (ProbeKind::Readiness, 2, 3, "+-++", "   +"),
            (ProbeKind::Readiness, 1, 2, "+-+--", "+   -"),
            (ProbeKind::Liveness, 1, 3, "++--+---", "       -"),
            (ProbeKind::Startup, 1, 2, "-+", " +"),
            (ProbeKind::Startup, 1, 2, "--", " -"),
        ];
        for (kind, successes, failures, outcomes, expected) in cases {
            let probe = Probe {
                success_threshold: Some(successes),
                failure_threshold: Some(failures),
                ..Probe::default()
            };
            let mut counter = Counter::new(Thresholds::of(&probe, kind));
            let got: String = outcomes
                .chars()
                .map(|c| match counter.note(c == '+') {
                    Some(true) => '+',
                    Some(false) => '-',
                    None => ' ',
                })
                .collect();
            assert_eq!(got.trim_end(), expected, "{kind:?} {outcomes}");
        }
    }
}
