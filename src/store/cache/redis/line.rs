//! A link to Redis that is opened when it is needed and opened anew when it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout_at;

use super::door::{Door, Link};
use crate::observe::BreakerState;
use crate::redis_client::Moment;

/// After a failed attempt to connect the next one begins no sooner.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// Requests that have had no answer for this long are probably stuck, and others had better go
/// elsewhere.
const STUCK_AFTER: Duration = Duration::from_millis(100);

/// A link and who uses it.
pub(super) struct Line {
    door: Door,
    state: Arc<watch::Sender<State>>,
    in_flight: AtomicUsize,
    /// When the first of those in flight came.
    busy_since: Moment,
    /// When something was last answered.
    answered: Moment,
}

enum State {
    Closed,
    /// It is being opened. After a failure nobody waits for that: the reason.
    Opening(Option<Arc<str>>),
    Open(Link),
    Failed {
        why: Arc<str>,
        at: Instant,
    },
}

/// A request in flight.
pub(super) struct Busy<'a>(&'a AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Line {
    pub fn new(door: Door) -> Self {
        Self {
            door,
            state: Arc::new(watch::Sender::new(State::Closed)),
            in_flight: AtomicUsize::new(0),
            busy_since: Moment::default(),
            answered: Moment::default(),
        }
    }

    /// Whether requests go here: a line that is down is its own circuit breaker. With why not.
    pub fn breaker(&self) -> (BreakerState, Option<Arc<str>>) {
        match &*self.state.borrow() {
            State::Failed { why, .. } => (BreakerState::Open, Some(why.clone())),
            State::Opening(Some(why)) => (BreakerState::HalfOpen, Some(why.clone())),
            State::Closed | State::Opening(None) | State::Open(_) => (BreakerState::Closed, None),
        }
    }

    /// How bad it is to send a request here: whether it is down, whether it is stuck, how many
    /// requests are in flight.
    pub fn burden(&self) -> (bool, bool, usize) {
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        let state = self.state.borrow();
        let down = matches!(*state, State::Failed { .. } | State::Opening(Some(_)));
        let read = match &*state {
            State::Open(link) => link.flow().map(|flow| flow.read.get()),
            _ => None,
        };
        let since = read.unwrap_or(self.answered.get()).max(self.busy_since.get());
        (down, in_flight > 0 && since.elapsed() > STUCK_AFTER, in_flight)
    }

    /// Counts a request as in flight until the guard is dropped.
    pub fn enter(&self) -> Busy<'_> {
        if self.in_flight.fetch_add(1, Ordering::Relaxed) == 0 {
            self.busy_since.set();
        }
        Busy(&self.in_flight)
    }

    /// The link; one that is being opened for the first time, or after the server closed it, is
    /// waited for.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn link(&self, until: Instant) -> Result<Link, Arc<str>> {
        if let State::Open(link) = &*self.state.borrow() {
            return Ok(link.clone());
        }
        let mut failed = None;
        let begun = self.state.send_if_modified(|state| {
            let next = match state {
                State::Closed => State::Opening(None),
                State::Failed { why, at } => {
                    failed = Some(why.clone());
                    if at.elapsed() < RETRY_AFTER {
                        return false;
                    }
                    State::Opening(Some(why.clone()))
                }
                State::Opening(why) => {
                    failed = why.clone();
                    return false;
                }
                State::Open(_) => return false,
            };
            *state = next;
            true
        });
        if begun {
            self.open();
        }
        if let Some(why) = failed {
            return Err(why);
        }
        let mut states = self.state.subscribe();
        let settled = states.wait_for(|state| !matches!(state, State::Opening(_)));
        let settled = timeout_at(until.into(), settled).await;
        match settled.ok().and_then(Result::ok).as_deref() {
            Some(State::Open(link)) => Ok(link.clone()),
            Some(State::Failed { why, .. }) => Err(why.clone()),
            _ => Err("there is no connection yet".into()),
        }
    }

    /// In a task of its own: it goes on when those who wait for it leave.
    fn open(&self) {
        let (door, state) = (self.door.clone(), self.state.clone());
        tokio::spawn(async move {
            let opened = door.open().await;
            state.send_replace(match opened {
                Ok(link) => State::Open(link),
                Err(why) => State::Failed { why: why.into(), at: Instant::now() },
            });
        });
    }

    /// Notes that it has answered.
    pub fn has_answered(&self) {
        self.answered.set();
    }

    /// How long nothing was answered.
    pub fn unanswered(&self) -> Duration {
        self.answered.get().elapsed()
    }

    /// `link` was closed: the next request opens another and waits for it.
    pub fn closed(&self, link: &Link) {
        self.state.send_if_modified(|state| {
            let ours = matches!(state, State::Open(open) if open.is(link));
            if ours {
                *state = State::Closed;
            }
            ours
        });
    }

    /// Nothing comes on `link` any more: another is opened at once, and nobody waits for it.
    pub fn silent(&self, link: &Link, why: &str) {
        let begun = self.state.send_if_modified(|state| {
            let ours = matches!(state, State::Open(open) if open.is(link));
            if ours {
                *state = State::Opening(Some(why.into()));
            }
            ours
        });
        if begun {
            self.open();
        }
    }
}
