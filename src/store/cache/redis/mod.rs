//! `redis`: entries in Redis, shared by all replicas.

mod door;
mod line;
mod lines;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use redis::{RedisWrite, ToRedisArgs};
use tokio::sync::{Mutex, Semaphore};

use super::{
    CacheKey, CacheOptions, CachePlugin, CacheServerView, CacheSetup, CacheStore, Entry, Fault,
    ServerWatch, Wrapped, layers,
};
use crate::config;
use crate::encode::{Budget, Fingerprint, Whole};
use crate::observe::BreakerView;
use crate::redis_client::{Client, Nodes};
use crate::store::{ErrorKind, Source, StoreError};
pub(crate) use lines::{Lines, Size};

/// A value is the 128-bit hash of the body as identity, then the body.
const HASH_BYTES: usize = 16;
/// Room for a value before any was seen.
const FIRST_GUESS: usize = 1 << 20;
/// Entries on their way to Redis at a time; each is copied once into the driver's buffer.
const PUTS_AT_ONCE: usize = 4;

/// A look at Redis ends after this.
const LOOK_LIMIT: Duration = Duration::from_millis(700);

/// Keeps entries in Redis.
pub struct Redis {
    lines: Lines,
    client: Client,
    prefix: String,
    timeout: Duration,
    /// The largest value seen so far; before the first, a guess.
    largest: AtomicUsize,
    budget: Budget,
    puts: Semaphore,
    settings: config::Cache,
}

impl Redis {
    /// The former one if it is the same Redis, asked in the same way, or a new one.
    pub fn following(
        former: Option<Arc<Self>>,
        settings: &config::Cache,
        budget: Budget,
    ) -> Result<Arc<Self>, StoreError> {
        let stays = |former: &Arc<Self>| {
            let before = &former.settings;
            before.redis_url == settings.redis_url
                && before.redis_root_cert == settings.redis_root_cert
                && before.redis_connections == settings.redis_connections
                && before.redis_connect_timeout == settings.redis_connect_timeout
                && before.redis_timeout == settings.redis_timeout
                && before.key_prefix == settings.key_prefix
        };
        match former.filter(stays) {
            Some(former) => Ok(former),
            None => Ok(Arc::new(Self::new(settings, budget)?)),
        }
    }

    /// A cache in the Redis of `settings`; bodies that it fetches are charged to `budget`.
    /// Connects when first used, so a Redis that is down delays nothing.
    pub fn new(settings: &config::Cache, budget: Budget) -> Result<Self, StoreError> {
        let refused = |error: String| {
            let url = &settings.redis_url;
            StoreError::new(ErrorKind::NotPrepared, format_args!("cache.redis_url {url}: {error}"))
        };
        let client = Client::new(settings).map_err(refused)?;
        Ok(Self {
            lines: Lines::new(settings, &client).map_err(refused)?,
            client,
            prefix: settings.key_prefix.clone(),
            timeout: settings.redis_timeout,
            largest: AtomicUsize::new(FIRST_GUESS.min(settings.max_entry)),
            budget,
            puts: Semaphore::new(PUTS_AT_ONCE),
            settings: settings.clone(),
        })
    }

    async fn get(&self, key: &CacheKey) -> Result<Option<Entry>, Fault> {
        // The size is not known beforehand: as much as the largest so far is reserved, and what
        // was too much is given back.
        let most = self.largest.load(Ordering::Relaxed).min(self.budget.total());
        let reserving = tokio::time::timeout(self.timeout, self.budget.reserve(most));
        let Ok(Some(charge)) = reserving.await else { return Err(Fault::NoRoom) };
        if most == 0 {
            return Err(Fault::NoRoom);
        }
        let name = format!("{}{}", self.prefix, key.as_str());
        let mut command = redis::pipe();
        command.get(&name).cmd("PTTL").arg(&name);
        let asked = Instant::now();
        let (value, ttl_ms): (Option<Bytes>, i64) =
            self.lines.ask(Size::OfAnswer, &command).await.map_err(fault)?;
        let Some(value) = value else { return Ok(None) };
        self.largest.fetch_max(value.len(), Ordering::Relaxed);
        let Some((hash, _)) = value.split_first_chunk::<HASH_BYTES>() else {
            return Err(Fault::Failed(format!("Redis: {name} is not an entry of ours").into()));
        };
        let hash = Fingerprint(u128::from_be_bytes(*hash));
        match value.len().checked_sub(most) {
            // In memory already; whether the budget has room for the difference changes nothing.
            Some(more) => drop(charge.try_add(more)),
            None => charge.release(most - value.len()),
        }
        let body = Whole::charged(value.slice(HASH_BYTES..), value.len(), hash, charge);
        // Below 0: it expired between the two commands.
        let left = Duration::from_millis(u64::try_from(ttl_ms).unwrap_or(0));
        Ok(Some(Entry { body, expires: asked + left }))
    }

    async fn put(&self, key: &CacheKey, entry: Entry) -> Result<(), Fault> {
        let _turn = self.puts.acquire().await;
        self.largest.fetch_max(entry.body.len() + HASH_BYTES, Ordering::Relaxed);
        let left = entry.expires.saturating_duration_since(Instant::now());
        if left < Duration::from_millis(1) {
            return Ok(());
        }
        let mut command = redis::pipe();
        command
            .cmd("SET")
            .arg(format!("{}{}", self.prefix, key.as_str()))
            .arg(Value(&entry.body))
            .arg("PX")
            .arg(left.as_millis() as u64)
            .ignore();
        self.lines.ask(Size::OfQuestion, &command).await.map_err(fault)
    }
}

/// An entry as one argument, written chunk by chunk.
struct Value<'a>(&'a Whole);

impl ToRedisArgs for Value<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        const INFALLIBLE: &str = "writing to memory cannot fail";
        let mut argument = out.writer_for_next_arg();
        argument.write_all(&self.0.hash().0.to_be_bytes()).expect(INFALLIBLE);
        for chunk in self.0.chunks() {
            argument.write_all(chunk).expect(INFALLIBLE);
        }
    }
}

impl redis::ToSingleRedisArg for Value<'_> {}

impl CacheStore for Redis {
    fn get<'a>(&'a self, key: &'a CacheKey) -> BoxFuture<'a, Result<Option<Entry>, Fault>> {
        Box::pin(self.get(key))
    }

    fn put<'a>(&'a self, key: &'a CacheKey, entry: Entry) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(self.put(key, entry))
    }

    fn breaker(&self) -> Option<BreakerView> {
        Some(self.lines.breaker())
    }

    fn watch(&self) -> Option<Box<dyn ServerWatch>> {
        Some(Box::new(RedisWatch(Mutex::new(Nodes::new(self.client.clone())))))
    }
}

/// Looks on connections of its own, so that a look never waits behind a large reply.
struct RedisWatch(Mutex<Nodes>);

impl ServerWatch for RedisWatch {
    /// Of a cluster the sum over the primaries that answer.
    fn look(&self) -> BoxFuture<'_, Result<CacheServerView, Fault>> {
        Box::pin(async {
            let seen = self.0.lock().await.info(LOOK_LIMIT).await.map_err(fault)?;
            let mut sum = None;
            let mut failed = "it has no node that holds entries".to_owned();
            for node in seen.into_iter().filter(|node| node.primary) {
                match node.said {
                    Ok(info) => add(sum.get_or_insert_default(), &redis::InfoDict::new(&info)),
                    Err(why) => failed = format!("{}: {why}", node.name),
                }
            }
            sum.ok_or_else(|| fault(failed))
        })
    }

    /// Of a cluster every primary must answer: the keys of the others are lost for now.
    fn ping(&self, limit: Duration) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let mut seen = self.0.lock().await.ping(limit).await.map_err(fault)?;
            seen.retain(|node| node.primary);
            if seen.is_empty() {
                return Err(fault("it has no node that holds entries"));
            }
            seen.into_iter().try_for_each(|node| match node.said {
                Ok(_) => Ok(()),
                Err(why) => Err(fault(format_args!("{}: {why}", node.name))),
            })
        })
    }
}

fn add(sum: &mut CacheServerView, info: &redis::InfoDict) {
    let number = |key| info.get::<u64>(key).unwrap_or_default();
    sum.used_memory_bytes += number("used_memory");
    sum.used_memory_peak_bytes += number("used_memory_peak");
    sum.connected_clients += number("connected_clients");
}

fn fault(why: impl std::fmt::Display) -> Fault {
    Fault::Failed(format!("Redis: {why}").into())
}

impl CachePlugin for Redis {
    const NAME: &'static str = "redis";
    type Options = CacheOptions;

    fn problems(options: &CacheOptions) -> Vec<String> {
        let mut found = options.problems();
        if options.memory_size.is_some() {
            found.push("`memory_size` means nothing to redis; its own maxmemory bounds it".into());
        }
        found
    }

    fn wrap(
        options: CacheOptions,
        inner: Arc<dyn Source>,
        setup: CacheSetup,
    ) -> Result<Wrapped, StoreError> {
        let settings = options.over(setup.cache.clone());
        let store = Self::following(setup.former(), &settings, setup.limits.budget.clone())?;
        Ok(layers(inner, store, &settings, &setup))
    }
}
