//! TokenReview and the access reviews.

use api::Status;
use serde_json::{Value, json};

use crate::authn::{Authenticated, user_of_token};
use crate::authz::{self, Attributes, Target};
use crate::call::Call;
use crate::identity::User;

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The status of a TokenReview.
pub(super) async fn token(call: &Call, review: &Value) -> Result<Value, Status> {
    let token = text(&review["spec"], "token");
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences = texts(&review["spec"]["audiences"]);
    match user_of_token(&call.server, token, &audiences).await {
        Ok(Authenticated { user, audiences }) => {
            let mut status = json!({"authenticated": true, "user": user.authenticated()});
            if !audiences.is_empty() {
                status["audiences"] = audiences.into();
            }
            Ok(status)
        }
        Err(status) if status.code == 401 => Ok(json!({"user": {}, "error": "invalid bearer token"})),
        Err(other) => Err(other),
    }
}

pub(super) async fn subject_access(call: &Call, review: &Value) -> Result<Value, Status> {
    let spec = &review["spec"];
    let namespace = call.request.info.namespace.as_str();
    if call.resource.kind == "LocalSubjectAccessReview" {
        let asked = text(&spec["resourceAttributes"], "namespace");
        if asked != namespace {
            return Err(Status::bad_request(format!(
                "spec.resourceAttributes.namespace must match namespace: {namespace}"
            )));
        }
    }
    let mut user = User {
        name: text(spec, "user").to_owned(),
        uid: text(spec, "uid").to_owned(),
        groups: texts(&spec["groups"]),
        ..User::default()
    };
    if user.name.is_empty() && user.groups.is_empty() {
        let error =
            api::FieldError::invalid("spec.user", "", "at least one of user or group must be specified");
        return Err(Status::invalid("authorization.k8s.io", &call.resource.kind, "", vec![error]));
    }
    for (key, values) in spec["extra"].as_object().into_iter().flatten() {
        user.extra.insert(key.clone(), texts(values));
    }
    decide(call, &user, spec).await
}

pub(super) async fn self_access(call: &Call, review: &Value) -> Result<Value, Status> {
    decide(call, &call.user, &review["spec"]).await
}

async fn decide(call: &Call, user: &User, spec: &Value) -> Result<Value, Status> {
    let (resource, url) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let attributes = match (resource.is_object(), url.is_object()) {
        (true, false) => Attributes {
            verb: text(resource, "verb"),
            target: Target::Resource {
                group: text(resource, "group"),
                resource: text(resource, "resource"),
                subresource: text(resource, "subresource"),
                namespace: text(resource, "namespace"),
                name: text(resource, "name"),
                fields: "",
            },
        },
        (false, true) => Attributes { verb: text(url, "verb"), target: Target::Url(text(url, "path")) },
        _ => {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            let error = api::FieldError::invalid("spec.resourceAttributes", resource.clone(), why);
            return Err(Status::invalid("authorization.k8s.io", &call.resource.kind, "", vec![error]));
        }
    };
    let allowed = authz::allowed(&call.server, user, &attributes).await?;
    Ok(json!({"allowed": allowed}))
}
