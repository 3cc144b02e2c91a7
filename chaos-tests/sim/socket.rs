//! One end of a simulated connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::net::{Conn, Net};
use super::world::Step;

/// One end.
pub(super) struct SimSocket {
    net: Arc<Net>,
    conn: Arc<Conn>,
    end: usize,
    timer: Pin<Box<Sleep>>,
}

impl SimSocket {
    pub(super) fn new(net: Arc<Net>, conn: Arc<Conn>, end: usize) -> SimSocket {
        SimSocket { net, conn, end, timer: Box::pin(tokio::time::sleep_until(Instant::now())) }
    }
}

impl AsyncRead for SimSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut state = this.conn.state.lock();
        if state.broken[this.end] {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        state.readers[this.end] = Some(cx.waker().clone());
        let way = &mut state.ways[1 - this.end];
        let Some(head) = way.chunks.front_mut() else {
            return if way.closed { Poll::Ready(Ok(())) } else { Poll::Pending };
        };
        let Some(at) = head.at else { return Poll::Pending };
        if at > Instant::now() {
            this.timer.as_mut().reset(at);
            if this.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        let len = head.bytes.len().min(out.remaining());
        out.put_slice(&head.bytes[..len]);
        head.bytes.advance(len);
        way.begun = !head.bytes.is_empty();
        if !way.begun {
            way.chunks.pop_front();
            let [a, b] = this.conn.members;
            this.net.world.step(Step::Received, a << 32 | b, len as u64);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SimSocket {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.conn.state.lock().broken[self.end] {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.net.send(&self.conn, self.end, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        let mut state = self.conn.state.lock();
        if state.broken[self.end] {
            // A crash: what the peer learns of it is the network's matter.
            return;
        }
        state.ways[self.end].closed = true;
        let waker = state.readers[1 - self.end].take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
