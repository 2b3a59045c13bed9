//! Statements that hold together.

use super::Lease;
use crate::rows::{Failed, Guard};
use crate::store::StoreError;
use crate::store::backend::{Boundary, Command, Done};

/// A transaction on a leased connection. Dropped before its end, or when its connection is not at
/// rest, it takes the connection with it: the server rolls back.
pub struct Transaction(Option<Lease>);

impl Transaction {
    /// Begins one on a connection that belongs to this request alone ([`super::Access::transacts`]).
    ///
    /// # Errors
    /// As any statement.
    pub async fn begin(lease: Lease) -> Result<Self, StoreError> {
        let mut begun = Self(Some(lease));
        match begun.bound(Boundary::Begin).await {
            Ok(()) => Ok(begun),
            Err(failed) => {
                if failed.settled {
                    begun.give_back();
                }
                Err(failed.error)
            }
        }
    }

    /// Runs a statement. After an error only [`Transaction::roll_back`] helps.
    ///
    /// # Errors
    /// Also [`crate::store::ErrorKind::Taken`] and [`crate::store::ErrorKind::Conflict`].
    pub async fn run(&mut self, command: &Command<'_>) -> Result<Done, StoreError> {
        let failed = match self.lease().held.connection().run(command).await {
            Ok(done) => return Ok(done),
            Err(failed) => failed,
        };
        if !failed.settled {
            self.abandon();
        }
        Err(failed.error)
    }

    /// Whether one statement can write to several tables here.
    pub fn writes_many(&mut self) -> bool {
        self.lease().held.connection().writes_many()
    }

    /// Makes what it did hold.
    ///
    /// # Errors
    /// [`crate::store::ErrorKind::Disconnected`] leaves open whether it holds.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.end(Boundary::Commit).await
    }

    /// Undoes what it did. A connection on which that fails is closed, which undoes it as well.
    pub async fn roll_back(mut self) {
        if self.0.is_some()
            && let Err(error) = self.end(Boundary::RollBack).await
        {
            tracing::debug!(%error, "a transaction was not rolled back; its connection is closed");
        }
    }

    async fn end(&mut self, boundary: Boundary) -> Result<(), StoreError> {
        let ended = self.bound(boundary).await;
        if ended.is_ok() {
            self.give_back();
        }
        ended.map_err(|failed| failed.error)
    }

    async fn bound(&mut self, boundary: Boundary) -> Result<(), Failed<StoreError>> {
        self.lease().held.connection().bound(boundary).await
    }

    fn lease(&mut self) -> &mut Lease {
        self.0.as_mut().expect("nothing is run after a statement that left the connection unusable")
    }

    fn give_back(&mut self) {
        drop(self.0.take());
    }

    fn abandon(&mut self) {
        if let Some(lease) = self.0.take() {
            Box::new(lease).abandoned();
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.abandon();
    }
}
