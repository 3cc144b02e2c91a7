//! OpenAPI documents: v2 (JSON and protobuf) and v3 (index and one document per group-version).
//!
//! Pure and expensive: the caller caches the bytes until the list of served resources changes.
//! Nothing is kept here; descriptions live in a document while it is written and no longer.
//!
//! - `definitions`: the schemas, from k8s-openapi's descriptions and our table of facts
//! - `custom`: the schemas of custom resources
//! - `paths`: the operations of each resource
//! - `protobuf`: the v2 document in the encoding that client-go asks for

mod custom;
mod definitions;
mod paths;
mod protobuf;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};

pub use custom::SELECTABLE;
use definitions::Definitions;

/// A served resource, as far as OpenAPI needs to know it.
#[derive(Clone, Debug)]
pub struct Served {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
    /// `get`, `list`, `create`...
    pub verbs: Vec<String>,
    pub subresources: Vec<Subresource>,
    /// `openAPIV3Schema` of a custom resource; `None` for a built-in kind.
    pub custom: Option<Value>,
}

/// `pods/eviction`: name, the kind its bodies have, and its verbs.
#[derive(Clone, Debug)]
pub struct Subresource {
    pub name: String,
    pub group: String,
    pub version: String,
    pub kind: String,
    pub verbs: Vec<String>,
}

impl Served {
    /// `api/v1`, `apis/apps/v1`
    fn document(&self) -> String {
        match self.group.is_empty() {
            true => format!("api/{}", self.version),
            false => format!("apis/{}/{}", self.group, self.version),
        }
    }

    fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }
}

/// The dialect of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V2,
    V3,
}

impl Version {
    fn reference(self, name: &str) -> String {
        match self {
            Self::V2 => format!("#/definitions/{name}"),
            Self::V3 => format!("#/components/schemas/{name}"),
        }
    }
}

/// `/openapi/v2` as JSON.
pub fn v2_json(served: &[Served]) -> Bytes {
    let all: Vec<&Served> = served.iter().collect();
    let mut out = Vec::new();
    out.extend_from_slice(b"{\"swagger\":\"2.0\",\"info\":");
    write(&mut out, &info());
    out.extend_from_slice(b",\"paths\":{");
    let mut members = Members::default();
    paths::each(&all, Version::V2, &mut |name, item| {
        members.write(&mut out, name, item);
    });
    out.extend_from_slice(b"},\"definitions\":{");
    let mut members = Members::default();
    Definitions::of(&all).each(Version::V2, &mut |name, schema| {
        members.write(&mut out, name, schema);
    });
    out.extend_from_slice(b"}}");
    Bytes::from(out)
}

/// `/openapi/v2` as `application/com.github.proto-openapi.spec.v2.v1.0+protobuf` (clients also ask
/// for it as `...spec.v2@v1.0+protobuf`, which is no media type that an answer may bear).
pub fn v2_protobuf(served: &[Served]) -> Bytes {
    let all: Vec<&Served> = served.iter().collect();
    let mut document = protobuf::Document::new(&info());
    paths::each(&all, Version::V2, &mut |name, item| {
        document.path(name, item);
    });
    Definitions::of(&all).each(Version::V2, &mut |name, schema| {
        document.definition(name, schema);
    });
    Bytes::from(document.finish())
}

/// `/openapi/v3`: the paths of the documents, each with its content hash in the URL. `hash`
/// answers the ETag of a group-version's document.
pub fn v3_index(served: &[Served], hash: impl Fn(&str) -> String) -> Bytes {
    let mut index = Map::new();
    for resource in served {
        let path = resource.document();
        if !index.contains_key(&path) {
            let url = format!("/openapi/v3/{path}?hash={}", hash(&path));
            index.insert(path, json!({ "serverRelativeURL": url }));
        }
    }
    Bytes::from(json!({ "paths": index }).to_string())
}

/// `/openapi/v3/apis/GROUP/VERSION` (`path` is `api/v1` or `apis/apps/v1`); `None` when nothing
/// is served there.
pub fn v3_document(served: &[Served], path: &str) -> Option<Bytes> {
    let here: Vec<&Served> = served.iter().filter(|r| r.document() == path).collect();
    if here.is_empty() {
        return None;
    }
    let mut out = Vec::new();
    out.extend_from_slice(b"{\"openapi\":\"3.0.0\",\"info\":");
    write(&mut out, &info());
    out.extend_from_slice(b",\"paths\":{");
    let mut members = Members::default();
    paths::each(&here, Version::V3, &mut |name, item| {
        members.write(&mut out, name, item);
    });
    out.extend_from_slice(b"},\"components\":{\"schemas\":{");
    let mut members = Members::default();
    Definitions::of(&here).each(Version::V3, &mut |name, schema| {
        members.write(&mut out, name, schema);
    });
    out.extend_from_slice(b"}}}");
    Some(Bytes::from(out))
}

/// The ETag of a document: upper-case hex SHA-512 of its bytes.
pub fn etag(document: &[u8]) -> String {
    hex::encode_upper(Sha512::digest(document))
}

fn info() -> Value {
    json!({ "title": "Kubernetes", "version": "unversioned" })
}

fn write(out: &mut Vec<u8>, value: &Value) {
    serde_json::to_writer(out, value).expect("values serialize into memory");
}

/// Writes the members of a JSON object one by one.
#[derive(Default)]
struct Members {
    any: bool,
}

impl Members {
    fn write(&mut self, out: &mut Vec<u8>, name: &str, value: &Value) {
        if self.any {
            out.push(b',');
        }
        self.any = true;
        serde_json::to_writer(&mut *out, name).expect("names serialize into memory");
        out.push(b':');
        write(out, value);
    }
}
