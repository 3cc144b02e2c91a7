//! `/exec/NAMESPACE/POD[/UID]/CONTAINER` and `/attach/...`: the request is checked, then its connection is taken over.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use runtime::{ExecError, ExecSpec};
use tokio::sync::mpsc;

use super::Server;
use super::answer::{Body, Query, text};
use super::remote::{self, Client, Out, Wanted};
use super::{spdy, ws};
use crate::host::Host;

/// Where, what, and with which streams.
struct Asked {
    host: Arc<Host>,
    id: String,
    /// `None`: attach.
    command: Option<Vec<String>>,
    wanted: Wanted,
}

pub async fn serve(
    server: Server,
    request: Request<Incoming>,
    parts: &[&str],
    query: Query,
) -> Response<Body> {
    let (namespace, pod, uid, container) = match parts {
        [_, namespace, pod, container] => (*namespace, *pod, None, *container),
        [_, namespace, pod, uid, container] => (*namespace, *pod, Some(*uid), *container),
        _ => return text(StatusCode::BAD_REQUEST, "missing namespace, pod or container"),
    };
    let Some(handle) = server.pods.find(namespace, pod, uid) else {
        return text(StatusCode::NOT_FOUND, "pod does not exist");
    };
    let (id, container_tty) = {
        let view = handle.view.borrow();
        let found = view.state.by_name(container).map(|i| &view.state.containers[i]);
        let running = found.and_then(|c| c.run.instance().map(|i| (i.id.clone(), c.spec.tty == Some(true))));
        match running {
            Some(found) => found,
            None => {
                let message = format!("container not found (\"{container}\")");
                return text(StatusCode::INTERNAL_SERVER_ERROR, &message);
            }
        }
    };
    let exec = parts[0] == "exec";
    let tty = if exec { query.flag(&["tty"]) } else { container_tty };
    let wanted = Wanted {
        stdin: query.flag(&["input", "stdin"]),
        stdout: query.flag(&["output", "stdout"]),
        stderr: query.flag(&["error", "stderr"]) && !tty,
        tty,
    };
    if !(wanted.stdin || wanted.stdout || wanted.stderr) {
        return text(StatusCode::BAD_REQUEST, "you must specify at least 1 of stdin, stdout, stderr");
    }
    let command = exec.then(|| query.all("command"));
    if command.as_ref().is_some_and(Vec::is_empty) {
        return text(StatusCode::BAD_REQUEST, "you must specify at least 1 command");
    }
    let asked = Asked { host: server.host.clone(), id, command, wanted };
    if ws::is_upgrade(&request) {
        ws::remote(request, wanted, move |client| work(asked, client))
    } else if spdy::is_upgrade(&request) {
        spdy::remote(request, wanted, move |client| work(asked, client))
    } else {
        text(StatusCode::BAD_REQUEST, "Upgrade request required")
    }
}

/// Runs or attaches, and tells the client how it ended.
async fn work(asked: Asked, client: Client) {
    let Asked { host, id, command, wanted } = asked;
    match command {
        Some(command) => {
            let exec = ExecSpec {
                cmd: command.clone(),
                tty: wanted.tty,
                stdin: wanted.stdin,
                env: terminal(wanted),
            };
            match host.metrics.operation("exec", host.runtime.exec(&id, exec)).await {
                Ok(session) => {
                    remote::run(session, client, |code| match code {
                        Ok(code) => remote::command_ended(&command, code),
                        Err(error) => remote::internal_error(&error.to_string()),
                    })
                    .await;
                }
                Err(error) => refuse(&client.out, &error).await,
            }
        }
        None => match host.metrics.operation("attach", host.runtime.attach(&id, wanted.stdin)).await {
            Ok(session) => {
                remote::run(session, client, |code| match code {
                    Ok(_) => remote::success(),
                    Err(error) => remote::internal_error(&error.to_string()),
                })
                .await;
            }
            Err(error) => refuse(&client.out, &ExecError::Runtime(error)).await,
        },
    }
}

fn terminal(wanted: Wanted) -> Vec<(String, String)> {
    if wanted.tty { vec![("TERM".to_owned(), "xterm".to_owned())] } else { Vec::new() }
}

async fn refuse(out: &mpsc::Sender<Out>, error: &ExecError) {
    let message = format!("error executing command in container: {error}");
    // A client that is gone needs no answer.
    let _ = out.send(Out::End(remote::internal_error(&message))).await;
}
