//! The shape of the TOML, key by key. What each key means, its unit and the trade-off of too high
//! and too low stands beside its default in `config/default.toml`, which is compiled in.

use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;
use config::Value;
use serde::{Deserialize, Serialize};

/// A whole configuration as written.
#[derive(Debug, Deserialize)]
pub(super) struct File {
    pub server: Server,
    pub log: Log,
    pub database: Database,
    pub cache: Cache,
    pub health: super::Health,
    pub seed: Seed,
    pub writes: super::writes::File,
    pub rate_limit: RateLimit,
    pub auth: super::auth::File,
    pub strategies: BTreeMap<String, Strategy>,
}

/// `[server]`
#[derive(Debug, Deserialize)]
pub(super) struct Server {
    pub listen: String,
    pub max_connections: usize,
    pub max_header_size: ByteSize,
    pub max_url_size: ByteSize,
    pub max_body_size: ByteSize,
    #[serde(deserialize_with = "super::list::read")]
    pub cors_origins: Vec<String>,
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub send_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub shutdown_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub drain_delay: Duration,
    #[serde(with = "humantime_serde")]
    pub wait_for: Duration,
    pub body_buffer: ByteSize,
    pub body_budget: ByteSize,
    pub replicas: u32,
    pub reports: std::path::PathBuf,
}

/// `[rate_limit]`
#[derive(Debug, Deserialize)]
pub(super) struct RateLimit {
    pub requests: u32,
    #[serde(with = "humantime_serde")]
    pub per: Duration,
    pub burst: Option<u32>,
    #[serde(deserialize_with = "super::list::read")]
    pub trusted_proxies: Vec<String>,
}

/// `[log]`
#[derive(Debug, Deserialize)]
pub(super) struct Log {
    pub level: String,
    pub format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[database]`
#[derive(Debug, Deserialize)]
pub(super) struct Database {
    pub backend: Backend,
    pub url: Option<String>,
    pub host: Option<String>,
    pub port: Option<u16>,
    pub name: Option<String>,
    pub user: Option<String>,
    pub password: Option<String>,
    pub password_file: Option<std::path::PathBuf>,
    pub sslmode: Option<SslMode>,
    pub sslrootcert: Option<String>,
    pub prepared_statements: PreparedStatements,
    pub pool_size: usize,
    #[serde(with = "humantime_serde")]
    pub wait_timeout: Duration,
    pub max_waiting: usize,
    #[serde(with = "humantime_serde")]
    pub shed_after: Duration,
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub recycle_timeout: Duration,
    pub recycle: Recycle,
    #[serde(with = "humantime_serde")]
    pub max_lifetime: Duration,
    #[serde(with = "humantime_serde")]
    pub keepalive: Duration,
    #[serde(with = "humantime_serde")]
    pub tcp_keepalive: Duration,
    #[serde(with = "humantime_serde")]
    pub tcp_user_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub breaker_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
    pub reserve: u32,
}

/// Which database serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The embedded SQLite.
    Sqlite,
    /// PostgreSQL or what speaks its protocol.
    Postgres,
    /// MySQL or MariaDB, in a build with the feature `mysql`.
    Mysql,
}

impl Backend {
    /// The name as written in configuration and URLs.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Sqlite => "sqlite",
            Backend::Postgres => "postgres",
            Backend::Mysql => "mysql",
        }
    }
}

/// What a connection to PostgreSQL asks of TLS, in libpq's words (PostgreSQL documentation, "SSL
/// Mode Descriptions").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// None.
    Disable,
    /// Encryption where the server has it.
    Prefer,
    /// Encryption.
    Require,
    /// Encryption, and a certificate of a known authority.
    VerifyCa,
    /// Encryption, and a certificate of a known authority for this host.
    VerifyFull,
}

impl SslMode {
    /// Every mode, the weakest first.
    pub const ALL: [SslMode; 5] = [
        SslMode::Disable,
        SslMode::Prefer,
        SslMode::Require,
        SslMode::VerifyCa,
        SslMode::VerifyFull,
    ];

    /// The name as written in configuration and URLs.
    pub fn name(self) -> &'static str {
        match self {
            SslMode::Disable => "disable",
            SslMode::Prefer => "prefer",
            SslMode::Require => "require",
            SslMode::VerifyCa => "verify-ca",
            SslMode::VerifyFull => "verify-full",
        }
    }
}

/// How statements are prepared on PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PreparedStatements {
    /// Once a connection, under a name.
    Named,
    /// With each execution, without a name: for poolers that hand out a server for a transaction.
    Unnamed,
}

/// How a connection is checked when it is borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Recycle {
    /// Only whether it is known to be closed.
    Fast,
    /// By a round trip.
    Verified,
}

/// What makes an answer that is kept one that must not be served any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Invalidation {
    /// Nothing: it is served until there is no room for it.
    None,
    /// Its time.
    Ttl,
    /// Its time, or a write that changed what it may contain.
    Version,
}

/// `[cache]`
#[derive(Debug, Deserialize)]
pub(super) struct Cache {
    pub redis_url: String,
    pub redis_password_file: Option<std::path::PathBuf>,
    pub redis_root_cert: Option<std::path::PathBuf>,
    pub redis_connections: usize,
    #[serde(with = "humantime_serde")]
    pub redis_connect_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub redis_timeout: Duration,
    pub key_prefix: String,
    pub invalidation: Invalidation,
    #[serde(with = "humantime_serde")]
    pub staleness_bound: Duration,
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
    pub ttl_jitter: f64,
    pub max_entry: ByteSize,
    pub memory_size: ByteSize,
    #[serde(with = "humantime_serde")]
    pub categories_ttl: Duration,
    pub coalesce: bool,
    pub compress: bool,
}

/// `[seed]`
#[derive(Debug, Deserialize)]
pub(super) struct Seed {
    pub auto: Option<bool>,
    pub rows: u64,
    pub seed: u64,
}

/// `[strategies.NAME]`; access and cache are read by the plugin that they name.
#[derive(Debug, Deserialize)]
pub(super) struct Strategy {
    pub access: Option<Value>,
    pub cache: Option<Value>,
    pub database_url: Option<String>,
}
