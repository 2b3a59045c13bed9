//! Builds every strategy from config, once.

use std::collections::HashMap;
use std::sync::Arc;

use super::access::{Access, AccessSetup};
use super::backend::{self, Backend};
use super::cache::{CacheSetup, CacheStore, ServerWatch, Wrapped};
use super::plugin::Plugins;
use super::{Breaker, Fetch, Source, StoreError};
use crate::config::{self, Config, DatabaseUrl};
use crate::encode::BodyLimits;
use crate::observe::StrategyMeter;

/// The backends of a configuration: one for each distinct URL.
pub struct Backends(HashMap<DatabaseUrl, Guarded>);

/// A backend and its circuit breaker.
struct Guarded {
    backend: Arc<dyn Backend>,
    breaker: Option<Arc<Breaker>>,
}

impl Backends {
    /// Makes a backend for each URL. Connects to none yet.
    ///
    /// # Errors
    /// When a URL cannot be understood.
    pub fn new(config: &Config) -> Result<Self, StoreError> {
        let mut backends = HashMap::new();
        let urls = config.strategies.iter().map(|strategy| &strategy.database_url);
        for url in urls.chain([&config.database.url]) {
            if !backends.contains_key(url) {
                let backend = backend::open(&config.database, url)?;
                let name = config.url_key(url);
                let breaker = Breaker::new(name, backend.clone(), &config.database);
                backends.insert(url.clone(), Guarded { backend, breaker });
            }
        }
        Ok(Self(backends))
    }

    /// Every backend with its URL.
    pub fn iter(&self) -> impl Iterator<Item = (&DatabaseUrl, &Arc<dyn Backend>)> {
        self.0.iter().map(|(url, guarded)| (url, &guarded.backend))
    }

    /// The circuit breaker of this URL, which must be one of the configuration; `None` where config
    /// wants none.
    pub fn breaker(&self, url: &DatabaseUrl) -> Option<&Arc<Breaker>> {
        self.0[url].breaker.as_ref()
    }

    /// The backend of this URL, which must be one of the configuration.
    pub fn get(&self, url: &DatabaseUrl) -> &Arc<dyn Backend> {
        &self.0[url].backend
    }
}

/// A strategy, ready to answer.
pub struct Strategy {
    /// Its name.
    pub name: Arc<str>,
    /// What it was made from.
    pub config: config::Strategy,
    /// What answers.
    pub source: Arc<dyn Source>,
    /// What its access method says of its connections.
    pub access: Arc<dyn Access>,
    /// The circuit breaker of its database; `None` where config wants none.
    pub breaker: Option<Arc<Breaker>>,
    /// What its cache says of its content; `None` where it has none.
    pub cache: Option<Arc<dyn CacheStore>>,
    /// Where it is counted.
    pub meter: Arc<StrategyMeter>,
}

/// Every strategy, by name; one immutable value.
pub struct Strategies {
    strategies: Vec<Arc<Strategy>>,
    /// What start-up has to say about the connections, with the arithmetic.
    pub connection_sum: Vec<ConnectionSum>,
}

impl Strategies {
    /// The strategy of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Strategy>> {
        self.strategies.iter().find(|strategy| &*strategy.name == name)
    }

    /// Every strategy, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Strategy>> {
        self.strategies.iter()
    }

    /// A way to look at the server behind the caches, where some strategy has one.
    pub fn cache_server(&self) -> Option<Box<dyn ServerWatch>> {
        self.iter().filter_map(|strategy| strategy.cache.as_ref()).find_map(|store| store.watch())
    }
}

/// How a server's connection limit is divided, in words.
pub struct ConnectionSum {
    /// The arithmetic.
    pub text: String,
    /// Whether the pools want more than there is.
    pub too_many: bool,
}

/// Opens every strategy of `config`.
///
/// # Errors
/// When a database cannot be reached, or refuses as many connections as the pools want.
pub async fn open(
    config: &Config,
    backends: &Backends,
    plugins: &Plugins,
    limits: &BodyLimits,
) -> Result<Strategies, StoreError> {
    let mut shares = HashMap::new();
    let mut connection_sum = Vec::new();
    for (url, backend) in backends.iter() {
        let share = Share::of(config, url, backend.connection_limit().await?, plugins);
        connection_sum.extend(share.sum(config, url));
        shares.insert(url, share.left);
    }
    let mut strategies = Vec::new();
    for strategy in &config.strategies {
        let opened = open_one(config, strategy, backends, plugins, limits, &shares).await;
        let during = |error: StoreError| error.during(&format!("strategy {:?}", strategy.name));
        strategies.push(Arc::new(opened.map_err(during)?));
    }
    Ok(Strategies { strategies, connection_sum })
}

async fn open_one(
    config: &Config,
    strategy: &config::Strategy,
    backends: &Backends,
    plugins: &Plugins,
    limits: &BodyLimits,
    shares: &HashMap<&DatabaseUrl, Option<usize>>,
) -> Result<Strategy, StoreError> {
    let meter = Arc::new(StrategyMeter::default());
    let name: Arc<str> = strategy.name.as_str().into();
    let Guarded { backend, breaker } = &backends.0[&strategy.database_url];
    let setup = AccessSetup {
        backend: backend.clone(),
        database: config.database.clone(),
        left: shares[&strategy.database_url],
        meter: meter.access.clone(),
    };
    let access = plugins.open_access(&strategy.access, setup).await?;
    let fetch = Arc::new(Fetch::new(access.clone(), limits.clone(), breaker.clone()));
    let setup = CacheSetup {
        strategy: name.clone(),
        cache: config.cache.clone(),
        limits: limits.clone(),
        meter: meter.cache.clone(),
    };
    let Wrapped { source, store } = plugins.wrap_cache(&strategy.cache, fetch, setup)?;
    let breaker = breaker.clone();
    Ok(Strategy { name, config: strategy.clone(), source, access, breaker, cache: store, meter })
}

/// How a server's connection limit is divided.
struct Share {
    limit: Option<usize>,
    /// Connections that the strategies with a fixed number hold.
    fixed: usize,
    /// Strategies that take what is left.
    takers: usize,
    /// What each of them may take.
    left: Option<usize>,
}

impl Share {
    /// (the limit - the reserve) / replicas - the fixed ones, divided by those who take the rest.
    fn of(config: &Config, url: &DatabaseUrl, limit: Option<usize>, plugins: &Plugins) -> Self {
        let here = config.strategies.iter().filter(|strategy| strategy.database_url == *url);
        let wanted: Vec<Option<usize>> =
            here.map(|strategy| plugins.connections(&strategy.access, &config.database)).collect();
        let fixed = wanted.iter().flatten().sum();
        let takers = wanted.iter().filter(|wanted| wanted.is_none()).count();
        let left = limit.map(|limit| {
            let ours = limit.saturating_sub(config.database.reserve as usize)
                / config.server.replicas as usize;
            (ours.saturating_sub(fixed) / takers.max(1)).max(1)
        });
        Self { limit, fixed, takers, left }
    }

    fn sum(&self, config: &Config, url: &DatabaseUrl) -> Option<ConnectionSum> {
        let (limit, left) = (self.limit?, self.left?);
        let (reserve, replicas) = (config.database.reserve, config.server.replicas);
        let (fixed, takers) = (self.fixed, self.takers);
        let ours = limit.saturating_sub(reserve as usize) / replicas as usize;
        let verdict = if fixed > ours {
            format!("too many: {fixed} in pools are above {ours}")
        } else {
            format!("{left} for each of {takers} strategies that connect for each request")
        };
        let text = format!(
            "connections to {url}: ({limit} allowed - {reserve} reserved) / {replicas} replicas = {ours}; - {fixed} in pools; {verdict}"
        );
        Some(ConnectionSum { text, too_many: fixed > ours })
    }
}
