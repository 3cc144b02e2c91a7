//! One request to an agent's socket.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::Refusal;

/// Sends `method /images?query` and reads the JSON answer; the agent's refusal is the error.
pub async fn ask<T: DeserializeOwned>(socket: &Path, method: &str, query: &[(&str, &str)]) -> Result<T> {
    let stream = UnixStream::connect(socket)
        .await
        .with_context(|| format!("the agent does not answer at {} (is it running?)", socket.display()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let pump = tokio::spawn(connection);
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let request = Request::builder().method(method).uri(format!("/images?{query}")).header("host", "agent");
    let response =
        sender.send_request(request.body(Empty::<Bytes>::new())?).await.context("ask the agent")?;
    let succeeded = response.status().is_success();
    let body = response.into_body().collect().await.context("read the agent's answer")?.to_bytes();
    pump.abort();
    if !succeeded {
        let refusal: Refusal = serde_json::from_slice(&body).context("read the agent's refusal")?;
        bail!("{}", refusal.error);
    }
    serde_json::from_slice(&body).context("read the agent's answer")
}
