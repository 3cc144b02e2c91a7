//! Two connections as one: what was read on one side is always written to the other, however that side ended.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Carries bytes both ways. A side that ends its half, or breaks, has its last bytes delivered and the other's
/// half closed; it is over when both halves are, or when the client is gone.
pub(super) async fn join<C, A>(client: C, agent: A)
where
    C: AsyncRead + AsyncWrite,
    A: AsyncRead + AsyncWrite,
{
    let (from_client, mut to_client) = tokio::io::split(client);
    let (from_agent, mut to_agent) = tokio::io::split(agent);
    let up = async {
        // An agent that takes no more may still have answered.
        if let Err(error) = carry(from_client, &mut to_agent).await {
            tracing::debug!(%error, "session: to the agent");
        }
        Ok::<(), io::Error>(())
    };
    let down = carry(from_agent, &mut to_client);
    if let Err(error) = tokio::try_join!(up, down) {
        tracing::debug!(%error, "session: to the client");
    }
}

/// Fails only when writing does.
async fn carry<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(from: R, to: &mut W) -> io::Result<()> {
    tokio::io::copy(&mut Broken(from), to).await?;
    to.shutdown().await
}

/// A reader whose failure is its end: peers close without TLS's farewell, or reset what they had closed.
struct Broken<R>(R);

impl<R: AsyncRead + Unpin> AsyncRead for Broken<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into).map(|outcome| {
            if let Err(error) = outcome {
                tracing::debug!(%error, "session: a side broke off");
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, DuplexStream};

    use super::*;

    /// An agent that says `words` and then breaks off, and takes nothing.
    struct Agent(&'static [u8]);

    impl AsyncRead for Agent {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.0.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            let count = self.0.len().min(into.remaining()).min(7);
            into.put_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Agent {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn the_last_words_of_an_agent_that_broke_off_arrive() {
        const WORDS: &[u8] = b"more than the client takes at once, by far";
        // The client is slow: its buffer holds three bytes.
        let (mut client, server): (DuplexStream, DuplexStream) = tokio::io::duplex(3);
        let session = tokio::spawn(join(server, Agent(WORDS)));
        client.write_all(b"x").await.unwrap();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, WORDS);
        drop(client);
        session.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_is_gone_ends_the_session() {
        let (client, server) = tokio::io::duplex(3);
        drop(client);
        // This agent would wait for ever.
        let (_silent, agent) = tokio::io::duplex(3);
        let session = tokio::spawn(join(server, agent));
        drop(_silent);
        session.await.unwrap();
    }
}
