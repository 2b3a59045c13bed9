//! Migrations and bulk loading.

use futures_util::future::BoxFuture;
use rusqlite::types::{ToSql, ToSqlOutput, Value};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::mpsc;

use super::super::sql::Migrations;
use super::super::{Admin, Existing, OnProgress, ProductFeed};
use super::store_error;
use super::thread::SqliteThread;
use crate::rows::Cell;
use crate::store::StoreError;

const MIGRATIONS: Migrations = &[
    (1, include_str!("../../../../sql/sqlite/0001_products.sql")),
    (2, INDEXES),
    (3, include_str!("../../../../sql/sqlite/0003_users.sql")),
    (4, include_str!("../../../../sql/sqlite/0004_orders.sql")),
];
const INDEXES: &str = include_str!("../../../../sql/sqlite/0002_products_indexes.sql");
const DROP_INDEXES: &str = include_str!("../../../../sql/sqlite/products_drop_indexes.sql");
const INSERT: &str = "insert into products \
    (id, sku, name, category, price, stock, created_at, updated_at) values (?, ?, ?, ?, ?, ?, ?, ?)";

/// Rows that go to the connection's thread together.
const BATCH_ROWS: usize = 1000;

type OwnedRow = [OwnedCell; 8];

pub(super) struct SqliteAdmin {
    thread: SqliteThread,
}

impl SqliteAdmin {
    pub fn new(thread: SqliteThread) -> Self {
        Self { thread }
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.thread.run(job).await?.map_err(|error| store_error(&error))
    }

    async fn load(
        &mut self,
        feed: &mut dyn ProductFeed,
        existing: Existing,
        on_progress: OnProgress<'_>,
    ) -> Result<u64, StoreError> {
        let (sender, batches) = mpsc::channel(2);
        let loaded = self.run(move |connection| load(connection, existing, batches));
        let fed = async {
            let mut rows = 0;
            loop {
                let batch = next_batch(feed);
                rows += batch.len() as u64;
                // A closed channel: the other side has failed, or keeps what is there.
                if batch.is_empty() || sender.send(batch).await.is_err() {
                    drop(sender);
                    return;
                }
                on_progress(rows);
            }
        };
        let (loaded, ()) = futures_util::future::join(loaded, fed).await;
        loaded
    }
}

impl Admin for SqliteAdmin {
    fn migrate(&mut self) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(self.run(migrate))
    }

    fn load<'a>(
        &'a mut self,
        feed: &'a mut dyn ProductFeed,
        existing: Existing,
        on_progress: OnProgress<'a>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(self.load(feed, existing, on_progress))
    }
}

pub(super) fn has_rows(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("select exists (select 1 from products)", [], |row| row.get(0))
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<usize> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "create table if not exists poolwise_migrations \
         (version integer primary key, applied_at text not null default current_timestamp)",
    )?;
    let newest: i32 = transaction.query_row(
        "select coalesce(max(version), 0) from poolwise_migrations",
        [],
        |row| row.get(0),
    )?;
    let mut applied = 0;
    for (version, text) in MIGRATIONS.iter().filter(|(version, _)| *version > newest) {
        transaction.execute_batch(text)?;
        transaction.execute("insert into poolwise_migrations (version) values (?)", [version])?;
        applied += 1;
    }
    transaction.commit()?;
    Ok(applied)
}

fn load(
    connection: &mut Connection,
    existing: Existing,
    mut batches: mpsc::Receiver<Vec<OwnedRow>>,
) -> rusqlite::Result<u64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if has_rows(&transaction)? {
        if existing == Existing::Keep {
            return Ok(0);
        }
        transaction.execute_batch("delete from products")?;
    }
    transaction.execute_batch(DROP_INDEXES)?;
    let mut rows = 0;
    {
        let mut insert = transaction.prepare(INSERT)?;
        while let Some(batch) = batches.blocking_recv() {
            for row in batch {
                insert.execute(rusqlite::params_from_iter(row))?;
                rows += 1;
            }
        }
    }
    transaction.execute_batch(INDEXES)?;
    transaction.execute_batch("analyze")?;
    transaction.commit()?;
    // Otherwise the log stays as large as the load was.
    connection.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))?;
    Ok(rows)
}

fn next_batch(feed: &mut dyn ProductFeed) -> Vec<OwnedRow> {
    let mut batch = Vec::with_capacity(BATCH_ROWS);
    while batch.len() < BATCH_ROWS
        && let Some(row) = feed.next_row()
    {
        batch.push(row.map(OwnedCell::from));
    }
    batch
}

/// A cell that can go to another thread, in the type of its column.
struct OwnedCell(Value);

impl From<Cell<'_>> for OwnedCell {
    fn from(cell: Cell<'_>) -> Self {
        Self(match cell {
            Cell::Null => Value::Null,
            Cell::Bool(value) => Value::Integer(i64::from(value)),
            Cell::Int(value) | Cell::Timestamp(value) => Value::Integer(value),
            Cell::Decimal { unscaled, .. } => Value::Integer(unscaled),
            Cell::Text(text) => Value::Text(text.to_owned()),
            Cell::Unchecked(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        })
    }
}

impl ToSql for OwnedCell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed((&self.0).into()))
    }
}
