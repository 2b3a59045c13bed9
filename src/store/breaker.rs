//! A circuit breaker: while a database cannot be reached, requests for it fail at once instead of
//! each finding out for itself.
//!
//! A failed request is a suspicion, no proof: what opens and closes the breaker is a question of its
//! own to the database (a probe), so that a slow statement opens nothing and no request pays for
//! finding out that the database is back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;

use super::backend::Backend;
use super::{ErrorKind, StoreError};
use crate::config::Database;
use crate::observe::{BreakerState, BreakerView};

/// A probe that took longer than this counts as unanswered.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// The breaker of one database.
pub struct Breaker {
    backend: Arc<dyn Backend>,
    /// What it is about, in the log: the key of its URL.
    name: String,
    /// Time between two probes while it is open.
    interval: Duration,
    probe_limit: Duration,
    state: watch::Sender<State>,
    probing: AtomicBool,
    opened: Counter,
    refused: Counter,
}

#[derive(Clone)]
struct State {
    is: BreakerState,
    since: Instant,
    /// Why it is open.
    reason: Option<Arc<str>>,
}

impl State {
    fn closed() -> Self {
        Self { is: BreakerState::Closed, since: Instant::now(), reason: None }
    }
}

impl Breaker {
    /// A closed one around `backend`; none where config wants none.
    pub fn new(name: String, backend: Arc<dyn Backend>, settings: &Database) -> Option<Arc<Self>> {
        (!settings.breaker_interval.is_zero()).then(|| {
            Arc::new(Self {
                backend,
                name,
                interval: settings.breaker_interval,
                probe_limit: settings.connect_timeout.min(PROBE_LIMIT),
                state: watch::Sender::new(State::closed()),
                probing: AtomicBool::new(false),
                opened: Counter::default(),
                refused: Counter::default(),
            })
        })
    }

    /// Whether a request may try.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] with why, at once, unless it is closed.
    pub fn admit(&self) -> Result<(), StoreError> {
        let state = self.state.borrow();
        match &state.reason {
            None => Ok(()),
            Some(reason) => Err(self.refusal(reason)),
        }
    }

    /// Resolves when it opens, with what those who wait for a connection are told.
    pub async fn opens(&self) -> StoreError {
        let mut states = self.state.subscribe();
        // It is never closed while `self` holds its other end.
        let opened = states.wait_for(|state| state.reason.is_some()).await;
        let reason = opened.ok().and_then(|state| state.reason.clone());
        self.refusal(reason.as_deref().unwrap_or_default())
    }

    fn refusal(&self, reason: &str) -> StoreError {
        self.refused.inc();
        let detail = format_args!("the circuit breaker is open: {reason}");
        StoreError::new(ErrorKind::Unreachable, detail)
    }

    /// Somebody found the database out of reach: unless it answers a probe, the breaker opens.
    pub fn suspect(self: &Arc<Self>) {
        if self.probing.swap(true, Ordering::Relaxed) {
            return;
        }
        tokio::spawn(watch_over(Arc::downgrade(self)));
    }

    /// As it is now.
    pub fn view(&self) -> BreakerView {
        let state = self.state.borrow().clone();
        BreakerView {
            state: state.is,
            since: Some(state.since),
            reason: state.reason,
            opened: Some(self.opened.get()),
            refused: self.refused.get(),
        }
    }

    /// Whether the database answers. That it lets nobody in is an answer.
    async fn probe(&self) -> Result<(), StoreError> {
        let asking = async {
            let mut connection = self.backend.connect().await?;
            connection.check().await
        };
        let limit = self.probe_limit;
        let answer = tokio::time::timeout(limit, asking).await.unwrap_or_else(|_| {
            let limit = humantime::format_duration(limit);
            Err(StoreError::new(ErrorKind::Unreachable, format_args!("no answer within {limit}")))
        });
        answer.or_else(|error| if is_out_of_reach(error.kind()) { Err(error) } else { Ok(()) })
    }

    fn set(&self, is: BreakerState, reason: Option<Arc<str>>) {
        self.state.send_modify(|state| {
            let goes_on = state.reason.is_some() && reason.is_some();
            let since = if goes_on { state.since } else { Instant::now() };
            *state = State { is, since, reason };
        });
    }

    fn open(&self, error: &StoreError) {
        if self.state.borrow().reason.is_none() {
            self.opened.inc();
            tracing::warn!(
                database = %self.name, reason = %error,
                "the database cannot be reached; until it can, requests for it are refused at once"
            );
        }
        self.set(BreakerState::Open, Some(error.to_string().into()));
    }

    fn close(&self) {
        if self.state.borrow().reason.is_some() {
            tracing::info!(database = %self.name, "the database can be reached again");
            self.set(BreakerState::Closed, None);
        }
    }
}

/// Whether a failure says that the database may be out of reach.
pub(super) fn is_out_of_reach(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unreachable | ErrorKind::Disconnected | ErrorKind::Unanswered)
}

/// Probes until the database answers, or until nobody has the breaker any more.
async fn watch_over(breaker: Weak<Breaker>) {
    while let Some(breaker) = breaker.upgrade() {
        let reason = breaker.state.borrow().reason.clone();
        if reason.is_some() {
            breaker.set(BreakerState::HalfOpen, reason);
        }
        match breaker.probe().await {
            Ok(()) => {
                breaker.close();
                breaker.probing.store(false, Ordering::Relaxed);
                return;
            }
            Err(error) => breaker.open(&error),
        }
        // Several replicas must not knock in step at a database that comes back.
        let pause = breaker.interval.mul_f64(0.5 + 0.5 * rand::random::<f64>());
        drop(breaker);
        tokio::time::sleep(pause).await;
    }
}
