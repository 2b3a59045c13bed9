//! Asks one database for a sign of life, again and again, on a connection of its own.
//!
//! A look ends in bounded time, whatever the other side does. What it began and has no answer to
//! stays: a database that was frozen answers the same question when it goes on, and meanwhile at
//! most one more connection is being opened.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use crate::store::backend::{Backend, Watch};
use crate::store::{ErrorKind, StoreError};

/// A look has its time in so many steps. When this process stands still, that costs it one of them,
/// and the answer that came meanwhile is read in the next.
const STEPS: u32 = 6;
/// An answer that is owed for longer may never come, as after a network lost the question: then
/// another connection is tried besides.
const OWED: Duration = Duration::from_secs(1);
/// An attempt to connect is given up for another after a tenth of the time of silence, within these.
const ATTEMPT: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// What a look came to.
#[derive(Debug, Clone)]
pub(super) enum Seen {
    /// It answered after this time.
    Up(Duration),
    /// It did not answer in time, but meanwhile answered somebody else.
    Late,
    /// It answers that it has no connection left.
    Full(StoreError),
    /// It is down.
    Down(Down, StoreError),
}

/// How a database is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Down {
    /// It refuses or closes connections.
    Refused,
    /// It does not answer.
    Silent,
    /// It answers, and does not let us in.
    NotLetIn,
}

type Opening = BoxFuture<'static, Result<Box<dyn Watch>, StoreError>>;
type Asked = BoxFuture<'static, (Box<dyn Watch>, Result<(), StoreError>)>;

/// Looks at one database.
pub(super) struct Pinger {
    backend: Arc<dyn Backend>,
    limit: Duration,
    /// A connection at rest.
    idle: Option<Box<dyn Watch>>,
    /// A question without an answer, and since when.
    asked: Option<(Instant, Asked)>,
    /// An attempt to connect, and since when.
    opening: Option<(Instant, Opening)>,
    /// When the first look ended without an answer since there last was one.
    silent_since: Option<Instant>,
}

/// What happens first.
enum Event {
    Answered(Box<dyn Watch>, Result<(), StoreError>),
    Opened(Result<Box<dyn Watch>, StoreError>),
    Step,
}

impl Pinger {
    /// Connects at its first look. A look without an answer ends after `limit`.
    pub fn new(backend: Arc<dyn Backend>, limit: Duration) -> Self {
        Self { backend, limit, idle: None, asked: None, opening: None, silent_since: None }
    }

    /// Looks once. `answered` counts the answers that the database gave to anybody: one that came
    /// in the second half of the time says that it is not down.
    ///
    /// # Cancellation safety
    /// May be dropped.
    pub async fn look(&mut self, answered: impl Fn() -> u64) -> Seen {
        let began = Instant::now();
        self.begin();
        let mut steps = 0;
        let mut reopened = false;
        let mut before = answered();
        loop {
            match self.next().await {
                Event::Answered(watch, Ok(())) => {
                    self.opening = None;
                    self.silent_since = None;
                    let (asked_at, _) = self.asked.take().expect("it was answered");
                    if asked_at >= began {
                        self.idle = Some(watch);
                        return Seen::Up(asked_at.elapsed());
                    }
                    // The answer to an earlier look says little about now.
                    self.ask(watch);
                    steps = 0;
                }
                Event::Answered(_, Err(error)) => {
                    self.asked = None;
                    if std::mem::replace(&mut reopened, true) {
                        return down(error);
                    }
                    // Only this connection may be gone.
                    self.open();
                }
                Event::Opened(Ok(watch)) => {
                    self.opening = None;
                    self.ask(watch);
                }
                Event::Opened(Err(error)) => {
                    self.opening = None;
                    return down(error);
                }
                Event::Step => {
                    steps += 1;
                    if steps == STEPS {
                        self.silent_since.get_or_insert(began);
                        if answered() > before {
                            return Seen::Late;
                        }
                        let limit = humantime::format_duration(self.limit);
                        let detail = format_args!("no answer within {limit} (health.timeout)");
                        let error = StoreError::new(ErrorKind::Unreachable, detail);
                        return Seen::Down(Down::Silent, error);
                    }
                    if steps <= STEPS / 2 {
                        before = answered();
                    }
                }
            }
        }
    }

    /// Sees to it that there is something to wait for.
    fn begin(&mut self) {
        if let Some(watch) = self.idle.take() {
            return self.ask(watch);
        }
        let silent = self.silent_since.map_or(Duration::ZERO, |since| since.elapsed());
        let patience = (silent / 10).clamp(ATTEMPT[0], ATTEMPT[1]);
        if self.opening.as_ref().is_some_and(|(since, _)| since.elapsed() > patience) {
            self.opening = None;
        }
        let owed = self.asked.as_ref().map(|(since, _)| since.elapsed());
        if self.opening.is_none() && owed.is_none_or(|owed| owed > OWED) {
            self.open();
        }
    }

    fn ask(&mut self, mut watch: Box<dyn Watch>) {
        let asking = async move {
            let answered = watch.ping().await;
            (watch, answered)
        };
        self.asked = Some((Instant::now(), Box::pin(asking)));
    }

    fn open(&mut self) {
        let backend = self.backend.clone();
        let opening = async move { backend.watch().await };
        self.opening = Some((Instant::now(), Box::pin(opening)));
    }

    async fn next(&mut self) -> Event {
        tokio::select! {
            biased;
            (watch, answered) = pending_or(&mut self.asked) => Event::Answered(watch, answered),
            opened = pending_or(&mut self.opening) => Event::Opened(opened),
            () = tokio::time::sleep(self.limit / STEPS) => Event::Step,
        }
    }
}

/// What becomes of a future, where there is one.
async fn pending_or<T>(future: &mut Option<(Instant, BoxFuture<'static, T>)>) -> T {
    match future {
        Some((_, future)) => future.await,
        None => std::future::pending().await,
    }
}

fn down(error: StoreError) -> Seen {
    match error.kind() {
        ErrorKind::Saturated => Seen::Full(error),
        ErrorKind::Unreachable | ErrorKind::Disconnected => Seen::Down(Down::Refused, error),
        _ => Seen::Down(Down::NotLetIn, error),
    }
}
