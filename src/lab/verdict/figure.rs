//! The figures of the tables: one list with name, unit and direction of each.

use serde::{Deserialize, Serialize};

use crate::lab::plan::{Model, Plan, Task};

/// Which direction of a figure is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Less is better.
    Less,
    /// More is better.
    More,
    /// Neither: it describes.
    Neither,
}

macro_rules! figures {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $label:literal, $unit:literal, $better:ident;)*) => {
        /// A figure of an endpoint under a load.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Figure {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Figure {
            /// Every figure, in the order of the tables.
            pub const ALL: &[Figure] = &[$(Figure::$variant,)*];

            /// Its name in files and plans, with its unit.
            pub fn name(self) -> &'static str {
                match self { $(Figure::$variant => $name,)* }
            }

            /// Its name for people, without its unit.
            pub fn label(self) -> &'static str {
                match self { $(Figure::$variant => $label,)* }
            }

            /// Its unit, empty for a plain number. Shares are 0 to 1 and shown in percent.
            pub fn unit(self) -> &'static str {
                match self { $(Figure::$variant => $unit,)* }
            }

            /// Which direction is good.
            pub fn better(self) -> Better {
                match self { $(Figure::$variant => Better::$better,)* }
            }
        }
    };
}

figures! {
    /// Whole answers with a status below 400, a second.
    Rate, "requests_per_second", "requests", "/s", More;
    /// Mean latency, from the intended begin to the last byte.
    LatencyMean, "latency_mean_ms", "mean response time", "ms", Less;
    /// Its 50th percentile.
    LatencyP50, "latency_p50_ms", "p50", "ms", Less;
    /// Its 95th percentile.
    LatencyP95, "latency_p95_ms", "p95", "ms", Less;
    /// Its 99th percentile.
    LatencyP99, "latency_p99_ms", "p99", "ms", Less;
    /// Mean time from when the request was sent to the last byte.
    ServiceTimeMean, "service_time_mean_ms", "mean service time", "ms", Less;
    /// 50th percentile of the time to the first byte of the body.
    FirstByteP50, "first_byte_p50_ms", "first byte, p50", "ms", Less;
    /// Share of requests that failed.
    Errors, "error_share", "errors", "%", Less;
    /// Bytes of body of an answer.
    BodyBytes, "body_bytes", "body", "bytes", Neither;
    /// Bytes of bodies a second.
    BodyBytesRate, "body_bytes_per_second", "bodies", "bytes/s", More;
    /// Share of answers that came from the cache (hits and coalesced) by their header.
    HitRate, "hit_rate", "cache hit rate", "%", More;
    /// Orders and updates that were answered, a second.
    Writes, "writes_per_second", "writes", "/s", More;
    /// 95th percentile of the latency of lists, where there are other tasks.
    ListP95, "list_p95_ms", "lists, p95", "ms", Less;
    /// The same of single products.
    DetailP95, "detail_p95_ms", "single products, p95", "ms", Less;
    /// The same of orders.
    OrderP95, "order_p95_ms", "orders, p95", "ms", Less;
    /// The same of updates.
    UpdateP95, "update_p95_ms", "updates, p95", "ms", Less;
    /// Share of the answers looked at that lacked a write answered before they were asked for.
    StaleShare, "stale_share", "stale answers", "%", Less;
    /// How long ago the oldest such write had been answered, mean over all answers looked at.
    StaleAgeMean, "stale_age_mean_ms", "age of answers, mean", "ms", Less;
    /// Its 95th percentile.
    StaleAgeP95, "stale_age_p95_ms", "age of answers, p95", "ms", Less;
    /// CPU of the service, in percent of one core.
    ApiCpu, "api_cpu_percent", "CPU of the API", "% of a core", Neither;
    /// CPU time of the service per 1,000 answers.
    ApiCpuCost, "api_cpu_seconds_per_1000", "CPU of the API per 1,000", "s", Less;
    /// Memory of the service, mean.
    ApiMemory, "api_memory_bytes", "memory of the API", "bytes", Less;
    /// Memory of the service, highest sample.
    ApiMemoryMax, "api_memory_max_bytes", "memory of the API, highest", "bytes", Less;
    /// The mean as a share of its limit.
    ApiMemoryShare, "api_memory_share", "memory of the API / limit", "%", Less;
    /// Connections of clients to the service, mean.
    ApiConnections, "api_connections", "connections of the API", "", Neither;
    /// CPU of the database, in percent of one core.
    DatabaseCpu, "database_cpu_percent", "CPU of the database", "% of a core", Neither;
    /// CPU time of the database per 1,000 answers.
    DatabaseCpuCost, "database_cpu_seconds_per_1000", "CPU of the database per 1,000", "s", Less;
    /// Memory of the database, mean.
    DatabaseMemory, "database_memory_bytes", "memory of the database", "bytes", Less;
    /// Memory of the database, highest sample.
    DatabaseMemoryMax, "database_memory_max_bytes", "memory of the database, highest", "bytes", Less;
    /// The mean as a share of its limit.
    DatabaseMemoryShare, "database_memory_share", "memory of the database / limit", "%", Less;
    /// Connections open to the database, mean of the samples.
    DatabaseConnections, "database_connections", "connections of the database", "", Less;
    /// Connections open to the database, highest sample.
    DatabaseConnectionsMax, "database_connections_max", "connections of the database, highest", "", Less;
    /// Connections opened to the database per 1,000 answers, as the service counts them.
    ConnectionsOpened, "connections_opened_per_1000", "connections opened per 1,000", "", Less;
    /// Transactions of the database per 1,000 answers.
    DatabaseOperations, "database_transactions_per_1000", "transactions per 1,000", "", Less;
    /// CPU of Redis, in percent of one core.
    RedisCpu, "redis_cpu_percent", "CPU of Redis", "% of a core", Neither;
    /// CPU time of Redis per 1,000 answers.
    RedisCpuCost, "redis_cpu_seconds_per_1000", "CPU of Redis per 1,000", "s", Less;
    /// Memory of Redis, mean.
    RedisMemory, "redis_memory_bytes", "memory of Redis", "bytes", Less;
    /// Memory of Redis, highest sample.
    RedisMemoryMax, "redis_memory_max_bytes", "memory of Redis, highest", "bytes", Less;
    /// The mean as a share of its limit.
    RedisMemoryShare, "redis_memory_share", "memory of Redis / limit", "%", Less;
    /// Clients connected to Redis, mean.
    RedisConnections, "redis_connections", "connections of Redis", "", Neither;
    /// Commands of Redis per 1,000 answers.
    RedisOperations, "redis_commands_per_1000", "commands per 1,000", "", Less;
    /// Bytes that Redis sent per 1,000 answers.
    RedisSent, "redis_sent_bytes_per_1000", "sent by Redis per 1,000", "bytes", Less;
    /// Bytes that Redis received per 1,000 answers.
    RedisReceived, "redis_received_bytes_per_1000", "received by Redis per 1,000", "bytes", Less;
    /// Share of the pool's connections in use, mean of the samples.
    PoolUse, "pool_use", "pool in use", "%", Neither;
    /// Connections to the database that the strategy itself had open, mean of the samples. Those of the
    /// server are of every strategy that is configured, also of those that are not driven just now.
    PoolConnections, "pool_connections", "connections of its own", "", Neither;
    /// Requests waiting for a connection, mean of the samples.
    PoolWaiting, "pool_waiting", "waiting for a connection", "", Less;
    /// 95th percentile of the wait for a connection, as the service last reported it.
    PoolWaitP95, "pool_wait_p95_ms", "wait for a connection, p95", "ms", Less;
    /// CPU of the load driver, in percent of one core.
    DriverCpu, "driver_cpu_percent", "CPU of the load driver", "% of a core", Neither;
    /// What the busiest thread of another tool used in each second, mean, in percent of one core.
    DriverThread, "driver_busiest_thread_percent", "busiest thread of the load driver", "% of a core", Neither;
    /// Share of the CPU time of all cores of the driver's machine that somebody used.
    HostBusy, "host_busy_share", "processor of the machine in use", "%", Neither;
    /// Share of the machine's CPU time that the hypervisor gave to others.
    HostSteal, "host_steal_share", "steal", "%", Less;
}

impl Figure {
    /// Whether a run of this plan can have it.
    pub fn is_of(self, plan: &Plan) -> bool {
        match self {
            Figure::Writes => plan.tasks.write(),
            Figure::DriverThread => {
                plan.points.iter().any(|point| matches!(point.model, Model::Watched))
            }
            Figure::StaleShare | Figure::StaleAgeMean | Figure::StaleAgeP95 => {
                plan.staleness.is_some()
            }
            _ => self
                .task()
                .is_none_or(|task| !plan.tasks.only_lists() && plan.tasks.weight(task) > 0),
        }
    }

    /// The task whose latency it is, where it is that of one.
    pub fn task(self) -> Option<Task> {
        match self {
            Figure::ListP95 => Some(Task::List),
            Figure::DetailP95 => Some(Task::Detail),
            Figure::OrderP95 => Some(Task::Order),
            Figure::UpdateP95 => Some(Task::Update),
            _ => None,
        }
    }
}

impl std::str::FromStr for Figure {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Figure::ALL.iter().find(|figure| figure.name() == name);
        found.copied().ok_or_else(|| {
            let names: Vec<&str> = Figure::ALL.iter().map(|figure| figure.name()).collect();
            format!("there is no figure {name:?}; there are {}", names.join(", "))
        })
    }
}
