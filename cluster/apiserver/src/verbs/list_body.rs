//! The body of a list, made piece by piece while it is sent: a large list is never in memory as a whole.

use std::io::Write as _;
use std::sync::Arc;

use api::protobuf::{ListWriter, NotEncodable};
use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream;
use store::Object;

use crate::body::{ApiBody, BoxError};
use crate::reply::SMALL;

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
    fn append(&mut self, buffer: &mut BytesMut, enough: usize) -> Result<bool, NotEncodable> {
        buffer.extend_from_slice(&std::mem::take(&mut self.head));
        if !self.kept.is_empty() {
            let fits = enough.saturating_sub(buffer.len()).min(self.kept.len());
            buffer.extend_from_slice(&self.kept.split_to(fits));
        }
        while buffer.len() < enough {
            match (self.objects.next(), &mut self.writer) {
                (Some(object), Writer::Json) => {
                    if self.begun {
                        buffer.extend_from_slice(b",");
                    }
                    self.begun = true;
                    buffer.extend_from_slice(&object.value);
                }
                (Some(object), Writer::Protobuf(writer)) => {
                    buffer.extend_from_slice(writer.item(&object.value)?);
                }
                (None, _) if self.ended => return Ok(false),
                (None, writer) => {
                    self.ended = true;
                    buffer.extend_from_slice(match writer {
                        Writer::Json => b"]}\n",
                        Writer::Protobuf(_) => ListWriter::TAIL,
                    });
                }
            }
        }
        Ok(true)
    }
}

/// The body of a list of so many bytes.
pub(super) fn body(mut pieces: Pieces, size: usize, gzip: bool) -> ApiBody {
    if gzip {
        return compressed(pieces);
    }
    if size > SMALL {
        return plain(pieces);
    }
    let mut all = BytesMut::with_capacity(size);
    // Only protobuf can fail, and was written once already when it was measured.
    while pieces.append(&mut all, usize::MAX).unwrap_or(false) {}
    ApiBody::full(all)
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
