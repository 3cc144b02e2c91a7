//! The resources that custom resource definitions bring.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use base64::Engine;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::builtin::GET_PATCH_UPDATE;
use crate::meta::NameRule;
use crate::resource::{
    Custom, Family, Member, Resource, SelectableField, StatusMetadata, Storage, Subresource,
};
use crate::strategy::Strategy;
use crate::table::Column;
use crate::value::{flag, get, has, int, items, text, texts};

/// The resources that the served versions of a definition bring.
pub(crate) fn custom_resources(crd: &Value) -> Vec<Resource> {
    let family = Arc::new(family(crd));
    let served = items(crd, "spec.versions").iter().filter(|v| flag(v, "served"));
    served.map(|version| custom_resource(crd, version, family.clone())).collect()
}

fn family(crd: &Value) -> Family {
    let webhook = text(crd, "spec.conversion.strategy") == "Webhook";
    let member = |version: &Value| Member {
        name: text(version, "name").to_owned(),
        given: get(version, "schema.openAPIV3Schema").clone(),
        schema: OnceLock::new(),
    };
    Family {
        revision: text(crd, "metadata.resourceVersion").parse().unwrap_or(0),
        webhook: webhook.then(|| get(crd, "spec.conversion.webhook").clone()),
        spec: get(crd, "spec").clone(),
        accepted_names: get(crd, "status.acceptedNames").clone(),
        terminating: AtomicBool::new(has(crd, "metadata.deletionTimestamp")),
        stored_fields: items(crd, "spec.versions")
            .iter()
            .filter(|v| flag(v, "storage"))
            .flat_map(custom_fields)
            .collect(),
        members: items(crd, "spec.versions").iter().map(member).collect(),
    }
}

/// True when a changed definition brings the very same resources; notes whether it is going away.
pub(crate) fn brings_the_same(family: &Family, crd: &Value) -> bool {
    let same = family.spec == *get(crd, "spec") && family.accepted_names == *get(crd, "status.acceptedNames");
    if same {
        family.terminating.store(has(crd, "metadata.deletionTimestamp"), Ordering::Relaxed);
    }
    same
}

fn custom_resource(crd: &Value, version: &Value, family: Arc<Family>) -> Resource {
    let owned = |path| text(crd, path).to_owned();
    let list = |path| texts(crd, path).map(str::to_owned).collect::<Vec<_>>();
    let (group, kind, plural) = (owned("spec.group"), owned("spec.names.kind"), owned("spec.names.plural"));
    let stored = items(crd, "spec.versions").iter().find(|v| flag(v, "storage")).unwrap_or(version);
    let or = |value: String, other: String| if value.is_empty() { other } else { value };
    Resource {
        version: text(version, "name").to_owned(),
        list_kind: or(owned("spec.names.listKind"), format!("{kind}List")),
        singular: or(owned("spec.names.singular"), kind.to_lowercase()),
        short_names: list("spec.names.shortNames"),
        categories: list("spec.names.categories"),
        namespaced: text(crd, "spec.scope") == "Namespaced",
        verbs: CUSTOM_VERBS.iter().map(|v| (*v).to_owned()).collect(),
        subresources: custom_subresources(version, &kind),
        storage_version_hash: storage_hash(&group, text(stored, "name"), &kind),
        storage: Storage {
            group: group.clone(),
            version: text(stored, "name").to_owned(),
            kind: kind.clone(),
            plural: plural.clone(),
        },
        custom: Some(Custom { definition: owned("metadata.name"), version: version.clone(), family }),
        columns: custom_columns(version),
        name_rule: NameRule::Subdomain,
        selectable: custom_fields(version),
        create_on_update: false,
        unconditional_update: false,
        generation: true,
        has_status: has(version, "subresources.status"),
        status_metadata: StatusMetadata::Kept,
        status_on_create: false,
        strategy: &CustomResource,
        schema: OnceLock::new(),
        group,
        kind,
        plural,
    }
}

const CUSTOM_VERBS: [&str; 8] =
    ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

fn custom_subresources(version: &Value, kind: &str) -> Vec<Subresource> {
    let verbs = || GET_PATCH_UPDATE.iter().map(|v| (*v).to_owned()).collect();
    let mut subresources = Vec::new();
    if has(version, "subresources.status") {
        subresources.push(Subresource {
            name: "status".into(),
            group_version: None,
            kind: kind.to_owned(),
            verbs: verbs(),
        });
    }
    if has(version, "subresources.scale") {
        subresources.push(Subresource {
            name: "scale".into(),
            group_version: Some(("autoscaling".into(), "v1".into())),
            kind: "Scale".into(),
            verbs: verbs(),
        });
    }
    subresources
}

/// The first eight bytes of SHA-256 over `GROUP/VERSION/KIND`, in base64.
fn storage_hash(group: &str, version: &str, kind: &str) -> String {
    let digest = Sha256::digest(format!("{group}/{version}/{kind}"));
    base64::engine::general_purpose::STANDARD.encode(&digest[..8])
}

fn custom_columns(version: &Value) -> Vec<Column> {
    let column = |name: &str, kind: &str, format: &str, json_path: &str| Column {
        name: name.into(),
        kind: kind.into(),
        format: format.into(),
        description: String::new(),
        priority: 0,
        json_path: json_path.into(),
    };
    let mut columns = vec![column("Name", "string", "name", "")];
    let given = items(version, "additionalPrinterColumns");
    if given.is_empty() {
        columns.push(column("Age", "date", "", ".metadata.creationTimestamp"));
    }
    for c in given {
        let mut column = column(text(c, "name"), text(c, "type"), text(c, "format"), text(c, "jsonPath"));
        column.description = text(c, "description").to_owned();
        column.priority = int(c, "priority").and_then(|p| p.try_into().ok()).unwrap_or_default();
        columns.push(column);
    }
    columns
}

fn custom_fields(version: &Value) -> Vec<SelectableField> {
    let fields = items(version, "selectableFields").iter().map(|field| {
        let path = text(field, "jsonPath").trim_start_matches('.').to_owned();
        SelectableField { name: path.clone(), index: path.clone(), path, absent: String::new() }
    });
    fields.collect()
}

/// The strategy of every custom resource; what differs is in `Resource::custom`.
struct CustomResource;

impl Strategy for CustomResource {}
