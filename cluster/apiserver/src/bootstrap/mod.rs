//! What every cluster has from its start. Idempotent: three replicas may do it at once, and every
//! start does it again; what people changed is left alone, but for roles that lack a rule.

mod objects;
mod reconcile;

use std::net::IpAddr;
use std::sync::Arc;

use api::Status;
use futures::future::try_join_all;
use serde_json::Value;

use crate::authz::bootstrap_objects;
use crate::config::Config;
use crate::identity::{MASTERS, User};
use crate::pipeline::Write;
use crate::server::Server;
use crate::verbs::create_value;

/// Objects made at one time.
const AT_ONCE: usize = 16;

/// The name under which the server itself writes.
pub(crate) fn server_user() -> User {
    User::new("system:apiserver", &[MASTERS])
}

/// The names and addresses of the serving certificate.
pub(crate) fn serving_names(cfg: &Config) -> Vec<String> {
    let domain = &cfg.cluster_domain;
    let mut names: Vec<String> =
        ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost", "127.0.0.1", "::1"]
            .map(str::to_owned)
            .to_vec();
    names.push(format!("kubernetes.default.svc.{domain}"));
    names.push(cfg.name.clone());
    names.extend(cfg.service_cidr.hosts().next().map(|first| first.to_string()));
    names.push(host_of(&cfg.advertise).to_owned());
    if !cfg.listen.ip().is_unspecified() {
        names.push(cfg.listen.ip().to_string());
    }
    names.extend(cfg.extra_names.iter().cloned());
    names.retain(|n| n.parse::<IpAddr>().is_ok() || is_dns_name(n));
    names.sort();
    names.dedup();
    names
}

fn is_dns_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

/// The host of `host:port`.
pub(crate) fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']'])
}

/// Makes what is missing.
pub(crate) async fn run(server: &Arc<Server>) -> Result<(), Status> {
    // A namespace comes before what is in it.
    for batch in [objects::namespaces(), objects::cluster(&server.cfg), bootstrap_objects()] {
        for some in batch.chunks(AT_ONCE) {
            let mut jobs = Vec::with_capacity(some.len());
            for (plural, object) in some {
                jobs.push(ensure(server, plural, object.clone()));
            }
            try_join_all(jobs).await?;
        }
    }
    Ok(())
}

async fn ensure(server: &Arc<Server>, plural: &'static str, object: Value) -> Result<(), Status> {
    let (group, version) = match object["apiVersion"].as_str().unwrap_or_default().split_once('/') {
        Some((group, version)) => (group.to_owned(), version.to_owned()),
        None => (String::new(), "v1".to_owned()),
    };
    let serving = server.serving.get();
    let Some(resource) = serving.registry.get(&group, &version, plural) else {
        return Err(Status::internal(format!("{group}/{version} {plural} is not served")));
    };
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text("namespace"), text("name"));
    let user = server_user();
    let write = Write {
        server,
        resource,
        storage: resource,
        subresource: None,
        namespace: &namespace,
        user: &user,
        manager: "trireme",
        dry_run: false,
        fence: None,
    };
    if server.local_view().await?.get(&write.key(&name)).is_some() {
        return reconcile::existing(&write, &name, &object).await;
    }
    match create_value(&write, object.clone()).await {
        Ok(_) => Ok(()),
        // Another replica was faster.
        Err(status) if status.reason == "AlreadyExists" => Ok(()),
        Err(status) => {
            // Two replicas may have asked for the same address or port for the same Service.
            let made = server.fresh_view().await?.get(&write.key(&name)).is_some();
            if made { Ok(()) } else { Err(status) }
        }
    }
}
