//! Serves entries that are compressed already, and makes them beside the traffic.

use std::collections::HashSet;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use super::cached::Faults;
use super::key::Keys;
use super::{CacheKey, CacheSetup, CacheStore, Entry, Found, Oversize, hit};
use crate::config;
use crate::encode::Whole;
use crate::query::ProductQuery;
use crate::store::{Body, Coding, Reply, RequestContext, Source, StoreError};

/// zstd's own default: about the ratio of gzip at its default in a fifth of the time.
const ZSTD_LEVEL: i32 = 3;
/// Below this a coded body saves nothing worth an entry.
const SMALLEST: usize = 1024;

/// Serves coded variants, each an entry of its own. The first request that wants one gets the body
/// as it is, and its variant is made off the runtime.
pub struct Coded {
    inner: Arc<dyn Source>,
    workshop: Arc<Workshop>,
    oversize: Oversize,
}

/// Where variants are made.
struct Workshop {
    store: Arc<dyn CacheStore>,
    keys: Keys,
    max_entry: usize,
    faults: Faults,
    at_work: Mutex<HashSet<CacheKey>>,
    /// One at a time: compression must not take the cores from the requests.
    turn: Semaphore,
}

impl Coded {
    /// Puts coded variants in `store`, beside the entries that `inner` keeps there.
    pub fn new(
        inner: Arc<dyn Source>,
        store: Arc<dyn CacheStore>,
        settings: &config::Cache,
        setup: &CacheSetup,
        oversize: Oversize,
    ) -> Self {
        let workshop = Workshop {
            store,
            keys: Keys::new(&setup.strategy, &setup.versions, settings),
            max_entry: settings.max_entry,
            faults: Faults::new(setup),
            at_work: Mutex::default(),
            turn: Semaphore::new(1),
        };
        Self { inner, workshop: Arc::new(workshop), oversize }
    }

    async fn answer(
        &self,
        query: &ProductQuery,
        context: &RequestContext,
    ) -> Result<Reply, StoreError> {
        let Some(coding) = context.coding.filter(|_| !self.oversize.contains(query)) else {
            return self.inner.fetch(query, context).await;
        };
        let key = self.workshop.keys.of(query, Some(coding));
        let asked = Instant::now();
        match self.workshop.store.get(&key).await {
            Ok(Found { entry: Some(entry), .. }) if key.admits(&entry) => {
                return Ok(hit(entry, Some(coding), asked));
            }
            Ok(_) => {}
            // The fetch below meets the same fault and says so.
            Err(_) => return self.inner.fetch(query, context).await,
        }
        let reply = self.inner.fetch(query, context).await?;
        if let (Body::Whole(body), Some(expires)) = (&reply.body, reply.expires)
            && body.len() >= SMALLEST
        {
            let entry = Entry { body: body.clone(), expires, version: reply.version };
            self.workshop.order(key, coding, entry);
        }
        Ok(reply)
    }
}

impl Source for Coded {
    fn fetch<'a>(
        &'a self,
        query: &'a ProductQuery,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Reply, StoreError>> {
        Box::pin(self.answer(query, context))
    }

    fn ready(&self, query: &ProductQuery, context: &RequestContext) -> Option<Reply> {
        let Some(coding) = context.coding else { return self.inner.ready(query, context) };
        let asked = Instant::now();
        let key = self.workshop.keys.of(query, Some(coding));
        let entry = self.workshop.store.peek(&key).filter(|entry| key.admits(entry))?;
        Some(hit(entry, Some(coding), asked))
    }
}

impl Workshop {
    /// Makes a variant of `entry` unless it is being made. It never outlives what it was made of, and is of
    /// the same version.
    fn order(self: &Arc<Self>, key: CacheKey, coding: Coding, entry: Entry) {
        if !self.lock().insert(key.clone()) {
            return;
        }
        let workshop = self.clone();
        tokio::spawn(async move {
            if let Err(error) = workshop.make(&key, coding, entry).await {
                tracing::warn!(%error, "a compressed variant could not be made");
            }
            workshop.lock().remove(&key);
        });
    }

    async fn make(&self, key: &CacheKey, coding: Coding, entry: Entry) -> std::io::Result<()> {
        let _turn = self.turn.acquire().await;
        let Entry { body, expires, version } = entry;
        let digest = body.digest();
        let compressed = tokio::task::spawn_blocking(move || compress(&body, coding)).await??;
        if compressed.len() > self.max_entry {
            return Ok(());
        }
        let body = Whole::uncharged(compressed.into(), digest);
        if let Err(fault) = self.store.put(key, Entry { body, expires, version }).await {
            self.faults.note(&fault);
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<CacheKey>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn compress(body: &Whole, coding: Coding) -> std::io::Result<Vec<u8>> {
    let out = Vec::with_capacity(body.len() / 4);
    let mut compressed = match coding {
        Coding::Gzip => {
            let mut gzip = flate2::write::GzEncoder::new(out, flate2::Compression::default());
            body.chunks().iter().try_for_each(|chunk| gzip.write_all(chunk))?;
            gzip.finish()?
        }
        Coding::Zstd => {
            let mut zstd = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
            body.chunks().iter().try_for_each(|chunk| zstd.write_all(chunk))?;
            zstd.finish()?
        }
    };
    compressed.shrink_to_fit();
    Ok(compressed)
}
