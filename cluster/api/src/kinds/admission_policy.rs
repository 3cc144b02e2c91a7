//! Admission policies in CEL, and their bindings.

mod validate;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use crate::table::{age_cell, name_cell, text_cell};
use crate::value::{get, get_mut, has, items, items_mut, set_default, text};

pub const MUTATING_ADMISSION_POLICY: Builtin = Builtin::new(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingAdmissionPolicy",
    "mutatingadmissionpolicies",
    "LYmCf+UMVdg=",
)
.categories(&["api-extensions"])
.columns(MUTATING_ADMISSION_POLICY_COLUMNS)
.conditional_update()
.generation()
.strategy(&MUTATING);

pub const MUTATING_ADMISSION_POLICY_BINDING: Builtin = Builtin::new(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingAdmissionPolicyBinding",
    "mutatingadmissionpolicybindings",
    "90V5FRZZ3Zg=",
)
.categories(&["api-extensions"])
.columns(MUTATING_ADMISSION_POLICY_BINDING_COLUMNS)
.conditional_update()
.generation()
.strategy(&Binding);

pub const VALIDATING_ADMISSION_POLICY: Builtin = Builtin::new(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingAdmissionPolicy",
    "validatingadmissionpolicies",
    "6OxvlMmQ6is=",
)
.categories(&["api-extensions"])
.subresources(&[("status", "ValidatingAdmissionPolicy", GET_PATCH_UPDATE)])
.columns(VALIDATING_ADMISSION_POLICY_COLUMNS)
.conditional_update()
.generation()
.status_keeps_metadata()
.strategy(&VALIDATING);

pub const VALIDATING_ADMISSION_POLICY_BINDING: Builtin = Builtin::new(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingAdmissionPolicyBinding",
    "validatingadmissionpolicybindings",
    "v9715VZqakg=",
)
.categories(&["api-extensions"])
.columns(VALIDATING_ADMISSION_POLICY_BINDING_COLUMNS)
.conditional_update()
.generation()
.strategy(&Binding);

const MUTATING_ADMISSION_POLICY_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Mutations", "integer", "", 0),
    ("ParamKind", "string", "", 0),
    ("Age", "string", "", 0),
];

const MUTATING_ADMISSION_POLICY_BINDING_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("PolicyName", "string", "", 0),
    ("ParamRef", "string", "", 0),
    ("Age", "string", "", 0),
];

const VALIDATING_ADMISSION_POLICY_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Validations", "integer", "", 0),
    ("ParamKind", "string", "", 0),
    ("Age", "string", "", 0),
];

const VALIDATING_ADMISSION_POLICY_BINDING_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("PolicyName", "string", "", 0),
    ("ParamRef", "string", "", 0),
    ("Age", "string", "", 0),
];

struct Policy {
    /// The list of what the policy does.
    list: &'static str,
}

const MUTATING: Policy = Policy { list: "spec.mutations" };
const VALIDATING: Policy = Policy { list: "spec.validations" };

impl Strategy for Policy {
    fn default(&self, _r: &Resource, object: &mut Value) {
        set_default(object, "spec.failurePolicy", "Fail");
        if let Some(constraints) = get_mut(object, "spec.matchConstraints") {
            default_match(constraints);
        }
    }

    fn validate_create(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        validate::policy(object, None, self.list == MUTATING.list)
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        validate::policy(new, Some(old), self.list == MUTATING.list)
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let kind = match get(object, "spec.paramKind") {
            Value::Null => "<unset>".into(),
            kind => format!("{}/{}", text(kind, "apiVersion"), text(kind, "kind")),
        };
        vec![name_cell(object), items(object, self.list).len().into(), kind.into(), age_cell(object, now)]
    }
}

fn default_match(constraints: &mut Value) {
    set_default(constraints, "matchPolicy", "Equivalent");
    set_default(constraints, "namespaceSelector", json!({}));
    set_default(constraints, "objectSelector", json!({}));
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in items_mut(constraints, list) {
            set_default(rule, "scope", "*");
        }
    }
}

struct Binding;

impl Strategy for Binding {
    fn default(&self, _r: &Resource, object: &mut Value) {
        if let Some(resources) = get_mut(object, "spec.matchResources") {
            default_match(resources);
        }
    }

    fn validate(&self, r: &Resource, object: &Value) -> Vec<FieldError> {
        validate::binding(object, r.plural.starts_with("mutating"))
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let param = get(object, "spec.paramRef");
        let shown = match (text(param, "name"), text(param, "namespace")) {
            ("", _) if has(param, "selector") => crate::selector::format_value(get(param, "selector")),
            ("", _) => "<unset>".into(),
            (name, "") => format!("*/{name}"),
            (name, namespace) => format!("{namespace}/{name}"),
        };
        vec![name_cell(object), text_cell(object, "spec.policyName"), shown.into(), age_cell(object, now)]
    }
}
