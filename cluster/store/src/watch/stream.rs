//! One watcher: its queue, and the stream its owner polls.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use imbl::Vector;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};

use crate::machine::Change;
use crate::object::Revision;
use crate::sabotage::{self, Sabotage};
use crate::watch::hub::{Hub, Push};
use crate::watch::{Event, WatchEnd, WatchItem, WatchRequest};

/// Changes of the history looked at before others get a turn.
const REPLAY_BUDGET: usize = 1024;

/// What the hub knows of a watcher.
pub(super) struct Watcher {
    pub(super) id: u64,
    pub(super) request: WatchRequest,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Arc<Event>>,
    end: Option<WatchEnd>,
    waker: Option<Waker>,
}

impl Watcher {
    pub(super) fn new(id: u64, request: WatchRequest) -> Self {
        Watcher { id, request, queue: Mutex::new(Queue::default()) }
    }

    pub(super) fn push(&self, event: Arc<Event>, backlog: usize) -> Push {
        let mut queue = self.queue.lock();
        if queue.events.len() >= backlog {
            queue.events = VecDeque::new();
            queue.end = Some(WatchEnd::Lagged);
            return Push::Lagged;
        }
        if sabotage::is(Sabotage::WatchDuplicate) && event.revision.is_multiple_of(32) {
            queue.events.push_back(event.clone());
        }
        queue.events.push_back(event);
        let last = queue.events.len() - 1;
        if sabotage::is(Sabotage::WatchOutOfOrder) && last > 0 {
            queue.events.swap(last - 1, last);
        }
        if queue.events.len() == 1 { Push::First } else { Push::Queued }
    }

    pub(super) fn wake(&self) {
        let waker = self.queue.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn end(&self, end: WatchEnd) {
        let mut queue = self.queue.lock();
        queue.end.get_or_insert(end);
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The part of the history that a new watcher still has to see.
pub(super) struct Replay {
    history: Vector<Arc<Change>>,
    next: usize,
    end: usize,
}

impl Replay {
    pub(super) fn new(history: Vector<Arc<Change>>, next: usize, end: usize) -> Self {
        Replay { history, next, end }
    }
}

/// The events of one watch. Ends after the first error.
pub struct WatchStream {
    hub: Arc<Hub>,
    watcher: Arc<Watcher>,
    replay: Option<Replay>,
    /// Taken from the queue, not yet delivered.
    ready: VecDeque<Arc<Event>>,
    /// The first progress notice was given.
    caught_up: bool,
    progress: Duration,
    timer: Pin<Box<Sleep>>,
    done: bool,
    #[cfg(feature = "sabotage")]
    delivered: Revision,
}

impl WatchStream {
    pub(super) fn new(
        hub: Arc<Hub>,
        watcher: Arc<Watcher>,
        replay: Option<Replay>,
        progress: Duration,
    ) -> Self {
        let timer = Box::pin(tokio::time::sleep(progress));
        let ready = VecDeque::new();
        WatchStream {
            hub,
            watcher,
            replay,
            ready,
            caught_up: false,
            progress,
            timer,
            done: false,
            #[cfg(feature = "sabotage")]
            delivered: 0,
        }
    }

    /// The next event of the history that the watcher wants.
    fn poll_replay(&mut self, cx: &mut Context<'_>) -> Poll<Option<Arc<Event>>> {
        let Some(replay) = &mut self.replay else { return Poll::Ready(None) };
        let stop = replay.end.min(replay.next + REPLAY_BUDGET);
        while replay.next < stop {
            let change = &replay.history[replay.next];
            replay.next += 1;
            if self.watcher.request.wants(change) {
                return Poll::Ready(Some(Event::of(change)));
            }
        }
        if replay.next < replay.end {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.replay = None;
        Poll::Ready(None)
    }

    /// Moves the queue here; the end of the watch when there is nothing but that.
    fn refill(&mut self, cx: &Context<'_>) -> Option<WatchEnd> {
        let mut queue = self.watcher.queue.lock();
        if queue.events.is_empty() {
            if queue.end.is_some() {
                return queue.end;
            }
            match &mut queue.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        } else {
            std::mem::swap(&mut self.ready, &mut queue.events);
        }
        None
    }

    /// A notice when one is due: at once after catching up, then at each interval.
    fn poll_notice(&mut self, dispatched: Revision, cx: &mut Context<'_>) -> Poll<Revision> {
        let reached = dispatched >= self.watcher.request.from;
        let first = reached && !self.caught_up;
        if !first && self.timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.timer.as_mut().reset(Instant::now() + self.progress);
        // The reset timer must know whom to wake.
        if self.timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        if !reached {
            return Poll::Pending;
        }
        self.caught_up = true;
        Poll::Ready(dispatched)
    }
}

impl futures::Stream for WatchStream {
    type Item = Result<WatchItem, WatchEnd>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        match this.poll_replay(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(event)) => return Poll::Ready(Some(Ok(WatchItem::Event(event)))),
            Poll::Ready(None) => {}
        }
        // Read before the queue: when the queue is empty afterwards, everything up to here was
        // delivered.
        let dispatched = this.hub.dispatched();
        if this.ready.is_empty()
            && let Some(end) = this.refill(cx)
        {
            this.done = true;
            return Poll::Ready(Some(Err(end)));
        }
        #[cfg(feature = "sabotage")]
        if sabotage::is(Sabotage::WatchTransactionSplit) {
            let next = this.ready.front().map_or(0, |event| event.revision);
            if next == this.delivered && next > 0 {
                this.delivered = 0;
                return Poll::Ready(Some(Ok(WatchItem::Progress(next))));
            }
            this.delivered = next;
        }
        if let Some(event) = this.ready.pop_front() {
            return Poll::Ready(Some(Ok(WatchItem::Event(event))));
        }
        this.poll_notice(dispatched, cx).map(|revision| Some(Ok(WatchItem::Progress(revision))))
    }
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        self.hub.forget(&self.watcher);
    }
}
