//! The links to all peers, and where the peers are.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::codec;
use crate::machine::Published;
use crate::metrics::Metrics;
use crate::object::MemberId;
use crate::peer::book::Book;
use crate::peer::frame::Kind;
use crate::peer::link::{CallError, Link, LinkConfig, LinkState};
use crate::peer::net::Network;
use crate::peer::wire::Hello;

/// How long a member that stops waits until a peer knows.
const LEAVING: Duration = Duration::from_millis(100);

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
    published: Arc<Published>,
    links: Mutex<HashMap<(MemberId, Lane), Link>>,
    /// Rung when a peer waits for a commit.
    hurries: Mutex<HashMap<MemberId, Arc<Notify>>>,
}

impl Peers {
    pub(crate) fn new(
        me: MemberId,
        folder: u64,
        advertise: String,
        network: Arc<dyn Network>,
        metrics: Arc<Metrics>,
        published: Arc<Published>,
        cancel: CancellationToken,
    ) -> Arc<Peers> {
        let (book, links, hurries) = Default::default();
        Arc::new(Peers { me, folder, advertise, network, metrics, cancel, book, published, links, hurries })
    }

    /// The log index of the membership, committed and applied here, that has this member.
    pub(crate) fn belongs(&self) -> Option<u64> {
        self.published.root().since(self.me)
    }

    /// Whether this member knows that another one, which believes to belong since that log index, was
    /// removed later; the log index of the membership that lacks it.
    pub(crate) fn removed(&self, peer: MemberId, belongs: Option<u64>) -> Option<u64> {
        let membership = &self.published.root().membership;
        let known = membership.log_id().as_ref()?.index;
        (known > belongs? && membership.get_node(&peer).is_none()).then_some(known)
    }

    /// Whether this member was removed and somebody told it; a later membership may have it again.
    pub(crate) fn was_removed(&self) -> bool {
        self.book.removed_since().is_some_and(|since| self.belongs() < Some(since))
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

    /// Rung when a peer waits for what was just committed: it told of a write, or asked for an index
    /// to read at.
    pub(crate) fn hurry(&self, peer: MemberId) -> Arc<Notify> {
        self.hurries.lock().entry(peer).or_default().clone()
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
            hello: Hello { from: self.me, to: peer, advertise, folder: self.folder, belongs: None },
            published: self.published.clone(),
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

    /// Whether a peer can not be expected to do anything: it said that it stops, or its connection
    /// closed and can not be made again.
    pub(crate) fn is_gone(&self, peer: MemberId) -> bool {
        let state = *self.link(peer, Lane::Control).state().borrow();
        self.book.is_leaving(peer) || matches!(state, LinkState::Down { attempts: 1.. })
    }

    /// Tells all peers that this member is about to stop; returns when they know, or can not be told.
    pub(crate) async fn say_leaving(&self, members: impl IntoIterator<Item = MemberId>) {
        let others = members.into_iter().filter(|id| *id != self.me);
        let told = others.map(|id| async move {
            if let Err(error) = self.call::<_, ()>(id, Kind::Leaving, &(), LEAVING).await {
                tracing::debug!(%error, "a peer does not know that this member stops");
            }
        });
        join_all(told).await;
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
