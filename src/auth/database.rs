//! Users and sign-ins in the database: statements of one request, whole or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::store::access::Transaction;
use crate::store::backend::{Command, Done};
use crate::store::{ErrorKind, RequestContext, StoreError, Strategy};

/// How often statements that lost against others are tried.
const ATTEMPTS: u32 = 5;
/// The pause before the second attempt is a random part of this; each later one may be twice as long.
const PAUSE: Duration = Duration::from_millis(20);
/// How long statements may take that nobody waits for.
const LATER: Duration = Duration::from_secs(60);

/// The way of one request to the database, through a strategy whose access transacts.
#[derive(Clone)]
pub struct Database {
    strategy: Arc<Strategy>,
    context: RequestContext,
    /// Whether a commit was sent and not answered.
    committing: Arc<AtomicBool>,
}

/// Why statements that write did not take place, as far as that is known.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// Nothing has happened.
    Failed(StoreError),
    /// The connection was lost while the database was asked to make them hold.
    Unknown(StoreError),
}

impl From<StoreError> for Unwritten {
    fn from(error: StoreError) -> Self {
        Unwritten::Failed(error)
    }
}

impl From<Unwritten> for StoreError {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::Failed(error) | Unwritten::Unknown(error) => error,
        }
    }
}

impl Database {
    /// The way of a request of `context` through `strategy`.
    pub fn new(strategy: Arc<Strategy>, context: RequestContext) -> Self {
        Self { strategy, context, committing: Arc::default() }
    }

    /// Says, also once it is given up, whether what it does may have taken place or not.
    pub fn committing(&self) -> Arc<AtomicBool> {
        self.committing.clone()
    }

    /// The same for something that goes on when the request is over.
    pub(super) fn later(&self) -> Self {
        let context = RequestContext { deadline: Instant::now() + LATER, ..self.context.clone() };
        Self::new(self.strategy.clone(), context)
    }

    /// Until when there must be an answer.
    pub fn deadline(&self) -> std::time::Instant {
        self.context.deadline
    }

    /// Runs a statement that only reads.
    pub(super) async fn read(&self, command: &Command<'_>) -> Result<Done, StoreError> {
        match self.read_once(command, false).await {
            Err(error) if error.kind().is_worth_another_attempt() => {
                self.read_once(command, true).await
            }
            outcome => outcome,
        }
    }

    async fn read_once(&self, command: &Command<'_>, again: bool) -> Result<Done, StoreError> {
        self.admit()?;
        let access = &self.strategy.access;
        let lease = match again {
            false => access.lease(&self.context).await?,
            true => access.lease_alive(&self.context).await?,
        };
        lease.read(command).await
    }

    /// Runs statements in one transaction, one after the other; anew where they lost against others.
    pub(super) async fn write(&self, commands: &[Command<'_>]) -> Result<Vec<Done>, Unwritten> {
        let mut pause = PAUSE;
        for attempt in 1.. {
            let unwritten = match self.write_once(commands, attempt > 1).await {
                Err(unwritten) => unwritten,
                done => return done,
            };
            let again = match &unwritten {
                Unwritten::Failed(error) => error.kind().is_worth_another_attempt(),
                Unwritten::Unknown(_) => false,
            };
            // Those who lost together would meet again.
            let wait = pause.mul_f64(rand::random());
            if !again || attempt >= ATTEMPTS || Instant::now() + wait >= self.context.deadline {
                return Err(unwritten);
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        unreachable!("it is left by returning")
    }

    async fn write_once(
        &self,
        commands: &[Command<'_>],
        again: bool,
    ) -> Result<Vec<Done>, Unwritten> {
        self.admit()?;
        let access = &self.strategy.access;
        if !access.transacts() {
            let detail = "users need a strategy whose connections belong to one request at a time";
            return Err(StoreError::new(ErrorKind::NotPrepared, detail).into());
        }
        let lease = match again {
            false => access.lease(&self.context).await,
            true => access.lease_alive(&self.context).await,
        };
        let mut transaction = Transaction::begin(lease?).await?;
        let mut done = Vec::with_capacity(commands.len());
        for command in commands {
            match transaction.run(command).await {
                Ok(one) => done.push(one),
                Err(error) => {
                    transaction.roll_back().await;
                    return Err(error.into());
                }
            }
        }
        self.committing.store(true, Ordering::Relaxed);
        let committed = transaction.commit().await;
        self.committing.store(false, Ordering::Relaxed);
        committed.map(|()| done).map_err(|error| match error.kind() {
            ErrorKind::Disconnected | ErrorKind::Unreachable | ErrorKind::Unanswered => {
                Unwritten::Unknown(error)
            }
            _ => Unwritten::Failed(error),
        })
    }

    fn admit(&self) -> Result<(), StoreError> {
        self.strategy.breaker.as_ref().map_or(Ok(()), |breaker| breaker.admit())
    }
}
