//! HTTP requests of probes and hooks: one connection each, certificates are not verified (as Kubernetes documents).

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use rustls::DigitallySignedStruct;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::Outcome;

const MAX_REDIRECTS: usize = 10;
const MAX_BODY: usize = 10 * 1024;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Opens a TCP connection.
pub async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let stream = TcpStream::connect((host, port)).await;
    let stream = stream.map_err(|e| format!("dial tcp {}:{port}: {}", bracketed(host), plain(&e)))?;
    // A probe's few bytes must not wait; without the option they only come later.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn plain(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::ConnectionRefused => "connect: connection refused".into(),
        std::io::ErrorKind::HostUnreachable => "connect: no route to host".into(),
        _ => e.to_string(),
    }
}

/// Asks as `get` says; answers of 200 to 399 are good.
pub async fn get(get: &HTTPGetAction, container: &Container, pod_ip: IpAddr, agent: &str) -> Outcome {
    let (host, port, mut path) = super::address(get, container, pod_ip)?;
    let tls = get.scheme.as_deref() == Some("HTTPS");
    for _ in 0..MAX_REDIRECTS {
        let (status, location, body) = once(get, &host, port, tls, &path, agent).await?;
        match location {
            Some(next) if (300..400).contains(&status) => match local_path(&next, &host, port) {
                Some(next) => path = next,
                None => return Ok(()), // redirected to another host: counts as alive
            },
            _ if (200..400).contains(&status) => return Ok(()),
            _ => {
                let text = String::from_utf8_lossy(&body).into_owned();
                tracing::trace!(%text, "probe answer");
                return Err(format!("HTTP probe failed with statuscode: {status}"));
            }
        }
    }
    Err(format!("Get \"{path}\": stopped after 10 redirects"))
}

fn local_path(location: &str, host: &str, port: u16) -> Option<String> {
    if location.starts_with('/') && !location.starts_with("//") {
        return Some(location.to_owned());
    }
    let uri: http::Uri = location.parse().ok()?;
    let same_port = uri.port_u16().is_none_or(|p| p == port);
    (uri.host() == Some(host) && same_port)
        .then(|| uri.path_and_query().map_or("/".into(), |p| p.to_string()))
}

async fn once(
    get: &HTTPGetAction,
    host: &str,
    port: u16,
    tls: bool,
    path: &str,
    agent: &str,
) -> Result<(u16, Option<String>, Bytes), String> {
    let scheme = if tls { "https" } else { "http" };
    let url = format!("{scheme}://{}:{port}{path}", bracketed(host));
    let fail = |e: String| format!("Get \"{url}\": {e}");
    let tcp = connect(host, port).await.map_err(&fail)?;
    let io: Box<dyn Stream> =
        if tls { Box::new(over_tls(tcp, host).await.map_err(&fail)?) } else { Box::new(tcp) };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(io)).await.map_err(|e| fail(e.to_string()))?;
    let driver = tokio::spawn(connection);
    let request = request(get, host, port, path, agent).map_err(&fail)?;
    let answer = sender.send_request(request).await.map_err(|e| fail(e.to_string()))?;
    let status = answer.status().as_u16();
    let location = answer.headers().get(LOCATION).and_then(|l| l.to_str().ok()).map(str::to_owned);
    let body =
        Limited::new(answer.into_body(), MAX_BODY).collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    driver.abort();
    Ok((status, location, body))
}

fn request(
    get: &HTTPGetAction,
    host: &str,
    port: u16,
    path: &str,
    agent: &str,
) -> Result<http::Request<Empty<Bytes>>, String> {
    let mut request = http::Request::get(path).body(Empty::new()).map_err(|e| e.to_string())?;
    let headers = request.headers_mut();
    let host = format!("{}:{port}", bracketed(host));
    headers.insert(HOST, HeaderValue::from_str(&host).map_err(|e| e.to_string())?);
    headers.insert(USER_AGENT, HeaderValue::from_str(agent).map_err(|e| e.to_string())?);
    headers.insert(http::header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    for given in get.http_headers.iter().flatten() {
        let name: HeaderName = given.name.parse().map_err(|e| format!("header {:?}: {e}", given.name))?;
        let value =
            HeaderValue::from_str(&given.value).map_err(|e| format!("header {:?}: {e}", given.name))?;
        headers.insert(name, value);
    }
    Ok(request)
}

async fn over_tls(tcp: TcpStream, host: &str) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|e| e.to_string())?;
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(|e| e.to_string())
}

/// Probes accept every certificate: they ask whether the container answers, not who it is.
#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
