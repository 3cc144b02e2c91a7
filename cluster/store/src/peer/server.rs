//! Answers what peers ask.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tokio::io::{AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::batcher::Batcher;
use crate::codec;
use crate::failover::Failover;
use crate::members::Members;
use crate::metrics::Metrics;
use crate::object::MemberId;
use crate::peer::frame::{self, Frame, Kind};
use crate::peer::net::{Incoming, Listener, Socket};
use crate::peer::peers::Peers;
use crate::peer::receive::{Inbox, Receiving};
use crate::peer::wire::{AppendRef, AppendRequest, Forward, Hello, VoteRequest, Welcome};
use crate::pulse::Pulse;
use crate::raft::Raft;
use crate::reads::LeaderReads;

/// Answers that wait to be written.
const ANSWERS: usize = 1024;
/// Log batches of one stream that wait for the log.
const STREAM: usize = 16;

/// What the answers need.
pub(crate) struct Service {
    pub raft: Raft,
    pub peers: Arc<Peers>,
    pub batcher: Batcher,
    pub reads: LeaderReads,
    pub members: Arc<Members>,
    pub failover: Arc<Failover>,
    pub pulse: Arc<Pulse>,
    pub inbox: Arc<Inbox>,
    pub metrics: Arc<Metrics>,
}

/// Accepts peers until cancelled.
pub(crate) async fn serve(mut listener: Box<dyn Listener>, service: Arc<Service>, cancel: CancellationToken) {
    loop {
        let incoming = match cancel.run_until_cancelled(listener.accept()).await {
            None => return,
            Some(Ok(incoming)) => incoming,
            Some(Err(error)) => {
                tracing::warn!(%error, "cannot accept a peer");
                tokio::task::yield_now().await;
                continue;
            }
        };
        let (service, cancel) = (service.clone(), cancel.child_token());
        tokio::spawn(async move {
            let ended = cancel.run_until_cancelled(connection(service, incoming, cancel.clone())).await;
            // Whatever the connection still had under way ends with it.
            cancel.cancel();
            if let Some(Err(error)) = ended {
                tracing::debug!(%error, "the connection of a peer ended");
            }
        });
    }
}

async fn connection(service: Arc<Service>, incoming: Incoming, cancel: CancellationToken) -> io::Result<()> {
    let mut socket = incoming.await?;
    let frame = match frame::read(&mut socket).await {
        Ok(Some(frame)) => frame,
        Ok(None) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            // In a form that every version knows.
            socket.write_all(&refusal(0, &error.to_string())).await?;
            socket.flush().await?;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    let hello: Hello = codec::decode(&frame.body).map_err(io::Error::other)?;
    let me = service.peers.me();
    let book = service.peers.book();
    let stranger = if frame.kind != Kind::Hello || hello.to != me {
        Some(format!("member {} was wanted, this is member {me}", hello.to))
    } else {
        book.met(hello.from, hello.folder).err()
    };
    if let Some(since) = service.peers.removed(hello.from, hello.belongs) {
        socket.write_all(&frame::encode(Kind::Removed, 0, &since)).await?;
        return socket.flush().await;
    }
    book.learn(hello.from, &hello.advertise);
    if let Some(reason) = stranger {
        socket.write_all(&refusal(0, &reason)).await?;
        return socket.flush().await;
    }
    let welcome = Welcome { folder: service.peers.folder() };
    socket.write_all(&frame::encode(Kind::Welcome, 0, &welcome)).await?;
    socket.flush().await?;
    let (reader, writer) = tokio::io::split(socket);
    let (answers, outgoing) = mpsc::channel(ANSWERS);
    let write = write_answers(writer, outgoing, service.metrics.clone());
    let session = Session { service, from: hello.from, answers, cancel, stream: None, snapshot: None };
    tokio::select! {
        ended = session.read(reader) => ended,
        ended = write => ended,
    }
}

async fn write_answers(
    mut writer: WriteHalf<Box<dyn Socket>>,
    mut outgoing: mpsc::Receiver<Vec<u8>>,
    metrics: Arc<Metrics>,
) -> io::Result<()> {
    let mut batch = Vec::new();
    while outgoing.recv_many(&mut batch, 64).await > 0 {
        let bytes = batch.concat();
        batch.clear();
        metrics.peer_sent.inc_by(bytes.len() as u64);
        writer.write_all(&bytes).await?;
        writer.flush().await?;
    }
    Ok(())
}

/// One connection of a peer.
struct Session {
    service: Arc<Service>,
    from: MemberId,
    answers: mpsc::Sender<Vec<u8>>,
    cancel: CancellationToken,
    /// The log stream that goes on.
    stream: Option<(u64, mpsc::Sender<AppendRequest>)>,
    snapshot: Option<Receiving>,
}

impl Session {
    async fn read(mut self, reader: ReadHalf<Box<dyn Socket>>) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(64 << 10, reader);
        while let Some(frame) = frame::read(&mut reader).await? {
            self.service.metrics.peer_received.inc_by(frame.body.len() as u64);
            match frame.kind {
                Kind::AppendStream => self.append_stream(frame).await?,
                Kind::SnapshotStart => self.snapshot_start(&frame).await?,
                Kind::SnapshotPart => self.snapshot_part(frame).await?,
                Kind::SnapshotEnd => self.snapshot_end(),
                _ => self.answer(frame),
            }
        }
        Ok(())
    }

    /// Answers a request in a task of its own.
    fn answer(&self, frame: Frame) {
        let (service, answers, cancel) = (self.service.clone(), self.answers.clone(), self.cancel.clone());
        let from = self.from;
        tokio::spawn(async move {
            let id = frame.id;
            let work = async {
                let bytes = service.answer(from, &frame).await.unwrap_or_else(|reason| refusal(id, &reason));
                if matches!(frame.kind, Kind::Forward | Kind::ReadIndex) {
                    service.peers.hurry(from).notify_one();
                }
                // The connection ended: nobody waits for the answer.
                drop(answers.send(bytes).await);
            };
            cancel.run_until_cancelled(work).await;
        });
    }

    async fn append_stream(&mut self, frame: Frame) -> io::Result<()> {
        let request = AppendRef::decode(&frame.body).map_err(io::Error::other)?;
        if self.stream.as_ref().is_none_or(|(id, _)| *id != frame.id) {
            self.stream = Some((frame.id, self.start_stream(frame.id)));
        }
        if let Some((_, requests)) = &self.stream {
            // A stream that ended in a conflict takes no more; the leader has been told.
            drop(requests.send(request).await);
        }
        Ok(())
    }

    fn start_stream(&self, id: u64) -> mpsc::Sender<AppendRequest> {
        let (sender, requests) = mpsc::channel(STREAM);
        let results = self.service.raft.stream_append(ReceiverStream::new(requests));
        let (answers, cancel) = (self.answers.clone(), self.cancel.clone());
        tokio::spawn(async move {
            let work = async {
                let mut results = std::pin::pin!(results);
                while let Some(result) = results.next().await {
                    let bytes = match result {
                        Ok(result) => frame::encode(Kind::Reply, id, &result),
                        Err(fatal) => refusal(id, &fatal.to_string()),
                    };
                    if answers.send(bytes).await.is_err() {
                        return;
                    }
                }
            };
            cancel.run_until_cancelled(work).await;
        });
        sender
    }

    /// Answers how much of it is here already.
    async fn snapshot_start(&mut self, frame: &Frame) -> io::Result<()> {
        let start = codec::decode(&frame.body).map_err(io::Error::other)?;
        // What is under way on this connection is given up first, so that it can be gone on with.
        self.snapshot = None;
        let receiving = self.service.inbox.begin(self.from, frame.id, start).await?;
        let have = frame::encode(Kind::Reply, frame.id, &receiving.have());
        self.snapshot = Some(receiving);
        self.answers.send(have).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    async fn snapshot_part(&mut self, frame: Frame) -> io::Result<()> {
        match &mut self.snapshot {
            Some(receiving) if receiving.id == frame.id => receiving.part(frame.body).await,
            // The rest of one that was given up.
            _ => Ok(()),
        }
    }

    fn snapshot_end(&mut self) {
        let Some(receiving) = self.snapshot.take() else { return };
        let (service, answers) = (self.service.clone(), self.answers.clone());
        tokio::spawn(async move {
            let (id, start, bytes) = (receiving.id, receiving.start.clone(), receiving.have());
            let bytes = match receiving.finish().await {
                Ok(snapshot) => {
                    tracing::info!(bytes, last = ?start.meta.last_log_id, "received a snapshot");
                    let snapshot = openraft::Snapshot { meta: start.meta, snapshot };
                    match service.raft.install_full_snapshot(start.vote, snapshot).await {
                        Ok(response) => frame::encode(Kind::Reply, id, &response),
                        Err(fatal) => refusal(id, &fatal.to_string()),
                    }
                }
                Err(error) => refusal(id, &format!("the snapshot is not usable: {error}")),
            };
            // The connection ended: the leader asks again.
            drop(answers.send(bytes).await);
        });
    }
}

fn refusal(id: u64, reason: &str) -> Vec<u8> {
    frame::encode_raw(Kind::Refused, id, reason.as_bytes())
}

impl Service {
    async fn answer(&self, from: MemberId, frame: &Frame) -> Result<Vec<u8>, String> {
        fn reply<T: Serialize>(frame: &Frame, answer: &T) -> Vec<u8> {
            frame::encode(Kind::Reply, frame.id, answer)
        }
        let body = &frame.body;
        Ok(match frame.kind {
            Kind::Append => {
                let request = AppendRef::decode(body).map_err(text)?;
                reply(frame, &self.raft.append_entries(request).await.map_err(text)?)
            }
            Kind::Vote => {
                let mut request: VoteRequest = codec::decode(body).map_err(text)?;
                request.leadership_transfer |= self.failover.agreed();
                reply(frame, &self.raft.vote(request).await.map_err(text)?)
            }
            Kind::PreVote => {
                let request: VoteRequest = codec::decode(body).map_err(text)?;
                reply(frame, &self.raft.pre_vote(request).await.map_err(text)?)
            }
            Kind::Transfer => {
                let request = codec::decode(body).map_err(text)?;
                reply(frame, &self.raft.handle_transfer_leader(request).await.map_err(text)?)
            }
            Kind::Forward => reply(frame, &self.batcher.submit(proposals(body)?).await),
            Kind::ReadIndex => reply(frame, &self.reads.index().await),
            Kind::Members => {
                let request = codec::decode(body).map_err(text)?;
                reply(frame, &self.members.as_leader(&request).await)
            }
            Kind::LeaderGone => {
                let question = codec::decode(body).map_err(text)?;
                reply(frame, &self.failover.answer(question).await)
            }
            Kind::Leaving => {
                self.peers.book().leaves(from);
                reply(frame, &())
            }
            Kind::Pulse => {
                let question = codec::decode(body).map_err(text)?;
                reply(frame, &self.pulse.answer(from, question))
            }
            kind => return Err(format!("{kind:?} is not a request")),
        })
    }
}

fn proposals(body: &Bytes) -> Result<Vec<Bytes>, String> {
    let forward: Forward<'_> = codec::decode(body).map_err(text)?;
    Ok(forward.0.iter().map(|raw| body.slice_ref(raw.0)).collect())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
