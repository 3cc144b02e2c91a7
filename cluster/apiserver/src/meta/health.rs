//! `/healthz`, `/livez`, `/readyz`: all checks, or one (`/readyz/ping`), `?verbose`, `?exclude=`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use api::Status;
use http::StatusCode;

use crate::reply::{self, Reply};
use crate::request::Request;
use crate::server::Server;

/// A health check must say something before the one who asks gives up.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// Checks of each path, in the order they are shown. `etcd` is the store, under the name that
/// monitoring expects.
const CHECKS: [(&str, &[&str]); 3] = [
    ("healthz", &["ping", "log", "etcd", "poststarthook/rbac/bootstrap-roles"]),
    ("livez", &["ping", "log"]),
    ("readyz", &["ping", "log", "etcd", "poststarthook/rbac/bootstrap-roles", "shutdown"]),
];

pub(crate) async fn health(server: &Arc<Server>, request: &Request) -> Result<Reply, Status> {
    let path = request.info.path.trim_matches('/');
    let (kind, single) = path.split_once('/').unwrap_or((path, ""));
    let checks = CHECKS.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, checks)| *checks);
    let excluded: Vec<&str> = request.query.all("exclude").collect();
    let chosen: Vec<&str> = match single {
        "" => checks.iter().copied().filter(|c| !excluded.contains(c)).collect(),
        one => checks.iter().copied().filter(|c| *c == one).collect(),
    };
    if chosen.is_empty() && !single.is_empty() {
        return Err(Status::no_such_path());
    }
    let mut text = String::new();
    let mut failed = Vec::new();
    for check in chosen {
        match run(server, check).await {
            // Writing to a String can not fail.
            Ok(()) => _ = writeln!(text, "[+]{check} ok"),
            Err(reason) => {
                _ = writeln!(text, "[-]{check} failed: {reason}");
                failed.push(check);
            }
        }
    }
    if !failed.is_empty() {
        _ = writeln!(text, "{kind} check failed");
        return Ok(reply::text(StatusCode::INTERNAL_SERVER_ERROR, text));
    }
    if request.query.pairs().iter().any(|(k, _)| k == "verbose") {
        _ = writeln!(text, "{kind} check passed");
        return Ok(reply::text(StatusCode::OK, text));
    }
    Ok(reply::text(StatusCode::OK, "ok"))
}

async fn run(server: &Arc<Server>, check: &str) -> Result<(), String> {
    match check {
        "etcd" => match tokio::time::timeout(STORE_TIMEOUT, server.fresh_view()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) => Err(status.message),
            Err(_) => Err("the store does not answer".to_owned()),
        },
        "poststarthook/rbac/bootstrap-roles" if !*server.bootstrapped.borrow() => {
            Err("not finished".to_owned())
        }
        "shutdown" if server.stop.is_cancelled() => Err("process is shutting down".to_owned()),
        _ => Ok(()),
    }
}
