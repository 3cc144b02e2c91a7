//! Responses.

use api::Status;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde_json::Value;

use crate::body::ApiBody;
use crate::request::{Negotiated, Shape};

pub(crate) type Reply = Response<ApiBody>;

static WARNING: HeaderName = HeaderName::from_static("warning");
/// Kubernetes bounds the warnings of one response.
const MOST_WARNINGS: usize = 64;
const LONGEST_WARNING: usize = 256;

/// Bytes of a media type.
pub(crate) fn bytes(code: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(ApiBody::full(body));
    *reply.status_mut() = code;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    reply
}

/// JSON bytes that are ready, in the shape the client accepts.
pub(crate) fn json(code: StatusCode, accept: Negotiated, body: Bytes, pretty: bool) -> Reply {
    let body = match accept.shape {
        Shape::Json if !pretty => body,
        _ => reshaped(accept.shape, &body).unwrap_or(body),
    };
    bytes(code, accept.content_type(), body)
}

fn reshaped(shape: Shape, body: &Bytes) -> Option<Bytes> {
    let value: Value = serde_json::from_slice(body).ok()?;
    match shape {
        Shape::Json => serde_json::to_string_pretty(&value).ok().map(|mut text| {
            text.push('\n');
            text.into()
        }),
        Shape::Yaml => serde_saphyr::to_string(&value).ok().map(Bytes::from),
    }
}

/// A value, in the shape the client accepts.
pub(crate) fn value(code: StatusCode, accept: Negotiated, body: &Value, pretty: bool) -> Reply {
    json(code, accept, Bytes::from(body.to_string()), pretty)
}

pub(crate) fn text(code: StatusCode, body: impl Into<String>) -> Reply {
    bytes(code, "text/plain; charset=utf-8", body.into())
}

/// An error, or a success that is only a Status.
pub(crate) fn status(status: &Status, pretty: bool) -> Reply {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut reply = value(code, Negotiated::JSON, &status.to_json(), pretty);
    if let Some(details) = status.details.as_ref().filter(|d| d.retry_after_seconds > 0) {
        reply.headers_mut().insert(RETRY_AFTER, details.retry_after_seconds.into());
    }
    reply
}

/// Adds `Warning: 299` headers.
pub(crate) fn warn(reply: &mut Reply, warnings: &[String]) {
    for warning in warnings.iter().take(MOST_WARNINGS) {
        let text: String = warning.chars().filter(|c| !c.is_control()).take(LONGEST_WARNING).collect();
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            reply.headers_mut().append(&WARNING, value);
        }
    }
}
