//! The agent's HTTPS server (port 10250): logs, exec, attach, port-forward, metrics, the pods of the node.
//!
//! - this file: connections and routes; `auth`: who may ask; `ask`: reading requests
//! - `logs`; `remote`: exec and attach over any transport, `ws` and `spdy` the two transports; `forward`: ports of pods
//! - `stats`: summary and resource metrics

mod answer;
mod auth;
mod exec;
mod forward;
mod log_route;
mod remote;
mod spdy;
mod stats;
mod ws;

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prometheus::{Encoder, TextEncoder};
use runtime::ContainerState;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::AgentError;
use crate::host::Host;
use crate::manager::Pods;
use crate::pod::spec;
use answer::{Body, json, text};
use auth::Caller;

/// A client that does not finish its TLS handshake in this time is dropped.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What every request has at hand.
#[derive(Clone)]
pub struct Server {
    host: Arc<Host>,
    pods: Pods,
    auth: auth::Auth,
}

/// Binds the port; the future serves until `shutdown`.
pub async fn start(
    host: Arc<Host>,
    pods: Pods,
    shutdown: CancellationToken,
) -> Result<impl Future<Output = ()>, AgentError> {
    let addr = host.cfg.listen;
    let tls = TlsAcceptor::from(auth::tls_config(&host.cfg.tls)?);
    let listener = TcpListener::bind(addr).await.map_err(|source| AgentError::Listen { addr, source })?;
    let server = Server { auth: auth::Auth::new(host.client.clone()), host, pods };
    Ok(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.cancelled() => return,
            };
            match accepted {
                Ok((tcp, _)) => {
                    tokio::spawn(server.clone().connection(tls.clone(), tcp, shutdown.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    })
}

impl Server {
    async fn connection(self, tls: TlsAcceptor, tcp: TcpStream, shutdown: CancellationToken) {
        // Small frames of terminals must not wait for each other; a connection without the option still works.
        let _ = tcp.set_nodelay(true);
        let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(tcp)).await else { return };
        let certificate = stream.get_ref().1.peer_certificates().and_then(|c| c.first()).map(|c| c.to_vec());
        let caller = certificate.map_or(Caller::Unknown, |der| auth::of_certificate(&der));
        let service = service_fn(move |request| {
            let (server, caller) = (self.clone(), caller.clone());
            async move { Ok::<_, std::convert::Infallible>(server.answer(request, caller).await) }
        });
        let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::select! {
            result = connection => if let Err(error) = result {
                tracing::debug!(%error, "connection ended");
            },
            () = shutdown.cancelled() => {}
        }
    }

    async fn answer(self, request: Request<Incoming>, caller: Caller) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let what = parts.first().copied().unwrap_or_default();
        let labels = [request.method().as_str(), what, "readwrite"];
        self.host.metrics.http_requests.with_label_values(&labels).inc();
        if what == "healthz" {
            return text(StatusCode::OK, "ok");
        }
        let query = answer::Query::of(request.uri());
        if let Err(refusal) = self.auth.check(&request, caller, what, &query).await {
            return refusal;
        }
        match (request.method(), what) {
            (&Method::GET, "metrics") => self.metrics(&parts),
            (&Method::GET, "pods" | "runningpods") => self.list_pods(),
            (&Method::GET, "stats") => stats::summary(&self.host, &self.pods).await,
            (&Method::GET, "configz") => self.configz(),
            (&Method::GET, "containerLogs") => log_route::serve(&self, &parts, &query).await,
            (&Method::GET | &Method::POST, "exec" | "attach") => {
                exec::serve(self, request, &parts, query).await
            }
            (&Method::GET | &Method::POST, "portForward") => {
                forward::serve(self, request, &parts, &query).await
            }
            (
                _,
                "exec" | "attach" | "portForward" | "containerLogs" | "metrics" | "pods" | "stats"
                | "configz",
            ) => text(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed"),
            _ => text(StatusCode::NOT_FOUND, "404 page not found"),
        }
    }

    fn metrics(&self, parts: &[&str]) -> Response<Body> {
        match parts.get(1).copied() {
            None => {
                self.count_running();
                let mut out = Vec::new();
                match TextEncoder::new().encode(&self.host.cfg.registry.gather(), &mut out) {
                    Ok(()) => answer::metrics(out),
                    Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
                }
            }
            Some("resource") => answer::metrics(stats::resource_metrics(&self.host, &self.pods).into_bytes()),
            Some("cadvisor") => answer::metrics(stats::cadvisor_metrics(&self.host, &self.pods).into_bytes()),
            Some("probes") => answer::metrics(Vec::new()),
            Some(_) => text(StatusCode::NOT_FOUND, "404 page not found"),
        }
    }

    fn count_running(&self) {
        let views = self.pods.views();
        let running = views.iter().filter(|v| v.state.containers.iter().any(|c| c.run.is_active())).count();
        self.host.metrics.running_pods.set(running as i64);
        let containers = self.host.runtime.containers();
        let states = [
            ("running", ContainerState::Running),
            ("created", ContainerState::Created),
            ("exited", ContainerState::Exited),
        ];
        for (name, state) in states {
            let count = containers.iter().filter(|c| c.state == state).count();
            self.host.metrics.running_containers.with_label_values(&[name]).set(count as i64);
        }
    }

    fn list_pods(&self) -> Response<Body> {
        let mut views = self.pods.views();
        views.sort_by_key(|v| spec::display(&v.state.pod));
        let items: Vec<_> = views
            .into_iter()
            .map(|v| {
                let mut pod = k8s_openapi::api::core::v1::Pod::clone(&v.state.pod);
                pod.status = Some((*v.status).clone());
                pod
            })
            .collect();
        json(&serde_json::json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}))
    }

    fn configz(&self) -> Response<Body> {
        let cfg = &self.host.cfg;
        let lease_s = cfg.timings.heartbeat.as_secs_f64();
        json(&serde_json::json!({"kubeletconfig": {
            "address": cfg.listen.ip(), "port": cfg.listen.port(), "maxPods": cfg.max_pods, "cgroupDriver": "cgroupfs",
            "clusterDomain": self.host.network.dns().domain, "clusterDNS": [self.host.network.dns().server],
            "resolvConf": cfg.resolv_conf, "podLogsDir": cfg.log_dir, "enableServer": true,
            "nodeLeaseDurationSeconds": 5, "nodeStatusUpdateFrequency": format!("{lease_s}s"),
        }}))
    }
}
