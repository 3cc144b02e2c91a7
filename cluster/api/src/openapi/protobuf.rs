//! The v2 document as a `openapi.v2.Document` message (gnostic's encoding of Swagger 2.0).

use serde_json::{Map, Value};

use crate::protobuf::{put_bytes as bytes, put_tag, put_varint as varint, wrap};

/// The parts written so far; the lengths of messages are known only at the end.
pub(super) struct Document {
    head: Vec<u8>,
    paths: Vec<u8>,
    definitions: Vec<u8>,
}

impl Document {
    pub(super) fn new(info: &Value) -> Self {
        let mut head = Vec::new();
        string(&mut head, 1, "2.0");
        message(&mut head, 2, |out| {
            text(out, 1, info.get("title"));
            text(out, 2, info.get("version"));
        });
        Self { head, paths: Vec::new(), definitions: Vec::new() }
    }

    pub(super) fn path(&mut self, name: &str, item: &Value) {
        message(&mut self.paths, 2, |out| {
            string(out, 1, name);
            message(out, 2, |out| path_item(out, item));
        });
    }

    pub(super) fn definition(&mut self, name: &str, definition: &Value) {
        named_schema(&mut self.definitions, name, definition);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let mut out = self.head;
        bytes(&mut out, 8, &self.paths);
        drop(self.paths);
        bytes(&mut out, 9, &self.definitions);
        out
    }
}

fn string(out: &mut Vec<u8>, field: u32, content: &str) {
    bytes(out, field, content.as_bytes());
}

fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    wrap(out, start, field);
}

fn text(out: &mut Vec<u8>, field: u32, value: Option<&Value>) {
    if let Some(text) = value.and_then(Value::as_str) {
        string(out, field, text);
    }
}

fn flag(out: &mut Vec<u8>, field: u32, value: Option<&Value>) {
    if value.and_then(Value::as_bool) == Some(true) {
        put_tag(out, field, 0);
        varint(out, 1);
    }
}

fn integer(out: &mut Vec<u8>, field: u32, value: Option<&Value>) {
    if let Some(number) = value.and_then(Value::as_i64) {
        put_tag(out, field, 0);
        varint(out, number as u64);
    }
}

fn double(out: &mut Vec<u8>, field: u32, value: Option<&Value>) {
    if let Some(number) = value.and_then(Value::as_f64) {
        put_tag(out, field, 1);
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn texts(out: &mut Vec<u8>, field: u32, value: Option<&Value>) {
    for item in value.and_then(Value::as_array).into_iter().flatten() {
        text(out, field, Some(item));
    }
}

/// `Any`: the value as YAML, of which JSON is a part.
fn any(out: &mut Vec<u8>, field: u32, value: &Value) {
    message(out, field, |out| string(out, 2, &value.to_string()));
}

fn extensions(out: &mut Vec<u8>, field: u32, map: &Map<String, Value>) {
    for (name, value) in map.iter().filter(|(name, _)| name.starts_with("x-")) {
        message(out, field, |out| {
            string(out, 1, name);
            any(out, 2, value);
        });
    }
}

fn path_item(out: &mut Vec<u8>, item: &Value) {
    let methods = [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)];
    for (method, field) in methods {
        if let Some(Value::Object(it)) = item.get(method) {
            message(out, field, |out| operation(out, it));
        }
    }
    parameters(out, 9, item.get("parameters"));
}

fn operation(out: &mut Vec<u8>, operation: &Map<String, Value>) {
    texts(out, 1, operation.get("tags"));
    text(out, 3, operation.get("description"));
    text(out, 5, operation.get("operationId"));
    texts(out, 6, operation.get("produces"));
    texts(out, 7, operation.get("consumes"));
    parameters(out, 8, operation.get("parameters"));
    message(out, 9, |out| {
        let responses = operation.get("responses").and_then(Value::as_object);
        for (code, response) in responses.into_iter().flatten() {
            message(out, 1, |out| {
                string(out, 1, code);
                message(out, 2, |out| message(out, 1, |out| answer(out, response)));
            });
        }
    });
    extensions(out, 13, operation);
}

fn answer(out: &mut Vec<u8>, response: &Value) {
    text(out, 1, response.get("description"));
    if let Some(Value::Object(it)) = response.get("schema") {
        message(out, 2, |out| message(out, 1, |out| schema(out, it)));
    }
}

fn parameters(out: &mut Vec<u8>, field: u32, list: Option<&Value>) {
    for parameter in list.and_then(Value::as_array).into_iter().flatten() {
        message(out, field, |out| message(out, 1, |out| one_parameter(out, parameter)));
    }
}

fn one_parameter(out: &mut Vec<u8>, parameter: &Value) {
    let get = |name: &str| parameter.get(name);
    if get("in").is_some_and(|place| place == "body") {
        message(out, 1, |out| {
            text(out, 1, get("description"));
            text(out, 2, get("name"));
            text(out, 3, get("in"));
            flag(out, 4, get("required"));
            if let Some(Value::Object(it)) = get("schema") {
                message(out, 5, |out| schema(out, it));
            }
        });
        return;
    }
    let in_path = get("in").is_some_and(|place| place == "path");
    // The two messages differ: a query parameter may be empty, which shifts the fields behind.
    let (kind, type_field, unique_field) = if in_path { (4, 5, 19) } else { (3, 6, 20) };
    message(out, 2, |out| {
        message(out, kind, |out| {
            flag(out, 1, get("required"));
            text(out, 2, get("in"));
            text(out, 3, get("description"));
            text(out, 4, get("name"));
            text(out, type_field, get("type"));
            flag(out, unique_field, get("uniqueItems"));
        });
    });
}

fn named_schema(out: &mut Vec<u8>, name: &str, value: &Value) {
    let empty = Map::new();
    message(out, 1, |out| {
        string(out, 1, name);
        message(out, 2, |out| schema(out, value.as_object().unwrap_or(&empty)));
    });
}

fn schema(out: &mut Vec<u8>, map: &Map<String, Value>) {
    let get = |name: &str| map.get(name);
    text(out, 1, get("$ref"));
    text(out, 2, get("format"));
    text(out, 3, get("title"));
    text(out, 4, get("description"));
    if let Some(value) = get("default") {
        any(out, 5, value);
    }
    double(out, 6, get("multipleOf"));
    double(out, 7, get("maximum"));
    flag(out, 8, get("exclusiveMaximum"));
    double(out, 9, get("minimum"));
    flag(out, 10, get("exclusiveMinimum"));
    integer(out, 11, get("maxLength"));
    integer(out, 12, get("minLength"));
    text(out, 13, get("pattern"));
    integer(out, 14, get("maxItems"));
    integer(out, 15, get("minItems"));
    flag(out, 16, get("uniqueItems"));
    integer(out, 17, get("maxProperties"));
    integer(out, 18, get("minProperties"));
    texts(out, 19, get("required"));
    for value in get("enum").and_then(Value::as_array).into_iter().flatten() {
        any(out, 20, value);
    }
    match get("additionalProperties") {
        Some(Value::Object(it)) => {
            message(out, 21, |out| message(out, 1, |out| schema(out, it)));
        }
        Some(Value::Bool(true)) => message(out, 21, |out| {
            flag(out, 2, Some(&Value::Bool(true)));
        }),
        _ => {}
    }
    if get("type").is_some() {
        message(out, 22, |out| text(out, 1, get("type")));
    }
    if let Some(Value::Object(it)) = get("items") {
        message(out, 23, |out| message(out, 1, |out| schema(out, it)));
    }
    if let Some(Value::Object(properties)) = get("properties") {
        message(out, 25, |out| {
            for (name, property) in properties {
                named_schema(out, name, property);
            }
        });
    }
    extensions(out, 31, map);
}
