//! SPDY/3.1 as carrier of exec and attach: one stream per channel, named by its `streamtype` header.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;

use super::answer::{Body, empty, text};
use super::remote::{Client, Out, Size, Wanted};
use crate::spdy::{Session, Stream, StreamSender};

const PROTOCOL_HEADER: &str = "x-stream-protocol-version";
const V4: &str = "v4.channel.k8s.io";
/// The client must have opened its streams by then.
const STREAMS_IN: Duration = Duration::from_secs(30);
const BACKLOG: usize = 16;

pub fn is_upgrade<B>(request: &Request<B>) -> bool {
    let upgrade = request.headers().get(UPGRADE).and_then(|v| v.to_str().ok());
    upgrade.is_some_and(|v| v.eq_ignore_ascii_case("SPDY/3.1"))
}

/// Answers the upgrade with `protocol` if the client offers it; `then` gets the session.
pub fn accept<F, Fut>(request: Request<Incoming>, protocol: &'static str, then: F) -> Response<Body>
where
    F: FnOnce(Session) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let offers = request.headers().get_all(PROTOCOL_HEADER).into_iter().filter_map(|v| v.to_str().ok());
    let offers: Vec<String> = offers.flat_map(|v| v.split(',')).map(|v| v.trim().to_owned()).collect();
    if !offers.is_empty() && !offers.iter().any(|o| o == protocol) {
        let mut refusal = text(StatusCode::FORBIDDEN, "unable to negotiate protocol");
        refusal
            .headers_mut()
            .insert("x-accepted-stream-protocol-versions", HeaderValue::from_static(protocol));
        return refusal;
    }
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    headers.insert(PROTOCOL_HEADER, HeaderValue::from_static(protocol));
    tokio::spawn(async move {
        match hyper::upgrade::on(request).await {
            Ok(io) => then(Session::serve(TokioIo::new(io))).await,
            Err(error) => tracing::debug!(%error, "connection not taken over"),
        }
    });
    response
}

/// Exec or attach over SPDY.
pub fn remote<F, Fut>(request: Request<Incoming>, wanted: Wanted, work: F) -> Response<Body>
where
    F: FnOnce(Client) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    accept(request, V4, move |mut session| async move {
        let streams = tokio::time::timeout(STREAMS_IN, collect(&mut session, wanted)).await;
        let Ok(Some(mut streams)) = streams else { return };
        let (out, out_rx) = mpsc::channel(BACKLOG);
        let (stdin_tx, stdin) = mpsc::channel(BACKLOG);
        let (resize_tx, resize) = mpsc::channel(BACKLOG);
        let senders: HashMap<String, StreamSender> =
            streams.iter().map(|(k, s)| (k.clone(), s.sender())).collect();
        if let Some(stream) = streams.remove("stdin") {
            tokio::spawn(feed(stream, stdin_tx));
        }
        if let Some(stream) = streams.remove("resize") {
            tokio::spawn(sizes(stream, resize_tx));
        }
        let worker = tokio::spawn(work(Client { stdin, resize, out }));
        tokio::select! {
            () = write(senders, out_rx) => {}
            // No client opens further streams: this resolves when the connection ends.
            () = closed(&mut session) => {}
        }
        worker.abort();
    })
}

async fn closed(session: &mut Session) {
    while session.accept().await.is_some() {}
}

async fn collect(session: &mut Session, wanted: Wanted) -> Option<HashMap<String, Stream>> {
    let flags = [true, wanted.stdin, wanted.stdout, wanted.stderr, wanted.tty];
    let expected = flags.into_iter().filter(|f| *f).count();
    let mut streams = HashMap::new();
    while streams.len() < expected {
        let stream = session.accept().await?;
        let kind = stream.header("streamtype").unwrap_or_default().to_owned();
        streams.insert(kind, stream);
    }
    Some(streams)
}

async fn feed(mut stream: Stream, stdin: mpsc::Sender<Bytes>) {
    while let Some(bytes) = stream.recv().await {
        if stdin.send(bytes).await.is_err() {
            return;
        }
    }
}

async fn sizes(mut stream: Stream, resize: mpsc::Sender<Size>) {
    let mut pending = Vec::new();
    while let Some(bytes) = stream.recv().await {
        pending.extend_from_slice(&bytes);
        let mut values = serde_json::Deserializer::from_slice(&pending).into_iter::<Size>();
        let mut last = None;
        while let Some(Ok(size)) = values.next() {
            last = Some(size);
        }
        let used = values.byte_offset();
        pending.drain(..used);
        if let Some(size) = last
            && resize.send(size).await.is_err()
        {
            return;
        }
    }
}

async fn write(senders: HashMap<String, StreamSender>, mut out: mpsc::Receiver<Out>) {
    while let Some(next) = out.recv().await {
        let (kind, data, last) = match next {
            Out::Stdout(data) => ("stdout", data, false),
            Out::Stderr(data) => ("stderr", data, false),
            Out::End(status) => ("error", Bytes::from(status.to_string()), true),
        };
        let Some(sender) = senders.get(kind) else { continue };
        if sender.send(data).await.is_err() {
            return;
        }
        if last {
            break;
        }
    }
    for sender in senders.values() {
        if sender.finish().await.is_err() {
            return;
        }
    }
}
