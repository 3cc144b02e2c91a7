//! One HTTP/2 connection to one of several servers, replaced when its server fails.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header, uri::Authority};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kube::client::Body;
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tower::Service;

/// How long one server may take to accept a connection before the next is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(700);
/// A server that does not acknowledge bytes for this long is dead.
const USER_TIMEOUT: Duration = Duration::from_millis(1500);
/// How often an open connection is checked, and how long the answer may take.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_millis(400);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_millis(1000);
/// A server that answers nothing but 503 for this long is left.
const UNAVAILABLE_LIMIT: Duration = Duration::from_millis(700);
/// How often a repeatable request is tried, each time with a new connection.
const ATTEMPTS: u32 = 3;
/// HTTP/2 flow-control windows: a list of some megabytes must not wait for round trips.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// One apiserver.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub host: String,
    pub port: u16,
    pub name: ServerName<'static>,
    pub authority: Authority,
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    #[error("no server can be reached: {0}")]
    Unreachable(String),
    #[error("the connection to {server} broke: {source}")]
    Broken { server: String, source: hyper::Error },
    #[error("request address: {0}")]
    Uri(#[from] http::Error),
}

struct Live {
    sender: http2::SendRequest<Body>,
    server: usize,
    /// Since when the server answers 503 to everything.
    unavailable_since: Mutex<Option<Instant>>,
    /// Ends the connection and all its streams.
    cut: CancellationToken,
}

struct Inner {
    servers: Vec<Server>,
    tls: TlsConnector,
    authorization: Option<HeaderValue>,
    live: tokio::sync::Mutex<Option<Arc<Live>>>,
    /// The server to try first.
    preferred: AtomicUsize,
}

/// The service below `kube::Client`.
#[derive(Clone)]
pub(crate) struct Transport(Arc<Inner>);

impl Transport {
    pub fn new(
        servers: Vec<Server>,
        tls: Arc<rustls::ClientConfig>,
        authorization: Option<HeaderValue>,
    ) -> Self {
        Self(Arc::new(Inner {
            servers,
            tls: TlsConnector::from(tls),
            authorization,
            live: tokio::sync::Mutex::new(None),
            preferred: AtomicUsize::new(0),
        }))
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Incoming>;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let inner = self.0.clone();
        Box::pin(async move { inner.send(request).await })
    }
}

impl Inner {
    async fn send(&self, mut request: Request<Body>) -> Result<Response<Incoming>, TransportError> {
        let read = matches!(*request.method(), Method::GET | Method::HEAD);
        let mut attempt = 1;
        loop {
            let live = self.live().await?;
            let again = if read { copy(&request) } else { None };
            self.address(&mut request, live.server)?;
            match live.sender.clone().try_send_request(request).await {
                Ok(response) => {
                    self.judge(&live, response.status());
                    return Ok(response);
                }
                Err(mut error) => {
                    self.leave(&live).await;
                    // Given back: not a byte of it was sent.
                    let unsent = error.take_message();
                    match unsent.or(again) {
                        Some(next) if attempt < ATTEMPTS => request = next,
                        _ => return Err(self.broken(&live, error.into_error())),
                    }
                    attempt += 1;
                }
            }
        }
    }

    fn broken(&self, live: &Live, source: hyper::Error) -> TransportError {
        TransportError::Broken { server: self.servers[live.server].authority.to_string(), source }
    }

    fn address(&self, request: &mut Request<Body>, server: usize) -> Result<(), TransportError> {
        let path = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
        *request.uri_mut() = Uri::builder()
            .scheme("https")
            .authority(self.servers[server].authority.clone())
            .path_and_query(path)
            .build()?;
        if let Some(value) = &self.authorization {
            request.headers_mut().insert(header::AUTHORIZATION, value.clone());
        }
        Ok(())
    }

    /// The connection in use, or a new one. Requests that come while one is made wait for it.
    async fn live(&self) -> Result<Arc<Live>, TransportError> {
        let mut slot = self.live.lock().await;
        if let Some(live) = slot.as_ref()
            && !live.sender.is_closed()
            && !live.cut.is_cancelled()
        {
            return Ok(live.clone());
        }
        *slot = None;
        let live = Arc::new(self.dial().await?);
        *slot = Some(live.clone());
        Ok(live)
    }

    /// The connection failed: the next request makes a new one, first to the same server (its end
    /// of an idle connection may have been closed) and at once to the next when it is gone.
    async fn leave(&self, live: &Arc<Live>) {
        let mut slot = self.live.lock().await;
        if slot.as_ref().is_some_and(|l| Arc::ptr_eq(l, live)) {
            *slot = None;
        }
    }

    /// A server that lost its quorum answers, but only 503: after a while another one is better.
    fn judge(&self, live: &Arc<Live>, status: StatusCode) {
        let mut since = live.unavailable_since.lock();
        if status != StatusCode::SERVICE_UNAVAILABLE {
            *since = None;
            return;
        }
        let began = *since.get_or_insert_with(Instant::now);
        if began.elapsed() >= UNAVAILABLE_LIMIT && self.servers.len() > 1 {
            tracing::info!(server = %self.servers[live.server].authority, "server is not available, going on with another");
            self.preferred.store((live.server + 1) % self.servers.len(), Ordering::Relaxed);
            live.cut.cancel();
        }
    }

    /// Tries every server once, the preferred one first.
    async fn dial(&self) -> Result<Live, TransportError> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut reasons = Vec::new();
        for offset in 0..self.servers.len() {
            let index = (first + offset) % self.servers.len();
            let server = &self.servers[index];
            match tokio::time::timeout(CONNECT_TIMEOUT, self.dial_one(server)).await {
                Ok(Ok(sender)) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(live(sender, index));
                }
                Ok(Err(error)) => reasons.push(format!("{}: {error}", server.authority)),
                Err(_) => reasons.push(format!("{}: no answer", server.authority)),
            }
        }
        Err(TransportError::Unreachable(reasons.join("; ")))
    }

    async fn dial_one(&self, server: &Server) -> io::Result<(http2::SendRequest<Body>, ConnectionTask)> {
        let tcp = TcpStream::connect((server.host.as_str(), server.port)).await?;
        tcp.set_nodelay(true)?;
        rustix::net::sockopt::set_tcp_user_timeout(&tcp, USER_TIMEOUT.as_millis() as u32)?;
        let tls = self.tls.connect(server.name.clone(), tcp).await?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(tls))
            .await
            .map_err(io::Error::other)?;
        let name = server.authority.to_string();
        let task: ConnectionTask = Box::pin(async move {
            if let Err(error) = connection.await {
                tracing::debug!(server = %name, %error, "connection ended");
            }
        });
        Ok((sender, task))
    }
}

type ConnectionTask = Pin<Box<dyn Future<Output = ()> + Send>>;

fn live((sender, task): (http2::SendRequest<Body>, ConnectionTask), server: usize) -> Live {
    let cut = CancellationToken::new();
    // The connection lives on after its last request was made: open watches still read from it.
    // It is cut when its server is left on purpose; otherwise it ends with its last stream.
    let token = cut.clone();
    tokio::spawn(async move { token.run_until_cancelled(task).await });
    Live { sender, server, unavailable_since: Mutex::new(None), cut }
}

/// A request without a body can be sent again.
fn copy(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(Body::from(Bytes::new()));
    request.body().try_clone()?;
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}
