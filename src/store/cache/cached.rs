//! Asks a store first and fills it with what the source answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::key::Keys;
use super::{
    CacheKey, CacheSetup, CacheStore, Entry, Fault, Found, Oversize, hit, jittered, lifetime,
};
use crate::config;
use crate::observe::{CacheMeter, Throttle};
use crate::query::ProductQuery;
use crate::store::{Body, CacheStatus, Reply, RequestContext, Source, StoreError, Version};

/// A fault of the store is warned of once in this time.
const WARN_INTERVAL: Duration = Duration::from_secs(10);

/// Answers from a store, or from a source whose answers it then keeps.
pub struct Cached {
    inner: Arc<dyn Source>,
    store: Arc<dyn CacheStore>,
    keys: Arc<Keys>,
    ttl: Duration,
    ttl_jitter: f64,
    max_entry: usize,
    oversize: Oversize,
    faults: Arc<Faults>,
}

impl Cached {
    /// Puts `store` in front of `inner`.
    pub fn new(
        inner: Arc<dyn Source>,
        store: Arc<dyn CacheStore>,
        settings: &config::Cache,
        setup: &CacheSetup,
        oversize: Oversize,
    ) -> Self {
        Self {
            inner,
            store,
            keys: Arc::new(Keys::new(&setup.strategy, &setup.versions, settings)),
            ttl: lifetime(settings),
            ttl_jitter: settings.ttl_jitter,
            max_entry: settings.max_entry.min(setup.limits.buffer),
            oversize,
            faults: Arc::new(Faults::new(setup)),
        }
    }

    async fn answer(
        &self,
        query: &ProductQuery,
        context: &RequestContext,
    ) -> Result<Reply, StoreError> {
        if self.oversize.contains(query) {
            return self.bypass(query, context).await;
        }
        let key = self.keys.of(query, None);
        let asked = Instant::now();
        let found = self.store.get(&key).await;
        let asking = asked.elapsed();
        let mut reply = match found {
            Ok(Found { entry: Some(entry), .. }) if key.admits(&entry) => hit(entry, None, asked),
            Ok(Found { version, .. }) => self.fill(key, version, query, context).await?,
            Err(fault) => {
                self.faults.note(&fault);
                self.bypass(query, context).await?
            }
        };
        reply.timing.cache = Some(asking);
        Ok(reply)
    }

    async fn bypass(
        &self,
        query: &ProductQuery,
        context: &RequestContext,
    ) -> Result<Reply, StoreError> {
        let mut reply = self.inner.fetch(query, context).await?;
        reply.cache = Some(CacheStatus::Bypass);
        Ok(reply)
    }

    /// Answers from the source and, when the rows ended cleanly within the cap, keeps the answer, under
    /// the version that was in force before its statement was sent.
    /// Keeping goes on beside the answer: the client does not wait for it.
    async fn fill(
        &self,
        key: CacheKey,
        version: Version,
        query: &ProductQuery,
        context: &RequestContext,
    ) -> Result<Reply, StoreError> {
        let mut reply = self.inner.fetch(query, context).await?;
        reply.cache = Some(CacheStatus::Miss);
        match &reply.body {
            Body::Whole(body) if body.len() <= self.max_entry => {
                let expires = Instant::now() + jittered(self.ttl, self.ttl_jitter);
                (reply.expires, reply.version) = (Some(expires), version);
                let entry = Entry { body: body.clone(), expires, version };
                let (store, faults) = (self.store.clone(), self.faults.clone());
                let keys = self.keys.clone();
                reply.filling = Some(tokio::spawn(async move {
                    // Nobody would be served what is old already.
                    if keys.is_current(&key)
                        && let Err(fault) = store.put(&key, entry).await
                    {
                        faults.note(&fault);
                    }
                }));
            }
            Body::Whole(_) => self.oversize.remember(query),
            Body::Stream(stream) if stream.is_too_large() => self.oversize.remember(query),
            // Other bodies took the budget: the next time may be different.
            Body::Stream(_) => {}
        }
        Ok(reply)
    }
}

impl Source for Cached {
    fn fetch<'a>(
        &'a self,
        query: &'a ProductQuery,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Reply, StoreError>> {
        Box::pin(self.answer(query, context))
    }

    fn ready(&self, query: &ProductQuery, _: &RequestContext) -> Option<Reply> {
        let asked = Instant::now();
        let key = self.keys.of(query, None);
        let entry = self.store.peek(&key).filter(|entry| key.admits(entry))?;
        Some(hit(entry, None, asked))
    }
}

/// Counts the faults of a store and warns of one an interval.
pub(super) struct Faults {
    meter: Arc<CacheMeter>,
    strategy: Arc<str>,
    throttle: Throttle,
}

impl Faults {
    pub fn new(setup: &CacheSetup) -> Self {
        Self {
            meter: setup.meter.clone(),
            strategy: setup.strategy.clone(),
            throttle: Throttle::default(),
        }
    }

    /// Having no room, or a write that it was not told of, is not counted and shows as a bypass.
    pub fn note(&self, fault: &Fault) {
        let Fault::Failed(reason) = fault else { return };
        self.meter.faults.inc();
        if self.throttle.allows(WARN_INTERVAL) {
            let strategy = &*self.strategy;
            tracing::warn!(strategy, %reason, "the cache failed; answering from the database");
        }
    }
}
