//! The image gateway: a forward proxy for the nodes' image pulls, whose outgoing connections are the
//! host's own. It asks for a secret, so that pods can not use it as a way out.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::{Context, Result};
use base64::Engine;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderMap, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

type Body = BoxBody<Bytes, hyper::Error>;

/// Accepts for ever.
pub async fn serve(listener: TcpListener, secret: Arc<str>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let secret = secret.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| answer(request, secret.clone()));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            if let Err(error) = connection.await {
                tracing::debug!(%error, "gateway connection");
            }
        });
    }
}

async fn answer(request: Request<Incoming>, secret: Arc<str>) -> Result<Response<Body>, Infallible> {
    if !permitted(request.headers(), &secret) {
        let mut refused = plain(StatusCode::PROXY_AUTHENTICATION_REQUIRED, "the gateway asks for its secret");
        refused.headers_mut().insert(PROXY_AUTHENTICATE, hyper::header::HeaderValue::from_static("Basic"));
        return Ok(refused);
    }
    let target = request.uri().clone();
    let outcome =
        if request.method() == Method::CONNECT { tunnel(request).await } else { forward(request).await };
    Ok(outcome.unwrap_or_else(|error| {
        tracing::info!(%target, "gateway: {error:#}");
        plain(StatusCode::BAD_GATEWAY, &format!("{error:#}"))
    }))
}

fn permitted(headers: &HeaderMap, secret: &str) -> bool {
    let given = headers.get(PROXY_AUTHORIZATION).and_then(|value| value.to_str().ok());
    let expected = base64::engine::general_purpose::STANDARD.encode(format!("trireme:{secret}"));
    given.and_then(|value| value.strip_prefix("Basic ")).is_some_and(|value| value == expected)
}

async fn tunnel(request: Request<Incoming>) -> Result<Response<Body>> {
    let authority = request.uri().authority().context("CONNECT names no host")?.to_string();
    let mut outside = connect(&authority).await?;
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        // Either end may close as it likes: both sides then see it.
        let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(upgraded), &mut outside).await;
    });
    Ok(Response::new(empty()))
}

async fn forward(mut request: Request<Incoming>) -> Result<Response<Body>> {
    let uri = request.uri().clone();
    let host = uri.host().context("the request names no host (an absolute URL is needed)")?;
    let stream = connect(&format!("{host}:{}", uri.port_u16().unwrap_or(80))).await?;
    request.headers_mut().remove(PROXY_AUTHORIZATION);
    request.headers_mut().insert(HOST, uri.authority().context("no host")?.as_str().parse()?);
    *request.uri_mut() =
        uri.path_and_query().map_or(Ok(Uri::from_static("/")), |path| path.as_str().parse())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await.with_context(|| format!("ask {host}"))?;
    Ok(response.map(|body| body.boxed()))
}

async fn connect(authority: &str) -> Result<TcpStream> {
    let limit = std::time::Duration::from_secs(10);
    let reached = tokio::time::timeout(limit, TcpStream::connect(authority)).await;
    reached
        .context("no answer within 10 s")
        .and_then(|r| Ok(r?))
        .with_context(|| format!("connect to {authority}"))
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(format!("{text}\n"))).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_secret_opens_the_gateway() {
        let cases = [(None, false), (Some("Basic dHJpcmVtZTpz"), true), (Some("Basic dHJpcmVtZTp4"), false)];
        for (given, expected) in cases {
            let mut headers = HeaderMap::new();
            if let Some(given) = given {
                headers.insert(PROXY_AUTHORIZATION, given.parse().unwrap());
            }
            assert_eq!(permitted(&headers, "s"), expected, "{given:?}");
        }
    }

    /// A server on the loopback that answers each connection with what it was sent.
    async fn echo() -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    tokio::io::copy(&mut reader, &mut writer).await
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn a_tunnel_carries_bytes_for_those_with_the_secret() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let outside = echo().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, "s".into()));
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let secret = "Proxy-Authorization: Basic dHJpcmVtZTpz\r\n";
        for (target, header, status) in
            [(outside, "", "407"), (outside, secret, "200"), (nobody, secret, "502")]
        {
            let mut stream = TcpStream::connect(gateway).await.unwrap();
            let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{header}\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(stream.read_u8().await.unwrap());
            }
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{target}: {answer}");
            if status == "200" {
                stream.write_all(b"through").await.unwrap();
                let mut back = [0; 7];
                stream.read_exact(&mut back).await.unwrap();
                assert_eq!(&back, b"through");
            }
        }
    }
}
