//! ServiceAccount.

use jiff::Timestamp;
use serde_json::Value;

use super::builtin::{Builtin, Col};
use crate::resource::Resource;
use crate::strategy::Strategy;
use crate::table::{age_cell, name_cell};

pub const SERVICE_ACCOUNT: Builtin =
    Builtin::new("", "v1", "ServiceAccount", "serviceaccounts", "pbx9ZvyFpBE=")
        .namespaced()
        .short(&["sa"])
        .subresources(&[("token", "authentication.k8s.io/v1.TokenRequest", &["create"])])
        .columns(SERVICE_ACCOUNT_COLUMNS)
        .strategy(&ServiceAccount);

const SERVICE_ACCOUNT_COLUMNS: &[Col] = &[("Name", "string", "name", 0), ("Age", "string", "", 0)];

struct ServiceAccount;

impl Strategy for ServiceAccount {
    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![name_cell(object), age_cell(object, now)]
    }
}
