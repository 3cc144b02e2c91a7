//! The gRPC health check (grpc.health.v1.Health/Check): small enough to be spoken by hand over HTTP/2.

use std::net::IpAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{Outcome, http::connect};

/// Good when the server answers SERVING.
pub async fn check(ip: IpAddr, port: i32, service: &str) -> Outcome {
    let port = u16::try_from(port).map_err(|_| format!("invalid port {port}"))?;
    let tcp = connect(&ip.to_string(), port).await?;
    let text = |e: hyper::Error| format!("error: health rpc probe failed: {e}");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.map_err(text)?;
    let driver = tokio::spawn(connection);
    let request = http::Request::post(format!("http://{ip}:{port}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from(request_message(service))))
        .map_err(|e| e.to_string())?;
    let answer = sender.send_request(request).await.map_err(text)?;
    let early = answer.headers().get("grpc-status").cloned();
    let collected = answer.into_body().collect().await.map_err(text)?;
    let status = early.or_else(|| collected.trailers().and_then(|t| t.get("grpc-status").cloned()));
    let body = collected.to_bytes();
    driver.abort();
    match status.as_ref().map(http::HeaderValue::as_bytes) {
        Some(b"0") => {}
        Some(b"12") => return Err("error: this server does not implement the grpc health protocol".into()),
        other => {
            let code = other.map(String::from_utf8_lossy).unwrap_or_default();
            return Err(format!("error: health rpc failed with status {code}"));
        }
    }
    // Field 1 (varint) of the message after the five bytes of the frame: 1 is SERVING.
    match body.get(5..) {
        Some([0x08, 1, ..]) => Ok(()),
        _ => Err("service unhealthy (responded with \"NOT_SERVING\")".into()),
    }
}

fn request_message(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        message.push(service.len().min(127) as u8);
        message.extend_from_slice(&service.as_bytes()[..service.len().min(127)]);
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed
}
