//! Databases: SQL and decoding, nothing else. A backend knows how to make a connection; who holds
//! it and for how long is the access method's business.

mod command;
#[cfg(feature = "mysql")]
mod mysql;
mod postgres;
mod sql;
mod sqlite;
pub mod top;

use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use command::COUNT;
pub use command::{Bind, Boundary, Command, Datum, Done, Kind};

use super::StoreError;
use crate::config;
use crate::observe::Closing;
use crate::query::ProductQuery;
use crate::rows::{Cell, Failed, RowSource};

/// The columns of a product, in the order in which they are selected and encoded.
pub const COLUMNS: [&str; 8] =
    ["id", "sku", "name", "category", "price", "stock", "created_at", "updated_at"];

/// What a column of products holds, in the order of [`COLUMNS`].
pub const KINDS: [Kind; 8] = [
    Kind::Int,
    Kind::Text,
    Kind::Text,
    Kind::Text,
    Kind::Price,
    Kind::Int,
    Kind::Timestamp,
    Kind::Timestamp,
];

/// Whether a query gives the columns that we decode; `named` is a column's name and type.
fn check_columns<C>(
    columns: &[C],
    accepts: impl Fn(&C, Kind) -> bool,
    named: impl Fn(&C) -> (String, String),
) -> Result<(), StoreError> {
    let wrong = columns.iter().zip(KINDS).find(|(column, kind)| !accepts(column, *kind));
    let detail = match wrong {
        None if columns.len() == KINDS.len() => return Ok(()),
        None => "the query gives other columns".to_owned(),
        Some((column, kind)) => {
            let (name, ty) = named(column);
            format!("column products.{name} is of type {ty}, which cannot be read as {kind:?}")
        }
    };
    Err(StoreError::new(super::ErrorKind::NotPrepared, detail))
}

/// One row as it is written, in the order of [`COLUMNS`].
pub type ProductRow<'a> = [Cell<'a>; 8];

/// One database.
pub trait Backend: Send + Sync {
    /// Opens a connection that is ready for statements.
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, StoreError>>;

    /// How many connections the server allows to all its clients; `None` where nothing limits it.
    fn connection_limit(&self) -> BoxFuture<'_, Result<Option<usize>, StoreError>>;

    /// A connection for looking at the server from outside the pools.
    fn watch(&self) -> BoxFuture<'_, Result<Box<dyn Watch>, StoreError>>;

    /// Whether there is a product; `None` when there is no table. Creates nothing.
    ///
    /// # Errors
    /// Also when the server is too old, or the table of another shape, where that can be told.
    fn has_products(&self) -> BoxFuture<'_, Result<Option<bool>, StoreError>>;

    /// What the database says of its load. Changes nothing.
    fn top(&self) -> BoxFuture<'_, Result<top::Top, StoreError>>;

    /// A connection for changing the schema and loading data.
    fn admin(&self) -> BoxFuture<'_, Result<Box<dyn Admin>, StoreError>>;
}

/// Rows that begin to come, or what went wrong before the first.
pub type StartedRows<'a> =
    BoxFuture<'a, Result<Pin<Box<dyn RowSource<Error = StoreError>>>, Failed<StoreError>>>;

/// What becomes of a statement that is run to its end.
pub type Ran<'a, T> = BoxFuture<'a, Result<T, Failed<StoreError>>>;

/// One connection. It runs one statement at a time.
pub trait Connection: Send {
    /// Whether it is known to be closed, without asking.
    fn is_closed(&self) -> bool;

    /// Asks the server for a sign of life.
    fn check(&mut self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Starts the statement for `query`. Its rows do not borrow the connection, but nothing else
    /// may run on it until they ended.
    fn rows<'a>(&'a mut self, query: &'a ProductQuery) -> StartedRows<'a>;

    /// Runs a statement of a fixed text to its end.
    ///
    /// # Cancellation safety
    /// None: afterwards the connection is only good for [`Connection::cancel`] and closing.
    fn run<'a>(&'a mut self, command: &'a Command<'a>) -> Ran<'a, Done>;

    /// How many products `query` finds on all its pages together.
    ///
    /// # Cancellation safety
    /// As [`Connection::run`].
    fn count<'a>(&'a mut self, query: &'a ProductQuery) -> Ran<'a, u64>;

    /// Begins or ends a transaction.
    ///
    /// # Cancellation safety
    /// As [`Connection::run`].
    fn bound(&mut self, boundary: Boundary) -> Ran<'_, ()>;

    /// Whether one statement can write to several tables (data-modifying `with`).
    fn writes_many(&self) -> bool {
        false
    }

    /// Stops the running statement from outside, within a bounded time.
    fn cancel(&self) -> BoxFuture<'static, ()>;

    /// Notes why it is about to be closed, for whoever counts that.
    fn closes(&mut self, _why: Closing) {}

    /// Another handle to this connection, on which a statement can be sent before the rows of the
    /// last have come; `None` where the protocol has no such thing. Rows come in the order of
    /// their statements, and those that nobody takes hold up all behind them.
    fn share(&self) -> Option<Box<dyn Connection>> {
        None
    }
}

/// The server's own view of its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerView {
    /// Open to this database, by anyone.
    pub connections: u64,
    /// Of them, running a statement.
    pub active: u64,
    /// Allowed to all databases of the server.
    pub max_connections: u64,
    /// The most that were open at once since the server started, to all its databases; `None`
    /// where it does not say.
    pub max_used: Option<u64>,
    /// Statements that clients sent since the server started, to all its databases; `None` where
    /// it does not say.
    pub queries: Option<u64>,
}

/// Looks at a server once in a while.
pub trait Watch: Send {
    /// The server as it is now; `None` where there is no server.
    fn look(&mut self) -> BoxFuture<'_, Result<Option<ServerView>, StoreError>>;

    /// Asks for a sign of life, at the least cost. Has no limit of time of its own.
    ///
    /// # Errors
    /// Also when only this connection was closed: another may tell.
    fn ping(&mut self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Rows to load, one after another.
pub trait ProductFeed: Send {
    /// The next row; it borrows the feed.
    fn next_row(&mut self) -> Option<ProductRow<'_>>;
}

/// What to do about products that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave them and load nothing.
    Keep,
    /// Delete them first.
    Replace,
}

/// Called with the number of rows sent so far.
pub type OnProgress<'a> = &'a (dyn Fn(u64) + Sync);

/// Changes the schema and loads data.
pub trait Admin: Send {
    /// Brings the schema to the newest version; returns how many migrations ran.
    fn migrate(&mut self) -> BoxFuture<'_, Result<usize, StoreError>>;

    /// Loads `feed` in one transaction, indexes and analyses. Returns the number of rows loaded:
    /// 0 when there were products already and `existing` says to keep them.
    fn load<'a>(
        &'a mut self,
        feed: &'a mut dyn ProductFeed,
        existing: Existing,
        on_progress: OnProgress<'a>,
    ) -> BoxFuture<'a, Result<u64, StoreError>>;
}

/// The backend for this URL. Opens nothing yet.
///
/// # Errors
/// When the URL cannot be understood.
pub fn open(
    settings: &config::Database,
    url: &config::DatabaseUrl,
) -> Result<Arc<dyn Backend>, StoreError> {
    Ok(match settings.backend {
        config::Backend::Sqlite => Arc::new(sqlite::Sqlite::new(settings, url)?),
        config::Backend::Postgres => Arc::new(postgres::Postgres::new(settings, url)?),
        #[cfg(feature = "mysql")]
        config::Backend::Mysql => Arc::new(mysql::Mysql::new(settings, url)?),
        #[cfg(not(feature = "mysql"))]
        config::Backend::Mysql => {
            return Err(StoreError::new(
                super::ErrorKind::NotPrepared,
                "`database.backend`: this program was built without MySQL; build it with `--features mysql`",
            ));
        }
    })
}

/// The text that PostgreSQL gets for `query`: for the test that explains every one.
#[doc(hidden)]
pub fn postgres_statement(query: &ProductQuery) -> String {
    postgres::fragments().compose(query).text
}

/// The text that MySQL gets for `query`: for the test that explains every one.
#[cfg(feature = "mysql")]
#[doc(hidden)]
pub fn mysql_statement(query: &ProductQuery) -> String {
    mysql::fragments().compose(query).text
}
