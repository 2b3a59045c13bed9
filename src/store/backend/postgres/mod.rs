//! PostgreSQL and what speaks its protocol, through tokio-postgres and deadpool-postgres.

mod admin;
mod connection;
mod decode;
mod numeric;

use std::sync::Arc;

use deadpool::managed::Manager as _;
use deadpool_postgres::{ClientWrapper, Manager, ManagerConfig, RecyclingMethod};
use futures_util::future::BoxFuture;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use super::sql::{Fragments, Placeholder};
use super::{Admin, Backend, Connection, ServerView, Watch};
use crate::config;
use crate::store::error::with_causes;
use crate::store::{ErrorKind, StoreError};

/// A PostgreSQL database.
pub(super) struct Postgres {
    /// Makes and checks connections for the pools.
    serving: Arc<Manager>,
    /// Makes connections without a statement timeout, for loading and looking.
    own: Arc<Manager>,
    fragments: Arc<Fragments>,
}

/// The fragments of this dialect.
pub(super) fn fragments() -> Fragments {
    let file = include_str!("../../../../sql/postgres/products_query.sql");
    Fragments::parse(file, Placeholder::Dollar)
}

impl Postgres {
    pub fn new(settings: &config::Database, url: &config::DatabaseUrl) -> Result<Self, StoreError> {
        let mut base: tokio_postgres::Config = url.expose().parse().map_err(|error| {
            let reason = with_causes(&error as &tokio_postgres::Error);
            StoreError::new(ErrorKind::NotPrepared, format_args!("database.url {url}: {reason}"))
        })?;
        base.connect_timeout(settings.connect_timeout);
        if base.get_application_name().is_none() {
            base.application_name("poolwise");
        }
        // Whether to check at all is the pool's decision; a check is a round trip.
        let manager = |config: tokio_postgres::Config| {
            let checks = ManagerConfig { recycling_method: RecyclingMethod::Verified };
            Arc::new(Manager::from_config(config, NoTls, checks))
        };
        let mut limited = base.clone();
        // As a start-up option it costs no round trip.
        let own_options = base.get_options().unwrap_or_default();
        let timeout_ms = settings.statement_timeout.as_millis();
        limited.options(format!("{own_options} -c statement_timeout={timeout_ms}"));
        Ok(Self { serving: manager(limited), own: manager(base), fragments: Arc::new(fragments()) })
    }

    async fn own_client(&self) -> Result<ClientWrapper, StoreError> {
        self.own.create().await.map_err(|error| connect_error(&error))
    }
}

impl Backend for Postgres {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, StoreError>> {
        Box::pin(async {
            let client = self.serving.create().await.map_err(|error| connect_error(&error))?;
            let manager = self.serving.clone();
            let fragments = self.fragments.clone();
            Ok(connection::PostgresConnection::boxed(client, manager, fragments))
        })
    }

    fn connection_limit(&self) -> BoxFuture<'_, Result<Option<usize>, StoreError>> {
        Box::pin(async {
            let row = self
                .own_client()
                .await?
                .query_one(
                    "select current_setting('max_connections')::bigint \
                     - current_setting('superuser_reserved_connections')::bigint",
                    &[],
                )
                .await
                .map_err(|error| statement_error(&error))?;
            Ok(usize::try_from(row.get::<_, i64>(0)).ok())
        })
    }

    fn watch(&self) -> BoxFuture<'_, Result<Box<dyn Watch>, StoreError>> {
        Box::pin(async { Ok(Box::new(PostgresWatch(self.own_client().await?)) as Box<dyn Watch>) })
    }

    fn has_products(&self) -> BoxFuture<'_, Result<Option<bool>, StoreError>> {
        const TABLE: &str = "select to_regclass('products') is not null";
        const ROWS: &str = "select exists (select from products)";
        Box::pin(async {
            let client = self.own_client().await?;
            let ask = async |sql| client.query_one(sql, &[]).await.map(|row| row.get::<_, bool>(0));
            let answer =
                async { if ask(TABLE).await? { ask(ROWS).await.map(Some) } else { Ok(None) } };
            answer.await.map_err(|error| statement_error(&error))
        })
    }

    fn admin(&self) -> BoxFuture<'_, Result<Box<dyn Admin>, StoreError>> {
        Box::pin(async {
            Ok(Box::new(admin::PostgresAdmin::new(self.own_client().await?)) as Box<dyn Admin>)
        })
    }
}

struct PostgresWatch(ClientWrapper);

impl Watch for PostgresWatch {
    fn look(&mut self) -> BoxFuture<'_, Result<Option<ServerView>, StoreError>> {
        const LOOK: &str = "select count(*), count(*) filter (where state = 'active'), \
            current_setting('max_connections')::bigint from pg_stat_activity \
            where datname = current_database() and backend_type = 'client backend'";
        Box::pin(async {
            let run = async {
                let statement = self.0.prepare_cached(LOOK).await?;
                self.0.query_one(&statement, &[]).await
            };
            let row = run.await.map_err(|error| statement_error(&error))?;
            let number = |column| row.get::<_, i64>(column).max(0) as u64;
            Ok(Some(ServerView {
                connections: number(0),
                active: number(1),
                max_connections: number(2),
                max_used: None,
                queries: None,
            }))
        })
    }
}

/// What a failed attempt to connect means.
fn connect_error(error: &tokio_postgres::Error) -> StoreError {
    let kind = match error.code() {
        Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => ErrorKind::Saturated,
        _ => ErrorKind::Unreachable,
    };
    StoreError::new(kind, format_args!("connecting to PostgreSQL: {}", with_causes(error)))
}

/// What a failed statement means.
fn statement_error(error: &tokio_postgres::Error) -> StoreError {
    let kind = match error.code() {
        Some(code) => match *code {
            SqlState::QUERY_CANCELED => ErrorKind::StatementTimeout,
            SqlState::ADMIN_SHUTDOWN
            | SqlState::CRASH_SHUTDOWN
            | SqlState::CANNOT_CONNECT_NOW
            | SqlState::IDLE_SESSION_TIMEOUT => ErrorKind::Disconnected,
            SqlState::TOO_MANY_CONNECTIONS => ErrorKind::Saturated,
            SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN => ErrorKind::NotPrepared,
            _ => ErrorKind::Internal,
        },
        // Without an answer of the server it is the connection that failed.
        None if error.is_closed() || is_io(error) => ErrorKind::Disconnected,
        None => ErrorKind::Internal,
    };
    let hint = match kind {
        ErrorKind::NotPrepared => "; run `poolwise seed` to create and fill the tables",
        _ => "",
    };
    StoreError::new(kind, format_args!("PostgreSQL: {}{hint}", with_causes(error)))
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.is::<std::io::Error>())
}
