//! Wiring: from a configuration to a running service, and the loop that accepts connections.

mod accept;
mod live;
mod patience;
mod stalled;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

pub use live::Sources;

use self::patience::Patience;
use crate::auth::Auth;
use crate::config::{self, Config};
use crate::encode::{BodyLimits, Budget};
use crate::http::{Following, Front, Health, RateLimit, Sampler, Service, State, Watching};
use crate::seed;
use crate::store::backend::OnProgress;
use crate::store::plugin::Plugins;
use crate::store::{self, Backends, ConnectionSum, StoreError, Versions};
use crate::store::{access, write};

/// How long a replica may take to have what was loaded into its primary.
const REPLICATION: Duration = Duration::from_secs(10);

/// Everything between the socket and the database, ready to serve.
pub struct Ready {
    service: Service,
    state: Arc<State>,
    /// What it takes to read the configuration again, until somebody does.
    reloading: Option<(Backends, Plugins, Watching)>,
    _following: Option<AbortOnDropHandle<()>>,
    _looking: [AbortOnDropHandle<()>; 2],
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
    // Before anything is loaded: a missing key ends the start.
    let auth = Auth::new(&config)?;
    let backends = Backends::new(&config)?;
    let patience = Patience::of(&config);
    patience.databases(&config, &backends).await?;
    let main = backends.get(&config.database.url);
    let named = |error: StoreError, url| error.during(&format!("`{}`", config.url_key(url)));
    let loaded = seed::prepare(main, &config.seed, on_progress).await;
    let loaded = loaded.map_err(|error| named(error, &config.database.url))?;
    if let Some(loaded) = loaded {
        let seconds = loaded.took.as_secs_f64();
        tracing::info!(rows = loaded.rows, seconds, "the data set was loaded");
    }
    // What was loaded just now may still be on its way to a replica.
    let replication = if loaded.is_some() { REPLICATION } else { Duration::ZERO };
    for (url, backend) in backends.iter().filter(|(url, _)| **url != config.database.url) {
        let found = seed::wait_for(backend, replication).await;
        found.map_err(|error| named(error, url))?;
    }
    let budget = Budget::new(config.server.body_budget);
    let limits = BodyLimits { buffer: config.server.body_buffer, budget: budget.clone() };
    let versions = Arc::new(Versions::default());
    let strategies = store::open(&config, &backends, plugins, &limits, &versions, None).await?;
    strategies.connection_sum.iter().for_each(say);
    patience.redis(&strategies).await;
    let (sampler, sampling) = Sampler::start(main.clone(), &strategies);
    let following = Following { loaded_at: SystemTime::now(), files: Vec::new(), last: None };
    let state = Arc::new(State {
        strategies: ArcSwap::from_pointee(strategies),
        rate_limit: ArcSwap::from_pointee(RateLimit::new(&config.rate_limit)),
        rate_limited: Default::default(),
        meter: Default::default(),
        health: Health::new(&config),
        config: ArcSwap::from_pointee(config),
        following: ArcSwap::from_pointee(following),
        versions,
        auth: ArcSwap::from_pointee(auth),
        categories: Default::default(),
        forgetting: Default::default(),
        budget,
        sampler,
        started: Instant::now(),
    });
    let watching = Watching::start(&state, &backends).await;
    let service = Service::new(state.clone());
    let reloading = Some((backends, plugins.clone(), watching));
    let looking = [sampling, RateLimit::keep_small(state.clone())];
    Ok(Ready { service, state, reloading, _following: None, _looking: looking })
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
        if let Some(reloading) = self.reloading.take() {
            self._following = Some(live::start(self.state.clone(), sources, reloading));
        }
        self
    }

    /// Serves connections of `listener` until `shutdown` resolves, then lets the answers in flight
    /// finish for at most `server.shutdown_timeout`. Statements that were abandoned are cancelled.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let front = Arc::new(Front::new(self.state.config.load().server.clone()));
        front.open(self.service.clone());
        let asked = OnceLock::new();
        let shutdown = async {
            shutdown.await;
            asked.get_or_init(Instant::now);
        };
        accept::serve(listener, front, shutdown).await;
        self.finished(asked.get().copied()).await;
    }

    /// What goes on behind answers is over, or the time for that is, which began when it was `asked` for.
    async fn finished(&self, asked: Option<Instant>) {
        let limit = self.state.config.load().server.shutdown_timeout;
        let gone = asked.map_or(Duration::ZERO, |asked| asked.elapsed());
        write::settled(limit.saturating_sub(gone)).await;
        access::cancelled().await;
    }
}

/// A listener that is answered before there is anything to serve: that the service is starting.
pub struct Listening {
    front: Arc<Front>,
    stopping: watch::Receiver<Option<Instant>>,
    accepting: AbortOnDropHandle<()>,
}

impl Listening {
    /// Answers connections of `listener` until `shutdown` resolves.
    pub fn start(
        listener: TcpListener,
        settings: config::Server,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let front = Arc::new(Front::new(settings));
        let (stop, stopping) = watch::channel(None);
        let accepting = {
            let front = front.clone();
            let shutdown = async move {
                shutdown.await;
                stop.send_replace(Some(Instant::now()));
            };
            tokio::spawn(async move { accept::serve(listener, front, shutdown).await })
        };
        Self { front, stopping, accepting: AbortOnDropHandle::new(accepting) }
    }

    /// Resolves when it was asked to stop.
    pub fn stopping(&self) -> impl Future<Output = ()> + use<> {
        let mut stopping = self.stopping.clone();
        async move {
            // An error says that it has stopped.
            let _ = stopping.wait_for(Option::is_some).await;
        }
    }

    /// From now on what is `ready` answers; what is returned goes on to the end, as [`Ready::serve`].
    pub fn serve(self, ready: Ready) -> impl Future<Output = ()> {
        self.front.open(ready.service.clone());
        async move {
            // A panic of the loop has been told already.
            let _ = self.accepting.await;
            let asked = *self.stopping.borrow();
            ready.finished(asked).await;
        }
    }
}
