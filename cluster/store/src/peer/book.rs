//! What is known of the peers: where they are, and by which data folder they are known.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::object::MemberId;

/// The address book.
#[derive(Default)]
pub(crate) struct Book(Mutex<HashMap<MemberId, Known>>);

#[derive(Default)]
struct Known {
    /// The latest news wins, whether the membership or the peer itself brought it.
    address: Option<String>,
    /// The folder that the membership has.
    joined_with: Option<u64>,
    /// The folder that the peer had when it was met last.
    met_with: Option<u64>,
}

impl Book {
    pub(crate) fn address(&self, id: MemberId) -> Option<String> {
        self.0.lock().get(&id)?.address.clone()
    }

    /// Where a peer is, by its own word or by the membership's.
    pub(crate) fn learn(&self, id: MemberId, address: &str) {
        let mut book = self.0.lock();
        let known = book.entry(id).or_default();
        if known.address.as_deref() != Some(address) {
            tracing::info!(peer = id, address, "learned the address of a peer");
            known.address = Some(address.to_owned());
        }
    }

    /// The folder with which a member joined; `None` when it does not belong (any more).
    pub(crate) fn joined(&self, id: MemberId, folder: Option<u64>) {
        self.0.lock().entry(id).or_default().joined_with = folder;
    }

    /// A peer was met; an error when it is not the member that joined under its number.
    pub(crate) fn met(&self, id: MemberId, folder: u64) -> Result<(), String> {
        let mut book = self.0.lock();
        let known = book.entry(id).or_default();
        known.met_with = Some(folder);
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
        self.0.lock().get(&id)?.met_with
    }
}
