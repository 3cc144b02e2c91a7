//! One POST over one TLS connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::CertificateError;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;

use super::pin::EXPECTED_NAME;
use crate::body::BoxError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A server answers a membership change only after the member has caught up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const LARGEST_ANSWER: usize = 1 << 20;

pub(super) struct Answer {
    pub status: u16,
    pub body: Bytes,
}

impl Answer {
    /// The message of a Status, or the beginning of whatever came instead.
    pub(super) fn message(&self) -> String {
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(status) => status["message"].as_str().unwrap_or_default().to_owned(),
            Err(_) => String::from_utf8_lossy(&self.body).chars().take(200).collect(),
        }
    }
}

pub(super) enum AskError {
    WrongCa,
    Failed(BoxError),
}

impl<E: Into<BoxError>> From<E> for AskError {
    fn from(error: E) -> Self {
        AskError::Failed(error.into())
    }
}

pub(super) async fn ask(
    url: &str,
    tls: &Arc<rustls::ClientConfig>,
    bearer: Option<&str>,
    path: &str,
    body: &Value,
) -> Result<Answer, AskError> {
    let uri: http::Uri = url.parse()?;
    let host = uri.host().ok_or("the URL has no host")?.trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(6443);
    let tcp = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((host, port))).await??;
    let name = ServerName::try_from(EXPECTED_NAME)?;
    let handshake = tokio_rustls::TlsConnector::from(tls.clone()).connect(name, tcp);
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, handshake).await?.map_err(classify)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut request = http::Request::post(path)
        .header(http::header::HOST, format!("{host}:{port}"))
        .header(http::header::CONTENT_TYPE, "application/json");
    if let Some(bearer) = bearer {
        request = request.header(http::header::AUTHORIZATION, format!("Bearer {bearer}"));
    }
    let request = request.body(Full::new(Bytes::from(body.to_string())))?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await?.to_bytes();
        Ok::<_, BoxError>(Answer { status, body })
    };
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, exchange).await;
    driver.abort();
    Ok(answer??)
}

fn classify(error: std::io::Error) -> AskError {
    let wrong_ca = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()).is_some_and(|e| {
        matches!(
            e,
            rustls::Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure | CertificateError::UnknownIssuer
            )
        )
    });
    if wrong_ca { AskError::WrongCa } else { AskError::Failed(error.into()) }
}
