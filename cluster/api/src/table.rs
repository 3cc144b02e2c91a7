//! Server-side tables (`meta.k8s.io/v1` Table).

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::meta;
use crate::resource::Resource;
use crate::value::{get, has, int, text};

/// One column of a kind's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// `string`, `integer`, `date`, ...
    pub kind: String,
    pub format: String,
    pub description: String,
    /// 0 is always shown, 1 only with `-o wide`.
    pub priority: i32,
    /// Where a custom resource's value is; empty for columns that a strategy computes.
    pub json_path: String,
}

/// The `includeObject` query parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IncludeObject {
    None,
    #[default]
    Metadata,
    Object,
}

impl IncludeObject {
    /// From the query parameter; empty is the default.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "Metadata" => Some(Self::Metadata),
            "None" => Some(Self::None),
            "Object" => Some(Self::Object),
            _ => None,
        }
    }
}

/// A Table of `objects` (in the served version). `list_meta` becomes the table's metadata.
/// `headers` is false for the second and later events of a watch.
pub fn table(
    resource: &Resource,
    objects: &[Value],
    list_meta: Value,
    include: IncludeObject,
    headers: bool,
    now: Timestamp,
) -> Value {
    let mut table = empty(resource, list_meta, headers);
    table["rows"] = objects.iter().map(|object| row(resource, object, include, now)).collect();
    table
}

/// A Table without its rows.
pub fn empty(resource: &Resource, list_meta: Value, headers: bool) -> Value {
    let columns: Vec<Value> = match headers {
        true => resource.columns.iter().map(column_value).collect(),
        false => Vec::new(),
    };
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": list_meta,
        "columnDefinitions": columns,
    })
}

/// The row of an object (in the served version).
pub fn row(resource: &Resource, object: &Value, include: IncludeObject, now: Timestamp) -> Value {
    let mut row = row_of(resource, object, now);
    row["object"] = match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Metadata => partial_metadata(object),
        IncludeObject::Object => object.clone(),
    };
    row
}

fn row_of(resource: &Resource, object: &Value, now: Timestamp) -> Value {
    let cells = resource.strategy.row(resource, object, now);
    match resource.strategy.row_conditions(object) {
        Value::Null => json!({"cells": cells}),
        conditions => json!({"cells": cells, "conditions": conditions}),
    }
}

fn column_value(column: &Column) -> Value {
    json!({
        "name": column.name,
        "type": column.kind,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    })
}

/// The PartialObjectMetadata of an object.
pub fn partial_metadata(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": get(object, "metadata"),
    })
}

/// The row of a kind without a printer: name, then the creation time; a custom resource's columns
/// are read by their JSON paths.
pub fn default_row(resource: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
    let cell = |column: &Column| match column.json_path.as_str() {
        "" if column.format == "name" => meta::name(object).into(),
        "" => get(object, "metadata.creationTimestamp").clone(),
        path => crate::jsonpath::cell(object, path, &column.kind, now),
    };
    resource.columns.iter().map(cell).collect()
}

/// The cell of the name.
pub fn name_cell(object: &Value) -> Value {
    meta::name(object).into()
}

/// The cell of the age.
pub fn age_cell(object: &Value, now: Timestamp) -> Value {
    age(object, now).into()
}

/// The cell of a text at a path.
pub fn text_cell(object: &Value, path: &str) -> Value {
    text(object, path).into()
}

/// The cell of a number at a path; absent is 0.
pub fn int_cell(object: &Value, path: &str) -> Value {
    int(object, path).unwrap_or_default().into()
}

/// The cells of names and images of a pod template's containers.
pub fn template_cells(object: &Value, spec: &str) -> [Value; 2] {
    let (names, images) = containers(get(object, spec));
    [names.into(), images.into()]
}

/// The age of an object, for people.
pub fn age(object: &Value, now: Timestamp) -> String {
    since(get(object, "metadata.creationTimestamp"), now)
}

/// The time since a timestamp, for people; `<unknown>` when there is none.
pub fn since(time: &Value, now: Timestamp) -> String {
    match time.as_str().and_then(meta::parse_time) {
        Some(at) => human_duration(now.as_second() - at.as_second()),
        None => "<unknown>".into(),
    }
}

/// The time until a timestamp, for people.
pub fn until(time: &Value, now: Timestamp) -> String {
    match time.as_str().and_then(meta::parse_time) {
        Some(at) => human_duration(at.as_second() - now.as_second()),
        None => "<unknown>".into(),
    }
}

/// Seconds for people, with two units at most and only where the second still says something:
/// `119s`, `3m5s`, `15m`, `5h10m`, `2d3h`, `30d`, `3y40d`.
pub fn human_duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |big: i64, big_unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{big}{big_unit}"),
        small => format!("{big}{big_unit}{small}{small_unit}"),
    };
    // A clock that runs a little behind is no reason to show a negative age.
    match seconds {
        s if s < -1 => "<invalid>".into(),
        s if s < 0 => "0s".into(),
        s if s < 2 * MINUTE => format!("{s}s"),
        s if s < 10 * MINUTE => two(s / MINUTE, "m", s % MINUTE, "s"),
        s if s < 3 * HOUR => format!("{}m", s / MINUTE),
        s if s < 8 * HOUR => two(s / HOUR, "h", s % HOUR / MINUTE, "m"),
        s if s < 2 * DAY => format!("{}h", s / HOUR),
        s if s < 8 * DAY => two(s / DAY, "d", s % DAY / HOUR, "h"),
        s if s < 2 * YEAR => format!("{}d", s / DAY),
        s if s < 8 * YEAR => two(s / YEAR, "y", s % YEAR / DAY, "d"),
        s => format!("{}y", s / YEAR),
    }
}

/// `<none>` for an empty text.
pub fn or_none(text: &str) -> String {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

/// Names and images of the containers of a pod spec, comma-separated.
pub fn containers(spec: &Value) -> (String, String) {
    let list = crate::value::items(spec, "containers");
    let join = |field| {
        let parts: Vec<&str> = list.iter().map(|c| text(c, field)).collect();
        parts.join(",")
    };
    (join("name"), join("image"))
}

/// The first of the paths that holds something.
pub fn first_of<'a>(object: &'a Value, paths: &[&str]) -> &'a Value {
    let found = paths.iter().find(|path| has(object, path));
    found.map_or(&Value::Null, |path| get(object, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_for_people() {
        let cases = [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (185, "3m5s"),
            (600, "10m"),
            (10799, "179m"),
            (10800, "3h"),
            (10860, "3h1m"),
            (28800, "8h"),
            (172799, "47h"),
            (172800, "2d"),
            (176400, "2d1h"),
            (691200, "8d"),
            (63071999, "729d"),
            (63072000, "2y"),
            (63158400, "2y1d"),
            (252288000, "8y"),
        ];
        for (seconds, text) in cases {
            assert_eq!(human_duration(seconds), text, "{seconds}");
        }
    }
}
