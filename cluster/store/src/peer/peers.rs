//! The links to all peers, and where the peers are.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::codec;
use crate::metrics::Metrics;
use crate::object::MemberId;
use crate::peer::book::Book;
use crate::peer::frame::Kind;
use crate::peer::link::{CallError, Link, LinkConfig, LinkState};
use crate::peer::net::Network;
use crate::peer::wire::Hello;

/// Which of the connections to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Heartbeats, votes, forwarded writes, read indexes. Always connected.
    Control,
    /// Log entries.
    Log,
    /// Snapshots.
    Snapshot,
}

/// All links of one member.
pub(crate) struct Peers {
    me: MemberId,
    folder: u64,
    advertise: String,
    network: Arc<dyn Network>,
    metrics: Arc<Metrics>,
    cancel: CancellationToken,
    book: Arc<Book>,
    links: Mutex<HashMap<(MemberId, Lane), Link>>,
}

impl Peers {
    pub(crate) fn new(
        me: MemberId,
        folder: u64,
        advertise: String,
        network: Arc<dyn Network>,
        metrics: Arc<Metrics>,
        cancel: CancellationToken,
    ) -> Arc<Peers> {
        let (book, links) = (Arc::default(), Mutex::default());
        Arc::new(Peers { me, folder, advertise, network, metrics, cancel, book, links })
    }

    pub(crate) fn me(&self) -> MemberId {
        self.me
    }

    /// The number of this member's data folder.
    pub(crate) fn folder(&self) -> u64 {
        self.folder
    }

    pub(crate) fn book(&self) -> &Book {
        &self.book
    }

    /// Where a peer is, when nothing newer was learned.
    pub(crate) fn learn_first(&self, id: MemberId, address: &str) {
        if self.book.address(id).is_none() {
            self.book.learn(id, address);
        }
    }

    /// The link to a peer; made when there is none.
    pub(crate) fn link(&self, peer: MemberId, lane: Lane) -> Link {
        let mut links = self.links.lock();
        links.entry((peer, lane)).or_insert_with(|| self.start(peer, lane)).clone()
    }

    fn start(&self, peer: MemberId, lane: Lane) -> Link {
        let advertise = self.advertise.clone();
        Link::start(LinkConfig {
            peer,
            hello: Hello { from: self.me, to: peer, advertise, folder: self.folder },
            book: self.book.clone(),
            network: self.network.clone(),
            metrics: self.metrics.clone(),
            eager: lane == Lane::Control,
            cancel: self.cancel.child_token(),
        })
    }

    /// The data folder of a peer that is in reach.
    pub(crate) async fn meet(&self, peer: MemberId, within: Duration) -> Option<u64> {
        if peer == self.me {
            return Some(self.folder);
        }
        // Held meanwhile: who does not belong yet has no other link.
        let link = self.link(peer, Lane::Control);
        let mut state = link.state();
        // Also when it is not let in, the folder that it came with is known afterwards.
        drop(tokio::time::timeout(within, state.wait_for(|state| *state == LinkState::Up)).await);
        self.book.met_with(peer)
    }

    /// Drops the links to everybody else.
    pub(crate) fn retain(&self, members: &BTreeSet<MemberId>) {
        self.links.lock().retain(|(peer, _), _| members.contains(peer));
    }

    /// One request to a peer, with its answer decoded.
    pub(crate) async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        peer: MemberId,
        kind: Kind,
        request: &Q,
        within: Duration,
    ) -> Result<A, CallError> {
        let body = self.link(peer, Lane::Control).call(kind, request, within).await?;
        codec::decode(&body).map_err(|error| CallError::Nonsense { peer, error })
    }
}
