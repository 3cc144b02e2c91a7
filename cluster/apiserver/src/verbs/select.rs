//! What a list, watch or deletecollection selects.

use api::selector::{FieldSelector, LabelSelector};
use api::{Resource, Status};
use serde_json::Value;
use std::sync::Arc;
use store::{Object, View};

use crate::call::Call;
use crate::convert;

/// Labels and fields to select by, and where in the store to look.
#[derive(Clone)]
pub(super) struct Selection {
    pub labels: LabelSelector,
    pub fields: FieldSelector,
    pub prefix: String,
    /// Fields of the requested version of a custom resource, which is not the stored one: they are
    /// known only when the object is converted.
    late: bool,
}

impl Selection {
    pub(super) fn of(call: &Call) -> Result<Self, Status> {
        let query = &call.request.query;
        let labels = LabelSelector::parse(query.get("labelSelector"))?;
        let fields = FieldSelector::parse(query.get("fieldSelector"))?;
        call.resource.check_field_selector(&fields)?;
        let fields = call.resource.index_names(fields);
        let mut prefix = prefix(&call.storage, call.namespace());
        // One object by its name is found by its key, not by looking at all of them.
        let one_place = !call.storage.namespaced || !call.namespace().is_empty();
        if let Some(name) = fields.required("metadata.name").filter(|_| one_place) {
            prefix.push_str(name);
        }
        let resource = &call.resource;
        let of_metadata = |r: &api::selector::FieldRequirement| r.field.starts_with("metadata.");
        let late = resource.custom.is_some()
            && !fields.requirements.iter().all(of_metadata)
            && !resource.is_storage_version();
        Ok(Self { labels, fields, prefix, late })
    }

    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// See [`Selection::matches_served`].
    pub(super) fn is_late(&self) -> bool {
        self.late
    }

    pub(super) fn matches(&self, object: &Object) -> bool {
        (self.labels.is_empty() || self.labels.matches_by(|name| object.label(name)))
            && (self.fields.is_empty() || self.late || self.fields.matches_by(|name| object.field(name)))
    }

    /// Whether a served object is selected, as far as only the served form can tell.
    pub(super) fn matches_served(&self, resource: &Resource, object: &Value) -> bool {
        if !self.late {
            return true;
        }
        let values = resource.fields(object);
        self.fields.matches_by(|name| values.iter().find(|(field, _)| field == name).map(|(_, v)| v.as_str()))
    }

    /// The objects that are selected in their served form, too.
    pub(super) async fn only_served(
        &self,
        call: &Call,
        objects: Vec<Arc<Object>>,
    ) -> Result<Vec<Arc<Object>>, Status> {
        if !self.late {
            return Ok(objects);
        }
        let served = convert::served_objects(&call.server, &call.resource, &objects).await?;
        let both = objects.into_iter().zip(served);
        Ok(both.filter(|(_, value)| self.matches_served(&call.resource, value)).map(|(o, _)| o).collect())
    }

    /// An equality that the store's watch index can find events by.
    pub(super) fn indexed(&self) -> Option<(String, String)> {
        if self.late {
            return None;
        }
        let equal = |r: &&api::selector::FieldRequirement| !r.negated && !r.value.is_empty();
        self.fields.requirements.iter().find(equal).map(|r| (r.field.clone(), r.value.clone()))
    }

    /// The matching objects after a key, in key order.
    pub(super) fn objects<'v>(
        &'v self,
        view: &'v View,
        after: Option<&'v str>,
    ) -> impl Iterator<Item = std::sync::Arc<Object>> + 'v {
        view.range(&self.prefix, after).filter(|o| self.matches(o))
    }
}

fn prefix(storage: &Resource, namespace: &str) -> String {
    match namespace {
        "" => storage.key_prefix(),
        namespace => format!("{}{namespace}/", storage.key_prefix()),
    }
}
