//! What `/stats` and `/strategies` say: the registry and the sampler, printed.

use std::collections::BTreeMap;
use std::sync::Arc;

use poem_openapi::Object;

use super::State;
use super::live::ConfigStats;
use crate::observe::{BreakerView, Kind, Percentiles};
use crate::store::{RemoteView, Strategy};

/// The process, its strategies and what they depend on. Counters are since the start, percentiles
/// of the last 60 s; `null` is what there is none of, or what cannot be seen.
#[derive(Debug, Clone, Object)]
pub(super) struct Stats {
    /// The state of the service in a word; `GET /health` says why.
    health: super::health::HealthState,
    /// When the figures of process, database and Redis were taken, in seconds before this answer.
    sample_age_seconds: f64,
    /// Seconds since the service started.
    uptime_seconds: f64,
    /// This process.
    process: ProcessStats,
    /// The memory that buffered bodies share.
    bodies: BodyStats,
    /// How much one client may ask for; null where that is not limited.
    rate_limit: Option<RateLimitStats>,
    /// Every strategy, by name.
    strategies: Vec<StrategyStats>,
    /// The database's own view of its connections; null for an embedded one, or when it cannot be reached.
    database: Option<DatabaseStats>,
    /// Redis's own view, of a cluster the sum over the primaries that answer; null where no strategy
    /// uses it, or when it cannot be used.
    redis: Option<RedisStats>,
    /// What becomes of writes: whether every cache knows of them.
    invalidation: InvalidationStats,
    /// The configuration and the last edit of it.
    config: ConfigStats,
}

/// What becomes of writes: whether every cache knows of them.
#[derive(Debug, Clone, Object)]
pub(super) struct InvalidationStats {
    /// Categories, or "all", that a write of this process changed and that Redis could not be told of
    /// yet; lists that depend on them come from the database until it is.
    pub queued: u64,
    /// Seconds since Redis could not be told; null where nothing is queued.
    pub queued_seconds: Option<f64>,
    /// Whether this process hears of what other replicas change; if not, strategies of `tiered` ask Redis
    /// for each answer. Null where no strategy has to hear of it.
    pub hears: Option<bool>,
    /// How often it did not hear of it any more, since the start; null as above.
    pub lost: Option<u64>,
}

impl InvalidationStats {
    pub(super) fn of(remotes: &[RemoteView]) -> Self {
        let since = remotes.iter().filter_map(|remote| remote.since).min();
        let hearing = || remotes.iter().filter_map(|remote| remote.hearing);
        let any = hearing().next().is_some();
        Self {
            queued: remotes.iter().map(|remote| remote.queued as u64).sum(),
            queued_seconds: since.map(|since| round(since.elapsed().as_secs_f64())),
            hears: any.then(|| hearing().all(|hearing| hearing.hears)),
            lost: any.then(|| hearing().map(|hearing| hearing.lost).sum()),
        }
    }
}

/// This process, as the operating system sees it.
#[derive(Debug, Clone, Default, Object)]
pub(super) struct ProcessStats {
    /// CPU time used since it started, all cores together.
    pub cpu_seconds: f64,
    /// CPU time used in the last second, in percent of one core.
    pub cpu_percent: f64,
    /// Memory in RAM.
    pub resident_bytes: u64,
    /// Memory mapped.
    pub virtual_bytes: u64,
    /// Threads; null where they cannot be counted.
    pub threads: Option<u64>,
}

/// The budget of `server.body_budget`.
#[derive(Debug, Clone, Object)]
pub(super) struct BodyStats {
    /// Taken now.
    used_bytes: u64,
    /// There is in all; what goes over it streams.
    budget_bytes: u64,
}

/// The limit of `[rate_limit]` and what it does.
#[derive(Debug, Clone, Object)]
pub(super) struct RateLimitStats {
    /// Requests that a client may make in the time of `per_seconds`.
    requests: u32,
    /// The time that they are for.
    per_seconds: f64,
    /// Requests that may come at once.
    burst: u32,
    /// Clients that are remembered now: those that may not ask for all of `burst` yet.
    clients: u64,
    /// Requests refused since the start.
    refused: u64,
}

/// A strategy's counters and gauges.
#[derive(Debug, Clone, Object)]
pub(super) struct StrategyStats {
    /// Its name.
    name: String,
    /// Requests since the start.
    requests: u64,
    /// Of them, answers of 5xx and bodies that broke off because the database failed.
    errors: u64,
    /// Being answered now.
    in_flight: i64,
    /// Bytes of bodies sent since the start.
    bytes: u64,
    /// From the request to the last byte handed to the socket.
    latency: Latency,
    /// Its connections.
    pool: PoolStats,
    /// Its cache; null where it has none.
    cache: Option<CacheStats>,
}

/// Percentiles of the last 60 s in milliseconds; null without samples.
#[derive(Debug, Clone, Object)]
pub(super) struct Latency {
    /// Samples in the last 60 s.
    count: u64,
    /// Half were at most this.
    p50_ms: Option<f64>,
    /// 95 % were at most this.
    p95_ms: Option<f64>,
    /// 99 % were at most this.
    p99_ms: Option<f64>,
}

impl From<Percentiles> for Latency {
    fn from(found: Percentiles) -> Self {
        let Percentiles { count, p50_ms, p95_ms, p99_ms } = found;
        Self { count, p50_ms, p95_ms, p99_ms }
    }
}

/// The connections of a strategy. For `direct` the size is its limit.
#[derive(Debug, Clone, Object)]
pub(super) struct PoolStats {
    /// Connections that there can be.
    size: u64,
    /// Serving a request.
    in_use: u64,
    /// Open and free.
    idle: u64,
    /// Requests that wait for one.
    waiting: u64,
    /// Waits for a free connection.
    wait: Latency,
    /// Times to open a connection.
    connect: Latency,
    /// Connections opened since the start.
    opened: u64,
    /// Connections closed since the start.
    closed: u64,
    /// The circuit breaker of its database, which strategies of the same database share; null where
    /// there is none.
    breaker: Option<BreakerStats>,
}

/// A circuit breaker: while it is not closed, what it guards is not used at all.
#[derive(Debug, Clone, Object)]
pub(super) struct BreakerStats {
    /// closed (in use) | open (not in use) | half-open (not in use, being asked whether it is back).
    state: String,
    /// Seconds since it was closed or opened; null where each connection has one of its own.
    since_seconds: Option<f64>,
    /// How often it opened; null where each connection has one of its own.
    opened: Option<u64>,
    /// Requests that it spared a wait.
    refused: u64,
}

impl From<BreakerView> for BreakerStats {
    fn from(view: BreakerView) -> Self {
        Self {
            state: view.state.name().into(),
            since_seconds: view.since.map(|since| round(since.elapsed().as_secs_f64())),
            opened: view.opened,
            refused: view.refused,
        }
    }
}

/// The cache of a strategy.
#[derive(Debug, Clone, Object)]
pub(super) struct CacheStats {
    /// Answers that it had.
    hits: u64,
    /// Answers that it did not have.
    misses: u64,
    /// Answers shared with a request that was fetching them already.
    coalesced: u64,
    /// Answers for which it was not used: it failed, had no room, or the answer is too large.
    bypassed: u64,
    /// Times that it failed.
    faults: u64,
    /// Hits as a share of all answers, 0 to 1; null before the first.
    hit_rate: Option<f64>,
    /// Entries in this process; null where they are elsewhere.
    entries: Option<u64>,
    /// Bytes in them.
    bytes: Option<u64>,
    /// The circuit breaker around Redis; null where it is not used.
    breaker: Option<BreakerStats>,
}

/// What the database server says of its connections.
#[derive(Debug, Clone, Object)]
pub(super) struct DatabaseStats {
    /// Open to this database, by anyone.
    pub connections: u64,
    /// Of them, running a statement.
    pub active: u64,
    /// Allowed to all databases of the server.
    pub max_connections: u64,
    /// The most that were open at once since the server started, to all its databases; null where
    /// it does not say, as PostgreSQL.
    pub max_used: Option<u64>,
    /// Statements that clients sent since the server started, to all its databases; null where it
    /// does not say, as PostgreSQL.
    pub queries: Option<u64>,
}

/// What Redis says of itself.
#[derive(Debug, Clone, Object)]
pub(super) struct RedisStats {
    /// Memory in use.
    pub used_memory_bytes: u64,
    /// The most that it was.
    pub used_memory_peak_bytes: u64,
    /// Clients connected.
    pub connected_clients: u64,
}

/// A strategy, what it is made of and how it is doing.
#[derive(Debug, Clone, Object)]
pub(super) struct StrategyInfo {
    /// Where it answers.
    path: String,
    /// Its access method.
    access: PluginInfo,
    /// Its cache.
    cache: PluginInfo,
    /// Its counters and gauges.
    stats: StrategyStats,
}

/// A plugin and the options that were given to it.
#[derive(Debug, Clone, Object)]
pub(super) struct PluginInfo {
    /// Its name in config.
    name: String,
    /// Options that were set; the others are as in `[database]` and `[cache]`.
    options: BTreeMap<String, String>,
}

impl From<&crate::config::PluginChoice> for PluginInfo {
    fn from(choice: &crate::config::PluginChoice) -> Self {
        let options = choice.options.iter();
        Self {
            name: choice.name.clone(),
            options: options.map(|(key, value)| (key.clone(), value.to_string())).collect(),
        }
    }
}

/// Everything, as it is now.
pub(super) fn stats(state: &State) -> Stats {
    let sample = state.sampler.latest();
    Stats {
        health: state.health.state(),
        sample_age_seconds: round(sample.taken.elapsed().as_secs_f64()),
        uptime_seconds: round(state.started.elapsed().as_secs_f64()),
        process: sample.process.clone(),
        bodies: BodyStats {
            used_bytes: state.budget.used() as u64,
            budget_bytes: state.budget.total() as u64,
        },
        rate_limit: rate_limit_stats(state),
        strategies: state.strategies.load().iter().map(strategy_stats).collect(),
        database: sample.database.clone(),
        redis: sample.redis.clone(),
        invalidation: InvalidationStats::of(&state.versions.views()),
        config: ConfigStats::of(&state.following.load()),
    }
}

fn rate_limit_stats(state: &State) -> Option<RateLimitStats> {
    let limit = state.rate_limit.load();
    limit.quota().map(|quota| RateLimitStats {
        requests: quota.requests.get(),
        per_seconds: round(quota.per.as_secs_f64()),
        burst: quota.burst.get(),
        clients: limit.clients() as u64,
        refused: state.rate_limited.get(),
    })
}

/// Every strategy with its parameters.
pub(super) fn strategies(state: &State) -> Vec<StrategyInfo> {
    let strategies = state.strategies.load();
    strategies
        .iter()
        .map(|strategy| StrategyInfo {
            path: format!("/strategies/{}/products", strategy.name),
            access: (&strategy.config.access).into(),
            cache: (&strategy.config.cache).into(),
            stats: strategy_stats(strategy),
        })
        .collect()
}

fn strategy_stats(strategy: &Arc<Strategy>) -> StrategyStats {
    let meter = &strategy.meter;
    let gauges = strategy.access.gauges();
    StrategyStats {
        name: strategy.name.to_string(),
        requests: meter.requests.get(),
        errors: meter.errors.get(),
        in_flight: meter.in_flight.get(),
        bytes: meter.bytes.get(),
        latency: meter.latency.percentiles().into(),
        pool: PoolStats {
            size: gauges.size as u64,
            in_use: gauges.in_use as u64,
            idle: gauges.idle as u64,
            waiting: gauges.waiting as u64,
            wait: meter.access.wait.percentiles().into(),
            connect: meter.access.connect.percentiles().into(),
            opened: meter.access.opened.get(),
            closed: meter.access.closed.get(),
            breaker: strategy.breaker.as_ref().map(|breaker| breaker.view().into()),
        },
        cache: strategy.cache.as_ref().map(|store| {
            let (counted, gauges) = (&meter.cache, store.gauges());
            let [hits, misses] = [counted.hits.get(), counted.misses.get()];
            let [coalesced, bypassed] = [counted.coalesced.get(), counted.bypassed.get()];
            let all = hits + misses + coalesced + bypassed;
            CacheStats {
                hits,
                misses,
                coalesced,
                bypassed,
                faults: counted.faults.get(),
                hit_rate: (all > 0).then(|| round(hits as f64 / all as f64)),
                entries: gauges.entries,
                bytes: gauges.bytes,
                breaker: store.breaker().map(BreakerStats::from),
            }
        }),
    }
}

/// To three decimals: more would be noise.
pub(super) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
