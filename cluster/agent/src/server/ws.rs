//! WebSocket as carrier: the `channel.k8s.io` protocols (first byte of a message is the channel), and tunnels.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use http::header::{CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, frame::coding::CloseCode};

use super::answer::{Body, empty, text};
use super::remote::{Client, Out, Size, Wanted};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// Of v5: the peer has closed the channel that the next byte names.
const CLOSE: u8 = 255;
const BACKLOG: usize = 16;
/// The client's answer to the closing of a session is waited for this long.
const FAREWELL: Duration = Duration::from_secs(2);

pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The variants of the channel protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    name: &'static str,
    base64: bool,
    /// Errors are a Status object; otherwise they are text, and success is silent.
    status: bool,
}

const PROTOCOLS: [Protocol; 6] = [
    Protocol { name: "v5.channel.k8s.io", base64: false, status: true },
    Protocol { name: "v4.channel.k8s.io", base64: false, status: true },
    Protocol { name: "v4.base64.channel.k8s.io", base64: true, status: true },
    Protocol { name: "channel.k8s.io", base64: false, status: false },
    Protocol { name: "base64.channel.k8s.io", base64: true, status: false },
    Protocol { name: "", base64: false, status: false },
];

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
}

pub fn is_upgrade<B>(request: &Request<B>) -> bool {
    has_token(request.headers(), CONNECTION, "upgrade") && has_token(request.headers(), UPGRADE, "websocket")
}

/// The subprotocols that the client offers, in its order.
pub fn offered<B>(request: &Request<B>) -> Vec<String> {
    let values =
        request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).into_iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).collect()
}

fn choose(offered: &[String]) -> Option<Protocol> {
    if offered.is_empty() {
        return PROTOCOLS.last().copied();
    }
    offered.iter().find_map(|o| PROTOCOLS.iter().find(|p| p.name == o)).copied()
}

/// Answers the upgrade with `protocol`; `then` gets the socket.
pub fn accept<F, Fut>(request: Request<Incoming>, protocol: &str, then: F) -> Response<Body>
where
    F: FnOnce(Socket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        return text(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing");
    };
    let accept = derive_accept_key(key.as_bytes());
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    match (HeaderValue::from_str(&accept), HeaderValue::from_str(protocol)) {
        (Ok(accept), Ok(protocol)) => {
            headers.insert("sec-websocket-accept", accept);
            if !protocol.is_empty() {
                headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
            }
        }
        _ => return text(StatusCode::BAD_REQUEST, "the WebSocket handshake is damaged"),
    }
    tokio::spawn(async move {
        match hyper::upgrade::on(request).await {
            Ok(io) => {
                then(WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Server, None).await).await
            }
            Err(error) => tracing::debug!(%error, "connection not taken over"),
        }
    });
    response
}

/// Exec or attach over a WebSocket.
pub fn remote<F, Fut>(request: Request<Incoming>, wanted: Wanted, work: F) -> Response<Body>
where
    F: FnOnce(Client) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let Some(protocol) = choose(&offered(&request)) else {
        return text(StatusCode::BAD_REQUEST, "none of the offered WebSocket subprotocols is supported");
    };
    accept(request, protocol.name, move |socket| async move {
        let (out, out_rx) = mpsc::channel(BACKLOG);
        let (stdin_tx, stdin) = mpsc::channel(BACKLOG);
        let (resize_tx, resize) = mpsc::channel(BACKLOG);
        let (sink, source) = socket.split();
        let reader = tokio::spawn(read(source, protocol, stdin_tx, resize_tx));
        let worker = tokio::spawn(work(Client { stdin, resize, out }));
        write(sink, protocol, wanted, out_rx, reader).await;
        worker.abort();
    })
}

type Source = futures::stream::SplitStream<Socket>;
type Sink = futures::stream::SplitSink<Socket, Message>;

/// Reads until the client has said farewell, or is gone; gives its half back.
async fn read(
    mut source: Source,
    protocol: Protocol,
    stdin: mpsc::Sender<Bytes>,
    resize: mpsc::Sender<Size>,
) -> Source {
    let mut stdin = Some(stdin);
    while let Some(Ok(message)) = source.next().await {
        let data = match message {
            Message::Binary(data) if protocol.base64 => decode(&data),
            Message::Binary(data) => Some(data),
            Message::Text(text) if protocol.base64 => decode(text.as_bytes()),
            Message::Text(text) => Some(Bytes::from(text)),
            Message::Close(_) => break,
            _ => None,
        };
        let Some((channel, payload)) = data.as_ref().and_then(|d| Some((*d.first()?, d.slice(1..)))) else {
            continue;
        };
        match channel {
            STDIN => {
                if let Some(tx) = &stdin
                    && !payload.is_empty()
                    && tx.send(payload).await.is_err()
                {
                    stdin = None;
                }
            }
            RESIZE => {
                if let Ok(size) = serde_json::from_slice::<Size>(&payload) {
                    // The session may have ended.
                    let _ = resize.send(size).await;
                }
            }
            CLOSE if payload.first() == Some(&STDIN) => stdin = None,
            _ => {}
        }
    }
    source
}

/// In base64 the channel is a digit, and the rest is encoded.
fn decode(data: &[u8]) -> Option<Bytes> {
    let (channel, rest) = data.split_first()?;
    let mut out = BytesMut::new();
    out.put_u8(channel.checked_sub(b'0')?);
    out.put_slice(&STANDARD.decode(rest).ok()?);
    Some(out.freeze())
}

fn message(protocol: Protocol, channel: u8, payload: &[u8]) -> Message {
    if protocol.base64 {
        return Message::Text(format!("{}{}", (b'0' + channel) as char, STANDARD.encode(payload)).into());
    }
    let mut out = BytesMut::with_capacity(payload.len() + 1);
    out.put_u8(channel);
    out.put_slice(payload);
    Message::Binary(out.freeze())
}

async fn write(
    mut sink: Sink,
    protocol: Protocol,
    wanted: Wanted,
    mut out: mpsc::Receiver<Out>,
    mut reader: tokio::task::JoinHandle<Source>,
) {
    // An empty message on the first writable channel tells the client that the connection stands.
    let first = if wanted.stdout {
        STDOUT
    } else if wanted.stderr {
        STDERR
    } else {
        ERROR
    };
    let mut broken = sink.send(message(protocol, first, &[])).await.is_err();
    while !broken {
        let next = tokio::select! {
            next = out.recv() => next,
            _ = &mut reader => return,
        };
        let (message, last) = match next {
            Some(Out::Stdout(data)) if wanted.stdout => (message(protocol, STDOUT, &data), false),
            Some(Out::Stderr(data)) if wanted.stderr => (message(protocol, STDERR, &data), false),
            Some(Out::Stdout(_) | Out::Stderr(_)) => continue,
            Some(Out::End(status)) if protocol.status => {
                (message(protocol, ERROR, status.to_string().as_bytes()), true)
            }
            Some(Out::End(status)) if status["status"] == "Failure" => {
                let text = status["message"].as_str().unwrap_or_default().to_owned();
                (message(protocol, ERROR, text.as_bytes()), true)
            }
            Some(Out::End(_)) | None => break,
        };
        broken = sink.send(message).await.is_err();
        if last {
            break;
        }
    }
    let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    // The client may be gone already.
    let _ = sink.send(Message::Close(Some(close))).await;
    // Closing a connection on which something unread has come cuts off what is still on its way out.
    match tokio::time::timeout(FAREWELL, &mut reader).await {
        Ok(Ok(source)) => {
            if let Ok(mut socket) = sink.reunite(source) {
                // As above.
                let _ = socket.get_mut().shutdown().await;
            }
        }
        Ok(Err(error)) => tracing::debug!(%error, "reading from the client"),
        Err(_) => reader.abort(),
    }
}

/// A message of `payload` on `channel`.
pub fn binary(channel: u8, payload: &[u8]) -> Message {
    message(PROTOCOLS[1], channel, payload)
}

/// Channel and payload of a binary message.
pub fn of_binary(message: Message) -> Option<(u8, Bytes)> {
    let Message::Binary(data) = message else { return None };
    Some((*data.first()?, data.slice(1..)))
}

/// The bytes inside the binary messages of a socket, as a byte stream.
pub fn tunnel(socket: Socket) -> DuplexStream {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (mut sink, mut source) = socket.split();
    let (mut read, mut write) = tokio::io::split(near);
    tokio::spawn(async move {
        while let Some(Ok(message)) = source.next().await {
            let done = match message {
                Message::Binary(data) => write.write_all(&data).await.is_err(),
                Message::Close(_) => true,
                _ => false,
            };
            if done {
                break;
            }
        }
        // The other half may be gone already.
        let _ = write.shutdown().await;
    });
    tokio::spawn(async move {
        let mut block = BytesMut::with_capacity(32 * 1024);
        while let Ok(n) = read.read_buf(&mut block).await {
            if n == 0 || sink.send(Message::Binary(block.split().freeze())).await.is_err() {
                break;
            }
            block.reserve(32 * 1024);
        }
        // The client may be gone already.
        let _ = sink.close().await;
    });
    far
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_first_known_protocol_is_taken() {
        let names = |list: &[&str]| list.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        let cases = [
            (names(&["v5.channel.k8s.io", "v4.channel.k8s.io"]), Some("v5.channel.k8s.io")),
            (names(&["x", "v4.channel.k8s.io"]), Some("v4.channel.k8s.io")),
            (names(&[]), Some("")),
            (names(&["x"]), None),
        ];
        for (offered, expected) in cases {
            assert_eq!(choose(&offered).map(|p| p.name), expected, "{offered:?}");
        }
    }

    #[test]
    fn base64_channels_are_digits() {
        let protocol = PROTOCOLS[2];
        let Message::Text(text) = message(protocol, STDOUT, b"hi") else { panic!("text expected") };
        assert_eq!(text.as_str(), "1aGk=");
        assert_eq!(decode(b"0aGk=").unwrap(), Bytes::from_static(b"\0hi"));
        assert_eq!(decode(b"0?"), None);
    }
}
