//! The frames of HTTP/2 (RFC 9113), as far as gRPC between one client and one server needs them.
//!
//! The client here sends the same few header blocks again and again, never compressed against a
//! table, and reads none: an answer without a message is an error. So neither side needs HPACK.

use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Result, bail};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Notify;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RESET: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GO_AWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Bytes before each frame's payload.
const HEAD: usize = 9;
/// No frame that is sent is longer: what every peer takes without being asked.
const FRAME_MOST: usize = 16_384;
/// The window that each side gives a stream: the largest there is.
const STREAM_WINDOW: u32 = (1 << 31) - 1;
/// What is added to the connection's first window, and its part that is given back at once.
const CONNECTION_WINDOW: u32 = 1 << 30;
const GIVE_BACK: usize = 1 << 20;
/// What the other side may be sent before it says more.
const FIRST_WINDOW: i64 = 65_535;
const READ: usize = 64 << 10;

/// One received frame.
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Bytes,
}

fn head(out: &mut Vec<u8>, len: usize, kind: u8, flags: u8, stream: u32) {
    out.extend_from_slice(&(len as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
}

/// Appends a frame.
pub fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    head(out, payload.len(), kind, flags, stream);
    out.extend_from_slice(payload);
}

/// Appends bytes of a stream, in as many frames as it takes.
pub fn put_data(out: &mut Vec<u8>, stream: u32, bytes: &[u8], last: bool) {
    let mut chunks = bytes.chunks(FRAME_MOST).peekable();
    while let Some(chunk) = chunks.next() {
        let end = last && chunks.peek().is_none();
        put(out, DATA, if end { END_STREAM } else { 0 }, stream, chunk);
    }
}

/// The first frames of each side: large windows.
pub fn put_greeting(out: &mut Vec<u8>) {
    const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];
    let mut settings = INITIAL_WINDOW_SIZE.to_vec();
    settings.extend_from_slice(&STREAM_WINDOW.to_be_bytes());
    put(out, SETTINGS, 0, 0, &settings);
    put(out, WINDOW_UPDATE, 0, 0, &CONNECTION_WINDOW.to_be_bytes());
}

/// A header block of these names and values, as literals.
pub fn header_block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        // Lengths below 127 take one byte; a longer value is cut.
        let value = &value.as_bytes()[..value.len().min(126)];
        out.extend_from_slice(&[0, name.len() as u8]);
        out.extend_from_slice(name.as_bytes());
        out.push(value.len() as u8);
        out.extend_from_slice(value);
    }
    out
}

/// How much may be sent on a connection: the other side says so.
pub struct SendWindow {
    left: AtomicI64,
    more: Notify,
}

impl SendWindow {
    pub fn new() -> SendWindow {
        SendWindow { left: AtomicI64::new(FIRST_WINDOW), more: Notify::new() }
    }

    fn give(&self, bytes: u32) {
        self.left.fetch_add(i64::from(bytes), Ordering::AcqRel);
        self.more.notify_one();
    }

    /// Whether so much may be sent now; then it counts as sent.
    pub fn take_now(&self, bytes: usize) -> bool {
        if self.left.load(Ordering::Acquire) < bytes as i64 {
            return false;
        }
        self.left.fetch_sub(bytes as i64, Ordering::AcqRel);
        true
    }

    /// Waits until so much may be sent.
    pub async fn take(&self, bytes: usize) {
        while !self.take_now(bytes) {
            self.more.notified().await;
        }
    }
}

/// Reads the frames of one side, and answers those that are about the connection itself.
pub struct Reader<R> {
    input: R,
    buffer: BytesMut,
    unreported: usize,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub fn new(input: R) -> Self {
        Reader { input, buffer: BytesMut::with_capacity(READ), unreported: 0 }
    }

    async fn fill(&mut self, len: usize) -> Result<bool> {
        while self.buffer.len() < len {
            self.buffer.reserve(READ.max(len - self.buffer.len()));
            if self.input.read_buf(&mut self.buffer).await? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The client's first bytes.
    pub async fn preface(&mut self) -> Result<()> {
        if !self.fill(PREFACE.len()).await? || &self.buffer[..PREFACE.len()] != PREFACE {
            bail!("not HTTP/2");
        }
        self.buffer.advance(PREFACE.len());
        Ok(())
    }

    /// The next frame of a stream; `None` at the end. Answers that the connection needs are given
    /// to `send`.
    pub async fn next(
        &mut self,
        window: &SendWindow,
        mut send: impl FnMut(Vec<u8>),
    ) -> Result<Option<Frame>> {
        loop {
            if !self.fill(HEAD).await? {
                return Ok(None);
            }
            let len = usize::from(self.buffer[0]) << 16
                | usize::from(self.buffer[1]) << 8
                | usize::from(self.buffer[2]);
            let (kind, flags) = (self.buffer[3], self.buffer[4]);
            let word = |bytes: &[u8]| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            let stream = word(&self.buffer[5..]) & STREAM_WINDOW;
            if !self.fill(HEAD + len).await? {
                return Ok(None);
            }
            self.buffer.advance(HEAD);
            let payload = self.buffer.split_to(len).freeze();
            let mut answer = Vec::new();
            match kind {
                SETTINGS if flags & ACK == 0 => put(&mut answer, SETTINGS, ACK, 0, &[]),
                PING if flags & ACK == 0 => put(&mut answer, PING, ACK, 0, &payload),
                WINDOW_UPDATE if stream == 0 => window.give(word(&payload)),
                GO_AWAY => bail!("the other side goes away: {:?}", String::from_utf8_lossy(&payload)),
                DATA | HEADERS | RESET => {
                    if kind == DATA {
                        self.unreported += len;
                    }
                    if self.unreported >= GIVE_BACK {
                        put(&mut answer, WINDOW_UPDATE, 0, 0, &(self.unreported as u32).to_be_bytes());
                        self.unreported = 0;
                        send(answer);
                    }
                    return Ok(Some(Frame { kind, flags, stream, payload }));
                }
                _ => {}
            }
            if !answer.is_empty() {
                send(answer);
            }
        }
    }
}
