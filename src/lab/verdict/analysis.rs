//! The shape of an analysis: what a report lays out.

use std::collections::BTreeMap;

use super::Figure;

/// Everything that a run says.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// How far it can be trusted.
    pub stamp: Stamp,
    /// What the reader must know before the first number, a sentence each: that the run was cut short,
    /// that SQLite and an in-process cache are not the assignment's set-up, who shares the cores.
    pub preface: Vec<String>,
    /// The verdict in one paragraph.
    pub verdict: Vec<Sentence>,
    /// One for each point of the plan.
    pub tables: Vec<PointTable>,
    /// The ceiling of the driver: `/noop` requests a second.
    pub driver_ceiling: Option<f64>,
    /// The A/A run: how far two measurements of the same were apart, as a share (0.03 is 3 %); of
    /// several points the largest.
    pub noise: BTreeMap<Figure, f64>,
    /// What the idle components used: memory in bytes, CPU in percent of a core.
    pub idle: BTreeMap<Figure, f64>,
    /// The sweep over pool sizes.
    pub sweeps: Vec<Sweep>,
    /// The knee that the search found, for each strategy.
    pub knees: Vec<Knee>,
    /// How each strategy came through a peak: for plans with stages that go up and down again.
    pub recoveries: Vec<Recovery>,
    /// Slopes over time, for runs of at least 5 minutes of one strategy.
    pub drifts: Vec<Drift>,
    /// Targets of the plan.
    pub targets: Vec<TargetMark>,
    /// What the figures say, a sentence each.
    pub conclusions: Vec<Sentence>,
    /// A fact, a number and what to try, each.
    pub warnings: Vec<Warning>,
}

/// How far a run, or one endpoint of it, can be trusted.
#[derive(Debug, Clone, PartialEq)]
pub struct Stamp {
    /// The word.
    pub level: Trust,
    /// Why, a sentence each; empty for a valid one.
    pub reasons: Vec<String>,
}

/// The words of a stamp; the worst one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// The figures are of the service.
    Valid,
    /// The driver or the pause was the limit: the service can do at least this.
    LowerBound,
    /// Something else happened to the machine or most requests: do not use the figures.
    Void,
}

impl Trust {
    /// As it is shown.
    pub fn word(self) -> &'static str {
        match self {
            Trust::Valid => "VALID",
            Trust::LowerBound => "LOWER BOUND",
            Trust::Void => "VOID",
        }
    }
}

/// A figure with its 95 % confidence interval over the rounds; no interval where there are fewer than
/// three rounds, and none for a highest sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Its interval.
    pub interval: Option<(f64, f64)>,
}

/// One load, all strategies.
#[derive(Debug, Clone, PartialEq)]
pub struct PointTable {
    /// The name of the point.
    pub point: String,
    /// The load in words: "20 users, 233 ms pause".
    pub load: String,
    /// Why there are no figures by component, in a mixed point.
    pub mixed: bool,
    /// The most that the clients can ask for: users / pause; `None` without a pause.
    pub client_ceiling: Option<f64>,
    /// One for each strategy, in the order of the plan; in a mixed point one more, of all together.
    pub rows: Vec<Row>,
    /// Each other strategy against the baseline.
    pub comparisons: Vec<Comparison>,
    /// The noise floor of this point, which its comparisons were held against: how far the A/A run's
    /// two measurements were apart here, as a share.
    pub noise: BTreeMap<Figure, f64>,
}

/// One strategy under one load.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Which.
    pub strategy: String,
    /// Its connections, where it was swept over.
    pub pool_size: Option<u32>,
    /// How many blocks it is made of.
    pub blocks: u32,
    /// Whole answers in all.
    pub answers: u64,
    /// Requests that failed in all.
    pub failed: u64,
    /// Requests that were due in all, begun late, and never begun.
    pub scheduled: u64,
    /// See [`crate::lab::record::Lane::late`].
    pub late: u64,
    /// See [`crate::lab::record::Lane::dropped`].
    pub dropped: u64,
    /// Every figure that is known. One that is not visible or undefined is absent.
    pub figures: BTreeMap<Figure, Estimate>,
    /// How far it can be trusted.
    pub stamp: Stamp,
    /// What limited it.
    pub limit: Limit,
}

/// What kept a strategy from doing more.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// What it was.
    pub by: LimitedBy,
    /// The numbers that say so, as a sentence: "20 users pausing 233 ms ask for 85.8/s at most, and it
    /// did 84.1/s".
    pub because: Sentence,
}

/// What can keep a strategy from doing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitedBy {
    /// Users pause: the plan did not ask for more.
    Pause,
    /// The rate of the open model: the plan did not ask for more.
    ArrivalRate,
    /// The load driver.
    Driver,
    /// The processor, most of it used by the service.
    ApiCpu,
    /// The processor, most of it used by the database.
    DatabaseCpu,
    /// The processor, most of it used by Redis.
    RedisCpu,
    /// All connections were in use and requests waited, with processor time left.
    Pool,
    /// The network: bodies filled most of it.
    Bandwidth,
    /// None of these could be shown.
    Unknown,
}

impl LimitedBy {
    /// As it is shown.
    pub fn words(self) -> &'static str {
        match self {
            LimitedBy::Pause => "the pause of the users",
            LimitedBy::ArrivalRate => "the arrival rate of the plan",
            LimitedBy::Driver => "the load driver",
            LimitedBy::ApiCpu => "CPU of the API",
            LimitedBy::DatabaseCpu => "CPU of the database",
            LimitedBy::RedisCpu => "CPU of Redis",
            LimitedBy::Pool => "the pool",
            LimitedBy::Bandwidth => "bandwidth",
            LimitedBy::Unknown => "not determined",
        }
    }
}

/// One strategy against the baseline under one load.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The point.
    pub point: String,
    /// What it is compared with.
    pub baseline: String,
    /// Which.
    pub strategy: String,
    /// The ratio strategy / baseline of each figure that both have.
    pub ratios: BTreeMap<Figure, Ratio>,
}

/// A ratio with its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// The ratio.
    pub value: f64,
    /// Its interval by bootstrap over the rounds; none with fewer than three rounds.
    pub interval: Option<(f64, f64)>,
    /// What it means.
    pub meaning: Meaning,
}

/// What a ratio means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Measurably better.
    Better,
    /// Measurably worse.
    Worse,
    /// Measurably different, where neither direction is better.
    Different,
    /// The interval holds 1, or the difference is within the noise of the A/A run.
    NoMeasurableDifference,
    /// Too few rounds for an interval.
    NotKnown,
}

/// Where a number stands: the anchor of its cell is `cell-{point}-{strategy}-{figure}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellRef {
    /// The point.
    pub point: String,
    /// The strategy.
    pub strategy: String,
    /// The figure.
    pub figure: Figure,
}

impl CellRef {
    /// The anchor in the report.
    pub fn anchor(&self) -> String {
        let slug = |text: &str| -> String {
            text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
        };
        format!("cell-{}-{}-{}", slug(&self.point), slug(&self.strategy), self.figure.name())
    }
}

/// A sentence, and the cells that it was computed from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sentence {
    /// As it is read; its numbers are those of the cells.
    pub text: String,
    /// The cells.
    pub cells: Vec<CellRef>,
}

/// Throughput and cost against pool size.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// The point.
    pub point: String,
    /// What the sizes are compared by: requests a second, or p95 where the arrival rate is set.
    pub figure: Figure,
    /// The pool sizes of the rows, ascending, with the strategy of each.
    pub sizes: Vec<(u32, String)>,
    /// The strategy that was best in that figure.
    pub best: String,
    /// The smallest size not measurably worse than the best, and its figure as a ratio to the best's.
    pub smallest: Option<(u32, String, Ratio)>,
    /// Why there is none, or what to know of it: that larger ones should be tried, or any will do.
    pub note: Option<String>,
}

/// The knee of a strategy.
#[derive(Debug, Clone, PartialEq)]
pub struct Knee {
    /// Which.
    pub strategy: String,
    /// Users or requests a second.
    pub unit: &'static str,
    /// The highest level at which the limits held.
    pub held: Option<f64>,
    /// The lowest level at which one broke; `None` if none did up to the highest that was tried.
    pub broke: Option<f64>,
    /// Which limit broke there, with its number.
    pub why: String,
    /// The steps: level, requests a second, p95 in ms, share of errors, whether the limits held.
    pub steps: Vec<KneeStep>,
    /// What was saturated at the knee.
    pub limit: Option<Limit>,
}

/// A step of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct KneeStep {
    /// Users or requests a second.
    pub level: f64,
    /// Requests a second.
    pub rate: f64,
    /// 95th percentile of the latency in ms.
    pub p95_ms: Option<f64>,
    /// Share of errors, 0 to 1.
    pub errors: f64,
    /// Whether the limits held.
    pub held: bool,
}

/// How a strategy came through a peak.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovery {
    /// The point.
    pub point: String,
    /// Which strategy.
    pub strategy: String,
    /// Median latency of the seconds before the peak, in ms.
    pub before_ms: Option<f64>,
    /// Highest median latency of a second in the peak, in ms.
    pub peak_ms: Option<f64>,
    /// Requests that failed in the peak.
    pub failed: u64,
    /// Seconds after the end of the peak until three seconds in a row were at most 1.5 times as slow as
    /// before; `None` if that never came.
    pub after_seconds: Option<f64>,
}

/// What changed over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// Which strategy.
    pub strategy: String,
    /// What.
    pub figure: Figure,
    /// Slope by least squares, per hour, in the unit of the figure.
    pub per_hour: f64,
    /// Its 95 % confidence interval.
    pub interval: (f64, f64),
}

/// A target and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetMark {
    /// The point.
    pub point: String,
    /// Which strategy.
    pub strategy: String,
    /// Which figure.
    pub figure: Figure,
    /// What was measured; `None` where it is not known.
    pub measured: Option<f64>,
    /// What was wanted.
    pub target: f64,
    /// What is critical.
    pub critical: f64,
    /// What became of it.
    pub mark: Mark,
}

/// What became of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Met.
    Met,
    /// Missed, not critical.
    Missed,
    /// Beyond the critical value.
    Critical,
    /// Not measured.
    Unknown,
}

/// A fact, a number, and what to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What is the case, with its numbers.
    pub fact: String,
    /// What to try.
    pub advice: String,
}
