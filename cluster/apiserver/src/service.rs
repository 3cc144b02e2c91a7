//! A running API server as the program sees it: start, the in-process service, stop.

use futures::future::BoxFuture;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::body::{ApiBody, BoxError};
use crate::bootstrap::server_user;
use crate::config::{Config, StartError};
use crate::identity::User;
use crate::pipeline::Write;
use crate::pki::{JoinRole, JoinToken};
use crate::request::{Peer, RequestBody};
use crate::server::{Running, Server, handle};
use crate::verbs::create_value;

/// A running API server replica.
pub struct Apiserver {
    running: Running,
}

/// Starts serving on `cfg.listen`. Returns when the listener is open; bootstrap goes on in the
/// background, and [`Apiserver::ready`] tells its end.
///
/// # Errors
/// The address can not be listened on, or a certificate can not be made.
///
/// Boxed, so that its code is generated in this crate and not in each that calls it.
pub fn start(cfg: Config, store: store::Store) -> BoxFuture<'static, Result<Apiserver, StartError>> {
    Box::pin(async { Ok(Apiserver { running: Running::start(cfg, store).await? }) })
}

impl Apiserver {
    /// The API without a socket, as a client of this identity sees it.
    #[must_use]
    pub fn in_process(&self, user: &str, groups: &[&str]) -> ApiService {
        let user = Arc::new(User::new(user, groups));
        ApiService { server: self.running.server.clone(), user }
    }

    /// The address that HTTPS is served on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.running.address
    }

    /// Waits until the bootstrap objects exist and requests are answered.
    pub async fn ready(&self) {
        let mut bootstrapped = self.running.server.bootstrapped.subscribe();
        // The sender lives as long as the server: waiting can not fail.
        let _ = bootstrapped.wait_for(|done| *done).await;
    }

    /// Creates a join token, kept as a Secret in kube-system and valid until that is deleted. For one
    /// that ends by itself create the Secret of [`JoinToken::secret_object`].
    ///
    /// # Errors
    /// The Secret can not be written.
    pub async fn create_join_token(&self, role: JoinRole) -> Result<JoinToken, api::Status> {
        let server = &self.running.server;
        let token = JoinToken::generate(&server.cfg.pki);
        let serving = server.serving.get();
        let secrets = serving.registry.get("", "v1", "secrets").ok_or_else(api::Status::no_such_path)?;
        let user = server_user();
        let write = Write {
            server,
            resource: secrets,
            storage: secrets,
            subresource: None,
            namespace: "kube-system",
            user: &user,
            manager: "trireme",
            dry_run: false,
            fence: None,
        };
        create_value(&write, token.secret_object(role, None)).await?;
        Ok(token)
    }

    /// Stops: new requests are refused, those in flight may end within the grace time.
    pub async fn shutdown(self) {
        self.running.stop().await;
    }
}

/// The API as a tower service, for one fixed identity. `kube::Client::new` accepts it.
#[derive(Clone)]
pub struct ApiService {
    server: Arc<Server>,
    user: Arc<User>,
}

impl<B> tower::Service<http::Request<B>> for ApiService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = http::Response<ApiBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let server = self.server.clone();
        let peer = Peer { address: None, user: Some((*self.user).clone()) };
        let (parts, body) = request.into_parts();
        Box::pin(async move { Ok(handle(server, parts, RequestBody::new(body), peer, None).await) })
    }
}
