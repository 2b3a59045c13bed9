//! A connection that serves requests.

use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use mysql_async::prelude::Queryable;
use mysql_async::{BinaryProtocol, Conn, Opts, Params, QueryResult, Value};

use super::super::{Bind, Boundary, COUNT, Command, Connection, Done, Ran, StartedRows};
use super::datetime::DateTime;
use super::{Server, decode, statement_error};
use crate::query::ProductQuery;
use crate::rows::{Failed, Flow, Progress, RowSink, RowSource};
use crate::store::{ErrorKind, StoreError};

/// Killing takes a connection of its own; it is given up after this.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);
/// Saying goodbye means reading the rest of an answer; it is given up after this.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) async fn open(
    server: Arc<Server>,
    opts: &Opts,
) -> Result<Box<dyn Connection>, StoreError> {
    // Before connecting: what closes others meanwhile may close this one as well.
    let generation = server.generation.load(Ordering::SeqCst);
    let conn = server.connect(opts).await?;
    let id = conn.id();
    let line = Arc::new(Line { conn: Mutex::new(Some(conn)), server, generation });
    Ok(Box::new(MysqlConnection { line, id }))
}

pub(super) struct MysqlConnection {
    pub line: Arc<Line>,
    /// Its number at the server.
    id: u32,
}

/// The driver's connection: here while it is at rest, with the rows while they come, and nowhere when
/// it is closed.
pub(super) struct Line {
    conn: Mutex<Option<Conn>>,
    pub server: Arc<Server>,
    generation: u64,
}

impl Line {
    fn conn(&self) -> MutexGuard<'_, Option<Conn>> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Conn, StoreError> {
        let closed = || StoreError::new(ErrorKind::Disconnected, "MySQL: the connection is closed");
        self.conn().take().ok_or_else(closed)
    }

    fn put_back(&self, conn: Conn) {
        *self.conn() = Some(conn);
    }

    /// What an error means; a connection that is still of use is put back.
    fn failed(&self, conn: Conn, error: &mysql_async::Error) -> StoreError {
        let error = statement_error(error);
        if error.kind() == ErrorKind::Disconnected {
            self.server.generation.fetch_max(self.generation + 1, Ordering::SeqCst);
            close(conn);
        } else {
            self.put_back(conn);
        }
        error
    }
}

impl MysqlConnection {
    async fn start(&self, query: &ProductQuery) -> Result<MysqlRows, Failed<StoreError>> {
        let rested = |error| Failed { error, settled: true };
        let sql = self.line.server.fragments.compose(query);
        let mut conn = self.line.take().map_err(rested)?;
        let execute = async {
            let statement = conn.prep(sql.text).await?;
            let result = conn.exec_iter(&statement, params(&sql.binds)).await?;
            Ok(decode::check_columns(result.columns_ref()))
        };
        match execute.await {
            Ok(checked) => {
                let rows = MysqlRows(Some((conn, self.line.clone())));
                checked.map_err(|error| Failed { error, settled: false })?;
                Ok(rows)
            }
            Err(error) => Err(rested(self.line.failed(conn, &error))),
        }
    }
}

impl MysqlConnection {
    /// Does something with the connection, which is closed when that is given up half-way.
    pub(super) async fn with<T>(
        &self,
        act: impl AsyncFnOnce(&mut Conn) -> mysql_async::Result<Result<T, StoreError>>,
    ) -> Result<T, Failed<StoreError>> {
        let rested = |error| Failed { error, settled: true };
        let mut conn = self.line.take().map_err(rested)?;
        match act(&mut conn).await {
            Ok(answer) => {
                self.line.put_back(conn);
                answer.map_err(rested)
            }
            Err(error) => Err(rested(self.line.failed(conn, &error))),
        }
    }
}

impl Connection for MysqlConnection {
    fn is_closed(&self) -> bool {
        let newest = self.line.server.generation.load(Ordering::SeqCst);
        self.line.generation < newest || self.line.conn().as_ref().is_none_or(Conn::is_disconnected)
    }

    fn check(&mut self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let mut conn = self.line.take()?;
            match conn.ping().await {
                Ok(()) => {
                    self.line.put_back(conn);
                    Ok(())
                }
                Err(error) => Err(self.line.failed(conn, &error)),
            }
        })
    }

    fn rows<'a>(&'a mut self, query: &'a ProductQuery) -> StartedRows<'a> {
        Box::pin(async {
            let rows = self.start(query).await?;
            Ok(Box::pin(rows) as Pin<Box<dyn RowSource<Error = _>>>)
        })
    }

    fn run<'a>(&'a mut self, command: &'a Command<'a>) -> Ran<'a, Done> {
        Box::pin(self.execute(self.line.server.texts.get(command.name), command))
    }

    fn count<'a>(&'a mut self, query: &'a ProductQuery) -> Ran<'a, u64> {
        Box::pin(async {
            let sql = self.line.server.fragments.count(query);
            let command = Command { binds: &sql.binds, ..COUNT };
            Ok(self.execute(&sql.text, &command).await?.count())
        })
    }

    fn bound(&mut self, boundary: Boundary) -> Ran<'_, ()> {
        Box::pin(self.end(boundary))
    }

    /// Kills the connection, not only its statement: it is of no use any more, and a server that is
    /// writing rows to a client that does not read notices nothing less.
    fn cancel(&self) -> BoxFuture<'static, ()> {
        let (opts, id) = (self.line.server.bare.clone(), self.id);
        Box::pin(async move {
            let kill = async {
                let mut conn = Conn::new(opts).await?;
                conn.query_drop(format!("kill {id}")).await?;
                conn.disconnect().await
            };
            match tokio::time::timeout(CANCEL_TIMEOUT, kill).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "an abandoned connection was not killed"),
                Err(_) => tracing::debug!("an abandoned connection was not killed in time"),
            }
        })
    }
}

/// Closes a connection that may have rows on the way. Dropped, it would read them all, however many
/// there are and however long they take.
fn close(conn: Conn) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async {
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, conn.disconnect()).await;
        });
    }
}

/// An instant in the type of `datetime(6)`.
fn date(micros: i64) -> Value {
    let at = DateTime::of_micros(micros);
    Value::Date(at.year, at.month, at.day, at.hour, at.minute, at.second, at.micros)
}

/// Bound values in the types of their columns; a price in cents, which the text divides exactly.
pub(super) fn params(binds: &[Bind<'_>]) -> Params {
    let value = |bind: &Bind<'_>| match *bind {
        Bind::Text(text) => Value::Bytes(text.into()),
        Bind::Price(number) | Bind::Int(number) => Value::Int(number),
        Bind::Timestamp(micros) => date(micros),
    };
    match binds {
        [] => Params::Empty,
        binds => Params::Positional(binds.iter().map(value).collect()),
    }
}

/// The rows of a running statement, with the connection that they come from until they end.
struct MysqlRows(Option<(Conn, Arc<Line>)>);

impl RowSource for MysqlRows {
    type Error = StoreError;

    fn poll_rows(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        sink: &mut dyn RowSink,
    ) -> Poll<Result<Progress, Failed<StoreError>>> {
        loop {
            let Some((conn, _)) = &mut self.0 else { return Poll::Ready(Ok(Progress::Finished)) };
            // The result is a view of what the connection is about to read. Waiting for the next row
            // takes nothing out of the connection before all of the row is there, so a wait that is
            // dropped and begun anew loses nothing.
            let next = ready!(pin!(QueryResult::<BinaryProtocol>::new(conn).next()).poll(cx));
            let row = match next {
                Ok(Some(row)) => row,
                Ok(None) => {
                    self.0.take().into_iter().for_each(|(conn, line)| line.put_back(conn));
                    return Poll::Ready(Ok(Progress::Finished));
                }
                Err(error) => {
                    let (conn, line) = self.0.take().expect("it was read from");
                    let error = line.failed(conn, &error);
                    return Poll::Ready(Err(Failed { error, settled: true }));
                }
            };
            match decode::product(&row) {
                Ok(cells) if sink.row(&cells) == Flow::Pause => {
                    return Poll::Ready(Ok(Progress::Paused));
                }
                Ok(_) => {}
                // Rows are still coming, so the connection is not at rest.
                Err(error) => return Poll::Ready(Err(Failed { error, settled: false })),
            }
        }
    }
}

impl Drop for MysqlRows {
    fn drop(&mut self) {
        if let Some((conn, _)) = self.0.take() {
            close(conn);
        }
    }
}
