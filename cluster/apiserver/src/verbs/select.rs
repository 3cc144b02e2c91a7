//! What a list, watch or deletecollection selects.

use api::selector::{FieldSelector, LabelSelector};
use api::{Resource, Status};
use store::{Object, View};

use crate::call::Call;

/// Labels and fields to select by, and where in the store to look.
#[derive(Clone)]
pub(super) struct Selection {
    pub labels: LabelSelector,
    pub fields: FieldSelector,
    pub prefix: String,
}

impl Selection {
    pub(super) fn of(call: &Call) -> Result<Self, Status> {
        let query = &call.request.query;
        let labels = LabelSelector::parse(query.get("labelSelector"))?;
        let fields = FieldSelector::parse(query.get("fieldSelector"))?;
        call.resource.check_field_selector(&fields)?;
        let mut prefix = prefix(&call.storage, call.namespace());
        // One object by its name is found by its key, not by looking at all of them.
        let one_place = !call.storage.namespaced || !call.namespace().is_empty();
        if let Some(name) = fields.required("metadata.name").filter(|_| one_place) {
            prefix.push_str(name);
        }
        Ok(Self { labels, fields, prefix })
    }

    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(super) fn matches(&self, object: &Object) -> bool {
        (self.labels.is_empty() || self.labels.matches_by(|name| object.label(name)))
            && (self.fields.is_empty() || self.fields.matches_by(|name| object.field(name)))
    }

    /// An equality that the store's watch index can find events by.
    pub(super) fn indexed(&self) -> Option<(String, String)> {
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
