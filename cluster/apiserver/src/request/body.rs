//! The request's body, read at most once and never beyond the limit.

use api::Status;
use bytes::{Bytes, BytesMut};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use parking_lot::Mutex;

use crate::body::BoxError;

/// Bodies beyond this are refused with 413, as Kubernetes does.
pub(crate) const LARGEST_BODY: usize = 3 << 20;

/// The body of a request, from a connection or from the same process.
pub(crate) struct RequestBody(Mutex<Option<UnsyncBoxBody<Bytes, BoxError>>>);

impl RequestBody {
    pub(crate) fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Mutex::new(Some(body.map_err(Into::into).boxed_unsync())))
    }

    /// As it is, for a proxy; empty the second time.
    pub(crate) fn take(&self) -> UnsyncBoxBody<Bytes, BoxError> {
        let taken = self.0.lock().take();
        taken.unwrap_or_else(|| Empty::new().map_err(|never| match never {}).boxed_unsync())
    }

    /// All of it; empty the second time.
    pub(crate) async fn read(&self) -> Result<Bytes, Status> {
        let mut body = self.take();
        let mut first: Option<Bytes> = None;
        let mut more = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| Status::bad_request(format!("the body could not be read: {e}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if first.as_ref().map_or(0, Bytes::len) + more.len() + data.len() > LARGEST_BODY {
                return Err(Status::request_entity_too_large(format!("limit is {LARGEST_BODY}")));
            }
            match &first {
                None => first = Some(data),
                Some(_) => more.extend_from_slice(&data),
            }
        }
        match (first, more.is_empty()) {
            (None, _) => Ok(Bytes::new()),
            (Some(all), true) => Ok(all),
            (Some(head), false) => {
                let mut joined = BytesMut::with_capacity(head.len() + more.len());
                joined.extend_from_slice(&head);
                joined.extend_from_slice(&more);
                Ok(joined.freeze())
            }
        }
    }
}
