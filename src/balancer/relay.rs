//! TCP connections from the host to whichever API server answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};

use super::remote::Remote;

/// Accepts for ever; each connection gets the next server that can be reached.
pub async fn serve(listener: TcpListener, inside: Arc<Remote>, servers: Vec<SocketAddr>) {
    let servers: Arc<[SocketAddr]> = servers.into();
    let turn = Arc::new(AtomicUsize::new(0));
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                let first = turn.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(carry(client, inside.clone(), servers.clone(), first));
            }
            // Out of file descriptors, mostly: give the open connections time to end.
            Err(error) => {
                tracing::warn!(%error, "accept");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn carry(mut client: TcpStream, inside: Arc<Remote>, servers: Arc<[SocketAddr]>, first: usize) {
    for address in in_turn(&servers, first) {
        match inside.connect(address).await {
            Ok(mut server) => {
                // Either end may close as it likes: both sides then see it.
                let _ = client.set_nodelay(true);
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                return;
            }
            Err(error) => tracing::debug!(%address, %error, "server not reached"),
        }
    }
    tracing::warn!("no API server can be reached");
}

fn in_turn(servers: &[SocketAddr], first: usize) -> impl Iterator<Item = SocketAddr> {
    (0..servers.len()).map(move |step| servers[(first + step) % servers.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_gets_its_turn_and_is_tried_once() {
        let servers: Vec<SocketAddr> = (1..=3).map(|n| SocketAddr::from(([10, 0, 0, n], 1))).collect();
        for first in 0..5 {
            let tried: Vec<_> = in_turn(&servers, first).collect();
            assert_eq!(tried[0], servers[first % 3]);
            let mut all = tried.clone();
            all.sort();
            assert_eq!(all, servers);
        }
    }
}
