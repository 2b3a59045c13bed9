//! `pool`: a fixed number of connections, opened at start-up and lent to one request at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult, TimeoutType, Timeouts,
};
use futures_util::future::{BoxFuture, try_join_all};
use serde::Deserialize;

use super::{Abandon, Access, AccessPlugin, AccessSetup, Held, Lease, connect};
use crate::config::{Database, Recycle};
use crate::observe::{AccessGauges, AccessMeter};
use crate::store::backend::{Backend, Connection};
use crate::store::{ErrorKind, RequestContext, StoreError};

/// Lends connections from a pool of fixed size.
pub struct Pooled {
    pool: Pool<Connections>,
    timeouts: Timeouts,
    meter: Arc<AccessMeter>,
}

/// `{ kind = "pool", ... }`; what is absent is as in `[database]`.
#[derive(Debug, Deserialize)]
pub struct Options {
    /// Connections, `database.pool_size`.
    size: Option<usize>,
    /// Time to wait for a free one.
    #[serde(default, with = "humantime_serde")]
    wait_timeout: Option<Duration>,
    /// Time to open one.
    #[serde(default, with = "humantime_serde")]
    connect_timeout: Option<Duration>,
    /// Time to check one.
    #[serde(default, with = "humantime_serde")]
    recycle_timeout: Option<Duration>,
    /// How one is checked.
    recycle: Option<Recycle>,
}

impl AccessPlugin for Pooled {
    const NAME: &'static str = "pool";
    type Options = Options;

    fn problems(options: &Options, _: &Database) -> Vec<String> {
        match options.size {
            Some(0) => vec!["`size` must be at least 1".into()],
            _ => Vec::new(),
        }
    }

    fn connections(options: &Options, database: &Database) -> Option<usize> {
        Some(options.size.unwrap_or(database.pool_size))
    }

    async fn open(options: Options, setup: AccessSetup) -> Result<Arc<dyn Access>, StoreError> {
        let database = &setup.database;
        let size = options.size.unwrap_or(database.pool_size);
        let timeouts = Timeouts {
            wait: Some(options.wait_timeout.unwrap_or(database.wait_timeout)),
            create: Some(options.connect_timeout.unwrap_or(database.connect_timeout)),
            recycle: Some(options.recycle_timeout.unwrap_or(database.recycle_timeout)),
        };
        let connections = Connections {
            backend: setup.backend,
            recycle: options.recycle.unwrap_or(database.recycle),
            connect_timeout: timeouts.create.expect("set above"),
            meter: setup.meter.clone(),
        };
        let pool = Pool::builder(connections)
            .max_size(size)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::new(ErrorKind::Internal, error))?;
        let pooled = Self { pool, timeouts, meter: setup.meter };
        pooled.fill(size).await?;
        Ok(Arc::new(pooled))
    }
}

impl Pooled {
    /// Opens every connection, so that no request pays for it and a server that has too few says
    /// so at start-up.
    async fn fill(&self, size: usize) -> Result<(), StoreError> {
        let all = (0..size).map(|_| self.pool.timeout_get(&self.timeouts));
        try_join_all(all).await.map_err(|error| {
            store_error(error).during(&format!("filling a pool of {size} connections"))
        })?;
        Ok(())
    }
}

impl Access for Pooled {
    fn lease<'a>(
        &'a self,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Lease, StoreError>> {
        Box::pin(async move {
            let started = Instant::now();
            let limit = |timeout: Option<Duration>| timeout.map(|t| context.remaining(t));
            let timeouts = Timeouts {
                wait: limit(self.timeouts.wait),
                create: limit(self.timeouts.create),
                recycle: limit(self.timeouts.recycle),
            };
            let object = self.pool.timeout_get(&timeouts).await.map_err(store_error)?;
            let waited = started.elapsed();
            self.meter.wait.record(waited);
            Ok(Lease::new(Box::new(Lent(object)), Abandon::CancelAndDetach, waited))
        })
    }

    fn gauges(&self) -> AccessGauges {
        let status = self.pool.status();
        AccessGauges {
            size: status.max_size,
            in_use: status.size.saturating_sub(status.available),
            idle: status.available,
            waiting: status.waiting,
        }
    }
}

/// A connection out of the pool; dropping it puts it back.
struct Lent(Object<Connections>);

impl Held for Lent {
    fn connection(&mut self) -> &mut dyn Connection {
        &mut **self.0
    }

    fn detach(self: Box<Self>) -> Box<dyn Connection> {
        Object::take(self.0)
    }
}

/// Tells the pool how to make and check a connection of any backend.
struct Connections {
    backend: Arc<dyn Backend>,
    recycle: Recycle,
    connect_timeout: Duration,
    meter: Arc<AccessMeter>,
}

impl Manager for Connections {
    type Type = Box<dyn Connection>;
    type Error = StoreError;

    async fn create(&self) -> Result<Self::Type, StoreError> {
        connect(&*self.backend, self.connect_timeout, &self.meter).await
    }

    async fn recycle(&self, connection: &mut Self::Type, _: &Metrics) -> RecycleResult<StoreError> {
        if connection.is_closed() {
            return Err(RecycleError::message("closed"));
        }
        match self.recycle {
            Recycle::Fast => Ok(()),
            Recycle::Verified => connection.check().await.map_err(RecycleError::Backend),
        }
    }
}

fn store_error(error: PoolError<StoreError>) -> StoreError {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => {
            StoreError::new(ErrorKind::Saturated, "no connection of the pool came free in time")
        }
        PoolError::Timeout(phase) => StoreError::new(
            ErrorKind::Unreachable,
            format_args!("a connection of the pool timed out: {phase:?}"),
        ),
        PoolError::Backend(error) => error,
        other => StoreError::new(ErrorKind::Internal, other),
    }
}
