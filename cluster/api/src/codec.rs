//! Bytes to objects and back.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::field::FieldError;
use crate::meta;
use crate::resource::Resource;
use crate::schema;
use crate::status::Status;
use crate::value::{go_text, text};

/// Media types of bodies that are understood (protobuf is made JSON before).
pub const BODY_TYPES: [&str; 3] = ["application/json", "application/yaml", crate::protobuf::PROTOBUF];

/// The `fieldValidation` query parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// Which patch a body is, by its content type (server-side apply is separate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902, `application/json-patch+json`.
    Json,
    /// RFC 7396, `application/merge-patch+json`.
    Merge,
    /// `application/strategic-merge-patch+json`.
    Strategic,
}

/// A decoded body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    pub object: Value,
    /// Texts for `Warning` headers (unknown and duplicate fields).
    pub warnings: Vec<String>,
}

/// An object ready for the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    pub bytes: Bytes,
    /// Offset in `bytes` between the quotes of `"resourceVersion":""`.
    pub splice_at: u32,
    pub labels: Vec<(String, String)>,
    pub fields: Vec<(String, String)>,
}

/// Managers with longer names are refused.
const LONGEST_MANAGER: usize = 128;

impl FieldValidation {
    /// From the query parameters `fieldValidation` (empty means the default, `Warn`) and
    /// `fieldManager` of a write; `options` is their kind (`CreateOptions`), for the refusal.
    pub fn parse(text: &str, manager: &str, options: &str) -> Result<Self, Status> {
        let mut errors = Vec::new();
        if manager.len() > LONGEST_MANAGER {
            errors.push(FieldError::too_long("fieldManager", LONGEST_MANAGER));
        }
        for (at, c) in manager.char_indices().filter(|(_, c)| c.is_control()) {
            let detail = format!("invalid character U+{:04X} (at position {at})", u32::from(c));
            errors.push(FieldError::invalid("fieldManager", manager, detail));
        }
        let parsed = match text {
            "Ignore" => Self::Ignore,
            "" | "Warn" => Self::Warn,
            "Strict" => Self::Strict,
            other => {
                let known = ["", "Ignore", "Strict", "Warn"];
                errors.push(FieldError::not_supported("fieldValidation", other, known));
                Self::Warn
            }
        };
        match errors.is_empty() {
            true => Ok(parsed),
            false => Err(Status::invalid("meta.k8s.io", options, "", errors)),
        }
    }
}

/// Parses a JSON or YAML body into a value and the paths that occur twice in it, refusing other
/// media types. An empty content type is JSON.
fn parse(body: &[u8], content_type: &str) -> Result<schema::Parsed, Status> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let malformed = |e: &dyn std::fmt::Display| Status::bad_request(e.to_string());
    match media_type {
        "" | "application/json" | "*/*" => {
            schema::parse_json(body).map_err(|e| malformed(&format!("json parse error: {e}")))
        }
        "application/yaml" | "application/apply-patch+yaml" | "text/yaml" => {
            let text = std::str::from_utf8(body).map_err(|e| malformed(&e))?;
            schema::parse_yaml(text).map_err(|e| malformed(&format!("error decoding YAML: {e}")))
        }
        "application/merge-patch+json"
        | "application/strategic-merge-patch+json"
        | "application/json-patch+json" => {
            schema::parse_json(body).map_err(|e| malformed(&format!("error decoding patch: {e}")))
        }
        _ => Err(Status::unsupported_media_type(&BODY_TYPES)),
    }
}

/// Parses a JSON or YAML body into a value, refusing other media types.
pub fn parse_body(body: &[u8], content_type: &str) -> Result<Value, Status> {
    parse(body, content_type).map(|parsed| parsed.value)
}

/// Parses a body of `resource`: checks apiVersion and kind (absent ones are filled in), prunes
/// unknown fields, reports them as `field_validation` asks.
pub fn decode(
    body: &[u8],
    content_type: &str,
    resource: &Resource,
    field_validation: FieldValidation,
) -> Result<Decoded, Status> {
    let parsed = parse(body, content_type).map_err(|status| match status.code {
        400 => Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; {} ({})",
            resource.kind,
            status.message,
            summary(body)
        )),
        _ => status,
    })?;
    let (kind, version) = (&resource.kind, &resource.version);
    let refuse = |why: String| {
        Status::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
    };
    let schema::Parsed { value: mut object, duplicates } = parsed;
    check_kind(&mut object, resource)?;
    let unknown = fit(&mut object, resource).map_err(refuse)?;
    if unknown.is_empty() && duplicates.is_empty() {
        return Ok(Decoded { object, warnings: Vec::new() });
    }
    let problems = Problems::new(resource, body, unknown, &duplicates);
    match field_validation {
        FieldValidation::Ignore => Ok(Decoded { object, warnings: Vec::new() }),
        FieldValidation::Warn => Ok(Decoded { object, warnings: problems.warnings() }),
        FieldValidation::Strict => Err(refuse(problems.strict_error())),
    }
}

/// As [`decode`], for what a patch made of an object. `duplicates` are the fields that stand twice
/// in the patch, in words.
pub fn decode_patched(
    mut object: Value,
    resource: &Resource,
    patch: (PatchKind, &[u8]),
    duplicates: Vec<String>,
    field_validation: FieldValidation,
) -> Result<Decoded, Status> {
    let patched = object.clone();
    let refuse = |why: String| {
        // Of a strategic patch the patch itself is quoted, as Go prints a map.
        let shown = match (patch.0, serde_json::from_slice(patch.1)) {
            (PatchKind::Strategic, Ok(patch)) => go_text(&patch),
            _ => patched.to_string(),
        };
        Status::invalid("", "", "", vec![FieldError::invalid("patch", shown, why)])
    };
    check_kind(&mut object, resource)?;
    let unknown = fit(&mut object, resource).map_err(&refuse)?;
    let mut lines = duplicates;
    lines.extend(unknown.iter().map(|path| format!("unknown field {path:?}")));
    let problems = Problems { block: Vec::new(), lines };
    match field_validation {
        FieldValidation::Strict if !problems.lines.is_empty() => Err(refuse(problems.strict_error())),
        FieldValidation::Ignore => Ok(Decoded { object, warnings: Vec::new() }),
        _ => Ok(Decoded { object, warnings: problems.warnings() }),
    }
}

/// The object of a server-side apply. Its fields are judged by the merge, which knows whose they
/// are; here only a field that stands twice is a problem.
pub fn decode_applied(
    body: &[u8],
    resource: &Resource,
    field_validation: FieldValidation,
) -> Result<Decoded, Status> {
    let parsed = parse(body, "application/yaml")?;
    let schema::Parsed { value: mut object, duplicates } = parsed;
    check_kind(&mut object, resource)?;
    let problems = Problems { block: repeated_lines(&duplicates), lines: Vec::new() };
    match field_validation {
        FieldValidation::Strict if !problems.block.is_empty() => Err(Status::bad_request(format!(
            "error strict decoding YAML: error converting YAML to JSON: {}",
            problems.block_error()
        ))),
        FieldValidation::Ignore => Ok(Decoded { object, warnings: Vec::new() }),
        _ => Ok(Decoded { object, warnings: problems.warnings() }),
    }
}

/// What field validation has against a body.
struct Problems {
    /// What the YAML parser says, one line each.
    block: Vec<String>,
    lines: Vec<String>,
}

impl Problems {
    fn new(r: &Resource, body: &[u8], unknown: Vec<String>, duplicates: &[schema::Duplicate]) -> Self {
        let is_yaml = duplicates.first().is_some_and(|d| d.line.is_some());
        if is_yaml {
            let lines = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
            return Self { block: repeated_lines(duplicates), lines };
        }
        let repeated = duplicates.iter().map(|d| (true, d.path.clone()));
        let mut found: Vec<(bool, String)> = repeated.collect();
        found.extend(unknown.into_iter().map(|path| (false, path)));
        if r.custom.is_none() && found.len() > 1 {
            // A typed decoder meets both kinds in the order of the document.
            let order = schema::fields_in_order(body);
            let place = |(twice, path): &(bool, String)| {
                order.iter().enumerate().filter(|(_, p)| *p == path).map(|(i, _)| i).nth(usize::from(*twice))
            };
            found.sort_by_key(|problem| place(problem).unwrap_or(usize::MAX));
        }
        let words = |(twice, path): (bool, String)| match twice {
            true => format!("duplicate field {path:?}"),
            false => format!("unknown field {path:?}"),
        };
        Self { block: Vec::new(), lines: found.into_iter().map(words).collect() }
    }

    fn block_error(&self) -> String {
        format!("yaml: unmarshal errors:\n  {}", self.block.join("\n  "))
    }

    fn strict_error(&self) -> String {
        let mut all = Vec::new();
        if !self.block.is_empty() {
            all.push(self.block_error());
        }
        all.extend(self.lines.iter().cloned());
        format!("strict decoding error: {}", all.join(", "))
    }

    fn warnings(self) -> Vec<String> {
        self.block.into_iter().chain(self.lines).collect()
    }
}

/// `line 9: key "foo" already set in map`
fn repeated_lines(duplicates: &[schema::Duplicate]) -> Vec<String> {
    let lines = duplicates.iter().map(|d| match d.line {
        Some(line) => format!("line {line}: key {:?} already set in map", d.name),
        None => format!("duplicate field {:?}", d.path),
    });
    lines.collect()
}

/// Fields that stand twice in a patch, in words. A JSON patch is a list of operations, which says so.
pub fn duplicates_of_patch(kind: PatchKind, patch: &[u8]) -> Result<Vec<String>, Status> {
    let parsed = parse(patch, "application/merge-patch+json")?;
    let mut words = Vec::new();
    for duplicate in &parsed.duplicates {
        words.push(match kind {
            PatchKind::Json => format!("json patch duplicate field {:?}", duplicate.path),
            _ => format!("duplicate field {:?}", duplicate.path),
        });
    }
    if kind == PatchKind::Json {
        for (i, operation) in parsed.value.as_array().into_iter().flatten().enumerate() {
            let names = operation.as_object().into_iter().flat_map(|o| o.keys());
            let unknown = names.filter(|n| !matches!(n.as_str(), "op" | "path" | "from" | "value"));
            words.extend(unknown.map(|name| {
                let path = format!("[{i}].{name}");
                format!("json patch unknown field {path:?}")
            }));
        }
    }
    Ok(words)
}

/// Makes the object what the kind's decoder would make of it; the unknown fields, which are dropped.
pub(crate) fn fit(object: &mut Value, r: &Resource) -> Result<Vec<String>, String> {
    let schema = r.schema();
    let mut unknown = Vec::new();
    match r.custom {
        None => schema::check_types(&schema, object)?,
        Some(_) => unknown = fit_metadata(object)?,
    }
    unknown.extend(schema::prune(&schema, object));
    Ok(unknown)
}

fn check_kind(object: &mut Value, r: &Resource) -> Result<(), Status> {
    let expected = r.api_version();
    let Some(map) = object.as_object_mut() else {
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: json: cannot unmarshal into an object",
            r.kind
        )));
    };
    for (field, value) in [("apiVersion", expected.as_str()), ("kind", r.kind.as_str())] {
        let absent = map.get(field).is_none_or(|v| v.is_null() || v == "");
        if absent {
            map.insert(field.to_owned(), value.into());
        }
    }
    let (given, kind) = (text(object, "apiVersion"), text(object, "kind"));
    if given != expected {
        return Err(Status::bad_request(format!(
            "the API version in the data ({given}) does not match the expected API version ({expected})"
        )));
    }
    if kind != r.kind {
        let version = &r.version;
        return Err(Status::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {}: the kind in the data ({kind}) does not match the expected kind ({})",
            r.kind, r.kind
        )));
    }
    Ok(())
}

/// Metadata of a custom resource has the types and fields of ObjectMeta, whatever its schema says.
/// Answers the unknown fields, which are dropped.
fn fit_metadata(object: &mut Value) -> Result<Vec<String>, String> {
    let (Some(map), Some(schema)) = (object.as_object_mut(), schema::builtin("", "v1", "ConfigMap")) else {
        return Ok(Vec::new());
    };
    let Some(metadata) = map.remove("metadata") else {
        return Ok(Vec::new());
    };
    let mut alone = Value::Object(Map::from_iter([("metadata".to_owned(), metadata)]));
    schema::check_types(&schema, &alone)?;
    let unknown = schema::prune(&schema, &mut alone);
    if let Some(metadata) = alone.get_mut("metadata") {
        map.insert("metadata".to_owned(), metadata.take());
    }
    Ok(unknown)
}

fn summary(body: &[u8]) -> String {
    const SHOWN: usize = 30;
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]).into_owned();
    match body.len() > SHOWN {
        true => format!("{text:?} ..."),
        false => format!("{text:?}"),
    }
}

/// The final bytes of an object with an empty resourceVersion for the store to fill in.
pub fn encode(resource: &Resource, object: &Value) -> Encoded {
    let empty = Map::new();
    let map = object.as_object().unwrap_or(&empty);
    let storage = &resource.storage;
    let api_version = crate::resource::api_version(&storage.group, &storage.version);
    let mut out = String::with_capacity(1024);
    out.push_str("{\"kind\":");
    push(&mut out, &Value::from(storage.kind.as_str()));
    out.push_str(",\"apiVersion\":");
    push(&mut out, &Value::from(api_version));
    out.push_str(",\"metadata\":{\"resourceVersion\":\"");
    let splice_at = u32::try_from(out.len()).unwrap_or(u32::MAX);
    out.push('"');
    let metadata = map.get("metadata").and_then(Value::as_object);
    for (key, value) in metadata.into_iter().flatten() {
        if key != "resourceVersion" {
            push_member(&mut out, key, value);
        }
    }
    out.push('}');
    for (key, value) in map {
        if !matches!(key.as_str(), "kind" | "apiVersion" | "metadata") {
            push_member(&mut out, key, value);
        }
    }
    out.push('}');
    Encoded {
        bytes: out.into(),
        splice_at,
        labels: meta::labels(object),
        fields: resource.stored_fields(object),
    }
}

fn push_member(out: &mut String, key: &str, value: &Value) {
    out.push(',');
    push(out, &Value::from(key));
    out.push(':');
    push(out, value);
}

fn push(out: &mut String, value: &Value) {
    out.push_str(&value.to_string());
}
