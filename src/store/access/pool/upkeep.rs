//! Keeps a pool whole in the background, so that requests find connections that work.
//!
//! The size stays what it is: a new connection is open before the old one closes, and what died is
//! made again without waiting for a request.

use std::time::Duration;

use deadpool::managed::{Manager as _, Object, Pool, PoolError, TimeoutType, Timeouts, WeakPool};
use futures_util::future::join_all;

use super::connections::{Connections, Pooled};
use super::store_error;
use crate::observe::Closing;
use crate::store::StoreError;

/// Time between two rounds.
const INTERVAL: Duration = Duration::from_secs(1);
/// The longest time between two attempts while the database cannot be reached.
const LONGEST_INTERVAL: Duration = Duration::from_secs(8);

pub(super) struct Upkeep {
    pub pool: WeakPool<Connections>,
    pub timeouts: Timeouts,
    /// Idle time after which a connection is asked for a sign of life; 0 for never.
    pub keepalive: Duration,
}

impl Upkeep {
    /// Goes on until the pool is gone.
    pub async fn run(self) {
        let mut interval = INTERVAL;
        loop {
            // Several replicas must not knock in step at a database that comes back.
            tokio::time::sleep(interval.mul_f64(0.5 + 0.5 * rand::random::<f64>())).await;
            let Some(pool) = self.pool.upgrade() else { return };
            if pool.is_closed() {
                return;
            }
            interval = match self.round(&pool).await {
                Ok(()) => INTERVAL,
                Err(error) => {
                    tracing::debug!(%error, "the pool could not be made whole");
                    (interval * 2).min(LONGEST_INTERVAL)
                }
            };
        }
    }

    async fn round(&self, pool: &Pool<Connections>) -> Result<(), StoreError> {
        // Under full load none is idle: then one is waited for, as a request would.
        let idle = pool.status().available;
        let wait = if idle == 0 { self.timeouts.wait } else { Some(Duration::ZERO) };
        let turns = if idle == 0 { 1 } else { self.in_need(pool) };
        let timeouts = Timeouts { wait, ..self.timeouts };
        for _ in 0..turns {
            match pool.timeout_get(&timeouts).await {
                Ok(object) => self.look_after(pool, object).await?,
                Err(PoolError::Timeout(TimeoutType::Wait)) => break,
                Err(error) => return Err(store_error(error)),
            }
        }
        self.refill(pool).await
    }

    /// How many idle ones must be taken, one after the other, to come by all that need something.
    fn in_need(&self, pool: &Pool<Connections>) -> usize {
        let (mut seen, mut last) = (0, 0);
        pool.retain(|pooled, _| {
            seen += 1;
            if pooled.connection.is_closed() || pooled.is_overdue() || self.is_quiet(pooled) {
                last = seen;
            }
            true
        });
        last
    }

    fn is_quiet(&self, pooled: &Pooled) -> bool {
        !self.keepalive.is_zero() && pooled.idle_for() >= self.keepalive
    }

    /// Replaces a connection that is too old, and drops one that gives no sign of life.
    async fn look_after(
        &self,
        pool: &Pool<Connections>,
        mut object: Object<Connections>,
    ) -> Result<(), StoreError> {
        if object.is_overdue() {
            let fresh = pool.manager().create().await?;
            object.connection.closes(Closing::Expired);
            *object = fresh;
            return Ok(());
        }
        if !self.is_quiet(&object) {
            return Ok(());
        }
        let limit = self.timeouts.recycle.unwrap_or(INTERVAL);
        match tokio::time::timeout(limit, object.verify()).await {
            Ok(Ok(())) => object.is_used(),
            _ => drop(Object::take(object)),
        }
        Ok(())
    }

    /// Opens what is missing. Taking one more than are idle makes the pool open another; the idle
    /// ones go back as soon as every one has been asked for.
    async fn refill(&self, pool: &Pool<Connections>) -> Result<(), StoreError> {
        let status = pool.status();
        if status.size >= status.max_size {
            return Ok(());
        }
        let take = || async {
            let object = pool.timeout_get(&self.timeouts).await;
            tokio::task::yield_now().await;
            object.map(drop)
        };
        let in_use = status.size.saturating_sub(status.available);
        let taken = join_all((in_use..status.max_size).map(|_| take())).await;
        taken.into_iter().collect::<Result<(), _>>().map_err(store_error)
    }
}
