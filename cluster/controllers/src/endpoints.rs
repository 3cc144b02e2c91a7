//! Endpoints: the older form of what EndpointSlices say.

use crate::{
    Acting,
    backends::{Backend, Port, address, backends, is_headless, node, reference, selector},
    drive::{Controller, drive, gone_is_fine, is_code, on_self},
    objects::{api_in, labels, name, namespace, only, uid},
    slices::selected_by,
};
use async_trait::async_trait;
use client::ObjectKey;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// The label that says who maintains Endpoints, and that nobody need mirror them.
const MANAGER_LABEL: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";
/// At most so many addresses are listed.
const MOST: usize = 1000;
/// The annotation of Endpoints that are not complete for that reason.
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

pub(crate) async fn run(acting: Acting) {
    let caches = &acting.caches;
    let sources = vec![on_self(&caches.services), selected_by(&acting), on_self(&caches.endpoints)];
    drive(acting.clone(), Runner { acting }, sources).await;
}

struct Runner {
    acting: Acting,
}

#[async_trait]
impl Controller for Runner {
    fn name(&self) -> &'static str {
        "endpoint"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let caches = &self.acting.caches;
        let api: Api<Endpoints> = api_in(&self.acting.client, &key.namespace);
        let found = caches.endpoints.get(&key.namespace, &key.name);
        let Some(service) = caches.services.get(&key.namespace, &key.name) else {
            // Endpoints have no owner: they are deleted with their Service, if they are ours.
            if let Some(endpoints) =
                found.filter(|e| labels(&e.metadata).get(MANAGER_LABEL).is_some_and(|m| m == MANAGER))
            {
                gone_is_fine(api.delete(name(&endpoints.metadata), &only(&endpoints.metadata)).await)?;
            }
            return Ok(None);
        };
        if selector(&service).is_none() || service.metadata.deletion_timestamp.is_some() {
            return Ok(None);
        }
        let Some(wanted) = plan(&service, &caches.pods.list_in(&key.namespace), found.as_deref()) else {
            return Ok(None);
        };
        let written = match uid(&wanted.metadata) {
            "" => api.create(&PostParams::default(), &wanted).await,
            _ => api.replace(name(&wanted.metadata), &PostParams::default(), &wanted).await,
        };
        match written {
            Ok(written) => caches.endpoints.note(written),
            // The namespace is going: no new Endpoints in it.
            Err(error) if is_code(&error, 403) && uid(&wanted.metadata).is_empty() => {}
            Err(error) => return Err(error),
        }
        Ok(None)
    }
}

/// The Endpoints to write; `None` when they are right.
fn plan(service: &Service, pods: &[Arc<Pod>], found: Option<&Endpoints>) -> Option<Endpoints> {
    let family = service.spec.as_ref().and_then(|spec| spec.ip_families.as_ref()?.first().cloned());
    let family = family.unwrap_or_else(|| "IPv4".into());
    let mut all = backends(service, pods);
    let publishes_all = service.spec.as_ref().and_then(|s| s.publish_not_ready_addresses).unwrap_or(false);
    all.retain(|backend| !backend.terminating || publishes_all);
    let truncated = all.len() > MOST;
    all.sort_by_key(|backend| !backend.ready);
    all.truncate(MOST);
    let mut labels = labels(&service.metadata).clone();
    labels.remove(HEADLESS_LABEL);
    labels.insert(MANAGER_LABEL.into(), MANAGER.into());
    if is_headless(service) {
        labels.insert(HEADLESS_LABEL.into(), String::new());
    }
    let mut wanted = found.cloned().unwrap_or_else(|| Endpoints {
        metadata: ObjectMeta {
            name: Some(name(&service.metadata).into()),
            namespace: Some(namespace(&service.metadata).into()),
            ..ObjectMeta::default()
        },
        ..Endpoints::default()
    });
    wanted.metadata.labels = Some(labels);
    let mut annotations = wanted.metadata.annotations.take().unwrap_or_default();
    annotations.remove(OVER_CAPACITY);
    if truncated {
        annotations.insert(OVER_CAPACITY.into(), "truncated".into());
    }
    wanted.metadata.annotations = Some(annotations).filter(|a| !a.is_empty());
    wanted.subsets = Some(subsets(&all, &family)).filter(|subsets| !subsets.is_empty());
    (found != Some(&wanted)).then_some(wanted)
}

/// Addresses with the same ports are one subset; within it they are ordered.
fn subsets(backends: &[Backend], family: &str) -> Vec<EndpointSubset> {
    // Every address with whether it is ready, and the ports it serves.
    let mut by_address: BTreeMap<(String, bool), (BTreeSet<Port>, &Backend)> = BTreeMap::new();
    for backend in backends {
        let Some(ip) = address(&backend.pod, family) else { continue };
        let entry = by_address.entry((ip, backend.ready)).or_insert_with(|| (BTreeSet::new(), backend));
        entry.0.extend(backend.ports.iter().cloned());
    }
    let mut groups: BTreeMap<BTreeSet<Port>, EndpointSubset> = BTreeMap::new();
    for ((ip, ready), (ports, backend)) in by_address {
        let subset = groups.entry(ports).or_default();
        let list = if ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
        list.get_or_insert_default().push(EndpointAddress {
            ip,
            hostname: backend.hostname.clone(),
            node_name: node(&backend.pod),
            target_ref: Some(reference(&backend.pod)),
        });
    }
    let port = |port: &Port| EndpointPort {
        name: Some(port.name.clone()).filter(|name| !name.is_empty()),
        port: port.port,
        protocol: Some(port.protocol.clone()),
        app_protocol: port.app_protocol.clone(),
    };
    groups
        .into_iter()
        .map(|(ports, subset)| EndpointSubset {
            ports: Some(ports.iter().map(port).collect::<Vec<_>>()).filter(|ports| !ports.is_empty()),
            ..subset
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{object, pod};
    use serde_json::json;

    #[test]
    fn ready_and_not_ready_addresses() {
        let service: Service = object(json!({
            "metadata": { "name": "web", "namespace": "ns", "labels": { "team": "a" } },
            "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": 8080 }] },
        }));
        let pods = [
            pod("b", json!({ "ip": "10.244.0.2", "ready": true, "node": "n1" })),
            pod("a", json!({ "ip": "10.244.0.1", "ready": true, "node": "n1" })),
            pod("starting", json!({ "ip": "10.244.0.3", "node": "n2" })),
            pod("leaving", json!({ "ip": "10.244.0.4", "ready": true, "deleting": true })),
        ];
        let endpoints = plan(&service, &pods, None).unwrap();
        assert_eq!(
            serde_json::to_value(&endpoints.metadata.labels).unwrap(),
            json!({ "team": "a", "endpoints.kubernetes.io/managed-by": "endpoint-controller" })
        );
        let address = |name: &str, ip: &str, node: &str| {
            json!({ "ip": ip, "nodeName": node,
            "targetRef": { "kind": "Pod", "namespace": "ns", "name": name, "uid": format!("{name}-uid") } })
        };
        assert_eq!(
            serde_json::to_value(&endpoints.subsets).unwrap(),
            json!([{
                "addresses": [address("a", "10.244.0.1", "n1"), address("b", "10.244.0.2", "n1")],
                "notReadyAddresses": [address("starting", "10.244.0.3", "n2")],
                "ports": [{ "port": 8080, "protocol": "TCP" }],
            }])
        );
        assert!(plan(&service, &pods, Some(&endpoints)).is_none(), "nothing left to write");
        assert_eq!(plan(&service, &[], Some(&endpoints)).unwrap().subsets, None);
    }
}
