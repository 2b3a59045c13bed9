//! Requests that may be sent twice: what the first of a key led to, for the second
//! (draft-ietf-httpapi-idempotency-key-header-07).
//!
//! A key is taken at the beginning of the transaction that it is for, so that a second request waits there
//! until the first is over, and both hold or neither.

use super::{Refusal, Work, Worked, now, row};
use crate::store::access::Transaction;
use crate::store::backend::{Bind, Command, Datum, Kind};
use crate::store::{ErrorKind, StoreError};

/// Names a request of a user.
#[derive(Debug, Clone)]
pub struct Key {
    /// Whose it is.
    pub user: i64,
    /// What the user calls it: 1 to 255 characters.
    pub name: String,
    /// A hash of everything that was asked for, in at most 64 characters.
    pub fingerprint: String,
}

/// What the first request of a key led to.
pub(super) struct Record {
    /// The number of what it made.
    pub subject: i64,
    /// Its answer, where that is kept.
    pub body: String,
}

impl Key {
    /// Takes the key, or gives what the request that has it led to.
    pub(super) async fn reserve(
        &self,
        transaction: &mut Transaction,
    ) -> Result<Option<Record>, Refusal> {
        let binds = [
            Bind::Int(self.user),
            Bind::Text(&self.name),
            Bind::Text(&self.fingerprint),
            Bind::Timestamp(now()),
        ];
        let reserve = Command { name: "reserve_key", binds: &binds, columns: &[] };
        match transaction.run(&reserve).await {
            Ok(done) if done.affected > 0 => return Ok(None),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StatementTimeout => {
                return Err(Refusal::KeyInUse);
            }
            Err(error) => return Err(error.into()),
        }
        let columns = &[Kind::Text, Kind::Int, Kind::Text];
        let read = Command { name: "read_key", binds: &binds[..2], columns };
        let found = transaction.run(&read).await?.rows.into_iter().next();
        let Some(found) = found else {
            let detail = "a key was given up while it was waited for";
            return Err(StoreError::new(ErrorKind::Conflict, detail).into());
        };
        match <[Datum; 3]>::try_from(found) {
            Ok([Datum::Text(fingerprint), ..]) if fingerprint != self.fingerprint => {
                Err(Refusal::KeyReused)
            }
            Ok([_, Datum::Int(subject), Datum::Text(body)]) => Ok(Some(Record { subject, body })),
            _ => Err(row::unreadable("an idempotency key").into()),
        }
    }

    /// Keeps what the request led to.
    pub(super) async fn settle(
        &self,
        transaction: &mut Transaction,
        subject: i64,
        body: &str,
    ) -> Result<(), StoreError> {
        let binds =
            [Bind::Int(subject), Bind::Text(body), Bind::Int(self.user), Bind::Text(&self.name)];
        let settle = Command { name: "settle_key", binds: &binds, columns: &[] };
        transaction.run(&settle).await.map(drop)
    }
}

/// Forgets some old keys: how many.
pub(super) struct Forget {
    /// Microseconds since 1970.
    pub before: i64,
}

impl Work for Forget {
    type Done = u64;
    const COUNTED: bool = false;

    async fn run(&self, transaction: &mut Transaction) -> Result<Worked<u64>, Refusal> {
        let binds = [Bind::Timestamp(self.before)];
        let forget = Command { name: "forget_keys", binds: &binds, columns: &[] };
        Ok(Worked::changed(transaction.run(&forget).await?.affected, Vec::new()))
    }
}
