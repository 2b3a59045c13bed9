//! Builds every strategy from config: at start-up, and again when config changes while they serve.

use std::collections::HashMap;
use std::sync::Arc;

use super::access::{Access, AccessSetup, Predecessor};
use super::backend::{self, Backend};
use super::cache::{CacheSetup, CacheStore, ServerWatch, Wrapped};
use super::plugin::Plugins;
use super::{Breaker, Fetch, Source, StoreError, Versions};
use crate::config::{self, Config, DatabaseUrl};
use crate::encode::BodyLimits;
use crate::observe::StrategyMeter;

/// The backends of a configuration: one for each distinct URL.
pub struct Backends(HashMap<DatabaseUrl, Guarded>);

/// A backend and its circuit breaker.
#[derive(Clone)]
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
        Self::beside(config, None)
    }

    /// The same, keeping those that are used already with the same settings.
    ///
    /// # Errors
    /// When a URL cannot be understood.
    pub fn beside(config: &Config, running: Option<(&Config, &Self)>) -> Result<Self, StoreError> {
        let kept = |url| match running {
            Some((before, backends)) if of_backends(&before.database, &config.database) => {
                backends.0.get(url).cloned()
            }
            _ => None,
        };
        let mut backends = HashMap::new();
        let urls = config.strategies.iter().map(|strategy| &strategy.database_url);
        for url in urls.chain([&config.database.url]) {
            if !backends.contains_key(url) {
                let guarded = match kept(url) {
                    Some(kept) => kept,
                    None => Guarded::new(config, url)?,
                };
                backends.insert(url.clone(), guarded);
            }
        }
        Ok(Self(backends))
    }

    /// Every backend with its URL.
    pub fn iter(&self) -> impl Iterator<Item = (&DatabaseUrl, &Arc<dyn Backend>)> {
        self.0.iter().map(|(url, guarded)| (url, &guarded.backend))
    }

    /// Whether these are the same ones as `other`, under the same URLs.
    pub fn is_same(&self, other: &Self) -> bool {
        let same = |(url, backend): (&DatabaseUrl, _)| {
            other.0.get(url).is_some_and(|other| Arc::ptr_eq(&other.backend, backend))
        };
        self.0.len() == other.0.len() && self.iter().all(same)
    }

    /// The backend of this URL, which must be one of the configuration.
    pub fn get(&self, url: &DatabaseUrl) -> &Arc<dyn Backend> {
        &self.0[url].backend
    }

    /// The circuit breaker of this URL, which must be one of the configuration; `None` where config
    /// wants none.
    pub fn breaker(&self, url: &DatabaseUrl) -> Option<&Arc<Breaker>> {
        self.0[url].breaker.as_ref()
    }
}

impl Guarded {
    fn new(config: &Config, url: &DatabaseUrl) -> Result<Self, StoreError> {
        let backend = backend::open(&config.database, url)?;
        let breaker = Breaker::new(config.url_key(url), backend.clone(), &config.database);
        Ok(Self { backend, breaker })
    }
}

/// Whether what a backend is made from is the same.
fn of_backends(before: &config::Database, now: &config::Database) -> bool {
    before.backend == now.backend
        && before.connect_timeout == now.connect_timeout
        && before.statement_timeout == now.statement_timeout
        && before.prepared_statements == now.prepared_statements
        && before.tcp_keepalive == now.tcp_keepalive
        && before.tcp_user_timeout == now.tcp_user_timeout
        && before.breaker_interval == now.breaker_interval
}

/// A strategy, ready to answer.
pub struct Strategy {
    /// Its name.
    pub name: Arc<str>,
    /// What it was made from.
    pub config: config::Strategy,
    /// What answers.
    pub source: Arc<dyn Source>,
    /// What asks the database, behind all caches.
    pub fetch: Arc<Fetch>,
    /// What its access method says of its connections.
    pub access: Arc<dyn Access>,
    /// The circuit breaker of its database; `None` where config wants none.
    pub breaker: Option<Arc<Breaker>>,
    /// What its cache says of its content; `None` where it has none.
    pub cache: Option<Arc<dyn CacheStore>>,
    /// Where it is counted.
    pub meter: Arc<StrategyMeter>,
    made_from: Settings,
}

/// What a strategy is made from, besides what its configuration names.
struct Settings {
    backend: Arc<dyn Backend>,
    breaker: Option<Arc<Breaker>>,
    database: config::Database,
    /// Connections that are left, which concerns those that hold no fixed number.
    left: Option<usize>,
    fixed: bool,
    cache: config::Cache,
    body_buffer: usize,
    versions: Arc<Versions>,
}

impl Settings {
    fn same_access(&self, other: &Self) -> bool {
        let options = |database: &config::Database| {
            let (url, url_key) = (DatabaseUrl::new(""), "");
            config::Database { url, url_key, reserve: 0, ..database.clone() }
        };
        Arc::ptr_eq(&self.backend, &other.backend)
            && (self.left == other.left || (self.fixed && other.fixed))
            && options(&self.database) == options(&other.database)
    }

    fn same_cache(&self, other: &Self) -> bool {
        self.cache == other.cache && self.body_buffer == other.body_buffer
    }
}

/// Every strategy, by name; one immutable value.
pub struct Strategies {
    strategies: Vec<Arc<Strategy>>,
    /// The name of the one that writes.
    writer: String,
    /// What start-up has to say about the connections, with the arithmetic.
    pub connection_sum: Vec<ConnectionSum>,
    /// How many connections each server allows.
    allowed: HashMap<DatabaseUrl, Option<usize>>,
    /// Of every name that there ever was, so that counters never go back.
    meters: HashMap<String, Arc<StrategyMeter>>,
    /// What has taken the place of another.
    successors: Vec<Arc<dyn Access>>,
}

impl Strategies {
    /// From now on requests come to these and no longer to those that they were opened beside.
    pub fn take_over(&self) {
        self.successors.iter().for_each(|access| access.take_over());
    }

    /// The strategy of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Strategy>> {
        self.strategies.iter().find(|strategy| &*strategy.name == name)
    }

    /// The strategy whose connections write.
    pub fn writer(&self) -> &Arc<Strategy> {
        self.get(&self.writer).expect("config checks that it is there")
    }

    /// A way to look at the server behind the caches, where some strategy has one.
    pub fn cache_server(&self) -> Option<Box<dyn ServerWatch>> {
        self.iter().filter_map(|strategy| strategy.cache.as_ref()).find_map(|store| store.watch())
    }

    /// Every strategy, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Strategy>> {
        self.strategies.iter()
    }
}

/// How a server's connection limit is divided, in words.
pub struct ConnectionSum {
    /// The arithmetic.
    pub text: String,
    /// Whether the pools want more than there is.
    pub too_many: bool,
}

/// What serves while another configuration is opened.
#[derive(Clone, Copy)]
pub struct Running<'a> {
    /// Its configuration.
    pub config: &'a Config,
    /// Its strategies.
    pub strategies: &'a Strategies,
}

/// Opens every strategy of `config`. What is the same in `running` is kept: access methods with their
/// connections, caches with their content, counters. Nothing changes there before
/// [`Strategies::take_over`].
///
/// # Errors
/// When a database cannot be reached, or refuses as many connections as the pools want.
pub async fn open(
    config: &Config,
    backends: &Backends,
    plugins: &Plugins,
    limits: &BodyLimits,
    versions: &Arc<Versions>,
    running: Option<Running<'_>>,
) -> Result<Strategies, StoreError> {
    let allowed = allowed(config, backends, running).await?;
    let mut shares = HashMap::new();
    let mut connection_sum = Vec::new();
    for (url, limit) in &allowed {
        let share = Share::of(config, url, *limit, plugins);
        connection_sum.extend(share.sum(config, url));
        shares.insert(url, share.left);
    }
    let before = running.map(|running| running.strategies);
    let mut opening = Strategies {
        strategies: Vec::new(),
        writer: config.writes.strategy.clone(),
        connection_sum,
        meters: before.map(|before| before.meters.clone()).unwrap_or_default(),
        successors: Vec::new(),
        allowed: HashMap::new(),
    };
    for strategy in &config.strategies {
        let fixed = plugins.connections(&strategy.access, &config.database).is_some();
        let settings = Settings {
            backend: backends.get(&strategy.database_url).clone(),
            breaker: backends.breaker(&strategy.database_url).cloned(),
            database: config.database.clone(),
            left: shares[&strategy.database_url],
            fixed,
            cache: config.cache.clone(),
            body_buffer: limits.buffer,
            versions: versions.clone(),
        };
        let before = before.and_then(|before| before.get(&strategy.name));
        let opened = open_one(strategy, settings, plugins, limits, before, &mut opening).await;
        let during = |error: StoreError| error.during(&format!("strategy {:?}", strategy.name));
        opening.strategies.push(opened.map_err(during)?);
    }
    opening.allowed = allowed;
    Ok(opening)
}

/// How many connections each server allows. Asked only where it matters: an edit of something else
/// must not depend on the database.
async fn allowed(
    config: &Config,
    backends: &Backends,
    running: Option<Running<'_>>,
) -> Result<HashMap<DatabaseUrl, Option<usize>>, StoreError> {
    let ways = |config: &Config| -> Vec<_> {
        let ways = config.strategies.iter();
        ways.map(|way| (way.name.clone(), way.access.clone(), way.database_url.clone())).collect()
    };
    let same = running.is_some_and(|running| {
        running.config.database == config.database
            && running.config.server.replicas == config.server.replicas
            && ways(running.config) == ways(config)
    });
    let mut allowed = HashMap::new();
    for (url, backend) in backends.iter() {
        let known = running.and_then(|running| running.strategies.allowed.get(url)).copied();
        let limit = match known {
            Some(known) if same => known,
            _ => match (backend.connection_limit().await, known) {
                (Ok(limit), _) => limit,
                (Err(_), Some(known)) => known,
                (Err(error), None) => return Err(error),
            },
        };
        allowed.insert(url.clone(), limit);
    }
    Ok(allowed)
}

async fn open_one(
    strategy: &config::Strategy,
    settings: Settings,
    plugins: &Plugins,
    limits: &BodyLimits,
    before: Option<&Arc<Strategy>>,
    opening: &mut Strategies,
) -> Result<Arc<Strategy>, StoreError> {
    let kept = before.filter(|before| {
        before.config.access == strategy.access && before.made_from.same_access(&settings)
    });
    if let Some(kept) = kept
        && kept.config == *strategy
        && kept.made_from.same_cache(&settings)
    {
        return Ok(kept.clone());
    }
    let meter = opening.meters.entry(strategy.name.clone()).or_default().clone();
    let name: Arc<str> = strategy.name.as_str().into();
    // The password is not shown, so a new one is not another server.
    let same_server = before.is_some_and(|before| {
        before.config.database_url.to_string() == strategy.database_url.to_string()
    });
    let access = match kept {
        Some(kept) => kept.access.clone(),
        None => {
            let predecessor =
                before.map(|before| Predecessor { access: before.access.clone(), same_server });
            let succeeds = predecessor.is_some();
            let setup = AccessSetup {
                backend: settings.backend.clone(),
                database: settings.database.clone(),
                left: settings.left,
                meter: meter.access.clone(),
                predecessor,
            };
            let access = plugins.open_access(&strategy.access, setup).await?;
            opening.successors.extend(succeeds.then(|| access.clone()));
            access
        }
    };
    let fetch = Arc::new(Fetch::new(access.clone(), limits.clone(), settings.breaker.clone()));
    let setup = CacheSetup {
        strategy: name.clone(),
        cache: settings.cache.clone(),
        limits: limits.clone(),
        meter: meter.cache.clone(),
        versions: settings.versions.clone(),
        // Answers of another database are others.
        predecessor: before.filter(|_| same_server).and_then(|before| before.cache.clone()),
    };
    let Wrapped { source, store } = plugins.wrap_cache(&strategy.cache, fetch.clone(), setup)?;
    let (config, breaker) = (strategy.clone(), settings.breaker.clone());
    let cache = store;
    let made_from = settings;
    Ok(Arc::new(Strategy { name, config, source, fetch, access, breaker, cache, meter, made_from }))
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
