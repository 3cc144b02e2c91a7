//! One client: one connection, one request at a time.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;

use super::target::Target;

/// See the module.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    target: Target,
    server: String,
}

impl Client {
    /// The `n`-th client: servers are taken in turn.
    pub async fn connect(target: &Target, n: usize) -> Result<Client> {
        let server = target.servers[n % target.servers.len()].clone();
        let stream = TcpStream::connect(&server).await.with_context(|| server.clone())?;
        stream.set_nodelay(true)?;
        let host = server.rsplit_once(':').map_or(server.as_str(), |(host, _)| host);
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
        let stream = tokio_rustls::TlsConnector::from(target.tls.clone()).connect(name, stream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its end shows in the next request.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Client { sender, target: target.clone(), server })
    }

    /// The answer as a stream.
    pub async fn open(&mut self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.server.as_str())
            .header(USER_AGENT, "trireme-benches/1")
            .header(ACCEPT, self.target.accept);
        if let Some(token) = &self.target.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        self.sender.ready().await?;
        Ok(self.sender.send_request(request.body(Full::new(body))?).await?)
    }

    /// The whole answer.
    pub async fn request(&mut self, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Bytes)> {
        let answer = self.open(method, path, body).await?;
        let code = answer.status();
        Ok((code, answer.into_body().collect().await?.to_bytes()))
    }

    /// As [`Client::request`], where an error is none of those allowed.
    pub async fn expect(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
        allowed: &[u16],
    ) -> Result<Bytes> {
        let (code, answer) = self.request(method.clone(), path, body).await?;
        if !code.is_success() && !allowed.contains(&code.as_u16()) {
            bail!("{method} {path}: {code} {}", String::from_utf8_lossy(&answer));
        }
        Ok(answer)
    }
}
