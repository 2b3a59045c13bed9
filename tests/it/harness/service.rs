//! Services inside this process, on a free port, made as the command makes them: from files.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use poolwise::config::{self, Config, Environment};
use poolwise::http::State;
use poolwise::observe::AccessGauges;
use poolwise::server::{self, Ready};
use poolwise::store::backend::Existing;
use poolwise::store::plugin::Plugins;
use poolwise::store::{Backends, RequestContext, Strategy};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

#[cfg(feature = "mysql")]
use super::MariaDb;
use super::data::SEED;
use super::postgres::blocking;
use super::{Client, FEW, MANY, Postgres, Redis, folder, unique};

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
    #[cfg(feature = "mysql")]
    MariaDb,
}

impl Backend {
    fn name(self) -> &'static str {
        match self {
            Backend::Sqlite => "sqlite",
            Backend::Postgres => "postgres",
            #[cfg(feature = "mysql")]
            Backend::MariaDb => "mysql",
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
            Backend::Postgres => Self::on(Postgres::shared(), rows).await,
            #[cfg(feature = "mysql")]
            Backend::MariaDb => Self::on_mariadb(MariaDb::shared(), rows).await,
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
        self.url.rsplit('/').next().expect("a URL has slashes")
    }
}

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
        let (backend, prefix) = (backend.name(), unique("test"));
        Self { files: Vec::new() }.with(&format!(
            r#"
            log.level = "warn"
            database = {{ backend = "{backend}", url = "{url}", pool_size = 2, reserve = 100 }}
            cache = {{ key_prefix = "{prefix}:", ttl_jitter = 0.0 }}
            seed = {{ auto = false }}
            "#
        ))
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

    /// The configuration.
    pub fn config(&self) -> Config {
        let loaded = config::load(&self.files, &Environment::default(), &Plugins::standard());
        loaded.unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// A running service.
    pub async fn start(self) -> Service {
        Service::start(prepared(self.config()).await).await
    }
}

/// A service that does not listen yet.
async fn prepared(config: Config) -> Ready {
    let ready = server::prepare(config, &Plugins::standard(), &|_| {}).await;
    ready.unwrap_or_else(|error| panic!("the service does not start: {error}"))
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

    /// Asks it to stop.
    pub fn shut_down(&mut self) {
        drop(self.shutdown.take());
    }

    /// A strategy of it.
    pub fn strategy(&self, name: &str) -> Arc<Strategy> {
        self.state.strategies.load().get(name).expect("the strategy is configured").clone()
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
            deadline: std::time::Instant::now() + std::time::Duration::from_secs(30),
            coding: None,
        }
    }

    /// GET of the strategy under test.
    pub async fn subject(&self, query: &str) -> super::Answer {
        self.client.get(&subject(query)).await
    }
}

/// The path of a list of the strategy under test.
pub fn subject(query: &str) -> String {
    format!("/strategies/subject/products?{query}")
}
