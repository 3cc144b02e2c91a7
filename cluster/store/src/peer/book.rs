//! What is known of the peers: where they are, and by which data folder they are known.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::object::MemberId;

/// What a member says that was removed and still runs.
pub(crate) const REMOVED: &str = "this member was removed from the cluster: end this server; to let it join again, empty its data folder and start it with --join and a token";

/// The address book.
#[derive(Default)]
pub(crate) struct Book {
    known: Mutex<HashMap<MemberId, Known>>,
    /// The log index of a membership, told by somebody else, without this member.
    removed: watch::Sender<Option<u64>>,
    /// +1 with everything that was learned of a peer or of the connections to it.
    news: watch::Sender<u64>,
}

#[derive(Default)]
struct Known {
    /// The latest news wins, whether the membership or the peer itself brought it.
    address: Option<String>,
    /// The folder that the membership has.
    joined_with: Option<u64>,
    /// The folder that the peer had when it was met last.
    met_with: Option<u64>,
    /// It said that it is about to stop.
    leaving: bool,
}

impl Book {
    pub(crate) fn address(&self, id: MemberId) -> Option<String> {
        self.known.lock().get(&id)?.address.clone()
    }

    /// Rings whenever something was learned of a peer, or of the connections to it.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    pub(crate) fn ring(&self) {
        self.news.send_modify(|news| *news += 1);
    }

    /// Where a peer is, by its own word or by the membership's.
    pub(crate) fn learn(&self, id: MemberId, address: &str) {
        let mut book = self.known.lock();
        let known = book.entry(id).or_default();
        if known.address.as_deref() != Some(address) {
            tracing::info!(peer = id, address, "learned the address of a peer");
            known.address = Some(address.to_owned());
        }
    }

    /// The folder with which a member joined; `None` when it does not belong (any more).
    pub(crate) fn joined(&self, id: MemberId, folder: Option<u64>) {
        self.known.lock().entry(id).or_default().joined_with = folder;
    }

    /// A peer was met; an error when it is not the member that joined under its number.
    pub(crate) fn met(&self, id: MemberId, folder: u64) -> Result<(), String> {
        let mut book = self.known.lock();
        let known = book.entry(id).or_default();
        known.met_with = Some(folder);
        known.leaving = false;
        self.ring();
        match known.joined_with {
            Some(joined) if joined != folder => {
                let problem = format!("member {id} has lost the data folder with which it joined");
                tracing::error!(
                    "{problem}: it may not take part. Remove it from the cluster and add it again"
                );
                Err(problem)
            }
            _ => Ok(()),
        }
    }

    /// The folder that a peer had when it was met last.
    pub(crate) fn met_with(&self, id: MemberId) -> Option<u64> {
        self.known.lock().get(&id)?.met_with
    }

    /// Somebody knows that this member was removed.
    pub(crate) fn removed(&self, since: u64) {
        let first = self.removed.send_if_modified(|known| {
            let newer = known.is_none_or(|known| known < since);
            if newer {
                *known = Some(since);
            }
            newer
        });
        if first {
            tracing::error!("{REMOVED}");
        }
    }

    /// By which membership this member was removed, as somebody else said.
    pub(crate) fn removed_since(&self) -> Option<u64> {
        *self.removed.borrow()
    }

    /// A peer is about to stop; until it is met again, nothing is expected of it.
    pub(crate) fn leaves(&self, id: MemberId) {
        self.known.lock().entry(id).or_default().leaving = true;
        self.ring();
    }

    pub(crate) fn is_leaving(&self, id: MemberId) -> bool {
        self.known.lock().get(&id).is_some_and(|known| known.leaving)
    }
}
