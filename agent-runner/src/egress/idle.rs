//! A connection that ends when nothing has moved on it for long.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long nothing may move. It is the longest silence that a worker is allowed within a turn.
const IDLE_LIMIT: Duration = Duration::from_secs(900);

/// A stream whose reads fail once neither a read nor a write has moved anything for the limit.
#[derive(Debug)]
pub(crate) struct IdleLimited<S> {
    stream: S,
    limit: Duration,
    timer: Pin<Box<Sleep>>,
}

impl<S> IdleLimited<S> {
    /// With the usual limit.
    pub(crate) fn new(stream: S) -> Self {
        Self::with_limit(stream, IDLE_LIMIT)
    }

    fn with_limit(stream: S, limit: Duration) -> Self {
        Self { stream, limit, timer: Box::pin(sleep(limit)) }
    }

    fn moved(&mut self) {
        self.timer.as_mut().reset(Instant::now() + self.limit);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for IdleLimited<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buffer) {
            self.moved();
            return Poll::Ready(read);
        }
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleLimited<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.moved();
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_moves_ends() {
        let (_client, near) = duplex(64);
        let (far, _server) = duplex(64);
        let mut near = IdleLimited::with_limit(near, LIMIT);
        let mut far = IdleLimited::with_limit(far, LIMIT);
        let start = Instant::now();
        let error = copy_bidirectional(&mut near, &mut far).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), LIMIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn one_direction_keeps_both_alive_and_half_of_it_may_be_closed() {
        let (mut client, near) = duplex(64);
        let (far, mut server) = duplex(64);
        let mut near = IdleLimited::with_limit(near, LIMIT);
        let mut far = IdleLimited::with_limit(far, LIMIT);
        let tunnel = tokio::spawn(async move { copy_bidirectional(&mut near, &mut far).await });
        client.shutdown().await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
        for _ in 0..5 {
            sleep(LIMIT - Duration::from_secs(1)).await;
            server.write_all(b"x").await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), b'x');
        }
        drop(server);
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(tunnel.await.unwrap().unwrap(), (0, 5));
    }
}
