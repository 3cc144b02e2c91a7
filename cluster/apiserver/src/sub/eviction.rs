//! Eviction: a delete that respects the pod's disruption budget. The budget is charged in the
//! same transaction that deletes the pod.

use api::Status;
use api::codec::parse_body;
use api::delete::{DeleteOptions, Deletion, before_delete};
use api::selector::LabelSelector;
use api::status::Cause;
use http::StatusCode;
use serde_json::{Value, json};
use store::{Op, View};

use crate::call::Call;
use crate::failure::Failure;
use crate::pipeline::{Companions, Stored, Write, attempt, overwrite_with, put, remove_with};
use crate::reply::{self, Reply};

const BUDGETS: &str = "/policy/poddisruptionbudgets/";

/// `pods/NAME/eviction`.
pub(crate) async fn evict(call: &Call) -> Result<Reply, Status> {
    let (body, content_type) = call.request.read_body().await?;
    let eviction = parse_body(&body, content_type)?;
    if let Some(name) = eviction["metadata"]["name"].as_str().filter(|n| *n != call.name()) {
        return Err(Status::bad_request(format!(
            "name in URL does not match name in Eviction object: {:?} {name:?}",
            call.name()
        )));
    }
    let mut options = DeleteOptions::parse(&eviction["deleteOptions"])?;
    options.dry_run |= call.request.query.dry_run()?;
    let manager = call.manager();
    let mut write = call.write(&manager, None)?;
    write.dry_run |= options.dry_run;
    let (write, options, name) = (&write, &options, call.name());
    attempt(&call.server, |view| async move {
        let pod = Stored::read(&view, &write.key(name))?.ok_or_else(|| write.not_found(name))?;
        let charge = charge(write, &view, &pod.value, options)?;
        match before_delete(write.storage, &pod.value, options, &write.ctx())? {
            Deletion::Remove => remove_with(write, &view, &pod, charge).await.map(|_| ()),
            Deletion::Update(next) => overwrite_with(write, &pod, &next, charge).await.map(|_| ()),
            Deletion::Pending => Ok(()),
        }
    })
    .await?;
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(reply::value(StatusCode::CREATED, call.accept.plain(), &status, call.pretty()))
}

/// What the budget is charged with; 429 when it has nothing left.
fn charge(
    write: &Write<'_>,
    view: &View,
    pod: &Value,
    options: &DeleteOptions,
) -> Result<Companions, Failure> {
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    let harmless = matches!(phase, "Succeeded" | "Failed" | "Pending" | "")
        || pod["metadata"]["deletionTimestamp"].is_string();
    if harmless {
        return Ok(Companions::default());
    }
    let budgets = budgets_of(view, pod)?;
    let [budget] = budgets.as_slice() else {
        return match budgets.is_empty() {
            true => Ok(Companions::default()),
            false => Err(Failure::Final(Status::internal(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            ))),
        };
    };
    if !is_ready(pod) && may_evict_unready(&budget.value) {
        return Ok(Companions { guards: vec![budget.guard()], ops: Vec::new() });
    }
    let next = charged(budget, pod, options)?;
    let serving = write.server.serving.get();
    let kind =
        serving.registry.get("policy", "v1", "poddisruptionbudgets").ok_or_else(Status::no_such_path)?;
    let budget_write = Write { resource: kind, storage: kind, ..*write };
    let op = Op::Put(put(&budget_write, budget.object.key.to_string(), &next)?);
    Ok(Companions { guards: vec![budget.guard()], ops: vec![op] })
}

fn budgets_of(view: &View, pod: &Value) -> Result<Vec<Stored>, Status> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let labels = pod["metadata"]["labels"].as_object();
    let label = |key: &str| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
    let mut found = Vec::new();
    for object in view.range(&format!("{BUDGETS}{namespace}/"), None) {
        let budget = Stored::parse(object)?;
        // A selector that does not parse selects nothing; validation has refused it at its creation.
        let selector = LabelSelector::from_value(&budget.value["spec"]["selector"]).ok().flatten();
        if selector.is_some_and(|s| s.matches_by(label)) {
            found.push(budget);
        }
    }
    Ok(found)
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|c| c.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}

/// The budget's unhealthyPodEvictionPolicy lets a pod go that serves nobody.
fn may_evict_unready(budget: &Value) -> bool {
    let status = &budget["status"];
    let number = |name: &str| status[name].as_i64().unwrap_or(0);
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || (number("currentHealthy") >= number("desiredHealthy") && number("desiredHealthy") > 0)
}

/// The budget after one disruption.
fn charged(budget: &Stored, pod: &Value, options: &DeleteOptions) -> Result<Value, Status> {
    let name = budget.value["metadata"]["name"].as_str().unwrap_or_default();
    let status = &budget.value["status"];
    let number = |name: &str| status[name].as_i64().unwrap_or(0);
    let refused = |cause: String, retry: u32| {
        let message = "Cannot evict pod as it would violate the pod's disruption budget.";
        let status = Status::too_many_requests(message, retry);
        let cause = Cause { reason: "DisruptionBudget".into(), message: cause, field: String::new() };
        match options.dry_run {
            true => Status { code: 429, ..status.with_cause(cause) },
            false => status.with_cause(cause),
        }
    };
    if number("observedGeneration") < budget.value["metadata"]["generation"].as_i64().unwrap_or(0) {
        let cause = format!("The disruption budget {name} is still being processed by the server.");
        return Err(refused(cause, 10));
    }
    if number("disruptionsAllowed") <= 0 {
        let cause = format!(
            "The disruption budget {name} needs {} healthy pods and has {} currently",
            number("desiredHealthy"),
            number("currentHealthy")
        );
        return Err(refused(cause, 0));
    }
    let mut next = budget.value.clone();
    next["status"]["disruptionsAllowed"] = (number("disruptionsAllowed") - 1).into();
    let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    next["status"]["disruptedPods"][pod_name] = now.into();
    Ok(next)
}
