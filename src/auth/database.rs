//! Users and sign-ins in the database: statements of one request, whole or not at all.

use std::sync::Arc;

use crate::store::access::Transaction;
use crate::store::backend::{Command, Done};
use crate::store::{ErrorKind, RequestContext, StoreError, Strategy};

/// How often statements that lost against others are tried.
const ATTEMPTS: u32 = 5;

/// The way of one request to the database, through a strategy whose access transacts.
pub struct Database {
    strategy: Arc<Strategy>,
    context: RequestContext,
}

impl Database {
    /// The way of a request of `context` through `strategy`.
    pub fn new(strategy: Arc<Strategy>, context: RequestContext) -> Self {
        Self { strategy, context }
    }

    /// Until when there must be an answer.
    pub fn deadline(&self) -> std::time::Instant {
        self.context.deadline
    }

    /// Runs a statement that only reads.
    pub(super) async fn read(&self, command: &Command<'_>) -> Result<Done, StoreError> {
        match self.read_once(command, false).await {
            Err(error) if is_worth_another_attempt(error.kind()) => {
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
    pub(super) async fn write(&self, commands: &[Command<'_>]) -> Result<Vec<Done>, StoreError> {
        let mut attempt = 1;
        loop {
            match self.write_once(commands, attempt > 1).await {
                Ok(done) => return Ok(done),
                Err((error, nothing_happened)) => {
                    let again = nothing_happened && is_worth_another_attempt(error.kind());
                    if !again || attempt == ATTEMPTS {
                        return Err(error);
                    }
                }
            }
            attempt += 1;
        }
    }

    /// An error comes with whether nothing can have happened.
    async fn write_once(
        &self,
        commands: &[Command<'_>],
        again: bool,
    ) -> Result<Vec<Done>, (StoreError, bool)> {
        let early = |error| (error, true);
        self.admit().map_err(early)?;
        let access = &self.strategy.access;
        if !access.transacts() {
            let detail = "users need a strategy whose connections belong to one request at a time";
            return Err((StoreError::new(ErrorKind::NotPrepared, detail), false));
        }
        let lease = match again {
            false => access.lease(&self.context).await,
            true => access.lease_alive(&self.context).await,
        };
        let mut transaction = Transaction::begin(lease.map_err(early)?).await.map_err(early)?;
        let mut done = Vec::with_capacity(commands.len());
        for command in commands {
            match transaction.run(command).await {
                Ok(one) => done.push(one),
                Err(error) => {
                    transaction.roll_back().await;
                    return Err((error, true));
                }
            }
        }
        match transaction.commit().await {
            Ok(()) => Ok(done),
            Err(error) => {
                let lost = error.kind() == ErrorKind::Conflict;
                Err((error, lost))
            }
        }
    }

    fn admit(&self) -> Result<(), StoreError> {
        self.strategy.breaker.as_ref().map_or(Ok(()), |breaker| breaker.admit())
    }
}

fn is_worth_another_attempt(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Disconnected | ErrorKind::Conflict)
}
