//! `redis`: entries in Redis, shared by all replicas.

mod bumps;
mod door;
mod feed;
mod line;
mod lines;
mod tokens;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::future::try_join;
use redis::{Pipeline, RedisWrite, ToRedisArgs};
use tokio::sync::{Mutex, Semaphore};

use super::{
    CacheKey, CacheOptions, CachePlugin, CacheServerView, CacheSetup, CacheStore, Entry, FOR_EVER,
    Fault, Found, Memory, ServerWatch, Wrapped, layers,
};
use crate::config::{self, Invalidation};
use crate::encode::{Budget, Digest, Whole};
use crate::observe::BreakerView;
use crate::redis_client::{Client, Nodes};
use crate::store::{ErrorKind, Source, StoreError, Tag, Token, Version};
pub(super) use feed::Feed;
pub(crate) use lines::{Lines, Size};
use tokens::Tokens;

/// A value is the token of the version that it was made under, what is known of the body as identity,
/// then the body.
const HEAD_BYTES: usize = Token::LENGTH + Digest::LENGTH;
/// Room for a value before any was seen.
const FIRST_GUESS: usize = 1 << 20;
/// Entries on their way to Redis at a time; each is copied once into the driver's buffer.
const PUTS_AT_ONCE: usize = 4;

/// A look at Redis ends after this.
const LOOK_LIMIT: Duration = Duration::from_millis(700);

/// Keeps an entry unless there is one of a later version: of a fetch that began after a write, while
/// this one, which began before it, was under way.
const PUT: &str = "\
local held = redis.call('GETRANGE', KEYS[1], 0, 15) \
local moment = tonumber(string.sub(ARGV[1], 1, 16)) \
if (tonumber(held) or 0) > moment then return 0 end \
if ARGV[2] == '' then redis.call('SET', KEYS[1], ARGV[1]) \
else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end \
return 1";

/// Keeps entries in Redis.
pub struct Redis {
    lines: Lines,
    /// `None` where entries have no version.
    tokens: Option<Arc<Tokens>>,
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
        setup: &CacheSetup,
    ) -> Result<Arc<Self>, StoreError> {
        let stays = |former: &Arc<Self>| {
            let before = &former.settings;
            before.redis_url == settings.redis_url
                && before.redis_root_cert == settings.redis_root_cert
                && before.redis_connections == settings.redis_connections
                && before.redis_connect_timeout == settings.redis_connect_timeout
                && before.redis_timeout == settings.redis_timeout
                && before.key_prefix == settings.key_prefix
                && before.invalidation == settings.invalidation
                && before.staleness_bound == settings.staleness_bound
        };
        match former.filter(stays) {
            Some(former) => {
                if let Some(tokens) = &former.tokens {
                    tokens.outlive(settings.ttl);
                }
                Ok(former)
            }
            None => Ok(Arc::new(Self::new(settings, setup)?)),
        }
    }

    /// A cache in the Redis of `settings`; bodies that it fetches are charged to the budget of `setup`.
    /// Connects when first used, so a Redis that is down delays nothing.
    pub fn new(settings: &config::Cache, setup: &CacheSetup) -> Result<Self, StoreError> {
        let refused = |error: String| {
            let url = &settings.redis_url;
            StoreError::new(ErrorKind::NotPrepared, format_args!("cache.redis_url {url}: {error}"))
        };
        let client = Client::new(settings).map_err(refused)?;
        let by_version = settings.invalidation == Invalidation::Version;
        let tokens = by_version.then(|| Tokens::of(&setup.versions, settings, &client));
        Ok(Self {
            lines: Lines::new(settings, &client).map_err(refused)?,
            tokens: tokens.transpose().map_err(refused)?,
            client,
            prefix: settings.key_prefix.clone(),
            timeout: settings.redis_timeout,
            largest: AtomicUsize::new(FIRST_GUESS.min(settings.max_entry)),
            budget: setup.limits.budget.clone(),
            puts: Semaphore::new(PUTS_AT_ONCE),
            settings: settings.clone(),
        })
    }

    /// What this process hears of changes by others, for `memory` in front of this; `None` where entries
    /// have no version.
    pub(super) fn feed(&self, memory: &Arc<Memory>) -> Option<Arc<Feed>> {
        let feed = self.tokens.as_ref()?.feed();
        feed.empties(memory);
        Some(feed.clone())
    }

    async fn get(&self, key: &CacheKey) -> Result<Found, Fault> {
        if self.tokens.as_ref().is_some_and(|tokens| tokens.is_behind(key.tag())) {
            return Err(Fault::Behind);
        }
        // The size is not known beforehand: as much as the largest so far is reserved, and what
        // was too much is given back.
        let most = self.largest.load(Ordering::Relaxed).min(self.budget.total());
        let reserving = tokio::time::timeout(self.timeout, self.budget.reserve(most));
        let Ok(Some(charge)) = reserving.await else { return Err(Fault::NoRoom) };
        if most == 0 {
            return Err(Fault::NoRoom);
        }
        let name = self.name(key);
        let asked = Instant::now();
        let (token, value, ttl_ms) = self.ask(key.tag(), &name).await.map_err(fault)?;
        let version = Version { token, ..key.version() };
        let Some(value) = value else { return Ok(Found { entry: None, version }) };
        self.largest.fetch_max(value.len(), Ordering::Relaxed);
        let Some((head, _)) = value.split_first_chunk::<HEAD_BYTES>() else {
            return Err(Fault::Failed(format!("Redis: {name} is not an entry of ours").into()));
        };
        let (made_under, digest) = head.split_at(Token::LENGTH);
        let left = match (ttl_ms, self.settings.invalidation) {
            (-1, Invalidation::None) => FOR_EVER,
            // It was kept without an end, before an edit gave it one.
            (-1, _) => return Ok(Found { entry: None, version }),
            // Below 0: it expired between the two commands.
            (left, _) => Duration::from_millis(u64::try_from(left).unwrap_or(0)),
        };
        if self.tokens.is_some() && made_under != token.as_bytes() {
            return Ok(Found { entry: None, version });
        }
        let digest = Digest::from_bytes(digest.try_into().expect("it is as long"));
        match value.len().checked_sub(most) {
            // In memory already; whether the budget has room for the difference changes nothing.
            Some(more) => drop(charge.try_add(more)),
            None => charge.release(most - value.len()),
        }
        let body = Whole::charged(value.slice(HEAD_BYTES..), value.len(), digest, charge);
        Ok(Found { entry: Some(Entry { body, expires: asked + left, version }), version })
    }

    /// The token of `tag`, where entries have versions, the value under `name` and for how long it will be
    /// there: in one round trip, unless a token has to be made.
    async fn ask(&self, tag: &Tag, name: &str) -> Result<(Token, Option<Bytes>, i64), String> {
        let entry = |command: &mut Pipeline| {
            command.get(name).cmd("PTTL").arg(name);
        };
        let mut command = redis::pipe();
        let Some(tokens) = &self.tokens else {
            entry(&mut command);
            let (value, ttl_ms) = self.lines.ask(Size::OfAnswer, &command).await?;
            return Ok((Token::NONE, value, ttl_ms));
        };
        // Of a cluster they may be on two nodes, which are asked at the same time.
        if self.settings.redis_url.is_cluster() {
            entry(&mut command);
            let value = self.lines.ask::<(Option<Bytes>, i64)>(Size::OfAnswer, &command);
            let (token, (value, ttl_ms)) = try_join(tokens.read(&self.lines, tag), value).await?;
            return Ok((token, value, ttl_ms));
        }
        command.get(tokens.name(tag));
        entry(&mut command);
        let (token, value, ttl_ms): (Option<Bytes>, Option<Bytes>, i64) =
            self.lines.ask(Size::OfAnswer, &command).await?;
        match token {
            Some(token) => Ok((tokens.understood(tag, &token)?, value, ttl_ms)),
            // Nothing that is there was made under one that is still to be made.
            None => Ok((tokens.ensure(&self.lines, tag).await?, None, ttl_ms)),
        }
    }

    async fn put(&self, key: &CacheKey, entry: Entry) -> Result<(), Fault> {
        let _turn = self.puts.acquire().await;
        self.largest.fetch_max(entry.body.len() + HEAD_BYTES, Ordering::Relaxed);
        let left = entry.expires.saturating_duration_since(Instant::now());
        if left < Duration::from_millis(1) {
            return Ok(());
        }
        // Otherwise it has no end.
        let px = (left < FOR_EVER / 10).then_some(left.as_millis() as u64);
        let (name, value) = (self.name(key), Value(&entry));
        let mut command = redis::pipe();
        if self.tokens.is_some() {
            command.cmd("EVAL").arg(PUT).arg(1).arg(name).arg(value);
            command.arg(px.map(|px| px.to_string()).unwrap_or_default());
        } else {
            command.cmd("SET").arg(name).arg(value);
            px.map(|px| command.arg("PX").arg(px));
        }
        command.ignore();
        self.lines.ask(Size::OfQuestion, &command).await.map_err(fault)
    }

    fn name(&self, key: &CacheKey) -> String {
        format!("{}{}", self.prefix, key.as_str())
    }
}

/// An entry as one argument, written chunk by chunk.
struct Value<'a>(&'a Entry);

impl ToRedisArgs for Value<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        const INFALLIBLE: &str = "writing to memory cannot fail";
        let mut argument = out.writer_for_next_arg();
        let Entry { body, version, .. } = self.0;
        argument.write_all(version.token.as_bytes()).expect(INFALLIBLE);
        argument.write_all(&body.digest().to_bytes()).expect(INFALLIBLE);
        for chunk in body.chunks() {
            argument.write_all(chunk).expect(INFALLIBLE);
        }
    }
}

impl redis::ToSingleRedisArg for Value<'_> {}

impl CacheStore for Redis {
    fn get<'a>(&'a self, key: &'a CacheKey) -> BoxFuture<'a, Result<Found, Fault>> {
        Box::pin(self.get(key))
    }

    fn version<'a>(&'a self, tag: &'a Tag) -> Option<BoxFuture<'a, Result<Token, Fault>>> {
        let tokens = self.tokens.as_ref()?;
        Some(Box::pin(async { tokens.read(&self.lines, tag).await.map_err(fault) }))
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
        let store = Self::following(setup.former(), &settings, &setup)?;
        Ok(layers(inner, store, &settings, &setup))
    }
}
