//! One connection to one server's API: HTTP/1.1 over TLS with the administrator's certificate.
//!
//! Nothing is ever sent twice: what became of a request is exactly one [`Answer`].

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_millis(1_000);
/// How long it may take to answer; what was asked has an unknown outcome then.
const ANSWER: Duration = Duration::from_millis(4_000);

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Status code and body.
    Said(u16, Value),
    /// The server surely never saw it.
    NotSent(String),
    /// The server may have seen it.
    Lost(String),
}

/// What is asked.
pub struct Ask {
    pub method: &'static str,
    pub path: String,
    pub content_type: &'static str,
    pub body: Option<Value>,
}

impl Ask {
    #[must_use]
    pub fn get(path: impl Into<String>) -> Ask {
        Ask { method: "GET", path: path.into(), content_type: "application/json", body: None }
    }
}

/// The credentials of a kubeconfig.
#[derive(Clone)]
pub struct Access {
    tls: TlsConnector,
}

impl Access {
    /// Reads a kubeconfig whose certificates and key stand in it.
    ///
    /// # Errors
    /// What is missing or not usable.
    pub fn read(path: &Path) -> Result<Access, String> {
        let say = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let text = std::fs::read_to_string(path).map_err(|e| say(&e))?;
        let config: Value = serde_saphyr::from_str(&text).map_err(|e| say(&e))?;
        let pem = |value: &Value| {
            let text = value.as_str().ok_or_else(|| say(&"no certificate data"))?;
            STANDARD.decode(text).map_err(|e| say(&e))
        };
        let (cluster, user) = (&config["clusters"][0]["cluster"], &config["users"][0]["user"]);
        let mut roots = rustls::RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(&pem(&cluster["certificate-authority-data"])?);
        roots.add(ca.map_err(|e| say(&e))?).map_err(|e| say(&e))?;
        let own = CertificateDer::from_pem_slice(&pem(&user["client-certificate-data"])?);
        let key = PrivateKeyDer::from_pem_slice(&pem(&user["client-key-data"])?).map_err(|e| say(&e))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| say(&e))?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![own.map_err(|e| say(&e))?], key)
            .map_err(|e| say(&e))?;
        Ok(Access { tls: TlsConnector::from(Arc::new(tls)) })
    }
}

/// A connection to one server, made when it is needed.
pub struct Wire {
    access: Access,
    server: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Wire {
    #[must_use]
    pub fn new(access: &Access, server: SocketAddr) -> Wire {
        Wire { access: access.clone(), server, sender: None }
    }

    /// Asks and reads the whole answer.
    pub async fn ask(&mut self, ask: Ask) -> Answer {
        let request = match request(&ask) {
            Ok(request) => request,
            Err(error) => return Answer::NotSent(error.to_string()),
        };
        let mut sender = match self.connected().await {
            Ok(sender) => sender,
            Err(reason) => return Answer::NotSent(reason),
        };
        let answer = tokio::time::timeout(ANSWER, async {
            let response = sender.send_request(request).await.map_err(|e| (e.is_canceled(), e))?;
            let code = response.status().as_u16();
            let body = response.into_body().collect().await.map_err(|e| (false, e))?.to_bytes();
            Ok::<_, (bool, hyper::Error)>((code, body))
        });
        match answer.await {
            Ok(Ok((code, body))) => {
                self.sender = Some(sender);
                Answer::Said(code, serde_json::from_slice(&body).unwrap_or(Value::Null))
            }
            // A request that hyper cancelled was never written.
            Ok(Err((true, error))) => Answer::NotSent(error.to_string()),
            Ok(Err((false, error))) => Answer::Lost(error.to_string()),
            Err(_) => Answer::Lost(format!("no answer within {} ms", ANSWER.as_millis())),
        }
    }

    /// Asks for an endless answer; the connection goes with it.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn open(&mut self, ask: &Ask) -> Result<Response<Incoming>, String> {
        let request = request(ask).map_err(|e| e.to_string())?;
        let mut sender = self.connected().await?;
        let response = tokio::time::timeout(ANSWER, sender.send_request(request)).await;
        response.map_err(|_| "no answer".to_owned())?.map_err(|e| e.to_string())
    }

    /// The open connection, or a new one; it is put back after an answer that was read whole.
    async fn connected(&mut self) -> Result<SendRequest<Full<Bytes>>, String> {
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let made = tokio::time::timeout(CONNECT, async {
            let tcp = TcpStream::connect(self.server).await?;
            tcp.set_nodelay(true)?;
            self.access.tls.connect(ServerName::from(self.server.ip()), tcp).await
        });
        let stream = made.await.map_err(|_| "no connection in time".to_owned())?;
        let stream = stream.map_err(|e| e.to_string())?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        // Its error comes out of the request that it carries, too.
        tokio::spawn(async { drop(connection.await) });
        Ok(sender)
    }
}

fn request(ask: &Ask) -> Result<Request<Full<Bytes>>, http::Error> {
    let body = ask.body.as_ref().map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    Request::builder()
        .method(ask.method)
        .uri(&ask.path)
        .header(header::HOST, "trireme")
        .header(header::USER_AGENT, "chaos-tests")
        .header(header::CONTENT_TYPE, ask.content_type)
        .body(Full::new(body))
}
