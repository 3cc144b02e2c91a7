//! Bytes to objects and back.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::meta;
use crate::resource::Resource;
use crate::schema;
use crate::status::Status;
use crate::value::text;

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

impl FieldValidation {
    /// From the query parameter; empty means the default, `Warn`.
    pub fn parse(text: &str) -> Result<Self, Status> {
        match text {
            "Ignore" => Ok(Self::Ignore),
            "" | "Warn" => Ok(Self::Warn),
            "Strict" => Ok(Self::Strict),
            other => {
                let error =
                    crate::FieldError::not_supported("fieldValidation", other, ["Ignore", "Strict", "Warn"]);
                let kind = "CreateOptions";
                Err(Status::invalid("meta.k8s.io", kind, "", vec![error]))
            }
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
            let value =
                serde_saphyr::from_str(text).map_err(|e| malformed(&format!("error decoding YAML: {e}")))?;
            Ok(schema::Parsed { value, duplicates: Vec::new() })
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
    fit(parsed, resource, field_validation)
}

/// As [`decode`], for an object that is parsed already (a patch result).
pub fn decode_value(
    object: Value,
    resource: &Resource,
    field_validation: FieldValidation,
) -> Result<Decoded, Status> {
    let parsed = schema::Parsed { value: object, duplicates: Vec::new() };
    fit(parsed, resource, field_validation)
}

fn fit(parsed: schema::Parsed, r: &Resource, field_validation: FieldValidation) -> Result<Decoded, Status> {
    let schema::Parsed { value: mut object, duplicates } = parsed;
    check_kind(&mut object, r)?;
    let schema = r.schema();
    let (kind, version) = (&r.kind, &r.version);
    let refuse = |why: String| {
        Status::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
    };
    let mut unknown = Vec::new();
    match r.custom {
        None => schema::check_types(&schema, &object).map_err(refuse)?,
        Some(_) => unknown = fit_metadata(&mut object).map_err(refuse)?,
    }
    unknown.extend(schema::prune(&schema, &mut object));
    let mut problems: Vec<String> = Vec::new();
    problems.extend(unknown.iter().map(|path| format!("unknown field {path:?}")));
    problems.extend(duplicates.iter().map(|path| format!("duplicate field {path:?}")));
    let warnings = match field_validation {
        FieldValidation::Ignore => Vec::new(),
        FieldValidation::Warn => problems,
        FieldValidation::Strict if problems.is_empty() => problems,
        FieldValidation::Strict => {
            return Err(refuse(format!("strict decoding error: {}", problems.join(", "))));
        }
    };
    Ok(Decoded { object, warnings })
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
    Encoded { bytes: out.into(), splice_at, labels: meta::labels(object), fields: resource.fields(object) }
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
