//! A connection to one peer that is made again whenever it breaks.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::io::{AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::codec;
use crate::machine::Published;
use crate::metrics::Metrics;
use crate::object::MemberId;
use crate::peer::book::Book;
use crate::peer::frame::{self, Frame, Kind};
use crate::peer::net::{Network, Socket};
use crate::peer::wire::{Hello, Welcome};

/// Requests that wait to be written.
const QUEUE: usize = 1024;
/// Bytes of snapshots that wait to be written: the next part is not read before.
const QUEUE_BYTES: usize = 2 << 20;
/// Requests written in one go.
const WRITE_BATCH: usize = 64;
const CONNECT: Duration = Duration::from_millis(1000);
const BACKOFF_FIRST: Duration = Duration::from_millis(20);
const BACKOFF_MOST: Duration = Duration::from_millis(500);

/// How the link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// It was never tried.
    New,
    Up,
    /// The connection closed, and this many attempts to make it again failed.
    Down {
        attempts: u32,
    },
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// It was surely not delivered.
    #[error("not connected to member {peer}: {reason}")]
    NotSent { peer: MemberId, reason: String },
    /// It may have been delivered.
    #[error("the connection to member {peer} broke")]
    Lost { peer: MemberId },
    /// The peer could not answer it.
    #[error("member {peer} refused: {reason}")]
    Refused { peer: MemberId, reason: String },
    /// The answer makes no sense.
    #[error("member {peer} answered nonsense: {error}")]
    Nonsense { peer: MemberId, error: codec::CodecError },
    /// No answer in time; it may have been delivered.
    #[error("no answer from member {peer} in time")]
    Timeout { peer: MemberId },
}

/// An answer, or why there is none.
pub(crate) type Answer = Result<Bytes, CallError>;

enum Waiting {
    Once(oneshot::Sender<Answer>),
    Stream(mpsc::UnboundedSender<Answer>),
    /// The stream's receiver is registered already, or no answer is expected.
    Nobody,
}

struct Outgoing {
    id: u64,
    bytes: Vec<u8>,
    waiting: Waiting,
    /// Its share of the room for what is large, until it is written.
    room: Option<OwnedSemaphorePermit>,
}

/// The handle of a link. Clones are the same link.
#[derive(Clone)]
pub(crate) struct Link {
    pub peer: MemberId,
    queue: mpsc::Sender<Outgoing>,
    state: watch::Receiver<LinkState>,
    next_id: Arc<AtomicU64>,
    room: Arc<Semaphore>,
}

/// What a link needs to connect.
pub(crate) struct LinkConfig {
    pub peer: MemberId,
    /// Who we are, in the words of [`Hello`].
    pub hello: Hello,
    /// Where the peer is, as far as is known now.
    pub book: Arc<Book>,
    pub network: Arc<dyn Network>,
    pub metrics: Arc<Metrics>,
    /// Whether we belong, as we know when we connect.
    pub published: Arc<Published>,
    /// Connected before anybody asks, so that a dead peer is noticed at once.
    pub eager: bool,
    pub cancel: CancellationToken,
}

impl Link {
    pub(crate) fn start(config: LinkConfig) -> Link {
        let (queue, outgoing) = mpsc::channel(QUEUE);
        let (state_sender, state) = watch::channel(LinkState::New);
        let peer = config.peer;
        let runner = Runner { config, outgoing, state: state_sender, pending: Mutex::default() };
        tokio::spawn(runner.run());
        let room = Arc::new(Semaphore::new(QUEUE_BYTES));
        Link { peer, queue, state, next_id: Arc::new(AtomicU64::new(1)), room }
    }

    pub(crate) fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    fn new_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn closed(&self) -> CallError {
        CallError::NotSent { peer: self.peer, reason: "the store is stopping".to_owned() }
    }

    /// One request, one answer.
    pub(crate) async fn call<T: Serialize>(&self, kind: Kind, body: &T, within: Duration) -> Answer {
        let id = self.new_id();
        let (sender, receiver) = oneshot::channel();
        let waiting = Waiting::Once(sender);
        let outgoing = Outgoing { id, bytes: frame::encode(kind, id, body), waiting, room: None };
        let answer = async {
            self.queue.send(outgoing).await.map_err(|_| self.closed())?;
            receiver.await.map_err(|_| CallError::Lost { peer: self.peer })?
        };
        tokio::time::timeout(within, answer).await.unwrap_or(Err(CallError::Timeout { peer: self.peer }))
    }

    /// A series of requests that are answered in their order.
    pub(crate) fn stream(&self) -> (LinkStream, mpsc::UnboundedReceiver<Answer>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (LinkStream { link: self.clone(), id: self.new_id(), first: Some(sender) }, receiver)
    }
}

/// The sending half of a series of requests.
pub(crate) struct LinkStream {
    link: Link,
    id: u64,
    first: Option<mpsc::UnboundedSender<Answer>>,
}

impl LinkStream {
    pub(crate) async fn send<T: Serialize>(&mut self, kind: Kind, body: &T) -> Result<(), CallError> {
        self.send_bytes(frame::encode(kind, self.id, body), None).await
    }

    /// [`LinkStream::send`] of a body that takes about `size` bytes.
    pub(crate) async fn send_sized<T: Serialize>(
        &mut self,
        kind: Kind,
        body: &T,
        size: usize,
    ) -> Result<(), CallError> {
        self.send_bytes(frame::encode_sized(kind, self.id, body, size), None).await
    }

    /// Waits until there is room for it.
    pub(crate) async fn send_raw(&mut self, kind: Kind, body: &[u8]) -> Result<(), CallError> {
        let bytes = frame::encode_raw(kind, self.id, body);
        let share = bytes.len().min(QUEUE_BYTES) as u32;
        // The semaphore is never closed.
        let room = self.link.room.clone().acquire_many_owned(share).await.ok();
        self.send_bytes(bytes, room).await
    }

    async fn send_bytes(
        &mut self,
        bytes: Vec<u8>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<(), CallError> {
        let waiting = self.first.take().map_or(Waiting::Nobody, Waiting::Stream);
        let outgoing = Outgoing { id: self.id, bytes, waiting, room };
        self.link.queue.send(outgoing).await.map_err(|_| self.link.closed())
    }
}

type Pending = Mutex<HashMap<u64, Waiting>>;

struct Runner {
    config: LinkConfig,
    outgoing: mpsc::Receiver<Outgoing>,
    state: watch::Sender<LinkState>,
    pending: Pending,
}

impl Runner {
    async fn run(mut self) {
        let cancel = self.config.cancel.clone();
        // Nothing of a link outlives the store.
        cancel.run_until_cancelled(self.serve()).await;
    }

    async fn serve(&mut self) {
        let mut attempts = 0;
        let mut told = String::new();
        loop {
            let first = if self.config.eager || attempts > 0 {
                None
            } else {
                match self.outgoing.recv().await {
                    Some(outgoing) => Some(outgoing),
                    None => return,
                }
            };
            match self.connect().await {
                Ok(socket) => {
                    attempts = 0;
                    self.set_state(LinkState::Up);
                    let error = self.converse(socket, first).await;
                    tracing::debug!(peer = self.config.peer, %error, "the connection to a peer ended");
                    self.lose_pending();
                    self.set_state(LinkState::Down { attempts: 0 });
                    if self.outgoing.is_closed() && self.outgoing.is_empty() {
                        return;
                    }
                }
                Err(error) => {
                    attempts += 1;
                    let reason = error.to_string();
                    let kind = error.kind();
                    if matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported)
                        && told != reason
                    {
                        tracing::warn!(peer = self.config.peer, "not let in by a peer: {reason}");
                        told.clone_from(&reason);
                    }
                    if let Some(outgoing) = first {
                        self.refuse(outgoing, &reason);
                    }
                    self.set_state(LinkState::Down { attempts });
                    if !self.back_off(attempts, &reason).await {
                        return;
                    }
                }
            }
        }
    }

    fn set_state(&self, state: LinkState) {
        self.state.send_replace(state);
        self.config.book.ring();
    }

    /// Waits before the next attempt; what is asked meanwhile is refused. False when nobody is
    /// left who could ask.
    async fn back_off(&mut self, attempts: u32, reason: &str) -> bool {
        let wait = (BACKOFF_FIRST * 2u32.saturating_pow(attempts - 1)).min(BACKOFF_MOST);
        let until = tokio::time::Instant::now() + wait;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return true,
                outgoing = self.outgoing.recv() => match outgoing {
                    Some(outgoing) => self.refuse(outgoing, reason),
                    None => return false,
                },
            }
        }
    }

    fn refuse(&self, outgoing: Outgoing, reason: &str) {
        let error = CallError::NotSent { peer: self.config.peer, reason: reason.to_owned() };
        match outgoing.waiting {
            // Who asked may have given up: nobody is left to tell.
            Waiting::Once(sender) => drop(sender.send(Err(error))),
            Waiting::Stream(sender) => drop(sender.send(Err(error))),
            Waiting::Nobody => {}
        }
    }

    fn lose_pending(&self) {
        let peer = self.config.peer;
        for (_, waiting) in self.pending.lock().drain() {
            match waiting {
                Waiting::Once(sender) => drop(sender.send(Err(CallError::Lost { peer }))),
                Waiting::Stream(sender) => drop(sender.send(Err(CallError::Lost { peer }))),
                Waiting::Nobody => {}
            }
        }
    }

    async fn connect(&self) -> io::Result<Box<dyn Socket>> {
        let config = &self.config;
        let address = config
            .book
            .address(config.peer)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "its address is not known"))?;
        let refused = |reason| io::Error::new(io::ErrorKind::PermissionDenied, reason);
        let greet = async {
            let mut socket = config.network.connect(address).await?;
            let belongs = config.published.root().since(config.hello.from);
            let hello = Hello { belongs, ..config.hello.clone() };
            socket.write_all(&frame::encode(Kind::Hello, 0, &hello)).await?;
            socket.flush().await?;
            match frame::read(&mut socket).await? {
                Some(Frame { kind: Kind::Welcome, body, .. }) => {
                    let welcome: Welcome = codec::decode(&body).map_err(io::Error::other)?;
                    config.book.met(config.peer, welcome.folder).map_err(refused)?;
                    Ok(socket)
                }
                Some(Frame { kind: Kind::Removed, body, .. }) => {
                    config.book.removed(codec::decode(&body).map_err(io::Error::other)?);
                    Err(refused("this member was removed".to_owned()))
                }
                Some(Frame { body, .. }) => Err(refused(String::from_utf8_lossy(&body).into_owned())),
                None => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        };
        tokio::time::timeout(CONNECT, greet).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Talks until the connection breaks.
    async fn converse(&mut self, socket: Box<dyn Socket>, first: Option<Outgoing>) -> io::Error {
        let (reader, writer) = tokio::io::split(socket);
        let (pending, metrics) = (&self.pending, &self.config.metrics);
        let read = read_answers(reader, pending, self.config.peer, metrics);
        let write = write_requests(writer, &mut self.outgoing, first, pending, metrics);
        tokio::select! {
            error = read => error,
            error = write => error,
        }
    }
}

async fn read_answers(
    reader: ReadHalf<Box<dyn Socket>>,
    pending: &Pending,
    peer: MemberId,
    metrics: &Metrics,
) -> io::Error {
    let mut reader = BufReader::with_capacity(64 << 10, reader);
    loop {
        let frame = match frame::read(&mut reader).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return io::ErrorKind::ConnectionReset.into(),
            Err(error) => return error,
        };
        metrics.peer_received.inc_by(frame.body.len() as u64);
        let refused = frame.kind == Kind::Refused;
        let answer = if refused {
            let reason = String::from_utf8_lossy(&frame.body).into_owned();
            Err(CallError::Refused { peer, reason })
        } else {
            Ok(frame.body)
        };
        let mut pending = pending.lock();
        match pending.remove(&frame.id) {
            // Who asked may have given up: nobody is left to tell.
            Some(Waiting::Once(sender)) => drop(sender.send(answer)),
            Some(Waiting::Stream(sender)) => {
                if sender.send(answer).is_ok() && !refused {
                    pending.insert(frame.id, Waiting::Stream(sender));
                }
            }
            Some(Waiting::Nobody) | None => {}
        }
    }
}

async fn write_requests(
    mut writer: WriteHalf<Box<dyn Socket>>,
    outgoing: &mut mpsc::Receiver<Outgoing>,
    first: Option<Outgoing>,
    pending: &Pending,
    metrics: &Metrics,
) -> io::Error {
    let mut batch: Vec<Outgoing> = first.into_iter().collect();
    loop {
        if batch.is_empty() && outgoing.recv_many(&mut batch, WRITE_BATCH).await == 0 {
            return io::Error::other("nobody uses the link any more");
        }
        let mut buffer = Vec::new();
        let mut rooms = Vec::new();
        for Outgoing { id, bytes, waiting, room } in batch.drain(..) {
            let mut pending = pending.lock();
            match waiting {
                // The rest of a series that was lost with the connection before, or given up.
                Waiting::Nobody if !pending.contains_key(&id) => continue,
                Waiting::Nobody => {}
                waiting => drop(pending.insert(id, waiting)),
            }
            drop(pending);
            if buffer.is_empty() {
                buffer = bytes
            } else {
                buffer.extend_from_slice(&bytes)
            }
            rooms.extend(room);
        }
        if buffer.is_empty() {
            continue;
        }
        metrics.peer_sent.inc_by(buffer.len() as u64);
        if let Err(error) = writer.write_all(&buffer).await {
            return error;
        }
        if let Err(error) = writer.flush().await {
            return error;
        }
    }
}
