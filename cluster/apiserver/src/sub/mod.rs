//! Requests that are no plain reads or writes of an object: bindings, evictions, tokens, reviews.

mod binding;
mod eviction;
mod review;
mod rules_review;
mod token;

pub(crate) use binding::bind_pod;
pub(crate) use eviction::evict;
pub(crate) use token::request_token;

use api::Status;
use api::pipeline::decode;
use http::StatusCode;
use serde_json::{Value, json};

use crate::call::Call;
use crate::reply::{self, Reply};

/// Resources without stored objects.
pub(crate) async fn virtual_resource(call: &Call) -> Result<Reply, Status> {
    if call.resource.kind == "ComponentStatus" {
        return component_statuses(call);
    }
    if call.resource.kind == "Binding" {
        return bind_pod(call).await;
    }
    let (body, content_type) = call.request.read_body().await?;
    let mut object = decode(&body, content_type, &call.resource, call.field_validation()?)?.object;
    let status = match call.resource.kind.as_str() {
        "TokenReview" => review::token(call, &object).await?,
        "SelfSubjectReview" => json!({"userInfo": call.user}),
        "SubjectAccessReview" | "LocalSubjectAccessReview" => review::subject_access(call, &object).await?,
        "SelfSubjectAccessReview" => review::self_access(call, &object).await?,
        "SelfSubjectRulesReview" => rules_review::self_rules(call, &object),
        _ => return Err(Status::method_not_allowed(&call.resource.group, &call.resource.plural, "")),
    };
    object["status"] = status;
    if object["metadata"].is_null() {
        object["metadata"] = json!({});
    }
    Ok(reply::value(StatusCode::CREATED, call.accept.plain(), &object, call.pretty()))
}

/// The old health resource: everything that runs inside a server is as healthy as the answer.
fn component_statuses(call: &Call) -> Result<Reply, Status> {
    let item = |name: &str| {
        json!({
            "kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name},
            "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}],
        })
    };
    let names = ["scheduler", "controller-manager", "etcd-0"];
    if !call.name().is_empty() && call.request.info.verb == "get" {
        let name = names.iter().find(|n| **n == call.name()).ok_or_else(|| call.not_found())?;
        return call.value_reply(StatusCode::OK, item(name));
    }
    let items: Vec<Value> = names.iter().map(|n| item(n)).collect();
    call.list_reply(json!({}), items)
}
