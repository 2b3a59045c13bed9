//! Statements of fixed texts, run to their end on the connection's thread; and who may write.

use std::sync::Arc;
use std::time::Instant;

use rusqlite::types::ValueRef;
use tokio::sync::OwnedSemaphorePermit;

use super::super::{Boundary, Command, Datum, Done, Kind};
use super::rows::{STEPS_PER_LOOK, Value};
use super::{SqliteConnection, store_error};
use crate::store::{ErrorKind, StoreError};

/// The right to write, of which a file has one. Writers wait for it in their order: SQLite's own lock
/// is tried again after pauses, by luck.
pub(super) type Turn = OwnedSemaphorePermit;

impl SqliteConnection {
    /// Runs `command`, which has this text.
    pub(super) async fn execute(
        &self,
        text: &str,
        command: &Command<'_>,
    ) -> Result<Done, StoreError> {
        let text = text.to_owned();
        let values: Vec<Value> = command.binds.iter().map(|bind| Value::from(*bind)).collect();
        let (name, columns) = (command.name, command.columns);
        let deadline = Instant::now() + self.statement_timeout;
        let run = move |connection: &mut rusqlite::Connection| {
            let late = move || Instant::now() > deadline;
            connection.progress_handler(STEPS_PER_LOOK, Some(late))?;
            step(connection, &text, &values, columns)
        };
        let done = self.thread.run(run).await?.map_err(|error| store_error(&error))?;
        done.ok_or_else(|| {
            let detail = format_args!("a column of {name} cannot be read as one of {columns:?}");
            StoreError::new(ErrorKind::NotPrepared, detail)
        })
    }

    pub(super) async fn end(&mut self, boundary: Boundary) -> Result<(), StoreError> {
        if boundary == Boundary::Begin {
            let turn = Arc::clone(&self.writing).acquire_owned().await;
            self.turn = Some(turn.expect("it is never closed"));
        }
        let begins = boundary == Boundary::Begin;
        let run = move |connection: &mut rusqlite::Connection| {
            connection.progress_handler(0, None::<fn() -> bool>)?;
            if begins {
                connection.pragma_update(None, "query_only", false)?;
            }
            connection.execute_batch(boundary.text("begin immediate"))?;
            if !begins {
                connection.pragma_update(None, "query_only", true)?;
            }
            Ok(())
        };
        let ended =
            self.thread.run(run).await?.map_err(|error: rusqlite::Error| store_error(&error));
        if ended.is_err() || !begins {
            self.turn = None;
        }
        ended
    }
}

/// `None` where a value is of another kind than its column.
fn step(
    connection: &mut rusqlite::Connection,
    text: &str,
    values: &[Value],
    columns: &[Kind],
) -> rusqlite::Result<Option<Done>> {
    let mut statement = connection.prepare_cached(text)?;
    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
    let mut done = Done::default();
    let mut readable = true;
    while let Some(row) = rows.next()? {
        let mut data = Vec::with_capacity(columns.len());
        for (index, kind) in columns.iter().enumerate() {
            data.extend(datum(row.get_ref(index)?, *kind));
        }
        readable &= data.len() == columns.len();
        done.rows.push(data);
    }
    drop(rows);
    drop(statement);
    done.affected = connection.changes();
    Ok(readable.then_some(done))
}

fn datum(value: ValueRef<'_>, kind: Kind) -> Option<Datum> {
    Some(match (value, kind) {
        (ValueRef::Null, _) => Datum::Null,
        (ValueRef::Integer(value), Kind::Int) => Datum::Int(value),
        (ValueRef::Integer(value), Kind::Price) => Datum::Price(value),
        (ValueRef::Integer(value), Kind::Timestamp) => Datum::Timestamp(value),
        (ValueRef::Text(value), Kind::Text) => {
            Datum::Text(std::str::from_utf8(value).ok()?.to_owned())
        }
        _ => return None,
    })
}
