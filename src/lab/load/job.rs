//! What to drive in one block, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::lab::base::Base;
use crate::lab::plan::Model;
use crate::lab::record;

use super::{Keys, Live, Shop};

/// What to drive in one block.
#[derive(Debug, Clone)]
pub struct Job {
    /// Where the service answers.
    pub base: Base,
    /// One strategy, or in a mixed block all of them: request `i` goes to lane `i % lanes`, and asks
    /// there for key `i / lanes`, so that each strategy sees the same sequence of keys.
    pub lanes: Vec<LaneTarget>,
    /// When requests begin.
    pub model: Model,
    /// Levels, one after the other.
    pub stages: Vec<StageLevel>,
    /// Load at the level of the first stage that is not measured.
    pub warm_up: Duration,
    /// A request that takes longer from when it was begun has no answer.
    pub timeout: Duration,
    /// What the requests ask for.
    pub keys: Arc<Keys>,
    /// What they do besides listing; `None` where they only list.
    pub shop: Option<Arc<Shop>>,
    /// Each pause of a user is drawn evenly from the pause of the model plus and minus this.
    pub pause_spread: Duration,
    /// Decides the gaps between Poisson arrivals, and the pauses.
    pub seed: u64,
    /// When the load begins; best half a second ahead, for opening connections.
    pub begin: Instant,
    /// Counters that can be read while it runs.
    pub live: Arc<Live>,
    /// Ends it early.
    pub stop: CancellationToken,
}

/// Where the requests of a strategy go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneTarget {
    /// Its name in the record.
    pub strategy: String,
    /// The path without a query, such as `/strategies/pooled/products`.
    pub path: String,
}

/// A part of a block, with its level known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StageLevel {
    /// Users (closed model) or requests a second (open model).
    pub level: f64,
    /// Time in which the level moves in a straight line from the one before (from 0 in the first
    /// stage); part of the duration.
    pub ramp: Duration,
    /// How long it lasts.
    pub duration: Duration,
}

/// What came of a block.
#[derive(Debug, Clone)]
pub struct Driven {
    /// One for each lane of the job, in its order.
    pub lanes: Vec<record::Lane>,
    /// Why it was cut short; `None` for a whole one.
    pub cut: Option<String>,
    /// Begin and end of the measured part: requests that were due within it are counted. Where the
    /// block was cut short in the warm-up, both are its planned begin.
    pub measured: (Instant, Instant),
}
