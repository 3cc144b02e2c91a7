//! `Status`: the one error (and delete answer) every client understands.
//!
//! Messages and details follow Kubernetes' `apierrors`, byte for byte, because clients and people
//! match on them.

use serde_json::{Map, Value, json};

use crate::field::FieldError;

/// One entry of `details.causes`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Cause {
    /// Machine-readable: `FieldValueInvalid`, `FieldManagerConflict`, `DisruptionBudget`, ...
    pub reason: String,
    pub message: String,
    /// Path of the field, empty when the cause is not about one.
    pub field: String,
}

/// `status.details`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Details {
    pub name: String,
    pub group: String,
    /// The plural resource for most errors, the kind for `Invalid`.
    pub kind: String,
    pub uid: String,
    pub causes: Vec<Cause>,
    pub retry_after_seconds: u32,
}

/// A `v1` Status object. As an error it is the whole answer of a refused request.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// The HTTP code.
    pub code: u16,
    /// `NotFound`, `Invalid`, ...; empty for codes without a reason.
    pub reason: &'static str,
    pub message: String,
    pub details: Option<Box<Details>>,
    /// `metadata.continue`: how a list whose revision has expired can still go on.
    pub continue_token: String,
    /// True for `status: Success` (the answer of a delete).
    pub success: bool,
}

/// `pods` or `deployments.apps`.
pub fn qualified(name: &str, group: &str) -> String {
    match group {
        "" => name.to_owned(),
        group => format!("{name}.{group}"),
    }
}

impl Status {
    /// A failure without details.
    pub fn failure(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, reason, message, details: None, continue_token: String::new(), success: false }
    }

    fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        let details = Details {
            group: group.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            ..Details::default()
        };
        self.details = Some(Box::new(details));
        self
    }

    /// Adds a cause (creating the details when there are none).
    pub fn with_cause(mut self, cause: Cause) -> Self {
        self.details.get_or_insert_default().causes.push(cause);
        self
    }

    /// Sets `details.retryAfterSeconds`, which the server also sends as `Retry-After`.
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }

    /// Sets `metadata.continue`.
    pub fn with_continue(mut self, token: impl Into<String>) -> Self {
        self.continue_token = token.into();
        self
    }

    /// `Success`, as a completed delete answers it; `kind` is the plural resource.
    pub fn success(group: &str, kind: &str, name: &str, uid: &str) -> Self {
        let mut status = Self::failure(200, "", "").about(group, kind, name);
        status.success = true;
        status.details.get_or_insert_default().uid = uid.to_owned();
        status
    }

    /// `pods "x" not found`.
    pub fn not_found(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{} {name:?} not found", qualified(plural, group));
        Self::failure(404, "NotFound", message).about(group, plural, name)
    }

    /// The path names nothing this server knows.
    pub fn no_such_path() -> Self {
        Self::failure(404, "NotFound", "the server could not find the requested resource").about("", "", "")
    }

    /// `pods "x" already exists`.
    pub fn already_exists(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", qualified(plural, group));
        Self::failure(409, "AlreadyExists", message).about(group, plural, name)
    }

    /// A generated name collided with an existing one: the client should try again.
    pub fn generate_name_conflict(group: &str, plural: &str, name: &str) -> Self {
        let message = format!(
            "{} {name:?} already exists, the server was not able to generate a unique name for the object",
            qualified(plural, group)
        );
        Self::failure(409, "AlreadyExists", message).about(group, plural, name).with_retry_after(1)
    }

    /// `Operation cannot be fulfilled on pods "x": why`.
    pub fn conflict(group: &str, plural: &str, name: &str, why: impl AsRef<str>) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: {}",
            qualified(plural, group),
            why.as_ref()
        );
        Self::failure(409, "Conflict", message).about(group, plural, name)
    }

    /// The conflict of an update made from an old version of the object.
    pub fn modified(group: &str, plural: &str, name: &str) -> Self {
        Self::conflict(
            group,
            plural,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// The conflict of server-side apply: one cause per field owned by another manager.
    pub fn apply_conflict(causes: Vec<Cause>, message: impl Into<String>) -> Self {
        let mut status = Self::failure(409, "Conflict", message);
        status.details.get_or_insert_default().causes = causes;
        status
    }

    /// `Deployment.apps "x" is invalid: spec.replicas: Invalid value: ...`. `kind` is the kind.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: Vec<FieldError>) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for error in &errors {
            let text = error.to_string();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let subject = format!("{} {name:?} is invalid", qualified(kind, group));
        let message = match texts.as_slice() {
            [] => subject,
            [one] => format!("{subject}: {one}"),
            many => format!("{subject}: [{}]", many.join(", ")),
        };
        let mut status = Self::failure(422, "Invalid", message).about(group, kind, name);
        let causes = errors.into_iter().map(|error| Cause {
            reason: error.kind.reason().to_owned(),
            message: error.body(),
            field: error.path,
        });
        status.details.get_or_insert_default().causes = causes.collect();
        status
    }

    /// 400 with the message as given.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, "BadRequest", message)
    }

    /// `pods "x" is forbidden: why`; without a name `pods is forbidden: why`.
    pub fn forbidden(group: &str, plural: &str, name: &str, why: impl AsRef<str>) -> Self {
        let subject = qualified(plural, group);
        let why = why.as_ref();
        let message = match (plural, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{subject} is forbidden: {why}"),
            _ => format!("{subject} {name:?} is forbidden: {why}"),
        };
        Self::failure(403, "Forbidden", message).about(group, plural, name)
    }

    /// 401 `Unauthorized`.
    pub fn unauthorized() -> Self {
        Self::failure(401, "Unauthorized", "Unauthorized")
    }

    /// 405 for a verb the resource does not serve.
    pub fn method_not_allowed(group: &str, plural: &str, verb: &str) -> Self {
        let message = match verb {
            "" => "the server does not allow this method on the requested resource".to_owned(),
            verb => format!("{verb} is not supported on resources of kind {:?}", qualified(plural, group)),
        };
        Self::failure(405, "MethodNotAllowed", message).about(group, plural, "")
    }

    /// 406: nothing the client accepts can be produced.
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::failure(406, "NotAcceptable", message)
    }

    /// 415: the body's media type is not understood.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::failure(415, "UnsupportedMediaType", message)
    }

    /// 410 `Expired`: the revision asked for is older than the history.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(410, "Expired", message)
    }

    /// 410 `Gone`.
    pub fn gone(message: impl Into<String>) -> Self {
        Self::failure(410, "Gone", message)
    }

    /// 504: not answered in time.
    pub fn timeout(message: impl AsRef<str>) -> Self {
        let message =
            format!("Timeout: request did not complete within the allotted timeout - {}", message.as_ref());
        Self::failure(504, "Timeout", message)
    }

    /// 500 `ServerTimeout`: the operation should be retried.
    pub fn server_timeout(group: &str, plural: &str, verb: &str, retry_after: u32) -> Self {
        let message = format!(
            "The {verb} operation against {} could not be completed at this time, please try again.",
            qualified(plural, group)
        );
        Self::failure(500, "ServerTimeout", message).about(group, plural, verb).with_retry_after(retry_after)
    }

    /// The revision asked for is in the future of this replica.
    pub fn too_large_resource_version(wanted: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
        Self::failure(504, "Timeout", message)
            .with_cause(Cause {
                reason: "ResourceVersionTooLarge".into(),
                message: "Too large resource version".into(),
                field: String::new(),
            })
            .with_retry_after(1)
    }

    /// 429.
    pub fn too_many_requests(message: impl Into<String>, retry_after: u32) -> Self {
        Self::failure(429, "TooManyRequests", message).with_retry_after(retry_after)
    }

    /// 413: the body is longer than `limit` bytes.
    pub fn request_entity_too_large(message: impl AsRef<str>) -> Self {
        let message = format!("Request entity too large: {}", message.as_ref());
        Self::failure(413, "RequestEntityTooLarge", message)
    }

    /// 500 with the cause's text.
    pub fn internal(message: impl AsRef<str>) -> Self {
        let text = message.as_ref();
        let mut status = Self::failure(500, "InternalError", format!("Internal error occurred: {text}"));
        status.details.get_or_insert_default().causes =
            vec![Cause { message: text.to_owned(), ..Cause::default() }];
        status
    }

    /// 503.
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::failure(503, "ServiceUnavailable", message)
    }

    /// 507: the store is at its size limit.
    pub fn storage_full(message: impl Into<String>) -> Self {
        Self::failure(507, "StorageFull", message)
    }

    /// The JSON object, as sent in a body.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("kind".into(), "Status".into());
        object.insert("apiVersion".into(), "v1".into());
        let metadata = match self.continue_token.as_str() {
            "" => json!({}),
            token => json!({"continue": token}),
        };
        object.insert("metadata".into(), metadata);
        let word = if self.success { "Success" } else { "Failure" };
        object.insert("status".into(), word.into());
        if !self.message.is_empty() {
            object.insert("message".into(), self.message.clone().into());
        }
        if !self.reason.is_empty() {
            object.insert("reason".into(), self.reason.into());
        }
        if let Some(details) = &self.details {
            object.insert("details".into(), details.to_json());
        }
        if !self.success {
            object.insert("code".into(), self.code.into());
        }
        Value::Object(object)
    }
}

impl Details {
    fn to_json(&self) -> Value {
        let mut object = Map::new();
        let texts = [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)];
        for (key, text) in texts {
            if !text.is_empty() {
                object.insert(key.into(), text.clone().into());
            }
        }
        if !self.causes.is_empty() {
            let causes = self.causes.iter().map(Cause::to_json);
            object.insert("causes".into(), causes.collect());
        }
        if self.retry_after_seconds > 0 {
            object.insert("retryAfterSeconds".into(), self.retry_after_seconds.into());
        }
        Value::Object(object)
    }
}

impl Cause {
    fn to_json(&self) -> Value {
        let mut object = Map::new();
        let texts = [("reason", &self.reason), ("message", &self.message), ("field", &self.field)];
        for (key, text) in texts {
            if !text.is_empty() {
                object.insert(key.into(), text.clone().into());
            }
        }
        Value::Object(object)
    }
}
