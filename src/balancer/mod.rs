//! `trireme balancer`: the only part of a local cluster that listens on the host.
//!
//! It carries TCP connections from the host's loopback to the API servers, whose sockets are opened
//! inside the cluster's network, and image pulls of the nodes out through the host. `up` starts it.

mod gateway;
mod relay;
mod remote;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::net::TcpListener;

/// Options of `trireme balancer`.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Address on the host to listen on.
    #[arg(long)]
    listen: SocketAddr,
    /// Network namespace of the cluster's switch.
    #[arg(long)]
    netns: PathBuf,
    /// API servers, by their addresses inside the cluster's network.
    #[arg(long, value_delimiter = ',')]
    servers: Vec<SocketAddr>,
    /// Address inside the cluster's network at which nodes find the image gateway.
    #[arg(long)]
    gateway: SocketAddr,
    /// Secret that the gateway asks for.
    #[arg(long, env = "TRIREME_GATEWAY_SECRET", hide_env_values = true)]
    gateway_secret: String,
}

/// Runs until it is told to stop.
pub fn run(options: Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: Options) -> Result<()> {
    let busy = || format!("listen on {} (is the port taken? choose another with --port)", options.listen);
    let listener = TcpListener::bind(options.listen).await.with_context(busy)?;
    let inside = Arc::new(remote::Remote::enter(&options.netns)?);
    let gateway = inside.listen(options.gateway).await.context("open the image gateway")?;
    let secret = Arc::from(options.gateway_secret);
    let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tracing::info!(listen = %options.listen, servers = ?options.servers, "balancing");
    tokio::select! {
        () = relay::serve(listener, inside, options.servers) => {}
        () = gateway::serve(gateway, secret) => {}
        _ = stop.recv() => tracing::info!("stopping"),
    }
    Ok(())
}
