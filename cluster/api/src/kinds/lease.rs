//! Lease.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col};
use crate::names;
use crate::table::{age_cell, name_cell, text_cell};
use crate::value::{get, has, int, text};

pub const LEASE: Builtin = Builtin::new("coordination.k8s.io", "v1", "Lease", "leases", "gqkMMb/YqFM=")
    .namespaced()
    .columns(LEASE_COLUMNS)
    .create_on_update()
    .conditional_update()
    .strategy(&Lease);

const LEASE_COLUMNS: &[Col] =
    &[("Name", "string", "name", 0), ("Holder", "string", "", 0), ("Age", "string", "", 0)];

/// The one strategy of coordinated election.
const OLDEST: &str = "OldestEmulationVersion";

struct Lease;

impl Strategy for Lease {
    /// `epoch` is the leadership that writers are fenced by: `HOLDER/TRANSITIONS`.
    fn more_fields(&self, object: &Value, fields: &mut Vec<(String, String)>) {
        let holder = text(object, "spec.holderIdentity");
        let transitions = int(object, "spec.leaseTransitions").unwrap_or_default();
        fields.push(("epoch".into(), format!("{holder}/{transitions}")));
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let spec = get(object, "spec");
        errors.positive(spec, "spec", "leaseDurationSeconds");
        errors.non_negative(spec, "spec", "leaseTransitions");
        let strategy = text(spec, "strategy");
        let at = "spec.strategy.strategy";
        match has(spec, "strategy") {
            // The path in the message is Kubernetes'.
            true if strategy.contains('/') => errors.reasons(at, strategy, names::qualified(strategy)),
            true if strategy != OLDEST => {
                errors.0.push(FieldError::not_supported(at, strategy, [OLDEST]));
            }
            _ => {}
        }
        if !text(spec, "preferredHolder").is_empty() && strategy.is_empty() {
            errors.forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined");
        }
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![name_cell(object), text_cell(object, "spec.holderIdentity"), age_cell(object, now)]
    }
}
