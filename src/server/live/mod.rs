//! The configuration while the service runs: read again after an edit or SIGHUP, and put into force
//! whole or not at all.
//!
//! One task does it, one attempt after the other; requests never wait for it. Everything that can
//! fail happens beside what serves, and then the new strategies take over ([`fn@crate::store::open`]).

mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

use self::watch::{Beside, Watched};
use crate::auth::Auth;
use crate::config::{self, Config, Problems};
use crate::encode::BodyLimits;
use crate::http::{Attempt, Following, Outcome, RateLimit, State, Watching};
use crate::seed;
use crate::store::plugin::Plugins;
use crate::store::{self, Backends, Running, StoreError};

/// Time for the databases to show that a new configuration can be had.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the configuration comes from, and what follows it besides what serves.
pub struct Sources {
    /// The files that `load` reads and that are watched.
    pub files: Vec<PathBuf>,
    /// Reads it again.
    pub load: Arc<dyn Fn() -> Result<Config, Problems> + Send + Sync>,
    /// Called with the log's settings when they are in force.
    pub on_log: Box<dyn Fn(&config::Log) + Send + Sync>,
}

/// Follows `sources` until the returned guard is dropped.
pub(super) fn start(
    state: Arc<State>,
    sources: Sources,
    (backends, plugins, watching): (Backends, Plugins, Watching),
) -> AbortOnDropHandle<()> {
    state.following.rcu(|now| Following { files: sources.files.clone(), ..(**now).clone() });
    let hangup = signal(SignalKind::hangup());
    let hangup = hangup.inspect_err(|error| tracing::warn!(%error, "SIGHUP is not listened to"));
    // One that was made at the start is known by now: only another one is an edit.
    let keys = state.auth.load().keys();
    state.config.rcu(|config| {
        let mut config = Config::clone(config);
        config.auth.keys = keys.clone();
        config
    });
    let watched = Watched::new(&sources.files, &beside(&state.config.load()));
    let live = Live { state, sources, backends, plugins, watching };
    AbortOnDropHandle::new(tokio::spawn(live.run(watched, hangup.ok())))
}

struct Live {
    state: Arc<State>,
    sources: Sources,
    backends: Backends,
    plugins: Plugins,
    /// The looks at these databases.
    watching: Watching,
}

impl Live {
    async fn run(mut self, mut watched: Watched, mut hangup: Option<Signal>) {
        // What was edited since the start; nothing in most cases, and then nothing is said.
        watched.look().await;
        self.reload(true).await;
        self.catch_up(&mut watched).await;
        loop {
            let asked = tokio::select! {
                () = hung_up(&mut hangup) => true,
                () = watched.changed() => false,
            };
            if asked && self.sources.files.is_empty() {
                tracing::info!(
                    "SIGHUP: there is no configuration to read again; name it with --config"
                );
                continue;
            }
            // Events that come from now on are of a later edit. Who asks is done with writing.
            let differs = if asked { watched.look().await } else { watched.differs().await };
            if asked || differs {
                self.reload(false).await;
                self.catch_up(&mut watched).await;
            }
            watched.follow(&self.sources.files, &beside(&self.state.config.load()));
        }
    }

    /// What was edited while it was read may have been read or not.
    async fn catch_up(&mut self, watched: &mut Watched) {
        while watched.differs().await {
            self.reload(true).await;
        }
    }

    /// Reads it again; where `quiet`, nothing is said if there is no difference.
    async fn reload(&mut self, quiet: bool) {
        let running = self.state.config.load_full();
        let load = self.sources.load.clone();
        let loaded = tokio::task::spawn_blocking(move || load()).await;
        let mut attempt = Attempt {
            at: SystemTime::now(),
            outcome: Outcome::Refused,
            problems: Vec::new(),
            needs_restart: Vec::new(),
        };
        match loaded {
            Ok(Ok(loaded)) => {
                let (config, needs_restart) = loaded.beside(&running);
                attempt.needs_restart = needs_restart;
                match self.apply(config, &running).await {
                    Ok(outcome) => attempt.outcome = outcome,
                    Err(error) => attempt.problems.push(error.to_string()),
                }
            }
            Ok(Err(problems)) => attempt.problems = problems.0,
            Err(panicked) => attempt.problems.push(format!("it cannot be read: {panicked}")),
        }
        if quiet && attempt.outcome == Outcome::Unchanged {
            return;
        }
        tell(&attempt);
        self.state.following.rcu(|now| {
            let applied = attempt.outcome == Outcome::Applied;
            let loaded_at = if applied { attempt.at } else { now.loaded_at };
            Following { loaded_at, files: now.files.clone(), last: Some(attempt.clone()) }
        });
    }

    /// Puts `config` into force, or leaves everything as it is.
    async fn apply(&mut self, mut config: Config, running: &Config) -> Result<Outcome, StoreError> {
        if config.is_same(running) {
            return Ok(Outcome::Unchanged);
        }
        let opened = tokio::time::timeout(LIMIT, self.open(&config, running)).await;
        let (backends, strategies, auth) = opened.map_err(|_| {
            let limit = humantime::format_duration(LIMIT);
            let detail = format_args!("the databases did not answer within {limit}");
            StoreError::new(store::ErrorKind::Unreachable, detail)
        })??;
        let state = &self.state;
        let before = state.strategies.load_full();
        for sum in &strategies.connection_sum {
            if !before.connection_sum.iter().any(|before| before.text == sum.text) {
                super::say(sum);
            }
        }
        for warning in config.warnings.iter().filter(|new| !running.warnings.contains(new)) {
            tracing::warn!("{warning}");
        }
        strategies.take_over();
        let strategies = Arc::new(strategies);
        state.strategies.store(strategies.clone());
        state.sampler.look_at(backends.get(&config.database.url).clone(), &strategies);
        (self.sources.on_log)(&config.log);
        // A new one has forgotten who asked for how much.
        if config.rate_limit != running.rate_limit {
            state.rate_limit.store(Arc::new(RateLimit::new(&config.rate_limit)));
        }
        if let Some(auth) = auth {
            config.auth.keys = auth.keys();
            state.auth.store(Arc::new(auth));
        }
        let looks_differ = config.health != running.health
            || config.server.replicas != running.server.replicas
            || !backends.is_same(&self.backends);
        state.config.store(Arc::new(config));
        self.backends = backends;
        if looks_differ {
            self.watching = Watching::start(state, &self.backends).await;
        }
        Ok(Outcome::Applied)
    }

    /// Opens what `config` has that is not there yet. Changes nothing that serves.
    async fn open(
        &self,
        config: &Config,
        running: &Config,
    ) -> Result<(Backends, store::Strategies, Option<Auth>), StoreError> {
        // A new one has forgotten whose sign-ins failed.
        let same = config.auth == running.auth
            && (!Auth::asks_redis(config) || config.cache == running.cache);
        let auth = match same {
            true => None,
            false => {
                let config = config.clone();
                let made = tokio::task::spawn_blocking(move || Auth::new(&config)).await;
                Some(made.map_err(|error| StoreError::new(store::ErrorKind::Internal, error))??)
            }
        };
        let backends = Backends::beside(config, Some((running, &self.backends)))?;
        for (url, backend) in backends.iter() {
            let known = self.backends.iter().any(|(_, known)| Arc::ptr_eq(known, backend));
            if !known {
                let found = seed::wait_for(backend, Duration::ZERO).await;
                found.map_err(|error| error.during(&format!("`{}`", config.url_key(url))))?;
            }
        }
        let budget = self.state.budget.clone();
        let limits = BodyLimits { buffer: config.server.body_buffer, budget };
        let before = self.state.strategies.load_full();
        let running = Running { config: running, strategies: &before };
        let strategies = store::open(
            config,
            &backends,
            &self.plugins,
            &limits,
            &self.state.versions,
            Some(running),
        )
        .await?;
        Ok((backends, strategies, auth))
    }
}

/// The files that a configuration was read from besides its layers.
fn beside(config: &Config) -> Beside<'_> {
    Beside { files: &config.files, looked_at: config.auth.key_beside.as_deref() }
}

async fn hung_up(signal: &mut Option<Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

fn tell(attempt: &Attempt) {
    match attempt.outcome {
        Outcome::Applied => tracing::info!("the configuration was read again and is in force"),
        Outcome::Unchanged => tracing::info!("the configuration was read again: no difference"),
        Outcome::Refused => {
            for problem in &attempt.problems {
                tracing::error!(
                    "the edited configuration is refused, the old one stays: {problem}"
                );
            }
        }
    }
    if !attempt.needs_restart.is_empty() && attempt.outcome != Outcome::Refused {
        let keys = attempt.needs_restart.join(", ");
        tracing::warn!("changed, and in force only after a restart: {keys}");
    }
}
