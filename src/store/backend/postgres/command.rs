//! Statements of fixed texts, run to their end.

use std::pin::pin;

use bytes::{BufMut, BytesMut};
use futures_util::TryStreamExt;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Error, Row, RowStream};

use super::super::{Command, Datum, Done, Kind};
use super::Style;
use super::connection::{PostgresConnection, Value, late, settled};
use super::decode::{POSTGRES_EPOCH_MICROS, datum};
use crate::rows::Failed;
use crate::store::{ErrorKind, StoreError};

impl PostgresConnection {
    /// Runs `command`, which has this text, and takes all of its rows.
    pub(super) async fn execute(
        &self,
        text: &str,
        command: &Command<'_>,
    ) -> Result<Done, Failed<StoreError>> {
        let values: Vec<Value<'_>> = command.binds.iter().map(|bind| Value::from(*bind)).collect();
        match self.style {
            // The server knows the time of a statement.
            Style::Named => {
                let prepared = self.client.prepare_cached(text).await;
                let statement = prepared.map_err(|error| settled(&error))?;
                let values = values.iter().map(Value::as_sql);
                let rows = self.client.query_raw(&statement, values).await;
                taken(rows.map_err(|error| self.refused(text, &error))?, command).await
            }
            Style::Unnamed { statement_timeout } => {
                let values = values.iter().map(|value| (value.as_sql(), value.ty()));
                let run = async {
                    let rows = self.client.query_typed_raw(text, values).await;
                    taken(rows.map_err(|error| settled(&error))?, command).await
                };
                timeout_at(Instant::now() + statement_timeout, run).await.map_err(|_| late())?
            }
        }
    }

    /// What an error means. A table that was altered since its statement was prepared ("cached plan
    /// must not change result type") wants the transaction to begin anew.
    fn refused(&self, text: &str, error: &Error) -> Failed<StoreError> {
        if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) {
            self.client.statement_cache.remove(text, &[]);
            let detail = "a table changes while it is written to";
            return Failed { error: StoreError::new(ErrorKind::Conflict, detail), settled: true };
        }
        settled(error)
    }
}

async fn taken(rows: RowStream, command: &Command<'_>) -> Result<Done, Failed<StoreError>> {
    let mut rows = pin!(rows);
    let mut done = Done::default();
    let mut unreadable = None;
    while let Some(row) = rows.try_next().await.map_err(|error| settled(&error))? {
        match read(&row, command) {
            Ok(data) => done.rows.push(data),
            Err(error) => unreadable = Some(error),
        }
    }
    if let Some(error) = unreadable {
        return Err(Failed { error, settled: true });
    }
    done.affected = rows.rows_affected().unwrap_or_default();
    Ok(done)
}

fn read(row: &Row, command: &Command<'_>) -> Result<Vec<Datum>, StoreError> {
    let read = |(index, kind): (usize, &Kind)| {
        datum(row, index, *kind).ok_or_else(|| {
            let name = command.name;
            let column = row.columns().get(index).map_or("?", |column| column.name());
            let detail = format_args!("column {column} of {name} cannot be read as {kind:?}");
            StoreError::new(ErrorKind::NotPrepared, detail)
        })
    };
    command.columns.iter().enumerate().map(read).collect()
}

type BoxError = Box<dyn std::error::Error + Sync + Send>;

/// Microseconds since 1970, bound as `timestamptz`.
#[derive(Debug)]
pub(super) struct Micros(pub i64);

impl ToSql for Micros {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        out.put_i64(self.0 - POSTGRES_EPOCH_MICROS);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}
