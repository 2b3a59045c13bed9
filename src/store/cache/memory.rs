//! `memory`: entries in this process, bounded in bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use moka::Expiry;
use moka::ops::compute::Op;

use super::{
    CacheKey, CacheOptions, CachePlugin, CacheSetup, CacheStore, Entry, Fault, Found, Wrapped,
    layers, lifetime,
};
use crate::config::{self, Invalidation};
use crate::observe::CacheGauges;
use crate::store::{Source, StoreError};

/// Keeps entries in the memory of this process.
pub struct Memory {
    entries: moka::sync::Cache<CacheKey, Entry>,
    max_bytes: usize,
    /// The longest that an entry was to be kept.
    ttl: Duration,
}

impl Memory {
    /// One with the entries of the former, if they may stay, or an empty one.
    pub fn following(former: Option<Arc<Self>>, settings: &config::Cache) -> Arc<Self> {
        let (max_bytes, ttl) = (settings.memory_size, lifetime(settings));
        let stays = |former: &Arc<Self>| former.max_bytes == max_bytes && former.ttl <= ttl;
        Arc::new(match former.filter(stays) {
            Some(former) => Self { entries: former.entries.clone(), max_bytes, ttl },
            None => Self::new(max_bytes, ttl),
        })
    }

    /// A cache of at most this many bytes of bodies, whose entries are kept for at most `ttl`.
    pub fn new(max_bytes: usize, ttl: Duration) -> Self {
        let weight =
            |_: &CacheKey, entry: &Entry| u32::try_from(entry.body.allocated()).unwrap_or(u32::MAX);
        let entries = moka::sync::Cache::builder()
            .max_capacity(max_bytes as u64)
            .weigher(weight)
            .expire_after(AtExpires)
            .build();
        Self { entries, max_bytes, ttl }
    }

    /// Keeps an entry at once, unless there is one of a later version.
    pub fn insert(&self, key: &CacheKey, entry: Entry) {
        let own = entry.version.epoch;
        let later = |held: &Entry| own != 0 && held.version.epoch > own;
        self.entries.entry_by_ref(key).and_compute_with(|held| match held {
            Some(held) if later(held.value()) => Op::Nop,
            _ => {
                // This cache's own bound accounts for the bytes from here on.
                entry.body.release_charge();
                Op::Put(entry.clone())
            }
        });
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.entries.invalidate_all();
    }
}

/// Each entry says itself when it expires.
struct AtExpires;

impl Expiry<CacheKey, Entry> for AtExpires {
    fn expire_after_create(&self, _: &CacheKey, entry: &Entry, now: Instant) -> Option<Duration> {
        Some(entry.expires.saturating_duration_since(now))
    }

    fn expire_after_update(
        &self,
        _: &CacheKey,
        entry: &Entry,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.expires.saturating_duration_since(now))
    }
}

impl CacheStore for Memory {
    fn peek(&self, key: &CacheKey) -> Option<Entry> {
        self.entries.get(key)
    }

    fn get<'a>(&'a self, key: &'a CacheKey) -> BoxFuture<'a, Result<Found, Fault>> {
        Box::pin(async { Ok(Found::here(key, self.peek(key))) })
    }

    fn put<'a>(&'a self, key: &'a CacheKey, entry: Entry) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async {
            self.insert(key, entry);
            Ok(())
        })
    }

    fn gauges(&self) -> CacheGauges {
        self.entries.run_pending_tasks();
        CacheGauges {
            entries: Some(self.entries.entry_count()),
            bytes: Some(self.entries.weighted_size()),
        }
    }
}

impl CachePlugin for Memory {
    const NAME: &'static str = "memory";
    type Options = CacheOptions;

    fn problems(options: &CacheOptions) -> Vec<String> {
        options.problems()
    }

    fn conflicts(options: CacheOptions, cache: &config::Cache, replicas: u32) -> Vec<String> {
        let invalidation = options.over(cache.clone()).invalidation;
        if replicas == 1 || invalidation != Invalidation::Version {
            return Vec::new();
        }
        vec![format!(
            "\"memory\" does not hear what the other {} of server.replicas = {replicas} write; \
             choose \"redis\" or \"tiered\", or invalidation = \"ttl\" for answers that may be as \
             old as their ttl",
            replicas - 1
        )]
    }

    fn wrap(
        options: CacheOptions,
        inner: Arc<dyn Source>,
        setup: CacheSetup,
    ) -> Result<Wrapped, StoreError> {
        let settings = options.over(setup.cache.clone());
        let store = Self::following(setup.former(), &settings);
        Ok(layers(inner, store, &settings, &setup))
    }
}
