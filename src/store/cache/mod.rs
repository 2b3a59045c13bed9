//! Places to keep answers, as layers around a source. "No cache" is a plugin like the others.
//!
//! From the outside in: [`Coded`] serves entries that are compressed already, [`Coalesced`] lets
//! simultaneous requests for one key share one fetch, [`Cached`] asks the store and fills it.
//! Requests that want a coding pass a second [`Coalesced`] before they come to [`Coded`]. What is
//! kept is encoded bytes, so a hit costs no encoding.

mod cached;
mod coalesce;
mod coded;
mod key;
mod memory;
mod redis;
mod tiered;

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use serde::Deserialize;

pub use cached::Cached;
pub use coalesce::{Coalesced, Oversize};
pub use coded::Coded;
pub use key::CacheKey;
pub use memory::Memory;
pub use redis::Redis;
pub(crate) use redis::{Lines as RedisLines, Size as RedisSize};
pub use tiered::Tiered;

use super::{Body, CacheStatus, Coding, Reply, Source, StoreError, Tag, Timing, Token};
use super::{Version, Versions};
use crate::config::{self, Invalidation};
use crate::encode::{BodyLimits, Whole};
use crate::observe::{BreakerView, CacheGauges, CacheMeter};

/// A kept answer.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its bytes, in the coding of its key; the hash is of the body as identity.
    pub body: Whole,
    /// Until when it may be served.
    pub expires: Instant,
    /// Under which version it was made: it is served only while that is in force.
    pub version: Version,
}

/// What a store has for a key.
#[derive(Debug, Clone)]
pub struct Found {
    /// The entry, if there is one that may be served.
    pub entry: Option<Entry>,
    /// The version in force when it was looked for: that of what is fetched from now on.
    pub version: Version,
}

impl Found {
    /// What a store in this process has: it holds entries as they are, and nobody else changes them.
    pub fn here(key: &CacheKey, entry: Option<Entry>) -> Self {
        Self { entry: entry.filter(|entry| key.admits(entry)), version: key.version() }
    }
}

/// Why a store could not be asked.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It failed; the text is for the log.
    Failed(Arc<str>),
    /// The memory budget has no room for what it holds.
    NoRoom,
    /// What it holds may be old: it could not be told of a write of this process yet.
    Behind,
}

/// A place for entries.
pub trait CacheStore: Any + Send + Sync {
    /// The entry, where it is at hand without waiting. Whoever asks looks at its version.
    fn peek(&self, _key: &CacheKey) -> Option<Entry> {
        None
    }

    /// The entry, if there is one that has not expired and is of the version in force.
    fn get<'a>(&'a self, key: &'a CacheKey) -> BoxFuture<'a, Result<Found, Fault>>;

    /// Which version of `tag` is in force on all replicas, where it takes a question to know; `None` where
    /// this process hears of every change by itself.
    fn version<'a>(&'a self, _tag: &'a Tag) -> Option<BoxFuture<'a, Result<Token, Fault>>> {
        None
    }

    /// Keeps an entry until it expires. One of a later version stays.
    fn put<'a>(&'a self, key: &'a CacheKey, entry: Entry) -> BoxFuture<'a, Result<(), Fault>>;

    /// Its content as it is now.
    fn gauges(&self) -> CacheGauges {
        CacheGauges::default()
    }

    /// The circuit breaker around the server behind it, where there is one.
    fn breaker(&self) -> Option<BreakerView> {
        None
    }

    /// A way to look at the server behind it, where there is one.
    fn watch(&self) -> Option<Box<dyn ServerWatch>> {
        None
    }
}

/// The cache server's own view of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheServerView {
    /// Memory in use.
    pub used_memory_bytes: u64,
    /// The most that it was.
    pub used_memory_peak_bytes: u64,
    /// Clients connected.
    pub connected_clients: u64,
}

/// Looks at a cache server once in a while, on a connection of its own.
pub trait ServerWatch: Send + Sync {
    /// The server as it is now.
    fn look(&self) -> BoxFuture<'_, Result<CacheServerView, Fault>>;

    /// Asks for a sign of life, for at most `limit`.
    fn ping(&self, limit: Duration) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            match tokio::time::timeout(limit, self.look()).await {
                Ok(seen) => seen.map(drop),
                Err(_) => Err(Fault::Failed("it does not answer".into())),
            }
        })
    }
}

/// A plugin's constructor: a cache that config can name.
pub trait CachePlugin: Send + Sync + 'static {
    /// The `store` in config.
    const NAME: &'static str;
    /// The options that stand beside `store`; unknown ones are refused.
    type Options: serde::de::DeserializeOwned + Send;

    /// What is wrong with options that could be read, one sentence each.
    fn problems(_options: &Self::Options) -> Vec<String> {
        Vec::new()
    }

    /// What is wrong with options that are right by themselves together with `[cache]` and so many
    /// replicas of this process, one sentence each.
    fn conflicts(_options: Self::Options, _cache: &config::Cache, _replicas: u32) -> Vec<String> {
        Vec::new()
    }

    /// Puts the cache around `inner`. A cache that cannot be reached is no reason to fail: its
    /// strategy then answers from the database.
    fn wrap(
        options: Self::Options,
        inner: Arc<dyn Source>,
        setup: CacheSetup,
    ) -> Result<Wrapped, StoreError>;
}

/// What a cache plugin is made from.
pub struct CacheSetup {
    /// The strategy's name, a part of its keys.
    pub strategy: Arc<str>,
    /// The defaults of every option.
    pub cache: config::Cache,
    /// How much memory bodies may take.
    pub limits: BodyLimits,
    /// Where to count.
    pub meter: Arc<CacheMeter>,
    /// Which answers of before a write are old.
    pub versions: Arc<Versions>,
    /// The store until now, when the configuration changed while the strategy serves. A plugin that
    /// takes no notice begins with an empty one.
    pub predecessor: Option<Arc<dyn CacheStore>>,
}

impl CacheSetup {
    /// The store until now, where it is of this kind.
    pub fn former<S: CacheStore>(&self) -> Option<Arc<S>> {
        let store: Arc<dyn Any + Send + Sync> = self.predecessor.clone()?;
        store.downcast().ok()
    }
}

/// A source with its cache around it, and the store to ask for its content.
pub struct Wrapped {
    /// What answers.
    pub source: Arc<dyn Source>,
    /// What keeps; `None` where nothing does.
    pub store: Option<Arc<dyn CacheStore>>,
}

/// `cache = "none"`
pub struct NoCache;

/// The option of `none`.
#[derive(Debug, Deserialize)]
pub struct NoCacheOptions {
    /// Whether requests for the same that come while it is being fetched share one fetch.
    #[serde(default)]
    coalesce: bool,
}

impl CachePlugin for NoCache {
    const NAME: &'static str = "none";
    type Options = NoCacheOptions;

    fn wrap(
        options: NoCacheOptions,
        inner: Arc<dyn Source>,
        setup: CacheSetup,
    ) -> Result<Wrapped, StoreError> {
        if !options.coalesce {
            return Ok(Wrapped { source: inner, store: None });
        }
        let oversize = Oversize::new(setup.cache.ttl, setup.versions.clone());
        let store: Arc<dyn CacheStore> = Arc::new(Nothing);
        let source = Arc::new(Coalesced::new(inner, store.clone(), oversize));
        Ok(Wrapped { source, store: Some(store) })
    }
}

/// A store that keeps nothing: what is shared is counted as for a cache.
struct Nothing;

impl CacheStore for Nothing {
    fn get<'a>(&'a self, key: &'a CacheKey) -> BoxFuture<'a, Result<Found, Fault>> {
        Box::pin(std::future::ready(Ok(Found::here(key, None))))
    }

    fn put<'a>(&'a self, _: &'a CacheKey, _: Entry) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// The options of every cache; what is absent is as in `[cache]`.
#[derive(Debug, Default, Deserialize)]
pub struct CacheOptions {
    invalidation: Option<Invalidation>,
    #[serde(default, with = "humantime_serde")]
    ttl: Option<Duration>,
    ttl_jitter: Option<f64>,
    max_entry: Option<bytesize::ByteSize>,
    memory_size: Option<bytesize::ByteSize>,
    coalesce: Option<bool>,
    compress: Option<bool>,
}

impl CacheOptions {
    /// What is wrong with them, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.ttl.is_some_and(|ttl| ttl.is_zero()) {
            found.push("`ttl` must be longer than 0".into());
        }
        if let Some(jitter) = self.ttl_jitter
            && !(0.0..=1.0).contains(&jitter)
        {
            found.push(format!("`ttl_jitter`: {jitter} is not between 0 and 1"));
        }
        found
    }

    /// The defaults with these options on top.
    pub fn over(self, mut cache: config::Cache) -> config::Cache {
        let bytes = |size: bytesize::ByteSize| size.as_u64() as usize;
        cache.invalidation = self.invalidation.unwrap_or(cache.invalidation);
        cache.ttl = self.ttl.unwrap_or(cache.ttl);
        cache.ttl_jitter = self.ttl_jitter.unwrap_or(cache.ttl_jitter);
        cache.max_entry = self.max_entry.map_or(cache.max_entry, bytes);
        cache.memory_size = self.memory_size.map_or(cache.memory_size, bytes);
        cache.coalesce = self.coalesce.unwrap_or(cache.coalesce);
        cache.compress = self.compress.unwrap_or(cache.compress);
        cache
    }
}

/// Puts the layers around `inner`: the same for every store, also for one of a plugin's own.
pub fn layers(
    inner: Arc<dyn Source>,
    store: Arc<dyn CacheStore>,
    settings: &config::Cache,
    setup: &CacheSetup,
) -> Wrapped {
    let oversize = Oversize::new(settings.ttl, setup.versions.clone());
    let mut source: Arc<dyn Source> =
        Arc::new(Cached::new(inner, store.clone(), settings, setup, oversize.clone()));
    if settings.coalesce {
        source = Arc::new(Coalesced::new(source, store.clone(), oversize.clone()));
    }
    if settings.compress {
        source = Arc::new(Coded::new(source, store.clone(), settings, setup, oversize.clone()));
        if settings.coalesce {
            source = Arc::new(Coalesced::new(source, store.clone(), oversize).of_codings());
        }
    }
    Wrapped { source, store: Some(store) }
}

/// The reply that an entry is, for a request that began to ask at `asked`.
fn hit(entry: Entry, coding: Option<Coding>, asked: Instant) -> Reply {
    let timing = Timing { cache: Some(asked.elapsed()), ..Timing::default() };
    let mut reply = Reply::fresh(Body::Whole(entry.body), timing);
    reply.coding = coding;
    reply.cache = Some(CacheStatus::Hit);
    reply.expires = Some(entry.expires);
    reply.version = entry.version;
    reply
}

/// What is kept until there is no room for it expires after this.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How long an answer is kept at the most.
fn lifetime(settings: &config::Cache) -> Duration {
    match settings.invalidation {
        Invalidation::None => FOR_EVER,
        Invalidation::Ttl | Invalidation::Version => settings.ttl,
    }
}

/// `ttl`, shortened at random by up to `jitter` of it.
fn jittered(ttl: Duration, jitter: f64) -> Duration {
    ttl.mul_f64(1.0 - jitter * rand::random::<f64>())
}
