//! Delays that double, and are forgotten after a long quiet time.

use jiff::{SignedDuration, Timestamp};

/// A doubling delay. The first use costs nothing; it is forgotten when twice the longest delay passed since its last use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    first_s: u32,
    max_s: u32,
    delay_s: u32,
    used_at: Option<Timestamp>,
}

impl Backoff {
    /// Between restarts of a container: 10 s to 5 min.
    pub const RESTART: Backoff = Backoff { first_s: 10, max_s: 300, delay_s: 0, used_at: None };
    /// Between pulls of an image: 10 s to 5 min.
    pub const PULL: Backoff = Backoff { first_s: 10, max_s: 300, delay_s: 0, used_at: None };

    /// How many seconds to wait after what happened at `at`; 0 when it was not used of late.
    pub fn delay_s(&self, at: Timestamp) -> u32 {
        match self.used_at {
            Some(used) if at.duration_since(used) <= SignedDuration::from_secs(2 * i64::from(self.max_s)) => {
                self.delay_s
            }
            _ => 0,
        }
    }

    /// Notes a use at `now`: the next delay is twice as long.
    pub fn advance(&mut self, now: Timestamp) {
        let delay = self.delay_s(now);
        self.delay_s = if delay == 0 { self.first_s } else { (2 * delay).min(self.max_s) };
        self.used_at = Some(now);
    }
}

/// `at` and `seconds` later.
pub fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// A duration as Go prints it: `10s`, `1m20s`, `5m0s`.
pub fn go_seconds(seconds: u32) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_five_minutes_and_are_forgotten_after_ten() {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut backoff = Backoff::RESTART;
        for expected in [0, 10, 20, 40, 80, 160, 300, 300] {
            assert_eq!(backoff.delay_s(now), expected);
            backoff.advance(now);
            now = after(now, 1);
        }
        assert_eq!(backoff.delay_s(after(now, 599)), 300);
        assert_eq!(backoff.delay_s(after(now, 601)), 0);
    }

    #[test]
    fn durations_read_as_in_go() {
        for (s, text) in [(10, "10s"), (80, "1m20s"), (300, "5m0s"), (3661, "1h1m1s")] {
            assert_eq!(go_seconds(s), text);
        }
    }
}
