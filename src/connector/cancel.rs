//! Requests to stop a statement, each on a connection of its own.
//!
//! A request is sent and then waits until the other side closes, as libpq does it. The driver's own
//! request leaves at once, which PgBouncer 1.18 does not survive ("bad client state", its issue
//! 801); and only a server that has closed has certainly read it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::TryFutureExt;
use futures_util::future::MapOk;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::CancelToken;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Where the other side of a connection is.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Stops the statement that runs on one connection.
#[derive(Clone)]
pub struct Canceller {
    pub(super) token: CancelToken,
    /// `None` where only the driver knows.
    pub(super) peer: Option<Peer>,
    /// The name that the other side's certificate is for.
    pub(super) hostname: String,
    pub(super) tls: MakeRustlsConnect,
}

impl Canceller {
    /// Asks the server to stop the statement, over the same TLS as the connection, and waits until it
    /// has heard.
    ///
    /// # Errors
    /// When it could not be asked. Whether it had an effect is not known.
    pub async fn cancel(&self) -> io::Result<()> {
        match &self.peer {
            Some(Peer::Tcp(address)) => self.send(TcpStream::connect(address).await?).await,
            Some(Peer::Unix(path)) => self.send(UnixStream::connect(path).await?).await,
            None => {
                let sent = self.token.cancel_query(self.tls.clone()).await;
                sent.map_err(io::Error::other)
            }
        }
    }

    async fn send<S>(&self, stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut make = self.tls.clone();
        let made = MakeTlsConnect::<UntilClosed<S>>::make_tls_connect(&mut make, &self.hostname);
        let tls = Quiet(made.map_err(io::Error::other)?);
        let sent = self.token.cancel_query_raw(UntilClosed(stream), tls).await;
        sent.map_err(io::Error::other)
    }
}

/// A stream that shuts down by waiting until its other side closes.
struct UntilClosed<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for UntilClosed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for UntilClosed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut bytes = [0; 64];
            let mut buffer = ReadBuf::new(&mut bytes);
            // However it closes: without the end of TLS, or with a reset.
            match ready!(Pin::new(&mut self.0).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: TlsStream + Unpin> TlsStream for UntilClosed<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.0.channel_binding()
    }
}

/// TLS that says no goodbye before the other side does.
struct Quiet<C>(C);

type Wrap<S> = fn(S) -> UntilClosed<S>;

impl<S, C: TlsConnect<S>> TlsConnect<S> for Quiet<C> {
    type Stream = UntilClosed<C::Stream>;
    type Error = C::Error;
    type Future = MapOk<C::Future, Wrap<C::Stream>>;

    fn connect(self, stream: S) -> Self::Future {
        self.0.connect(stream).map_ok(UntilClosed)
    }
}
