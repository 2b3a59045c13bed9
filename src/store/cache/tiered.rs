//! `tiered`: memory over Redis.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{
    CacheKey, CacheOptions, CachePlugin, CacheSetup, CacheStore, Entry, Fault, Memory, Redis,
    ServerWatch, Wrapped, layers,
};
use crate::observe::{BreakerView, CacheGauges};
use crate::store::{Source, StoreError};

/// Keeps entries in memory and in Redis. An entry in memory never outlives the one in Redis: it
/// takes over its remaining time, and without one in Redis there is none in memory.
pub struct Tiered {
    memory: Arc<Memory>,
    redis: Arc<Redis>,
}

impl CacheStore for Tiered {
    fn peek(&self, key: &CacheKey) -> Option<Entry> {
        self.memory.peek(key)
    }

    fn get<'a>(&'a self, key: &'a CacheKey) -> BoxFuture<'a, Result<Option<Entry>, Fault>> {
        Box::pin(async {
            if let Some(entry) = self.memory.peek(key) {
                return Ok(Some(entry));
            }
            let found = self.redis.get(key).await?;
            if let Some(entry) = &found {
                self.memory.insert(key, entry.clone());
            }
            Ok(found)
        })
    }

    fn put<'a>(&'a self, key: &'a CacheKey, entry: Entry) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async {
            self.redis.put(key, entry.clone()).await?;
            self.memory.insert(key, entry);
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
        let redis = Redis::following(redis, &settings, setup.limits.budget.clone())?;
        // What is in memory is a copy of what is in this Redis.
        let memory = memory.filter(|_| before.is_some_and(|before| Arc::ptr_eq(&before, &redis)));
        let memory = Memory::following(memory, &settings);
        Ok(layers(inner, Arc::new(Self { memory, redis }), &settings, &setup))
    }
}
