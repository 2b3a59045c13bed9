//! Migrations and bulk loading: each one transaction, and no state of the session outlives it, because a
//! pooler may be in between. `copy` is the one named statement, and is closed within its transaction.

use bytes::{BufMut, Bytes, BytesMut};
use deadpool_postgres::{ClientWrapper, Transaction};
use futures_util::SinkExt;
use futures_util::future::BoxFuture;
use tokio_postgres::CopyInSink;
use tokio_postgres::types::Type;

use super::super::sql::Migrations;
use super::super::{Admin, Existing, OnProgress, ProductFeed, ProductRow};
use super::decode::POSTGRES_EPOCH_MICROS;
use super::{failure, numeric};
use crate::rows::Cell;
use crate::store::StoreError;

const MIGRATIONS: Migrations = &[
    (1, include_str!("../../../../sql/postgres/0001_products.sql")),
    (2, INDEXES),
    (3, include_str!("../../../../sql/postgres/0003_users.sql")),
    (4, include_str!("../../../../sql/postgres/0004_orders.sql")),
];
const INDEXES: &str = include_str!("../../../../sql/postgres/0002_products_indexes.sql");
const DROP_INDEXES: &str = include_str!("../../../../sql/postgres/products_drop_indexes.sql");

/// Several processes may start at once: one migrates and loads, the others wait and find it done.
/// The number is arbitrary and only has to be the same everywhere.
const LOCK: &str = "select pg_advisory_xact_lock(7665712837)";

/// Bytes of rows sent to the server at a time.
const COPY_CHUNK: usize = 256 * 1024;

pub(super) struct PostgresAdmin {
    client: ClientWrapper,
}

impl PostgresAdmin {
    pub fn new(client: ClientWrapper) -> Self {
        Self { client }
    }

    async fn migrate(&mut self) -> Result<usize, tokio_postgres::Error> {
        let transaction = self.client.transaction().await?;
        transaction.batch_execute(LOCK).await?;
        transaction
            .batch_execute(
                "set local client_min_messages = warning; \
                 create table if not exists poolwise_migrations \
                 (version integer primary key, applied_at timestamptz not null default now())",
            )
            .await?;
        let newest: i32 = transaction
            .query_typed_one("select coalesce(max(version), 0) from poolwise_migrations", &[])
            .await?
            .get(0);
        let mut applied = 0;
        for (version, text) in MIGRATIONS.iter().filter(|(version, _)| *version > newest) {
            transaction.batch_execute(text).await?;
            transaction
                .query_typed(
                    "insert into poolwise_migrations (version) values ($1)",
                    &[(version, Type::INT4)],
                )
                .await?;
            applied += 1;
        }
        transaction.commit().await?;
        Ok(applied)
    }

    async fn load(
        &mut self,
        feed: &mut dyn ProductFeed,
        existing: Existing,
        on_progress: OnProgress<'_>,
    ) -> Result<u64, tokio_postgres::Error> {
        let transaction = self.client.transaction().await?;
        transaction.batch_execute(LOCK).await?;
        let has_rows: bool =
            transaction.query_typed_one("select exists (select from products)", &[]).await?.get(0);
        if has_rows && existing == Existing::Keep {
            return Ok(0);
        }
        // A table emptied in this transaction takes frozen rows, which need no second write later.
        transaction.batch_execute("truncate products").await?;
        transaction.batch_execute("set local client_min_messages = warning").await?;
        transaction.batch_execute(DROP_INDEXES).await?;
        let rows = copy(&transaction, feed, on_progress).await?;
        transaction.batch_execute("set local maintenance_work_mem = '1GB'").await?;
        transaction.batch_execute(INDEXES).await?;
        transaction
            .batch_execute(
                "select setval(pg_get_serial_sequence('products', 'id'), \
                 (select coalesce(max(id), 1) from products)); analyze products",
            )
            .await?;
        transaction.commit().await?;
        Ok(rows)
    }
}

impl Admin for PostgresAdmin {
    fn migrate(&mut self) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(async { self.migrate().await.map_err(|error| failure::of_statement(&error)) })
    }

    fn load<'a>(
        &'a mut self,
        feed: &'a mut dyn ProductFeed,
        existing: Existing,
        on_progress: OnProgress<'a>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            self.load(feed, existing, on_progress)
                .await
                .map_err(|error| failure::of_statement(&error))
        })
    }
}

/// Sends every row of `feed` by COPY in binary form (PostgreSQL documentation, "COPY", section
/// "Binary Format").
async fn copy(
    transaction: &Transaction<'_>,
    feed: &mut dyn ProductFeed,
    on_progress: OnProgress<'_>,
) -> Result<u64, tokio_postgres::Error> {
    let sink: CopyInSink<Bytes> =
        transaction.copy_in("copy products from stdin (format binary, freeze)").await?;
    tokio::pin!(sink);
    let mut chunk = BytesMut::with_capacity(COPY_CHUNK + 4096);
    chunk.put_slice(b"PGCOPY\n\xff\r\n\0");
    chunk.put_i32(0);
    chunk.put_i32(0);
    let mut rows = 0;
    while let Some(row) = feed.next_row() {
        put_row(&mut chunk, &row);
        rows += 1;
        if chunk.len() >= COPY_CHUNK {
            sink.send(chunk.split().freeze()).await?;
            chunk.reserve(COPY_CHUNK + 4096);
            on_progress(rows);
        }
    }
    chunk.put_i16(-1);
    sink.send(chunk.freeze()).await?;
    sink.finish().await?;
    on_progress(rows);
    Ok(rows)
}

fn put_row(out: &mut BytesMut, row: &ProductRow<'_>) {
    // `stock` is the one column of 4 bytes.
    const STOCK: usize = 5;
    out.put_i16(row.len() as i16);
    for (index, cell) in row.iter().enumerate() {
        let length_at = out.len();
        out.put_i32(-1);
        match *cell {
            Cell::Null => continue,
            Cell::Bool(value) => out.put_u8(u8::from(value)),
            Cell::Int(value) if index == STOCK => out.put_i32(value as i32),
            Cell::Int(value) => out.put_i64(value),
            Cell::Text(text) => out.put_slice(text.as_bytes()),
            Cell::Unchecked(bytes) => out.put_slice(bytes),
            Cell::Decimal { unscaled, .. } => numeric::write_cents(out, unscaled),
            Cell::Timestamp(micros) => out.put_i64(micros - POSTGRES_EPOCH_MICROS),
        }
        let length = (out.len() - length_at - 4) as i32;
        out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
    }
}
