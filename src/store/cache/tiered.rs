//! `tiered`: memory over Redis.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::redis::Feed;
use super::{
    CacheKey, CacheOptions, CachePlugin, CacheSetup, CacheStore, Entry, Fault, Found, Memory,
    Redis, ServerWatch, Wrapped, layers,
};
use crate::observe::{BreakerView, CacheGauges};
use crate::store::{Source, StoreError, Tag, Token};

/// Keeps entries in memory and in Redis. An entry in memory never outlives the one in Redis: it
/// takes over its remaining time, and without one in Redis there is none in memory.
///
/// Where entries have versions, what is in memory is served only while the feed says that this
/// process hears of what others change; otherwise Redis is asked.
pub struct Tiered {
    memory: Arc<Memory>,
    redis: Arc<Redis>,
    feed: Option<Arc<Feed>>,
}

impl Tiered {
    /// Whether nothing can be in memory that others have changed longer ago than the bound.
    fn hears(&self) -> bool {
        self.feed.as_ref().is_none_or(|feed| feed.hears())
    }
}

impl CacheStore for Tiered {
    fn peek(&self, key: &CacheKey) -> Option<Entry> {
        self.hears().then(|| self.memory.peek(key)).flatten()
    }

    fn get<'a>(&'a self, key: &'a CacheKey) -> BoxFuture<'a, Result<Found, Fault>> {
        Box::pin(async {
            if let Some(entry) = self.peek(key).filter(|entry| key.admits(entry)) {
                let version = entry.version;
                return Ok(Found { entry: Some(entry), version });
            }
            let found = self.redis.get(key).await?;
            if let Some(entry) = &found.entry
                && self.hears()
            {
                self.memory.insert(key, entry.clone());
            }
            Ok(found)
        })
    }

    fn version<'a>(&'a self, tag: &'a Tag) -> Option<BoxFuture<'a, Result<Token, Fault>>> {
        if self.hears() { None } else { self.redis.version(tag) }
    }

    fn put<'a>(&'a self, key: &'a CacheKey, entry: Entry) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async {
            self.redis.put(key, entry.clone()).await?;
            if self.hears() {
                self.memory.insert(key, entry);
            }
            Ok(())
        })
    }

    fn gauges(&self) -> CacheGauges {
        self.memory.gauges()
    }

    fn breaker(&self) -> Option<BreakerView> {
        self.redis.breaker()
    }

    fn watch(&self) -> Option<Box<dyn ServerWatch>> {
        self.redis.watch()
    }
}

impl CachePlugin for Tiered {
    const NAME: &'static str = "tiered";
    type Options = CacheOptions;

    fn problems(options: &CacheOptions) -> Vec<String> {
        options.problems()
    }

    fn wrap(
        options: CacheOptions,
        inner: Arc<dyn Source>,
        setup: CacheSetup,
    ) -> Result<Wrapped, StoreError> {
        let settings = options.over(setup.cache.clone());
        let former = setup.former::<Self>();
        let (memory, redis) = former.map(|both| (both.memory.clone(), both.redis.clone())).unzip();
        let before = redis.clone();
        let redis = Redis::following(redis, &settings, &setup)?;
        // What is in memory is a copy of what is in this Redis.
        let memory = memory.filter(|_| before.is_some_and(|before| Arc::ptr_eq(&before, &redis)));
        let memory = Memory::following(memory, &settings);
        let feed = redis.feed(&memory);
        Ok(layers(inner, Arc::new(Self { memory, redis, feed }), &settings, &setup))
    }
}
