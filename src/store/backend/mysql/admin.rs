//! Migrations and bulk loading.
//!
//! A change of the schema ends the transaction that it stands in, so a load cannot be one. It fills a
//! new table instead, which takes the place of `products` in one step at the end: whatever ends a
//! load before that leaves `products` as it was, and a table that the next load removes.

use futures_util::future::BoxFuture;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};

use super::super::sql::Migrations;
use super::super::{Admin, Existing, OnProgress, ProductFeed};
use super::{bulk, statement_error};
use crate::store::{ErrorKind, StoreError};

const PRODUCTS: &str = include_str!("../../../../sql/mysql/0001_products.sql");
const INDEXES: &str = include_str!("../../../../sql/mysql/0002_products_indexes.sql");
const USERS: &str = include_str!("../../../../sql/mysql/0003_users.sql");
const ORDERS: &str = include_str!("../../../../sql/mysql/0004_orders.sql");
const MIGRATIONS: Migrations = &[(1, PRODUCTS), (2, INDEXES), (3, USERS), (4, ORDERS)];

/// The table that a load fills.
const LOADING: &str = "products_loading";
/// The one whose place it takes.
const REPLACED: &str = "products_replaced";

/// Several processes may start at once: one migrates and loads, the others wait and find it done.
/// Locks of this kind belong to the whole server, and end with their connection.
const LOCK: &str = "select get_lock(concat('poolwise-', md5(database())), 3600)";
const UNLOCK: &str = "do release_lock(concat('poolwise-', md5(database())))";

/// A node of Galera refuses locks of this kind, because the others would not know of them.
const NOT_SUPPORTED: u16 = 1235;
/// A key of this name is there already.
const DUPLICATE_KEY_NAME: u16 = 1061;

pub(super) struct MysqlAdmin {
    conn: Conn,
}

pub(super) async fn has_table(conn: &mut Conn, table: &str) -> Result<bool, Error> {
    let ask = "select count(*) from information_schema.tables \
        where table_schema = database() and table_name = ?";
    Ok(conn.exec_first(ask, (table,)).await? == Some(1))
}

pub(super) async fn has_rows(conn: &mut Conn) -> Result<bool, Error> {
    let ask = "select exists (select 1 from products)";
    Ok(conn.query_first(ask).await? == Some(1))
}

impl MysqlAdmin {
    pub fn new(conn: Conn) -> Self {
        Self { conn }
    }

    async fn lock(&mut self) -> Result<(), StoreError> {
        let locked: Result<Option<Option<u8>>, Error> = self.conn.query_first(LOCK).await;
        if let Err(Error::Server(error)) = &locked
            && error.code == NOT_SUPPORTED
        {
            tracing::warn!(
                %error,
                "this server has no locks: let one process alone create and fill the tables"
            );
            return Ok(());
        }
        match locked.map_err(|error| statement_error(&error))? {
            Some(Some(1)) => Ok(()),
            _ => Err(StoreError::new(
                ErrorKind::Saturated,
                "another process has been creating or filling the tables for an hour",
            )),
        }
    }

    async fn migrate(&mut self) -> Result<usize, Error> {
        let conn = &mut self.conn;
        conn.query_drop(
            "create table if not exists poolwise_migrations (version int primary key, \
             applied_at timestamp not null default current_timestamp) engine = InnoDB",
        )
        .await?;
        let newest = "select coalesce(max(version), 0) from poolwise_migrations";
        let newest: i32 = conn.query_first(newest).await?.unwrap_or_default();
        let mut applied = 0;
        for (version, text) in MIGRATIONS.iter().filter(|(version, _)| *version > newest) {
            match conn.query_drop(text.replace("{table}", "products")).await {
                // Somebody was killed between the migration and the note that it ran.
                Err(Error::Server(error)) if error.code == DUPLICATE_KEY_NAME => {}
                outcome => outcome?,
            }
            conn.exec_drop("insert into poolwise_migrations (version) values (?)", (version,))
                .await?;
            applied += 1;
        }
        Ok(applied)
    }

    async fn load(
        &mut self,
        feed: &mut dyn ProductFeed,
        existing: Existing,
        on_progress: OnProgress<'_>,
    ) -> Result<u64, StoreError> {
        let failed = |error| statement_error(&error);
        self.remove_leftovers().await.map_err(failed)?;
        if existing == Existing::Keep && has_rows(&mut self.conn).await.map_err(failed)? {
            return Ok(0);
        }
        let conn = &mut self.conn;
        conn.query_drop(PRODUCTS.replace("{table}", LOADING)).await.map_err(failed)?;
        // Rows of an empty table that nobody checks one by one are sorted in once, at the end.
        let unchecked = "set unique_checks = 0, foreign_key_checks = 0";
        conn.query_drop(unchecked).await.map_err(failed)?;
        let (sent, whole) = bulk::load(conn, LOADING, feed, on_progress).await.map_err(failed)?;
        if sent != whole {
            let detail = format_args!("MySQL took only {whole} of {sent} rows as they are");
            return Err(StoreError::new(ErrorKind::Internal, detail));
        }
        self.put_in_place().await.map_err(failed)?;
        Ok(sent)
    }

    async fn put_in_place(&mut self) -> Result<(), Error> {
        let conn = &mut self.conn;
        conn.query_drop("set unique_checks = 1, foreign_key_checks = 1").await?;
        conn.query_drop(INDEXES.replace("{table}", LOADING)).await?;
        conn.query_drop(format!("analyze table {LOADING}")).await?;
        conn.query_drop(format!("rename table products to {REPLACED}, {LOADING} to products"))
            .await?;
        conn.query_drop(format!("drop table {REPLACED}")).await
    }

    /// What a load that was killed has left.
    async fn remove_leftovers(&mut self) -> Result<(), Error> {
        self.conn.query_drop(format!("drop table if exists {LOADING}, {REPLACED}")).await
    }

    /// Lets the others go on, whatever came of it; without a connection they do anyway.
    async fn unlock(&mut self) {
        if let Err(error) = self.conn.query_drop(UNLOCK).await {
            tracing::debug!(%error, "the lock goes with its connection");
        }
    }
}

impl Admin for MysqlAdmin {
    fn migrate(&mut self) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(async {
            self.lock().await?;
            let migrated = self.migrate().await.map_err(|error| statement_error(&error));
            self.unlock().await;
            migrated
        })
    }

    fn load<'a>(
        &'a mut self,
        feed: &'a mut dyn ProductFeed,
        existing: Existing,
        on_progress: OnProgress<'a>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            self.lock().await?;
            let loaded = self.load(feed, existing, on_progress).await;
            if loaded.is_err() {
                let _ = self.remove_leftovers().await;
            }
            self.unlock().await;
            loaded
        })
    }
}
