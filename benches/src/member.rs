//! One of our members as a process: a replica of the store with its real peer network, and a front
//! on loopback that answers etcd's `Put`, `Range` and `Watch` to the benches' own client, in the
//! frames of HTTP/2. The front is a part of the benches only: the product has none, its API
//! servers call the store in their own process.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use futures::StreamExt;
use store::{
    Consistency, Event, EventKind, Limits, Op, Put, Store, StoreConfig, Timings, Txn, WatchItem, WatchRequest,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;

use crate::frames::{self, END_HEADERS, END_STREAM, Frame, Reader, SendWindow};
use crate::wire::{self, Message, PREFIX};
use crate::{grpc, tls, values};

/// The field by which watchers are indexed.
const NODE_FIELD: &str = "spec.nodeName";
/// Answers that wait to be written, and those written in one go.
const ANSWERS: usize = 4096;
const BATCH: usize = 128;
/// Objects per transaction of `load`.
const LOAD_TXN: u64 = 64;
/// Transactions of `load` under way.
const LOAD_UNDER_WAY: usize = 16;

/// Who this member is.
#[derive(clap::Args)]
pub struct Args {
    #[arg(long)]
    id: u64,
    /// Folder with the certificates.
    #[arg(long)]
    tls: PathBuf,
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    peer: SocketAddr,
    #[arg(long)]
    front: SocketAddr,
    /// Begins a cluster.
    #[arg(long)]
    begin: bool,
}

/// Serves until killed.
pub async fn run(args: Args) -> Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let (tls_server, tls_client) = tls::Files::at(&args.tls).load()?;
    let config = StoreConfig {
        id: args.id,
        data_dir: args.data,
        peer_listen: args.peer,
        peer_advertise: args.peer.to_string(),
        tls_server,
        tls_client,
        peer_server_name: tls::PEER_NAME.to_owned(),
        timings: Timings { catch_up: Duration::from_secs(300), ..Timings::default() },
        limits: Limits::default(),
        history: store::DEFAULT_HISTORY,
        registry: prometheus::Registry::new(),
    };
    let registry = config.registry.clone();
    let store = Store::open(config).await?;
    if args.begin {
        store.init_cluster().await?;
    }
    let front = Arc::new(Front { store, id: args.id, registry });
    let listener = tokio::net::TcpListener::bind(args.front).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        // The client closed it, or was killed.
        let front = front.clone();
        tokio::spawn(async move { drop(front.connection(socket).await) });
    }
}

struct Front {
    store: Store,
    id: u64,
    registry: prometheus::Registry,
}

impl Front {
    /// Answers the requests of one client, each in a task of its own; answers that wait are
    /// written together.
    async fn connection(self: Arc<Self>, socket: TcpStream) -> Result<()> {
        let (reader, writer) = socket.into_split();
        let (answers, outgoing) = mpsc::channel(ANSWERS);
        let writing = tokio::spawn(write(writer, outgoing));
        let blocks: HashMap<Vec<u8>, &str> =
            wire::METHODS.iter().map(|path| (grpc::request_block(path), *path)).collect();
        let (mut reader, window) = (Reader::new(reader), SendWindow::new());
        reader.preface().await?;
        let mut under_way: HashMap<u32, &str> = HashMap::new();
        let send = |bytes| drop(answers.try_send(bytes));
        while let Some(frame) = reader.next(&window, send).await? {
            match frame.kind {
                frames::HEADERS => {
                    let path = blocks.get(&frame.payload[..]).context("a client that is not ours")?;
                    under_way.insert(frame.stream, path);
                }
                frames::DATA => {
                    let path = under_way.remove(&frame.stream).context("a request in parts")?;
                    let (front, answers) = (self.clone(), answers.clone());
                    tokio::spawn(async move { front.answer(path, &frame, &answers).await });
                }
                _ => {}
            }
        }
        writing.abort();
        Ok(())
    }

    async fn answer(&self, path: &str, frame: &Frame, answers: &mpsc::Sender<Vec<u8>>) {
        let answer = match message(&frame.payload) {
            Ok(message) if path == wire::WATCH => {
                self.watch(&message, frame.stream, answers).await.map(|()| Bytes::new())
            }
            Ok(message) => self.dispatch(path, &message).await,
            Err(error) => Err(error),
        };
        let mut out = Vec::with_capacity(answer.as_ref().map_or(128, Bytes::len) + 64);
        let trailers = match &answer {
            Ok(message) => {
                open_stream(&mut out, frame.stream);
                frames::put_data(&mut out, frame.stream, message, false);
                frames::header_block(&[("grpc-status", "0")])
            }
            Err(error) => {
                frames::header_block(&[("grpc-status", "2"), ("grpc-message", &format!("{error:#}"))])
            }
        };
        frames::put(&mut out, frames::HEADERS, END_HEADERS | END_STREAM, frame.stream, &trailers);
        // The client has gone.
        drop(answers.send(out).await);
    }

    async fn dispatch(&self, path: &str, message: &Bytes) -> Result<Bytes> {
        match path {
            wire::PUT => self.put(message).await,
            wire::RANGE => self.range(message).await,
            wire::STATUS => Ok(self.status()),
            wire::COMMAND => {
                let text = self.command(std::str::from_utf8(message)?).await?;
                let mut answer = Message::new(text.len() + 8);
                answer.bytes(1, text.as_bytes());
                Ok(answer.finish())
            }
            _ => bail!("no such method: {path}"),
        }
    }

    async fn put(&self, message: &Bytes) -> Result<Bytes> {
        let request = wire::read_put(message);
        let node = request.node.map(|node| String::from_utf8_lossy(node).into_owned());
        let put = Put {
            key: std::str::from_utf8(request.key)?.to_owned(),
            value: message.slice_ref(request.value),
            fields: node.into_iter().map(|node| (NODE_FIELD.to_owned(), node)).collect(),
            ..Put::default()
        };
        let applied = self.store.propose(Txn { guards: Vec::new(), ops: vec![Op::Put(put)] }).await?;
        let mut answer = Message::new(48);
        answer.bytes(1, wire::header(self.id, applied.revision, 0).inner());
        Ok(answer.finish())
    }

    async fn range(&self, message: &[u8]) -> Result<Bytes> {
        let request = wire::read_put(message);
        let view = self.store.view(Consistency::Linearizable).await?;
        let object = view.get(std::str::from_utf8(request.key)?);
        let mut answer = Message::new(object.as_ref().map_or(64, |o| o.value.len() + 128));
        answer.bytes(1, wire::header(self.id, view.revision(), 0).inner());
        if let Some(o) = object {
            let kv = wire::key_value(o.key.as_bytes(), o.create_revision, o.revision, &o.value);
            answer.bytes(2, kv.inner()).int(4, 1);
        }
        Ok(answer.finish())
    }

    /// Sends the events of a watch until it ends or the client goes.
    async fn watch(&self, message: &[u8], stream: u32, answers: &mpsc::Sender<Vec<u8>>) -> Result<()> {
        let (prefix, node) = wire::read_watch(message);
        let field = node.map(|node| (NODE_FIELD.to_owned(), node));
        let from = self.store.status().revision;
        let mut events = self.store.watch(WatchRequest { prefix, from, field })?;
        let mut created = Message::new(64);
        created.bytes(1, wire::header(self.id, from, 0).inner()).int(3, 1);
        let mut out = Vec::new();
        open_stream(&mut out, stream);
        frames::put_data(&mut out, stream, &created.finish(), false);
        answers.send(out).await?;
        while let Some(item) = events.next().await {
            if let WatchItem::Event(event) = item? {
                // Encoded once, however many watch.
                let encoded = event.encoded[0].get_or_init(|| encode(&event));
                let mut out = Vec::with_capacity(encoded.len() + 16);
                frames::put_data(&mut out, stream, encoded, false);
                answers.send(out).await?;
            }
        }
        Ok(())
    }

    fn status(&self) -> Bytes {
        let status = self.store.status();
        let mut answer = Message::new(64);
        answer.bytes(1, wire::header(self.id, status.revision, status.term).inner());
        answer.int(4, status.leader.unwrap_or(0));
        answer.finish()
    }

    /// `add ID ADDR`, `transfer`, `status`, `load COUNT BYTES`, `metrics`.
    async fn command(&self, line: &str) -> Result<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["add", id, addr] => {
                self.store.add_member(id.parse()?, addr.to_owned()).await?;
                Ok("added".to_owned())
            }
            ["transfer"] => {
                self.store.transfer_leadership().await?;
                Ok("transferred".to_owned())
            }
            ["status"] => {
                let status = self.store.status();
                let healthy = status.healthy.is_ok();
                Ok(format!("{} {} {} {healthy}", status.objects, status.applied, status.last_log))
            }
            ["load", count, bytes] => {
                let started = Instant::now();
                load(&self.store, count.parse()?, bytes.parse()?).await?;
                Ok(format!("{:?}", started.elapsed()))
            }
            ["metrics"] => {
                let mut out = String::new();
                prometheus::TextEncoder::new().encode_utf8(&self.registry.gather(), &mut out)?;
                Ok(out)
            }
            _ => bail!("not a command: {line}"),
        }
    }
}

fn message(body: &Bytes) -> Result<Bytes> {
    if body.len() < PREFIX {
        bail!("a request without a message");
    }
    Ok(body.slice(PREFIX..))
}

/// Objects with keys like those of pods, each with one label and one field.
async fn load(store: &Store, count: u64, bytes: usize) -> Result<()> {
    let txns = (0..count).step_by(LOAD_TXN as usize).map(|first| {
        let put = |n| {
            Op::Put(Put {
                key: values::object_key(n),
                value: values::random(n, bytes),
                labels: values::object_labels(n),
                fields: values::object_fields(n),
                ..Put::default()
            })
        };
        let ops = (first..count.min(first + LOAD_TXN)).map(put).collect();
        store.propose(Txn { guards: Vec::new(), ops })
    });
    let mut loading = futures::stream::iter(txns).buffer_unordered(LOAD_UNDER_WAY);
    while let Some(done) = loading.next().await {
        done?;
    }
    Ok(())
}

async fn write(mut socket: OwnedWriteHalf, mut outgoing: mpsc::Receiver<Vec<u8>>) -> Result<()> {
    let mut out = Vec::new();
    frames::put_greeting(&mut out);
    let mut batch = Vec::new();
    loop {
        socket.write_all(&out).await?;
        out.clear();
        if outgoing.recv_many(&mut batch, BATCH).await == 0 {
            return Ok(());
        }
        batch.drain(..).for_each(|bytes| out.extend_from_slice(&bytes));
    }
}

/// The first frame of an answer that has a message.
fn open_stream(out: &mut Vec<u8>, stream: u32) {
    const STATUS_200: &[u8] = &[0x88];
    frames::put(out, frames::HEADERS, END_HEADERS, stream, STATUS_200);
}

fn encode(event: &Event) -> Bytes {
    let o = &event.object;
    let kv = wire::key_value(o.key.as_bytes(), o.create_revision, o.revision, &o.value);
    let mut inner = Message::new(kv.inner().len() + 16);
    inner.int(1, u64::from(event.kind == EventKind::Delete)).bytes(2, kv.inner());
    let mut message = Message::new(inner.inner().len() + 16);
    message.bytes(11, inner.inner());
    message.finish()
}
