//! What a run leaves behind: plain data, written to `run.json` after every block. Every report is a
//! pure function of it, so everything a report says must be in here, and no secret may be.

mod visible;
mod watched;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::histogram::Times;
use super::plan::Plan;

pub use watched::{OTHER_ROUTES, RecordsFile, Reported, TOGETHER, Watched};

/// The version of this format; a file of another one is refused.
pub const SCHEMA: u32 = 1;

/// One run of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of poolwise that wrote it.
    pub poolwise: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// How long it took, in seconds.
    pub took_seconds: f64,
    /// How it ended.
    pub ended: Ended,
    /// What was to be done.
    pub plan: Plan,
    /// The machine of the load driver.
    pub host: Host,
    /// What was driven.
    pub target: Target,
    /// What the doctor said of it before it began.
    pub findings: Vec<Finding>,
    /// Samples with no load at all: what the components cost when idle. About one a second.
    pub idle: Vec<Sample>,
    /// What was measured, in the order in which it was.
    pub blocks: Vec<Block>,
    /// The load of another tool; `None` where the lab drove.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched: Option<Watched>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Ended {
    /// Not yet: the file was written by a run that goes on or was killed.
    Running,
    /// As planned.
    Finished,
    /// By Ctrl-C or SIGTERM.
    Interrupted,
    /// Because something broke; what was measured before is kept.
    Failed {
        /// What, in a sentence.
        why: String,
    },
}

/// The machine of the load driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Model of the processor.
    pub cpu_model: String,
    /// Cores that the driver may use, all of the machine's unless pinned.
    pub cores: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Operating system and kernel.
    pub system: String,
    /// Which cores the driver was pinned to, as a list of numbers.
    pub driver_cores: Option<Vec<u32>>,
    /// Which cores the service was pinned to.
    pub service_cores: Option<Vec<u32>>,
}

/// What was driven.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Whether the lab started it itself.
    pub started_by_the_lab: bool,
    /// Where it answers.
    pub url: String,
    /// `sqlite`, `postgres`, ...; `None` where it cannot be known.
    pub backend: Option<String>,
    /// Versions of the servers: `poolwise`, `PostgreSQL`, `Redis`.
    pub versions: BTreeMap<String, String>,
    /// The strategies that were driven, as the service described them.
    pub strategies: Vec<StrategyRecord>,
    /// The configuration in force as TOML, without passwords; `None` where it cannot be known.
    pub config: Option<String>,
    /// Connections that the database server allows.
    pub max_connections: Option<u64>,
    /// Of them, kept for administrators.
    pub reserved_connections: Option<u64>,
    /// Where the figures of each component come from.
    pub sources: Sources,
}

/// A strategy as the service describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StrategyRecord {
    /// Its name.
    pub name: String,
    /// Its access method.
    pub access: String,
    /// Its cache; `none` where it has none.
    pub cache: String,
    /// Connections that it may have open: its pool's size, or `direct`'s limit.
    pub connections: Option<u64>,
}

/// Where the figures of each component come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sources {
    /// The service.
    pub api: Source,
    /// The database server.
    pub database: Source,
    /// Redis.
    pub redis: Source,
    /// The load driver.
    pub driver: Source,
}

/// Where the figures of a component come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// There is no such component in this set-up.
    Absent {
        /// Why, such as "SQLite runs inside the service".
        why: String,
    },
    /// It is seen, whole or in part.
    Seen {
        /// Where CPU and memory come from, such as "processes under pid 4711" or "cgroup /docker/ab12".
        usage: Option<String>,
        /// Where connections and counters come from, such as "pg_stat_activity".
        counters: Option<String>,
        /// What is not visible from here, and why.
        not_visible: Vec<String>,
        /// Whether it uses the cores that the driver uses; `None` where that is not known.
        shares_cores: Option<bool>,
    },
}

/// Something that the doctor found: a fact, a number, and what to try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which rule: `D1` to `D24`.
    pub id: String,
    /// What is the case, with its numbers.
    pub fact: String,
    /// What to try.
    pub advice: String,
}

/// What a component has used so far. All counters count since some start that is the same for every
/// sample of a run, so only differences mean something. `None`: not visible from here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time, all cores together, in seconds (counter).
    pub cpu_seconds: Option<f64>,
    /// Memory now, in bytes: PSS for process trees, resident for one process, what the cgroup says.
    pub memory_bytes: Option<u64>,
    /// What memory may grow to: the limit of the cgroup, else the machine's memory.
    pub memory_limit_bytes: Option<u64>,
    /// Connections open now: clients of a database, of Redis, of the service.
    pub connections: Option<u64>,
    /// Bytes received from the network (counter).
    pub received_bytes: Option<u64>,
    /// Bytes sent to the network (counter).
    pub sent_bytes: Option<u64>,
    /// Transactions of a database, commands of Redis (counter).
    pub operations: Option<u64>,
    /// Redis: keys found (counter).
    pub keyspace_hits: Option<u64>,
    /// Redis: keys looked for and not found (counter).
    pub keyspace_misses: Option<u64>,
}

/// The machine as a whole (counters since it started).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostUsage {
    /// CPU time of all cores that somebody used, in seconds.
    pub busy_seconds: f64,
    /// CPU time of all cores in all, idle included.
    pub total_seconds: f64,
    /// CPU time that the hypervisor gave to others.
    pub steal_seconds: f64,
    /// Pages swapped in and out.
    pub swapped_pages: u64,
}

/// The connections of one strategy, as the service counts them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolSample {
    /// Connections that there can be.
    pub size: u64,
    /// Serving a request now.
    pub in_use: u64,
    /// Open and free now.
    pub idle: u64,
    /// Requests that wait for one now.
    pub waiting: u64,
    /// 95th percentile of the wait in the last 60 s, in ms; `None` without samples.
    pub wait_p95_ms: Option<f64>,
    /// Connections opened (counter).
    pub opened: u64,
    /// Connections closed (counter).
    pub closed: u64,
}

/// The cache of one strategy, as the service counts it (counters).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CacheSample {
    /// Answers that it had.
    pub hits: u64,
    /// Answers that it did not have.
    pub misses: u64,
    /// Answers shared with a request that was fetching them already.
    pub coalesced: u64,
    /// Answers for which it was not used.
    pub bypassed: u64,
}

/// Everything at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds since the run began.
    pub at_seconds: f64,
    /// The service.
    pub api: Usage,
    /// The database server.
    pub database: Usage,
    /// Redis.
    pub redis: Usage,
    /// The load driver.
    pub driver: Usage,
    /// The machine of the driver; `None` where it says nothing.
    pub host: Option<HostUsage>,
    /// Share of a core that the busiest thread of another tool used since the sample before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busiest_thread: Option<f64>,
    /// Connections of each strategy that is driven.
    pub pools: BTreeMap<String, PoolSample>,
    /// Caches of those that have one.
    pub caches: BTreeMap<String, CacheSample>,
}

/// What a block is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// To be compared.
    Measure,
    /// The same once more, for the noise floor: the A/A run.
    Again,
    /// `/noop`: the driver's ceiling.
    Ceiling,
    /// A step of a search for the knee.
    Probe,
}

/// One strategy (or, mixed, all of them) under one load for a short time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// The name of its [`super::plan::Point`]; `noop` for the ceiling.
    pub point: String,
    /// Which round it belongs to, from 1.
    pub round: u32,
    /// What it is for.
    pub role: Role,
    /// The load that was asked for at its highest, once relative rates were known.
    pub load: Load,
    /// Seconds since the run began, when its measured part began (the warm-up was before).
    pub from_seconds: f64,
    /// Seconds since the run began, when its measured part ended.
    pub to_seconds: f64,
    /// Why it was cut short; `None` for a whole one. A block that was cut is shown, not compared.
    pub cut: Option<String>,
    /// One for each strategy that was driven; more than one only in a mixed block.
    pub lanes: Vec<Lane>,
    /// At the beginning of the measured part, once a second, and at its end.
    pub samples: Vec<Sample>,
}

/// The load of a block.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum Load {
    /// Each user waits for its answer, then pauses.
    Closed {
        /// Users at once.
        users: u32,
        /// Pause of each after an answer.
        pause_seconds: f64,
    },
    /// Requests begin at set times, whether answers have come or not.
    Open {
        /// Requests a second.
        rate: f64,
        /// Requests that can be on their way at once.
        connections: u32,
    },
    /// What another tool asked for: see [`Watched`].
    Watched,
}

/// What happened to the requests of one strategy in a block.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Lane {
    /// Which strategy; `noop` for the ceiling.
    pub strategy: String,
    /// Requests that were due in the measured part (open model), or begun (closed model).
    pub scheduled: u64,
    /// Of them, begun more than 1 ms after they were due: all connections were busy, or the driver
    /// was. Their latency counts from when they were due.
    pub late: u64,
    /// Of them, never begun: the block ended before a connection was free. Open model only.
    pub dropped: u64,
    /// Answers by status; `timeout`, `refused`, `reset`, `truncated` where there was none or not all.
    pub outcomes: BTreeMap<String, u64>,
    /// Time to the first byte of the body, of whole answers.
    pub first_byte: Times,
    /// By task, where there is more than one: `list`, `detail`, `order`, `update`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<String, TaskRecord>,
    /// What a look beside the load said of how stale answers are; `None` where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staleness: Option<StalenessRecord>,
    /// What the tool that drove says of its times itself, where the seconds have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<Reported>,
    /// By the second in which the answer ended, counted from the begin of the measured part. The
    /// last ones may lie after its end: answers to requests that began within it.
    pub seconds: Vec<Second>,
}

impl Block {
    /// Length of the measured part in seconds.
    pub fn seconds(&self) -> f64 {
        (self.to_seconds - self.from_seconds).max(0.0)
    }
}

impl Lane {
    /// Whole answers with a status below 400.
    pub fn answers(&self) -> u64 {
        self.seconds.iter().map(|second| second.answers).sum()
    }

    /// Everything else that ended.
    pub fn errors(&self) -> u64 {
        self.seconds.iter().map(|second| second.errors).sum()
    }
}

/// What became of the requests of one task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Whole answers with a status below 400.
    pub answers: u64,
    /// Everything else that ended.
    pub errors: u64,
    /// As [`Second::latency`].
    pub latency: Times,
}

/// How old answers were, by a product that is written to and looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StalenessRecord {
    /// Writes that were answered.
    pub writes: u64,
    /// Answers that were looked at.
    pub looks: u64,
    /// Of them, those that lacked a write that had been answered before they were asked for.
    pub stale: u64,
    /// The age of each: how long ago, when it was asked for, the oldest write that it lacked had been
    /// answered; 0 for one that lacked none, which is recorded as the shortest time that there is.
    pub age: Times,
    /// The sum of all ages, exactly.
    pub age_seconds: f64,
    /// Looks and writes that failed.
    pub errors: u64,
}

/// The answers that ended within one second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Whole answers with a status below 400.
    pub answers: u64,
    /// Everything else: statuses from 400, no answer, half an answer.
    pub errors: u64,
    /// Bytes of bodies received.
    pub body_bytes: u64,
    /// Whole answers by their `X-Cache` header: `hit`, `miss`, `coalesced`, `bypass`.
    pub cache: BTreeMap<String, u64>,
    /// From the intended begin to the last byte, of whole answers, and of those that never came: the
    /// time that was waited for them. Answers with an error status are not in it.
    pub latency: Times,
    /// The same from when the request was sent.
    pub service_time: Times,
}

/// Why a run file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file itself.
    #[error("{path} cannot be read: {error}")]
    File {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// Half a file: the disk was full, or the copy was cut off.
    #[error(
        "{path} ends in the middle (at line {line}): it was cut off while it was written or copied"
    )]
    Truncated {
        /// Which.
        path: String,
        /// Where.
        line: usize,
    },
    /// Written by another version.
    #[error(
        "{path} has schema version {found}, this poolwise reads version {SCHEMA}: use the poolwise that wrote it ({writer}), or run the plan again"
    )]
    Schema {
        /// Which.
        path: String,
        /// Its version.
        found: u64,
        /// The version of poolwise that wrote it.
        writer: String,
    },
    /// Something else.
    #[error("{path} is not a run file: {error}")]
    Shape {
        /// Which.
        path: String,
        /// Why.
        error: serde_json::Error,
    },
}

impl RunRecord {
    /// Reads a run file.
    ///
    /// # Errors
    /// When it cannot be read, is cut off, or was written by another version.
    pub fn read(path: &std::path::Path) -> Result<Self, ReadError> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ReadError::File { path: name(), error })?;
        let shape = |error: serde_json::Error| match error.is_eof() {
            true => ReadError::Truncated { path: name(), line: error.line() },
            false => ReadError::Shape { path: name(), error },
        };
        #[derive(Deserialize)]
        struct Header {
            schema: u64,
            #[serde(default)]
            poolwise: String,
        }
        let Header { schema, poolwise } = serde_json::from_str(&text).map_err(shape)?;
        if schema != u64::from(SCHEMA) {
            return Err(ReadError::Schema { path: name(), found: schema, writer: poolwise });
        }
        serde_json::from_str(&text).map_err(shape)
    }

    /// Writes it whole or not at all: beside its place first, then there.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn write(&self, path: &std::path::Path) -> std::io::Result<()> {
        let beside = path.with_extension("json.part");
        std::fs::write(&beside, serde_json::to_vec(self)?)?;
        std::fs::rename(&beside, path)
    }
}
