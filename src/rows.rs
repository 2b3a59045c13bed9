//! Rows on their way from a driver to the encoder, without a struct a row.
//!
//! A backend turns its own row into [`Cell`]s that borrow from it and hands them to a [`RowSink`];
//! neither side knows the other. The connection that the rows come from rides along as an opaque
//! [`Guard`], so that it is given back the moment the last row has left.

use std::pin::Pin;
use std::task::{Context, Poll};

/// One value of a row, borrowed from where the driver keeps it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// SQL null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text.
    Text(&'a str),
    /// Text that should be UTF-8 and that nobody has checked: the encoder looks at every byte
    /// anyway, and writes U+FFFD for what is not UTF-8.
    Unchecked(&'a [u8]),
    /// An exact decimal: `unscaled` / 10^`scale`.
    Decimal {
        /// All digits as one number.
        unscaled: i64,
        /// How many of them stand after the point.
        scale: u8,
    },
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}

/// What a sink wants after a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The next row, if it is at hand.
    More,
    /// A pause: the sink is full for now.
    Pause,
}

/// Takes rows, one call each, cells in the order of the stream's columns.
pub trait RowSink {
    /// Takes one row.
    fn row(&mut self, cells: &[Cell<'_>]) -> Flow;
}

/// How far a call of [`RowSource::poll_rows`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The sink asked for a pause; there may be more rows.
    Paused,
    /// The last row was taken.
    Finished,
}

/// Why rows ended before the last one.
#[derive(Debug)]
pub struct Failed<E> {
    /// What happened.
    pub error: E,
    /// Whether the connection is at rest all the same, so that it may be used again.
    pub settled: bool,
}

/// The rows of one running statement.
pub trait RowSource: Send {
    /// How this source fails.
    type Error;

    /// Hands every row that is at hand to `sink`, until it asks for a pause or rows run out.
    ///
    /// `Pending` means that rows were handed over as they came and that more are awaited.
    fn poll_rows(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        sink: &mut dyn RowSink,
    ) -> Poll<Result<Progress, Failed<Self::Error>>>;
}

/// Holds what the rows depend on: the connection, and through it a place in a pool.
pub trait Guard: Send {
    /// The statement ended; the connection can serve another.
    fn finished(self: Box<Self>);
    /// The statement is still running and nobody wants its rows.
    fn abandoned(self: Box<Self>);
}

/// A [`RowSource`] together with the [`Guard`] of its connection.
///
/// Dropping it before its end abandons the guard.
pub struct RowStream<E> {
    source: Pin<Box<dyn RowSource<Error = E>>>,
    guard: Option<Box<dyn Guard>>,
}

impl<E> RowStream<E> {
    /// Rows that hold `guard` until they end.
    pub fn new(source: Pin<Box<dyn RowSource<Error = E>>>, guard: Box<dyn Guard>) -> Self {
        Self { source, guard: Some(guard) }
    }

    /// As [`RowSource::poll_rows`], without the state of the connection: that has been dealt with.
    pub fn poll_rows(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut dyn RowSink,
    ) -> Poll<Result<Progress, E>> {
        if self.guard.is_none() {
            return Poll::Ready(Ok(Progress::Finished));
        }
        match self.source.as_mut().poll_rows(cx, sink) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(Progress::Paused)) => Poll::Ready(Ok(Progress::Paused)),
            Poll::Ready(Ok(Progress::Finished)) => {
                self.release(true);
                Poll::Ready(Ok(Progress::Finished))
            }
            Poll::Ready(Err(failed)) => {
                self.release(failed.settled);
                Poll::Ready(Err(failed.error))
            }
        }
    }

    fn release(&mut self, settled: bool) {
        if let Some(guard) = self.guard.take() {
            if settled { guard.finished() } else { guard.abandoned() }
        }
    }
}

impl<E> Drop for RowStream<E> {
    fn drop(&mut self) {
        self.release(false);
    }
}
