//! A connection that serves requests.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use deadpool::managed::Manager as _;
use deadpool_postgres::{ClientWrapper, Manager};
use futures_util::Stream;
use futures_util::future::BoxFuture;
use tokio_postgres::types::ToSql;
use tokio_postgres::{NoTls, Statement};

use super::super::sql::{Bind, Fragments};
use super::super::{Connection, KINDS, StartedRows};
use super::numeric::Cents;
use super::{decode, statement_error};
use crate::query::ProductQuery;
use crate::rows::{Failed, Flow, Progress, RowSink, RowSource};
use crate::store::{ErrorKind, StoreError};

/// A cancel request is a connection of its own; it is given up after this.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct PostgresConnection {
    link: Arc<Link>,
    fragments: Arc<Fragments>,
}

/// The connection itself, for all handles to it.
struct Link {
    client: ClientWrapper,
    manager: Arc<Manager>,
}

impl PostgresConnection {
    pub fn boxed(
        client: ClientWrapper,
        manager: Arc<Manager>,
        fragments: Arc<Fragments>,
    ) -> Box<dyn Connection> {
        Box::new(Self { link: Arc::new(Link { client, manager }), fragments })
    }

    async fn start(
        &self,
        query: &ProductQuery,
    ) -> Result<tokio_postgres::RowStream, Failed<StoreError>> {
        // An answered error leaves the connection at rest; a closed one is found when next borrowed.
        let failed =
            |error: tokio_postgres::Error| Failed { error: statement_error(&error), settled: true };
        let sql = self.fragments.compose(query);
        let statement = self.link.client.prepare_cached(&sql.text).await.map_err(failed)?;
        check_columns(&statement).map_err(|error| Failed { error, settled: true })?;
        let values: Vec<Value<'_>> = sql.binds.iter().map(|bind| Value::from(*bind)).collect();
        let values = values.iter().map(Value::as_sql);
        self.link.client.query_raw(&statement, values).await.map_err(failed)
    }
}

/// The manager lists every connection that it made until it is told to forget it.
impl Drop for Link {
    fn drop(&mut self) {
        self.manager.detach(&mut self.client);
    }
}

impl Connection for PostgresConnection {
    fn is_closed(&self) -> bool {
        self.link.client.is_closed()
    }

    fn check(&mut self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let asked = self.link.client.simple_query("").await;
            asked.map(drop).map_err(|error| statement_error(&error))
        })
    }

    fn rows<'a>(&'a mut self, query: &'a ProductQuery) -> StartedRows<'a> {
        Box::pin(async {
            let rows = self.start(query).await?;
            Ok(Box::pin(PostgresRows(Box::pin(rows))) as Pin<Box<dyn RowSource<Error = _>>>)
        })
    }

    fn cancel(&self) -> BoxFuture<'static, ()> {
        let token = self.link.client.cancel_token();
        Box::pin(async move {
            match tokio::time::timeout(CANCEL_TIMEOUT, token.cancel_query(NoTls)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a cancel request failed"),
                Err(_) => tracing::debug!("a cancel request was not answered in time"),
            }
        })
    }

    fn share(&self) -> Option<Box<dyn Connection>> {
        Some(Box::new(Self { link: self.link.clone(), fragments: self.fragments.clone() }))
    }
}

/// Whether the table has the columns that we decode.
fn check_columns(statement: &Statement) -> Result<(), StoreError> {
    let columns = statement.columns();
    let wrong =
        columns.iter().zip(KINDS).find(|(column, kind)| !decode::accepts(column.type_(), *kind));
    match wrong {
        None if columns.len() == KINDS.len() => Ok(()),
        None => Err(StoreError::new(ErrorKind::NotPrepared, "the query gives other columns")),
        Some((column, kind)) => Err(StoreError::new(
            ErrorKind::NotPrepared,
            format_args!(
                "column products.{} is of type {}, which cannot be read as {kind:?}",
                column.name(),
                column.type_()
            ),
        )),
    }
}

/// A bound value in the type of its column.
enum Value<'a> {
    Text(&'a str),
    Price(Cents),
    Int(i64),
}

impl<'a> From<Bind<'a>> for Value<'a> {
    fn from(bind: Bind<'a>) -> Self {
        match bind {
            Bind::Text(text) => Value::Text(text),
            Bind::Price(cents) => Value::Price(Cents(cents)),
            Bind::Int(number) => Value::Int(number),
        }
    }
}

impl Value<'_> {
    fn as_sql(&self) -> &(dyn ToSql + Sync) {
        match self {
            Value::Text(text) => text,
            Value::Price(cents) => cents,
            Value::Int(number) => number,
        }
    }
}

/// The rows of a running statement.
struct PostgresRows(Pin<Box<tokio_postgres::RowStream>>);

impl RowSource for PostgresRows {
    type Error = StoreError;

    fn poll_rows(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        sink: &mut dyn RowSink,
    ) -> Poll<Result<Progress, Failed<StoreError>>> {
        loop {
            let row = match std::task::ready!(self.0.as_mut().poll_next(cx)) {
                Some(Ok(row)) => row,
                None => return Poll::Ready(Ok(Progress::Finished)),
                Some(Err(error)) => {
                    let error = statement_error(&error);
                    return Poll::Ready(Err(Failed { error, settled: true }));
                }
            };
            let cells = match decode::product(&row) {
                Ok(cells) => cells,
                // Rows are still coming, so the connection is not at rest.
                Err(error) => return Poll::Ready(Err(Failed { error, settled: false })),
            };
            if sink.row(&cells) == Flow::Pause {
                return Poll::Ready(Ok(Progress::Paused));
            }
        }
    }
}
