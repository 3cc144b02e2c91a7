//! The network: connections whose messages are delayed, lost for a while, doubled and overtaken,
//! and links that are cut in one direction or both.
//!
//! A connection is what TCP makes of a network: bytes arrive in order or not at all. A lost packet
//! is a delay; data that stays unacknowledged breaks the connection. Beyond TCP, requests that
//! stand for themselves may be doubled or overtake each other: the protocol promises to bear it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use store::{Incoming, Listener, MemberId, Network, Socket};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::dice::Dice;
use super::process::Process;
use super::socket::SimSocket;
use super::world::{Step, World};

/// Data unacknowledged for this long breaks a connection (the store's TCP_USER_TIMEOUT).
const UNACKNOWLEDGED: Duration = Duration::from_secs(2);

/// How the network behaves now.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    pub delay_ms: (u64, u64),
    /// Messages that must be sent again, per mille.
    pub lost: u64,
    /// Requests that arrive twice, per mille.
    pub doubled: u64,
    /// Requests that may overtake others, per mille.
    pub overtaking: u64,
}

impl Weather {
    pub const CALM: Weather = Weather { delay_ms: (0, 1), lost: 0, doubled: 0, overtaking: 0 };
}

/// The network of one cluster.
pub struct Net {
    pub(super) world: Arc<World>,
    inner: Mutex<Inner>,
}

struct Inner {
    dice: Dice,
    weather: Weather,
    cuts: BTreeSet<(MemberId, MemberId)>,
    ports: BTreeMap<String, (MemberId, mpsc::UnboundedSender<SimSocket>)>,
    conns: Vec<Weak<Conn>>,
    /// Members whose host does not answer at all.
    dark: BTreeSet<MemberId>,
}

/// One connection: two directions, two ends.
pub(super) struct Conn {
    pub members: [MemberId; 2],
    pub state: Mutex<ConnState>,
}

#[derive(Default)]
pub(super) struct ConnState {
    /// From each end to the other.
    pub ways: [Way; 2],
    /// Ends that are told that the connection broke.
    pub broken: [bool; 2],
    pub readers: [Option<Waker>; 2],
}

/// One direction.
#[derive(Default)]
pub(super) struct Way {
    pub chunks: VecDeque<Chunk>,
    /// The head was partly read.
    pub begun: bool,
    pub closed: bool,
    last: Option<Instant>,
}

pub(super) struct Chunk {
    /// When it arrives; none while the link is cut.
    pub at: Option<Instant>,
    pub bytes: Bytes,
}

impl Conn {
    /// Tells an end that the connection broke.
    fn break_end(&self, end: usize) {
        let mut state = self.state.lock();
        state.broken[end] = true;
        let waker = state.readers[end].take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Kinds of requests that stand for themselves: Append, Vote, PreVote, Forward, ReadIndex,
/// LeaderGone (the store's `peer/frame.rs`).
const INDEPENDENT: [u8; 6] = [10, 12, 13, 15, 16, 18];

/// The frames in what was written at once, each with whether it stands for itself.
fn frames(bytes: &Bytes) -> Vec<(Bytes, bool)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + 10 <= bytes.len() {
        let word: [u8; 4] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        let end = at + 8 + u32::from_le_bytes(word) as usize;
        if end > bytes.len() {
            break;
        }
        found.push((bytes.slice(at..end), INDEPENDENT.contains(&bytes[at + 9])));
        at = end;
    }
    if at == bytes.len() { found } else { vec![(bytes.clone(), false)] }
}

impl Net {
    #[must_use]
    pub fn new(world: Arc<World>) -> Arc<Net> {
        let inner = Inner {
            dice: world.dice("network"),
            weather: Weather::CALM,
            cuts: BTreeSet::new(),
            ports: BTreeMap::new(),
            conns: Vec::new(),
            dark: BTreeSet::new(),
        };
        Arc::new(Net { world, inner: Mutex::new(inner) })
    }

    /// The network as one process sees it.
    #[must_use]
    pub fn of(self: &Arc<Self>, process: &Arc<Process>, addr: &str) -> Arc<dyn Network> {
        self.inner.lock().dark.remove(&process.member);
        Arc::new(Port { net: self.clone(), process: process.clone(), addr: addr.to_owned() })
    }

    pub fn set_weather(&self, weather: Weather) {
        self.inner.lock().weather = weather;
    }

    /// Cuts the way from one member to another.
    pub fn cut(self: &Arc<Self>, from: MemberId, to: MemberId) {
        self.inner.lock().cuts.insert((from, to));
        let net = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(UNACKNOWLEDGED).await;
            if net.inner.lock().cuts.contains(&(from, to)) {
                net.break_between(from, to);
            }
        });
    }

    fn break_between(&self, a: MemberId, b: MemberId) {
        for conn in self.conns() {
            if conn.members == [a, b] || conn.members == [b, a] {
                conn.break_end(0);
                conn.break_end(1);
            }
        }
    }

    /// Mends every link.
    pub fn heal(&self) {
        self.inner.lock().cuts.clear();
        let now = Instant::now();
        for conn in self.conns() {
            let mut state = conn.state.lock();
            for way in &mut state.ways {
                for chunk in way.chunks.iter_mut().filter(|chunk| chunk.at.is_none()) {
                    chunk.at = Some(now);
                }
                way.last = Some(now);
            }
            let wakers: Vec<Waker> = state.readers.iter_mut().filter_map(Option::take).collect();
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    fn conns(&self) -> Vec<Arc<Conn>> {
        let mut inner = self.inner.lock();
        inner.conns.retain(|conn| conn.strong_count() > 0);
        inner.conns.iter().filter_map(Weak::upgrade).collect()
    }

    /// A process is gone. Its host says so to the peers, unless it is gone too.
    pub fn crash(self: &Arc<Self>, member: MemberId, dark: bool) {
        {
            let mut inner = self.inner.lock();
            inner.ports.retain(|_, (owner, _)| *owner != member);
            if dark {
                inner.dark.insert(member);
            }
        }
        let conns: Vec<Arc<Conn>> =
            self.conns().into_iter().filter(|conn| conn.members.contains(&member)).collect();
        for conn in &conns {
            conn.break_end(usize::from(conn.members[0] != member));
        }
        if !dark {
            conns.iter().for_each(|conn| (0..2).for_each(|end| conn.break_end(end)));
            return;
        }
        tokio::spawn(async move {
            tokio::time::sleep(UNACKNOWLEDGED).await;
            conns.iter().for_each(|conn| (0..2).for_each(|end| conn.break_end(end)));
        });
    }

    /// Puts what one end wrote on its way.
    pub(super) fn send(&self, conn: &Conn, end: usize, bytes: &[u8]) {
        let (from, to) = (conn.members[end], conn.members[1 - end]);
        let bytes = Bytes::copy_from_slice(bytes);
        self.world.step(Step::Sent, from << 32 | to, u64::from(crc32fast::hash(&bytes)));
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let weather = inner.weather;
        let cut = inner.cuts.contains(&(from, to)) || inner.dark.contains(&to);
        let now = Instant::now();
        let mut state = conn.state.lock();
        let way = &mut state.ways[end];
        let parts =
            if weather.doubled + weather.overtaking > 0 { frames(&bytes) } else { vec![(bytes, false)] };
        for (bytes, independent) in parts {
            let mut delay_ms = inner.dice.between(weather.delay_ms.0, weather.delay_ms.1);
            if weather.lost > 0 && inner.dice.per_mille(weather.lost) {
                delay_ms += inner.dice.between(200, 400);
            }
            let at = now + Duration::from_millis(delay_ms);
            let overtakes = independent && inner.dice.per_mille(weather.overtaking);
            let at = if overtakes { at } else { way.last.map_or(at, |last| last.max(at)) };
            if !overtakes {
                way.last = Some(at);
            }
            way.insert((!cut).then_some(at), bytes.clone());
            if independent && inner.dice.per_mille(weather.doubled) {
                let later = at + Duration::from_millis(inner.dice.between(0, 50));
                way.insert((!cut).then_some(later), bytes);
            }
        }
        let waker = state.readers[1 - end].take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn connect(self: Arc<Self>, me: Arc<Process>, addr: String) -> io::Result<Box<dyn Socket>> {
        let door = {
            let inner = self.inner.lock();
            inner.ports.get(&addr).cloned()
        };
        let unreachable = |peer: MemberId| {
            let inner = self.inner.lock();
            inner.cuts.contains(&(me.member, peer)) || inner.cuts.contains(&(peer, me.member))
        };
        tokio::time::sleep(Duration::from_millis(1)).await;
        let Some((peer, door)) = door else {
            if self.inner.lock().dark.iter().any(|member| addr == super::cluster::addr_of(*member)) {
                // Nobody is there to refuse.
                std::future::pending::<()>().await;
            }
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        if me.is_gone() || unreachable(peer) {
            std::future::pending::<()>().await;
        }
        self.world.step(Step::Connected, me.member, peer);
        let conn = Arc::new(Conn { members: [me.member, peer], state: Mutex::default() });
        self.inner.lock().conns.push(Arc::downgrade(&conn));
        let theirs = SimSocket::new(self.clone(), conn.clone(), 1);
        door.send(theirs).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(Box::new(SimSocket::new(self, conn, 0)))
    }
}

impl Way {
    /// In the order of arrival; never before what is being read.
    fn insert(&mut self, at: Option<Instant>, bytes: Bytes) {
        let mut place = self.chunks.len();
        let first = usize::from(self.begun);
        if let Some(at) = at {
            while place > first && self.chunks[place - 1].at.is_some_and(|before| before > at) {
                place -= 1;
            }
        }
        self.chunks.insert(place, Chunk { at, bytes });
    }
}

struct Port {
    net: Arc<Net>,
    process: Arc<Process>,
    addr: String,
}

impl Network for Port {
    fn connect(&self, addr: String) -> BoxFuture<'static, io::Result<Box<dyn Socket>>> {
        Box::pin(self.net.clone().connect(self.process.clone(), addr))
    }

    fn listen(&self) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let (door, visitors) = mpsc::unbounded_channel();
            if !self.process.is_gone() {
                self.net.inner.lock().ports.insert(self.addr.clone(), (self.process.member, door));
            }
            Ok(Box::new(Door(visitors)) as Box<dyn Listener>)
        })
    }
}

struct Door(mpsc::UnboundedReceiver<SimSocket>);

impl Listener for Door {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async move {
            let Some(visitor) = self.0.recv().await else {
                // The process is gone; its tasks will be, too.
                return std::future::pending().await;
            };
            Ok(Box::pin(async move { Ok(Box::new(visitor) as Box<dyn Socket>) }) as Incoming)
        })
    }
}
