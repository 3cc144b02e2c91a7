//! The stages between the client's bytes and the store's transaction.

use api::pipeline::{
    default, prepare_create, prepare_update, track_update, validate_create, validate_requested,
    validate_update,
};
use api::{Resource, Status};
use serde_json::Value;
use store::View;

use super::{Companions, Operation, Stored, Write};
use crate::admission;
use crate::alloc;

/// The client's object, in the stored version; nothing of it is believed yet.
pub(crate) struct Decoded {
    object: Value,
    /// managedFields were made by server-side apply already.
    tracked: bool,
    warnings: Vec<String>,
}

/// Defaulted, changed by admission, prepared by its kind, its managers recorded.
pub(crate) struct Admitted {
    pub(super) object: Value,
    warnings: Vec<String>,
}

/// Validated and checked by admission: may be stored together with its companions.
pub(crate) struct Valid {
    pub(super) object: Value,
    pub(super) companions: Companions,
    pub(super) warnings: Vec<String>,
}

impl Decoded {
    /// An object of the requested version, as a body, a patch or the server itself made it.
    pub(crate) fn new(resource: &Resource, object: Value, warnings: Vec<String>) -> Self {
        Self { object: resource.convert_to_stored(object), tracked: false, warnings }
    }

    /// The outcome of server-side apply, which has recorded the managers.
    pub(crate) fn applied(resource: &Resource, object: Value) -> Self {
        Self { object: resource.convert_to_stored(object), tracked: true, warnings: Vec::new() }
    }

    pub(crate) fn admit(
        mut self,
        write: &Write<'_>,
        view: &View,
        old: Option<&Stored>,
    ) -> Result<Admitted, Status> {
        default(write.storage, &mut self.object);
        let operation = if old.is_some() { Operation::Update } else { Operation::Create };
        let ctx = write.ctx();
        let old = old.map(|o| &o.value);
        admission::mutate(write, view, operation, &mut self.object)?;
        match old {
            None => prepare_create(write.storage, &mut self.object, &ctx)?,
            Some(old) => prepare_update(write.storage, write.subresource, &mut self.object, old, &ctx)?,
        }
        admission::complete(write, view, &mut self.object, old);
        if !self.tracked {
            let manager = write.manager;
            track_update(write.storage, write.subresource, old, &mut self.object, manager, ctx.now);
        }
        Ok(Admitted { object: self.object, warnings: self.warnings })
    }
}

impl Admitted {
    pub(crate) fn validate(
        mut self,
        write: &Write<'_>,
        view: &View,
        old: Option<&Stored>,
    ) -> Result<Valid, Status> {
        let mut companions = Companions::default();
        let value = old.map(|o| &o.value);
        // Addresses and ports come before validation, which wants to see them.
        alloc::allocate(write, view, &mut self.object, value, &mut companions)?;
        if write.subresource.is_none() {
            validate_requested(write.resource, &self.object, value)?;
        }
        let warnings = match value {
            None => validate_create(write.storage, &self.object)?,
            Some(old) => validate_update(write.storage, write.subresource, &self.object, old)?,
        };
        admission::check(write, view, &self.object, value, &mut companions)?;
        self.warnings.extend(warnings);
        Ok(Valid { object: self.object, companions, warnings: self.warnings })
    }
}

impl Valid {
    pub(crate) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }
}
