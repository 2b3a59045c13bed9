//! Wiring: from a configuration to a running service, and the loop that accepts connections.

mod accept;
mod stalled;

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::encode::{BodyLimits, Budget};
use crate::http::{Sampler, Service, State};
use crate::seed;
use crate::store::backend::OnProgress;
use crate::store::plugin::Plugins;
use crate::store::{self, Backends, StoreError};

/// Everything between the socket and the database, ready to serve.
pub struct Ready {
    service: Service,
    config: Arc<Config>,
    state: Arc<State>,
    _sampling: tokio_util::task::AbortOnDropHandle<()>,
}

/// Opens the databases, fills them where that is allowed, and opens every strategy.
///
/// # Errors
/// When the database cannot be reached, has no tables, or has too few connections.
pub async fn prepare(
    config: Config,
    plugins: &Plugins,
    on_progress: OnProgress<'_>,
) -> Result<Ready, StoreError> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let backends = Backends::new(&config)?;
    let main = backends.get(&config.database.url);
    if let Some(loaded) = seed::prepare(main, &config.seed, on_progress).await? {
        let seconds = loaded.took.as_secs_f64();
        tracing::info!(rows = loaded.rows, seconds, "the data set was loaded");
    }
    let budget = Budget::new(config.server.body_budget);
    let limits = BodyLimits { buffer: config.server.body_buffer, budget: budget.clone() };
    let strategies = store::open(&config, &backends, plugins, &limits).await?;
    for sum in &strategies.connection_sum {
        if sum.too_many {
            tracing::warn!("{}", sum.text);
        } else {
            tracing::info!("{}", sum.text);
        }
    }
    let (sampler, sampling) = Sampler::start(main.clone(), &strategies);
    let config = Arc::new(config);
    let state = Arc::new(State {
        strategies: ArcSwap::from_pointee(strategies),
        config: config.clone(),
        budget,
        sampler,
        started: Instant::now(),
    });
    let service = Service::new(state.clone());
    Ok(Ready { service, config, state, _sampling: sampling })
}

impl Ready {
    /// What every request can see.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Serves connections of `listener` until `shutdown` resolves, then lets the answers in flight
    /// finish for at most `server.shutdown_timeout`.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        accept::serve(listener, self.service, &self.config.server, shutdown).await;
    }
}
