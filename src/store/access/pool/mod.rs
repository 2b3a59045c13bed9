//! `pool`: a fixed number of connections, opened at start-up and lent to one request at a time.
//!
//! [`connections`] makes and checks them, [`upkeep`] replaces them in the background before they
//! grow too old and after they died.

mod connections;
mod upkeep;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{Object, Pool, PoolError, TimeoutType, Timeouts};
use futures_util::future::{BoxFuture, try_join_all};
use serde::Deserialize;
use tokio_util::task::AbortOnDropHandle;

use self::connections::Connections;
use self::upkeep::Upkeep;
use super::{Abandon, Access, AccessPlugin, AccessSetup, Held, Lease};
use crate::config::{Database, Recycle};
use crate::observe::{AccessGauges, AccessMeter};
use crate::store::backend::Connection;
use crate::store::{ErrorKind, RequestContext, StoreError};

/// Lends connections from a pool of fixed size.
pub struct Pooled {
    pool: Pool<Connections>,
    timeouts: Timeouts,
    meter: Arc<AccessMeter>,
    /// How many of those who wait are no request.
    upkeep_waits: Arc<AtomicUsize>,
    _upkeep: AbortOnDropHandle<()>,
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
    /// Age at which one is replaced; 0 for never.
    #[serde(default, with = "humantime_serde")]
    max_lifetime: Option<Duration>,
    /// Idle time after which one is checked; 0 for never.
    #[serde(default, with = "humantime_serde")]
    keepalive: Option<Duration>,
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
            max_lifetime: options.max_lifetime.unwrap_or(database.max_lifetime),
            meter: setup.meter.clone(),
        };
        let keepalive = options.keepalive.unwrap_or(database.keepalive);
        let pool = Pool::builder(connections)
            .max_size(size)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::new(ErrorKind::Internal, error))?;
        fill(&pool, &timeouts).await?;
        let upkeep_waits = Arc::new(AtomicUsize::new(0));
        let waits = upkeep_waits.clone();
        let upkeep = Upkeep { pool: pool.weak(), timeouts, keepalive, waits };
        let upkeep = AbortOnDropHandle::new(tokio::spawn(upkeep.run()));
        Ok(Arc::new(Self { pool, timeouts, meter: setup.meter, upkeep_waits, _upkeep: upkeep }))
    }
}

impl Pooled {
    async fn object(&self, context: &RequestContext) -> Result<Object<Connections>, StoreError> {
        let limit = |timeout: Option<Duration>| timeout.map(|t| context.remaining(t));
        let timeouts = Timeouts {
            wait: limit(self.timeouts.wait),
            create: limit(self.timeouts.create),
            recycle: limit(self.timeouts.recycle),
        };
        self.pool.timeout_get(&timeouts).await.map_err(store_error)
    }

    fn lend(&self, mut object: Object<Connections>, started: Instant) -> Lease {
        object.is_used();
        let waited = started.elapsed();
        self.meter.wait.record(waited);
        Lease::new(Box::new(Lent(object)), Abandon::CancelAndDetach, waited)
    }
}

/// Opens every connection, so that no request pays for it and a server that has too few says so
/// at start-up.
async fn fill(pool: &Pool<Connections>, timeouts: &Timeouts) -> Result<(), StoreError> {
    let size = pool.status().max_size;
    try_join_all((0..size).map(|_| pool.timeout_get(timeouts))).await.map_err(|error| {
        store_error(error).during(&format!("filling a pool of {size} connections"))
    })?;
    Ok(())
}

impl Access for Pooled {
    fn lease<'a>(
        &'a self,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Lease, StoreError>> {
        Box::pin(async move {
            let started = Instant::now();
            let object = self.object(context).await?;
            Ok(self.lend(object, started))
        })
    }

    fn lease_alive<'a>(
        &'a self,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Lease, StoreError>> {
        Box::pin(async move {
            let started = Instant::now();
            loop {
                let mut object = self.object(context).await?;
                let limit = context.remaining(self.timeouts.recycle.unwrap_or(Duration::MAX));
                match tokio::time::timeout(limit, object.connection.check()).await {
                    Ok(Ok(())) => return Ok(self.lend(object, started)),
                    // Its place is free: in the end a new connection is made for it.
                    _ => drop(Object::take(object)),
                }
            }
        })
    }

    fn gauges(&self) -> AccessGauges {
        let status = self.pool.status();
        AccessGauges {
            size: status.max_size,
            in_use: status.size.saturating_sub(status.available),
            idle: status.available,
            waiting: status.waiting.saturating_sub(self.upkeep_waits.load(Ordering::Relaxed)),
        }
    }
}

/// A connection out of the pool; dropping it puts it back.
struct Lent(Object<Connections>);

impl Held for Lent {
    fn connection(&mut self) -> &mut dyn Connection {
        &mut *self.0.connection
    }

    fn detach(self: Box<Self>) -> Box<dyn Connection> {
        Object::take(self.0).connection
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
