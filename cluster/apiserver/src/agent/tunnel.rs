//! One HTTP/1.1 exchange with what is behind the server: the answer is streamed back as it comes;
//! after `101 Switching Protocols` both connections are joined, whatever is spoken on them.

use std::time::Duration;

use api::Status;
use futures::StreamExt;
use http::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper_util::rt::TokioIo;

use super::dial::Target;
use super::join;
use crate::body::{ApiBody, BoxError};
use crate::call::Call;
use crate::reply::Reply;

/// Time to the first byte of an answer. What comes after it may take as long as it likes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of the client's request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// A GET without the client's headers.
    Plain,
    /// The client's headers, so that the protocol can be switched.
    Upgrade,
    /// The client's method, headers and body, to a server in a pod.
    Everything,
}

/// Sends the call's request to `target` under another path, and answers what it answers.
pub(super) async fn forward(call: &Call, target: &Target, path: &str, keep: Keep) -> Result<Reply, Status> {
    let agents = &call.server.agents;
    let stream = match keep {
        Keep::Everything if !target.what.starts_with("the agent") => agents.workload(target).await?,
        _ => agents.agent(target).await?,
    };
    let failed = |e: hyper::Error| Status::failure(502, "", format!("{} failed: {e}", target.what));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let stop = call.server.stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            ended = connection.with_upgrades() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection to an agent or a pod");
                }
            }
            // The sessions themselves end with their clients' connections.
            () = stop.cancelled() => {}
        }
    });
    let request = outgoing(call, target, path, keep)?;
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request))
        .await
        .map_err(|_| Status::failure(504, "Timeout", format!("{} did not answer", target.what)))?
        .map_err(failed)?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return joined(call, answer);
    }
    let (parts, body) = answer.into_parts();
    let pieces = body.into_data_stream().map(|piece| piece.map_err(BoxError::from));
    let mut reply = Reply::new(ApiBody::stream(pieces));
    *reply.status_mut() = parts.status;
    copy_headers(&parts.headers, reply.headers_mut(), &[]);
    Ok(reply)
}

type Outgoing = http::Request<UnsyncBoxBody<bytes::Bytes, BoxError>>;

fn outgoing(call: &Call, target: &Target, path: &str, keep: Keep) -> Result<Outgoing, Status> {
    let method = if keep == Keep::Plain { http::Method::GET } else { call.request.method.clone() };
    let mut request = http::Request::new(call.request.body.take());
    *request.method_mut() = method;
    *request.uri_mut() =
        path.parse().map_err(|e| Status::bad_request(format!("the path can not be forwarded: {e}")))?;
    let headers = request.headers_mut();
    if keep != Keep::Plain {
        let upgrade = call.request.wants_upgrade();
        let kept: &[HeaderName] = if upgrade { &[CONNECTION, UPGRADE] } else { &[] };
        copy_headers(&call.request.headers, headers, kept);
    }
    headers.remove(AUTHORIZATION);
    let host = format!("{}:{}", target.host, target.port);
    headers.insert(HOST, host.parse().map_err(|_| Status::internal("the node's address is no host"))?);
    if keep == Keep::Everything
        && let Some(address) = call.request.peer.address
        && let Ok(value) = address.ip().to_string().parse()
    {
        headers.insert("x-forwarded-for", value);
    }
    Ok(request)
}

/// All headers but those of this one connection, and those that say who the client is.
fn copy_headers(from: &HeaderMap, to: &mut HeaderMap, kept: &[HeaderName]) {
    const HOP: [HeaderName; 9] = [
        CONNECTION,
        UPGRADE,
        HOST,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        AUTHORIZATION,
    ];
    for (name, value) in from {
        let ours =
            name.as_str().starts_with("impersonate-") || name == "trireme-fence" || name == "keep-alive";
        if !ours && (kept.contains(name) || !HOP.contains(name)) {
            to.append(name, value.clone());
        }
    }
}

/// Answers 101 and joins the two connections.
fn joined(call: &Call, answer: http::Response<hyper::body::Incoming>) -> Result<Reply, Status> {
    let ours = call
        .request
        .upgrade()
        .ok_or_else(|| Status::bad_request("this connection can not be upgraded: HTTP/1.1 is needed"))?;
    let mut reply = Reply::new(ApiBody::empty());
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    copy_headers(answer.headers(), reply.headers_mut(), &[CONNECTION, UPGRADE]);
    let open = call.server.metrics.long_running(&call.request.info);
    let stop = call.server.stop.clone();
    tokio::spawn(async move {
        let _open = open;
        let (client, agent) = match tokio::try_join!(ours, hyper::upgrade::on(answer)) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(%error, "upgrade"),
        };
        tokio::select! {
            () = join::join(TokioIo::new(client), TokioIo::new(agent)) => {}
            () = stop.cancelled() => {}
        }
    });
    Ok(reply)
}
