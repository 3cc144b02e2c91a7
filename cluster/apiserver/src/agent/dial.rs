//! Connections to agents and to what runs in pods.

use std::sync::Arc;
use std::time::Duration;

use api::Status;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A node that does not answer within this time is said to be unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where to connect.
pub(crate) struct Target {
    pub host: String,
    pub port: u16,
    pub tls: bool,
    /// For error messages: "the agent of node n1".
    pub what: String,
}

/// Any connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How agents are reached.
pub(crate) struct Agents {
    tls: TlsConnector,
    /// For HTTPS servers in pods, whose certificates nobody here can know.
    untrusting: TlsConnector,
}

impl Agents {
    pub(crate) fn new(tls: rustls::ClientConfig) -> Self {
        let untrusting = TlsConnector::from(Arc::new(anything::client()));
        Self { tls: TlsConnector::from(Arc::new(tls)), untrusting }
    }

    /// An agent, which must prove to be of the cluster.
    pub(super) async fn agent(&self, target: &Target) -> Result<Box<dyn Stream>, Status> {
        self.connect(target, &self.tls).await
    }

    /// A server in a pod.
    pub(super) async fn workload(&self, target: &Target) -> Result<Box<dyn Stream>, Status> {
        self.connect(target, &self.untrusting).await
    }

    async fn connect(&self, target: &Target, tls: &TlsConnector) -> Result<Box<dyn Stream>, Status> {
        let unreachable = |error: String| {
            let message =
                format!("{} ({}:{}) can not be reached: {error}", target.what, target.host, target.port);
            Status::failure(502, "", message)
        };
        let too_late = || {
            let message = format!(
                "{} ({}:{}) did not answer within {} s",
                target.what,
                target.host,
                target.port,
                CONNECT_TIMEOUT.as_secs()
            );
            Status::failure(504, "Timeout", message)
        };
        let connecting = TcpStream::connect((target.host.as_str(), target.port));
        let tcp = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| too_late())?
            .map_err(|e| unreachable(e.to_string()))?;
        tcp.set_nodelay(true).map_err(|e| unreachable(e.to_string()))?;
        if !target.tls {
            return Ok(Box::new(tcp));
        }
        let name = ServerName::try_from(target.host.clone()).map_err(|e| unreachable(e.to_string()))?;
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, tls.connect(name, tcp))
            .await
            .map_err(|_| too_late())?
            .map_err(|e| unreachable(e.to_string()))?;
        Ok(Box::new(stream))
    }
}

mod anything {
    //! TLS without a proof of who answers: what the proxy of Kubernetes does for pods.

    use std::sync::Arc;

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{CryptoProvider, ring};
    use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

    #[derive(Debug)]
    struct Anything(Arc<CryptoProvider>);

    pub(super) fn client() -> ClientConfig {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().expect("ring knows TLS 1.2 and 1.3");
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anything(provider)))
            .with_no_client_auth()
    }

    impl ServerCertVerifier for Anything {
        fn verify_server_cert(
            &self,
            _end_entity: &CertificateDer<'_>,
            _intermediates: &[CertificateDer<'_>],
            _server_name: &ServerName<'_>,
            _ocsp_response: &[u8],
            _now: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}
