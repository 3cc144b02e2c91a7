//! `GET /containerLogs/NAMESPACE/POD/CONTAINER`.

use std::path::PathBuf;

use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};
use tokio::sync::mpsc;

use super::Server;
use super::answer::{Body, Query, stream, text};
use crate::container_spec;
use crate::logs::{self, Options, Streams};
use crate::pod::container_status::bare_id;
use crate::pod::worker::Handle;
use crate::pod::{spec, status};

/// Pieces of a log that wait for a slow reader.
const BACKLOG: usize = 16;

pub async fn serve(server: &Server, parts: &[&str], query: &Query) -> Response<Body> {
    let [_, namespace, pod, container] = parts else {
        return text(StatusCode::BAD_REQUEST, "missing namespace, pod or container");
    };
    let Some(handle) = server.pods.find(namespace, pod, None) else {
        return text(StatusCode::NOT_FOUND, &format!("pod \"{pod}\" not found"));
    };
    let options = match options(query) {
        Ok(options) => options,
        Err(message) => return text(StatusCode::UNPROCESSABLE_ENTITY, &message),
    };
    let view = handle.view.borrow().clone();
    let id = match choose(&view.status, pod, container, query.flag(&["previous"])) {
        Ok(id) => id,
        Err(message) => return text(StatusCode::BAD_REQUEST, &message),
    };
    let Some(path) = log_path(server, &handle, container, &id) else {
        return text(
            StatusCode::BAD_REQUEST,
            &format!("unable to retrieve container logs for trireme://{id}"),
        );
    };
    if !path.exists() {
        return text(
            StatusCode::BAD_REQUEST,
            &format!("unable to retrieve container logs for trireme://{id}"),
        );
    }
    let (out, pieces) = mpsc::channel(BACKLOG);
    tokio::spawn(async move {
        if let Err(error) = logs::stream(&path, options, ended(handle, id), out).await {
            tracing::warn!(%error, "log not sent to its end");
        }
    });
    stream(pieces)
}

/// Resolves when the instance `id` does not run any more.
async fn ended(handle: Handle, id: String) {
    let mut view = handle.view;
    // An error says that the worker has ended, and the container with it.
    let _ = view.wait_for(|v| v.state.by_id(&id).is_none()).await;
}

fn options(query: &Query) -> Result<Options, String> {
    let number = |name: &str| -> Result<Option<u64>, String> {
        let parse = |v: &str| v.parse().map_err(|_| format!("{name}: \"{v}\" is not a number"));
        query.get(name).map(parse).transpose()
    };
    let tail = match query.get("tailLines").or(query.get("tail")) {
        None | Some("all" | "-1") => None,
        Some(_) => number("tailLines")?.or(number("tail")?),
    };
    let since = match (number("sinceSeconds")?, query.get("sinceTime")) {
        (Some(s), _) => Some(Timestamp::now() - SignedDuration::from_secs(s as i64)),
        (None, Some(t)) => Some(t.parse().map_err(|_| format!("sinceTime: \"{t}\" is not a time"))?),
        (None, None) => None,
    };
    Ok(Options {
        follow: query.flag(&["follow"]),
        tail,
        since,
        timestamps: query.flag(&["timestamps"]),
        limit_bytes: number("limitBytes")?,
        streams: match query.get("stream") {
            Some("Stdout") => Streams::Stdout,
            Some("Stderr") => Streams::Stderr,
            _ => Streams::All,
        },
    })
}

/// Whose log is meant: the running instance, the one that ended, or the one before.
fn choose(status: &PodStatus, pod: &str, container: &str, previous: bool) -> Result<String, String> {
    let lists =
        [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    let found = lists.into_iter().flat_map(|l| l.iter().flatten()).find(|s| s.name == container);
    let Some(found) = found else {
        return Err(format!("container \"{container}\" in pod \"{pod}\" is not available"));
    };
    let last =
        found.last_state.as_ref().and_then(|s| s.terminated.as_ref()).and_then(|t| t.container_id.as_deref());
    let last = last.filter(|id| !id.is_empty()).map(bare_id).map(str::to_owned);
    if previous {
        return last.ok_or_else(|| {
            format!("previous terminated container \"{container}\" in pod \"{pod}\" not found")
        });
    }
    let state = found.state.clone().unwrap_or_default();
    if state.running.is_some() {
        return Ok(id_of(found));
    }
    if let Some(terminated) = &state.terminated {
        let own =
            terminated.container_id.as_deref().map(bare_id).filter(|id| !id.is_empty()).map(str::to_owned);
        return own
            .or(last)
            .ok_or_else(|| format!("container \"{container}\" in pod \"{pod}\" is terminated"));
    }
    if let Some(last) = last {
        return Ok(last);
    }
    let reason = state.waiting.and_then(|w| w.reason).unwrap_or_default();
    let why = match reason.as_str() {
        "ErrImagePull" => "image can't be pulled".to_owned(),
        "ImagePullBackOff" => "trying and failing to pull image".to_owned(),
        other => other.to_owned(),
    };
    Err(format!("container \"{container}\" in pod \"{pod}\" is waiting to start: {why}"))
}

fn id_of(status: &ContainerStatus) -> String {
    bare_id(status.container_id.as_deref().unwrap_or_default()).to_owned()
}

/// The file of an instance: the runtime knows it; of an instance that it forgot, the number is the one before.
fn log_path(server: &Server, handle: &Handle, container: &str, id: &str) -> Option<PathBuf> {
    if let Some(known) = server.host.runtime.container(id) {
        return Some(known.log_path);
    }
    let view = handle.view.borrow();
    let c = &view.state.containers[view.state.by_name(container)?];
    let is_last = c.last.as_ref().is_some_and(|t| t.id == id);
    let attempt = if is_last { c.attempt.checked_sub(1)? } else { c.attempt };
    let dir = container_spec::log_dir(&server.host.cfg.log_dir, &view.state.pod);
    let path = dir.join(container).join(format!("{attempt}.log"));
    tracing::debug!(pod = %spec::display(&view.state.pod), ready = status::sandbox_ready(&view.state), "log by number");
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_right_instance_is_chosen() {
        let status = |state: Value, last: Value| -> PodStatus {
            serde_json::from_value(
                json!({"containerStatuses": [{"name": "a", "image": "", "imageID": "", "ready": true,
                "restartCount": 1, "containerID": "trireme://now", "state": state, "lastState": last}]}),
            )
            .unwrap()
        };
        let running = json!({"running": {}});
        let ended =
            |id: &str| json!({"terminated": {"exitCode": 0, "containerID": format!("trireme://{id}")}});
        let waiting = |reason: &str| json!({"waiting": {"reason": reason}});
        let cases = [
            (status(running.clone(), json!({})), false, Ok("now")),
            (status(running.clone(), ended("old")), true, Ok("old")),
            (status(ended("end"), ended("old")), false, Ok("end")),
            (status(waiting("CrashLoopBackOff"), ended("old")), false, Ok("old")),
            (
                status(waiting("ContainerCreating"), json!({})),
                false,
                Err("container \"a\" in pod \"p\" is waiting to start: ContainerCreating"),
            ),
            (
                status(waiting("ErrImagePull"), json!({})),
                false,
                Err("container \"a\" in pod \"p\" is waiting to start: image can't be pulled"),
            ),
            (
                status(running, json!({})),
                true,
                Err("previous terminated container \"a\" in pod \"p\" not found"),
            ),
        ];
        for (status, previous, expected) in cases {
            assert_eq!(choose(&status, "p", "a", previous).as_deref().map_err(String::as_str), expected);
        }
        assert!(choose(&PodStatus::default(), "p", "b", false).is_err());
    }
}
