//! One connection to the target, kept alive. It is driven by whoever uses it, without a task of its
//! own, so that no request waits for another task to be woken.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::lab::base::{Base, RequestError};

use super::outcome::{Seen, cache_word};

/// A request with its body, if it has one, in memory.
pub(super) type Plain = Request<Full<Bytes>>;

type Driving = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// An open connection.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it has ended: it must not be polled again.
    driving: Option<Pin<Box<Driving>>>,
}

/// Why there is no whole answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// It had ended before anything of the request was sent: it can be sent over another one.
    Before,
    /// It ended, or was no HTTP, before the head of the answer was there.
    Reset(hyper::Error),
    /// It ended before the body did.
    Truncated,
}

impl Connection {
    /// A new one.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn open(base: &Base) -> Result<Self, RequestError> {
        let (sender, driving) = http1::handshake(TokioIo::new(base.connect().await?)).await?;
        Ok(Self { sender, driving: Some(Box::pin(driving)) })
    }

    /// Sends a request and reads the answer to its last byte; what comes is noted in `seen` at once,
    /// so that it is known also when the caller stops waiting.
    ///
    /// # Errors
    /// When there is no whole answer. The connection is of no use any more then, nor is it when the
    /// future is dropped before its end.
    pub async fn exchange(
        &mut self,
        request: Plain,
        seen: &mut Seen,
    ) -> Result<StatusCode, Broken> {
        let Self { sender, driving } = self;
        let exchange = async {
            if sender.ready().await.is_err() {
                return Err(Broken::Before);
            }
            seen.sent = Some(Instant::now());
            let answer = sender.try_send_request(request).await;
            let answer = answer.map_err(|mut error| match error.take_message() {
                Some(_unsent) => Broken::Before,
                None => Broken::Reset(error.into_error()),
            })?;
            seen.cache = cache_word(answer.headers());
            let status = answer.status();
            let mut body = answer.into_body();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| Broken::Truncated)?;
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if bytes > 0 {
                    seen.first_byte.get_or_insert_with(Instant::now);
                    seen.body_bytes += bytes as u64;
                }
            }
            Ok(status)
        };
        let mut exchange = pin!(exchange);
        poll_fn(|context| {
            // First the connection, to see an end that came since the last request; then the
            // request, which may leave it something to send.
            let mut drive = |context: &mut Context<'_>| {
                if let Some(connection) = driving
                    && connection.as_mut().poll(context).is_ready()
                {
                    *driving = None;
                }
            };
            drive(context);
            if let Poll::Ready(ended) = exchange.as_mut().poll(context) {
                return Poll::Ready(ended);
            }
            drive(context);
            Poll::Pending
        })
        .await
    }
}
