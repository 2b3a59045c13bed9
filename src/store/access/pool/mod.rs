//! `pool`: a fixed number of connections, opened at start-up and lent to one request at a time.
//!
//! [`connections`] makes and checks them, [`upkeep`] replaces them in the background before they
//! grow too old and after they died, [`handover`] passes them on to the pool that follows.

mod connections;
mod handover;
mod upkeep;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{Object, Pool, PoolError, TimeoutType, Timeouts};
use futures_util::future::{BoxFuture, try_join_all};
use serde::Deserialize;
use tokio_util::task::AbortOnDropHandle;

use self::connections::Connections;
use self::handover::Lineage;
use self::upkeep::Upkeep;
use super::tally::{Tallied, Tally};
use super::{Abandon, Access, AccessPlugin, AccessSetup, Held, Lease, Predecessor, Queue, Rules};
use crate::config::{Database, Recycle};
use crate::observe::{AccessGauges, AccessMeter};
use crate::store::backend::Connection;
use crate::store::{ErrorKind, RequestContext, StoreError};

/// Lends connections from a pool of fixed size.
pub struct Pooled(Arc<Inner>);

struct Inner {
    pool: Pool<Connections>,
    size: usize,
    timeouts: Timeouts,
    queue: Queue,
    /// Connections that requests have of it.
    lent: Tally,
    meter: Arc<AccessMeter>,
    /// The pool that this one is to take over from.
    predecessor: Mutex<Option<Arc<Inner>>>,
    /// The pool that took over from this one.
    heir: OnceLock<Arc<Inner>>,
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
    /// Requests that may wait for one; 0 for no limit.
    max_waiting: Option<usize>,
    /// Time to wait for one when there is always somebody who waits; 0 for no difference.
    #[serde(default, with = "humantime_serde")]
    shed_after: Option<Duration>,
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
        let Options { wait_timeout, max_waiting, shed_after, .. } = options;
        let rules = Rules { wait_timeout, max_waiting, shed_after };
        let queue = Queue::new(&rules, database);
        let timeouts = Timeouts {
            wait: Some(queue.wait_timeout()),
            create: Some(options.connect_timeout.unwrap_or(database.connect_timeout)),
            recycle: Some(options.recycle_timeout.unwrap_or(database.recycle_timeout)),
        };
        let (former, lineage) = former(setup.predecessor);
        let fresh = size.saturating_sub(lineage.reserved());
        let connections = Connections {
            backend: setup.backend,
            recycle: options.recycle.unwrap_or(database.recycle),
            connect_timeout: timeouts.create.expect("set above"),
            max_lifetime: options.max_lifetime.unwrap_or(database.max_lifetime),
            meter: setup.meter.clone(),
            generation: Arc::default(),
            lineage: lineage.clone(),
            adopted: Mutex::default(),
        };
        let keepalive = options.keepalive.unwrap_or(database.keepalive);
        let pool = Pool::builder(connections)
            .max_size(fresh)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::new(ErrorKind::Internal, error))?;
        fill(&pool, &timeouts, size).await?;
        let upkeep = Upkeep { pool: pool.weak(), timeouts, keepalive };
        let upkeep = AbortOnDropHandle::new(tokio::spawn(upkeep.run()));
        if former.is_none() {
            lineage.succeed(&pool, size);
        }
        Ok(Arc::new(Self(Arc::new(Inner {
            pool,
            size,
            timeouts,
            queue,
            lent: Tally::default(),
            meter: setup.meter,
            predecessor: Mutex::new(former),
            heir: OnceLock::new(),
            _upkeep: upkeep,
        }))))
    }
}

/// The pool to take over from, and the line of pools that the new one stands in: on another
/// database it begins a line of its own.
fn former(predecessor: Option<Predecessor>) -> (Option<Arc<Inner>>, Arc<Lineage>) {
    let found = predecessor.and_then(|predecessor| {
        let inner = predecessor.as_a::<Pooled>()?.0.clone();
        Some((inner, predecessor.same_server))
    });
    let lineage = match &found {
        Some((inner, true)) => inner.pool.manager().lineage.clone(),
        _ => Arc::default(),
    };
    (found.map(|(inner, _)| inner), lineage)
}

impl Inner {
    /// A connection of this pool, or of the one that took over from it meanwhile.
    async fn object(
        self: &Arc<Self>,
        context: &RequestContext,
        started: Instant,
    ) -> Result<(Arc<Self>, Object<Connections>), StoreError> {
        let limit = |timeout: Option<Duration>| timeout.map(|t| context.remaining(t));
        let (mut lender, mut moved) = (self, false);
        loop {
            let timeouts = |wait: Duration| Timeouts {
                wait: Some(wait),
                create: limit(lender.timeouts.create),
                recycle: limit(lender.timeouts.recycle),
            };
            let mut got = lender.pool.timeout_get(&timeouts(Duration::ZERO)).await;
            if let Err(PoolError::Timeout(TimeoutType::Wait)) = got {
                let place = match moved {
                    false => lender.queue.enter(context)?,
                    true => lender.queue.join(context),
                };
                let left = place.limit.saturating_sub(started.elapsed());
                got = lender.pool.timeout_get(&timeouts(left)).await;
            }
            match (got, lender.heir.get()) {
                (Ok(object), _) => return Ok((lender.clone(), object)),
                (Err(_), Some(heir)) => (lender, moved) = (heir, true),
                (Err(error), None) => return Err(store_error(error)),
            }
        }
    }

    fn lend(&self, mut object: Object<Connections>, started: Instant) -> Lease {
        object.is_used();
        let waited = started.elapsed();
        self.meter.wait.record(waited);
        let lent = Lent { object: Some(object), _counted: self.lent.one() };
        Lease::new(Box::new(lent), Abandon::CancelAndDetach, waited)
    }
}

/// Opens every connection that the pool has room for, so that no request pays for it and a server
/// that has too few says so at once.
async fn fill(
    pool: &Pool<Connections>,
    timeouts: &Timeouts,
    size: usize,
) -> Result<(), StoreError> {
    let room = pool.status().max_size;
    try_join_all((0..room).map(|_| pool.timeout_get(timeouts))).await.map_err(|error| {
        let more = if room < size { format!(", {room} more") } else { String::new() };
        store_error(error).during(&format!("filling a pool of {size} connections{more}"))
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
            let (lender, object) = self.0.object(context, started).await?;
            Ok(lender.lend(object, started))
        })
    }

    fn lease_alive<'a>(
        &'a self,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Lease, StoreError>> {
        Box::pin(async move {
            let started = Instant::now();
            loop {
                let (lender, mut object) = self.0.object(context, started).await?;
                let limit = context.remaining(lender.timeouts.recycle.unwrap_or(Duration::MAX));
                match tokio::time::timeout(limit, object.verify()).await {
                    Ok(Ok(())) => return Ok(lender.lend(object, started)),
                    // Its place is free: in the end a new connection is made for it.
                    _ => drop(Object::take(object)),
                }
            }
        })
    }

    fn gauges(&self) -> AccessGauges {
        let (open, in_use) = (self.0.pool.status().size, self.0.lent.get());
        AccessGauges {
            size: self.0.size,
            in_use,
            // Those that upkeep looks after belong to no request.
            idle: open.saturating_sub(in_use) + self.0.pool.manager().adopted().len(),
            waiting: self.0.queue.waiting(),
        }
    }

    fn take_over(&self) {
        let next = &self.0;
        let former = next.predecessor.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(former) = former else { return };
        // In this order: who finds no connection there any more finds the heir.
        drop(former.heir.set(next.clone()));
        next.pool.manager().lineage.succeed(&next.pool, next.size);
        former.pool.manager().generation.supersede();
        let idle = former.pool.retain(|_, _| false).removed;
        idle.into_iter().for_each(Connections::pass_on);
        former.pool.close();
        // The former pool may have lacked some.
        next.pool.manager().lineage.make_room();
    }
}

/// A connection out of the pool; dropping it puts it back, or into the pool that follows.
struct Lent {
    object: Option<Object<Connections>>,
    _counted: Tallied,
}

const LENT: &str = "a lease has a connection until it is detached";

impl Held for Lent {
    fn connection(&mut self) -> &mut dyn Connection {
        &mut *self.object.as_mut().expect(LENT).connection
    }

    fn detach(mut self: Box<Self>) -> Box<dyn Connection> {
        Object::take(self.object.take().expect(LENT)).connection
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        match self.object.take() {
            Some(object) if object.member.is_superseded() => {
                Connections::pass_on(Object::take(object));
            }
            object => drop(object),
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
