//! TokenRequest: a service-account token, bound to the account and, when asked for, to a pod, a
//! secret or a node.

use api::Status;
use api::codec::parse_body;
use http::StatusCode;
use serde_json::{Value, json};
use store::View;

use crate::authn::issuer;
use crate::call::Call;
use crate::reply::{self, Reply};

const SHORTEST_SECONDS: i64 = 600;
const DEFAULT_SECONDS: i64 = 3600;
const LONGEST_SECONDS: i64 = 1 << 32;

/// `serviceaccounts/NAME/token`.
pub(crate) async fn request_token(call: &Call) -> Result<Reply, Status> {
    let (body, content_type) = call.request.read_body().await?;
    let mut request = parse_body(&body, content_type)?;
    let view = call.server.fresh_view().await?;
    let account = object(&view, &call.key()).ok_or_else(|| call.not_found())?;
    let seconds = request["spec"]["expirationSeconds"].as_i64().unwrap_or(DEFAULT_SECONDS);
    if !(SHORTEST_SECONDS..=LONGEST_SECONDS).contains(&seconds) {
        let why = match seconds < SHORTEST_SECONDS {
            true => "may not specify a duration less than 10 minutes",
            false => "may not specify a duration larger than 2^32 seconds",
        };
        let error = api::FieldError::invalid("spec.expirationSeconds", seconds, why);
        return Err(Status::invalid("authentication.k8s.io", "TokenRequest", "", vec![error]));
    }
    let audiences = match request["spec"]["audiences"].as_array().filter(|a| !a.is_empty()) {
        Some(list) => Value::Array(list.clone()),
        None => json!([issuer(&call.server.cfg)]),
    };
    let bound = bound_object(call, &view, &request["spec"]["boundObjectRef"])?;
    let now = jiff::Timestamp::now();
    let claims = claims(call, &account, &audiences, bound, now.as_second(), seconds);
    let token = call.server.cfg.pki.signer().sign(&claims).map_err(|_| Status::internal("signing failed"))?;
    let end = jiff::Timestamp::from_second(now.as_second() + seconds).unwrap_or(jiff::Timestamp::MAX);
    request["apiVersion"] = "authentication.k8s.io/v1".into();
    request["kind"] = "TokenRequest".into();
    request["metadata"] = json!({
        "name": call.name(), "namespace": call.namespace(),
        "creationTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    request["spec"]["audiences"] = audiences;
    request["spec"]["expirationSeconds"] = seconds.into();
    request["status"] =
        json!({"token": token, "expirationTimestamp": end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()});
    Ok(reply::value(StatusCode::CREATED, call.accept.plain(), &request, call.pretty()))
}

fn object(view: &View, key: &str) -> Option<Value> {
    serde_json::from_slice(&view.get(key)?.value).ok()
}

fn reference(object: &Value) -> Value {
    json!({"name": object["metadata"]["name"], "uid": object["metadata"]["uid"]})
}

fn claims(
    call: &Call,
    account: &Value,
    audiences: &Value,
    bound: Vec<(&'static str, Value)>,
    now: i64,
    seconds: i64,
) -> Value {
    let mut ours = json!({"namespace": call.namespace(), "serviceaccount": reference(account)});
    for (kind, object) in bound {
        ours[kind] = object;
    }
    json!({
        "aud": audiences,
        "exp": now + seconds,
        "iat": now,
        "iss": issuer(&call.server.cfg),
        "jti": uuid::Uuid::new_v4().to_string(),
        "kubernetes.io": ours,
        "nbf": now,
        "sub": format!("system:serviceaccount:{}:{}", call.namespace(), call.name()),
    })
}

/// The claims of the object the token is bound to. A node gets tokens only for pods that run on it.
fn bound_object(call: &Call, view: &View, wanted: &Value) -> Result<Vec<(&'static str, Value)>, Status> {
    let node = call.user.node();
    let refused = |why: &str| Status::forbidden("", "serviceaccounts", call.name(), why);
    if wanted.is_null() {
        return match node {
            Some(_) => Err(refused("node requested token not bound to a pod")),
            None => Ok(Vec::new()),
        };
    }
    let kind = wanted["kind"].as_str().unwrap_or_default();
    let name = wanted["name"].as_str().unwrap_or_default();
    if node.is_some() && kind != "Pod" {
        return Err(refused("node requested token not bound to a pod"));
    }
    let (claim, plural, key) = match kind {
        "Pod" => ("pod", "pods", format!("/core/pods/{}/{name}", call.namespace())),
        "Secret" => ("secret", "secrets", format!("/core/secrets/{}/{name}", call.namespace())),
        "Node" => ("node", "nodes", format!("/core/nodes/{name}")),
        other => {
            return Err(Status::bad_request(format!("cannot bind token to object of type {other:?}")));
        }
    };
    let found = object(view, &key).ok_or_else(|| Status::not_found("", plural, name))?;
    let uid = wanted["uid"].as_str().unwrap_or_default();
    if !uid.is_empty() && found["metadata"]["uid"] != uid {
        return Err(Status::conflict(
            "",
            plural,
            name,
            format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
            ),
        ));
    }
    let mut claims = vec![(claim, reference(&found))];
    if kind == "Pod" {
        if found["spec"]["serviceAccountName"] != call.name() {
            return Err(Status::bad_request(format!(
                "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                call.name()
            )));
        }
        let on = found["spec"]["nodeName"].as_str().unwrap_or_default();
        if node.is_some_and(|n| n != on) {
            return Err(refused("node requested token bound to a pod scheduled on a different node"));
        }
        if let Some(node) = object(view, &format!("/core/nodes/{on}")).filter(|_| !on.is_empty()) {
            claims.push(("node", reference(&node)));
        }
    }
    Ok(claims)
}
