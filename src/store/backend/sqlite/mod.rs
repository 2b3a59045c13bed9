//! SQLite, compiled in. Each connection lives on a thread of its own, which steps its statements,
//! so that the runtime never blocks on a file.

mod admin;
mod command;
mod rows;
mod thread;
mod top;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use rusqlite::{ErrorCode, OpenFlags, ffi};

use super::sql::{Fragments, Placeholder, Texts};
use super::{
    Admin, Backend, Boundary, COUNT, Command, Connection, Done, Ran, ServerView, StartedRows, Watch,
};
use crate::config;
use crate::query::ProductQuery;
use crate::rows::Failed;
use crate::store::{ErrorKind, StoreError};
use command::Turn;
use thread::SqliteThread;
use tokio::sync::Semaphore;

/// Time that a statement waits for a lock of another connection.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A SQLite file.
pub(super) struct Sqlite {
    path: PathBuf,
    statement_timeout: Duration,
    fragments: Arc<Fragments>,
    texts: Arc<Texts>,
    /// One at a time writes.
    writing: Arc<Semaphore>,
}

/// Where the texts of commands stand.
const TEXTS: &[&str] = &[
    include_str!("../../../../sql/sqlite/products_write.sql"),
    include_str!("../../../../sql/sqlite/users.sql"),
    include_str!("../../../../sql/sqlite/orders.sql"),
];

impl Sqlite {
    pub fn new(settings: &config::Database, url: &config::DatabaseUrl) -> Result<Self, StoreError> {
        let path = url.expose().trim_start_matches("sqlite:").trim_start_matches("//");
        if path.is_empty() || path.starts_with(":memory:") {
            return Err(StoreError::new(
                ErrorKind::NotPrepared,
                format_args!(
                    "{url}: a path is needed, such as sqlite:data/poolwise.db; a database in memory cannot be shared by connections"
                ),
            ));
        }
        Ok(Self {
            path: path.into(),
            statement_timeout: settings.statement_timeout,
            fragments: Arc::new(Fragments::parse(
                include_str!("../../../../sql/sqlite/products_query.sql"),
                Placeholder::Question,
            )),
            texts: Arc::new(Texts::parse(TEXTS)),
            writing: Arc::new(Semaphore::new(1)),
        })
    }
}

impl Backend for Sqlite {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, StoreError>> {
        Box::pin(async {
            let path = self.path.clone();
            let thread = SqliteThread::start("sqlite-reader", move || open_reader(&path)).await?;
            Ok(Box::new(SqliteConnection {
                thread,
                statement_timeout: self.statement_timeout,
                fragments: self.fragments.clone(),
                texts: self.texts.clone(),
                writing: self.writing.clone(),
                turn: None,
            }) as Box<dyn Connection>)
        })
    }

    fn connection_limit(&self) -> BoxFuture<'_, Result<Option<usize>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn watch(&self) -> BoxFuture<'_, Result<Box<dyn Watch>, StoreError>> {
        let path = self.path.clone();
        Box::pin(async { Ok(Box::new(SqliteWatch { path, thread: None }) as Box<dyn Watch>) })
    }

    fn has_products(&self) -> BoxFuture<'_, Result<Option<bool>, StoreError>> {
        Box::pin(async {
            if !self.path.exists() {
                return Ok(None);
            }
            let path = self.path.clone();
            let thread = SqliteThread::start("sqlite-reader", move || open_reader(&path)).await?;
            let ask = |connection: &mut rusqlite::Connection| {
                if !connection.table_exists(None, "products")? {
                    return Ok(None);
                }
                admin::has_rows(connection).map(Some)
            };
            thread.run(ask).await?.map_err(|error| store_error(&error))
        })
    }

    fn top(&self) -> BoxFuture<'_, Result<super::top::Top, StoreError>> {
        Box::pin(async {
            let path = self.path.clone();
            let thread = SqliteThread::start("sqlite-reader", move || open_reader(&path)).await?;
            thread.run(top::look).await?.map_err(|error| store_error(&error))
        })
    }

    fn admin(&self) -> BoxFuture<'_, Result<Box<dyn Admin>, StoreError>> {
        Box::pin(async {
            let path = self.path.clone();
            let thread = SqliteThread::start("sqlite-writer", move || open_writer(&path)).await?;
            Ok(Box::new(admin::SqliteAdmin::new(thread)) as Box<dyn Admin>)
        })
    }
}

/// An embedded database has no server to look at, but a file that can be lost.
struct SqliteWatch {
    path: PathBuf,
    /// Opened by the first ping.
    thread: Option<SqliteThread>,
}

impl Watch for SqliteWatch {
    fn look(&mut self) -> BoxFuture<'_, Result<Option<ServerView>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    /// An open file can still be read after it was deleted, so whether it is there is asked as well.
    fn ping(&mut self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let path = self.path.clone();
            let thread = match &mut self.thread {
                Some(thread) => thread,
                None => {
                    let path = path.clone();
                    let opening =
                        SqliteThread::start("sqlite-health", move || open_reader(&path)).await?;
                    self.thread.insert(opening)
                }
            };
            let ask = move |connection: &mut rusqlite::Connection| {
                if !path.exists() {
                    let gone = format_args!("SQLite file {} is gone", path.display()).to_string();
                    return Err(StoreError::new(ErrorKind::Unreachable, gone));
                }
                let read =
                    connection.query_row("select count(*) from sqlite_schema", [], |_| Ok(()));
                read.map_err(|error| store_error(&error))
            };
            thread.run(ask).await?
        })
    }
}

struct SqliteConnection {
    thread: SqliteThread,
    statement_timeout: Duration,
    fragments: Arc<Fragments>,
    texts: Arc<Texts>,
    writing: Arc<Semaphore>,
    /// Held from the beginning of a transaction to its end.
    turn: Option<Turn>,
}

impl Connection for SqliteConnection {
    fn is_closed(&self) -> bool {
        self.thread.is_closed()
    }

    fn check(&mut self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let alive = |connection: &mut rusqlite::Connection| {
                connection.query_row("select 1", [], |_| Ok(()))
            };
            self.thread.run(alive).await?.map_err(|error| store_error(&error))
        })
    }

    fn rows<'a>(&'a mut self, query: &'a ProductQuery) -> StartedRows<'a> {
        Box::pin(async {
            let statement = self.fragments.compose(query);
            let deadline = Instant::now() + self.statement_timeout;
            rows::start(&self.thread, statement, deadline)
                .map_err(|error| Failed { error, settled: true })
        })
    }

    fn run<'a>(&'a mut self, command: &'a Command<'a>) -> Ran<'a, Done> {
        Box::pin(async {
            let done = self.execute(self.texts.get(command.name), command).await;
            done.map_err(|error| Failed { error, settled: true })
        })
    }

    fn count<'a>(&'a mut self, query: &'a ProductQuery) -> Ran<'a, u64> {
        Box::pin(async {
            let sql = self.fragments.count(query);
            let command = Command { binds: &sql.binds, ..COUNT };
            let counted = self.execute(&sql.text, &command).await.map(|done| done.count());
            counted.map_err(|error| Failed { error, settled: true })
        })
    }

    fn bound(&mut self, boundary: Boundary) -> Ran<'_, ()> {
        Box::pin(async move {
            let bound = self.end(boundary).await;
            // A commit that failed leaves a transaction open.
            bound.map_err(|error| Failed { error, settled: boundary == Boundary::Begin })
        })
    }

    fn cancel(&self) -> BoxFuture<'static, ()> {
        let interrupt = self.thread.interrupt_handle();
        Box::pin(async move { interrupt.interrupt() })
    }
}

fn open_reader(path: &Path) -> Result<rusqlite::Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = rusqlite::Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "mmap_size", 1i64 << 30)?;
        Ok(connection)
    };
    open().map_err(|error| open_error(path, &error))
}

fn open_writer(path: &Path) -> Result<rusqlite::Connection, StoreError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| {
            let folder = folder.display();
            StoreError::new(
                ErrorKind::Unreachable,
                format_args!("{folder} cannot be made: {error}"),
            )
        })?;
    }
    let open = || {
        let connection = rusqlite::Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // Readers go on while the writer writes (https://www.sqlite.org/wal.html).
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        Ok(connection)
    };
    open().map_err(|error| open_error(path, &error))
}

fn open_error(path: &Path, error: &rusqlite::Error) -> StoreError {
    let hint = if path.exists() { "" } else { "; run `poolwise seed` to make it" };
    StoreError::new(
        ErrorKind::Unreachable,
        format_args!("SQLite file {} cannot be opened: {error}{hint}", path.display()),
    )
}

fn is_unique(error: &rusqlite::Error) -> bool {
    const UNIQUE: [i32; 2] = [ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_CONSTRAINT_PRIMARYKEY];
    error.sqlite_error().is_some_and(|error| UNIQUE.contains(&error.extended_code))
}

/// What a failed statement means.
fn store_error(error: &rusqlite::Error) -> StoreError {
    let text = error.to_string();
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => ErrorKind::StatementTimeout,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Saturated,
        Some(ErrorCode::CannotOpen) => ErrorKind::Unreachable,
        Some(ErrorCode::ConstraintViolation) if is_unique(error) => ErrorKind::Taken,
        _ if text.contains("no such table") => ErrorKind::NotPrepared,
        _ => ErrorKind::Internal,
    };
    let failed_to_write = error.sqlite_error().is_some_and(|error| {
        error.code == ErrorCode::DiskFull || error.extended_code == ffi::SQLITE_IOERR_WRITE
    });
    let hint = match kind {
        ErrorKind::NotPrepared => {
            "; run `poolwise seed` to create and fill the tables, or `poolwise db migrate` to add those that a newer version wants"
        }
        _ if failed_to_write => "; is there room left on its disk?",
        _ => "",
    };
    StoreError::new(kind, format_args!("SQLite: {text}{hint}"))
}
