//! The pods that wait for a node: those to decide on now, those that had bad luck a moment ago, and
//! those for which something in the cluster must change first.

use k8s_openapi::api::core::v1::Pod;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// The delay after the first attempt that failed; doubled with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// The order in which pods are decided: the most important first, then as they came.
type Order = (Reverse<i32>, u64, String);

/// All waiting pods. Pods are known by their uid.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pods: HashMap<String, Entry>,
    /// To be decided on now.
    active: BTreeMap<Order, ()>,
    /// To become active at a time.
    later: BTreeSet<(Instant, String)>,
    arrivals: u64,
}

#[derive(Debug)]
struct Entry {
    pod: Arc<Pod>,
    arrival: u64,
    attempts: u32,
    /// Not before this time, because the last attempt failed.
    not_before: Instant,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Active,
    Later,
    /// Until something in the cluster changes.
    Parked,
    /// A decision is being carried out.
    Out,
}

impl Waiting {
    /// A pod came, or changed: whatever kept it from being placed may be over.
    pub fn put(&mut self, pod: Arc<Pod>, now: Instant) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        match self.pods.get_mut(&uid) {
            Some(entry) => {
                let same = entry.pod.spec == pod.spec && entry.pod.metadata.labels == pod.metadata.labels;
                entry.pod = pod;
                if !same && entry.place == Place::Parked {
                    self.activate(&uid, now);
                }
            }
            None => {
                self.arrivals += 1;
                let entry =
                    Entry { pod, arrival: self.arrivals, attempts: 0, not_before: now, place: Place::Parked };
                self.pods.insert(uid.clone(), entry);
                self.activate(&uid, now);
            }
        }
    }

    /// The pod is placed, or gone.
    pub fn remove(&mut self, uid: &str) {
        if let Some(entry) = self.pods.remove(uid) {
            self.active.remove(&order(uid, &entry));
            self.later.remove(&(entry.not_before, uid.to_owned()));
        }
    }

    /// The next pod to decide on; it is out until `failed`, `park` or `remove`.
    pub fn next(&mut self, now: Instant) -> Option<Arc<Pod>> {
        while let Some((at, uid)) = self.later.first().cloned() {
            if at > now {
                break;
            }
            self.later.pop_first();
            self.activate(&uid, now);
        }
        let ((_, _, uid), ()) = self.active.pop_first()?;
        let entry = self.pods.get_mut(&uid)?;
        entry.place = Place::Out;
        entry.attempts += 1;
        Some(entry.pod.clone())
    }

    /// When the next pod becomes active by itself.
    pub fn next_at(&self) -> Option<Instant> {
        self.later.first().map(|(at, _)| *at)
    }

    /// No node can take it: wait for a change.
    pub fn park(&mut self, uid: &str, now: Instant) {
        if let Some(entry) = self.pods.get_mut(uid) {
            entry.not_before = now + backoff(entry.attempts);
            entry.place = Place::Parked;
        }
    }

    /// The decision could not be carried out: try again after a while.
    pub fn failed(&mut self, uid: &str, now: Instant) {
        self.park(uid, now);
        self.activate(uid, now);
    }

    /// Something changed that may let pods be placed.
    pub fn wake(&mut self, now: Instant) {
        let parked = self.pods.iter().filter(|(_, entry)| entry.place == Place::Parked);
        let parked: Vec<String> = parked.map(|(uid, _)| uid.clone()).collect();
        for uid in parked {
            self.activate(&uid, now);
        }
    }

    fn activate(&mut self, uid: &str, now: Instant) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        if entry.not_before > now {
            entry.place = Place::Later;
            self.later.insert((entry.not_before, uid.to_owned()));
        } else {
            entry.place = Place::Active;
            self.active.insert(order(uid, entry), ());
        }
    }

    /// How many pods are active, backing off, and parked.
    pub fn counts(&self) -> [usize; 3] {
        let parked = self.pods.values().filter(|entry| entry.place == Place::Parked).count();
        [self.active.len(), self.later.len(), parked]
    }
}

fn order(uid: &str, entry: &Entry) -> Order {
    let priority = entry.pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0);
    (Reverse(priority), entry.arrival, uid.to_owned())
}

fn backoff(attempts: u32) -> Duration {
    FIRST_BACKOFF.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;
    use serde_json::json;

    fn next(waiting: &mut Waiting, now: Instant) -> Option<String> {
        waiting.next(now).and_then(|pod| pod.metadata.uid.clone())
    }

    #[test]
    fn the_important_first_then_as_they_came() {
        let now = Instant::now();
        let mut waiting = Waiting::default();
        for (name, priority) in [("a", 0), ("b", 0), ("c", 9)] {
            waiting.put(pod(name, json!({ "priority": priority })), now);
        }
        let order: Vec<_> = std::iter::from_fn(|| next(&mut waiting, now)).collect();
        assert_eq!(order, ["c-uid", "a-uid", "b-uid"]);
    }

    #[test]
    fn failed_and_parked_pods_come_back_in_time() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut waiting = Waiting::default();
        waiting.put(pod("a", json!({})), start);
        assert!(next(&mut waiting, start).is_some());
        waiting.park("a-uid", start);
        assert_eq!((next(&mut waiting, after(500)), waiting.next_at()), (None, None));
        waiting.wake(after(500));
        assert_eq!(next(&mut waiting, after(500)).as_deref(), Some("a-uid"));
        waiting.failed("a-uid", after(500));
        assert_eq!(next(&mut waiting, after(600)), None);
        assert_eq!(waiting.next_at(), Some(after(700)));
        assert_eq!(next(&mut waiting, after(700)).as_deref(), Some("a-uid"));
        waiting.park("a-uid", after(700));
        waiting.put(pod("a", json!({ "cpu": "1m" })), after(5000));
        assert_eq!(next(&mut waiting, after(5000)).as_deref(), Some("a-uid"), "its own change wakes it");
        waiting.remove("a-uid");
        waiting.wake(after(9000));
        assert_eq!(next(&mut waiting, after(9000)), None);
    }
}
