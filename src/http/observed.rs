//! Bodies on their way out: what is sent, counted and logged when the last byte is handed over.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use poem::http::{Method, StatusCode};
use sync_wrapper::SyncWrapper;

use super::request::RequestInfo;
use crate::encode::{RowBytes, Whole};
use crate::store::StoreError;

/// The chunks of a whole body.
pub(super) struct WholeBody<I> {
    chunks: I,
    left: u64,
}

/// A whole body as one that the HTTP stack can send; what is not shared is freed as it leaves.
pub(super) fn whole(body: Whole) -> BoxBody<Bytes, std::io::Error> {
    let left = body.len() as u64;
    BoxBody::new(WholeBody { chunks: body.into_chunks(), left })
}

impl<I: Iterator<Item = Bytes> + Unpin> HttpBody for WholeBody<I> {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = self.get_mut();
        Poll::Ready(this.chunks.next().map(|chunk| {
            this.left -= chunk.len() as u64;
            Ok(Frame::data(chunk))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Rows as a body of unknown length; a failure breaks it off.
struct StreamedBody {
    rows: SyncWrapper<RowBytes<StoreError>>,
    info: Arc<RequestInfo>,
}

/// A stream of rows as a body. What ends it early is logged under the request's id.
pub(super) fn streamed(
    rows: RowBytes<StoreError>,
    info: Arc<RequestInfo>,
) -> BoxBody<Bytes, std::io::Error> {
    BoxBody::new(StreamedBody { rows: SyncWrapper::new(rows), info })
}

impl HttpBody for StreamedBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = self.get_mut();
        let next = Pin::new(this.rows.get_mut()).poll_next(cx);
        next.map(|chunk| {
            chunk.map(|chunk| {
                chunk.map(Frame::data).map_err(|error| {
                    tracing::error!(request_id = %this.info.id, %error, "an answer broke off");
                    std::io::Error::other(error)
                })
            })
        })
    }
}

/// Any body, with what becomes of it. When it is dropped, finished or not, the request is over:
/// then it is counted and logged.
pub struct Observed {
    body: BoxBody<Bytes, std::io::Error>,
    info: Arc<RequestInfo>,
    status: StatusCode,
    sent: u64,
    outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    /// The client went away before the end.
    Aborted,
    Complete,
    /// The rows failed in mid-stream.
    BrokenOff,
}

impl Observed {
    pub(super) fn new(
        body: BoxBody<Bytes, std::io::Error>,
        info: Arc<RequestInfo>,
        status: StatusCode,
    ) -> Self {
        // The HTTP stack never asks for the body of an answer to HEAD.
        let nothing_to_send = body.is_end_stream() || info.method == Method::HEAD;
        let outcome = if nothing_to_send { Outcome::Complete } else { Outcome::Aborted };
        Self { body, info, status, sent: 0, outcome }
    }
}

impl HttpBody for Observed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
                if self.body.is_end_stream() {
                    self.outcome = Outcome::Complete;
                }
            }
            Poll::Ready(None) => self.outcome = Outcome::Complete,
            Poll::Ready(Some(Err(_))) => self.outcome = Outcome::BrokenOff,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if let Some(answered) = self.info.answered.get() {
            let meter = &answered.meter;
            meter.in_flight.dec();
            meter.bytes.inc_by(self.sent);
            meter.latency.record(self.info.started.elapsed());
            if self.status.is_server_error() || self.outcome == Outcome::BrokenOff {
                meter.errors.inc();
            }
        }
        let outcome = match self.outcome {
            Outcome::Complete => None,
            Outcome::Aborted => Some("client left"),
            Outcome::BrokenOff => Some("broke off"),
        };
        self.info.over(Some((self.status, self.sent)), outcome);
    }
}
