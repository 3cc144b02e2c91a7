//! ServiceAccount.

use jiff::Timestamp;
use serde_json::Value;

use super::builtin::{Builtin, Col};
use super::warn;
use crate::resource::Resource;
use crate::strategy::Strategy;
use crate::table::{age_cell, name_cell};
use crate::value::get;

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
    fn warnings(&self, _r: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
        const ENFORCED: &str = "kubernetes.io/enforce-mountable-secrets";
        const WORDS: &str =
            "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets";
        let mut found = Vec::new();
        if old.is_none_or(|old| get(old, "metadata.annotations").get(ENFORCED).is_none()) {
            warn::annotations(object, "", &[(ENFORCED, WORDS)], &mut found);
        }
        found
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![name_cell(object), age_cell(object, now)]
    }
}
