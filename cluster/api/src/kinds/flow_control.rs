//! FlowSchema and PriorityLevelConfiguration.

mod validate;

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use crate::table::{age_cell, int_cell, name_cell, text_cell};
use crate::value::{has, int, items, set, set_default, text};

pub const FLOW_SCHEMA: Builtin =
    Builtin::new("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", "flowschemas", "GJVAJZSZBIw=")
        .subresources(&[("status", "FlowSchema", GET_PATCH_UPDATE)])
        .columns(FLOW_SCHEMA_COLUMNS)
        .generation()
        .status_keeps_metadata()
        .strategy(&Schema);

pub const PRIORITY_LEVEL_CONFIGURATION: Builtin = Builtin::new(
    "flowcontrol.apiserver.k8s.io",
    "v1",
    "PriorityLevelConfiguration",
    "prioritylevelconfigurations",
    "Kir5PVfvNeI=",
)
.subresources(&[("status", "PriorityLevelConfiguration", GET_PATCH_UPDATE)])
.columns(PRIORITY_LEVEL_CONFIGURATION_COLUMNS)
.generation()
.status_keeps_metadata()
.strategy(&Level);

const FLOW_SCHEMA_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("PriorityLevel", "string", "", 0),
    ("MatchingPrecedence", "string", "", 0),
    ("DistinguisherMethod", "string", "", 0),
    ("Age", "string", "", 0),
    ("MissingPL", "string", "", 0),
];

const PRIORITY_LEVEL_CONFIGURATION_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Type", "string", "", 0),
    ("NominalConcurrencyShares", "string", "", 0),
    ("Queues", "string", "", 0),
    ("HandSize", "string", "", 0),
    ("QueueLengthLimit", "string", "", 0),
    ("Age", "string", "", 0),
];

struct Schema;

impl Strategy for Schema {
    fn default(&self, _r: &Resource, object: &mut Value) {
        if int(object, "spec.matchingPrecedence").unwrap_or_default() == 0 {
            set(object, "spec.matchingPrecedence", 1000);
        }
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        validate::flow_schema(object)
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.conditions(items(new, "status.conditions"), "status.conditions");
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let dangling = items(object, "status.conditions").iter().find(|c| text(c, "type") == "Dangling");
        vec![
            name_cell(object),
            text_cell(object, "spec.priorityLevelConfiguration.name"),
            int_cell(object, "spec.matchingPrecedence"),
            crate::table::or_none(text(object, "spec.distinguisherMethod.type")).into(),
            age_cell(object, now),
            dangling.map_or("?", |c| text(c, "status")).into(),
        ]
    }
}

struct Level;

impl Strategy for Level {
    fn default(&self, _r: &Resource, object: &mut Value) {
        for (kind, shares) in [("spec.exempt", 0), ("spec.limited", 30)] {
            if has(object, kind) {
                set_default(object, &format!("{kind}.nominalConcurrencyShares"), shares);
                set_default(object, &format!("{kind}.lendablePercent"), 0);
            }
        }
        const QUEUING: &str = "spec.limited.limitResponse.queuing";
        if has(object, QUEUING) {
            for (field, number) in [("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)] {
                let path = format!("{QUEUING}.{field}");
                if int(object, &path).unwrap_or_default() == 0 {
                    set(object, &path, number);
                }
            }
        }
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        validate::priority_level(object)
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.conditions(items(new, "status.conditions"), "status.conditions");
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let number = |path: &str| match int(object, path) {
            Some(number) => number.into(),
            None => Value::from("<none>"),
        };
        let queuing = |field: &str| number(&format!("spec.limited.limitResponse.queuing.{field}"));
        vec![
            name_cell(object),
            text_cell(object, "spec.type"),
            number("spec.limited.nominalConcurrencyShares"),
            queuing("queues"),
            queuing("handSize"),
            queuing("queueLengthLimit"),
            age_cell(object, now),
        ]
    }
}
