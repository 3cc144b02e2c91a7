//! Asks other servers. Fails fast: a question costs at most about two seconds, and a server that did not answer is
//! asked last for a while.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long one server is waited for.
const ATTEMPT: Duration = Duration::from_millis(1000);
/// For how long a server that did not answer is asked last.
const SHUN: Duration = Duration::from_secs(5);
/// How many servers are asked for one question.
const MAX_ATTEMPTS: usize = 2;
/// The largest DNS message.
const MAX_MESSAGE: usize = 65_535;

/// Why there is no answer from outside.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("no upstream server is configured")]
    NotConfigured,
    #[error("upstream {server}: {source}")]
    Io { server: SocketAddr, source: io::Error },
    #[error("upstream {server} did not answer in time")]
    Timeout { server: SocketAddr },
    #[error("upstream {server} sent a damaged message")]
    Damaged { server: SocketAddr },
    #[error("the question can not be encoded")]
    Unencodable,
}

/// How the question came, and so how it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// The servers for names outside the cluster.
pub struct Upstreams {
    servers: Vec<SocketAddr>,
    shunned: Mutex<HashMap<SocketAddr, Instant>>,
}

impl Upstreams {
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self { servers, shunned: Mutex::default() }
    }

    /// Passes a question on. An answer that says SERVFAIL or REFUSED counts only when no server has a better one.
    pub async fn ask(&self, question: &Message, transport: Transport) -> Result<Message, UpstreamError> {
        let mut last = Err(UpstreamError::NotConfigured);
        for server in self.in_order().into_iter().take(MAX_ATTEMPTS) {
            let result = ask_one(server, question, transport).await;
            match &result {
                Ok(answer) if !is_unhelpful(answer) => {
                    self.shunned.lock().remove(&server);
                    return result;
                }
                _ => {
                    self.shunned.lock().insert(server, Instant::now());
                }
            }
            if last.is_err() || result.is_ok() {
                last = result;
            }
        }
        last
    }

    /// Resolves one name.
    pub async fn resolve(&self, name: Name, kind: RecordType) -> Result<Message, UpstreamError> {
        let mut question = Message::query();
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(name, kind));
        let answer = self.ask(&question, Transport::Udp).await?;
        match answer.metadata.truncation {
            true => self.ask(&question, Transport::Tcp).await,
            false => Ok(answer),
        }
    }

    fn in_order(&self) -> Vec<SocketAddr> {
        let mut shunned = self.shunned.lock();
        shunned.retain(|_, since| since.elapsed() < SHUN);
        let mut servers = self.servers.clone();
        servers.sort_by_key(|s| shunned.contains_key(s));
        servers
    }
}

fn is_unhelpful(answer: &Message) -> bool {
    matches!(answer.metadata.response_code, ResponseCode::ServFail | ResponseCode::Refused)
}

async fn ask_one(
    server: SocketAddr,
    question: &Message,
    transport: Transport,
) -> Result<Message, UpstreamError> {
    let mut question = question.clone();
    question.metadata.id = rand::random();
    let bytes = question.to_vec().map_err(|_| UpstreamError::Unencodable)?;
    let attempt = async {
        match transport {
            Transport::Udp => over_udp(server, &bytes).await,
            Transport::Tcp => over_tcp(server, &bytes).await,
        }
    };
    let answer = match timeout(ATTEMPT, attempt).await {
        Err(_) => return Err(UpstreamError::Timeout { server }),
        Ok(result) => result.map_err(|source| UpstreamError::Io { server, source })?,
    };
    let answer = Message::from_vec(&answer).map_err(|_| UpstreamError::Damaged { server })?;
    let same = answer.metadata.id == question.metadata.id && answer.queries == question.queries;
    if same { Ok(answer) } else { Err(UpstreamError::Damaged { server }) }
}

/// The port is new and random for each question: an answer can not be forged by guessing its identifier only.
async fn over_udp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut answer = vec![0; MAX_MESSAGE];
    loop {
        let len = socket.recv(&mut answer).await?;
        if answer[..len].get(..2) == question.get(..2) {
            answer.truncate(len);
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let len = u16::try_from(question.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&len.to_be_bytes(), question].concat()).await?;
    let len = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(len)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
