//! How the service is doing, judged in the background and told from memory.
//!
//! [`mod@ping`] and [`pools`] look, [`mod@judge`] makes a state of what they saw, [`report`] prints it. A
//! request for the state touches neither database nor Redis nor a pool, so it is answered when all
//! of them hang.

mod judge;
mod ping;
mod pools;
mod report;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;

use self::judge::{Facts, judge};
use self::ping::{Down, Pinger, Seen};
use self::pools::{Pool, Pools};
use self::report::{Checks, DatabaseCheck, RedisCheck, ms, utc};
pub(super) use self::report::{
    HealthAnswer, Liveness, Phase, ReadyAnswer, Report, State as HealthState, Status,
};
use super::State;
use crate::config::{self, Config, DatabaseUrl};
use crate::store::cache::{Fault, ServerWatch};
use crate::store::{Backends, Breaker};

/// Looks of which the median is taken.
const LOOKS: usize = 5;
/// Before there are so many, one that was slow by chance would decide.
const ENOUGH_LOOKS: usize = 3;

/// What is known of the state of the service.
pub struct Health {
    limits: ArcSwap<Limits>,
    draining: AtomicBool,
    known: Mutex<Known>,
}

/// What it is judged by.
struct Limits {
    health: config::Health,
    replicas: u32,
}

impl Limits {
    fn of(config: &Config) -> Self {
        Self { health: config.health.clone(), replicas: config.server.replicas }
    }
}

struct Known {
    databases: Vec<KnownDatabase>,
    redis: KnownRedis,
    pools: Vec<Pool>,
    state: HealthState,
    since: SystemTime,
    reasons: Vec<String>,
}

struct KnownDatabase {
    key: String,
    main: bool,
    seen: Option<Seen>,
    latencies: VecDeque<Duration>,
    status: Status,
    since: SystemTime,
}

struct KnownRedis {
    status: Status,
    latency: Option<Duration>,
    since: SystemTime,
}

impl Health {
    /// Nothing was looked at yet.
    pub fn new(config: &Config) -> Self {
        let since = SystemTime::now();
        let known = Known {
            databases: Vec::new(),
            redis: KnownRedis { status: Status::Unused, latency: None, since },
            pools: Vec::new(),
            state: HealthState::Healthy,
            since,
            reasons: Vec::new(),
        };
        Self {
            limits: ArcSwap::from_pointee(Limits::of(config)),
            draining: AtomicBool::new(false),
            known: Mutex::new(known),
        }
    }

    /// From now on `/health/ready` says that the service is stopping.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether it is stopping.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The state in a word.
    pub(super) fn state(&self) -> HealthState {
        self.known().state
    }

    /// Whether requests should be sent here. How much the pools are in use does not matter: that
    /// changes from one moment to the next, and the others would only get what this one has.
    pub(super) fn phase(&self) -> Phase {
        if self.is_draining() {
            return Phase::Draining;
        }
        let known = self.known();
        let main = known.databases.iter().find(|database| database.main);
        match main.map(|database| database.status) {
            Some(Status::Down) => Phase::DatabaseDown,
            _ => Phase::Ready,
        }
    }

    /// Everything that is known.
    pub(super) fn report(&self) -> Report {
        let ready = self.phase() == Phase::Ready;
        let limits = self.limits.load();
        let known = self.known();
        let check = |database: &KnownDatabase| DatabaseCheck {
            key: database.key.clone(),
            status: database.status,
            latency_ms: match database.seen {
                Some(Seen::Up(latency)) => Some(ms(latency)),
                _ => None,
            },
            latency_median_ms: database.median().map(ms),
            since: utc(database.since),
        };
        let unknown = || DatabaseCheck {
            key: "database.url".into(),
            status: Status::Up,
            latency_ms: None,
            latency_median_ms: None,
            since: utc(known.since),
        };
        let main = known.databases.iter().find(|database| database.main);
        let others = known.databases.iter().filter(|database| !database.main);
        Report {
            status: known.state,
            timestamp: utc(SystemTime::now()),
            since: utc(known.since),
            reasons: known.reasons.clone(),
            ready,
            checks: Checks {
                database: main.map_or_else(unknown, check),
                other_databases: others.map(check).collect(),
                redis: RedisCheck {
                    status: known.redis.status,
                    latency_ms: known.redis.latency.map(ms),
                    since: utc(known.redis.since),
                },
                db_pool: report::pools(&known.pools, &limits.health, limits.replicas),
            },
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what was seen, and judges anew.
    fn note(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known();
        change(&mut known);
        let facts = Facts {
            databases: known.databases.iter().map(KnownDatabase::fact).collect(),
            redis: match known.redis.status {
                Status::Unused => None,
                status => Some(status == Status::Up),
            },
            pools: &known.pools,
        };
        let (state, reasons) = judge(&facts, &self.limits.load().health);
        let before = std::mem::replace(&mut known.state, state);
        if before != state {
            known.since = SystemTime::now();
            let (was, is, why) = (before.name(), state.name(), reasons.join(" "));
            match state {
                HealthState::Healthy => tracing::info!(was, "health: {is}"),
                _ => tracing::warn!(was, "health: {is}. {why}"),
            }
        }
        known.reasons = reasons;
    }
}

impl Known {
    /// Changes which databases are known; what is known of those that stay, stays.
    fn watch(&mut self, list: Vec<(String, bool)>) {
        let mut before = std::mem::take(&mut self.databases);
        self.databases = list
            .into_iter()
            .map(|(key, main)| {
                let known = before.iter().position(|known| known.key == key);
                known.map_or_else(
                    || KnownDatabase::new(key, main),
                    |place| KnownDatabase { main, ..before.swap_remove(place) },
                )
            })
            .collect();
    }
}

impl KnownDatabase {
    fn new(key: String, main: bool) -> Self {
        let latencies = VecDeque::with_capacity(LOOKS);
        Self { key, main, seen: None, latencies, status: Status::Up, since: SystemTime::now() }
    }

    fn fact(&self) -> judge::Database<'_> {
        let seen = self.seen.as_ref();
        judge::Database { key: &self.key, main: self.main, seen, median: self.median() }
    }

    fn median(&self) -> Option<Duration> {
        let mut sorted: Vec<Duration> = self.latencies.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().filter(|_| sorted.len() >= ENOUGH_LOOKS)
    }

    fn saw(&mut self, seen: Seen, limits: &config::Health) {
        match &seen {
            Seen::Up(latency) => self.push(*latency),
            Seen::Late => self.push(limits.timeout),
            // Before an outage it was another time.
            Seen::Full(_) | Seen::Down(..) => self.latencies.clear(),
        }
        let slow = self.median().is_some_and(|median| median > limits.database_latency_warning);
        let status = match &seen {
            Seen::Up(_) | Seen::Late if slow => Status::Slow,
            Seen::Up(_) | Seen::Late => Status::Up,
            Seen::Full(_) => Status::Full,
            Seen::Down(..) => Status::Down,
        };
        if status != self.status {
            self.since = SystemTime::now();
            if let Seen::Full(error) | Seen::Down(_, error) = &seen {
                tracing::warn!(database = self.key, %error, "the database cannot be looked at");
            }
        }
        (self.status, self.seen) = (status, Some(seen));
    }

    fn push(&mut self, latency: Duration) {
        if self.latencies.len() == LOOKS {
            self.latencies.pop_front();
        }
        self.latencies.push_back(latency);
    }
}

/// Looks that go on until it is dropped.
pub struct Watching(#[expect(dead_code, reason = "held")] Vec<AbortOnDropHandle<()>>);

impl Watching {
    /// Looks at `backends` and everything else once, and then again and again, as the configuration
    /// in force says.
    pub async fn start(state: &Arc<State>, backends: &Backends) -> Self {
        Self(watch(state, backends).await)
    }
}

async fn watch(state: &Arc<State>, backends: &Backends) -> Vec<AbortOnDropHandle<()>> {
    let config = state.config.load_full();
    state.health.limits.store(Arc::new(Limits::of(&config)));
    let mut databases: Vec<_> = backends.iter().collect();
    databases.sort_by_key(|(url, _)| **url != config.database.url);
    let (mut watched, mut list) = (Vec::new(), Vec::new());
    for (place, (url, backend)) in databases.into_iter().enumerate() {
        let key = config.url_key(url);
        list.push((key.clone(), *url == config.database.url));
        let pinger = Pinger::new(backend.clone(), config.health.timeout);
        let breaker = backends.breaker(url).cloned();
        let (url, state) = (url.clone(), state.clone());
        watched.push(Database { place, key, url, pinger, breaker, state });
    }
    state.health.known().watch(list);
    let mut redis = Redis::new(state.clone());
    let mut pools = Pools::default();
    look_at_pools(state, &mut pools);
    let first = join_all(watched.iter_mut().map(Database::look_first));
    futures_util::future::join(first, redis.look()).await;
    let interval = config.health.interval;
    let mut tasks: Vec<AbortOnDropHandle<()>> = Vec::new();
    let mut every = |looking: tokio::task::JoinHandle<()>| {
        tasks.push(AbortOnDropHandle::new(looking));
    };
    for mut database in watched {
        every(tokio::spawn(async move {
            let mut ticks = ticks(interval);
            loop {
                ticks.tick().await;
                database.look().await;
            }
        }));
    }
    every(tokio::spawn(async move {
        let mut ticks = ticks(interval);
        loop {
            ticks.tick().await;
            redis.look().await;
        }
    }));
    let state = state.clone();
    every(tokio::spawn(async move {
        let mut ticks = ticks(interval);
        loop {
            ticks.tick().await;
            look_at_pools(&state, &mut pools);
        }
    }));
    tasks
}

fn ticks(interval: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn look_at_pools(state: &State, pools: &mut Pools) {
    let seen = pools.look(&state.strategies.load());
    state.health.note(|known| known.pools = seen);
}

/// A database that is looked at.
struct Database {
    /// Its place in what is known.
    place: usize,
    key: String,
    url: DatabaseUrl,
    pinger: Pinger,
    breaker: Option<Arc<Breaker>>,
    state: Arc<State>,
}

impl Database {
    async fn look(&mut self) {
        let (state, url) = (&self.state, &self.url);
        let answered = || {
            let strategies = state.strategies.load();
            let here = strategies.iter().filter(|strategy| strategy.config.database_url == *url);
            here.map(|strategy| strategy.meter.from_database.get()).sum()
        };
        let seen = self.pinger.look(answered).await;
        // Requests on connections that nothing comes from would find out much later.
        if let (Seen::Down(Down::Silent | Down::Refused, _), Some(breaker)) = (&seen, &self.breaker)
        {
            breaker.suspect();
        }
        let health = &state.health;
        health.note(|known| {
            // Another list may have taken its place.
            let known = known.databases.get_mut(self.place).filter(|known| known.key == self.key);
            if let Some(known) = known {
                known.saw(seen, &health.limits.load().health);
            }
        });
    }

    /// Connecting may take longer than an answer on a connection that is open.
    async fn look_first(&mut self) {
        let until = Instant::now() + self.state.config.load().database.connect_timeout;
        loop {
            self.look().await;
            let known = self.state.health.known();
            let seen = known.databases.get(self.place).and_then(|known| known.seen.as_ref());
            if !matches!(seen, Some(Seen::Down(Down::Silent, _))) || Instant::now() >= until {
                return;
            }
        }
    }
}

/// The Redis of the strategies that use one.
struct Redis {
    state: Arc<State>,
    /// The server, and the set of strategies that it was taken from.
    server: Option<Box<dyn ServerWatch>>,
    of: Option<Arc<crate::store::Strategies>>,
}

impl Redis {
    fn new(state: Arc<State>) -> Self {
        Self { state, server: None, of: None }
    }

    async fn look(&mut self) {
        let strategies = self.state.strategies.load_full();
        if self.of.as_ref().is_none_or(|of| !Arc::ptr_eq(of, &strategies)) {
            self.server = strategies.cache_server();
            self.of = Some(strategies);
        }
        let health = &self.state.health;
        let (status, latency) = match &self.server {
            None => (Status::Unused, None),
            Some(server) => match ping(&**server, health.limits.load().health.timeout).await {
                Ok(latency) => (Status::Up, Some(latency)),
                Err(_) => (Status::Down, None),
            },
        };
        health.note(|known| {
            if known.redis.status != status {
                known.redis.since = SystemTime::now();
            }
            (known.redis.status, known.redis.latency) = (status, latency);
        });
    }
}

/// Asks again when only the connection was gone, or when it was this process that stood still.
async fn ping(server: &dyn ServerWatch, limit: Duration) -> Result<Duration, Fault> {
    let asked = Instant::now();
    let answered = server.ping(limit).await;
    let took = asked.elapsed();
    if answered.is_ok() || (limit / 2..limit + limit / 2).contains(&took) {
        return answered.map(|()| took);
    }
    let asked = Instant::now();
    server.ping(limit).await.map(|()| asked.elapsed())
}
