//! openraft's network, on our links.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, Stream};
use openraft::OptionalSend;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::SnapshotResponse;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;

use crate::codec;
use crate::machine::Blob;
use crate::object::MemberId;
use crate::peer::commits::Requests;
use crate::peer::frame::Kind;
use crate::peer::link::{Answer, CallError, Link};
use crate::peer::peers::{Lane, Peers};
use crate::peer::wire::{
    AppendRef, AppendRequest, AppendResponse, SnapshotStart, StreamResult, TransferRequest, TransferResponse,
    VoteRequest, VoteResponse,
};
use crate::raft::{LeaderId, Peer, Types, Vote};
use crate::work::Work;

/// Log batches under way to one peer.
const PIPELINE: usize = 16;
/// A log batch that is not acknowledged within this time breaks the stream, which starts anew.
const STALLED: Duration = Duration::from_secs(5);
const SNAPSHOT_PART: usize = 256 << 10;
/// A peer says within this time how much of a snapshot it has.
const SNAPSHOT_BEGIN: Duration = Duration::from_secs(10);
/// A peer that installs a snapshot answers within this time.
const SNAPSHOT_ANSWER: Duration = Duration::from_secs(120);

type Snapshot = openraft::Snapshot<LeaderId, u64, Peer, Blob>;
type Answers<'s> = BoxStream<'s, Result<StreamResult, RPCError<Types>>>;

/// Makes the networks for openraft.
pub(crate) struct Factory {
    pub peers: Arc<Peers>,
    pub work: Work,
}

/// openraft's way to one peer.
pub(crate) struct PeerNetwork {
    peers: Arc<Peers>,
    target: MemberId,
    work: Work,
}

impl RaftNetworkFactory<Types> for Factory {
    type Network = PeerNetwork;

    async fn new_client(&mut self, target: MemberId, node: &Peer) -> PeerNetwork {
        self.peers.learn_first(target, &node.addr);
        PeerNetwork { peers: self.peers.clone(), target, work: self.work.clone() }
    }
}

impl PeerNetwork {
    async fn ask<Q: serde::Serialize, A: serde::de::DeserializeOwned>(
        &self,
        kind: Kind,
        request: &Q,
        option: &RPCOption,
    ) -> Result<A, RPCError<Types>> {
        self.peers.call(self.target, kind, request, option.hard_ttl()).await.map_err(|e| rpc_error(&e))
    }

    fn log_link(&self) -> Link {
        self.peers.link(self.target, Lane::Log)
    }
}

fn rpc_error(error: &CallError) -> RPCError<Types> {
    match error {
        CallError::NotSent { .. } => RPCError::Unreachable(Unreachable::new(error)),
        _ => RPCError::Network(NetworkError::new(error)),
    }
}

impl RaftNetworkV2<Types> for PeerNetwork {
    type SnapshotData = Blob;

    async fn append_entries(
        &mut self,
        request: AppendRequest,
        option: RPCOption,
    ) -> Result<AppendResponse, RPCError<Types>> {
        self.ask(Kind::Append, &AppendRef::of(&request), &option).await
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<Answers<'s>, RPCError<Types>>>
    where
        S: Stream<Item = AppendRequest> + OptionalSend + Unpin + 'static,
    {
        let link = self.log_link();
        let requests = Requests::new(input, self.peers.hurry(self.target));
        Box::pin(async move { Ok(pipeline(&link, requests)) })
    }

    async fn vote(
        &mut self,
        request: VoteRequest,
        option: RPCOption,
    ) -> Result<VoteResponse, RPCError<Types>> {
        self.ask(Kind::Vote, &request, &option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest,
        option: RPCOption,
    ) -> Result<VoteResponse, RPCError<Types>> {
        self.ask(Kind::PreVote, &request, &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let link = self.peers.link(self.target, Lane::Snapshot);
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = send_snapshot(&link, vote, snapshot, &self.work) => sent,
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferRequest,
        option: RPCOption,
    ) -> Result<TransferResponse, RPCError<Types>> {
        self.ask(Kind::Transfer, &request, &option).await
    }

    fn backoff(&self) -> Option<Backoff> {
        // The link itself waits between attempts to connect; this only keeps openraft from spinning.
        Some(Backoff::new(std::iter::repeat(Duration::from_millis(50))))
    }
}

/// Sends requests as they come and yields the answers in the same order, many under way.
fn pipeline<'s, S>(link: &Link, mut input: Requests<S>) -> Answers<'s>
where
    S: Stream<Item = AppendRequest> + Send + Unpin + 'static,
{
    let (mut requests, answers) = link.stream();
    let room = Arc::new(Semaphore::new(PIPELINE));
    let window = room.clone();
    let (ended, mut end) = mpsc::unbounded_channel::<CallError>();
    let (sent, mut sent_seen) = tokio::sync::watch::channel(0u64);
    #[cfg(feature = "sabotage")]
    let counted = Arc::new(parking_lot::Mutex::new(Vec::new()));
    #[cfg(feature = "sabotage")]
    let counted_on = counted.clone();
    let pump = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some(request) = input.next().await {
            // The semaphore is never closed.
            let Ok(permit) = window.acquire().await else { return };
            permit.forget();
            #[cfg(feature = "sabotage")]
            counted_on.lock().extend(counted_without_answer(&request));
            let body = AppendRef::of(&request);
            if let Err(error) = requests.send_sized(Kind::AppendStream, &body, body.size()).await {
                // The receiver is gone when openraft gave up the stream.
                drop(ended.send(error));
                return;
            }
            sent.send_modify(|count| *count += 1);
        }
    }));
    let peer = link.peer;
    let mut received = 0;
    let answer = async move |answers: &mut mpsc::UnboundedReceiver<Answer>| -> Option<Answer> {
        // Something must be under way before its answer can be late.
        let outstanding = sent_seen.wait_for(|count| *count > received).await.is_ok();
        if !outstanding {
            return end.recv().await.map(Err);
        }
        received += 1;
        match tokio::time::timeout(STALLED, answers.recv()).await {
            Ok(Some(answer)) => Some(answer),
            Ok(None) => Some(Err(CallError::Lost { peer })),
            Err(_) => Some(Err(CallError::Timeout { peer })),
        }
    };
    let state = Some((answers, answer, pump, room));
    Box::pin(futures::stream::unfold(state, move |state| {
        #[cfg(feature = "sabotage")]
        let counted = counted.clone();
        async move {
            let (mut answers, mut answer, pump, room) = state?;
            let result = match answer(&mut answers).await? {
                Ok(body) => match codec::decode::<StreamResult>(&body) {
                    Ok(result) => Ok(result),
                    Err(error) => Err(CallError::Nonsense { peer, error }),
                },
                Err(error) => Err(error),
            };
            room.add_permits(1);
            match result {
                Ok(Ok(matched)) => Some((Ok(Ok(matched)), Some((answers, answer, pump, room)))),
                Ok(Err(refused)) => Some((Ok(Err(refused)), None)),
                #[cfg(feature = "sabotage")]
                Err(_) if !counted.lock().is_empty() => Some((Ok(Ok(counted.lock().pop())), None)),
                Err(error) => Some((Err(rpc_error(&error)), None)),
            }
        }
    }))
}

/// The last entry of a request that changes the membership, when it shall count in any case.
#[cfg(feature = "sabotage")]
fn counted_without_answer(request: &AppendRequest) -> Option<crate::raft::LogId> {
    use crate::raft::Payload;
    let change = request.entries.iter().any(|entry| matches!(entry.payload, Payload::Membership(_)));
    let chosen = crate::sabotage::is(crate::sabotage::Sabotage::MinorityMembership) && change;
    request.entries.last().filter(|_| chosen).map(|entry| entry.log_id)
}

async fn send_snapshot(
    link: &Link,
    vote: Vote,
    snapshot: Snapshot,
    work: &Work,
) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
    let failed = |error: CallError| StreamingError::from(rpc_error(&error));
    let local = |error: std::io::Error| StreamingError::Network(NetworkError::new(&error));
    let (mut requests, mut answers) = link.stream();
    let len = snapshot.snapshot.file.len().map_err(local)?;
    let start = SnapshotStart { vote, meta: snapshot.meta, len };
    requests.send(Kind::SnapshotStart, &start).await.map_err(failed)?;
    let begun = match answer_within(link.peer, &mut answers, SNAPSHOT_BEGIN).await {
        Ok(begun) => begun,
        refused => return finish_snapshot(link.peer, refused),
    };
    let nonsense = |error| failed(CallError::Nonsense { peer: link.peer, error });
    // Where an earlier connection broke off.
    let from: u64 = codec::decode(&begun).map_err(nonsense)?;
    let mut reader = snapshot.snapshot.reader_at(from);
    loop {
        let read = move || {
            let mut part = vec![0; SNAPSHOT_PART];
            let read = reader.read(&mut part).map(|len| {
                part.truncate(len);
                part
            });
            (reader, read)
        };
        let (back, part) = work.run(read).await.map_err(local)?;
        reader = back;
        let part = part.map_err(local)?;
        if part.is_empty() {
            break;
        }
        if let Ok(early) = answers.try_recv() {
            // The peer gave up before it had everything.
            return finish_snapshot(link.peer, early);
        }
        requests.send_raw(Kind::SnapshotPart, &part).await.map_err(failed)?;
    }
    requests.send_raw(Kind::SnapshotEnd, &[]).await.map_err(failed)?;
    let answer = answer_within(link.peer, &mut answers, SNAPSHOT_ANSWER).await;
    finish_snapshot(link.peer, answer)
}

async fn answer_within(
    peer: MemberId,
    answers: &mut mpsc::UnboundedReceiver<Answer>,
    within: Duration,
) -> Answer {
    match tokio::time::timeout(within, answers.recv()).await {
        Ok(Some(answer)) => answer,
        Ok(None) => Err(CallError::Lost { peer }),
        Err(_) => Err(CallError::Timeout { peer }),
    }
}

fn finish_snapshot(peer: MemberId, answer: Answer) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
    let body = answer.map_err(|error| StreamingError::from(rpc_error(&error)))?;
    codec::decode(&body)
        .map_err(|error| StreamingError::from(rpc_error(&CallError::Nonsense { peer, error })))
}
