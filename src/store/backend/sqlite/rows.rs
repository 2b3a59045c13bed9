//! Rows from the connection's thread to the runtime, in batches.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use tokio::sync::mpsc;

use super::super::sql::Statement;
use super::super::{Bind, COLUMNS, KINDS, Kind};
use super::store_error;
use super::thread::SqliteThread;
use crate::rows::{Cell, Failed, Flow, Progress, RowSink, RowSource};
use crate::store::{ErrorKind, StoreError};

/// A batch is sent when its text has this many bytes; about 1,000 rows.
const BATCH_TEXT: usize = 48 * 1024;
/// Batches under way; the thread waits when nobody takes them.
const BATCHES: usize = 2;
/// Steps of SQLite's virtual machine between two looks at the clock.
pub(super) const STEPS_PER_LOOK: i32 = 10_000;

/// A cell whose text stands in the batch.
#[derive(Clone, Copy)]
enum Packed {
    Null,
    Int(i64),
    Cents(i64),
    Micros(i64),
    Text { start: u32, end: u32 },
}

/// Some rows, whole.
#[derive(Default)]
struct Batch {
    cells: Vec<[Packed; COLUMNS.len()]>,
    text: String,
    /// Whether no rows follow. A thread that dies never says so, so that rows that broke off are
    /// not taken for all.
    last: bool,
}

type Sender = mpsc::Sender<Result<Batch, StoreError>>;

/// Starts a statement on the connection's thread.
pub(super) fn start(
    thread: &SqliteThread,
    statement: Statement<'_>,
    deadline: Instant,
) -> Result<Pin<Box<dyn RowSource<Error = StoreError>>>, StoreError> {
    let (sender, batches) = mpsc::channel(BATCHES);
    let values: Vec<Value> = statement.binds.iter().map(|bind| Value::from(*bind)).collect();
    let text = statement.text;
    thread.send(move |connection| {
        let late = move || Instant::now() > deadline;
        let stepped = connection
            .progress_handler(STEPS_PER_LOOK, Some(late))
            .map_err(|error| store_error(&error))
            .and_then(|()| step(connection, &text, &values, &sender));
        if let Err(error) = stepped {
            // Nobody listens when the rows were abandoned.
            let _ = sender.blocking_send(Err(error));
        }
    })?;
    Ok(Box::pin(SqliteRows { batches, batch: Batch::default(), next: 0 }))
}

/// Sends every row, or as many as somebody takes.
fn step(
    connection: &mut rusqlite::Connection,
    text: &str,
    values: &[Value],
    sender: &Sender,
) -> Result<(), StoreError> {
    let error = |error: rusqlite::Error| store_error(&error);
    let mut statement = connection.prepare_cached(text).map_err(error)?;
    let mut rows = statement.query(rusqlite::params_from_iter(values)).map_err(error)?;
    let mut batch = Batch::default();
    while let Some(row) = rows.next().map_err(error)? {
        let mut cells = [Packed::Null; COLUMNS.len()];
        for (index, cell) in cells.iter_mut().enumerate() {
            let value = row.get_ref(index).map_err(error)?;
            *cell = pack(value, KINDS[index], &mut batch.text).ok_or_else(|| {
                let column = COLUMNS[index];
                let found = value.data_type();
                StoreError::new(
                    ErrorKind::NotPrepared,
                    format_args!("column products.{column} holds {found}, which cannot be read"),
                )
            })?;
        }
        batch.cells.push(cells);
        if batch.text.len() >= BATCH_TEXT
            && sender.blocking_send(Ok(std::mem::take(&mut batch))).is_err()
        {
            return Ok(());
        }
    }
    batch.last = true;
    // The receiver may be gone: then the rows were abandoned.
    let _ = sender.blocking_send(Ok(batch));
    Ok(())
}

fn pack(value: ValueRef<'_>, kind: Kind, text: &mut String) -> Option<Packed> {
    Some(match (value, kind) {
        (ValueRef::Null, _) => Packed::Null,
        (ValueRef::Integer(value), Kind::Int) => Packed::Int(value),
        (ValueRef::Integer(value), Kind::Price) => Packed::Cents(value),
        (ValueRef::Integer(value), Kind::Timestamp) => Packed::Micros(value),
        (ValueRef::Text(value), Kind::Text) => {
            let start = u32::try_from(text.len()).ok()?;
            text.push_str(std::str::from_utf8(value).ok()?);
            Packed::Text { start, end: u32::try_from(text.len()).ok()? }
        }
        _ => return None,
    })
}

struct SqliteRows {
    batches: mpsc::Receiver<Result<Batch, StoreError>>,
    batch: Batch,
    next: usize,
}

impl RowSource for SqliteRows {
    type Error = StoreError;

    fn poll_rows(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        sink: &mut dyn RowSink,
    ) -> Poll<Result<Progress, Failed<StoreError>>> {
        loop {
            while let Some(packed) = self.batch.cells.get(self.next) {
                let text = &self.batch.text;
                let cells = packed.map(|cell| unpack(cell, text));
                let flow = sink.row(&cells);
                self.next += 1;
                if flow == Flow::Pause {
                    return Poll::Ready(Ok(Progress::Paused));
                }
            }
            if self.batch.last {
                return Poll::Ready(Ok(Progress::Finished));
            }
            match ready!(self.batches.poll_recv(cx)) {
                Some(Ok(batch)) => {
                    self.batch = batch;
                    self.next = 0;
                }
                Some(Err(error)) => {
                    return Poll::Ready(Err(Failed { error, settled: true }));
                }
                None => {
                    let detail = "the thread of a SQLite connection died";
                    let error = StoreError::new(ErrorKind::Disconnected, detail);
                    return Poll::Ready(Err(Failed { error, settled: false }));
                }
            }
        }
    }
}

fn unpack(cell: Packed, text: &str) -> Cell<'_> {
    match cell {
        Packed::Null => Cell::Null,
        Packed::Int(value) => Cell::Int(value),
        Packed::Cents(unscaled) => Cell::Decimal { unscaled, scale: 2 },
        Packed::Micros(micros) => Cell::Timestamp(micros),
        Packed::Text { start, end } => Cell::Text(&text[start as usize..end as usize]),
    }
}

/// A bound value that can go to another thread.
pub(super) enum Value {
    Text(String),
    Int(i64),
}

impl From<Bind<'_>> for Value {
    fn from(bind: Bind<'_>) -> Self {
        match bind {
            Bind::Text(text) => Value::Text(text.to_owned()),
            Bind::Price(number) | Bind::Int(number) | Bind::Timestamp(number) => Value::Int(number),
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Value::Text(text) => text.to_sql(),
            Value::Int(number) => number.to_sql(),
        }
    }
}
