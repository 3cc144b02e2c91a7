//! What is served: the registry of resources, with the documents made of it. Built-in kinds are
//! always there; custom ones come and go with their definitions in the store.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use api::openapi::{self, Served};
use api::{Registry, Resource, discovery};
use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use store::{Revision, View};
use tokio::sync::watch;

/// Prefix of the keys of the definitions.
pub(crate) const DEFINITIONS: &str = "/apiextensions.k8s.io/customresourcedefinitions/";

/// One state of what is served. Documents are made when they are first asked for.
pub(crate) struct Serving {
    pub registry: Registry,
    aggregated: [OnceLock<Bytes>; 2],
    v2_json: OnceLock<Bytes>,
    v2_protobuf: OnceLock<Bytes>,
    v3: Mutex<BTreeMap<String, Option<(Bytes, String)>>>,
}

impl Serving {
    fn new(registry: Registry) -> Self {
        Self {
            registry,
            aggregated: Default::default(),
            v2_json: OnceLock::new(),
            v2_protobuf: OnceLock::new(),
            v3: Mutex::default(),
        }
    }

    /// `/api` (core) or `/apis` as aggregated discovery.
    pub(crate) fn aggregated(&self, core: bool) -> Bytes {
        self.aggregated[usize::from(core)]
            .get_or_init(|| Bytes::from(discovery::aggregated(&self.registry, core).to_string()))
            .clone()
    }

    pub(crate) fn openapi_v2_json(&self) -> Bytes {
        self.v2_json.get_or_init(|| openapi::v2_json(&self.served())).clone()
    }

    pub(crate) fn openapi_v2_protobuf(&self) -> Bytes {
        self.v2_protobuf.get_or_init(|| openapi::v2_protobuf(&self.served())).clone()
    }

    /// The document of one group-version (`api/v1`, `apis/apps/v1`) and its ETag.
    pub(crate) fn openapi_v3(&self, path: &str) -> Option<(Bytes, String)> {
        let mut documents = self.v3.lock();
        if let Some(known) = documents.get(path) {
            return known.clone();
        }
        if !self.v3_paths().iter().any(|p| p == path) {
            return None;
        }
        let made = openapi::v3_document(&self.served(), path).map(|bytes| {
            let etag = openapi::etag(&bytes);
            (bytes, etag)
        });
        documents.insert(path.to_owned(), made.clone());
        made
    }

    /// The paths of all v3 documents.
    fn v3_paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = self.registry.iter().map(|r| v3_path(r)).collect();
        paths.dedup();
        paths
    }

    /// `/openapi/v3`. The hash in each URL names the content: here it is made of what is served in
    /// the group-version, not of the document, so that the index costs nothing.
    pub(crate) fn openapi_v3_index(&self) -> Bytes {
        openapi::v3_index(&self.served(), |path| self.v3_hash(path))
    }

    pub(crate) fn v3_hash(&self, path: &str) -> String {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        hash.update(env!("CARGO_PKG_VERSION"));
        for resource in self.registry.iter().filter(|r| v3_path(r) == path) {
            hash.update(&resource.plural);
            hash.update(&resource.kind);
            if let Some(custom) = &resource.custom {
                hash.update(custom.version.to_string());
            }
        }
        hex::encode_upper(hash.finalize())
    }

    fn served(&self) -> Vec<Served> {
        self.registry.iter().map(|r| served(r)).collect()
    }
}

fn v3_path(resource: &Resource) -> String {
    match resource.group.as_str() {
        "" => format!("api/{}", resource.version),
        group => format!("apis/{group}/{}", resource.version),
    }
}

fn served(resource: &Resource) -> Served {
    let subresource = |s: &api::resource::Subresource| {
        let (group, version) =
            s.group_version.clone().unwrap_or_else(|| (resource.group.clone(), resource.version.clone()));
        openapi::Subresource {
            name: s.name.clone(),
            group,
            version,
            kind: s.kind.clone(),
            verbs: s.verbs.clone(),
        }
    };
    let custom = resource.custom.as_ref().map(|c| published(resource, &c.version));
    Served {
        group: resource.group.clone(),
        version: resource.version.clone(),
        kind: resource.kind.clone(),
        plural: resource.plural.clone(),
        namespaced: resource.namespaced,
        verbs: resource.verbs.clone(),
        subresources: resource.subresources.iter().map(subresource).collect(),
        custom,
    }
}

/// The schema of a custom resource, with the fields that its objects can be selected by.
fn published(resource: &Resource, version: &Value) -> Value {
    let mut schema = version["schema"]["openAPIV3Schema"].clone();
    let fields: Vec<Value> =
        resource.selectable.iter().map(|field| serde_json::json!({"fieldPath": field.path})).collect();
    if !fields.is_empty() && schema.is_object() {
        schema[openapi::SELECTABLE] = fields.into();
    }
    schema
}

/// The current [`Serving`], and which definitions it holds.
pub(crate) struct ServingCell {
    current: ArcSwap<Serving>,
    /// Definition to the revision it was taken in at.
    taken: Mutex<BTreeMap<Arc<str>, Revision>>,
    /// Counts what became of `current`.
    changes: watch::Sender<u64>,
}

impl ServingCell {
    pub(crate) fn new() -> Self {
        Self {
            current: ArcSwap::from_pointee(Serving::new(Registry::builtin())),
            taken: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Says when something else is served.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn get(&self) -> Arc<Serving> {
        self.current.load_full()
    }

    /// Makes what is served agree with the definitions in a view. Views may come out of order from
    /// several tasks: one that is older than what was taken in changes nothing.
    pub(crate) fn refresh(&self, view: &View) {
        let mut taken = self.taken.lock();
        let newest = taken.values().max().copied().unwrap_or(0);
        if view.revision() < newest {
            return;
        }
        let found: BTreeMap<Arc<str>, _> =
            view.range(DEFINITIONS, None).map(|o| (o.key.clone(), o)).collect();
        let mut registry = None::<Registry>;
        let base = self.get();
        for key in taken.keys().filter(|k| !found.contains_key(*k)) {
            let name = key.strip_prefix(DEFINITIONS).unwrap_or(key);
            registry = Some(registry.as_ref().unwrap_or(&base.registry).without_crd(name));
        }
        for (key, object) in &found {
            if taken.get(key) == Some(&object.revision) {
                continue;
            }
            match serde_json::from_slice::<Value>(&object.value) {
                Ok(definition) => {
                    let before = registry.as_ref().unwrap_or(&base.registry);
                    let name = key.strip_prefix(DEFINITIONS).unwrap_or(key);
                    let after = if is_served(&definition) {
                        before.with_crd(&definition)
                    } else {
                        before.without_crd(name)
                    };
                    if !after.is_same(before) {
                        registry = Some(after);
                    }
                }
                Err(error) => tracing::error!(%key, %error, "a definition does not parse and is not served"),
            }
        }
        *taken = found.into_iter().map(|(key, object)| (key, object.revision)).collect();
        if let Some(registry) = registry {
            self.current.store(Arc::new(Serving::new(registry)));
            self.changes.send_modify(|count| *count += 1);
        }
    }
}

/// A definition is served unless its names were refused from the start.
fn is_served(definition: &Value) -> bool {
    let mut conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    !conditions.any(|c| c["type"] == "Established" && c["status"] == "False")
}
