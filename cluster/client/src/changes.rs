//! Streams of what changed in a cache.

use crate::ObjectKey;
use futures::{Stream, task::AtomicWaker};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// What happened to one object since the subscriber last looked.
#[derive(Clone, Debug)]
pub struct Change<K> {
    /// The object's namespace and name.
    pub key: ObjectKey,
    /// The object as the subscriber knew it; `None` when it is new to it. An object that came and
    /// went between two looks has its last state here, and `new` is `None`.
    pub old: Option<Arc<K>>,
    /// The object as it is; `None` when it is gone.
    pub new: Option<Arc<K>>,
}

impl<K> Change<K> {
    /// The object as it is, or as it was when it went.
    pub fn latest(&self) -> &Arc<K> {
        self.new.as_ref().or(self.old.as_ref()).expect("a change has an old or a new object")
    }

    /// The old and the new object, whichever there are.
    pub fn both(&self) -> impl Iterator<Item = &Arc<K>> {
        self.old.iter().chain(self.new.iter())
    }
}

/// The changes of a cache, in the order in which objects first changed; several changes of one
/// object that were not yet taken are one, so that a slow subscriber holds no more than one entry
/// per object. It begins with all objects of the cache as new, and ends when the cache is dropped.
pub struct Changes<K> {
    mailbox: Arc<Mailbox<K>>,
}

/// What one subscriber has not yet taken.
pub(crate) struct Mailbox<K> {
    state: Mutex<State<K>>,
    waker: AtomicWaker,
}

struct State<K> {
    order: VecDeque<ObjectKey>,
    pending: HashMap<ObjectKey, Change<K>>,
    closed: bool,
}

impl<K> Mailbox<K> {
    pub fn new() -> Arc<Self> {
        let state = State { order: VecDeque::new(), pending: HashMap::new(), closed: false };
        Arc::new(Self { state: Mutex::new(state), waker: AtomicWaker::new() })
    }

    pub fn push(&self, key: &ObjectKey, old: Option<&Arc<K>>, new: Option<&Arc<K>>) {
        let mut state = self.state.lock();
        match state.pending.get_mut(key) {
            Some(change) => {
                if new.is_none() && change.old.is_none() {
                    change.old = old.cloned();
                }
                change.new = new.cloned();
            }
            None => {
                let change = Change { key: key.clone(), old: old.cloned(), new: new.cloned() };
                state.pending.insert(key.clone(), change);
                state.order.push_back(key.clone());
            }
        }
        drop(state);
        self.waker.wake();
    }

    pub fn close(&self) {
        self.state.lock().closed = true;
        self.waker.wake();
    }
}

impl<K> Changes<K> {
    pub(crate) fn new(mailbox: Arc<Mailbox<K>>) -> Self {
        Self { mailbox }
    }
}

impl<K> Stream for Changes<K> {
    type Item = Change<K>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Change<K>>> {
        self.mailbox.waker.register(cx.waker());
        let mut state = self.mailbox.state.lock();
        while let Some(key) = state.order.pop_front() {
            let change = state.pending.remove(&key).expect("every key in order is pending");
            if change.old.is_some() || change.new.is_some() {
                return Poll::Ready(Some(change));
            }
        }
        if state.closed { Poll::Ready(None) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, StreamExt};

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("ns", name)
    }

    #[test]
    fn several_changes_of_one_object_are_one() {
        let mailbox = Mailbox::new();
        let (a, b, c) = (Arc::new(1), Arc::new(2), Arc::new(3));
        mailbox.push(&key("x"), Some(&a), Some(&b));
        mailbox.push(&key("y"), None, Some(&a));
        mailbox.push(&key("x"), Some(&b), Some(&c));
        let mut changes = Changes::new(mailbox);
        let first = changes.next().now_or_never().flatten().unwrap();
        assert_eq!((first.key, first.old, first.new), (key("x"), Some(a.clone()), Some(c)));
        let second = changes.next().now_or_never().flatten().unwrap();
        assert_eq!((second.key, second.old, second.new), (key("y"), None, Some(a)));
        assert!(changes.next().now_or_never().is_none());
    }

    #[test]
    fn an_object_that_came_and_went_is_still_told() {
        let mailbox = Mailbox::new();
        let a = Arc::new(1);
        mailbox.push(&key("x"), None, Some(&a));
        mailbox.push(&key("x"), Some(&a), None);
        mailbox.close();
        let mut changes = Changes::new(mailbox);
        let change = changes.next().now_or_never().flatten().unwrap();
        assert_eq!((change.old, change.new), (Some(a), None));
        assert!(changes.next().now_or_never().unwrap().is_none());
    }
}
