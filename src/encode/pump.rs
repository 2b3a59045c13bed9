//! Pulls rows through the encoder: into a whole body within the budget, or into a stream.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use xxhash_rust::xxh3::Xxh3;

use super::buffer::{Budget, Charge, Digest, Fingerprint, Whole, charged};
use super::json::{JsonRows, Layout};
use crate::rows::{Cell, Flow, Progress, RowSink, RowStream};

/// The first chunk of a body: a page of 100 rows fits.
const FIRST_CHUNK: usize = 32 * 1024;
/// Chunks double up to this size, which bounds what the last one wastes.
const LARGEST_CHUNK: usize = 256 * 1024;
/// One chunk of a stream.
const STREAM_CHUNK: usize = 64 * 1024;
/// A chunk counts as full when less than this is free: most rows fit without a reallocation.
const ROOM_FOR_A_ROW: usize = 512;

/// How much of an answer may be held in memory.
#[derive(Debug, Clone)]
pub struct BodyLimits {
    /// Bytes for one body.
    pub buffer: usize,
    /// Bytes for all bodies of the process.
    pub budget: Budget,
}

/// Encoded rows.
pub enum Encoded<E> {
    /// Every row, within the limits.
    Whole(Whole),
    /// The answer went over a limit: what there is so far, then the rest as it comes.
    Streaming(RowBytes<E>),
}

/// Encodes `rows` until they end or a limit is reached.
///
/// # Errors
/// Whatever the rows fail with before the end, or before the limit.
///
/// # Cancellation safety
/// Dropping the future abandons the rows and returns the charge.
pub async fn encode<E>(
    mut rows: RowStream<E>,
    columns: &[&str],
    layout: Layout,
    limits: &BodyLimits,
) -> Result<Encoded<E>, E> {
    let mut sink = ChunkSink::new(JsonRows::new(columns, layout));
    let mut body = Chunks::new(limits.budget.charge(), 0);
    let room = match body.fill(&mut rows, &mut sink, limits.buffer).await? {
        Filled::ToTheEnd => return Ok(Encoded::Whole(body.into_whole(&sink))),
        Filled::UpTo(room) => room,
    };
    sink.start_chunk(STREAM_CHUNK);
    let too_large = room == Room::OfOneBody;
    let mut stream = RowBytes { ready: body.done, rows, sink, state: State::Rows, too_large };
    if stream.ready.is_empty() {
        stream.first_row().await?;
    }
    Ok(Encoded::Streaming(stream))
}

/// Encodes `rows` to their end into memory that was paid for beforehand: `reserved` holds `buffer`
/// bytes, and what the body does not need of them is given back. `None` when it needs more.
///
/// # Errors
/// Whatever the rows fail with.
///
/// # Cancellation safety
/// Dropping the future abandons the rows and returns the charge.
pub async fn encode_reserved<E>(
    mut rows: RowStream<E>,
    columns: &[&str],
    layout: Layout,
    (buffer, reserved): (usize, Charge),
) -> Result<Option<Whole>, E> {
    let mut sink = ChunkSink::new(JsonRows::new(columns, layout));
    let mut body = Chunks::new(reserved, buffer);
    Ok(match body.fill(&mut rows, &mut sink, buffer).await? {
        Filled::ToTheEnd => Some(body.into_whole(&sink)),
        Filled::UpTo(_) => None,
    })
}

/// How far rows went into memory.
enum Filled {
    /// All of them are in.
    ToTheEnd,
    /// There was no more room of this kind.
    UpTo(Room),
}

#[derive(PartialEq)]
enum Room {
    /// For one body.
    OfOneBody,
    /// For all bodies of the process.
    OfAll,
}

/// The finished chunks of a body and what they cost.
struct Chunks {
    charge: Arc<Charge>,
    /// Bytes of the charge that no chunk uses yet.
    unused: usize,
    done: VecDeque<Bytes>,
    allocated: usize,
    hash: Xxh3,
}

impl Chunks {
    /// No chunks; `charge` holds `unused` bytes beforehand.
    fn new(charge: Charge, unused: usize) -> Self {
        let charge = Arc::new(charge);
        Self { charge, unused, done: VecDeque::new(), allocated: 0, hash: Xxh3::new() }
    }

    /// Encodes rows into chunks until they end or there is no room for another chunk.
    async fn fill<E>(
        &mut self,
        rows: &mut RowStream<E>,
        sink: &mut ChunkSink,
        buffer: usize,
    ) -> Result<Filled, E> {
        let mut next = FIRST_CHUNK;
        loop {
            if self.allocated + next > buffer {
                return Ok(Filled::UpTo(Room::OfOneBody));
            }
            if !self.pay(next) {
                return Ok(Filled::UpTo(Room::OfAll));
            }
            sink.start_chunk(next);
            let progress = poll_fn(|cx| rows.poll_rows(cx, sink)).await?;
            if progress == Progress::Finished {
                sink.json.end(&mut sink.chunk);
            }
            self.push(std::mem::take(&mut sink.chunk), next);
            if progress == Progress::Finished {
                return Ok(Filled::ToTheEnd);
            }
            next = (next * 2).min(LARGEST_CHUNK);
        }
    }

    /// Takes `bytes` from what was paid beforehand, or charges them.
    fn pay(&mut self, bytes: usize) -> bool {
        match self.unused.checked_sub(bytes) {
            Some(rest) => {
                self.unused = rest;
                true
            }
            None => self.charge.try_add(bytes),
        }
    }

    /// Takes a chunk for which `paid` bytes were charged. A row longer than the room left made it
    /// grow: the difference is charged if it can be, and is bounded by that one row if not.
    fn push(&mut self, chunk: Vec<u8>, paid: usize) {
        let grown = chunk.capacity().saturating_sub(paid);
        let allocated = if self.pay(grown) { paid + grown } else { paid };
        self.hash.update(&chunk);
        self.allocated += allocated;
        self.done.push_back(charged(chunk, allocated, &self.charge));
    }

    /// The body of all the rows that `sink` took.
    fn into_whole(self, sink: &ChunkSink) -> Whole {
        self.charge.release(self.unused);
        let hash = Fingerprint(self.hash.digest128());
        let digest = Digest { hash, rows: sink.rows, last_id: sink.last_id };
        Whole::from_chunks(self.done.into(), self.allocated, digest, self.charge)
    }
}

/// Encodes rows into one chunk after another.
struct ChunkSink {
    json: JsonRows,
    chunk: Vec<u8>,
    full_at: usize,
    begun: bool,
    rows: u64,
    /// The first cell of the last row.
    last_id: i64,
}

impl ChunkSink {
    fn new(json: JsonRows) -> Self {
        Self { json, chunk: Vec::new(), full_at: 0, begun: false, rows: 0, last_id: 0 }
    }

    fn start_chunk(&mut self, capacity: usize) {
        self.chunk = Vec::with_capacity(capacity);
        self.full_at = capacity.saturating_sub(ROOM_FOR_A_ROW);
        if !self.begun {
            self.begun = true;
            self.json.begin(&mut self.chunk);
        }
    }
}

impl RowSink for ChunkSink {
    fn row(&mut self, cells: &[Cell<'_>]) -> Flow {
        self.json.row(&mut self.chunk, cells);
        self.rows += 1;
        if let Some(Cell::Int(id)) = cells.first() {
            self.last_id = *id;
        }
        if self.chunk.len() < self.full_at { Flow::More } else { Flow::Pause }
    }
}

#[derive(PartialEq)]
enum State {
    Rows,
    Finished,
}

/// An answer as a stream of chunks; its rows come as fast as it is read.
///
/// An error ends it short of its closing bracket: never a well-formed short answer.
pub struct RowBytes<E> {
    ready: VecDeque<Bytes>,
    rows: RowStream<E>,
    sink: ChunkSink,
    state: State,
    too_large: bool,
}

impl<E> RowBytes<E> {
    /// Whether the rows ended without a single byte.
    pub fn is_empty(&self) -> bool {
        self.state == State::Finished && self.ready.is_empty()
    }

    /// Whether it streams because of its own size, and not because other bodies took the budget.
    pub fn is_too_large(&self) -> bool {
        self.too_large
    }

    /// Waits for the first row or the end, so that what fails before it can still be answered
    /// with a proper status.
    async fn first_row(&mut self) -> Result<(), E> {
        let progress = poll_fn(|cx| match self.rows.poll_rows(cx, &mut self.sink) {
            Poll::Pending if self.sink.rows > 0 => Poll::Ready(Ok(Progress::Paused)),
            poll => poll,
        })
        .await?;
        if progress == Progress::Finished {
            self.finish();
        }
        Ok(())
    }

    fn finish(&mut self) {
        self.state = State::Finished;
        self.sink.json.end(&mut self.sink.chunk);
        let last = std::mem::take(&mut self.sink.chunk);
        if !last.is_empty() {
            self.ready.push_back(last.into());
        }
    }
}

impl<E> Stream for RowBytes<E> {
    type Item = Result<Bytes, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(chunk) = this.ready.pop_front() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        if this.state == State::Finished {
            return Poll::Ready(None);
        }
        match ready!(this.rows.poll_rows(cx, &mut this.sink)) {
            Ok(Progress::Paused) => {
                let chunk = std::mem::take(&mut this.sink.chunk);
                this.sink.start_chunk(STREAM_CHUNK);
                Poll::Ready(Some(Ok(chunk.into())))
            }
            Ok(Progress::Finished) => {
                this.finish();
                Poll::Ready(this.ready.pop_front().map(Ok))
            }
            Err(error) => {
                this.state = State::Finished;
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}
