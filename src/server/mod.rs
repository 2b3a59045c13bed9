//! Wiring: from a configuration to a running service, and the loop that accepts connections.

mod accept;
mod live;
mod stalled;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

pub use live::Sources;

use crate::config::Config;
use crate::encode::{BodyLimits, Budget};
use crate::http::{Following, Sampler, Service, State};
use crate::seed;
use crate::store::access;
use crate::store::backend::OnProgress;
use crate::store::plugin::Plugins;
use crate::store::{self, Backends, ConnectionSum, StoreError};

/// How long a replica may take to have what was loaded into its primary.
const REPLICATION: Duration = Duration::from_secs(10);

/// Everything between the socket and the database, ready to serve.
pub struct Ready {
    service: Service,
    state: Arc<State>,
    /// What it takes to read the configuration again, until somebody does.
    reloading: Option<(Backends, Plugins)>,
    _following: Option<AbortOnDropHandle<()>>,
    _sampling: AbortOnDropHandle<()>,
}

/// Opens the databases, fills the one of `database.url` where that is allowed, and opens every strategy.
///
/// # Errors
/// When a database cannot be reached, has no tables, or has too few connections; the message names its key.
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
    let named = |error: StoreError, url| error.during(&format!("`{}`", config.url_key(url)));
    let loaded = seed::prepare(main, &config.seed, on_progress).await;
    let loaded = loaded.map_err(|error| named(error, &config.database.url))?;
    if let Some(loaded) = loaded {
        let seconds = loaded.took.as_secs_f64();
        tracing::info!(rows = loaded.rows, seconds, "the data set was loaded");
    }
    // What was loaded just now may still be on its way to a replica.
    let patience = if loaded.is_some() { REPLICATION } else { Duration::ZERO };
    for (url, backend) in backends.iter().filter(|(url, _)| **url != config.database.url) {
        let found = seed::wait_for(backend, patience).await;
        found.map_err(|error| named(error, url))?;
    }
    let budget = Budget::new(config.server.body_budget);
    let limits = BodyLimits { buffer: config.server.body_buffer, budget: budget.clone() };
    let strategies = store::open(&config, &backends, plugins, &limits, None).await?;
    strategies.connection_sum.iter().for_each(say);
    let (sampler, sampling) = Sampler::start(main.clone(), &strategies);
    let following = Following { loaded_at: SystemTime::now(), files: Vec::new(), last: None };
    let state = Arc::new(State {
        strategies: ArcSwap::from_pointee(strategies),
        config: ArcSwap::from_pointee(config),
        following: ArcSwap::from_pointee(following),
        budget,
        sampler,
        started: Instant::now(),
    });
    let service = Service::new(state.clone());
    let reloading = Some((backends, plugins.clone()));
    Ok(Ready { service, state, reloading, _following: None, _sampling: sampling })
}

fn say(sum: &ConnectionSum) {
    if sum.too_many {
        tracing::warn!("{}", sum.text);
    } else {
        tracing::info!("{}", sum.text);
    }
}

impl Ready {
    /// What every request can see.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// From now on, for as long as it serves, an edit of the configuration takes effect; and so does
    /// SIGHUP.
    pub fn following(mut self, sources: Sources) -> Self {
        if let Some((backends, plugins)) = self.reloading.take() {
            self._following = Some(live::start(self.state.clone(), sources, backends, plugins));
        }
        self
    }

    /// Serves connections of `listener` until `shutdown` resolves, then lets the answers in flight
    /// finish for at most `server.shutdown_timeout`. Statements that were abandoned are cancelled.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        accept::serve(listener, self.service, &self.state, shutdown).await;
        access::cancelled().await;
    }
}
