//! MySQL and MariaDB, through mysql_async.

mod admin;
mod bulk;
mod command;
mod connection;
mod datetime;
mod decode;
mod error;
mod top;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures_util::future::BoxFuture;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};

use self::error::{connect_error, statement_error};
use super::sql::{Fragments, Placeholder, Texts};
use super::{Admin, Backend, Connection, ServerView, Watch};
use crate::config::{self, DatabaseUrl};
use crate::store::error::with_causes;
use crate::store::{ErrorKind, StoreError};

/// Prepared statements that a connection keeps: more than there are sets of parameters.
const STATEMENTS: usize = 256;
/// What we would otherwise ask each server for when connecting. Longer packets than this there are
/// none; idle connections are nobody's business but the server's.
const LARGEST_PACKET: usize = 1 << 30;
const IDLE_SECONDS: usize = 28_800;

/// A MySQL or MariaDB database.
pub(super) struct Mysql {
    server: Arc<Server>,
    /// Of connections that serve requests: with a limit of time for each statement.
    serving: Opts,
    /// Of connections for loading and looking.
    own: Opts,
    connect_timeout: Duration,
}

/// What every connection shares.
struct Server {
    url: DatabaseUrl,
    fragments: Fragments,
    texts: Texts,
    /// Of connections that do nothing but kill another.
    bare: Opts,
    /// Goes up when a connection turned out to be closed: those that were opened before it may be
    /// closed as well, as after a restart of the server, and nobody sees that without asking.
    generation: AtomicU64,
}

/// The fragments of this dialect.
pub(super) fn fragments() -> Fragments {
    let file = include_str!("../../../../sql/mysql/products_query.sql");
    Fragments::parse(file, Placeholder::Plain)
}

/// Where the texts of commands stand.
const TEXTS: &[&str] = &[
    include_str!("../../../../sql/mysql/products_write.sql"),
    include_str!("../../../../sql/mysql/users.sql"),
    include_str!("../../../../sql/mysql/orders.sql"),
];

impl Mysql {
    pub fn new(settings: &config::Database, url: &DatabaseUrl) -> Result<Self, StoreError> {
        let base = options(url).map_err(|reason| {
            StoreError::new(ErrorKind::NotPrepared, format_args!("database.url {url}: {reason}"))
        })?;
        let keepalive = Some(settings.tcp_keepalive).filter(|idle| !idle.is_zero());
        let base = base.tcp_keepalive(keepalive);
        let with = |init: String| Opts::from(base.clone().init(vec![init]));
        let server = Server {
            url: url.clone(),
            fragments: fragments(),
            texts: Texts::parse(TEXTS),
            bare: base.clone().into(),
            generation: AtomicU64::new(0),
        };
        Ok(Self {
            server: Arc::new(server),
            serving: with(serving_session(settings.statement_timeout)),
            own: with("set time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES'".into()),
            connect_timeout: settings.connect_timeout,
        })
    }

    /// A connection without a limit of time for its statements.
    async fn own_conn(&self) -> Result<Conn, StoreError> {
        let conn = tokio::time::timeout(self.connect_timeout, self.server.connect(&self.own));
        conn.await.map_err(|_| {
            let waited = humantime::format_duration(self.connect_timeout);
            let url = &self.server.url;
            let detail = format_args!(
                "connecting to {url}: no connection within {waited}; see `database.url`, or raise `database.connect_timeout`"
            );
            StoreError::new(ErrorKind::Unreachable, detail)
        })?
    }
}

impl Server {
    async fn connect(&self, opts: &Opts) -> Result<Conn, StoreError> {
        let connected = Conn::new(opts.clone()).await;
        let conn = connected.map_err(|error| connect_error(&self.url, &error))?;
        check_version(&self.url, conn.server_version())?;
        Ok(conn)
    }
}

/// MariaDB begins at 10; before 10.3, and before 8.0.17 of MySQL, there is no collation that compares
/// every byte.
fn check_version(url: &DatabaseUrl, version: (u16, u16, u16)) -> Result<(), StoreError> {
    let is_mariadb = version >= (10, 0, 0);
    let oldest = if is_mariadb { (10, 3, 0) } else { (8, 0, 17) };
    if version >= oldest {
        return Ok(());
    }
    let (major, minor, patch) = version;
    let name = if is_mariadb { "MariaDB" } else { "MySQL" };
    let detail = format_args!(
        "the server at {url} is {name} {major}.{minor}.{patch}, which is too old; `database.url` must lead to MariaDB 10.3, MySQL 8.0.17 or a newer one"
    );
    Err(StoreError::new(ErrorKind::NotPrepared, detail))
}

/// The options of a URL, with what all our connections have in common.
///
/// # Errors
/// What is wrong with the URL, as the end of a sentence.
fn options(url: &DatabaseUrl) -> Result<OptsBuilder, String> {
    let (url, authority) = url.without("ssl_ca");
    let opts = Opts::from_url(&url).map_err(|error| with_causes(&error))?;
    if opts.db_name().is_none_or(str::is_empty) {
        return Err(
            "it must end with the name of a database, as in mysql://USER:PASSWORD@HOST:PORT/NAME"
                .into(),
        );
    }
    // The driver does not recognise that failure any more, so it would refuse every such server.
    if opts
        .ssl_opts()
        .is_some_and(|ssl| ssl.skip_domain_validation() && !ssl.accept_invalid_certs())
    {
        return Err("`verify_identity=false` cannot be had by itself; use the name that the certificate is for, or add `verify_ca=false` to check nothing".into());
    }
    let ssl = match (opts.ssl_opts(), authority) {
        (Some(ssl), Some(path)) => {
            Some(ssl.clone().with_root_certs(vec![std::path::PathBuf::from(path).into()]))
        }
        (None, Some(_)) => return Err("`ssl_ca` needs `require_ssl=true`".into()),
        (ssl, None) => ssl.cloned(),
    };
    Ok(OptsBuilder::from_opts(opts)
        .ssl_opts(ssl)
        .prefer_socket(false)
        .stmt_cache_size(STATEMENTS)
        .max_allowed_packet(Some(LARGEST_PACKET))
        .wait_timeout(Some(IDLE_SECONDS)))
}

/// Each kind of server reads only its own part; nothing but SELECT has such a limit in MySQL.
fn serving_session(statement_timeout: Duration) -> String {
    const A_YEAR: Duration = Duration::from_secs(31_536_000);
    let timeout = statement_timeout.min(A_YEAR);
    let (seconds, millis) =
        (timeout.as_secs_f64(), timeout.as_millis().min(u32::MAX.into()).max(1));
    format!(
        "set time_zone = '+00:00' /*M!100203 , max_statement_time = {seconds:.6} */ \
         /*!80000 , max_execution_time = {millis} */"
    )
}

impl Backend for Mysql {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, StoreError>> {
        Box::pin(connection::open(self.server.clone(), &self.serving))
    }

    fn connection_limit(&self) -> BoxFuture<'_, Result<Option<usize>, StoreError>> {
        Box::pin(async {
            // The second one is that of the account, 0 where it has none.
            let ask = "select @@max_connections, @@session.max_user_connections";
            let mut conn = self.own_conn().await?;
            let found: Option<(usize, usize)> =
                conn.query_first(ask).await.map_err(|error| statement_error(&error))?;
            Ok(found.map(|(all, of_user)| if of_user > 0 { all.min(of_user) } else { all }))
        })
    }

    fn watch(&self) -> BoxFuture<'_, Result<Box<dyn Watch>, StoreError>> {
        Box::pin(async { Ok(Box::new(MysqlWatch(self.own_conn().await?)) as Box<dyn Watch>) })
    }

    fn has_products(&self) -> BoxFuture<'_, Result<Option<bool>, StoreError>> {
        Box::pin(async {
            let mut conn = self.own_conn().await?;
            let answer = async {
                match admin::has_table(&mut conn, "products").await? {
                    true => admin::has_rows(&mut conn).await.map(Some),
                    false => Ok(None),
                }
            };
            answer.await.map_err(|error| statement_error(&error))
        })
    }

    fn top(&self) -> BoxFuture<'_, Result<super::top::Top, StoreError>> {
        Box::pin(async { top::look(&mut self.own_conn().await?).await })
    }

    fn admin(&self) -> BoxFuture<'_, Result<Box<dyn Admin>, StoreError>> {
        Box::pin(async {
            Ok(Box::new(admin::MysqlAdmin::new(self.own_conn().await?)) as Box<dyn Admin>)
        })
    }
}

struct MysqlWatch(Conn);

impl Watch for MysqlWatch {
    fn look(&mut self) -> BoxFuture<'_, Result<Option<ServerView>, StoreError>> {
        // Without the privilege PROCESS, the connections of our own user.
        const CONNECTIONS: &str = "select count(*), \
            cast(coalesce(sum(command in ('Query', 'Execute')), 0) as unsigned), \
            @@max_connections from information_schema.processlist where db = database()";
        const COUNTERS: &str =
            "show global status where variable_name in ('Max_used_connections', 'Questions')";
        Box::pin(async {
            let run = async {
                let found: Option<(u64, u64, u64)> = self.0.query_first(CONNECTIONS).await?;
                let counters: Vec<(String, u64)> = self.0.query(COUNTERS).await?;
                Ok((found, counters))
            };
            let (found, counters) = run.await.map_err(|error| statement_error(&error))?;
            let counter = |name: &str| {
                let found = counters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                found.map(|(_, value)| *value)
            };
            Ok(found.map(|(connections, active, max_connections)| ServerView {
                connections,
                active,
                max_connections,
                max_used: counter("Max_used_connections"),
                queries: counter("Questions"),
            }))
        })
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { self.0.ping().await.map_err(|error| statement_error(&error)) })
    }
}
