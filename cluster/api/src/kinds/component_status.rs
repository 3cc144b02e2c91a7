//! ComponentStatus.

use jiff::Timestamp;
use serde_json::Value;

use super::builtin::{Builtin, Col};
use crate::resource::Resource;
use crate::strategy::Strategy;
use crate::table::name_cell;
use crate::value::{items, text};

pub const COMPONENT_STATUS: Builtin = Builtin::new("", "v1", "ComponentStatus", "componentstatuses", "")
    .short(&["cs"])
    .verbs(&["get", "list"])
    .columns(COMPONENT_STATUS_COLUMNS)
    .strategy(&ComponentStatus);

const COMPONENT_STATUS_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Status", "string", "", 0),
    ("Message", "string", "", 0),
    ("Error", "string", "", 0),
];

struct ComponentStatus;

impl Strategy for ComponentStatus {
    fn row(&self, _r: &Resource, object: &Value, _now: Timestamp) -> Vec<Value> {
        let healthy = items(object, "conditions").iter().find(|c| text(c, "type") == "Healthy");
        let (status, message, error) = match healthy {
            None => ("Unknown", "", ""),
            Some(c) => {
                let word = if text(c, "status") == "True" { "Healthy" } else { "Unhealthy" };
                (word, text(c, "message"), text(c, "error"))
            }
        };
        vec![name_cell(object), status.into(), message.into(), error.into()]
    }
}
