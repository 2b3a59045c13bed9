//! A stream that notes when something last came or went, so that an answer that flows slowly can be
//! told from one that does not come.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Anything that a connection can run over.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for S {}

/// A point in time that many may set.
#[derive(Debug)]
pub struct Moment {
    origin: Instant,
    microseconds: AtomicU64,
}

impl Default for Moment {
    /// Now.
    fn default() -> Self {
        Self { origin: Instant::now(), microseconds: AtomicU64::new(0) }
    }
}

impl Moment {
    /// Sets it to now.
    pub fn set(&self) {
        let passed = self.origin.elapsed().as_micros() as u64;
        self.microseconds.store(passed, Ordering::Relaxed);
    }

    /// When it was set last; at first, when it was made.
    pub fn get(&self) -> Instant {
        self.origin + Duration::from_micros(self.microseconds.load(Ordering::Relaxed))
    }
}

/// When bytes last moved on a connection; at first, when it was made.
#[derive(Debug, Default)]
pub struct Flow {
    /// Some came.
    pub read: Moment,
    /// Some were sent.
    pub written: Moment,
}

/// Notes the flow of a stream.
pub(super) struct Watched<S> {
    inner: S,
    flow: Arc<Flow>,
}

impl<S> Watched<S> {
    pub fn new(inner: S, flow: Arc<Flow>) -> Self {
        Self { inner, flow }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.flow.read.set();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.flow.written.set();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
