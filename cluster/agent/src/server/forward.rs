//! `/portForward/NAMESPACE/POD[/UID]`: connections to ports of a pod, opened inside its network namespace.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpStream as StdStream};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::Server;
use super::answer::{Body, Query, text};
use super::{spdy, ws};
use crate::pod::spec;
use crate::spdy::{Session, Stream};

const PROTOCOL: &str = "portforward.k8s.io";
/// The older form over WebSocket: channel `2n` is the data of the n-th port of the query, `2n + 1` its errors.
const CHANNELS: &str = "v4.channel.k8s.io";
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
const CONNECT: Duration = Duration::from_secs(10);
const BLOCK: usize = 32 * 1024;
const BACKLOG: usize = 16;
/// Two channels each, of 256.
const MAX_PORTS: usize = 100;

/// Where ports are reached.
#[derive(Clone)]
struct Target {
    /// `None`: the agent's own namespace.
    netns: Option<PathBuf>,
    pod: String,
}

pub async fn serve(
    server: Server,
    request: Request<Incoming>,
    parts: &[&str],
    query: &Query,
) -> Response<Body> {
    let (namespace, pod, uid) = match parts {
        [_, namespace, pod] => (*namespace, *pod, None),
        [_, namespace, pod, uid] => (*namespace, *pod, Some(*uid)),
        _ => return text(StatusCode::BAD_REQUEST, "missing namespace or pod"),
    };
    let Some(handle) = server.pods.find(namespace, pod, uid) else {
        return text(StatusCode::NOT_FOUND, "pod does not exist");
    };
    let (uid, name, in_host) = {
        let view = handle.view.borrow();
        let p = &view.state.pod;
        (spec::uid(p).to_owned(), spec::display(p), spec::spec(p).host_network == Some(true))
    };
    let sandbox = server.host.runtime.sandboxes().into_iter().find(|s| s.id == uid && s.ready);
    let Some(sandbox) = sandbox else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, &format!("pod {name} has no running sandbox"));
    };
    let target = Target { netns: (!in_host).then_some(sandbox.netns), pod: name };
    if spdy::is_upgrade(&request) {
        return spdy::accept(request, PROTOCOL, move |session| forward(session, target));
    }
    if ws::is_upgrade(&request) {
        let ports = ports(query);
        if ws::offered(&request).iter().any(|o| o == CHANNELS) && !ports.is_empty() {
            return ws::accept(request, CHANNELS, move |socket| channels(socket, ports, target));
        }
        if !ws::offered(&request).iter().any(|o| o == TUNNEL) {
            return text(
                StatusCode::BAD_REQUEST,
                "port-forward needs the subprotocol SPDY/3.1+portforward.k8s.io",
            );
        }
        return ws::accept(request, TUNNEL, move |socket| {
            forward(Session::serve(ws::tunnel(socket)), target)
        });
    }
    text(StatusCode::BAD_REQUEST, "Upgrade request required")
}

fn ports(query: &Query) -> Vec<u16> {
    let all = query.all("ports");
    let mut ports: Vec<u16> = all.iter().flat_map(|p| p.split(',')).filter_map(|p| p.parse().ok()).collect();
    ports.truncate(MAX_PORTS);
    ports
}

/// One connection for each port, all within one socket.
async fn channels(socket: ws::Socket, ports: Vec<u16>, target: Target) {
    let (mut sink, mut source) = socket.split();
    let (out, mut out_rx) = mpsc::channel::<(u8, Bytes)>(BACKLOG);
    let mut inputs = Vec::new();
    for (n, port) in ports.into_iter().enumerate() {
        let data = 2 * n as u8;
        let number = Bytes::copy_from_slice(&port.to_le_bytes());
        for channel in [data, data + 1] {
            if sink.send(ws::binary(channel, &number)).await.is_err() {
                return;
            }
        }
        let (input, input_rx) = mpsc::channel(BACKLOG);
        inputs.push(input);
        tokio::spawn(one_channel(data, port, target.clone(), input_rx, out.clone()));
    }
    drop(out);
    loop {
        tokio::select! {
            message = source.next() => {
                let Some(Ok(message)) = message else { return };
                let Some((channel, payload)) = ws::of_binary(message) else { continue };
                let input = inputs.get(usize::from(channel / 2)).filter(|_| channel % 2 == 0);
                if let Some(input) = input {
                    // The pod may have closed the connection.
                    let _ = input.send(payload).await;
                }
            }
            next = out_rx.recv() => {
                let Some((channel, bytes)) = next else { return };
                if sink.send(ws::binary(channel, &bytes)).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn one_channel(
    channel: u8,
    port: u16,
    target: Target,
    mut input: mpsc::Receiver<Bytes>,
    out: mpsc::Sender<(u8, Bytes)>,
) {
    let socket = match connect(target.netns, port).await {
        Ok(socket) => socket,
        Err(error) => {
            let message = format!("error forwarding port {port} to pod {}: {error}", target.pod);
            // The client may be gone already.
            let _ = out.send((channel + 1, Bytes::from(message))).await;
            return;
        }
    };
    let (mut read, mut write) = socket.into_split();
    let up = async move {
        while let Some(bytes) = input.recv().await {
            if write.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    let down = async move {
        let mut block = vec![0u8; BLOCK];
        while let Ok(n) = read.read(&mut block).await {
            if n == 0 || out.send((channel, Bytes::copy_from_slice(&block[..n]))).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

/// Each connection has two streams with one `requestid`: `error` and `data`.
async fn forward(mut session: Session, target: Target) {
    let mut waiting: HashMap<String, Stream> = HashMap::new();
    while let Some(stream) = session.accept().await {
        let id = stream.header("requestid").or(stream.header("port")).unwrap_or_default().to_owned();
        let Some(other) = waiting.remove(&id) else {
            waiting.insert(id, stream);
            continue;
        };
        let is_data = |s: &Stream| s.header("streamtype") == Some("data");
        let (data, error) = if is_data(&stream) { (stream, other) } else { (other, stream) };
        let target = target.clone();
        tokio::spawn(async move {
            let outcome = one(data, &target).await;
            if let Err(message) = outcome {
                tracing::debug!(pod = %target.pod, %message, "port not forwarded");
                // The client may be gone; then there is nobody to tell.
                let _ = error.sender().send(Bytes::from(message)).await;
            }
            let _ = error.sender().finish().await;
        });
    }
}

async fn one(mut data: Stream, target: &Target) -> Result<(), String> {
    let port = data.header("port").unwrap_or_default().to_owned();
    let number: u16 = port.parse().map_err(|_| format!("unable to parse \"{port}\" as a port"))?;
    let sender = data.sender();
    let socket = match connect(target.netns.clone(), number).await {
        Ok(socket) => socket,
        Err(error) => {
            // The client may be gone already.
            let _ = sender.reset().await;
            return Err(format!(
                "an error occurred forwarding {number} -> {number}: error forwarding port {number} to pod {}: {error}",
                target.pod
            ));
        }
    };
    let (mut read, mut write) = socket.into_split();
    let up = async move {
        while let Some(bytes) = data.recv().await {
            if write.write_all(&bytes).await.is_err() {
                return;
            }
        }
        // The pod may have closed its side.
        let _ = write.shutdown().await;
    };
    let down = async move {
        let mut block = vec![0u8; BLOCK];
        while let Ok(n) = read.read(&mut block).await {
            if n == 0 || sender.send(Bytes::copy_from_slice(&block[..n])).await.is_err() {
                break;
            }
        }
        // The client may be gone already.
        let _ = sender.finish().await;
    };
    // When the pod is done, the rest of the client's bytes have nowhere to go.
    tokio::pin!(up);
    tokio::pin!(down);
    tokio::select! {
        () = &mut down => {}
        () = &mut up => down.await,
    }
    Ok(())
}

/// Connects to `port` on the loopback of a network namespace. A thread of its own enters the namespace and ends after.
async fn connect(netns: Option<PathBuf>, port: u16) -> io::Result<TcpStream> {
    let (tx, rx) = oneshot::channel();
    std::thread::Builder::new().name("port-forward".to_owned()).spawn(move || {
        // The receiver is gone when the client is: the socket closes.
        let _ = tx.send(connect_here(netns, port));
    })?;
    let stream = rx.await.map_err(|_| io::Error::other("the connecting thread ended"))??;
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

fn connect_here(netns: Option<PathBuf>, port: u16) -> io::Result<StdStream> {
    if let Some(path) = netns {
        let namespace = File::open(path)?;
        rustix::thread::move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&namespace),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )?;
    }
    let v4 = StdStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), CONNECT);
    v4.or_else(|first| {
        let v6 = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
        StdStream::connect_timeout(&v6, CONNECT).map_err(|_| first)
    })
}
