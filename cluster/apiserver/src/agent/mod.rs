//! What is behind the server: the agents of the nodes (logs, exec, attach, port-forward) and the
//! HTTP servers of pods, services and nodes (proxy).

mod dial;
mod join;
mod node;
mod proxy;
mod tunnel;

pub(crate) use dial::Agents;
pub(crate) use node::service_endpoint;
pub(crate) use proxy::proxy;

use std::fmt::Write as _;

use api::Status;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::call::Call;
use crate::reply::Reply;

/// `pods/NAME/log`: what the agent says, streamed as it comes.
pub(crate) async fn log(call: &Call) -> Result<Reply, Status> {
    let pod = pod(call).await?;
    let container = container(call, &pod, call.request.query.get("container"))?;
    let target = node::agent_of_pod(call, &pod).await?;
    let mut path = format!("/containerLogs/{}/{}/{}", call.namespace(), call.name(), encode(&container));
    append_query(&mut path, call.request.query.pairs().iter().filter(|(k, _)| k != "container"));
    tunnel::forward(call, &target, &path, tunnel::Keep::Plain).await
}

/// `pods/NAME/exec`, `attach`, `portforward`: the connection itself is handed through.
pub(crate) async fn session(call: &Call) -> Result<Reply, Status> {
    if !call.request.wants_upgrade() {
        return Err(Status::bad_request("Upgrade request required"));
    }
    let pod = pod(call).await?;
    let what = call.request.info.subresource.as_str();
    let path = match what {
        "portforward" => {
            let mut path = format!("/portForward/{}/{}", call.namespace(), call.name());
            append_query(&mut path, call.request.query.pairs().iter());
            path
        }
        what => {
            let container = container(call, &pod, call.request.query.get("container"))?;
            let mut path = format!("/{what}/{}/{}/{}", call.namespace(), call.name(), encode(&container));
            append_query(&mut path, stream_options(call).iter());
            path
        }
    };
    let target = node::agent_of_pod(call, &pod).await?;
    tunnel::forward(call, &target, &path, tunnel::Keep::Upgrade).await
}

async fn pod(call: &Call) -> Result<Value, Status> {
    let view = call.server.fresh_view().await?;
    let object = view.get(&call.key()).ok_or_else(|| call.not_found())?;
    serde_json::from_slice(&object.value).map_err(|e| Status::internal(format!("pod: {e}")))
}

/// The API's names of the streams, in the agent's words.
fn stream_options(call: &Call) -> Vec<(String, String)> {
    let query = &call.request.query;
    let mut options = Vec::new();
    for (ours, agents) in [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")] {
        if query.flag(ours) {
            options.push((agents.to_owned(), "1".to_owned()));
        }
    }
    options.extend(query.all("command").map(|c| ("command".to_owned(), c.to_owned())));
    options
}

/// The container meant: named, or the only one.
fn container(call: &Call, pod: &Value, named: &str) -> Result<String, Status> {
    let names = |field: &str| -> Vec<String> {
        let list = pod["spec"][field].as_array().into_iter().flatten();
        list.filter_map(|c| c["name"].as_str()).map(str::to_owned).collect()
    };
    let (containers, init, ephemeral) =
        (names("containers"), names("initContainers"), names("ephemeralContainers"));
    if !named.is_empty() {
        let known = containers.iter().chain(&init).chain(&ephemeral).any(|n| n == named);
        return match known {
            true => Ok(named.to_owned()),
            false => {
                Err(Status::bad_request(format!("container {named} is not valid for pod {}", call.name())))
            }
        };
    }
    match containers.as_slice() {
        [only] => Ok(only.clone()),
        several => {
            let mut why = format!(
                "a container name must be specified for pod {}, choose one of: [{}]",
                call.name(),
                several.join(" ")
            );
            if !init.is_empty() {
                // Writing to a String can not fail.
                _ = write!(why, " or one of the init containers: [{}]", init.join(" "));
            }
            Err(Status::bad_request(why))
        }
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn append_query<'q>(path: &mut String, pairs: impl Iterator<Item = &'q (String, String)>) {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (key, value) in pairs {
        query.append_pair(key, value);
    }
    let query = query.finish();
    if !query.is_empty() {
        path.push('?');
        path.push_str(&query);
    }
}
