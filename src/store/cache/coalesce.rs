//! Lets simultaneous requests for one key share one fetch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::CacheStore;
use crate::encode::Whole;
use crate::query::ProductQuery;
use crate::store::{
    Body, CacheStatus, Coding, ErrorKind, Reply, RequestContext, Source, StoreError, Tag, Timing,
    Token, Version, Versions,
};

/// Shares one fetch of a source among all who ask for the same at the same time.
///
/// The cache is inside: looking it up is a part of what is shared, so a request that comes while
/// an answer is being stored finds either the fetch or the entry, never neither.
///
/// A request that comes after a write shares nothing with one that came before. Writes of this process
/// are a part of what is asked for. For those of others, whoever joins asks the store meanwhile which
/// version is in force now, unless the store hears of them by itself.
pub struct Coalesced {
    inner: Arc<dyn Source>,
    store: Arc<dyn CacheStore>,
    oversize: Oversize,
    flights: Arc<Flights>,
    codings_only: bool,
}

/// A shared fetch has no deadline of its own: each who waits has one, and it ends with the last.
const FLIGHT_LIMIT: Duration = Duration::from_secs(3600);
/// Fetches that a request joins; if all of them are of before a write, it fetches for itself.
const JOINS: usize = 2;

impl Coalesced {
    /// Shares the fetches of `inner`, whose answers `store` keeps, except for queries in `oversize`.
    pub fn new(inner: Arc<dyn Source>, store: Arc<dyn CacheStore>, oversize: Oversize) -> Self {
        Self { inner, store, oversize, flights: Arc::default(), codings_only: false }
    }

    /// Shares only the fetches of requests that want a coding; the others pass.
    pub fn of_codings(mut self) -> Self {
        self.codings_only = true;
        self
    }

    async fn answer(
        &self,
        query: &ProductQuery,
        context: &RequestContext,
    ) -> Result<Reply, StoreError> {
        if self.oversize.contains(query) {
            return self.inner.fetch(query, context).await;
        }
        let asked = Instant::now();
        let tag = Tag::of(query);
        // What is in force since this request came, once that is known.
        let mut in_force = None;
        for _ in 0..JOINS {
            let epoch = self.oversize.versions.current(&tag);
            let (flight, leads) = self.join(query, context, epoch, asked);
            let outcome = match self.store.version(&tag) {
                Some(asking) if !leads && in_force.is_none() => {
                    let (outcome, version) =
                        futures_util::future::join(flight.outcome(context.deadline), asking).await;
                    // Without an answer nobody can know: then sharing is as old as the fetch.
                    in_force = version.ok();
                    outcome?
                }
                _ => flight.outcome(context.deadline).await?,
            };
            if !leads && outcome.is_before(in_force) {
                self.oversize.versions.seen_changed(&tag, epoch);
                continue;
            }
            return match outcome {
                Outcome::Shared(shared) => Ok(shared.reply(leads, asked.elapsed())),
                Outcome::Failed(error) => Err(error),
                // A stream has one reader; everyone else runs a query of its own.
                Outcome::Unshared(_) if !leads && in_force.is_some() => {
                    self.inner.fetch(query, context).await
                }
                Outcome::Unshared(reply) => match take(&reply) {
                    Some(reply) => Ok(reply),
                    None => self.inner.fetch(query, context).await,
                },
            };
        }
        self.inner.fetch(query, context).await
    }

    /// The fetch of what is asked for as of `epoch`, and whether it is a new one.
    fn join(
        &self,
        query: &ProductQuery,
        context: &RequestContext,
        epoch: u64,
        asked: Instant,
    ) -> (Arc<Flight>, bool) {
        let wanted = (query.clone(), context.coding.filter(|_| self.codings_only), epoch);
        self.flights.join(wanted, || {
            let (inner, query, mut context) = (self.inner.clone(), query.clone(), context.clone());
            let oversize = self.oversize.clone();
            context.deadline = asked + FLIGHT_LIMIT;
            async move {
                let fetched = inner.fetch(&query, &context).await;
                if let Ok(Reply { body: Body::Stream(rows), .. }) = &fetched
                    && rows.is_too_large()
                {
                    oversize.remember(&query);
                }
                fetched
            }
        })
    }
}

impl Source for Coalesced {
    fn fetch<'a>(
        &'a self,
        query: &'a ProductQuery,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Reply, StoreError>> {
        // Who wants no coding is none of its business: the layers below look for an entry themselves.
        if self.codings_only && context.coding.is_none() {
            return self.inner.fetch(query, context);
        }
        Box::pin(async move {
            match self.inner.ready(query, context) {
                Some(reply) => Ok(reply),
                None => self.answer(query, context).await,
            }
        })
    }

    fn ready(&self, query: &ProductQuery, context: &RequestContext) -> Option<Reply> {
        self.inner.ready(query, context)
    }
}

/// What a fetch came to, for all who wait for it.
#[derive(Clone)]
enum Outcome {
    Shared(SharedReply),
    /// To be taken by the first who comes.
    Unshared(Arc<Mutex<Option<Reply>>>),
    Failed(StoreError),
}

impl Outcome {
    /// Whether it was made under an earlier version than the one in force. What went past the cache was
    /// made under none and is as old as its fetch.
    fn is_before(&self, in_force: Option<Token>) -> bool {
        match self {
            Outcome::Shared(SharedReply { version: Version { token, .. }, .. }) => {
                *token != Token::NONE && in_force.is_some_and(|in_force| *token < in_force)
            }
            Outcome::Unshared(_) | Outcome::Failed(_) => false,
        }
    }
}

/// The parts of a reply that many can have.
#[derive(Clone)]
struct SharedReply {
    body: Whole,
    coding: Option<Coding>,
    cache: Option<CacheStatus>,
    expires: Option<Instant>,
    version: Version,
    timing: Timing,
}

impl SharedReply {
    /// The reply for the request that started the fetch, or for one that joined it.
    fn reply(self, leads: bool, waited: Duration) -> Reply {
        let (cache, timing) = match (leads, self.cache) {
            (true, status) => (status, self.timing),
            (false, Some(CacheStatus::Miss) | None) => {
                (Some(CacheStatus::Coalesced), joined(waited))
            }
            (false, status) => (status, joined(waited)),
        };
        let mut reply = Reply::fresh(Body::Whole(self.body), timing);
        reply.cache = cache;
        reply.coding = self.coding;
        reply.expires = self.expires;
        reply.version = self.version;
        reply
    }
}

fn joined(waited: Duration) -> Timing {
    Timing { cache: Some(waited), ..Timing::default() }
}

/// What is fetched: a query, in the coding that the fetch may come in, as of a version in this process.
type Wanted = (ProductQuery, Option<Coding>, u64);

/// The fetches under way.
#[derive(Default)]
struct Flights(Mutex<Departures>);

#[derive(Default)]
struct Departures {
    under_way: HashMap<Wanted, (u64, Weak<Flight>)>,
    /// Tells a fetch from a later one for the same query.
    last_number: u64,
}

/// A fetch under way. The requests that wait hold it; when the last of them is gone before there
/// is an outcome, the fetch is cancelled.
struct Flight {
    outcome: watch::Receiver<Option<Outcome>>,
    task: AbortHandle,
}

impl Flight {
    async fn outcome(&self, deadline: Instant) -> Result<Outcome, StoreError> {
        let mut outcome = self.outcome.clone();
        let arrived = outcome.wait_for(Option::is_some);
        match tokio::time::timeout_at(deadline.into(), arrived).await {
            Ok(Ok(outcome)) => Ok(outcome.clone().expect("waited for")),
            Ok(Err(_)) => Err(StoreError::new(ErrorKind::Internal, "a shared fetch broke off")),
            Err(_) => Err(StoreError::new(
                ErrorKind::StatementTimeout,
                "the request's deadline passed while another request fetched the same",
            )),
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // After the outcome the task only finishes storing it.
        if self.outcome.borrow().is_none() {
            self.task.abort();
        }
    }
}

impl Flights {
    /// The fetch of `wanted` that is under way, or a new one; and whether it is new.
    fn join<F>(self: &Arc<Self>, wanted: Wanted, fetch: impl FnOnce() -> F) -> (Arc<Flight>, bool)
    where
        F: Future<Output = Result<Reply, StoreError>> + Send + 'static,
    {
        let mut departures = self.lock();
        if let Some((_, flight)) = departures.under_way.get(&wanted)
            && let Some(flight) = flight.upgrade()
        {
            return (flight, false);
        }
        departures.last_number += 1;
        let number = departures.last_number;
        let (sender, outcome) = watch::channel(None);
        let landing = Landing { flights: self.clone(), wanted: wanted.clone(), number };
        let task = tokio::spawn(run(fetch(), sender, landing)).abort_handle();
        let flight = Arc::new(Flight { outcome, task });
        departures.under_way.insert(wanted, (number, Arc::downgrade(&flight)));
        (flight, true)
    }

    fn lock(&self) -> MutexGuard<'_, Departures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(
    fetching: impl Future<Output = Result<Reply, StoreError>>,
    sender: watch::Sender<Option<Outcome>>,
    landing: Landing,
) {
    let (outcome, filling) = outcome_of(fetching.await);
    // Held until the answer is stored, so that who comes meanwhile still joins.
    let _flight = landing.flight();
    sender.send_replace(Some(outcome));
    if let Some(filling) = filling {
        let _ = filling.await;
    }
}

/// Takes the fetch off the list when it ends, however it ends.
struct Landing {
    flights: Arc<Flights>,
    wanted: Wanted,
    number: u64,
}

impl Landing {
    fn flight(&self) -> Option<Arc<Flight>> {
        let departures = self.flights.lock();
        let (number, flight) = departures.under_way.get(&self.wanted)?;
        if *number == self.number { flight.upgrade() } else { None }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut departures = self.flights.lock();
        if departures.under_way.get(&self.wanted).is_some_and(|(number, _)| *number == self.number)
        {
            departures.under_way.remove(&self.wanted);
        }
    }
}

fn outcome_of(
    fetched: Result<Reply, StoreError>,
) -> (Outcome, Option<tokio::task::JoinHandle<()>>) {
    match fetched {
        Err(error) => (Outcome::Failed(error), None),
        Ok(Reply { body: Body::Whole(body), coding, cache, timing, expires, version, filling }) => {
            let shared = SharedReply { body, coding, cache, expires, version, timing };
            (Outcome::Shared(shared), filling)
        }
        Ok(reply) => (Outcome::Unshared(Arc::new(Mutex::new(Some(reply)))), None),
    }
}

fn take(reply: &Mutex<Option<Reply>>) -> Option<Reply> {
    reply.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The queries whose answers are known to be too large to keep or share, for as long as an entry
/// would live and nothing changes them: each request for one runs its own query at once.
#[derive(Clone)]
pub struct Oversize {
    queries: moka::sync::Cache<ProductQuery, u64>,
    versions: Arc<Versions>,
}

impl Oversize {
    /// How many queries are remembered.
    const CAPACITY: u64 = 10_000;

    /// Remembers for `ttl`, until `versions` says that an answer has changed.
    pub fn new(ttl: Duration, versions: Arc<Versions>) -> Self {
        let queries = moka::sync::Cache::builder();
        Self { queries: queries.max_capacity(Self::CAPACITY).time_to_live(ttl).build(), versions }
    }

    /// Whether the answer to `query` is known to be too large.
    pub fn contains(&self, query: &ProductQuery) -> bool {
        let since = self.queries.get(query);
        since.is_some_and(|since| since == self.versions.current(&Tag::of(query)))
    }

    /// Notes that it is.
    pub fn remember(&self, query: &ProductQuery) {
        self.queries.insert(query.clone(), self.versions.current(&Tag::of(query)));
    }
}
