//! MutatingWebhookConfiguration and ValidatingWebhookConfiguration.

mod validate;

use jiff::Timestamp;
use serde_json::Value;

use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col};
use crate::table::{age_cell, name_cell};
use crate::value::{has, items, items_mut, set_default};

pub use validate::{client_config, match_conditions, rule_with_operations};

pub const MUTATING_WEBHOOK_CONFIGURATION: Builtin = Builtin::new(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    "Sqi0GUgDaX0=",
)
.categories(&["api-extensions"])
.columns(MUTATING_WEBHOOK_CONFIGURATION_COLUMNS)
.conditional_update()
.generation()
.strategy(&MUTATING);

pub const VALIDATING_WEBHOOK_CONFIGURATION: Builtin = Builtin::new(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    "B0wHjQmsGNk=",
)
.categories(&["api-extensions"])
.columns(VALIDATING_WEBHOOK_CONFIGURATION_COLUMNS)
.conditional_update()
.generation()
.strategy(&VALIDATING);

const MUTATING_WEBHOOK_CONFIGURATION_COLUMNS: &[Col] =
    &[("Name", "string", "name", 0), ("Webhooks", "integer", "", 0), ("Age", "string", "", 0)];

const VALIDATING_WEBHOOK_CONFIGURATION_COLUMNS: &[Col] =
    &[("Name", "string", "name", 0), ("Webhooks", "integer", "", 0), ("Age", "string", "", 0)];

struct Webhooks {
    mutating: bool,
}

const MUTATING: Webhooks = Webhooks { mutating: true };
const VALIDATING: Webhooks = Webhooks { mutating: false };

impl Strategy for Webhooks {
    fn default(&self, _r: &Resource, object: &mut Value) {
        for hook in items_mut(object, "webhooks") {
            set_default(hook, "failurePolicy", "Fail");
            set_default(hook, "matchPolicy", "Equivalent");
            set_default(hook, "namespaceSelector", serde_json::json!({}));
            set_default(hook, "objectSelector", serde_json::json!({}));
            set_default(hook, "timeoutSeconds", 10);
            if self.mutating {
                set_default(hook, "reinvocationPolicy", "Never");
            }
            for rule in items_mut(hook, "rules") {
                set_default(rule, "scope", "*");
            }
            if has(hook, "clientConfig.service") {
                set_default(hook, "clientConfig.service.port", 443);
            }
        }
    }

    fn validate_create(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        validate::hooks(object, None, self.mutating)
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        validate::hooks(new, Some(old), self.mutating)
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![name_cell(object), items(object, "webhooks").len().into(), age_cell(object, now)]
    }
}
