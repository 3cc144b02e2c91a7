//! Binding a pod to a node: the one write that sets `spec.nodeName`.

use api::Status;
use api::codec::parse_body;
use http::StatusCode;
use serde_json::{Value, json};

use crate::call::Call;
use crate::failure::Failure;
use crate::pipeline::{Stored, Write, attempt, overwrite};
use crate::reply::{self, Reply};

/// `pods/NAME/binding`, and the older `bindings`.
pub(crate) async fn bind_pod(call: &Call) -> Result<Reply, Status> {
    let (body, content_type) = call.request.read_body().await?;
    let binding = parse_body(&body, content_type)?;
    let name = match call.name() {
        "" => binding["metadata"]["name"].as_str().unwrap_or_default(),
        name => name,
    };
    let target = binding["target"]["name"].as_str().unwrap_or_default();
    let kind = binding["target"]["kind"].as_str().unwrap_or_default();
    if target.is_empty() || !matches!(kind, "" | "Node") {
        let error = api::FieldError::required("target.name", "");
        return Err(Status::invalid("", "Binding", name, vec![error]));
    }
    let serving = call.server.serving.get();
    let pods = serving.registry.get("", "v1", "pods").ok_or_else(Status::no_such_path)?;
    let manager = call.manager();
    let mut write = call.write(&manager, None)?;
    (write.resource, write.storage) = (pods, pods);
    write.namespace = &call.request.info.namespace;
    let (write, binding) = (&write, &binding);
    attempt(&call.server, |view| async move {
        let old = Stored::read(&view, &write.key(name))?.ok_or_else(|| write.not_found(name))?;
        let next = bound(write, &old.value, binding, name, target)?;
        overwrite(write, &old, &next).await.map_err(Failure::final_when_conflict)
    })
    .await?;
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(reply::value(StatusCode::CREATED, call.accept.plain(), &status, call.pretty()))
}

/// The pod as it is when bound; refused when it is bound, leaving, gated or another pod.
fn bound(write: &Write<'_>, pod: &Value, binding: &Value, name: &str, target: &str) -> Result<Value, Status> {
    let conflict = |why: String| Status::conflict("", "pods", name, why);
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    if let Some(wanted) = binding["metadata"]["uid"].as_str().filter(|w| !w.is_empty() && *w != uid) {
        return Err(conflict(format!(
            "Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}"
        )));
    }
    if pod["metadata"]["deletionTimestamp"].is_string() {
        return Err(conflict(format!("pod {name} is being deleted, cannot be assigned to a host")));
    }
    if let Some(node) = pod["spec"]["nodeName"].as_str().filter(|n| !n.is_empty()) {
        return Err(conflict(format!("pod {name} is already assigned to node {node:?}")));
    }
    if pod["spec"]["schedulingGates"].as_array().is_some_and(|g| !g.is_empty()) {
        return Err(conflict(format!("pod {name} has non-empty .spec.schedulingGates")));
    }
    let mut next = pod.clone();
    next["spec"]["nodeName"] = target.into();
    if let Some(annotations) = binding["metadata"]["annotations"].as_object() {
        for (key, value) in annotations {
            next["metadata"]["annotations"][key] = value.clone();
        }
    }
    set_scheduled(&mut next, write.ctx().now);
    api::pipeline::track_update(
        write.storage,
        Some("binding"),
        Some(pod),
        &mut next,
        write.manager,
        write.ctx().now,
    );
    Ok(next)
}

fn set_scheduled(pod: &mut Value, now: jiff::Timestamp) {
    let condition = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null,
        "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    if !pod["status"].is_object() {
        pod["status"] = json!({"phase": "Pending"});
    }
    let conditions = &mut pod["status"]["conditions"];
    match conditions.as_array_mut() {
        Some(list) => match list.iter_mut().find(|c| c["type"] == "PodScheduled") {
            Some(known) => *known = condition,
            None => list.push(condition),
        },
        None => *conditions = json!([condition]),
    }
}
