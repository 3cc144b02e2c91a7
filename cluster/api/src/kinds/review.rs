//! Reviews: created, answered, never stored.

use serde_json::Value;

use super::builtin::Builtin;
use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;
use crate::value::{get, has, items, text};

pub const SELF_SUBJECT_REVIEW: Builtin =
    Builtin::new("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", "")
        .verbs(&["create"]);

pub const TOKEN_REVIEW: Builtin =
    Builtin::new("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", "").verbs(&["create"]);

pub const LOCAL_SUBJECT_ACCESS_REVIEW: Builtin =
    Builtin::new("authorization.k8s.io", "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews", "")
        .namespaced()
        .verbs(&["create"])
        .strategy(&OF_SUBJECT);

pub const SELF_SUBJECT_ACCESS_REVIEW: Builtin =
    Builtin::new("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", "")
        .verbs(&["create"])
        .strategy(&OF_SELF);

pub const SELF_SUBJECT_RULES_REVIEW: Builtin =
    Builtin::new("authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", "")
        .verbs(&["create"]);

pub const SUBJECT_ACCESS_REVIEW: Builtin =
    Builtin::new("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", "")
        .verbs(&["create"])
        .strategy(&OF_SUBJECT);

struct AccessReview {
    /// True when the review names its subject (the others are about who asks).
    names_subject: bool,
}

const OF_SUBJECT: AccessReview = AccessReview { names_subject: true };
const OF_SELF: AccessReview = AccessReview { names_subject: false };

impl Strategy for AccessReview {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let spec = get(object, "spec");
        match (has(spec, "resourceAttributes"), has(spec, "nonResourceAttributes")) {
            (true, true) => {
                let value = get(spec, "nonResourceAttributes").clone();
                let detail = "cannot be specified in combination with resourceAttributes";
                errors.invalid("spec.nonResourceAttributes", value, detail);
            }
            (false, false) => {
                let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
                errors.invalid("spec.resourceAttributes", Value::Null, detail);
            }
            _ => {}
        }
        let nobody = text(spec, "user").is_empty() && items(spec, "groups").is_empty();
        if self.names_subject && nobody {
            let detail = "at least one of user or group must be specified";
            errors.invalid("spec.user", "", detail);
        }
        errors.0
    }
}
