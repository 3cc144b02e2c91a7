//! Sockets in another network namespace, for tasks that stay in this one.
//!
//! A socket belongs to the namespace of the thread that opened it. One thread lives inside and opens
//! what it is asked for; the bytes then flow through the ordinary runtime.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// How long one attempt to reach an address may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1000);

enum Ask {
    Connect(SocketAddr, oneshot::Sender<std::io::Result<std::net::TcpStream>>),
    Listen(SocketAddr, oneshot::Sender<std::io::Result<std::net::TcpListener>>),
}

/// The door to another network namespace.
pub struct Remote {
    asks: mpsc::UnboundedSender<Ask>,
}

impl Remote {
    /// Starts the thread that lives in the namespace pinned at `path`.
    pub fn enter(path: &Path) -> Result<Remote> {
        let namespace = std::fs::File::open(path).with_context(|| format!("open {}", path.display()))?;
        let (asks, mut inbox) = mpsc::unbounded_channel();
        let (entered, outcome) = std::sync::mpsc::channel();
        std::thread::Builder::new().name("remote".into()).spawn(move || {
            let inside = crate::host::netns::enter(namespace.as_fd());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let ready = inside.and(runtime);
            match ready {
                Ok(runtime) => {
                    // The receiver waits right below; if it is gone, so is the whole program.
                    let _ = entered.send(Ok(()));
                    runtime.block_on(answer(&mut inbox));
                }
                Err(error) => {
                    let _ = entered.send(Err(error));
                }
            }
        })?;
        outcome.recv().context("the thread inside the namespace ended")?.context("enter the namespace")?;
        Ok(Remote { asks })
    }

    pub async fn connect(&self, address: SocketAddr) -> std::io::Result<TcpStream> {
        TcpStream::from_std(self.ask(|reply| Ask::Connect(address, reply)).await?)
    }

    pub async fn listen(&self, address: SocketAddr) -> std::io::Result<TcpListener> {
        TcpListener::from_std(self.ask(|reply| Ask::Listen(address, reply)).await?)
    }

    async fn ask<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<std::io::Result<T>>) -> Ask,
    ) -> std::io::Result<T> {
        let gone = || std::io::Error::other("the thread inside the namespace ended");
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

async fn answer(inbox: &mut mpsc::UnboundedReceiver<Ask>) {
    while let Some(ask) = inbox.recv().await {
        // A dropped reply means that the asker no longer waits: nothing to do then.
        match ask {
            Ask::Connect(address, reply) => {
                tokio::spawn(async move {
                    let _ = reply.send(connect(address).await);
                });
            }
            Ask::Listen(address, reply) => {
                let _ = reply.send(listen(address).await);
            }
        }
    }
}

async fn connect(address: SocketAddr) -> std::io::Result<std::net::TcpStream> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    stream.into_std()
}

async fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    TcpListener::bind(address).await?.into_std()
}
