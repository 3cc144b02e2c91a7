//! What is written.

use anyhow::Result;
use bytes::Bytes;
use http::Method;

use super::client::Client;
use super::target::Target;
use crate::values::random;

/// Everything happens in this namespace.
pub const NAMESPACE: &str = "trireme-benches";
/// Clients that fill.
const FILLERS: usize = 32;
/// What else a ConfigMap of 1 KiB holds: its names, times and managed fields.
const OVERHEAD: usize = 400;

pub fn config_maps() -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/configmaps")
}

pub fn pods() -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/pods")
}

/// A ConfigMap that is stored in about 1 KiB. `note` is found in every answer and event.
pub fn config_map(name: &str, group: &str, note: &str) -> Bytes {
    let text = random(name.bytes().map(u64::from).sum::<u64>() + name.len() as u64, 1024 - OVERHEAD);
    format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}","labels":{{"bench":"{group}"}}}},"data":{{"note":"<{note}>","text":"{}"}}}}"#,
        String::from_utf8_lossy(&text)
    )
    .into()
}

/// A pod that is stored in about 2 KiB and never scheduled.
pub fn pod(n: usize) -> Bytes {
    let text = random(n as u64, 700);
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p-{n}","annotations":{{"text":"{}"}}}},"spec":{{"schedulingGates":[{{"name":"bench/never"}}],"automountServiceAccountToken":false,"containers":[{{"name":"c","image":"none"}}]}}}}"#,
        String::from_utf8_lossy(&text)
    )
    .into()
}

pub async fn make_namespace(target: &Target) -> Result<()> {
    let body = format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{NAMESPACE}"}}}}"#);
    let mut client = Client::connect(target, 0).await?;
    client.expect(Method::POST, "/api/v1/namespaces", body.into(), &[409]).await?;
    // Pods need their service account; where nobody makes it, we do.
    let account = r#"{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}"#;
    let path = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts");
    client.expect(Method::POST, &path, Bytes::from_static(account.as_bytes()), &[409]).await?;
    Ok(())
}

/// Creates objects with many clients; those that are there already stay.
pub async fn fill(target: &Target, path: String, count: usize, make: fn(usize) -> Bytes) -> Result<()> {
    let fillers = (0..FILLERS).map(|first| {
        let (target, path) = (target.clone(), path.clone());
        tokio::spawn(async move {
            let mut client = Client::connect(&target, first).await?;
            for n in (first..count).step_by(FILLERS) {
                client.expect(Method::POST, &path, make(n), &[409]).await?;
            }
            Ok::<_, anyhow::Error>(())
        })
    });
    for filler in futures::future::join_all(fillers).await {
        filler??;
    }
    Ok(())
}

/// Deletes everything that was made.
pub async fn clean(target: &Target) -> Result<()> {
    let mut client = Client::connect(target, 0).await?;
    let path = format!("/api/v1/namespaces/{NAMESPACE}");
    client.expect(Method::DELETE, &path, Bytes::new(), &[404]).await?;
    Ok(())
}
