//! The sockets of the cluster DNS, and how a request becomes a response.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hickory_proto::op::{Edns, Header, HeaderCounts, Message, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, Record, RecordType};
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use parking_lot::RwLock;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

use super::upstream::{Transport, Upstreams};
use super::zone::{Answer, Zone};
use crate::metrics::DnsMetrics;

/// A TCP client that asks nothing for so long is disconnected.
const TCP_IDLE: Duration = Duration::from_secs(10);
/// Responses that wait on one TCP connection.
const TCP_RESPONSES: usize = 32;
/// The UDP message size that is offered to clients (DNS flag day 2020).
const EDNS_PAYLOAD: u16 = 1232;

/// Where to serve, and from what.
pub struct DnsServerConfig {
    pub listen: SocketAddr,
    pub zone: Arc<RwLock<Zone>>,
    pub upstream: Vec<SocketAddr>,
    pub metrics: DnsMetrics,
}

/// The bound server.
pub struct DnsServer {
    server: Server<Handler>,
}

impl DnsServer {
    /// Binds the sockets; the address must exist.
    pub async fn bind(config: DnsServerConfig) -> io::Result<Self> {
        let udp = UdpSocket::bind(config.listen).await?;
        let tcp = TcpListener::bind(config.listen).await?;
        let upstream = config.upstream.into_iter().filter(|s| *s != config.listen).collect();
        let handler =
            Handler { zone: config.zone, upstreams: Upstreams::new(upstream), metrics: config.metrics };
        let mut server = Server::new(handler);
        server.register_socket(udp);
        server.register_listener(tcp, TCP_IDLE, TCP_RESPONSES);
        Ok(Self { server })
    }

    /// Serves until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {
                if let Err(error) = self.server.shutdown_gracefully().await {
                    tracing::debug!(%error, "cluster DNS: shutdown");
                }
            }
            ended = self.server.block_until_done() => match ended {
                Ok(()) => tracing::error!("cluster DNS: the server ended"),
                Err(error) => tracing::error!(%error, "cluster DNS: the server ended"),
            },
        }
    }
}

struct Handler {
    zone: Arc<RwLock<Zone>>,
    upstreams: Upstreams,
    metrics: DnsMetrics,
}

/// A response before it has the header of its request.
#[derive(Default)]
struct Reply {
    code: ResponseCode,
    authoritative: bool,
    truncated: bool,
    answers: Vec<Record>,
    authorities: Vec<Record>,
    additionals: Vec<Record>,
}

impl Reply {
    fn error(code: ResponseCode) -> Self {
        Self { code, ..Self::default() }
    }

    fn forwarded(message: Message) -> Self {
        Self {
            code: message.metadata.response_code,
            authoritative: false,
            truncated: message.metadata.truncation,
            answers: message.answers,
            authorities: message.authorities,
            additionals: message.additionals,
        }
    }
}

impl Handler {
    async fn reply(&self, request: &Request) -> Reply {
        if request.metadata.op_code != OpCode::Query || request.metadata.message_type != MessageType::Query {
            return Reply::error(ResponseCode::NotImp);
        }
        let Ok(info) = request.request_info() else { return Reply::error(ResponseCode::FormErr) };
        let kind = info.query.query_type();
        if info.query.query_class() != DNSClass::IN {
            return Reply::error(ResponseCode::Refused);
        }
        let name = info.query.original().name();
        let (answer, soa) = {
            let zone = self.zone.read();
            (zone.answer(name, kind), zone.soa())
        };
        match answer {
            Answer::Records { answers, additionals } => {
                Reply { authoritative: true, answers, additionals, ..Reply::default() }
            }
            Answer::NoData => Reply { authoritative: true, authorities: vec![soa], ..Reply::default() },
            Answer::NoName => {
                Reply { authoritative: true, authorities: vec![soa], ..Reply::error(ResponseCode::NXDomain) }
            }
            Answer::Alias { answers, target } => self.follow_alias(answers, target, kind).await,
            Answer::Foreign => self.forward(request).await,
        }
    }

    /// Resolvers of the C libraries do not follow an alias themselves.
    async fn follow_alias(
        &self,
        mut answers: Vec<Record>,
        target: hickory_proto::rr::Name,
        kind: RecordType,
    ) -> Reply {
        match self.upstreams.resolve(target, kind).await {
            Ok(message) => {
                answers.extend(message.answers);
                Reply { authoritative: true, answers, ..Reply::default() }
            }
            Err(error) => {
                tracing::debug!(%error, "cluster DNS: an external name was not resolved");
                Reply { authoritative: true, answers, ..Reply::default() }
            }
        }
    }

    async fn forward(&self, request: &Request) -> Reply {
        let Ok(question) = Message::from_vec(request.as_slice()) else {
            return Reply::error(ResponseCode::FormErr);
        };
        let transport = if request.protocol() == Protocol::Udp { Transport::Udp } else { Transport::Tcp };
        match self.upstreams.ask(&question, transport).await {
            Ok(message) => Reply::forwarded(message),
            Err(super::upstream::UpstreamError::NotConfigured) => Reply::error(ResponseCode::Refused),
            Err(error) => {
                tracing::debug!(%error, "cluster DNS: not forwarded");
                Reply::error(ResponseCode::ServFail)
            }
        }
    }
}

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut respond: R,
    ) -> ResponseInfo {
        let started = Instant::now();
        let reply = self.reply(request).await;
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = reply.code;
        metadata.authoritative = reply.authoritative;
        metadata.truncation = reply.truncated;
        metadata.recursion_available = true;
        let edns = request.edns.as_ref().map(|theirs| {
            let mut edns = Edns::new();
            edns.set_max_payload(EDNS_PAYLOAD.min(theirs.max_payload().max(512)));
            edns
        });
        let mut builder = MessageResponseBuilder::from_message_request(request);
        if let Some(edns) = &edns {
            builder.edns(edns);
        }
        let response = builder.build(metadata, &reply.answers, &reply.authorities, [], &reply.additionals);
        let kind = request.queries.queries().first().map(|q| q.query_type());
        self.metrics.observe(request.protocol() == Protocol::Udp, kind, reply.code, started.elapsed());
        match respond.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(%error, "cluster DNS: the client did not take its response");
                ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() })
            }
        }
    }
}
