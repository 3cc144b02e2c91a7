//! EndpointSlices: the addresses behind each Service, in pieces of bounded size.

mod mirror;
mod plan;

pub(crate) use mirror::run as run_mirror;

use crate::{
    Acting,
    backends::selector,
    caches::{BY_SERVICE, service_key},
    drive::{Controller, Keys, drive, gone_is_fine, on, on_self},
    objects::{api_in, labels, name, namespace, only},
};
use async_trait::async_trait;
use client::{Cache, ObjectKey};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{Api, api::PostParams, core::SelectorExt};
use plan::{Edit, plan};
use std::time::Duration;

/// The label that names a slice's Service, and the one that names who maintains the slice.
pub(crate) const SERVICE_LABEL: &str = "kubernetes.io/service-name";
pub(crate) const MANAGER_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
/// Who we are in that label.
const MANAGER: &str = "endpointslice-controller.k8s.io";

pub(crate) async fn run(acting: Acting) {
    let caches = &acting.caches;
    let sources = vec![on_self(&caches.services), selected_by(&acting), from_slices(&caches.slices, MANAGER)];
    drive(acting.clone(), Runner { acting }, sources).await;
}

/// The Services that select a changed pod, before or after its change.
pub(crate) fn selected_by(acting: &Acting) -> Keys {
    let services = acting.caches.services.clone();
    on(&acting.caches.pods, move |change| {
        let Some(pod) = change.both().next() else { return Vec::new() };
        let services = services.list_in(namespace(&pod.metadata));
        let selects = |service: &Service| {
            let selector = selector(service)?;
            change.both().any(|pod| selector.matches(labels(&pod.metadata))).then(|| ObjectKey::of(service))
        };
        services.iter().filter_map(|service| selects(service)).collect()
    })
}

/// The Services of changed slices that `manager` maintains: somebody else may have changed them.
fn from_slices(slices: &Cache<EndpointSlice>, manager: &'static str) -> Keys {
    on(slices, move |change| {
        let labels = labels(&change.latest().metadata);
        let ours = labels.get(MANAGER_LABEL).is_some_and(|m| m == manager);
        let service = labels.get(SERVICE_LABEL).filter(|_| ours)?;
        Some(ObjectKey::new(change.key.namespace.clone(), service.as_str()))
    })
}

struct Runner {
    acting: Acting,
}

#[async_trait]
impl Controller for Runner {
    fn name(&self) -> &'static str {
        "endpoint_slice"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let caches = &self.acting.caches;
        // The slices of a Service that is gone go with it: it owns them.
        let Some(service) = caches.services.get(&key.namespace, &key.name) else { return Ok(None) };
        if service.metadata.deletion_timestamp.is_some() || selector(&service).is_none() {
            return Ok(None);
        }
        let mut slices = caches.slices.by_index(BY_SERVICE, &service_key(&key.namespace, &key.name));
        slices.retain(|slice| labels(&slice.metadata).get(MANAGER_LABEL).is_some_and(|m| m == MANAGER));
        let edits = plan(&service, &caches.pods.list_in(&key.namespace), &slices, &|node| {
            let node = caches.nodes.get("", node)?;
            labels(&node.metadata).get("topology.kubernetes.io/zone").cloned()
        });
        apply(&self.acting, &key.namespace, edits).await?;
        Ok(None)
    }
}

/// Writes slices.
async fn apply(acting: &Acting, namespace: &str, edits: Vec<Edit>) -> Result<(), kube::Error> {
    let api: Api<EndpointSlice> = api_in(&acting.client, namespace);
    let slices = &acting.caches.slices;
    for edit in edits {
        match edit {
            Edit::Create(slice) => slices.note(api.create(&PostParams::default(), &slice).await?),
            Edit::Update(slice) => {
                slices.note(api.replace(name(&slice.metadata), &PostParams::default(), &slice).await?);
            }
            Edit::Delete(slice) => {
                gone_is_fine(api.delete(name(&slice.metadata), &only(&slice.metadata)).await)?;
            }
        }
    }
    Ok(())
}
