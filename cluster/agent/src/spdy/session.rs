//! One SPDY connection: a task that reads frames and hands them to streams, one that writes what streams send.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::frame::{Codec, Frame, Headers};

/// Frames that wait for one stream's reader; then the connection is not read any further.
const STREAM_BACKLOG: usize = 64;
/// Frames that wait to be written.
const WRITE_BACKLOG: usize = 64;
/// Streams that may be open on one connection.
const MAX_STREAMS: usize = 1000;
/// Data is cut into frames of at most this size.
const MAX_DATA: usize = 64 * 1024;

const RST_REFUSED: u32 = 3;
const RST_CANCEL: u32 = 5;

/// A connection that accepts streams. When it is dropped, what was sent before is still written, then the connection
/// and all its streams end.
pub struct Session {
    incoming: mpsc::Receiver<Stream>,
    _end: DropGuard,
}

/// A stream that the peer opened (it is answered already).
pub struct Stream {
    headers: Headers,
    data: mpsc::Receiver<Bytes>,
    sender: StreamSender,
}

/// The sending half of a stream. Clones send on the same stream.
#[derive(Clone)]
pub struct StreamSender {
    id: u32,
    out: mpsc::Sender<Frame>,
}

impl Session {
    /// Speaks SPDY over `io` until either side ends.
    pub fn serve<I>(io: I) -> Session
    where
        I: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (read, write) = tokio::io::split(io);
        let (out, out_rx) = mpsc::channel(WRITE_BACKLOG);
        let (incoming_tx, incoming) = mpsc::channel(STREAM_BACKLOG);
        let end = CancellationToken::new();
        tokio::spawn(write_frames(write, out_rx, end.clone()));
        let reader = Reader { out, incoming: incoming_tx, streams: HashMap::new() };
        let reader_end = end.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = reader.run(read) => {}
                () = reader_end.cancelled() => {}
            }
        });
        Session { incoming, _end: end.drop_guard() }
    }

    /// The next stream that the peer opens; `None` when the connection ended.
    pub async fn accept(&mut self) -> Option<Stream> {
        self.incoming.recv().await
    }
}

impl Stream {
    /// The value of a header of the stream's opening (names are lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The next bytes; `None` after the peer's FIN, its reset, or the end of the connection.
    pub async fn recv(&mut self) -> Option<Bytes> {
        self.data.recv().await
    }

    pub fn sender(&self) -> StreamSender {
        self.sender.clone()
    }
}

impl StreamSender {
    /// Sends all of `data`; `Err` when the connection is gone.
    pub async fn send(&self, mut data: Bytes) -> Result<(), Closed> {
        while !data.is_empty() {
            let part = data.split_to(data.len().min(MAX_DATA));
            self.frame(Frame::Data { stream: self.id, fin: false, data: part }).await?;
        }
        Ok(())
    }

    /// Ends this side of the stream.
    pub async fn finish(&self) -> Result<(), Closed> {
        self.frame(Frame::Data { stream: self.id, fin: true, data: Bytes::new() }).await
    }

    /// Ends both sides of the stream at once.
    pub async fn reset(&self) -> Result<(), Closed> {
        self.frame(Frame::RstStream { stream: self.id, status: RST_CANCEL }).await
    }

    async fn frame(&self, frame: Frame) -> Result<(), Closed> {
        self.out.send(frame).await.map_err(|_| Closed)
    }
}

/// The connection of a stream is gone.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed")]
pub struct Closed;

async fn write_frames<W: AsyncWrite + Unpin>(
    mut write: W,
    mut frames: mpsc::Receiver<Frame>,
    end: CancellationToken,
) {
    let mut buf = BytesMut::new();
    let mut codec = Codec::default();
    loop {
        let frame = tokio::select! {
            biased;
            frame = frames.recv() => frame,
            () = end.cancelled() => None,
        };
        let Some(frame) = frame else { break };
        codec.encode(&frame, &mut buf);
        while buf.len() < MAX_DATA
            && let Ok(frame) = frames.try_recv()
        {
            codec.encode(&frame, &mut buf);
        }
        if write.write_all(&buf).await.is_err() || write.flush().await.is_err() {
            return;
        }
        buf.clear();
    }
    // The peer may be gone already: there is nobody to tell.
    let _ = write.shutdown().await;
}

struct Reader {
    out: mpsc::Sender<Frame>,
    incoming: mpsc::Sender<Stream>,
    streams: HashMap<u32, mpsc::Sender<Bytes>>,
}

impl Reader {
    async fn run<R: AsyncRead + Unpin>(mut self, mut read: R) {
        let mut codec = Codec::default();
        let mut buf = BytesMut::with_capacity(16 * 1024);
        loop {
            match codec.decode(&mut buf) {
                Ok(Some(frame)) => {
                    if !self.handle(frame).await {
                        return;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "SPDY connection ends");
                    return;
                }
            }
            match read.read_buf(&mut buf).await {
                Ok(n) if n > 0 => {}
                _ => return,
            }
        }
    }

    /// Whether the connection goes on.
    async fn handle(&mut self, frame: Frame) -> bool {
        match frame {
            Frame::SynStream { stream, fin, headers } => self.open(stream, fin, headers).await,
            Frame::Data { stream, fin, data } => {
                if let Some(tx) = self.streams.get(&stream) {
                    let gone = !data.is_empty() && tx.send(data).await.is_err();
                    if fin || gone {
                        self.streams.remove(&stream);
                    }
                }
                true
            }
            Frame::RstStream { stream, .. } | Frame::Headers { stream, fin: true, .. } => {
                self.streams.remove(&stream);
                true
            }
            Frame::Ping { id } if id % 2 == 1 => self.send(Frame::Ping { id }).await,
            Frame::GoAway { .. } => !self.streams.is_empty(),
            _ => true,
        }
    }

    async fn open(&mut self, id: u32, fin: bool, headers: Headers) -> bool {
        if self.streams.len() >= MAX_STREAMS {
            return self.send(Frame::RstStream { stream: id, status: RST_REFUSED }).await;
        }
        let (tx, data) = mpsc::channel(STREAM_BACKLOG);
        if !fin {
            self.streams.insert(id, tx);
        }
        let stream = Stream { headers, data, sender: StreamSender { id, out: self.out.clone() } };
        if !self.send(Frame::SynReply { stream: id, fin: false, headers: Vec::new() }).await {
            return false;
        }
        if self.incoming.send(stream).await.is_err() {
            return self.send(Frame::RstStream { stream: id, status: RST_REFUSED }).await;
        }
        true
    }

    async fn send(&self, frame: Frame) -> bool {
        self.out.send(frame).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_is_answered_echoes_and_ends() {
        let (client, server) = tokio::io::duplex(4096);
        let mut session = Session::serve(server);
        let (mut read, mut write) = tokio::io::split(client);
        let (mut enc, mut dec) = (Codec::default(), Codec::default());
        let mut wire = BytesMut::new();
        let headers = vec![("streamtype".to_string(), "data".to_string())];
        enc.encode(&Frame::SynStream { stream: 1, fin: false, headers }, &mut wire);
        enc.encode(&Frame::Data { stream: 1, fin: true, data: Bytes::from_static(b"abc") }, &mut wire);
        enc.encode(&Frame::Ping { id: 1 }, &mut wire);
        write.write_all(&wire).await.unwrap();

        let mut stream = session.accept().await.unwrap();
        assert_eq!(stream.header("streamtype"), Some("data"));
        assert_eq!(stream.recv().await.unwrap(), Bytes::from_static(b"abc"));
        assert_eq!(stream.recv().await, None);
        stream.sender().send(Bytes::from_static(b"xyz")).await.unwrap();
        stream.sender().finish().await.unwrap();
        drop(session);

        let mut all = Vec::new();
        read.read_to_end(&mut all).await.unwrap();
        let mut buf = BytesMut::from(&all[..]);
        let mut frames = Vec::new();
        while let Some(f) = dec.decode(&mut buf).unwrap() {
            frames.push(f);
        }
        assert_eq!(frames.len(), 4);
        assert_eq!(frames[0], Frame::SynReply { stream: 1, fin: false, headers: vec![] });
        assert!(frames.contains(&Frame::Ping { id: 1 }));
        assert!(frames.contains(&Frame::Data { stream: 1, fin: false, data: Bytes::from_static(b"xyz") }));
        assert!(frames.contains(&Frame::Data { stream: 1, fin: true, data: Bytes::new() }));
    }
}
