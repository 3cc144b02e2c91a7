//! A minimal gRPC client: the same for both sides, and cheap, so that what is measured is the
//! servers and not the client. Requests that wait are written together.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::frames::{self, END_HEADERS, END_STREAM, Reader, SendWindow};
use crate::wire::{METHODS, PREFIX};

/// Requests written in one go.
const BATCH: usize = 128;

type Pending = std::sync::Mutex<HashMap<u32, Waiting>>;

enum Waiting {
    Once(oneshot::Sender<Result<Bytes>>, Bytes),
    Stream(mpsc::UnboundedSender<Bytes>, BytesMut),
}

enum Outgoing {
    Request(&'static str, Bytes, Waiting),
    Frames(Vec<u8>),
}

/// A connection. Clones share it.
#[derive(Clone)]
pub struct Channel(mpsc::UnboundedSender<Outgoing>);

/// The header block of a request; the only ones that our own members understand.
pub fn request_block(path: &str) -> Vec<u8> {
    frames::header_block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ])
}

impl Channel {
    pub async fn connect(addr: SocketAddr) -> Result<Channel> {
        let socket = TcpStream::connect(addr).await?;
        socket.set_nodelay(true)?;
        let (reader, mut writer) = socket.into_split();
        let mut greeting = frames::PREFACE.to_vec();
        frames::put_greeting(&mut greeting);
        writer.write_all(&greeting).await?;
        let (queue, outgoing) = mpsc::unbounded_channel();
        let (pending, window) = (Arc::new(Pending::default()), Arc::new(SendWindow::new()));
        tokio::spawn(write(writer, outgoing, pending.clone(), window.clone()));
        let answers = queue.downgrade();
        tokio::spawn(async move {
            let ended = read(reader, &pending, &window, &answers).await;
            let reason = ended.err().map_or("closed".to_owned(), |error| error.to_string());
            let waiting = std::mem::take(&mut *pending.lock().unwrap_or_else(|e| e.into_inner()));
            for (_, waiting) in waiting {
                if let Waiting::Once(reply, _) = waiting {
                    // Who asked may have given up.
                    drop(reply.send(Err(anyhow!("the connection ended: {reason}"))));
                }
            }
        });
        Ok(Channel(queue))
    }

    /// Tries until somebody listens.
    pub async fn connect_soon(addr: SocketAddr, within: Duration) -> Result<Channel> {
        let attempts = async {
            loop {
                if let Ok(channel) = Channel::connect(addr).await {
                    return channel;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(within, attempts).await.with_context(|| format!("nobody listens at {addr}"))
    }

    /// One message, one answer (without its prefix).
    pub async fn call(&self, path: &'static str, message: Bytes) -> Result<Bytes> {
        let (reply, answer) = oneshot::channel();
        let request = Outgoing::Request(path, message, Waiting::Once(reply, Bytes::new()));
        self.0.send(request).map_err(|_| anyhow!("the connection ended"))?;
        answer.await.map_err(|_| anyhow!("the connection ended"))?
    }

    /// One message, many answers.
    pub fn stream(&self, path: &'static str, message: Bytes) -> Result<Answers> {
        let (sender, answers) = mpsc::unbounded_channel();
        let request = Outgoing::Request(path, message, Waiting::Stream(sender, BytesMut::new()));
        self.0.send(request).map_err(|_| anyhow!("the connection ended"))?;
        Ok(Answers { answers, _channel: self.clone() })
    }
}

/// The answers of a stream.
pub struct Answers {
    answers: mpsc::UnboundedReceiver<Bytes>,
    _channel: Channel,
}

impl Answers {
    /// The next message without its prefix; an error when the stream ended.
    pub async fn next(&mut self) -> Result<Bytes> {
        self.answers.recv().await.context("the stream ended")
    }
}

async fn write(
    mut socket: OwnedWriteHalf,
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
    pending: Arc<Pending>,
    window: Arc<SendWindow>,
) -> Result<()> {
    let blocks: HashMap<&str, Vec<u8>> = METHODS.iter().map(|path| (*path, request_block(path))).collect();
    let mut next_stream = 1;
    let (mut batch, mut out) = (Vec::new(), Vec::new());
    while outgoing.recv_many(&mut batch, BATCH).await > 0 {
        for request in batch.drain(..) {
            match request {
                Outgoing::Frames(bytes) => out.extend_from_slice(&bytes),
                Outgoing::Request(path, message, waiting) => {
                    if !window.take_now(message.len()) {
                        socket.write_all(&out).await?;
                        out.clear();
                        window.take(message.len()).await;
                    }
                    let once = matches!(waiting, Waiting::Once(..));
                    pending.lock().unwrap_or_else(|e| e.into_inner()).insert(next_stream, waiting);
                    frames::put(&mut out, frames::HEADERS, END_HEADERS, next_stream, &blocks[path]);
                    frames::put_data(&mut out, next_stream, &message, once);
                    next_stream += 2;
                }
            }
        }
        socket.write_all(&out).await?;
        out.clear();
    }
    Ok(())
}

async fn read(
    socket: OwnedReadHalf,
    pending: &Pending,
    window: &SendWindow,
    answers: &mpsc::WeakUnboundedSender<Outgoing>,
) -> Result<()> {
    let mut reader = Reader::new(socket);
    let send = |bytes| {
        if let Some(queue) = answers.upgrade() {
            // The writer ends with the connection.
            drop(queue.send(Outgoing::Frames(bytes)));
        }
    };
    while let Some(frame) = reader.next(window, send).await? {
        let mut pending = pending.lock().unwrap_or_else(|e| e.into_inner());
        let ended = frame.kind == frames::RESET || frame.flags & END_STREAM != 0;
        let Some(waiting) = pending.get_mut(&frame.stream) else { continue };
        if frame.kind == frames::DATA {
            waiting.take(frame.payload.clone());
        }
        if ended && let Some(Waiting::Once(reply, message)) = pending.remove(&frame.stream) {
            let answer = if message.len() >= PREFIX {
                Ok(message.slice(PREFIX..))
            } else {
                Err(anyhow!("no message: {:?}", String::from_utf8_lossy(&frame.payload)))
            };
            // Who asked may have given up.
            drop(reply.send(answer));
        }
    }
    Ok(())
}

impl Waiting {
    fn take(&mut self, data: Bytes) {
        match self {
            Waiting::Once(_, message) if message.is_empty() => *message = data,
            Waiting::Once(_, message) => {
                let mut joined = BytesMut::from(std::mem::take(message));
                joined.extend_from_slice(&data);
                *message = joined.freeze();
            }
            Waiting::Stream(sender, buffer) => {
                buffer.extend_from_slice(&data);
                while let Some(prefix) = buffer.first_chunk::<PREFIX>() {
                    let len = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
                    if buffer.len() < PREFIX + len {
                        break;
                    }
                    let message = buffer.split_to(PREFIX + len).freeze().slice(PREFIX..);
                    // Who watches may have gone.
                    drop(sender.send(message));
                }
            }
        }
    }
}
