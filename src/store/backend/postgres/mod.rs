//! PostgreSQL and what speaks its protocol, through tokio-postgres and deadpool-postgres.

mod admin;
mod command;
mod connection;
mod decode;
mod examine;
mod failure;
mod numeric;
mod top;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use futures_util::future::BoxFuture;

use super::sql::{Fragments, Placeholder, Texts};
use super::{Admin, Backend, Connection, ServerView, Watch};
use crate::config::{self, PreparedStatements};
use crate::connector::{Canceller, Connector};
use crate::store::{ErrorKind, StoreError};

/// Questions of the operating system without an answer until it closes a connection.
const PROBES: u32 = 3;

/// A PostgreSQL database.
pub(super) struct Postgres {
    /// Makes connections for requests.
    serving: Connector,
    /// Makes connections without a statement timeout, for loading and looking.
    own: Connector,
    connect_timeout: Duration,
    style: Style,
    fragments: Arc<Fragments>,
    texts: Arc<Texts>,
}

/// How statements are sent.
#[derive(Debug, Clone, Copy)]
enum Style {
    /// Prepared once a connection, under a name; the server keeps their time.
    Named,
    /// Prepared with each execution, without a name; we keep their time.
    Unnamed { statement_timeout: Duration },
}

/// The fragments of this dialect.
pub(super) fn fragments() -> Fragments {
    let file = include_str!("../../../../sql/postgres/products_query.sql");
    Fragments::parse(file, Placeholder::Dollar)
}

/// Where the texts of commands stand.
const TEXTS: &[&str] = &[
    include_str!("../../../../sql/postgres/products_write.sql"),
    include_str!("../../../../sql/postgres/users.sql"),
    include_str!("../../../../sql/postgres/orders.sql"),
];

impl Postgres {
    pub fn new(settings: &config::Database, url: &config::DatabaseUrl) -> Result<Self, StoreError> {
        let connector = Connector::new(url, settings.connect_timeout);
        let mut own =
            connector.map_err(|problem| StoreError::new(ErrorKind::NotPrepared, problem))?;
        own.configure(|config| {
            if config.get_application_name().is_none() {
                config.application_name("poolwise");
            }
            config.keepalives(!settings.tcp_keepalive.is_zero());
            config.keepalives_idle(settings.tcp_keepalive);
            config.keepalives_interval(settings.tcp_keepalive / PROBES);
            config.keepalives_retries(PROBES);
            if !settings.tcp_user_timeout.is_zero() {
                config.tcp_user_timeout(settings.tcp_user_timeout);
            }
        });
        let statement_timeout = settings.statement_timeout;
        let mut serving = own.clone();
        let style = match settings.prepared_statements {
            PreparedStatements::Named => Style::Named,
            PreparedStatements::Unnamed => Style::Unnamed { statement_timeout },
        };
        if let Style::Named = style {
            // As a start-up option it costs no round trip. Poolers may refuse options.
            serving.configure(|config| {
                let options = config.get_options().unwrap_or_default();
                let timeout_ms = statement_timeout.as_millis();
                config.options(format!("{options} -c statement_timeout={timeout_ms}"));
            });
        }
        Ok(Self {
            serving,
            own,
            connect_timeout: settings.connect_timeout,
            style,
            fragments: Arc::new(fragments()),
            texts: Arc::new(Texts::parse(TEXTS)),
        })
    }

    /// A connection that no access method gives a limit.
    async fn own_client(&self) -> Result<ClientWrapper, StoreError> {
        let limit = self.connect_timeout;
        let opened = tokio::time::timeout(limit, open(&self.own)).await;
        opened.map(|opened| Ok(opened?.0)).unwrap_or_else(|_| {
            let limit = humantime::format_duration(limit);
            let detail = format_args!("connecting to PostgreSQL: no answer within {limit}");
            Err(StoreError::new(ErrorKind::Unreachable, detail))
        })
    }
}

/// A connection with a cache of prepared statements, and what stops the one that runs on it.
async fn open(connector: &Connector) -> Result<(ClientWrapper, Canceller), StoreError> {
    let opened = connector.connect().await;
    let opened = opened.map_err(|error| failure::of_connect(&error, connector))?;
    Ok((ClientWrapper::new(opened.client, opened.driver), opened.canceller))
}

impl Backend for Postgres {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, StoreError>> {
        Box::pin(async {
            let (client, canceller) = open(&self.serving).await?;
            Ok(Box::new(connection::PostgresConnection {
                client: Arc::new(client),
                canceller,
                style: self.style,
                fragments: self.fragments.clone(),
                texts: self.texts.clone(),
            }) as Box<dyn Connection>)
        })
    }

    fn connection_limit(&self) -> BoxFuture<'_, Result<Option<usize>, StoreError>> {
        const LIMIT: &str = "select current_setting('max_connections')::bigint \
            - current_setting('superuser_reserved_connections')::bigint";
        Box::pin(async {
            let client = self.own_client().await?;
            let row = client.query_typed_one(LIMIT, &[]).await;
            let row = row.map_err(|error| failure::of_statement(&error))?;
            Ok(usize::try_from(row.get::<_, i64>(0)).ok())
        })
    }

    fn watch(&self) -> BoxFuture<'_, Result<Box<dyn Watch>, StoreError>> {
        Box::pin(async { Ok(Box::new(PostgresWatch(self.own_client().await?)) as Box<dyn Watch>) })
    }

    fn has_products(&self) -> BoxFuture<'_, Result<Option<bool>, StoreError>> {
        Box::pin(async {
            let client = self.own_client().await?;
            let found = examine::products(&client).await?;
            if found.is_some() && matches!(self.style, Style::Named) {
                // What requests will do, so that a pooler that cannot have it says so now.
                let sql = self.fragments.compose(&Default::default()).text;
                let prepared = open(&self.serving).await?.0.prepare_cached(&sql).await;
                prepared.map_err(|error| failure::of_statement(&error))?;
            }
            Ok(found)
        })
    }

    fn top(&self) -> BoxFuture<'_, Result<super::top::Top, StoreError>> {
        Box::pin(async { top::look(&self.own_client().await?).await })
    }

    fn admin(&self) -> BoxFuture<'_, Result<Box<dyn Admin>, StoreError>> {
        Box::pin(async {
            let client = self.own_client().await?;
            examine::version(&client).await?;
            Ok(Box::new(admin::PostgresAdmin::new(client)) as Box<dyn Admin>)
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
            let row = self.0.query_typed_one(LOOK, &[]).await;
            let row = row.map_err(|error| failure::of_statement(&error))?;
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

    fn ping(&mut self) -> BoxFuture<'_, Result<(), StoreError>> {
        // The text says in pg_stat_activity whose it is.
        const PING: &str = "select 1 /* poolwise health */";
        Box::pin(async {
            let answered = self.0.simple_query(PING).await;
            answered.map(drop).map_err(|error| failure::of_statement(&error))
        })
    }
}
