//! The state of health, what the sampler saw of database and Redis, the memory of bodies, and the
//! configuration.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::health::{HealthState, Report, Status};
use super::super::live::Outcome;
use super::super::sampler::Sample;
use super::super::{State, stats};
use super::text::{Text, one_hot, plain};

pub(super) fn write(text: &mut Text<'_>, state: &State) -> fmt::Result {
    health(text, &state.health.report())?;
    sampled(text, &state.sampler.latest())?;
    bodies(text, state)?;
    invalidation(text, &stats::InvalidationStats::of(&state.versions.views()))?;
    configuration(text, state)
}

fn health(text: &mut Text<'_>, report: &Report) -> fmt::Result {
    text.gauge(
        "poolwise_health_state",
        "1 for the state that GET /health tells.",
        one_hot(Vec::new(), "state", HealthState::ALL, HealthState::name, report.status),
    )?;
    text.gauge(
        "poolwise_ready",
        "1 where GET /health/ready says that requests should be sent here.",
        plain(u64::from(report.ready)),
    )?;
    let checks = &report.checks;
    let databases = || [&checks.database].into_iter().chain(&checks.other_databases);
    let status = |labels, status| one_hot(labels, "status", Status::ALL, Status::name, status);
    text.gauge(
        "poolwise_database_status",
        "1 for the status of the database whose URL is in this key of the configuration.",
        databases().flat_map(|one| status(vec![("database", &*one.key)], one.status)),
    )?;
    text.gauge(
        "poolwise_database_latency_seconds",
        "Median time that the simplest statement took at the last five looks.",
        databases().filter_map(|one| {
            Some((vec![("database", &*one.key)], one.latency_median_ms? / 1000.0))
        }),
    )?;
    text.gauge(
        "poolwise_redis_status",
        "1 for the status of Redis.",
        status(Vec::new(), checks.redis.status),
    )?;
    text.gauge(
        "poolwise_redis_latency_seconds",
        "Time that the last PING took.",
        checks.redis.latency_ms.into_iter().flat_map(|ms| plain(ms / 1000.0)),
    )?;
    let waited = checks.db_pool.strategies.iter().map(|one| {
        (vec![("strategy", &*one.strategy)], one.waiting_for_seconds.unwrap_or_default())
    });
    text.gauge(
        "poolwise_pool_waited_seconds",
        "For how long somebody has waited for a connection without a break; 0 where nobody does.",
        waited,
    )
}

fn sampled(text: &mut Text<'_>, sample: &Sample) -> fmt::Result {
    text.gauge(
        "poolwise_sample_age_seconds",
        "Time since the last look at the database and Redis.",
        plain(sample.taken.elapsed().as_secs_f64()),
    )?;
    let database = |read: fn(&stats::DatabaseStats) -> Option<u64>| {
        sample.database.as_ref().and_then(read).into_iter().flat_map(plain)
    };
    text.gauge(
        "poolwise_database_connections",
        "Connections to this database, by anyone, as its server counts them.",
        database(|seen| Some(seen.connections)),
    )?;
    text.gauge(
        "poolwise_database_active_connections",
        "Connections to this database that run a statement.",
        database(|seen| Some(seen.active)),
    )?;
    text.gauge(
        "poolwise_database_max_connections",
        "Connections that its server allows to all its databases.",
        database(|seen| Some(seen.max_connections)),
    )?;
    text.gauge(
        "poolwise_database_max_used_connections",
        "The most connections at once since the server started; absent where it does not say.",
        database(|seen| seen.max_used),
    )?;
    text.counter(
        "poolwise_database_queries_total",
        "Statements that clients sent since the server started; absent where it does not say.",
        database(|seen| seen.queries),
    )?;
    let redis = |read: fn(&stats::RedisStats) -> u64| {
        sample.redis.as_ref().map(read).into_iter().flat_map(plain)
    };
    text.gauge(
        "poolwise_redis_memory_used_bytes",
        "Memory that Redis uses.",
        redis(|seen| seen.used_memory_bytes),
    )?;
    text.gauge(
        "poolwise_redis_memory_used_peak_bytes",
        "The most memory that Redis used.",
        redis(|seen| seen.used_memory_peak_bytes),
    )?;
    text.gauge(
        "poolwise_redis_connected_clients",
        "Clients connected to Redis.",
        redis(|seen| seen.connected_clients),
    )
}

fn bodies(text: &mut Text<'_>, state: &State) -> fmt::Result {
    text.gauge(
        "poolwise_body_used_bytes",
        "Memory that buffered bodies take now.",
        plain(state.budget.used()),
    )?;
    text.gauge(
        "poolwise_body_budget_bytes",
        "Memory that buffered bodies may take in all; what goes over it streams.",
        plain(state.budget.total()),
    )
}

fn invalidation(text: &mut Text<'_>, seen: &stats::InvalidationStats) -> fmt::Result {
    text.gauge(
        "poolwise_cache_queued_invalidations",
        "Categories that a write changed and that Redis could not be told of yet.",
        plain(seen.queued),
    )?;
    text.gauge(
        "poolwise_cache_queued_invalidations_age_seconds",
        "Time since Redis could not be told; 0 where nothing is queued.",
        plain(seen.queued_seconds.unwrap_or_default()),
    )?;
    text.gauge(
        "poolwise_cache_hears_replicas",
        "1 where this process hears of what other replicas change; absent where none has to.",
        seen.hears.into_iter().flat_map(|hears| plain(u64::from(hears))),
    )?;
    text.counter(
        "poolwise_cache_hearing_lost_total",
        "How often this process stopped hearing of what other replicas change.",
        seen.lost.into_iter().flat_map(plain),
    )
}

fn configuration(text: &mut Text<'_>, state: &State) -> fmt::Result {
    let following = state.following.load();
    let refused = following.last.as_ref().is_some_and(|last| last.outcome == Outcome::Refused);
    text.gauge(
        "poolwise_config_last_reload_successful",
        "0 where the last edit of the configuration was refused, and the old one stays.",
        plain(u64::from(!refused)),
    )?;
    text.gauge(
        "poolwise_config_loaded_timestamp_seconds",
        "When the configuration in force was read, in seconds since 1970.",
        plain(seconds(following.loaded_at)),
    )
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
