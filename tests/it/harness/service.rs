//! Services inside this process, on a free port, made as the command makes them: from files.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use poolwise::config::{self, Config, Environment, Problems};
use poolwise::http::State;
use poolwise::observe::AccessGauges;
use poolwise::server::{self, Ready, Sources};
use poolwise::store::backend::Existing;
use poolwise::store::plugin::Plugins;
use poolwise::store::{Backends, RequestContext, Strategy};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

#[cfg(feature = "mysql")]
use super::MariaDb;
use super::data::SEED;
use super::{Client, FEW, MANY, Network, PgBouncer, Postgres, Redis, blocking, folder, unique};

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
    /// PostgreSQL over TLS, with a look at its certificate.
    Tls,
    /// PostgreSQL behind PgBouncer, which hands out a server for each transaction.
    PgBouncer,
    /// MariaDB; only in a build with the feature `mysql`.
    MariaDb,
}

impl Backend {
    /// Whether this build has no driver for it.
    pub fn is_absent(self) -> bool {
        self == Backend::MariaDb && !cfg!(feature = "mysql")
    }

    /// Whether it speaks PostgreSQL's protocol.
    pub fn is_postgres(self) -> bool {
        matches!(self, Backend::Postgres | Backend::Tls | Backend::PgBouncer)
    }

    /// As `database.backend` names it.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Sqlite => "sqlite",
            Backend::Postgres | Backend::Tls | Backend::PgBouncer => "postgres",
            Backend::MariaDb => "mysql",
        }
    }

    /// The URL of a database of the shared PostgreSQL, through this door.
    fn url(self, database: &str) -> String {
        match self {
            Backend::Sqlite | Backend::MariaDb => panic!("this is no PostgreSQL"),
            Backend::Postgres => Postgres::shared().url(database),
            Backend::Tls => Postgres::shared().tls_url(database),
            Backend::PgBouncer => PgBouncer::shared().url(database),
        }
    }
}

/// A database that has been filled.
#[derive(Debug, Clone)]
pub struct Database {
    pub backend: Backend,
    pub url: String,
}

impl Database {
    /// The one of this size that all tests read; made when first asked for.
    pub fn shared(backend: Backend, rows: u64) -> Self {
        if let Backend::Tls | Backend::PgBouncer = backend {
            let same = Self::shared(Backend::Postgres, rows);
            return Self { backend, url: backend.url(same.name()) };
        }
        static MADE: Mutex<Vec<(Backend, u64, String)>> = Mutex::new(Vec::new());
        let mut made = MADE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = made.iter().find(|(b, r, _)| (*b, *r) == (backend, rows));
        if let Some((_, _, url)) = known {
            return Self { backend, url: url.clone() };
        }
        let database = blocking(Self::scratch(backend, rows));
        made.push((backend, rows, database.url.clone()));
        database
    }

    /// One that a test may break.
    pub async fn scratch(backend: Backend, rows: u64) -> Self {
        match backend {
            Backend::Sqlite => {
                let file = folder().join(unique("products")).with_extension("db");
                Self::filled(backend, format!("sqlite:{}", file.display()), rows).await
            }
            Backend::Postgres | Backend::Tls | Backend::PgBouncer => {
                let name = unique("products");
                Postgres::shared().create(&name).await;
                Self::filled(backend, backend.url(&name), rows).await
            }
            #[cfg(feature = "mysql")]
            Backend::MariaDb => Self::on_mariadb(MariaDb::shared(), rows).await,
            #[cfg(not(feature = "mysql"))]
            Backend::MariaDb => panic!("this build has no MySQL"),
        }
    }

    /// One on this server.
    pub async fn on(server: &Postgres, rows: u64) -> Self {
        let url = server.create(&unique("products")).await;
        Self::filled(Backend::Postgres, url, rows).await
    }

    /// One on this server.
    #[cfg(feature = "mysql")]
    pub async fn on_mariadb(server: &MariaDb, rows: u64) -> Self {
        let url = server.create(&unique("products")).await;
        Self::filled(Backend::MariaDb, url, rows).await
    }

    async fn filled(backend: Backend, url: String, rows: u64) -> Self {
        let database = Self { backend, url };
        let config = Setup::of(&database).config();
        let backends = Backends::new(&config).expect("the URL is understood");
        let backend = backends.get(&config.database.url);
        let loaded = poolwise::seed::load(backend, (rows, SEED), Existing::Keep, &|_| {}).await;
        assert_eq!(loaded.expect("the data set loads").rows, rows);
        database
    }

    /// Its name on the server.
    pub fn name(&self) -> &str {
        let url = self.url.split('?').next().expect("there is something before it");
        url.rsplit('/').next().expect("a URL has slashes")
    }

    /// The same database of the shared PostgreSQL, through another port that leads there.
    pub fn through(&self, port: u16) -> Self {
        let own = Postgres::shared().port.to_string();
        Self { url: self.url.replace(&own, &port.to_string()), ..self.clone() }
    }

    /// The same database of the shared PostgreSQL behind a network of its own.
    pub async fn behind_a_network(&self) -> (Self, Network) {
        let network = Network::to(Postgres::shared().port).await;
        (self.through(network.port), network)
    }

    /// The same database with one more option in its URL.
    pub fn with_option(&self, option: &str) -> Self {
        let sign = if self.url.contains('?') { '&' } else { '?' };
        Self { url: format!("{}{sign}{option}", self.url), ..self.clone() }
    }
}

/// What services of tests sign tokens with; every replica has the same.
pub const SIGNING_KEY: &str = "cG9vbHdpc2UncyB0ZXN0cyBzaWduIHdpdGggdGhpcyE=";

/// What a service is to be made from: layers of TOML.
pub struct Setup {
    files: Vec<PathBuf>,
}

impl Setup {
    /// A service over the small data set.
    pub fn few(backend: Backend) -> Self {
        Self::of(&Database::shared(backend, FEW))
    }

    /// A service over the large one.
    pub fn many(backend: Backend) -> Self {
        Self::of(&Database::shared(backend, MANY))
    }

    /// A service over a database, with small pools and keys of its own in Redis.
    pub fn of(Database { backend, url }: &Database) -> Self {
        let setup = Self::of_server(backend.name()).with(&format!("database.url = \"{url}\""));
        match backend {
            Backend::PgBouncer => setup.with("database.prepared_statements = \"unnamed\""),
            _ => setup,
        }
    }

    /// The same, where a later layer says where the database is.
    pub fn of_server(backend: &str) -> Self {
        let prefix = unique("test");
        Self { files: Vec::new() }.with(&format!(
            r#"
            log.level = "warn"
            database = {{ backend = "{backend}", pool_size = 2, reserve = 100 }}
            cache.key_prefix = "{prefix}:"
            cache.ttl_jitter = 0.0
            # So long that a machine which stands still for a moment changes nothing.
            cache.redis_timeout = "20s"
            cache.redis_connect_timeout = "20s"
            seed = {{ auto = false }}
            # As cheap as it may be: every service hashes when it starts.
            auth = {{ signing_key = "{SIGNING_KEY}", hash_memory = "7MiB", hash_iterations = 1 }}
            "#
        ))
    }

    /// Nothing but what stands in files to come.
    pub fn bare() -> Self {
        Self { files: Vec::new() }
    }

    /// One more layer.
    pub fn with(mut self, toml: &str) -> Self {
        let file = folder().join(unique("layer")).with_extension("toml");
        std::fs::write(&file, toml).expect("the temp folder can be written to");
        self.files.push(file);
        self
    }

    /// Bodies are streamed, however small.
    pub fn streaming(self) -> Self {
        self.with("server.body_budget = 0")
    }

    /// Bodies are buffered, however large.
    pub fn buffering(self) -> Self {
        self.with("server = { body_buffer = \"64MiB\", body_budget = \"256MiB\" }")
    }

    /// Redis is there.
    pub fn with_redis(self, redis: &Redis) -> Self {
        self.with(&format!("cache.redis_url = \"{}\"", redis.url()))
    }

    /// The strategy under test, at `/strategies/subject/products`.
    pub fn subject(self, access: &str, cache: &str) -> Self {
        self.with(&format!("strategies.subject = {{ access = {access}, cache = {cache} }}"))
    }

    /// Its layers as files, for the command.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The configuration, or what is wrong with it.
    pub fn load(&self) -> Result<Config, Problems> {
        config::load(&self.files, &Environment::default(), &Plugins::standard())
    }

    /// The configuration.
    pub fn config(&self) -> Config {
        self.load().unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// Everything that is wrong with the configuration.
    pub fn problems(&self) -> String {
        let loaded = config::load(&self.files, &Environment::default(), &Plugins::standard());
        loaded.expect_err("the configuration must be refused").to_string()
    }

    /// Why a service over a configuration without problems does not start.
    pub async fn refused(self) -> String {
        let ready = server::prepare(self.config(), &Plugins::standard(), &|_| {}).await;
        ready.err().expect("the service must not start").to_string()
    }

    /// A running service that follows its files, and the last of them, with this text, to be edited.
    pub async fn following(mut self, toml: &str) -> (Service, PathBuf) {
        let folder = folder().join(unique("live"));
        std::fs::create_dir(&folder).expect("the temp folder can be written to");
        let file = folder.join("poolwise.toml");
        std::fs::write(&file, toml).expect("the temp folder can be written to");
        self.files.push(file.clone());
        (self.followed().await, file)
    }

    /// A running service that follows its files, as they are named here.
    pub async fn followed(self) -> Service {
        let ready = prepared(self.config()).await;
        let files = self.files.clone();
        let load = Arc::new(move || self.load());
        Service::start(ready.following(Sources { files, load, on_log: Box::new(|_| {}) })).await
    }

    /// One more layer, which stands in a file of the test's own.
    pub fn with_file(mut self, file: PathBuf) -> Self {
        self.files.push(file);
        self
    }

    /// A running service.
    pub async fn start(self) -> Service {
        Service::start(prepared(self.config()).await).await
    }
}

/// A service that does not listen yet. A short `connect_timeout` is for the test's own faults: on a
/// machine that is slow just now, the start is tried again.
async fn prepared(config: Config) -> Ready {
    const LATE: [&str; 3] = ["no connection within", "no answer within", "pool timed out"];
    let plugins = Plugins::standard();
    for attempt in 1.. {
        let error = match server::prepare(config.clone(), &plugins, &|_| {}).await {
            Ok(ready) => return ready,
            Err(error) => error.to_string(),
        };
        let is_late = LATE.iter().any(|says| error.contains(says));
        assert!(attempt < 5 && is_late, "the service does not start: {error}");
    }
    unreachable!("the last attempt returns or panics")
}

/// A running service.
pub struct Service {
    pub client: Client,
    pub state: Arc<State>,
    shutdown: Option<oneshot::Sender<()>>,
    pub serving: JoinHandle<()>,
}

impl Service {
    async fn start(ready: Ready) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let client = Client(listener.local_addr().expect("it is bound"));
        let state = ready.state().clone();
        let (shutdown, asked) = oneshot::channel();
        let serving = tokio::spawn(ready.serve(listener, async move {
            let _ = asked.await;
        }));
        Self { client, state, shutdown: Some(shutdown), serving }
    }

    /// A new user's access token.
    pub async fn sign_in(&self) -> String {
        self.client.sign_in(&unique("user"), "correct horse").await
    }

    /// Asks it to stop.
    pub fn shut_down(&mut self) {
        drop(self.shutdown.take());
    }

    /// A strategy of it.
    pub fn strategy(&self, name: &str) -> Arc<Strategy> {
        self.state.strategies.load().get(name).expect("the strategy is configured").clone()
    }

    /// Waits until the cache of the strategy under test holds so many entries: an answer is kept after its last
    /// byte has gone.
    pub async fn keeps(&self, entries: u64) {
        let subject = self.strategy("subject");
        let cache = subject.cache.as_ref().expect("it has one");
        while cache.gauges().entries != Some(entries) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Asks the strategy under test until it answers: where a test gives requests little time, a
    /// machine that is busy may need more.
    pub async fn serves_again(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let answer = self.subject("limit=1").await;
            if answer.status == 200 {
                return;
            }
            assert!(Instant::now() < deadline, "it never serves again: {answer:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The connections of the strategy under test.
    pub fn gauges(&self) -> AccessGauges {
        self.strategy("subject").access.gauges()
    }

    /// How many times the strategy under test has got itself a connection.
    pub fn leases(&self) -> u64 {
        self.strategy("subject").meter.access.wait.percentiles().count
    }

    /// A context for asking a strategy past HTTP.
    pub fn context() -> RequestContext {
        RequestContext {
            request_id: "test".into(),
            deadline: Instant::now() + Duration::from_secs(30),
            coding: None,
        }
    }

    /// GET of the strategy under test.
    pub async fn subject(&self, query: &str) -> super::Answer {
        self.client.get(&subject(query)).await
    }
}

/// A test that ends takes its runtime with it. PgBouncer 1.18 does not survive a request to cancel that is
/// given up half-way.
impl Drop for Service {
    fn drop(&mut self) {
        for _ in 0..500 {
            if poolwise::store::access::cancelling() == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The path of a list of the strategy under test.
pub fn subject(query: &str) -> String {
    format!("/strategies/subject/products?{query}")
}
