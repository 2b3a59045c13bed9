//! From what was written to a [`Config`] that cannot be wrong: every cross-field rule.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use config::{Map, Value, ValueKind};

use super::auth::{self, Auth, auth};
use super::database_url::{checked_url, database_url, missing_url};
use super::file::{self, Backend, File, Invalidation, LogFormat, PreparedStatements, Recycle};
use super::redis::{RootCertificates, redis};
use super::url::{DatabaseUrl, RedisUrl};
use super::visitors::{CorsOrigins, RateLimit, cors_origins, header_size, rate_limit};
use super::warnings::warnings;
use super::writes::{Writes, writes};
use super::{Health, PluginCheck, PluginKind, STANDARD_STRATEGIES};

/// A configuration in which every rule holds.
#[derive(Debug, Clone)]
pub struct Config {
    /// The HTTP server.
    pub server: Server,
    /// The log.
    pub log: Log,
    /// What all strategies share of the database.
    pub database: Database,
    /// What all strategies share of the cache.
    pub cache: Cache,
    /// How the service judges its own state.
    pub health: Health,
    /// The data set.
    pub seed: Seed,
    /// How products and orders are written.
    pub writes: Writes,
    /// How much one client may ask for.
    pub rate_limit: RateLimit,
    /// Who may write.
    pub auth: Auth,
    /// Every strategy, by name; the standard ones are among them.
    pub strategies: Vec<Strategy>,
    /// Combinations that are legal but unwise, each with its arithmetic.
    pub warnings: Vec<String>,
    /// Files besides the layers that it was read from: passwords, certificates.
    pub files: Vec<PathBuf>,
    pub(super) merged: Merged,
}

/// What was merged, passwords included.
#[derive(Clone, PartialEq)]
pub(super) struct Merged(pub(super) Map<String, Value>);

impl std::fmt::Debug for Merged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

/// `[server]`
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each key is explained in config/default.toml")]
pub struct Server {
    pub listen: SocketAddr,
    pub max_connections: usize,
    pub max_header_size: usize,
    pub max_url_size: usize,
    pub max_body_size: usize,
    pub cors_origins: CorsOrigins,
    pub header_timeout: Duration,
    pub request_timeout: Duration,
    pub send_timeout: Duration,
    pub shutdown_timeout: Duration,
    pub drain_delay: Duration,
    pub wait_for: Duration,
    pub body_buffer: usize,
    pub body_budget: usize,
    pub replicas: u32,
    pub reports: PathBuf,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each key is explained in config/default.toml")]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

/// `[database]`
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each key is explained in config/default.toml")]
pub struct Database {
    pub backend: Backend,
    pub url: DatabaseUrl,
    /// Where the URL stands: `database.url`, or the first of its parts.
    pub url_key: &'static str,
    pub prepared_statements: PreparedStatements,
    pub pool_size: usize,
    pub wait_timeout: Duration,
    pub max_waiting: usize,
    pub shed_after: Duration,
    pub connect_timeout: Duration,
    pub recycle_timeout: Duration,
    pub recycle: Recycle,
    pub max_lifetime: Duration,
    pub keepalive: Duration,
    pub tcp_keepalive: Duration,
    pub tcp_user_timeout: Duration,
    pub breaker_interval: Duration,
    pub statement_timeout: Duration,
    pub reserve: u32,
}

/// `[cache]`
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each key is explained in config/default.toml")]
pub struct Cache {
    pub redis_url: RedisUrl,
    pub redis_root_cert: Option<RootCertificates>,
    pub redis_connections: usize,
    pub redis_connect_timeout: Duration,
    pub redis_timeout: Duration,
    pub key_prefix: String,
    pub invalidation: Invalidation,
    pub staleness_bound: Duration,
    pub ttl: Duration,
    pub ttl_jitter: f64,
    pub max_entry: usize,
    pub memory_size: usize,
    pub categories_ttl: Duration,
    pub coalesce: bool,
    pub compress: bool,
}

/// `[seed]`
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each key is explained in config/default.toml")]
pub struct Seed {
    pub auto: bool,
    pub rows: u64,
    pub seed: u64,
}

/// A way to the data.
#[derive(Debug, Clone, PartialEq)]
pub struct Strategy {
    /// Matches `[a-z0-9-]{1,32}`.
    pub name: String,
    /// The access method.
    pub access: PluginChoice,
    /// The cache.
    pub cache: PluginChoice,
    /// The database that it asks.
    pub database_url: DatabaseUrl,
}

/// A plugin by name, with its options still to be read by it.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginChoice {
    /// The plugin's name.
    pub name: String,
    /// Its options as written.
    pub options: Map<String, Value>,
}

impl Config {
    /// The strategy of this name.
    pub fn strategy(&self, name: &str) -> Option<&Strategy> {
        self.strategies.iter().find(|strategy| strategy.name == name)
    }

    /// The key under which a database URL of this configuration stands.
    pub fn url_key(&self, url: &DatabaseUrl) -> String {
        key_of(&self.database, &self.strategies, url)
    }
}

fn key_of(database: &Database, strategies: &[Strategy], url: &DatabaseUrl) -> String {
    let of_strategy = || strategies.iter().find(|strategy| strategy.database_url == *url);
    match of_strategy() {
        Some(strategy) if database.url != *url => {
            format!("strategies.{}.database_url", strategy.name)
        }
        _ => database.url_key.to_owned(),
    }
}

/// Applies every rule to `file`; what breaks one is added to `problems`.
pub(super) fn resolve(
    file: Option<File>,
    merged: Map<String, Value>,
    plugins: &dyn PluginCheck,
    problems: &mut Vec<String>,
) -> Option<Config> {
    let file = file?;
    let files = files(&file);
    let server = server(file.server, problems);
    let of_its_own = file.database.url.is_some() || file.database.host.is_some();
    let database = database(file.database, problems);
    let cache = cache(file.cache, problems);
    let auto = file.seed.auto.unwrap_or(!of_its_own && database.backend == Backend::Sqlite);
    let seed = Seed { auto, rows: file.seed.rows, seed: file.seed.seed };
    if seed.rows == 0 || seed.rows > i64::MAX as u64 {
        problems.push("`seed.rows` must be at least 1".into());
    }
    let log = log(file.log, problems);
    let rate_limit = rate_limit(file.rate_limit, problems);
    let of_keys = auth::warning(file.auth.generate_key, server.replicas);
    let auth = auth(file.auth, &database, problems);
    let health = file.health;
    health.check(problems);
    let mut strategies = Vec::new();
    for (name, raw) in file.strategies {
        strategies.extend(strategy(name, raw, &database, plugins, problems));
    }
    for strategy in &strategies {
        let found = plugins.conflicts(&strategy.cache, &cache, server.replicas);
        let path = format!("strategies.{}.cache", strategy.name);
        problems.extend(found.into_iter().map(|problem| format!("`{path}`: {problem}")));
    }
    for name in STANDARD_STRATEGIES {
        if !strategies.iter().any(|s| s.name == name) && problems.is_empty() {
            problems.push(format!("`strategies.{name}` is missing; it serves /products/{name}"));
        }
    }
    let writes = writes(file.writes, &strategies, plugins, problems);
    let urls = strategies.iter().map(|s: &Strategy| &s.database_url).chain([&database.url]);
    let urls: HashSet<_> = urls.filter(|url| **url != missing_url()).collect();
    problems.extend(urls.into_iter().filter_map(|url| {
        let problem = plugins.url_problem(&database, url)?;
        let names_its_key = problem.starts_with('`');
        let key = key_of(&database, &strategies, url);
        Some(if names_its_key { problem } else { format!("`{key}`: {problem}") })
    }));
    let mut warnings = warnings(&server, &database, &cache);
    warnings.extend(health.warnings());
    warnings.extend(of_keys);
    let merged = Merged(merged);
    Some(Config {
        server,
        log,
        database,
        cache,
        health,
        seed,
        writes,
        rate_limit,
        auth,
        strategies,
        warnings,
        files,
        merged,
    })
}

/// The files that `file` names and that are read now.
fn files(file: &File) -> Vec<PathBuf> {
    let (database, cache) = (&file.database, &file.cache);
    let named = [
        &database.password_file,
        &cache.redis_password_file,
        &cache.redis_root_cert,
        &file.auth.signing_key_file,
    ];
    named.into_iter().flatten().cloned().collect()
}

fn server(raw: file::Server, problems: &mut Vec<String>) -> Server {
    positive("server.max_connections", raw.max_connections, problems);
    positive("server.replicas", raw.replicas as usize, problems);
    for (key, duration) in [
        ("server.header_timeout", raw.header_timeout),
        ("server.request_timeout", raw.request_timeout),
        ("server.send_timeout", raw.send_timeout),
    ] {
        not_zero(key, duration, problems);
    }
    let listen =
        std::net::ToSocketAddrs::to_socket_addrs(&raw.listen).ok().and_then(|mut a| a.next());
    if listen.is_none() {
        problems.push(format!(
            "`server.listen`: {:?} is not an address and a port, such as \"127.0.0.1:8080\"",
            raw.listen
        ));
    }
    // Where a value is missing, the problem is noted and the rest is still looked at.
    let listen = listen.unwrap_or_else(|| ([127, 0, 0, 1], 8080).into());
    Server {
        listen,
        max_connections: raw.max_connections,
        max_header_size: header_size(&raw, problems),
        max_url_size: raw.max_url_size.as_u64() as usize,
        max_body_size: raw.max_body_size.as_u64() as usize,
        cors_origins: cors_origins(&raw.cors_origins, problems),
        header_timeout: raw.header_timeout,
        request_timeout: raw.request_timeout,
        send_timeout: raw.send_timeout,
        shutdown_timeout: raw.shutdown_timeout,
        drain_delay: raw.drain_delay,
        wait_for: raw.wait_for,
        body_buffer: raw.body_buffer.as_u64() as usize,
        body_budget: raw.body_budget.as_u64() as usize,
        replicas: raw.replicas,
        reports: raw.reports,
    }
}

fn log(raw: file::Log, problems: &mut Vec<String>) -> Log {
    if let Err(error) = raw.level.parse::<tracing_subscriber::filter::Targets>() {
        problems.push(format!("`log.level`: {:?} is not a level or filter: {error}", raw.level));
    }
    Log { level: raw.level, format: raw.format }
}

fn database(raw: file::Database, problems: &mut Vec<String>) -> Database {
    positive("database.pool_size", raw.pool_size, problems);
    for (key, duration) in [
        ("database.wait_timeout", raw.wait_timeout),
        ("database.connect_timeout", raw.connect_timeout),
        ("database.recycle_timeout", raw.recycle_timeout),
        ("database.statement_timeout", raw.statement_timeout),
    ] {
        not_zero(key, duration, problems);
    }
    if raw.backend != Backend::Postgres && raw.prepared_statements == PreparedStatements::Unnamed {
        problems.push(format!(
            "`database.prepared_statements` means nothing to {:?}; remove it",
            raw.backend.name()
        ));
    }
    let url = database_url(&raw, problems);
    Database {
        backend: raw.backend,
        url: url.unwrap_or_else(missing_url),
        url_key: if raw.host.is_some() { "database.host" } else { "database.url" },
        prepared_statements: raw.prepared_statements,
        pool_size: raw.pool_size,
        wait_timeout: raw.wait_timeout,
        max_waiting: raw.max_waiting,
        shed_after: raw.shed_after,
        connect_timeout: raw.connect_timeout,
        recycle_timeout: raw.recycle_timeout,
        recycle: raw.recycle,
        max_lifetime: raw.max_lifetime,
        keepalive: raw.keepalive,
        tcp_keepalive: raw.tcp_keepalive,
        tcp_user_timeout: raw.tcp_user_timeout,
        breaker_interval: raw.breaker_interval,
        statement_timeout: raw.statement_timeout,
        reserve: raw.reserve,
    }
}

/// Signs of life from Redis are asked for several times within the bound.
const SHORTEST_BOUND: Duration = Duration::from_millis(100);

fn cache(raw: file::Cache, problems: &mut Vec<String>) -> Cache {
    positive("cache.redis_connections", raw.redis_connections, problems);
    not_zero("cache.redis_timeout", raw.redis_timeout, problems);
    not_zero("cache.redis_connect_timeout", raw.redis_connect_timeout, problems);
    not_zero("cache.ttl", raw.ttl, problems);
    if raw.staleness_bound < SHORTEST_BOUND {
        let shortest = humantime::format_duration(SHORTEST_BOUND);
        problems.push(format!("`cache.staleness_bound` must be at least {shortest}"));
    }
    if !(0.0..=1.0).contains(&raw.ttl_jitter) {
        problems.push(format!("`cache.ttl_jitter`: {} is not between 0 and 1", raw.ttl_jitter));
    }
    let (redis_url, redis_root_cert) = redis(&raw, problems);
    Cache {
        redis_url,
        redis_root_cert,
        redis_connections: raw.redis_connections,
        redis_connect_timeout: raw.redis_connect_timeout,
        redis_timeout: raw.redis_timeout,
        key_prefix: raw.key_prefix,
        invalidation: raw.invalidation,
        staleness_bound: raw.staleness_bound,
        ttl: raw.ttl,
        ttl_jitter: raw.ttl_jitter,
        max_entry: raw.max_entry.as_u64() as usize,
        memory_size: raw.memory_size.as_u64() as usize,
        categories_ttl: raw.categories_ttl,
        coalesce: raw.coalesce,
        compress: raw.compress,
    }
}

fn strategy(
    name: String,
    raw: file::Strategy,
    database: &Database,
    plugins: &dyn PluginCheck,
    problems: &mut Vec<String>,
) -> Option<Strategy> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || name.len() > 32 || !name.bytes().all(legal) {
        problems.push(format!(
            "`strategies.{name}`: a name has 1 to 32 of the characters a-z, 0-9 and -"
        ));
    }
    let mut choose = |value: Option<Value>, part: PluginKind| {
        let (key, name_key, default) = match part {
            PluginKind::Access => ("access", "kind", "pool"),
            PluginKind::Cache => ("cache", "store", "none"),
        };
        let path = format!("strategies.{name}.{key}");
        match choice(value, name_key, default, &path) {
            Ok(choice) => {
                let found = plugins.problems(part, &choice, database);
                problems.extend(found.into_iter().map(|problem| format!("`{path}`: {problem}")));
                Some(choice)
            }
            Err(problem) => {
                problems.push(problem);
                None
            }
        }
    };
    let access = choose(raw.access, PluginKind::Access);
    let cache = choose(raw.cache, PluginKind::Cache);
    let database_url = match &raw.database_url {
        Some(url) => {
            checked_url(&format!("strategies.{name}.database_url"), url, database.backend, problems)
        }
        None => Some(database.url.clone()),
    };
    Some(Strategy { name, access: access?, cache: cache?, database_url: database_url? })
}

fn choice(
    value: Option<Value>,
    name_key: &str,
    default: &str,
    path: &str,
) -> Result<PluginChoice, String> {
    let Some(value) = value else {
        return Ok(PluginChoice { name: default.into(), options: Map::new() });
    };
    let ValueKind::Table(mut options) = value.kind else {
        return Err(format!("`{path}` must be a name or a table with `{name_key}`"));
    };
    match options.remove(name_key).map(|name| name.kind) {
        Some(ValueKind::String(name)) => Ok(PluginChoice { name, options }),
        _ => Err(format!("`{path}` needs `{name_key}`, the name of the plugin")),
    }
}

fn positive(key: &str, value: usize, problems: &mut Vec<String>) {
    if value == 0 {
        problems.push(format!("`{key}` must be at least 1"));
    }
}

pub(super) fn not_zero(key: &str, value: Duration, problems: &mut Vec<String>) {
    if value.is_zero() {
        problems.push(format!("`{key}` must be longer than 0"));
    }
}
