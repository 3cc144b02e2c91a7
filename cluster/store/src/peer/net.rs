//! The network, as the store sees it: byte streams that are encrypted and whose two ends know each
//! other to belong to the cluster. A simulator can stand in for the real one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A connection.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A connection that still has to introduce itself.
pub type Incoming = BoxFuture<'static, io::Result<Box<dyn Socket>>>;

/// Where peers are.
pub trait Network: Send + Sync + 'static {
    /// Connects to an address (host:port).
    fn connect(&self, addr: String) -> BoxFuture<'static, io::Result<Box<dyn Socket>>>;
    /// Listens for peers.
    fn listen(&self) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;
}

/// Where peers come in.
pub trait Listener: Send {
    /// The next peer; its handshake is left to the caller, so that a slow one holds up nobody.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>>;
}

/// A peer that does not finish its handshake is dropped after this.
const HANDSHAKE: Duration = Duration::from_secs(3);

/// Unacknowledged bytes for this long mean that the peer is gone.
const USER_TIMEOUT_MS: u32 = 2_000;

/// TCP with mutual TLS.
pub(crate) struct TlsNetwork {
    pub listen: SocketAddr,
    pub server: Arc<rustls::ServerConfig>,
    pub client: Arc<rustls::ClientConfig>,
    pub server_name: ServerName<'static>,
}

impl Network for TlsNetwork {
    fn connect(&self, addr: String) -> BoxFuture<'static, io::Result<Box<dyn Socket>>> {
        let (connector, name) = (TlsConnector::from(self.client.clone()), self.server_name.clone());
        Box::pin(async move {
            let socket = TcpStream::connect(addr).await?;
            tune(&socket)?;
            let stream = within(connector.connect(name, socket)).await?;
            Ok(Box::new(stream) as Box<dyn Socket>)
        })
    }

    fn listen(&self) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(self.listen).await?;
            let acceptor = TlsAcceptor::from(self.server.clone());
            Ok(Box::new(TlsListener { listener, acceptor }) as Box<dyn Listener>)
        })
    }
}

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async move {
            let (socket, _) = self.listener.accept().await?;
            let acceptor = self.acceptor.clone();
            Ok(Box::pin(async move {
                tune(&socket)?;
                let stream = within(acceptor.accept(socket)).await?;
                Ok(Box::new(stream) as Box<dyn Socket>)
            }) as Incoming)
        })
    }
}

async fn within<T>(handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(HANDSHAKE, handshake).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    rustix::net::sockopt::set_tcp_user_timeout(socket, USER_TIMEOUT_MS)?;
    Ok(())
}
