//! A request as it comes in: its path understood, its query typed, its body limited.

mod body;
mod info;
mod negotiate;
mod query;

pub(crate) use body::RequestBody;
pub(crate) use info::RequestInfo;
pub(crate) use negotiate::{As, Negotiated, Offer, Shape};
pub(crate) use query::{Query, VersionMatch};

use std::net::SocketAddr;

use api::protobuf::PROTOBUF;
use http::{HeaderMap, Method};

use crate::identity::User;

/// What the connection tells about the client.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Where it comes from; none in the same process.
    pub address: Option<SocketAddr>,
    /// Who its client certificate, or the process itself, says it is.
    pub user: Option<User>,
}

/// The first stage: parsed, and nothing believed.
pub(crate) struct Request {
    pub method: Method,
    pub headers: HeaderMap,
    pub info: RequestInfo,
    pub query: Query,
    pub body: RequestBody,
    pub peer: Peer,
    /// The connection itself, once the response with status 101 is sent.
    pub upgrade: parking_lot::Mutex<Option<hyper::upgrade::OnUpgrade>>,
}

impl Request {
    /// The connection, once; none when it can not be upgraded.
    pub(crate) fn upgrade(&self) -> Option<hyper::upgrade::OnUpgrade> {
        self.upgrade.lock().take()
    }

    /// A header as text; empty when it is missing or not text.
    pub(crate) fn header(&self, name: impl http::header::AsHeaderName) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// The body and its media type, protobuf turned into the JSON it stands for.
    pub(crate) async fn read_body(&self) -> Result<(bytes::Bytes, &str), api::Status> {
        let body = self.body.read().await?;
        match self.content_type() {
            PROTOBUF if !body.is_empty() => Ok((api::protobuf::to_json(&body)?, "application/json")),
            _ => Ok((body, self.header(http::header::CONTENT_TYPE))),
        }
    }

    /// `Content-Type` without parameters.
    pub(crate) fn content_type(&self) -> &str {
        self.header(http::header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim()
    }

    /// Asks for the connection itself: exec, attach, port-forward, a proxied WebSocket.
    pub(crate) fn wants_upgrade(&self) -> bool {
        let connection = self.header(http::header::CONNECTION);
        connection.split(',').any(|t| t.trim().eq_ignore_ascii_case("upgrade"))
            && self.headers.contains_key(http::header::UPGRADE)
    }

    /// The field manager when none is named: the program's name of the User-Agent.
    pub(crate) fn default_manager(&self) -> String {
        let agent = self.header(http::header::USER_AGENT);
        let name = agent.split('/').next().unwrap_or_default();
        if name.is_empty() { "unknown".to_owned() } else { name.chars().take(128).collect() }
    }
}

impl Request {
    /// Asked for, or taken for granted with a person's tools.
    pub(crate) fn pretty(&self) -> bool {
        self.query.optional_flag("pretty").unwrap_or_else(|| {
            let agent = self.header(http::header::USER_AGENT);
            ["curl", "Wget", "Mozilla/5.0"].iter().any(|tool| agent.starts_with(tool))
        })
    }
}
