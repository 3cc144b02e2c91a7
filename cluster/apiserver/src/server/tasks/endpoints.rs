//! The endpoints of the `kubernetes` Service: the servers that live. Each keeps a key with a short
//! life; the replica that leads the store writes Endpoints and EndpointSlice when the keys change.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api::Status;
use bytes::Bytes;
use futures::StreamExt;
use serde_json::{Value, json};
use store::{Op, Put, Txn, WatchItem, WatchRequest};
use tokio::time::MissedTickBehavior;

use super::{Backoff, write_of};
use crate::bootstrap::{host_of, server_user};
use crate::pipeline::{Decoded, Stored, attempt};
use crate::server::Server;
use crate::verbs::create_value;

const LIVING: &str = "/trireme/servers/";
/// A server that is gone for this long is no endpoint any more.
const LIFE: Duration = Duration::from_secs(6);
const RENEW_EVERY: Duration = Duration::from_secs(2);

pub(super) async fn task(server: Arc<Server>) {
    let key = format!("{LIVING}{}", server.cfg.name);
    tokio::select! {
        () = announce(&server, &key) => {}
        () = reconcile_loop(&server) => {}
        () = server.stop.cancelled() => {}
    }
    // Clients stop coming at once, instead of when the key's life ends.
    let leave = server.propose(Txn { guards: Vec::new(), ops: vec![Op::Delete { key }] });
    if let Ok(Err(error)) = tokio::time::timeout(Duration::from_secs(1), leave).await {
        tracing::debug!(%error, "taking back the server's endpoint");
    }
}

async fn announce(server: &Arc<Server>, key: &str) {
    let value = Bytes::from(json!({"address": server.cfg.advertise}).to_string());
    let mut ticks = tokio::time::interval(RENEW_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ready = server.bootstrapped.subscribe();
    // The sender lives as long as the server.
    if ready.wait_for(|ready| *ready).await.is_err() {
        return;
    }
    loop {
        ticks.tick().await;
        let put = Put { key: key.to_owned(), value: value.clone(), ttl: Some(LIFE), ..Put::default() };
        if let Err(error) = server.propose(Txn { guards: Vec::new(), ops: vec![Op::Put(put)] }).await {
            tracing::debug!(%error, "announcing the server");
        }
    }
}

async fn reconcile_loop(server: &Arc<Server>) {
    let mut backoff = Backoff::new();
    let mut leadership = server.store.leadership();
    loop {
        let Ok(view) = server.local_view().await else {
            backoff.pause().await;
            continue;
        };
        let request = WatchRequest { prefix: LIVING.to_owned(), from: view.revision(), field: None };
        let Ok(mut events) = server.store.watch(request) else { continue };
        let mut written = BTreeSet::new();
        loop {
            let changed = tokio::select! {
                item = events.next() => match item {
                    Some(Ok(WatchItem::Event(_))) => true,
                    Some(Ok(WatchItem::Progress(_))) => false,
                    _ => break,
                },
                changed = leadership.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    written.clear();
                    true
                }
            };
            if changed && server.store.leadership().borrow().is_self {
                reconcile(server, &mut written).await;
            }
        }
        backoff.pause().await;
    }
}

async fn reconcile(server: &Arc<Server>, written: &mut BTreeSet<(IpAddr, u16)>) {
    let Ok(view) = server.local_view().await else { return };
    let living: BTreeSet<(IpAddr, u16)> = view
        .range(LIVING, None)
        .filter_map(|o| {
            let value: Value = serde_json::from_slice(&o.value).ok()?;
            let address = value["address"].as_str()?;
            Some((host_of(address).parse().ok()?, address.rsplit_once(':')?.1.parse().ok()?))
        })
        // A server on loopback (a test, a try-out) is no endpoint for anybody else.
        .filter(|(ip, _): &(IpAddr, u16)| !ip.is_loopback())
        .collect();
    if living.is_empty() || living == *written {
        return;
    }
    match write_endpoints(server, &living).await {
        Ok(()) => *written = living,
        Err(status) => tracing::warn!("the endpoints of the kubernetes Service: {status}"),
    }
}

async fn write_endpoints(server: &Arc<Server>, living: &BTreeSet<(IpAddr, u16)>) -> Result<(), Status> {
    let port = living.first().map_or(6443, |(_, port)| *port);
    let addresses: Vec<String> = living.iter().map(|(ip, _)| ip.to_string()).collect();
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{
            "addresses": addresses.iter().map(|ip| json!({"ip": ip})).collect::<Vec<_>>(),
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        }],
    });
    put(server, "", "endpoints", endpoints, "subsets").await?;
    let ready = json!({"ready": true});
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "endpoints": addresses.iter().map(|ip| json!({"addresses": [ip], "conditions": ready})).collect::<Vec<_>>(),
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    });
    put(server, "discovery.k8s.io", "endpointslices", slice, "endpoints").await
}

/// Creates the object, or replaces the one field of it that is ours.
async fn put(
    server: &Arc<Server>,
    group: &str,
    plural: &str,
    object: Value,
    field: &str,
) -> Result<(), Status> {
    let serving = server.serving.get();
    let resource = serving.registry.get(group, "v1", plural).ok_or_else(Status::no_such_path)?;
    let user = server_user();
    let write = &write_of(server, resource, "default", &user);
    if server.fresh_view().await?.get(&write.key("kubernetes")).is_none() {
        return match create_value(write, object).await {
            Err(status) if status.reason != "AlreadyExists" => Err(status),
            _ => Ok(()),
        };
    }
    let object = &object;
    attempt(server, |view| async move {
        let Some(old) = Stored::read(&view, &write.key("kubernetes"))? else { return Ok(()) };
        let mut next = old.value.clone();
        next[field] = object[field].clone();
        let decoded = Decoded::new(resource, next, Vec::new());
        let valid = decoded.admit(write, &view, Some(&old))?.validate(write, &view, Some(&old))?;
        valid.update(write, &view, &old, false).await.map(|_| ())
    })
    .await
}
