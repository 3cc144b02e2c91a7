//! The ServiceAccount plugin: every pod runs as an account, and finds its token, the cluster's CA
//! and its namespace below `/var/run/secrets/kubernetes.io/serviceaccount`.

use api::Status;
use serde_json::{Value, json};
use store::View;

use crate::pipeline::Write;
use crate::pki::random_text;

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Kubernetes' lifetime of projected tokens: a little over an hour, so that it is told apart.
const TOKEN_SECONDS: u32 = 3607;

pub(super) fn mutate(write: &Write<'_>, view: &View, pod: &mut Value) -> Result<(), Status> {
    if pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string() {
        return Ok(());
    }
    let given = |field: &str| pod["spec"][field].as_str().filter(|n| !n.is_empty()).map(str::to_owned);
    let name = given("serviceAccountName")
        .or_else(|| given("serviceAccount"))
        .unwrap_or_else(|| "default".to_owned());
    pod["spec"]["serviceAccountName"] = name.as_str().into();
    pod["spec"]["serviceAccount"] = name.as_str().into();
    let account = account(write, view, pod, &name)?;
    let has_secrets = pod["spec"]["imagePullSecrets"].as_array().is_some_and(|s| !s.is_empty());
    if let Some(secrets) = account["imagePullSecrets"].as_array().filter(|s| !s.is_empty() && !has_secrets) {
        pod["spec"]["imagePullSecrets"] = secrets.clone().into();
    }
    let automount = |v: &Value| v["automountServiceAccountToken"].as_bool();
    if automount(&pod["spec"]).or_else(|| automount(&account)).unwrap_or(true) {
        mount_token(&mut pod["spec"]);
    }
    Ok(())
}

fn account(write: &Write<'_>, view: &View, pod: &Value, name: &str) -> Result<Value, Status> {
    let namespace = write.namespace;
    let key = format!("/core/serviceaccounts/{namespace}/{name}");
    let found = view.get(&key).and_then(|o| serde_json::from_slice(&o.value).ok());
    found.ok_or_else(|| {
        let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let why =
            format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        Status::forbidden("", "pods", pod_name, why)
    })
}

/// Adds the projected volume, mounted into every container that has nothing at its place yet.
fn mount_token(spec: &mut Value) {
    let volume = format!("kube-api-access-{}", random_text(5));
    let mut used = false;
    for field in ["initContainers", "containers"] {
        // Not by index: that would put a null where nothing is.
        for container in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            let mounts = &mut container["volumeMounts"];
            if !mounts.is_array() {
                *mounts = json!([]);
            }
            let Some(mounts) = mounts.as_array_mut() else { continue };
            if mounts.iter().any(|m| m["mountPath"] == MOUNT_PATH) {
                continue;
            }
            mounts.push(json!({"name": volume, "readOnly": true, "mountPath": MOUNT_PATH}));
            used = true;
        }
    }
    if !used {
        return;
    }
    let projected = json!({
        "name": volume,
        "projected": {
            "defaultMode": 0o644,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{
                    "path": "namespace",
                    "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                }]}},
            ],
        },
    });
    match spec["volumes"].as_array_mut() {
        Some(volumes) => volumes.push(projected),
        None => spec["volumes"] = json!([projected]),
    }
}
