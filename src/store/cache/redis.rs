//! `redis`: entries in Redis, shared by all replicas.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{IntoConnectionInfo, RedisResult, RedisWrite, ToRedisArgs};
use tokio::sync::Semaphore;

use super::{
    CacheKey, CacheOptions, CachePlugin, CacheServerView, CacheSetup, CacheStore, Entry, Fault,
    ServerWatch, Wrapped, layers,
};
use crate::config;
use crate::encode::{Budget, Fingerprint, Whole};
use crate::store::{ErrorKind, Source, StoreError};

/// A value is the 128-bit hash of the body as identity, then the body.
const HASH_BYTES: usize = 16;
/// Room for a value before any was seen.
const FIRST_GUESS: usize = 1 << 20;
/// Entries on their way to Redis at a time; each is copied once into the driver's buffer.
const PUTS_AT_ONCE: usize = 4;

/// Keeps entries in Redis.
pub struct Redis {
    connections: Vec<ConnectionManager>,
    /// Apart from the others, so that a look never waits behind a large reply.
    own: ConnectionManager,
    next: AtomicUsize,
    prefix: String,
    timeout: Duration,
    /// The largest value seen so far; before the first, a guess.
    largest: AtomicUsize,
    budget: Budget,
    puts: Semaphore,
}

impl Redis {
    /// A cache in the Redis of `settings`; bodies that it fetches are charged to `budget`.
    /// Connects when first used, so a Redis that is down delays nothing.
    pub fn new(settings: &config::Cache, budget: Budget) -> Result<Self, StoreError> {
        let connect = || -> RedisResult<ConnectionManager> {
            let client = client(&settings.redis_url)?;
            let manager = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(settings.redis_timeout))
                .set_response_timeout(Some(settings.redis_timeout))
                .set_number_of_retries(1);
            ConnectionManager::new_lazy_with_config(client, manager)
        };
        let refused = |error: redis::RedisError| {
            let url = &settings.redis_url;
            StoreError::new(ErrorKind::NotPrepared, format_args!("cache.redis_url {url}: {error}"))
        };
        let connections: RedisResult<Vec<_>> =
            (0..settings.redis_connections).map(|_| connect()).collect();
        Ok(Self {
            connections: connections.map_err(refused)?,
            own: connect().map_err(refused)?,
            next: AtomicUsize::new(0),
            prefix: settings.key_prefix.clone(),
            timeout: settings.redis_timeout,
            largest: AtomicUsize::new(FIRST_GUESS.min(settings.max_entry)),
            budget,
            puts: Semaphore::new(PUTS_AT_ONCE),
        })
    }

    /// The connections take turns: one large reply holds up only those behind it on its own.
    fn connection(&self) -> ConnectionManager {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.connections[turn % self.connections.len()].clone()
    }

    async fn within<T>(&self, command: impl Future<Output = RedisResult<T>>) -> Result<T, Fault> {
        match tokio::time::timeout(self.timeout, command).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(fault(error)),
            Err(_) => {
                let waited = humantime::format_duration(self.timeout);
                Err(Fault::Failed(format!("Redis: no answer within {waited}").into()))
            }
        }
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
        let mut connection = self.connection();
        let (value, ttl_ms): (Option<Bytes>, i64) =
            self.within(command.query_async(&mut connection)).await?;
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
        let mut command = redis::cmd("SET");
        command
            .arg(format!("{}{}", self.prefix, key.as_str()))
            .arg(Value(&entry.body))
            .arg("PX")
            .arg(left.as_millis() as u64);
        let mut connection = self.connection();
        self.within(command.query_async(&mut connection)).await
    }
}

/// A client that sends small commands at once.
pub(crate) fn client(url: &config::RedisUrl) -> RedisResult<redis::Client> {
    let info = url.expose().into_connection_info()?;
    redis::Client::open(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
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

    fn watch(&self) -> Option<Box<dyn ServerWatch>> {
        Some(Box::new(RedisWatch(self.own.clone())))
    }
}

struct RedisWatch(ConnectionManager);

impl ServerWatch for RedisWatch {
    fn look(&self) -> BoxFuture<'_, Result<CacheServerView, Fault>> {
        Box::pin(async {
            let mut connection = self.0.clone();
            let info: redis::InfoDict =
                redis::cmd("INFO").query_async(&mut connection).await.map_err(fault)?;
            let number = |key| info.get(key).unwrap_or_default();
            Ok(CacheServerView {
                used_memory_bytes: number("used_memory"),
                used_memory_peak_bytes: number("used_memory_peak"),
                connected_clients: number("connected_clients"),
            })
        })
    }
}

fn fault(error: redis::RedisError) -> Fault {
    Fault::Failed(format!("Redis: {error}").into())
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
        let store = Arc::new(Self::new(&settings, setup.limits.budget.clone())?);
        Ok(layers(inner, store, &settings, &setup))
    }
}
