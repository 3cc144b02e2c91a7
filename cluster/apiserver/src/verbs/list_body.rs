//! The body of a list, made piece by piece while it is sent: a large list is never in memory as a whole.

use std::io::Write as _;
use std::sync::Arc;

use api::Resource;
use api::protobuf::{ListWriter, NotEncodable};
use api::table::IncludeObject;
use bytes::{BufMut, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream;
use jiff::Timestamp;
use store::Object;

use crate::body::{ApiBody, BoxError};
use crate::reply::SMALL;
use crate::request::{As, Negotiated};

/// Bytes of one piece of a streamed list.
const PIECE: usize = 64 << 10;
/// Bytes of measured items that are kept.
const KEPT: usize = 4 << 20;
/// Items measured before other requests of this thread have their turn.
const MEASURED_AT_ONCE: usize = 64;

/// How items are written.
pub(super) enum Writer {
    /// Stored bytes are sent as they are.
    Json,
    Protobuf(ListWriter),
    /// Each object is parsed and formed when its turn comes.
    Formed(Former),
}

/// What makes rows of a table, or items of another form, from stored objects.
pub(super) struct Former {
    pub resource: Arc<Resource>,
    pub accept: Negotiated,
    pub include: IncludeObject,
    pub now: Timestamp,
}

impl Former {
    fn write(&self, stored: &[u8], buffer: &mut BytesMut) -> Result<(), serde_json::Error> {
        let object = self.resource.convert_stored(serde_json::from_slice(stored)?);
        let formed = match self.accept.r#as {
            As::Table => {
                let mut row = api::table::row(&self.resource, &object, self.include, self.now);
                row["object"] = self.accept.versioned(row["object"].take());
                row
            }
            As::Metadata | As::MetadataList => self.accept.versioned(api::table::partial_metadata(&object)),
            As::Object => object,
        };
        serde_json::to_writer(buffer.writer(), &formed)
    }
}

/// What is left of a list.
pub(super) struct Pieces {
    head: Bytes,
    /// Items that are written already.
    kept: BytesMut,
    objects: std::vec::IntoIter<Arc<Object>>,
    writer: Writer,
    begun: bool,
    ended: bool,
}

impl Pieces {
    pub(super) fn new(head: Bytes, objects: Vec<Arc<Object>>, writer: Writer) -> Self {
        let objects = objects.into_iter();
        Self { head, kept: BytesMut::new(), objects, writer, begun: false, ended: false }
    }

    pub(super) fn with_head(self, head: Bytes) -> Self {
        Self { head, ..self }
    }

    /// The length of all items in protobuf.
    pub(super) async fn measure(&mut self) -> Result<usize, NotEncodable> {
        let Writer::Protobuf(writer) = &mut self.writer else { return Ok(0) };
        let (mut total, mut kept) = (0, 0);
        for (index, object) in self.objects.as_slice().iter().enumerate() {
            if index % MEASURED_AT_ONCE == MEASURED_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            let item = writer.item(&object.value)?;
            total += item.len();
            if total <= KEPT {
                self.kept.extend_from_slice(item);
                kept = index + 1;
            }
        }
        if kept > 0 {
            self.objects.nth(kept - 1);
        }
        Ok(total)
    }

    /// Appends until `buffer` holds `enough`; false when nothing is left.
    fn append(&mut self, buffer: &mut BytesMut, enough: usize) -> Result<bool, BoxError> {
        buffer.extend_from_slice(&std::mem::take(&mut self.head));
        if !self.kept.is_empty() {
            let fits = enough.saturating_sub(buffer.len()).min(self.kept.len());
            buffer.extend_from_slice(&self.kept.split_to(fits));
        }
        while buffer.len() < enough {
            match (self.objects.next(), &mut self.writer) {
                (Some(object), Writer::Protobuf(writer)) => {
                    buffer.extend_from_slice(writer.item(&object.value)?);
                }
                (Some(object), writer) => {
                    if self.begun {
                        buffer.extend_from_slice(b",");
                    }
                    self.begun = true;
                    match writer {
                        Writer::Formed(former) => former.write(&object.value, buffer)?,
                        _ => buffer.extend_from_slice(&object.value),
                    }
                }
                (None, _) if self.ended => return Ok(false),
                (None, writer) => {
                    self.ended = true;
                    buffer.extend_from_slice(match writer {
                        Writer::Protobuf(_) => ListWriter::TAIL,
                        _ => b"]}\n",
                    });
                }
            }
        }
        Ok(true)
    }
}

/// The body of a list of about so many bytes.
pub(super) fn body(mut pieces: Pieces, size: usize, gzip: bool) -> Result<ApiBody, BoxError> {
    if gzip {
        return Ok(compressed(pieces));
    }
    if size > SMALL {
        return Ok(plain(pieces));
    }
    let mut all = BytesMut::with_capacity(size);
    while pieces.append(&mut all, usize::MAX)? {}
    Ok(ApiBody::full(all))
}

fn plain(pieces: Pieces) -> ApiBody {
    ApiBody::stream(stream::try_unfold(pieces, |mut pieces| async move {
        let mut buffer = BytesMut::with_capacity(PIECE + 4096);
        pieces.append(&mut buffer, PIECE)?;
        Ok::<_, BoxError>((!buffer.is_empty()).then(|| (buffer.freeze(), pieces)))
    }))
}

fn compressed(pieces: Pieces) -> ApiBody {
    let encoder = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    ApiBody::stream(stream::try_unfold((pieces, encoder), |(mut pieces, mut encoder)| async move {
        let Some(mut gzip) = encoder.take() else { return Ok::<_, BoxError>(None) };
        let mut buffer = BytesMut::with_capacity(PIECE + 4096);
        loop {
            buffer.clear();
            let more = pieces.append(&mut buffer, PIECE)?;
            gzip.write_all(&buffer)?;
            if !more {
                return Ok(Some((Bytes::from(gzip.finish()?), (pieces, None))));
            }
            if gzip.get_ref().len() >= PIECE / 4 {
                let ready = std::mem::take(gzip.get_mut());
                return Ok(Some((Bytes::from(ready), (pieces, Some(gzip)))));
            }
            // A large list must not keep other requests from this thread.
            tokio::task::yield_now().await;
        }
    }))
}
