//! API machinery: what an object is, and every rule about one, without any IO.
//!
//! Owns the kinds (built-in and custom, one engine for both), their schemas, metadata rules,
//! `Status` answers, codecs, defaults, validation, patches, server-side apply, selectors,
//! quantities, tables, discovery and OpenAPI documents.
//!
//! Invariants:
//! - Pure: no clock, no randomness, no files, no sockets, no tokio. Time, uid and name suffix
//!   arrive in [`pipeline::Ctx`].
//! - Objects are `serde_json::Value`s; a stage never loses a field it does not own.
//! - A kind's facts live in its own file under `kinds/`; the engine has no special case per kind.
//!
//! Map of the files, in the order a request meets them:
//! - [`registry`], [`resource`]: what exists
//! - [`pipeline`]: the stages that the API server calls
//! - [`codec`]: bytes to objects and back; [`protobuf`]: the other form of the built-in kinds;
//!   [`conversion`]: custom resources between versions
//! - [`strategy`], [`kinds`]: the hooks of a kind, and one file per kind or small family
//! - [`meta`], [`delete`], [`scale`]: object metadata, deletion, the scale subresource
//! - [`schema`]: the structural schema of a kind and the walkers over it
//! - [`patch`]: JSON patch, merge patch, strategic merge patch
//! - [`managed`]: managedFields and server-side apply
//! - [`selector`], [`quantity`], [`amounts`]: label and field selectors, resource amounts
//! - [`quota`], [`limit_range`]: what a namespace's objects may use
//! - [`table`], [`discovery`], [`openapi`]: tables, discovery and OpenAPI documents
//! - [`status`], [`field`]: how a refusal reads, and errors that name a field
//!
//! A new built-in kind is one file, `kinds/NAME.rs`, and a line in each table that it is in:
//! - [ ] the file: a `Builtin` with group, version, names, scope, subresources, printer columns, selectable
//!   fields (`field=path` where the value is elsewhere, `field@index` where the stored version calls it
//!   otherwise), and its `Strategy`: defaults, what a create and an update keep, validation, warnings
//! - [ ] `kinds::TABLE`: that it is served; `schema/kinds.rs`: its type in k8s-openapi
//! - [ ] `schema/facts.rs`: list types and keys, merge keys, defaults, where k8s-openapi is silent
//! - [ ] `managed/reset.rs`: what a writer through the object and through `status` can not own
//! - [ ] `tests/kinds`: a row for each rule, with Kubernetes' message
//!
//! Nothing else knows kinds by name; routes, tables, discovery, OpenAPI and watches follow.

pub mod amounts;
pub mod codec;
pub mod conversion;
pub mod delete;
pub mod discovery;
pub mod field;
mod jsonpath;
pub mod kinds;
pub mod limit_range;
pub mod managed;
pub mod meta;
pub mod names;
pub mod openapi;
pub mod patch;
pub mod pipeline;
pub mod protobuf;
pub mod quantity;
pub mod quota;
pub mod registry;
pub mod resource;
pub mod scale;
pub mod schema;
pub mod selector;
pub mod status;
pub mod strategy;
pub mod table;
mod value;

pub use field::{FieldError, FieldErrorKind};
pub use pipeline::Ctx;
pub use registry::Registry;
pub use resource::Resource;
pub use status::Status;
