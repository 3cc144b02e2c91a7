//! How the addresses behind a Service are cut into slices, with as few writes as possible.

use super::{MANAGER, MANAGER_LABEL, SERVICE_LABEL};
use crate::{
    backends::{Backend, Port, address, backends, is_headless, node, reference},
    objects::{Labels, labels, name, namespace, owner_reference, uid},
};
use k8s_openapi::api::{
    core::v1::{Pod, Service},
    discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice},
};
use kube::api::ObjectMeta;
use std::{collections::BTreeMap, sync::Arc};

/// How many endpoints one slice holds.
const MOST: usize = 100;
/// The label of slices of headless Services.
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

/// One write.
#[derive(Debug, PartialEq)]
pub(crate) enum Edit {
    Create(EndpointSlice),
    Update(EndpointSlice),
    Delete(Arc<EndpointSlice>),
}

/// What all endpoints of one slice share: the address family and the ports.
type Group = (String, Vec<Port>);

/// The writes that make `slices` (those we maintain for the Service) say what is behind it.
pub(crate) fn plan(
    service: &Service,
    pods: &[Arc<Pod>],
    slices: &[Arc<EndpointSlice>],
    zone_of: &dyn Fn(&str) -> Option<String>,
) -> Vec<Edit> {
    let families = service.spec.as_ref().and_then(|spec| spec.ip_families.clone());
    let families = families.filter(|f| !f.is_empty()).unwrap_or_else(|| vec!["IPv4".into()]);
    let mut groups: BTreeMap<Group, Vec<Endpoint>> = BTreeMap::new();
    for backend in backends(service, pods) {
        for family in &families {
            if let Some(address) = address(&backend.pod, family) {
                let group = (family.clone(), backend.ports.clone());
                groups.entry(group).or_default().push(endpoint(&backend, address, zone_of));
            }
        }
    }
    // A Service with nothing behind it has an empty slice, so that everybody knows.
    for family in &families {
        if !groups.keys().any(|(of, _)| of == family) {
            groups.insert((family.clone(), Vec::new()), Vec::new());
        }
    }
    let mut free: Vec<Arc<EndpointSlice>> = slices.to_vec();
    let mut edits = Vec::new();
    for (group, endpoints) in groups {
        let mut mine: Vec<Arc<EndpointSlice>> = Vec::new();
        free.retain(|slice| {
            let fits = group_of(slice) == group && slice.metadata.deletion_timestamp.is_none();
            if fits {
                mine.push(slice.clone());
            }
            !fits
        });
        edits.extend(fill(service, &group, endpoints, mine));
    }
    edits.extend(free.into_iter().filter(|s| s.metadata.deletion_timestamp.is_none()).map(Edit::Delete));
    edits
}

fn group_of(slice: &EndpointSlice) -> Group {
    let port = |port: &EndpointPort| Port {
        name: port.name.clone().unwrap_or_default(),
        protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
        port: port.port.unwrap_or(0),
        app_protocol: port.app_protocol.clone(),
    };
    let mut ports: Vec<Port> = slice.ports.iter().flatten().map(port).collect();
    ports.sort();
    (slice.address_type.clone(), ports)
}

/// Leaves endpoints in the slices where they are, and puts new ones where there is room.
fn fill(
    service: &Service,
    group: &Group,
    endpoints: Vec<Endpoint>,
    mut slices: Vec<Arc<EndpointSlice>>,
) -> Vec<Edit> {
    // The fullest first, so that the others can run empty.
    slices.sort_by_key(|slice| std::cmp::Reverse(slice.endpoints.as_ref().map_or(0, Vec::len)));
    let mut wanted: BTreeMap<String, Endpoint> = endpoints.into_iter().map(|e| (identity(&e), e)).collect();
    let mut contents: Vec<Vec<Endpoint>> = Vec::new();
    for slice in &slices {
        let present = slice.endpoints.iter().flatten();
        contents.push(present.filter_map(|endpoint| wanted.remove(&identity(endpoint))).collect());
    }
    let mut rest: Vec<Endpoint> = wanted.into_values().collect();
    for content in &mut contents {
        let room = MOST.saturating_sub(content.len()).min(rest.len());
        content.extend(rest.drain(..room));
    }
    let mut edits = Vec::new();
    let needed = contents.iter().any(|content| !content.is_empty()) || !rest.is_empty();
    for (number, (slice, content)) in slices.iter().zip(contents).enumerate() {
        if content.is_empty() && (needed || number > 0) {
            edits.push(Edit::Delete(slice.clone()));
            continue;
        }
        let updated = describe(service, group, content, (**slice).clone());
        if updated != **slice {
            edits.push(Edit::Update(updated));
        }
    }
    while !rest.is_empty() || (slices.is_empty() && edits.is_empty()) {
        let content = rest.drain(..MOST.min(rest.len())).collect();
        edits.push(Edit::Create(describe(service, group, content, new_slice(service))));
    }
    edits
}

/// What makes two endpoints the same: the pod, and its address.
fn identity(endpoint: &Endpoint) -> String {
    let pod = endpoint.target_ref.as_ref().and_then(|target| target.uid.clone()).unwrap_or_default();
    format!("{pod} {}", endpoint.addresses.join(","))
}

fn new_slice(service: &Service) -> EndpointSlice {
    let metadata = ObjectMeta {
        generate_name: Some(format!("{}-", name(&service.metadata))),
        namespace: Some(namespace(&service.metadata).to_owned()),
        owner_references: Some(vec![owner_reference(service)]),
        ..ObjectMeta::default()
    };
    EndpointSlice { metadata, ..EndpointSlice::default() }
}

fn describe(
    service: &Service,
    group: &Group,
    endpoints: Vec<Endpoint>,
    slice: EndpointSlice,
) -> EndpointSlice {
    let (family, ports) = group;
    let mut slice = slice;
    slice.address_type.clone_from(family);
    slice.metadata.labels = Some(slice_labels(service));
    if !slice.metadata.owner_references.iter().flatten().any(|o| o.uid == uid(&service.metadata)) {
        slice.metadata.owner_references = Some(vec![owner_reference(service)]);
    }
    let had = slice.endpoints.take();
    // An empty list may come back from the API as none.
    slice.endpoints =
        if endpoints.is_empty() && had.as_ref().is_none_or(Vec::is_empty) && !uid(&slice.metadata).is_empty()
        {
            had
        } else {
            Some(endpoints)
        };
    if slice.ports.is_none() || group_of(&slice).1 != *ports {
        let port = |port: &Port| EndpointPort {
            name: Some(port.name.clone()),
            protocol: Some(port.protocol.clone()),
            port: Some(port.port),
            app_protocol: port.app_protocol.clone(),
        };
        if !ports.is_empty() || uid(&slice.metadata).is_empty() {
            slice.ports = Some(ports.iter().map(port).collect());
        }
    }
    slice
}

fn slice_labels(service: &Service) -> Labels {
    let mut all = labels(&service.metadata).clone();
    for reserved in [SERVICE_LABEL, MANAGER_LABEL, HEADLESS_LABEL] {
        all.remove(reserved);
    }
    all.insert(SERVICE_LABEL.into(), name(&service.metadata).into());
    all.insert(MANAGER_LABEL.into(), MANAGER.into());
    if is_headless(service) {
        all.insert(HEADLESS_LABEL.into(), String::new());
    }
    all
}

fn endpoint(backend: &Backend, address: String, zone_of: &dyn Fn(&str) -> Option<String>) -> Endpoint {
    let node_name = node(&backend.pod);
    Endpoint {
        addresses: vec![address],
        conditions: Some(EndpointConditions {
            ready: Some(backend.ready),
            serving: Some(backend.serving),
            terminating: Some(backend.terminating),
        }),
        hostname: backend.hostname.clone(),
        zone: node_name.as_deref().and_then(zone_of),
        node_name,
        target_ref: Some(reference(&backend.pod)),
        ..Endpoint::default()
    }
}

#[cfg(test)]
mod tests;
