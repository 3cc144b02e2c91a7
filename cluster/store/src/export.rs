//! A snapshot of the running store as a stream of bytes.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::machine::Root;
use crate::snapshot;

/// Bytes of one piece.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait for a slow reader; it holds up nobody else.
const PIECES: usize = 4;

/// A snapshot's bytes; it is whole when the stream ends without an error.
pub type SnapshotStream = ReceiverStream<io::Result<Bytes>>;

/// Streams a state. Who proposed what is not a part of it: it is for another cluster.
pub(crate) fn stream(root: Arc<Root>) -> SnapshotStream {
    let (pieces, receiver) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let mut out = io::BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces.clone()));
        if let Err(error) = snapshot::write(&root, &BTreeMap::new(), &mut out) {
            // Nobody is left to tell when the reader has gone.
            drop(pieces.blocking_send(Err(error)));
        }
    });
    ReceiverStream::new(receiver)
}

struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
