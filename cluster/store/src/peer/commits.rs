//! When a follower is told of a commit.
//!
//! It is told with the next entries. When entries follow each other closely, a commit waits for
//! them, instead of costing both sides a message and its answer; but not long, and not at all when the
//! follower has a caller that waits for it.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{Stream, StreamExt};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::peer::wire::AppendRequest;

/// Entries that come after more than this are not waited for, and none are waited for longer.
const SOON: Duration = Duration::from_millis(1);

/// The requests to one follower, with fewer commits.
pub(super) struct Requests<S> {
    input: S,
    /// The input says nothing more.
    ended: bool,
    /// Rung when the follower waits for a commit.
    hurry: Arc<Notify>,
    /// When entries came last, and how long after those before.
    came: Instant,
    apart: Duration,
}

impl<S: Stream<Item = AppendRequest> + Unpin> Requests<S> {
    pub(super) fn new(input: S, hurry: Arc<Notify>) -> Self {
        Requests { input, ended: false, hurry, came: Instant::now(), apart: Duration::MAX }
    }

    pub(super) async fn next(&mut self) -> Option<AppendRequest> {
        if self.ended {
            return None;
        }
        let mut request = self.input.next().await?;
        let until = Instant::now() + SOON;
        while request.entries.is_empty() && self.apart < SOON {
            let (input, hurry) = (&mut self.input, &self.hurry);
            let hurried = async {
                hurry.notified().await;
                // What is ready to run now may bring the next entries.
                tokio::task::yield_now().await;
            };
            tokio::select! {
                biased;
                next = input.next() => match next {
                    // It says the same, and more.
                    Some(next) => request = next,
                    // A question of its own, not a commit.
                    None => {
                        self.ended = true;
                        return Some(request);
                    }
                },
                () = hurried => return Some(request),
                () = tokio::time::sleep_until(until) => return Some(request),
            }
        }
        if !request.entries.is_empty() {
            let now = Instant::now();
            self.apart = now - self.came;
            self.came = now;
        }
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use openraft::vote::RaftLeaderId as _;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    use super::*;
    use crate::raft::{Entry, LeaderId, LogId, Payload, Vote};

    type Sender = mpsc::UnboundedSender<AppendRequest>;

    fn request(commit: u64, entries: u64) -> AppendRequest {
        let id = |index| LogId::new(LeaderId::new(1, 1), index);
        let entry = |index| Entry { log_id: id(index), payload: Payload::Blank };
        AppendRequest {
            vote: Vote::new_committed(1, 1),
            prev_log_id: None,
            leader_commit: Some(id(commit)),
            entries: (1..=entries).map(entry).collect(),
        }
    }

    /// What a request says: the commit, and the number of entries.
    fn said(request: Option<AppendRequest>) -> Option<(u64, usize)> {
        let request = request?;
        Some((request.leader_commit?.index, request.entries.len()))
    }

    /// Requests that have passed on two that came `apart`.
    async fn after(
        apart: Duration,
    ) -> (Sender, Arc<Notify>, Requests<UnboundedReceiverStream<AppendRequest>>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let hurry = Arc::new(Notify::new());
        let mut requests = Requests::new(UnboundedReceiverStream::new(receiver), hurry.clone());
        for commit in [1, 2] {
            tokio::time::sleep(apart).await;
            sender.send(request(commit, 1)).expect("somebody receives");
            requests.next().await.expect("a request");
        }
        (sender, hurry, requests)
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_goes_with_the_entries_that_follow_closely() {
        let (sender, _hurry, mut requests) = after(Duration::ZERO).await;
        sender.send(request(3, 0)).expect("somebody receives");
        let follow = async {
            tokio::task::yield_now().await;
            sender.send(request(4, 1)).expect("somebody receives");
        };
        let (next, ()) = tokio::join!(requests.next(), follow);
        assert_eq!(said(next), Some((4, 1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_waits_only_when_entries_come_fast_and_then_not_long() {
        for (apart, waits) in [(Duration::ZERO, true), (SOON * 2, false)] {
            let (sender, _hurry, mut requests) = after(apart).await;
            let sent = Instant::now();
            sender.send(request(3, 0)).expect("somebody receives");
            assert_eq!(said(requests.next().await), Some((3, 0)));
            assert_eq!(!sent.elapsed().is_zero(), waits, "after {apart:?}");
            assert!(sent.elapsed() <= SOON * 2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_that_waits_is_told_at_once() {
        let (sender, hurry, mut requests) = after(Duration::ZERO).await;
        let sent = Instant::now();
        sender.send(request(3, 0)).expect("somebody receives");
        hurry.notify_one();
        assert_eq!(said(requests.next().await), Some((3, 0)));
        assert!(sent.elapsed().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_before_the_end_is_passed_on_at_once() {
        let (sender, _hurry, mut requests) = after(Duration::ZERO).await;
        let sent = Instant::now();
        sender.send(request(3, 0)).expect("somebody receives");
        drop(sender);
        assert_eq!(said(requests.next().await), Some((3, 0)));
        assert!(sent.elapsed().is_zero());
        assert_eq!(said(requests.next().await), None);
    }
}
