//! A permitted request of a known resource, with what every verb needs of it.

use std::sync::Arc;

use api::pipeline::FieldValidation;
use api::table::IncludeObject;
use api::{Resource, Status};
use bytes::Bytes;
use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use store::{Guard, Revision, View};

use crate::authz::Permitted;
use crate::convert;
use crate::identity::User;
use crate::pipeline::{Committed, Write};
use crate::reply::{self, Reply};
use crate::request::{As, Negotiated, Offer, Request, Shape};
use crate::server::Server;

/// The header by which a leader shows the lease it writes under: `NAMESPACE/LEASE/EPOCH`.
const FENCE: &str = "trireme-fence";

/// See the module.
pub(crate) struct Call {
    pub server: Arc<Server>,
    pub request: Request,
    pub user: User,
    /// As the client named it.
    pub resource: Arc<Resource>,
    /// As it is stored.
    pub storage: Arc<Resource>,
    pub accept: Negotiated,
    fence: Option<Guard>,
}

impl Call {
    /// Finds the resource; 404 when nothing like it is served, now that the definitions of custom
    /// resources are as fresh as can be.
    pub(crate) async fn new(server: &Arc<Server>, permitted: Permitted) -> Result<Call, Status> {
        let Permitted { request, user, .. } = permitted;
        let info = &request.info;
        let find = || {
            let serving = server.serving.get();
            let resource = serving.registry.get(&info.group, &info.version, &info.resource)?.clone();
            let storage = serving.registry.storage_of(&resource).unwrap_or(&resource).clone();
            Some((resource, storage))
        };
        let (resource, storage) = match find() {
            Some(found) => found,
            None => {
                server.serving.refresh(&server.fresh_view().await?);
                find().ok_or_else(Status::no_such_path)?
            }
        };
        if resource.namespaced && info.namespace.is_empty() && info.names_one() {
            return Err(Status::no_such_path());
        }
        if !resource.namespaced && !info.namespace.is_empty() && info.resource != "namespaces" {
            return Err(Status::no_such_path());
        }
        let offer = match (&resource.custom, resource.is_stored() || resource.kind == "ComponentStatus") {
            (Some(_), _) => Offer::Custom,
            (None, true) => Offer::Builtin,
            (None, false) => Offer::Review,
        };
        let accept = Negotiated::from_accept(request.header(http::header::ACCEPT), offer);
        let accept = match info.is_long_running() && info.verb != "watch" {
            true => accept.unwrap_or(Negotiated::JSON),
            false => accept?,
        };
        let fence = fence_of(request.header(FENCE))?;
        Ok(Call { server: server.clone(), request, user, resource, storage, accept, fence })
    }

    pub(crate) fn namespace(&self) -> &str {
        if self.resource.namespaced { &self.request.info.namespace } else { "" }
    }

    pub(crate) fn name(&self) -> &str {
        &self.request.info.name
    }

    /// The key of the object the path names.
    pub(crate) fn key(&self) -> String {
        self.storage.key(self.namespace(), self.name())
    }

    pub(crate) fn not_found(&self) -> Status {
        Status::not_found(&self.resource.group, &self.resource.plural, self.name())
    }

    /// The manager in whose name fields are written.
    pub(crate) fn manager(&self) -> String {
        match self.request.query.get("fieldManager") {
            "" => self.request.default_manager(),
            named => named.to_owned(),
        }
    }

    pub(crate) fn field_validation(&self) -> Result<FieldValidation, Status> {
        let options = match self.request.info.verb {
            "update" => "UpdateOptions",
            "patch" => "PatchOptions",
            _ => "CreateOptions",
        };
        let query = &self.request.query;
        FieldValidation::parse(query.get("fieldValidation"), query.get("fieldManager"), options)
    }

    /// What the stages of a write need.
    pub(crate) fn write<'c>(
        &'c self,
        manager: &'c str,
        subresource: Option<&'c str>,
    ) -> Result<Write<'c>, Status> {
        Ok(Write {
            server: &self.server,
            resource: &self.resource,
            storage: &self.storage,
            subresource,
            namespace: self.namespace(),
            user: &self.user,
            manager,
            dry_run: self.request.query.dry_run()?,
            fence: self.fence.as_ref(),
        })
    }

    /// A view as fresh as `resourceVersion` asks: unset means newest, 0 whatever is here, N not
    /// older than N.
    pub(crate) async fn view(&self) -> Result<View, Status> {
        match self.request.query.resource_version()? {
            Some(0) => self.server.local_view().await,
            None => self.server.fresh_view().await,
            Some(wanted) => self.view_not_older(wanted).await,
        }
    }

    pub(crate) async fn view_not_older(&self, wanted: u64) -> Result<View, Status> {
        let local = self.server.local_view().await?;
        if local.revision() >= wanted {
            return Ok(local);
        }
        let fresh = self.server.fresh_view().await?;
        match fresh.revision() >= wanted {
            true => Ok(fresh),
            false => Err(Status::too_large_resource_version(wanted, fresh.revision())),
        }
    }

    pub(crate) fn pretty(&self) -> bool {
        self.request.pretty() || self.accept.pretty
    }

    /// What the rows of a table hold of their objects.
    pub(crate) fn include(&self) -> Result<IncludeObject, Status> {
        let wanted = self.request.query.get("includeObject");
        if self.accept.r#as != As::Table {
            return Ok(IncludeObject::default());
        }
        IncludeObject::parse(wanted).ok_or_else(|| {
            Status::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {wanted:?}: must be 'Metadata', 'Object', 'None', or empty"
            ))
        })
    }

    /// The object's stored bytes in the version and form the client asked for.
    pub(crate) async fn object_reply(
        &self,
        code: StatusCode,
        stored: Bytes,
        revision: Revision,
    ) -> Result<Reply, Status> {
        let serves = self.resource.serves_stored(revision);
        let whole = self.accept.r#as == As::Object && serves;
        if whole && self.accept.shape != Shape::Protobuf {
            return Ok(reply::json(code, self.accept, stored, self.pretty()));
        }
        let metadata = self.accept.r#as == As::Metadata && (serves || self.resource.custom.is_none());
        if self.accept.shape == Shape::Protobuf && (whole || metadata) {
            let body = self.protobuf(&stored)?;
            return Ok(reply::bytes(code, self.accept.content_type(), body));
        }
        self.value_reply(code, self.served(&stored).await?)
    }

    /// Stored bytes in protobuf: the object, or only its metadata.
    fn protobuf(&self, stored: &[u8]) -> Result<Bytes, Status> {
        let encoded = match self.accept.r#as {
            As::Object => api::protobuf::encode(&self.resource.api_version(), &self.resource.kind, stored),
            _ => api::protobuf::encode(self.accept.metadata_version(), "PartialObjectMetadata", stored),
        };
        encoded.map_err(|e| reply::unencodable(&e))
    }

    /// An object of the requested version.
    pub(crate) fn value_reply(&self, code: StatusCode, value: Value) -> Result<Reply, Status> {
        let body = match self.accept.r#as {
            As::Object => value,
            As::Metadata => api::table::partial_metadata(&value),
            As::MetadataList => {
                return Err(Status::failure(
                    406,
                    "NotAcceptable",
                    format!(
                        "you requested PartialObjectMetadataList, but the requested object is not a list ({})",
                        self.resource.kind
                    ),
                ));
            }
            As::Table => {
                let meta = json!({"resourceVersion": value["metadata"]["resourceVersion"]});
                let now = jiff::Timestamp::now();
                api::table::table(&self.resource, &[value], meta, self.include()?, true, now)
            }
        };
        Ok(reply::value(code, self.accept, &self.accept.versioned(body), self.pretty()))
    }

    /// Objects of the requested version, as a list.
    pub(crate) fn list_reply(&self, meta: Value, items: Vec<Value>) -> Result<Reply, Status> {
        let body = match self.accept.r#as {
            As::Table => {
                let now = jiff::Timestamp::now();
                api::table::table(&self.resource, &items, meta, self.include()?, true, now)
            }
            As::Metadata => return Err(self.is_a_list()),
            As::MetadataList => json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta,
                "items": items.iter().map(api::table::partial_metadata).collect::<Vec<_>>(),
            }),
            As::Object => json!({
                "kind": self.resource.list_kind, "apiVersion": self.resource.api_version(), "metadata": meta,
                "items": items,
            }),
        };
        Ok(reply::value(StatusCode::OK, self.accept, &self.accept.versioned(body), self.pretty()))
    }

    /// 406: the metadata of one object was asked for.
    pub(crate) fn is_a_list(&self) -> Status {
        let kind = &self.resource.list_kind;
        let message =
            format!("you requested PartialObjectMetadata, but the requested object is a list ({kind})");
        Status::failure(406, "NotAcceptable", message)
    }

    /// Stored bytes as an object of the requested version.
    pub(crate) async fn served(&self, stored: &Bytes) -> Result<Value, Status> {
        let value = serde_json::from_slice(stored)
            .map_err(|e| Status::internal(format!("a stored object does not parse: {e}")))?;
        convert::served(&self.server, &self.resource, value).await
    }

    pub(crate) async fn committed_reply(&self, committed: Committed) -> Result<Reply, Status> {
        let code = if committed.created { StatusCode::CREATED } else { StatusCode::OK };
        let mut reply = self.object_reply(code, committed.bytes, committed.revision).await?;
        reply::warn(&mut reply, &committed.warnings);
        Ok(reply)
    }
}

fn fence_of(header: &str) -> Result<Option<Guard>, Status> {
    if header.is_empty() {
        return Ok(None);
    }
    let mut parts = header.splitn(3, '/');
    let (Some(namespace), Some(lease), Some(epoch)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Status::bad_request(format!("{FENCE}: expected NAMESPACE/LEASE/EPOCH")));
    };
    let epoch = percent_decode_str(epoch).decode_utf8_lossy().into_owned();
    Ok(Some(Guard::Lease { key: format!("/coordination.k8s.io/leases/{namespace}/{lease}"), epoch }))
}
