//! A connection that serves requests.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Column, Error};

use super::super::sql::{Fragments, Texts};
use super::super::{Bind, Boundary, COUNT, Command, Connection, Done, Ran, StartedRows};
use super::command::Micros;
use super::numeric::Cents;
use super::{Style, decode, failure};
use crate::connector::Canceller;
use crate::query::ProductQuery;
use crate::rows::{Failed, Flow, Progress, RowSink, RowSource};
use crate::store::{ErrorKind, StoreError};

/// A cancel request is a connection of its own; it is given up after this.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// A handle to a connection; all that are cloned of it share it.
#[derive(Clone)]
pub(super) struct PostgresConnection {
    pub client: Arc<ClientWrapper>,
    pub canceller: Canceller,
    pub style: Style,
    pub fragments: Arc<Fragments>,
    pub texts: Arc<Texts>,
}

/// An answered error leaves the connection at rest; a closed one is found when next borrowed.
pub(super) fn settled(error: &Error) -> Failed<StoreError> {
    Failed { error: failure::of_statement(error), settled: true }
}

impl PostgresConnection {
    /// The statement is prepared at most once a connection; the server knows its time.
    async fn start_named(&self, text: &str, values: &[Value<'_>]) -> Started {
        match self.execute_named(text, values).await {
            // The table was altered since the statement was prepared ("cached plan must not change
            // result type").
            Err(Stale::Plan) => {
                self.client.statement_cache.remove(text, &[]);
                self.execute_named(text, values).await.map_err(|stale| match stale {
                    Stale::Plan => {
                        let detail = "the table changes while it is read";
                        Failed {
                            error: StoreError::new(ErrorKind::Conflict, detail),
                            settled: true,
                        }
                    }
                    Stale::Not(failed) => failed,
                })
            }
            Err(Stale::Not(failed)) => Err(failed),
            Ok(rows) => Ok(rows),
        }
    }

    async fn execute_named(&self, text: &str, values: &[Value<'_>]) -> Result<PostgresRows, Stale> {
        let failed = |error: Error| match error.code() {
            Some(code) if *code == SqlState::FEATURE_NOT_SUPPORTED => Stale::Plan,
            _ => Stale::Not(settled(&error)),
        };
        let statement = self.client.prepare_cached(text).await.map_err(failed)?;
        check_columns(statement.columns())
            .map_err(|error| Stale::Not(Failed { error, settled: true }))?;
        let values = values.iter().map(Value::as_sql);
        let rows = self.client.query_raw(&statement, values).await.map_err(failed)?;
        Ok(PostgresRows { rows: Box::pin(rows), unchecked: false, deadline: None })
    }

    /// One round trip, and no state at the other side; its time is ours to keep.
    async fn start_unnamed(&self, text: &str, values: &[Value<'_>], deadline: Instant) -> Started {
        let values = values.iter().map(|value| (value.as_sql(), value.ty()));
        let rows = timeout_at(deadline, self.client.query_typed_raw(text, values)).await;
        let rows = rows.map_err(|_| late())?.map_err(|error| settled(&error))?;
        let deadline = Some(Box::pin(sleep_until(deadline)));
        Ok(PostgresRows { rows: Box::pin(rows), unchecked: true, deadline })
    }
}

type Started = Result<PostgresRows, Failed<StoreError>>;

/// Why a named statement failed.
enum Stale {
    /// It was prepared for another shape of the table.
    Plan,
    /// For another reason.
    Not(Failed<StoreError>),
}

/// The statement still runs: whoever drops its rows cancels it.
pub(super) fn late() -> Failed<StoreError> {
    let detail = "database.statement_timeout has passed";
    Failed { error: StoreError::new(ErrorKind::StatementTimeout, detail), settled: false }
}

impl Connection for PostgresConnection {
    fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    fn check(&mut self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            // Nothing to do, and so the cheapest round trip that there is.
            let answered = self.client.simple_query("").await;
            answered.map(drop).map_err(|error| failure::of_statement(&error))
        })
    }

    fn rows<'a>(&'a mut self, query: &'a ProductQuery) -> StartedRows<'a> {
        Box::pin(async {
            let sql = self.fragments.compose(query);
            let values: Vec<Value<'_>> = sql.binds.iter().map(|bind| Value::from(*bind)).collect();
            let rows = match self.style {
                Style::Named => self.start_named(&sql.text, &values).await?,
                Style::Unnamed { statement_timeout } => {
                    let deadline = Instant::now() + statement_timeout;
                    self.start_unnamed(&sql.text, &values, deadline).await?
                }
            };
            Ok(Box::pin(rows) as Pin<Box<dyn RowSource<Error = _>>>)
        })
    }

    fn run<'a>(&'a mut self, command: &'a Command<'a>) -> Ran<'a, Done> {
        Box::pin(self.execute(self.texts.get(command.name), command))
    }

    fn count<'a>(&'a mut self, query: &'a ProductQuery) -> Ran<'a, u64> {
        Box::pin(async {
            let sql = self.fragments.count(query);
            let command = Command { binds: &sql.binds, ..COUNT };
            Ok(self.execute(&sql.text, &command).await?.count())
        })
    }

    fn bound(&mut self, boundary: Boundary) -> Ran<'_, ()> {
        Box::pin(async move {
            let ended = self.client.batch_execute(boundary.text("begin")).await;
            ended.map_err(|error| settled(&error))
        })
    }

    fn writes_many(&self) -> bool {
        true
    }

    fn cancel(&self) -> BoxFuture<'static, ()> {
        let canceller = self.canceller.clone();
        Box::pin(async move {
            match tokio::time::timeout(CANCEL_TIMEOUT, canceller.cancel()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a cancel request failed"),
                Err(_) => tracing::debug!("a cancel request was not answered in time"),
            }
        })
    }

    fn share(&self) -> Option<Box<dyn Connection>> {
        Some(Box::new(self.clone()))
    }
}

/// Whether the table has the columns that we decode.
fn check_columns(columns: &[Column]) -> Result<(), StoreError> {
    let named = |column: &Column| (column.name().to_owned(), column.type_().to_string());
    super::super::check_columns(columns, |c, kind| decode::accepts(c.type_(), kind), named)
}

/// A bound value in the type of its column.
pub(super) enum Value<'a> {
    Text(&'a str),
    Price(Cents),
    Int(i64),
    Timestamp(Micros),
}

impl<'a> From<Bind<'a>> for Value<'a> {
    fn from(bind: Bind<'a>) -> Self {
        match bind {
            Bind::Text(text) => Value::Text(text),
            Bind::Price(cents) => Value::Price(Cents(cents)),
            Bind::Int(number) => Value::Int(number),
            Bind::Timestamp(micros) => Value::Timestamp(Micros(micros)),
        }
    }
}

impl Value<'_> {
    pub fn as_sql(&self) -> &(dyn ToSql + Sync) {
        match self {
            Value::Text(text) => text,
            Value::Price(cents) => cents,
            Value::Int(number) => number,
            Value::Timestamp(micros) => micros,
        }
    }

    pub fn ty(&self) -> Type {
        match self {
            Value::Text(_) => Type::TEXT,
            Value::Price(_) => Type::NUMERIC,
            Value::Int(_) => Type::INT8,
            Value::Timestamp(_) => Type::TIMESTAMPTZ,
        }
    }
}

/// The rows of a running statement.
struct PostgresRows {
    rows: Pin<Box<tokio_postgres::RowStream>>,
    /// Whether nobody has looked at the columns yet: a statement without a name shows them with its
    /// first row.
    unchecked: bool,
    /// When to give up, where the server does not know.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl RowSource for PostgresRows {
    type Error = StoreError;

    fn poll_rows(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        sink: &mut dyn RowSink,
    ) -> Poll<Result<Progress, Failed<StoreError>>> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(late()));
        }
        // Rows are still coming, so the connection is not at rest.
        let unreadable = |error| Poll::Ready(Err(Failed { error, settled: false }));
        loop {
            let row = match std::task::ready!(self.rows.as_mut().poll_next(cx)) {
                Some(Ok(row)) => row,
                None => return Poll::Ready(Ok(Progress::Finished)),
                Some(Err(error)) => return Poll::Ready(Err(settled(&error))),
            };
            if self.unchecked {
                if let Err(error) = check_columns(row.columns()) {
                    return unreadable(error);
                }
                self.unchecked = false;
            }
            let cells = match decode::product(&row) {
                Ok(cells) => cells,
                Err(error) => return unreadable(error),
            };
            if sink.row(&cells) == Flow::Pause {
                return Poll::Ready(Ok(Progress::Paused));
            }
        }
    }
}
