//! Signs approved certificate signing requests: the keys are here and nowhere else. What Kubernetes'
//! controller manager does, for the same signers, with the same checks. Done by the replica that
//! leads the store.

use std::sync::Arc;

use api::Status;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use serde_json::{Value, json};
use store::{WatchItem, WatchRequest};

use super::{Backoff, write_of};
use crate::bootstrap::server_user;
use crate::failure::Failure;
use crate::pipeline::{Decoded, Stored, attempt};
use crate::pki::{CsrProblem, Requested};
use crate::server::Server;

const REQUESTS: &str = "/certificates.k8s.io/certificatesigningrequests/";

pub(super) async fn task(server: Arc<Server>) {
    let mut backoff = Backoff::new();
    let mut leadership = server.store.leadership();
    loop {
        let Ok(view) = server.local_view().await else {
            backoff.pause().await;
            continue;
        };
        let request = WatchRequest { prefix: REQUESTS.to_owned(), from: view.revision(), field: None };
        let Ok(mut events) = server.store.watch(request) else { continue };
        sweep(&server).await;
        loop {
            tokio::select! {
                item = events.next() => match item {
                    Some(Ok(WatchItem::Event(_))) => sweep(&server).await,
                    Some(Ok(WatchItem::Progress(_))) => {}
                    _ => break,
                },
                changed = leadership.changed() => match changed {
                    Ok(()) => sweep(&server).await,
                    Err(_) => return,
                },
            }
        }
        backoff.pause().await;
    }
}

async fn sweep(server: &Arc<Server>) {
    if !server.store.leadership().borrow().is_self {
        return;
    }
    let Ok(view) = server.local_view().await else { return };
    let waiting: Vec<Stored> = view
        .range(REQUESTS, None)
        .filter_map(|o| Stored::parse(o).ok())
        .filter(|s| is_waiting(&s.value))
        .collect();
    for request in waiting {
        let name = request.value["metadata"]["name"].as_str().unwrap_or_default();
        if let Err(status) = sign(server, name).await {
            tracing::warn!(request = name, "signing: {status}");
        }
    }
}

/// Approved, not denied, not signed, not failed, and for a signer that is ours.
fn is_waiting(request: &Value) -> bool {
    let has = |kind: &str| {
        let mut list = request["status"]["conditions"].as_array().into_iter().flatten();
        list.any(|c| c["type"] == kind && c["status"] != "False")
    };
    let certificate = request["status"]["certificate"].as_str().unwrap_or_default();
    has("Approved") && !has("Denied") && !has("Failed") && certificate.is_empty() && signer(request).is_some()
}

/// Whether the certificate is for serving; none for signers of somebody else.
fn signer(request: &Value) -> Option<bool> {
    match request["spec"]["signerName"].as_str()? {
        "kubernetes.io/kube-apiserver-client" | "kubernetes.io/kube-apiserver-client-kubelet" => Some(false),
        "kubernetes.io/kubelet-serving" => Some(true),
        _ => None,
    }
}

async fn sign(server: &Arc<Server>, name: &str) -> Result<(), Status> {
    let serving = server.serving.get();
    let Some(kind) = serving.registry.get("certificates.k8s.io", "v1", "certificatesigningrequests") else {
        return Ok(());
    };
    let user = server_user();
    let mut write = write_of(server, kind, "", &user);
    write.subresource = Some("status");
    let write = &write;
    attempt(server, |view| async move {
        let Some(old) = Stored::read(&view, &write.key(name))?.filter(|s| is_waiting(&s.value)) else {
            return Ok(());
        };
        let mut next = old.value.clone();
        match certificate(server, &old.value) {
            Ok(pem) => next["status"]["certificate"] = STANDARD.encode(pem).into(),
            Err(problem) => {
                let now = write.ctx().now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
                let failed = json!({
                    "type": "Failed", "status": "True", "reason": "SignerValidationFailure",
                    "message": problem.to_string(), "lastUpdateTime": now, "lastTransitionTime": now,
                });
                if let Some(list) = next["status"]["conditions"].as_array_mut() {
                    list.push(failed);
                }
            }
        }
        let decoded = Decoded::new(kind, next, Vec::new());
        let valid = decoded.admit(write, &view, Some(&old))?.validate(write, &view, Some(&old))?;
        valid.update(write, &view, &old, false).await.map(|_| ()).map_err(Failure::final_when_conflict)
    })
    .await
}

fn certificate(server: &Server, request: &Value) -> Result<String, CsrProblem> {
    let pem = request["spec"]["request"].as_str().unwrap_or_default();
    let pem = STANDARD.decode(pem).ok().and_then(|b| String::from_utf8(b).ok()).unwrap_or_default();
    let requested = Requested::parse(&pem)?;
    let serving = signer(request) == Some(true);
    let kubelet = request["spec"]["signerName"].as_str().is_some_and(|s| s.contains("kubelet"));
    if kubelet {
        requested.require_node()?;
    }
    let groups: Vec<&str> = requested.groups.iter().map(String::as_str).collect();
    if groups.contains(&crate::identity::MASTERS) {
        return Err(CsrProblem::NotAllowed("the group system:masters can not be asked for"));
    }
    let names = serving.then_some(&requested.names[..]);
    server.cfg.pki.sign_request(&pem, &requested.common_name, &groups, names)
}
