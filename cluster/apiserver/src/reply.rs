//! Responses.

use std::io::Write as _;

use api::Status;
use api::protobuf::NotEncodable;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, VARY,
};
use http::{Response, StatusCode};
use serde_json::Value;

use crate::body::ApiBody;
use crate::request::{Negotiated, Shape};

pub(crate) type Reply = Response<ApiBody>;

static WARNING: HeaderName = HeaderName::from_static("warning");
/// Answers up to this size are one piece, and never compressed (Kubernetes' threshold).
pub(crate) const SMALL: usize = 128 << 10;
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
    let shaped = match accept.shape {
        Shape::Json if !pretty && !accept.pretty => Ok(body),
        Shape::Protobuf => api::protobuf::from_json(&body).map_err(|e| unencodable(&e)),
        shape => reshaped(shape, &body),
    };
    match shaped {
        Ok(body) => bytes(code, accept.content_type(), body),
        Err(refusal) => status(&refusal, Negotiated::JSON, pretty),
    }
}

/// Protobuf that can not be made.
pub(crate) fn unencodable(error: &NotEncodable) -> Status {
    match error {
        NotEncodable::Unknown(..) => Status::failure(406, "NotAcceptable", error.to_string()),
        NotEncodable::Misfit(_) => Status::internal(error.to_string()),
    }
}

fn reshaped(shape: Shape, body: &Bytes) -> Result<Bytes, Status> {
    let failed = |e: &dyn std::fmt::Display| Status::internal(format!("an answer can not be encoded: {e}"));
    let value: Value = serde_json::from_slice(body).map_err(|e| failed(&e))?;
    match shape {
        Shape::Yaml => serde_saphyr::to_string(&value).map(Bytes::from).map_err(|e| failed(&e)),
        Shape::Json | Shape::Protobuf => {
            let mut text = serde_json::to_string_pretty(&value).map_err(|e| failed(&e))?;
            text.push('\n');
            Ok(text.into())
        }
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
pub(crate) fn status(status: &Status, accept: Negotiated, pretty: bool) -> Reply {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut reply = value(code, accept, &status.to_json(), pretty);
    if let Some(details) = status.details.as_ref().filter(|d| d.retry_after_seconds > 0) {
        reply.headers_mut().insert(RETRY_AFTER, details.retry_after_seconds.into());
    }
    reply
}

/// Compresses an answer that is ready, large and wanted so (Kubernetes' threshold).
pub(crate) fn compress(reply: &mut Reply, accept_encoding: &str) {
    let Some(body) = reply.body().ready().filter(|b| b.len() > SMALL && accepts_gzip(accept_encoding)) else {
        return;
    };
    let mut gzip = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    // Writing to memory can not fail; were it to, the answer goes out as it is.
    if let Ok(compressed) = gzip.write_all(body).and_then(|()| gzip.finish()) {
        *reply.body_mut() = ApiBody::full(compressed);
        mark_compressed(reply);
    }
}

/// The headers of a compressed body.
pub(crate) fn mark_compressed(reply: &mut Reply) {
    reply.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    reply.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
}

pub(crate) fn accepts_gzip(header: &str) -> bool {
    header.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next() == Some("gzip") && parts.next() != Some("q=0")
    })
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
