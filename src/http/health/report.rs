//! What the health endpoints say: what was seen, printed. Judges nothing.

use std::time::{Duration, SystemTime};

use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object};

use super::pools::Pool;
use crate::config;
use crate::http::stats::round;

/// How the service is doing, the worst that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
#[oai(rename = "HealthState", rename_all = "lowercase")]
pub(in crate::http) enum State {
    /// Nothing is wrong.
    Healthy,
    /// Everything is answered, but the database is slow or requests wait.
    Warning,
    /// Something is down without which every request can be answered, or a database of some strategies.
    Degraded,
    /// The database is down, or a pool is saturated.
    Critical,
}

impl State {
    /// All of them, the best first.
    pub const ALL: &'static [Self] =
        &[Self::Healthy, Self::Warning, Self::Degraded, Self::Critical];

    /// Its name in answers and in the log.
    pub fn name(self) -> &'static str {
        match self {
            State::Healthy => "healthy",
            State::Warning => "warning",
            State::Degraded => "degraded",
            State::Critical => "critical",
        }
    }
}

/// A dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "DependencyStatus", rename_all = "kebab-case")]
pub(in crate::http) enum Status {
    /// It answers.
    Up,
    /// It answers, and takes longer than `health.database_latency_warning`.
    Slow,
    /// It answers that others have all its connections.
    Full,
    /// It refuses connections, or does not answer.
    Down,
    /// No strategy uses it.
    Unused,
}

impl Status {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Up, Self::Slow, Self::Full, Self::Down, Self::Unused];

    /// Its name in metrics: the one in answers.
    pub fn name(self) -> &'static str {
        match self {
            Status::Up => "up",
            Status::Slow => "slow",
            Status::Full => "full",
            Status::Down => "down",
            Status::Unused => "unused",
        }
    }
}

/// The state of the service, why, and what it was judged by.
#[derive(Debug, Object)]
#[oai(rename = "Health")]
pub(in crate::http) struct Report {
    /// The worst that holds.
    pub(in crate::http) status: State,
    /// When this was answered, in UTC.
    pub(super) timestamp: String,
    /// Since when the status holds.
    pub(super) since: String,
    /// Why it is not healthy, the worst first, each a sentence; empty when it is.
    pub(super) reasons: Vec<String>,
    /// Whether `/health/ready` says so.
    pub(in crate::http) ready: bool,
    /// What was looked at.
    pub(in crate::http) checks: Checks,
}

/// What was looked at, within the last second.
#[derive(Debug, Object)]
#[oai(rename = "HealthChecks")]
pub(in crate::http) struct Checks {
    /// The database of `database.url`.
    pub database: DatabaseCheck,
    /// The databases of strategies with a `database_url` of their own.
    pub other_databases: Vec<DatabaseCheck>,
    /// Redis.
    pub redis: RedisCheck,
    /// The pools of this process.
    pub db_pool: PoolsCheck,
}

/// A database.
#[derive(Debug, Object)]
pub(in crate::http) struct DatabaseCheck {
    /// The key of its URL in the configuration.
    pub key: String,
    /// `up`, `slow`, `full` or `down`.
    pub status: Status,
    /// Time of the last look, in milliseconds; null when it had no answer.
    pub latency_ms: Option<f64>,
    /// The median of the last five looks, by which it is judged.
    pub latency_median_ms: Option<f64>,
    /// Since when the status holds.
    pub since: String,
}

/// Redis.
#[derive(Debug, Object)]
pub(in crate::http) struct RedisCheck {
    /// `up`, `down` or `unused`.
    pub status: Status,
    /// Time of the last PING, in milliseconds; null when it had no answer.
    pub latency_ms: Option<f64>,
    /// Since when the status holds.
    pub since: String,
}

/// The connections of all fixed pools of this process together, and of each strategy.
#[derive(Debug, Object)]
pub(in crate::http) struct PoolsCheck {
    #[oai(flatten)]
    pub sum: Connections,
    /// All replicas together; null unless `server.replicas` is above 1.
    pub fleet: Option<Fleet>,
    /// Every strategy by itself.
    pub strategies: Vec<PoolCheck>,
}

/// All replicas together, as far as one of them can know.
#[derive(Debug, Object)]
pub(in crate::http) struct Fleet {
    /// `server.replicas`.
    replicas: u32,
    /// Connections of the fixed pools of all replicas.
    total_capacity: u64,
    /// The share of this process.
    this_process: u64,
}

/// The connections of a strategy.
#[derive(Debug, Object)]
pub(in crate::http) struct PoolCheck {
    /// The strategy.
    pub strategy: String,
    /// Whether it holds a fixed number of connections, so that it counts in the sums.
    fixed: bool,
    #[oai(flatten)]
    connections: Connections,
    /// 95 % of the waits for a connection of the last 5 to 10 s were shorter than this; null
    /// without any.
    wait_p95_ms: Option<f64>,
    /// For how long somebody has waited without a break; null when nobody waits.
    pub waiting_for_seconds: Option<f64>,
}

/// Connections.
#[derive(Debug, Default, Object)]
pub(in crate::http) struct Connections {
    /// Connections that there can be.
    size: u64,
    /// Open and free.
    checked_in: u64,
    /// Serving a request.
    checked_out: u64,
    /// Beyond the size: a pool of fixed size has none.
    overflow: u64,
    /// The size and what may be beyond it.
    total_capacity: u64,
    /// Checked out, in percent of the capacity. The status does not depend on it.
    utilization_percent: f64,
    /// `normal`, `high` or `full`, by `health.utilization_warning` and `health.utilization_critical`.
    utilization: Utilization,
    /// Requests that wait for a connection.
    waiting: u64,
}

/// How much of a pool is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum Utilization {
    /// Below `health.utilization_warning`.
    #[default]
    Normal,
    /// From `health.utilization_warning` on.
    High,
    /// From `health.utilization_critical` on.
    Full,
}

impl Connections {
    fn of<'a>(pools: impl Iterator<Item = &'a Pool>, limits: &config::Health) -> Self {
        let mut sum = Self::default();
        for Pool { gauges, .. } in pools {
            sum.size += gauges.size as u64;
            sum.checked_in += gauges.idle as u64;
            sum.checked_out += gauges.in_use as u64;
            sum.waiting += gauges.waiting as u64;
        }
        sum.total_capacity = sum.size;
        let percent = 100.0 * sum.checked_out as f64 / sum.size.max(1) as f64;
        sum.utilization_percent = round(percent);
        sum.utilization = match percent {
            percent if percent >= limits.utilization_critical => Utilization::Full,
            percent if percent >= limits.utilization_warning => Utilization::High,
            _ => Utilization::Normal,
        };
        sum
    }
}

/// The pools, with all replicas beside them.
pub(super) fn pools(pools: &[Pool], limits: &config::Health, replicas: u32) -> PoolsCheck {
    let sum = Connections::of(pools.iter().filter(|pool| pool.fixed), limits);
    let fleet = (replicas > 1).then(|| Fleet {
        replicas,
        total_capacity: sum.total_capacity * u64::from(replicas),
        this_process: sum.total_capacity,
    });
    let each = |pool: &Pool| PoolCheck {
        strategy: pool.strategy.to_string(),
        fixed: pool.fixed,
        connections: Connections::of(std::iter::once(pool), limits),
        wait_p95_ms: pool.wait_p95.map(ms),
        waiting_for_seconds: pool.waited_on.map(|waited| round(waited.as_secs_f64())),
    };
    PoolsCheck { sum, fleet, strategies: pools.iter().map(each).collect() }
}

/// In milliseconds, to three decimals.
pub(super) fn ms(duration: Duration) -> f64 {
    round(duration.as_secs_f64() * 1000.0)
}

/// RFC 3339, UTC.
pub(super) fn utc(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// What `/health` answers. Who takes a replica out of a load balancer asks `/health/ready` instead:
/// a saturated pool is no reason to send its clients to the others.
#[derive(ApiResponse)]
pub(in crate::http) enum HealthAnswer {
    /// Healthy, warning or degraded: every request can be answered
    #[oai(status = 200)]
    Fine(Json<Report>),
    /// Critical: requests fail, and whoever is on call should know
    #[oai(status = 503)]
    Critical(Json<Report>),
}

impl From<Report> for HealthAnswer {
    fn from(report: Report) -> Self {
        match report.status {
            State::Critical => Self::Critical(Json(report)),
            _ => Self::Fine(Json(report)),
        }
    }
}

/// Whether requests should be sent here.
#[derive(Debug, Object)]
pub(in crate::http) struct Readiness {
    /// Whether they should.
    pub ready: bool,
    /// `ready`, `starting`, `draining` or `database-down`.
    pub status: Phase,
}

/// Why requests should be sent here, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "Readiness_status", rename_all = "kebab-case")]
pub(in crate::http) enum Phase {
    /// They should.
    Ready,
    /// The databases are being prepared.
    Starting,
    /// It was asked to stop.
    Draining,
    /// The database of `database.url` cannot be reached.
    DatabaseDown,
}

/// What `/health/ready` answers.
#[derive(ApiResponse)]
pub(in crate::http) enum ReadyAnswer {
    /// Ready, however much the pools are in use
    #[oai(status = 200)]
    Ready(Json<Readiness>),
    /// Starting, draining, or without its database
    #[oai(status = 503)]
    NotReady(Json<Readiness>),
}

impl From<Phase> for ReadyAnswer {
    fn from(status: Phase) -> Self {
        match status {
            Phase::Ready => Self::Ready(Json(Readiness { ready: true, status })),
            _ => Self::NotReady(Json(Readiness { ready: false, status })),
        }
    }
}

/// What `/health/live` answers.
#[derive(Debug, Object)]
pub(in crate::http) struct Liveness {
    /// Always true: a process that does not live says nothing.
    pub live: bool,
}
