//! Slices for Endpoints that people maintain by hand, for Services without a selector.

use super::{MANAGER_LABEL, SERVICE_LABEL, apply, from_slices, plan::Edit};
use crate::{
    Acting, backends,
    caches::{BY_SERVICE, service_key},
    drive::{Controller, drive, on_self},
    objects::{annotation, labels, name, namespace, owner_reference, uid},
};
use async_trait::async_trait;
use client::ObjectKey;
use k8s_openapi::api::{
    core::v1::{EndpointAddress, EndpointSubset, Endpoints},
    discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice},
};
use kube::api::ObjectMeta;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Who we are in the label of the slices.
const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
/// The label with which Endpoints say that nobody shall mirror them.
const SKIP_LABEL: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Endpoints with this annotation are no endpoints, but an old kind of lock.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// At most so many addresses of one subset are mirrored.
const MOST: usize = 1000;

pub(crate) async fn run(acting: Acting) {
    let caches = &acting.caches;
    let sources =
        vec![on_self(&caches.endpoints), on_self(&caches.services), from_slices(&caches.slices, MANAGER)];
    drive(acting.clone(), Runner { acting }, sources).await;
}

struct Runner {
    acting: Acting,
}

#[async_trait]
impl Controller for Runner {
    fn name(&self) -> &'static str {
        "endpoint_slice_mirroring"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let caches = &self.acting.caches;
        let service = caches.services.get(&key.namespace, &key.name);
        let by_hand = service.is_some_and(|service| backends::selector(&service).is_none());
        let endpoints = caches.endpoints.get(&key.namespace, &key.name).filter(|e| by_hand && is_mirrored(e));
        let mut slices = caches.slices.by_index(BY_SERVICE, &service_key(&key.namespace, &key.name));
        slices.retain(|slice| labels(&slice.metadata).get(MANAGER_LABEL).is_some_and(|m| m == MANAGER));
        apply(&self.acting, &key.namespace, plan(endpoints.as_deref(), &slices)).await?;
        Ok(None)
    }
}

fn is_mirrored(endpoints: &Endpoints) -> bool {
    labels(&endpoints.metadata).get(SKIP_LABEL).is_none_or(|skip| skip != "true")
        && annotation(&endpoints.metadata, LEADER).is_none()
        && endpoints.metadata.deletion_timestamp.is_none()
}

/// One slice for each subset and address family; slices are used again in order.
fn plan(endpoints: Option<&Endpoints>, slices: &[Arc<EndpointSlice>]) -> Vec<Edit> {
    let wanted: Vec<EndpointSlice> = endpoints.into_iter().flat_map(mirror).collect();
    let mut edits = Vec::new();
    let mut free = slices.to_vec();
    for mut slice in wanted {
        let Some(at) = free.iter().position(|f| f.address_type == slice.address_type) else {
            edits.push(Edit::Create(slice));
            continue;
        };
        let found = free.remove(at);
        let same = (&found.endpoints, &found.ports) == (&slice.endpoints, &slice.ports)
            && found.metadata.labels == slice.metadata.labels;
        if !same {
            slice.metadata = ObjectMeta { labels: slice.metadata.labels, ..found.metadata.clone() };
            edits.push(Edit::Update(slice));
        }
    }
    edits.extend(free.into_iter().map(Edit::Delete));
    edits
}

fn mirror(endpoints: &Endpoints) -> Vec<EndpointSlice> {
    let mut labels = labels(&endpoints.metadata).clone();
    labels.insert(SERVICE_LABEL.into(), name(&endpoints.metadata).into());
    labels.insert(MANAGER_LABEL.into(), MANAGER.into());
    let metadata = ObjectMeta {
        generate_name: Some(format!("{}-", name(&endpoints.metadata))),
        namespace: Some(namespace(&endpoints.metadata).into()),
        labels: Some(labels),
        owner_references: Some(vec![owner_reference(endpoints)])
            .filter(|_| !uid(&endpoints.metadata).is_empty()),
        ..ObjectMeta::default()
    };
    let mut slices = Vec::new();
    for subset in endpoints.subsets.iter().flatten() {
        for (family, endpoints) in by_family(subset) {
            slices.push(EndpointSlice {
                metadata: metadata.clone(),
                address_type: family.into(),
                endpoints: Some(endpoints),
                ports: Some(ports(subset)),
            });
        }
    }
    slices
}

fn by_family(subset: &EndpointSubset) -> BTreeMap<&'static str, Vec<Endpoint>> {
    let mut families: BTreeMap<&'static str, Vec<Endpoint>> = BTreeMap::new();
    let ready = subset.addresses.iter().flatten().map(|address| (address, true));
    let not_ready = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
    for (address, ready) in ready.chain(not_ready).take(MOST) {
        let family = if address.ip.contains(':') { "IPv6" } else { "IPv4" };
        families.entry(family).or_default().push(endpoint(address, ready));
    }
    families
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
        hostname: address.hostname.clone().filter(|h| !h.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}

fn ports(subset: &EndpointSubset) -> Vec<EndpointPort> {
    let port = |port: &k8s_openapi::api::core::v1::EndpointPort| EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
        app_protocol: port.app_protocol.clone(),
    };
    subset.ports.iter().flatten().map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::object;
    use serde_json::json;

    #[test]
    fn each_subset_and_family_is_a_slice() {
        let endpoints: Endpoints = object(json!({
            "metadata": { "name": "db", "namespace": "ns", "uid": "e-uid" },
            "subsets": [{
                "addresses": [{ "ip": "192.0.2.1" }, { "ip": "2001:db8::1" }],
                "notReadyAddresses": [{ "ip": "192.0.2.2" }],
                "ports": [{ "port": 5432 }],
            }],
        }));
        let edits = plan(Some(&endpoints), &[]);
        let families: Vec<_> = edits
            .iter()
            .map(|edit| match edit {
                Edit::Create(slice) => {
                    (slice.address_type.as_str(), slice.endpoints.as_ref().map_or(0, Vec::len))
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(families, [("IPv4", 2), ("IPv6", 1)]);
        let stored: Vec<_> = edits
            .into_iter()
            .map(|edit| match edit {
                Edit::Create(slice) => Arc::new(slice),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(plan(Some(&endpoints), &stored), []);
        assert_eq!(plan(None, &stored[..1]), [Edit::Delete(stored[0].clone())]);
    }
}
