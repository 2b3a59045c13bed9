//! HTTP: parse, ask a strategy, answer, measure. Knows strategies by name, never what they are.

mod answer;
mod api;
mod body;
mod client;
mod cors;
mod document;
mod error;
mod front;
mod health;
mod landing;
mod live;
mod metrics;
mod negotiate;
mod observed;
mod orders_api;
mod page;
mod parameters;
mod products_api;
mod rate_limit;
mod reports;
mod request;
mod sampler;
mod service;
mod sign_in;
mod sign_in_spec;
mod signed_in;
mod spec;
mod spec_examples;
mod spec_writes;
mod stats;
mod write;
mod written;

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use prometheus_client::metrics::counter::Counter;

pub use front::{Connected, Front};
pub use health::{Health, Watching};
pub use live::{Attempt, Following, Outcome};
pub use observed::Observed;
pub use rate_limit::RateLimit;
pub use sampler::Sampler;
pub use service::Service;
pub use signed_in::SignedIn;
pub use spec::{openapi_json, openapi_yaml};

use crate::auth::Auth;
use crate::config::Config;
use crate::encode::Budget;
use crate::observe::{ServiceMeter, Throttle};
use crate::store::write::Categories;
use crate::store::{Strategies, Versions};

/// What every request can see.
pub struct State {
    /// The strategies, read once a request.
    pub strategies: ArcSwap<Strategies>,
    /// The configuration in force, read once a request.
    pub config: ArcSwap<Config>,
    /// Where it came from, and what became of the last edit.
    pub following: ArcSwap<Following>,
    /// How much one client may ask for, read once a request.
    pub rate_limit: ArcSwap<RateLimit>,
    /// Requests that it refused since the start.
    pub rate_limited: Counter,
    /// What is counted besides the strategies.
    pub meter: ServiceMeter,
    /// Which answers of before a write are old.
    pub versions: Arc<Versions>,
    /// Who may write, read once a request.
    pub auth: ArcSwap<Auth>,
    /// The categories as they were counted last.
    pub categories: Categories,
    /// When old idempotency keys were forgotten last.
    pub forgetting: Throttle,
    /// The memory that bodies share.
    pub budget: Budget,
    /// What the background sampler saw last.
    pub sampler: Arc<Sampler>,
    /// What is known of the state of the service.
    pub health: Health,
    /// When the process started to serve.
    pub started: Instant,
}

impl State {
    /// Whether the service was asked to stop.
    pub fn is_draining(&self) -> bool {
        self.health.is_draining()
    }
}
