//! A plan: what to drive, with which parameters, under which load, for how long, and what would make
//! the result worthless. Read from TOML into a value that cannot be wrong.
//!
//! [`load()`] finds a plan by name or path, lays it over what it extends, resolves it, and applies what
//! the command line says. Knows nothing of the service that will be driven.

mod builtin;
mod check;
mod duration;
mod file;
mod load;
mod overrides;
mod points;
mod read;
mod resolve;
mod source;
mod tasks;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use load::{Loaded, PlanProblems, load, names};
pub use overrides::Overrides;
pub(in crate::lab) use read::{parse as parse_toml, read as read_toml};
pub use tasks::{Staleness, Task, Tasks, Users};

/// A plan with every default filled in and every rule checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Its name, such as `case`.
    pub name: String,
    /// A line for headings.
    pub title: String,
    /// The question that it answers, as a sentence with a question mark.
    pub question: String,
    /// How it reads an assignment that can be read in several ways; said in the report.
    pub reading: Option<String>,
    /// What is driven, in the order of the report.
    pub strategies: Vec<PlannedStrategy>,
    /// The strategy that the others are compared with.
    pub baseline: String,
    /// Whether all strategies are driven at once, instead of one after the other in blocks.
    pub mixed: bool,
    /// How many blocks each strategy gets at each point; one round is a block of each.
    pub rounds: u32,
    /// The load at the start of each block that is not measured.
    #[serde(with = "humantime_serde")]
    pub warm_up: Duration,
    /// Whether each round measures the baseline twice: the A/A run.
    pub again: bool,
    /// How long `/noop` is driven first, for the driver's ceiling; zero for not at all.
    #[serde(with = "humantime_serde")]
    pub ceiling: Duration,
    /// How long nothing is driven first, for the idle baseline.
    #[serde(with = "humantime_serde")]
    pub idle: Duration,
    /// An answer that takes longer counts as one that never came.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// What the requests ask for.
    pub parameters: Parameters,
    /// What they do, by weight.
    #[serde(default, skip_serializing_if = "Tasks::only_lists")]
    pub tasks: Tasks,
    /// Who writes, where something does.
    #[serde(default, skip_serializing_if = "is_default")]
    pub users: Users,
    /// How stale answers are looked at; `None`: not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staleness: Option<Staleness>,
    /// Each pause of a user is drawn evenly from the pause of its load plus and minus this.
    #[serde(default, skip_serializing_if = "Duration::is_zero", with = "humantime_serde")]
    pub pause_spread: Duration,
    /// Loads, one after the other.
    pub points: Vec<Point>,
    /// A search for the knee, after the points.
    pub search: Option<Search>,
    /// What makes the run void.
    pub limits: Limits,
    /// Targets by figure: [`crate::lab::verdict::Figure`]'s names.
    pub targets: BTreeMap<String, Target>,
    /// Decides the order of blocks, the keys and the bootstrap: the same gives the same.
    pub seed: u64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A strategy of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStrategy {
    /// Its name; it answers at `/strategies/{name}/products`.
    pub name: String,
    /// Its table as TOML (`access = ..., cache = ...`) where the plan defines it; `None` where the
    /// service's own configuration does.
    pub definition: Option<String>,
    /// Its place in a sweep over pool sizes: connections. `None` outside a sweep, and for `direct`.
    pub pool_size: Option<u32>,
}

/// What the requests ask for. Request number `i` of a block of round `r` asks for the same whichever
/// strategy it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// Query strings without the question mark, such as `category=electronics&limit=20`.
    pub values: Vec<String>,
    /// How they are drawn.
    pub distribution: Distribution,
}

/// How values are drawn from a list.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Distribution {
    /// Always the first.
    Fixed,
    /// Each as often as the others.
    Uniform,
    /// The value at place `k` (from 1) in proportion to `1 / k^exponent` (Zipf's law).
    Zipf {
        /// 1 is Zipf's own; 0 is uniform.
        exponent: f64,
    },
}

/// A load under which every strategy is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Its name, unique in the plan.
    pub name: String,
    /// When requests begin.
    pub model: Model,
    /// Levels, one after the other: all of them together are one block.
    pub stages: Vec<Stage>,
}

/// When requests begin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Model {
    /// Each user waits for its answer, then pauses; levels are users.
    Closed {
        /// After the last byte of an answer, before the next request.
        #[serde(with = "humantime_serde")]
        pause: Duration,
    },
    /// Requests begin at set times; levels are rates.
    Open {
        /// How they are spaced.
        arrivals: Arrivals,
        /// Requests that can be on their way at once; further ones are late.
        connections: u32,
    },
    /// As another tool does, which the lab only watches; levels are not known. No file can say so.
    Watched,
}

/// How the arrivals of an open model are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Evenly.
    Constant,
    /// With exponentially distributed gaps, as independent clients do.
    Poisson,
}

/// A part of a block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name, such as `peak`; empty where there is one only.
    pub name: String,
    /// How much.
    pub level: Level,
    /// Time in which the level moves in a straight line from the one before (from 0 in the first
    /// stage); part of the duration.
    #[serde(with = "humantime_serde")]
    pub ramp: Duration,
    /// How long it lasts.
    #[serde(with = "humantime_serde")]
    pub duration: Duration,
}

/// How much load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Level {
    /// Users at once (closed model).
    Users {
        /// How many.
        users: u32,
    },
    /// Requests a second (open model).
    Rate {
        /// How many.
        rate: f64,
    },
    /// A share of what an earlier point measured (open model).
    Share {
        /// 0.7 is 70 %.
        share: f64,
        /// The name of that point.
        point: String,
        /// Which strategy's rate there.
        of: Reference,
    },
}

/// Whose measured rate a relative rate refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// Of the slowest strategy: every strategy gets the same rate, and each can hold it.
    Slowest,
    /// Of the fastest strategy: every strategy gets the same rate, and some may not hold it.
    Fastest,
    /// Its own: each strategy is loaded equally hard.
    Own,
}

/// Raises the level until a limit breaks, then bisects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// When requests begin; decides whether the level is users or a rate.
    pub model: Model,
    /// The first level.
    pub from: f64,
    /// What a level is multiplied by while the limits hold.
    pub factor: f64,
    /// The highest level that is tried.
    pub to: f64,
    /// It ends when the lowest level that broke a limit is at most this share above the highest that
    /// held.
    pub resolution: f64,
    /// How long each level is held after the warm-up.
    #[serde(with = "humantime_serde")]
    pub probe: Duration,
    /// The 95th percentile of the latency that must not be passed, in ms.
    pub p95_ms: f64,
    /// The share of requests that may fail, 0 to 1.
    pub errors: f64,
}

/// What makes a run void.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Share of requests that may fail, 0 to 1.
    pub errors: f64,
    /// Share of the machine's CPU time that the hypervisor may give to others, 0 to 1.
    pub steal: f64,
    /// Pages that may be swapped.
    pub swapped_pages: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { errors: 0.05, steal: 0.05, swapped_pages: 1000 }
    }
}

/// A target for a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What is wanted: at most this where less is better, at least this where more is.
    pub target: f64,
    /// Beyond this `lab run` ends with exit code 3.
    pub critical: f64,
}
