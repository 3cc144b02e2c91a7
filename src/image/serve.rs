//! The agent's end: a socket that only root may open.

use std::collections::HashMap;
use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use runtime::{ImageInfo, Runtime};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::{Listed, Refusal};

/// Answers at `path` until the returned task is aborted.
pub fn serve(path: &Path, runtime: Arc<Runtime>) -> Result<JoinHandle<()>> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("remove {}", path.display()));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).with_context(|| format!("listen at {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let runtime = runtime.clone();
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request| answer(request, runtime.clone()));
                let served = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                if let Err(error) = served.await {
                    tracing::debug!(%error, "image socket");
                }
            });
        }
    }))
}

async fn answer(
    request: Request<Incoming>,
    runtime: Arc<Runtime>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let query = request.uri().query().unwrap_or_default();
    let query: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let outcome = perform(request.method(), &query, &runtime).await;
    let (status, body) = match &outcome {
        Ok(images) => (StatusCode::OK, serde_json::to_vec(images)),
        Err(error) => (StatusCode::BAD_REQUEST, serde_json::to_vec(&Refusal { error: format!("{error:#}") })),
    };
    let mut response = Response::new(Full::new(body.unwrap_or_default().into()));
    *response.status_mut() = status;
    Ok(response)
}

async fn perform(method: &Method, query: &HashMap<String, String>, runtime: &Runtime) -> Result<Vec<Listed>> {
    let need = |name: &str| query.get(name).with_context(|| format!("the request lacks {name}"));
    let images = match *method {
        Method::GET => runtime.images(),
        Method::POST => runtime.import_archive(&PathBuf::from(need("path")?)).await?,
        Method::DELETE => {
            let force = query.get("force").is_some_and(|force| force == "true");
            runtime.remove_image(need("image")?, force).await?;
            Vec::new()
        }
        _ => anyhow::bail!("{method} is not known here"),
    };
    Ok(images.into_iter().map(listed).collect())
}

fn listed(image: ImageInfo) -> Listed {
    Listed { id: image.id, names: image.names, size: image.size }
}
