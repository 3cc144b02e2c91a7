//! Event, in `v1` and in `events.k8s.io/v1`: one storage, two shapes.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col};
use crate::meta;
use crate::names;
use crate::table::{since, text_cell};
use crate::value::{get, has, int, remove, same, set_default, text};

pub const EVENT: Builtin = Builtin::new("", "v1", "Event", "events", "r2yiGXH7wu8=")
    .namespaced()
    .short(&["ev"])
    .columns(EVENT_COLUMNS)
    .selectable(&[
        ("involvedObject.kind", ""),
        ("involvedObject.namespace", ""),
        ("involvedObject.name", ""),
        ("involvedObject.uid", ""),
        ("involvedObject.apiVersion", ""),
        ("involvedObject.resourceVersion", ""),
        ("involvedObject.fieldPath", ""),
        ("reason", ""),
        ("reportingComponent", ""),
        ("source=source.component", ""),
        ("type", ""),
    ])
    .create_on_update()
    .strategy(&CoreEvent);

pub const EVENTS_K8S_EVENT: Builtin = Builtin::new("events.k8s.io", "v1", "Event", "events", "r2yiGXH7wu8=")
    .namespaced()
    .short(&["ev"])
    .stored_as("", "v1")
    .columns(EVENT_COLUMNS)
    .selectable(&[
        ("regarding.kind@involvedObject.kind", ""),
        ("regarding.namespace@involvedObject.namespace", ""),
        ("regarding.name@involvedObject.name", ""),
        ("regarding.uid@involvedObject.uid", ""),
        ("regarding.apiVersion@involvedObject.apiVersion", ""),
        ("regarding.resourceVersion@involvedObject.resourceVersion", ""),
        ("regarding.fieldPath@involvedObject.fieldPath", ""),
        ("reason", ""),
        ("reportingController@reportingComponent", ""),
        ("type", ""),
    ])
    .create_on_update()
    .strategy(&NewEvent);

const EVENT_COLUMNS: &[Col] = &[
    ("Last Seen", "string", "", 0),
    ("Type", "string", "", 0),
    ("Reason", "string", "", 0),
    ("Object", "string", "", 0),
    ("Subobject", "string", "", 1),
    ("Source", "string", "", 1),
    ("Message", "string", "", 0),
    ("First Seen", "string", "", 1),
    ("Count", "string", "", 1),
    ("Name", "string", "name", 1),
];

struct CoreEvent;

impl Strategy for CoreEvent {
    /// An event without a source is selected by who reported it.
    fn more_fields(&self, object: &Value, fields: &mut Vec<(String, String)>) {
        for (name, value) in fields {
            if name == "source" && value.is_empty() {
                *value = text(object, "reportingComponent").to_owned();
            }
        }
    }

    fn default(&self, _r: &Resource, object: &mut Value) {
        set_default(object, "source", json!({}));
        set_default(object, "reportingComponent", "");
        set_default(object, "reportingInstance", "");
        for time in ["firstTimestamp", "lastTimestamp", "eventTime"] {
            if !has(object, time) {
                object[time] = Value::Null;
            }
        }
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let (own, about) = (meta::namespace(object), text(object, "involvedObject.namespace"));
        let is_new = has(object, "eventTime");
        let agrees = match (is_new, about) {
            (false, "") => own == "default",
            (true, "") => matches!(own, "default" | "kube-system"),
            (_, about) => about == own,
        };
        if !agrees && (!is_new || about.is_empty()) {
            errors.invalid("involvedObject.namespace", about, "does not match event.namespace");
        }
        if is_new {
            validate_new(object, &mut errors);
        }
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        row(object, now)
    }
}

/// What is asked of events that carry an `eventTime`.
fn validate_new(object: &Value, errors: &mut Errors) {
    let reporter = text(object, "reportingComponent");
    if reporter.is_empty() {
        errors.required("reportingController", "");
    }
    errors.reasons("reportingController", reporter, names::qualified(reporter));
    for (field, max) in [("reportingInstance", 128), ("action", 128), ("reason", 128)] {
        let value = text(object, field);
        if value.is_empty() {
            errors.required(field, "");
        }
        if value.len() > max {
            errors.invalid(field, "", format!("can have at most {max} characters"));
        }
    }
    if text(object, "message").len() > 1024 {
        errors.invalid("message", "", "can have at most 1024 characters");
    }
}

fn validate_series(object: &Value, errors: &mut Errors) {
    let series = get(object, "series");
    if series.is_null() {
        return;
    }
    if int(series, "count").unwrap_or_default() < 2 {
        errors.invalid("series.count", "", "should be at least 2");
    }
    if !has(series, "lastObservedTime") {
        errors.required("series.lastObservedTime", "");
    }
}

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let first = match has(object, "firstTimestamp") {
        true => since(get(object, "firstTimestamp"), now),
        false => since(get(object, "eventTime"), now),
    };
    let series = get(object, "series");
    let last = if !series.is_null() {
        since(get(series, "lastObservedTime"), now)
    } else if has(object, "lastTimestamp") {
        since(get(object, "lastTimestamp"), now)
    } else {
        first.clone()
    };
    let count = int(series, "count").or(int(object, "count").filter(|c| *c != 0)).unwrap_or(1);
    let kind = text(object, "involvedObject.kind").to_lowercase();
    let target = match text(object, "involvedObject.name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let or = |a: &str, b: &str| match text(object, a) {
        "" => text(object, b).to_owned(),
        text => text.to_owned(),
    };
    let component = or("source.component", "reportingComponent");
    let source = match or("source.host", "reportingInstance").as_str() {
        "" => component,
        instance => format!("{component}, {instance}"),
    };
    vec![
        last.into(),
        text_cell(object, "type"),
        text_cell(object, "reason"),
        target.into(),
        text_cell(object, "involvedObject.fieldPath"),
        source.into(),
        text(object, "message").trim().into(),
        first.into(),
        count.into(),
        meta::name(object).into(),
    ]
}

/// Fields that have another name in `events.k8s.io/v1`: core name, new name.
const RENAMED: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

struct NewEvent;

/// What of an event stays as it is.
const FIXED: [&str; 13] = [
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
];

impl Strategy for NewEvent {
    /// Stricter than for `v1`: what that has besides is not to be set.
    fn validate_create(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        validate_series(object, &mut errors);
        if !has(object, "eventTime") {
            errors.required("eventTime", "");
        }
        let kind = text(object, "type");
        if !matches!(kind, "Normal" | "Warning") {
            errors.invalid("type", "", format!("has invalid value: {kind}"));
        }
        let source = ["component", "host"].iter().any(|field| !text(get(object, "source"), field).is_empty());
        for (field, given) in [
            ("firstTimestamp", has(object, "firstTimestamp")),
            ("lastTimestamp", has(object, "lastTimestamp")),
            ("count", int(object, "count").unwrap_or_default() != 0),
            ("source", source),
        ] {
            if given {
                errors.invalid(field, "", "needs to be unset");
            }
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        if !same(get(new, "series"), get(old, "series")) {
            validate_series(new, &mut errors);
        }
        // Clients may write fewer digits than they read.
        let micros = |o: &Value| meta::parse_time(text(o, "eventTime")).map(|at| at.as_microsecond());
        let moment = |field: &str| field == "eventTime" && micros(new) == micros(old);
        for field in FIXED.iter().filter(|field| !same(&new[**field], &old[**field]) && !moment(field)) {
            let name = if *field == "reportingComponent" { "reportingController" } else { field };
            errors.invalid(name, new[*field].clone(), meta::IMMUTABLE);
        }
        errors.0
    }

    fn convert_stored(&self, r: &Resource, mut stored: Value) -> Value {
        for (old, new) in RENAMED {
            if let Some(value) = remove(&mut stored, old) {
                stored[new] = value;
            }
        }
        stored["apiVersion"] = r.api_version().into();
        stored
    }

    fn convert_to_stored(&self, _r: &Resource, mut object: Value) -> Value {
        for (old, new) in RENAMED {
            if let Some(value) = remove(&mut object, new) {
                object[old] = value;
            }
        }
        object["apiVersion"] = "v1".into();
        object
    }

    fn row(&self, r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        row(&self.convert_to_stored(r, object.clone()), now)
    }
}
