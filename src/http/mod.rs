//! HTTP: parse, ask a strategy, answer, measure. Knows strategies by name, never what they are.

mod answer;
mod api;
mod error;
mod landing;
mod live;
mod negotiate;
mod observed;
mod parameters;
mod reports;
mod request;
mod sampler;
mod service;
mod spec;
mod stats;

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

pub use live::{Attempt, Following, Outcome};
pub use observed::Observed;
pub use sampler::Sampler;
pub use service::Service;
pub use spec::{openapi_json, openapi_yaml};

use crate::config::Config;
use crate::encode::Budget;
use crate::store::Strategies;

/// What every request can see.
pub struct State {
    /// The strategies, read once a request.
    pub strategies: ArcSwap<Strategies>,
    /// The configuration in force, read once a request.
    pub config: ArcSwap<Config>,
    /// Where it came from, and what became of the last edit.
    pub following: ArcSwap<Following>,
    /// The memory that bodies share.
    pub budget: Budget,
    /// What the background sampler saw last.
    pub sampler: Arc<Sampler>,
    /// When the process started to serve.
    pub started: Instant,
}
