//! How the pool makes a connection, and how it looks whether one is fit to be lent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};

use super::handover::{Generation, Lineage, Member};
use crate::config::Recycle;
use crate::observe::{AccessMeter, Closing};
use crate::store::access::connect;
use crate::store::backend::{Backend, Connection};
use crate::store::{ErrorKind, StoreError};

/// Part of its lifetime by which a connection may be replaced early, at random, so that those
/// opened together are not replaced together.
const JITTER: f64 = 0.1;

/// Tells the pool how to make and check a connection of any backend.
pub(super) struct Connections {
    pub backend: Arc<dyn Backend>,
    pub recycle: Recycle,
    pub connect_timeout: Duration,
    /// 0 for no limit.
    pub max_lifetime: Duration,
    pub meter: Arc<AccessMeter>,
    /// The pool that they are of, and those before it.
    pub generation: Arc<Generation>,
    pub lineage: Arc<Lineage>,
    /// Taken over from a former pool, and not yet lent by this one.
    pub adopted: Mutex<Vec<Pooled>>,
}

impl Connections {
    /// Whether a connection of another pool is as good as one of its own.
    pub fn takes(&self, pooled: &Pooled) -> bool {
        Arc::ptr_eq(&self.backend, &pooled.backend)
    }

    /// Gives a connection of a pool that lends no more to the one that does, or closes it.
    pub fn pass_on(pooled: Pooled) {
        let lineage = pooled.member.lineage().clone();
        lineage.adopt(pooled);
    }

    fn take_adopted(&self) -> Option<Pooled> {
        self.adopted().pop()
    }

    /// Those that were taken over.
    pub fn adopted(&self) -> MutexGuard<'_, Vec<Pooled>> {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retire_at(&self, opened_at: Instant) -> Option<Instant> {
        let lifetime = self.max_lifetime.mul_f64(1.0 - JITTER * rand::random::<f64>());
        (!lifetime.is_zero()).then(|| opened_at + lifetime)
    }
}

/// A connection of the pool.
pub(super) struct Pooled {
    pub connection: Box<dyn Connection>,
    pub member: Member,
    backend: Arc<dyn Backend>,
    opened_at: Instant,
    /// When it is to be replaced; `None` for never.
    retire_at: Option<Instant>,
    /// When it was last lent to a request, or gave a sign of life.
    used_at: Instant,
}

impl Pooled {
    /// Whether it is older than it should be.
    pub fn is_overdue(&self) -> bool {
        self.retire_at.is_some_and(|at| at <= Instant::now())
    }

    /// Notes that it is used, or gave a sign of life.
    pub fn is_used(&mut self) {
        self.used_at = Instant::now();
    }

    /// Asks the server for a sign of life. A connection that fails it, or is dropped before, is broken.
    pub async fn verify(&mut self) -> Result<(), StoreError> {
        self.connection.closes(Closing::Broken);
        self.connection.check().await?;
        self.connection.closes(Closing::Unneeded);
        Ok(())
    }

    /// Time since then.
    pub fn idle_for(&self) -> Duration {
        self.used_at.elapsed()
    }
}

impl Manager for Connections {
    type Type = Pooled;
    type Error = StoreError;

    async fn create(&self) -> Result<Pooled, StoreError> {
        // Counted before anybody looks whether there may be more.
        let member = Member::new(&self.generation, &self.lineage);
        if self.generation.is_superseded() {
            return Err(StoreError::new(ErrorKind::Internal, "another pool lends in its stead"));
        }
        while let Some(mut pooled) = self.take_adopted() {
            if !pooled.connection.is_closed() {
                pooled.retire_at = self.retire_at(pooled.opened_at);
                return Ok(pooled);
            }
        }
        let connection = connect(&*self.backend, self.connect_timeout, &self.meter).await?;
        let backend = self.backend.clone();
        let now = Instant::now();
        let retire_at = self.retire_at(now);
        Ok(Pooled { connection, member, backend, opened_at: now, retire_at, used_at: now })
    }

    async fn recycle(&self, pooled: &mut Pooled, _: &Metrics) -> RecycleResult<StoreError> {
        if pooled.connection.is_closed() {
            return Err(RecycleError::message("closed"));
        }
        match self.recycle {
            Recycle::Fast => Ok(()),
            Recycle::Verified => pooled.verify().await.map_err(RecycleError::Backend),
        }
    }
}
