//! One write: a transaction from its beginning to its end, again where another got in the way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Catalogue, Refusal, Work, Worked};
use crate::store::access::{Lease, Transaction};
use crate::store::backend::{Bind, Command, Datum, Kind};
use crate::store::breaker::is_out_of_reach;
use crate::store::{ErrorKind, RequestContext, StoreError, Tag, Versions};

/// How often a transaction is tried at most.
const ATTEMPTS: u32 = 4;
/// The pause before the second attempt is a random part of this; each later one may be twice as long.
const PAUSE: Duration = Duration::from_millis(20);
/// A commit that was sent is waited for at least this long: who gives up does not know what came of it.
const COMMIT: Duration = Duration::from_secs(2);
/// Caches are told of a write whose commit was not answered at once, and after these pauses again.
const AGAIN: [Duration; 6] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(12),
    Duration::from_secs(40),
];
/// Time to undo a transaction; after that its connection is closed, which undoes it as well.
const UNDO: Duration = Duration::from_secs(1);

/// Does something within the time of the request.
pub(super) async fn in_time<T, E: From<StoreError>>(
    context: &RequestContext,
    act: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::time::timeout_at(context.deadline.into(), act).await.unwrap_or_else(|_| {
        Err(StoreError::new(ErrorKind::Unanswered, "the request's deadline passed").into())
    })
}

impl Catalogue {
    /// A connection, given up when the breaker opens meanwhile: there will be none.
    pub(super) async fn lease(
        &self,
        context: &RequestContext,
        again: bool,
    ) -> Result<Lease, StoreError> {
        let leasing = match again {
            false => self.access.lease(context),
            true => self.access.lease_alive(context),
        };
        let Some(breaker) = &self.breaker else { return leasing.await };
        breaker.admit()?;
        tokio::select! {
            biased;
            lease = leasing => lease,
            error = breaker.opens() => Err(error),
        }
    }

    /// Tells the breaker of a failure that says that the database may be out of reach.
    pub(super) fn suspect(&self, error: &StoreError) {
        if let Some(breaker) = &self.breaker
            && is_out_of_reach(error.kind())
        {
            breaker.suspect();
        }
    }
}

/// Runs `work` in a transaction and makes it hold; then every answer that it made old is no longer served.
pub(super) async fn transact<W: Work>(
    catalogue: &Catalogue,
    work: &W,
    context: &RequestContext,
) -> Result<W::Done, Refusal> {
    let mut pause = PAUSE;
    for attempt in 1.. {
        let refusal = match once(catalogue, work, context, attempt > 1).await {
            Err(refusal) => refusal,
            done => return done,
        };
        let again = match &refusal {
            Refusal::Failed(error) if error.kind() == ErrorKind::Taken => {
                let taken = taken(catalogue, &work.skus(), context).await?;
                if !taken.is_empty() {
                    return Err(Refusal::SkusTaken(taken));
                }
                // Whoever had it has given it up.
                true
            }
            Refusal::Failed(error) => {
                catalogue.suspect(error);
                error.kind().is_worth_another_attempt()
            }
            Refusal::Unknown(error) => {
                catalogue.suspect(error);
                false
            }
            _ => false,
        };
        let wait = pause.mul_f64(rand::random());
        if !again || attempt >= ATTEMPTS || Instant::now() + wait >= context.deadline {
            return Err(refusal);
        }
        tracing::debug!(request_id = %context.request_id, attempt, ?refusal, "writing again");
        tokio::time::sleep(wait).await;
        pause *= 2;
    }
    unreachable!("it is left by returning")
}

async fn once<W: Work>(
    catalogue: &Catalogue,
    work: &W,
    context: &RequestContext,
    again: bool,
) -> Result<W::Done, Refusal> {
    let begin = async { Transaction::begin(catalogue.lease(context, again).await?).await };
    let mut transaction = in_time(context, begin).await?;
    let (done, tags) = match in_time(context, work.run(&mut transaction)).await {
        Ok(Worked { done, changed: Some(tags) }) => (done, tags),
        // There is nothing to undo, and nothing to make hold either.
        other => {
            // A statement that was given up half-way takes its connection with it.
            let gave_up =
                matches!(&other, Err(Refusal::Failed(e)) if e.kind() == ErrorKind::Unanswered);
            if !gave_up {
                let _ = tokio::time::timeout(UNDO, transaction.roll_back()).await;
            }
            return other.map(|worked| worked.done);
        }
    };
    let limit = context.remaining(Duration::MAX).max(COMMIT);
    let committed = tokio::time::timeout(limit, transaction.commit()).await.unwrap_or_else(|_| {
        Err(StoreError::new(ErrorKind::Unanswered, "a commit was not answered in time"))
    });
    match committed {
        Ok(()) => {
            catalogue.meter.from_database.inc();
            catalogue.versions.changed(&tags).await;
            Ok(done)
        }
        // Only these say for sure that nothing holds.
        Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Taken) => {
            Err(Refusal::Failed(error))
        }
        Err(error) => {
            // It may hold, now or later.
            catalogue.versions.changed(&tags).await;
            tokio::spawn(tell_again(catalogue.versions.clone(), tags));
            Err(Refusal::Unknown(error))
        }
    }
}

/// Tells caches of a change that may take place only now: a commit that nobody waits for any more may
/// still be under way in the database, and what is read until it is over is of before.
async fn tell_again(versions: Arc<Versions>, tags: Vec<Tag>) {
    for pause in AGAIN {
        tokio::time::sleep(pause).await;
        versions.changed(&tags).await;
    }
}

/// Those of `skus` that some product has.
async fn taken(
    catalogue: &Catalogue,
    skus: &[&str],
    context: &RequestContext,
) -> Result<Vec<String>, StoreError> {
    let skus = skus.iter().map(|sku| serde_json::json!({ "sku": sku })).collect();
    let skus = serde_json::Value::Array(skus).to_string();
    let command = Command {
        name: "ids_of_skus",
        binds: &[Bind::Text(&skus)],
        columns: &[Kind::Int, Kind::Text],
    };
    let found = catalogue.read(&command, context).await?;
    let sku = |row: Vec<Datum>| match row.into_iter().nth(1) {
        Some(Datum::Text(sku)) => Some(sku),
        _ => None,
    };
    Ok(found.rows.into_iter().filter_map(sku).collect())
}
