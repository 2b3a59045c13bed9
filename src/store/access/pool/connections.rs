//! How the pool makes a connection, and how it looks whether one is fit to be lent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};

use crate::config::Recycle;
use crate::observe::AccessMeter;
use crate::store::StoreError;
use crate::store::access::connect;
use crate::store::backend::{Backend, Connection};

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
}

/// A connection of the pool.
pub(super) struct Pooled {
    pub connection: Box<dyn Connection>,
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

    /// Time since then.
    pub fn idle_for(&self) -> Duration {
        self.used_at.elapsed()
    }
}

impl Manager for Connections {
    type Type = Pooled;
    type Error = StoreError;

    async fn create(&self) -> Result<Pooled, StoreError> {
        let connection = connect(&*self.backend, self.connect_timeout, &self.meter).await?;
        let lifetime = self.max_lifetime.mul_f64(1.0 - JITTER * rand::random::<f64>());
        let used_at = Instant::now();
        let retire_at = (!lifetime.is_zero()).then(|| used_at + lifetime);
        Ok(Pooled { connection, retire_at, used_at })
    }

    async fn recycle(&self, pooled: &mut Pooled, _: &Metrics) -> RecycleResult<StoreError> {
        if pooled.connection.is_closed() {
            return Err(RecycleError::message("closed"));
        }
        match self.recycle {
            Recycle::Fast => Ok(()),
            Recycle::Verified => pooled.connection.check().await.map_err(RecycleError::Backend),
        }
    }
}
