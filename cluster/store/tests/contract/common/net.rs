//! A network in memory whose links can be cut: what is sent over a cut link waits until it heals.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use store::{Incoming, Listener, MemberId, Network, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};

/// The links that are cut, by the members at their ends.
type Cuts = HashSet<(MemberId, MemberId)>;

/// The network of a whole cluster.
pub struct MemNet {
    ports: Mutex<HashMap<String, (MemberId, mpsc::UnboundedSender<DuplexStream>)>>,
    cuts: watch::Sender<Cuts>,
    carried: Carried,
}

/// Of each link: the bytes it carried, and the connections that are yet to break, each after so
/// many bytes.
type Carried = Arc<Mutex<HashMap<(MemberId, MemberId), Load>>>;

#[derive(Default)]
struct Load {
    bytes: u64,
    breaks: Vec<u64>,
}

impl MemNet {
    pub fn new() -> Arc<MemNet> {
        Arc::new(MemNet {
            ports: Mutex::default(),
            cuts: watch::Sender::new(Cuts::new()),
            carried: Carried::default(),
        })
    }

    /// The network as one member sees it.
    pub fn of(self: &Arc<Self>, member: MemberId, addr: &str) -> Arc<dyn Network> {
        Arc::new(Port { net: self.clone(), member, addr: addr.to_owned() })
    }

    /// Cuts a member off from all others.
    pub fn isolate(&self, member: MemberId, members: u64) {
        self.cuts.send_modify(|cuts| {
            for other in (1..=members).filter(|other| *other != member) {
                cuts.insert((member, other));
                cuts.insert((other, member));
            }
        });
    }

    /// Nothing that one member sends reaches another one.
    pub fn cut(&self, from: MemberId, to: MemberId) {
        self.cuts.send_modify(|cuts| cuts.extend([(from, to)]));
    }

    /// The next connections that carry so many bytes from a member to another break there.
    pub fn break_after(&self, link: (MemberId, MemberId), breaks: Vec<u64>) {
        self.carried.lock().expect("loads").entry(link).or_default().breaks = breaks;
    }

    /// Bytes carried from a member to another, and the breaks that are yet to come.
    pub fn carried(&self, link: (MemberId, MemberId)) -> (u64, usize) {
        let loads = self.carried.lock().expect("loads");
        loads.get(&link).map_or((0, 0), |load| (load.bytes, load.breaks.len()))
    }

    /// Heals every link.
    pub fn heal(&self) {
        self.cuts.send_modify(Cuts::clear);
    }
}

struct Port {
    net: Arc<MemNet>,
    member: MemberId,
    addr: String,
}

impl Network for Port {
    fn connect(&self, addr: String) -> BoxFuture<'static, io::Result<Box<dyn Socket>>> {
        let (net, me) = (self.net.clone(), self.member);
        Box::pin(async move {
            let (peer, door) = net
                .ports
                .lock()
                .expect("ports")
                .get(&addr)
                .cloned()
                .ok_or(io::ErrorKind::ConnectionRefused)?;
            let (mine, my_end) = tokio::io::duplex(1 << 16);
            let (theirs, their_end) = tokio::io::duplex(1 << 16);
            door.send(theirs).map_err(|_| io::ErrorKind::ConnectionRefused)?;
            let (from_me, to_me) = tokio::io::split(my_end);
            let (from_them, to_them) = tokio::io::split(their_end);
            tokio::spawn(pump(from_me, to_them, (me, peer), net.cuts.subscribe(), net.carried.clone()));
            tokio::spawn(pump(from_them, to_me, (peer, me), net.cuts.subscribe(), net.carried.clone()));
            Ok(Box::new(mine) as Box<dyn Socket>)
        })
    }

    fn listen(&self) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let (door, visitors) = mpsc::unbounded_channel();
            self.net.ports.lock().expect("ports").insert(self.addr.clone(), (self.member, door));
            Ok(Box::new(Door(visitors)) as Box<dyn Listener>)
        })
    }
}

struct Door(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Door {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async move {
            let visitor = self.0.recv().await.ok_or(io::ErrorKind::BrokenPipe)?;
            Ok(Box::pin(async move { Ok(Box::new(visitor) as Box<dyn Socket>) }) as Incoming)
        })
    }
}

/// Carries bytes in one direction while the link is whole.
async fn pump(
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<DuplexStream>,
    link: (MemberId, MemberId),
    mut cuts: watch::Receiver<Cuts>,
    carried: Carried,
) {
    let mut bytes = vec![0; 1 << 14];
    let mut here = 0;
    while let Ok(len) = from.read(&mut bytes).await {
        if cuts.wait_for(|cuts| !cuts.contains(&link)).await.is_err() || len == 0 {
            break;
        }
        if to.write_all(&bytes[..len]).await.is_err() {
            break;
        }
        here += len as u64;
        let mut loads = carried.lock().expect("loads");
        let load = loads.entry(link).or_default();
        load.bytes += len as u64;
        if load.breaks.first().is_some_and(|most| here >= *most) {
            load.breaks.remove(0);
            break;
        }
    }
    // The other side may be gone already.
    drop(to.shutdown().await);
}
