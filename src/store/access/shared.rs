//! `shared`: one connection for all requests, whose statements follow each other on it without
//! waiting for the rows of the last (pipelining).
//!
//! The server runs them one after another and their rows come in that order, so whoever takes no
//! rows holds up all behind. Therefore a body is reserved before its statement is sent, rows are
//! read to their end as they come, and a client that leaves cancels nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::tally::{Tallied, Tally};
use super::{
    Abandon, Access, AccessPlugin, AccessSetup, BodyRule, Held, Lease, Queue, Rules, connect,
};
use crate::config::{self, Database};
use crate::observe::{AccessGauges, AccessMeter};
use crate::store::backend::{Backend, Connection};
use crate::store::{ErrorKind, RequestContext, StoreError};

/// Sends every statement over one connection.
pub struct Shared {
    backend: Arc<dyn Backend>,
    connection: Arc<Mutex<Option<Box<dyn Connection>>>>,
    /// Requests whose rows have not ended.
    users: Tally,
    queue: Queue,
    connect_timeout: Duration,
    meter: Arc<AccessMeter>,
}

/// `{ kind = "shared", ... }`; what is absent is as in `[database]`.
#[derive(Debug, Deserialize)]
pub struct Options {
    /// Time to wait for room for a body, or for another request that is connecting.
    #[serde(default, with = "humantime_serde")]
    wait_timeout: Option<Duration>,
    /// Requests that may wait for room; 0 for no limit.
    max_waiting: Option<usize>,
    /// Time to wait for it when there is always somebody who waits; 0 for no difference.
    #[serde(default, with = "humantime_serde")]
    shed_after: Option<Duration>,
    /// Time to open the connection.
    #[serde(default, with = "humantime_serde")]
    connect_timeout: Option<Duration>,
}

impl AccessPlugin for Shared {
    const NAME: &'static str = "shared";
    const TRANSACTS: bool = false;
    type Options = Options;

    fn problems(_: &Options, database: &Database) -> Vec<String> {
        match database.backend {
            config::Backend::Postgres => Vec::new(),
            other => vec![format!(
                "\"shared\" needs PostgreSQL, whose protocol takes a statement before the rows of \
                 the last have come; `database.backend` is {:?}",
                other.name()
            )],
        }
    }

    fn connections(_: &Options, _: &Database) -> Option<usize> {
        Some(1)
    }

    async fn open(options: Options, setup: AccessSetup) -> Result<Arc<dyn Access>, StoreError> {
        let connect_timeout = options.connect_timeout.unwrap_or(setup.database.connect_timeout);
        let Options { wait_timeout, max_waiting, shed_after, .. } = options;
        let rules = Rules { wait_timeout, max_waiting, shed_after };
        let former = setup.predecessor.and_then(|former| {
            let former = former.as_a::<Self>()?;
            let fits = Arc::ptr_eq(&former.backend, &setup.backend);
            fits.then(|| (former.connection.clone(), former.users.clone()))
        });
        let (connection, users) = match former {
            Some(same) => same,
            None => {
                let connection = connect(&*setup.backend, connect_timeout, &setup.meter).await?;
                (Arc::new(Mutex::new(Some(connection))), Tally::default())
            }
        };
        Ok(Arc::new(Self {
            backend: setup.backend,
            connection,
            users,
            queue: Queue::new(&rules, &setup.database),
            connect_timeout,
            meter: setup.meter,
        }))
    }
}

impl Shared {
    /// A handle to the connection, which is opened anew when it is closed; and how long that took.
    async fn handle(
        &self,
        context: &RequestContext,
    ) -> Result<(Box<dyn Connection>, Option<Duration>), StoreError> {
        let limit = context.remaining(self.queue.wait_timeout());
        let waiting = tokio::time::timeout(limit, self.connection.lock());
        let mut connection = waiting.await.map_err(|_| {
            StoreError::new(ErrorKind::Unreachable, "the shared connection was not opened in time")
        })?;
        let mut connected = None;
        if connection.as_ref().is_none_or(|connection| connection.is_closed()) {
            *connection = None;
            let started = Instant::now();
            let timeout = context.remaining(self.connect_timeout);
            *connection = Some(connect(&*self.backend, timeout, &self.meter).await?);
            connected = Some(started.elapsed());
        }
        let handle = connection.as_ref().and_then(|connection| connection.share());
        let handle = handle.ok_or_else(|| {
            StoreError::new(ErrorKind::Internal, "connections of this database cannot be shared")
        })?;
        Ok((handle, connected))
    }
}

impl Access for Shared {
    fn lease<'a>(
        &'a self,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Lease, StoreError>> {
        Box::pin(async move {
            let started = Instant::now();
            let (handle, connected) = self.handle(context).await?;
            let waited = started.elapsed() - connected.unwrap_or_default();
            self.meter.wait.record(waited);
            let user = Box::new(User { handle, _counted: self.users.one() });
            let lease = Lease::new(user, Abandon::Drain, waited);
            Ok(match connected {
                Some(connected) => lease.opened_in(connected),
                None => lease,
            })
        })
    }

    fn gauges(&self) -> AccessGauges {
        let in_use = self.users.get().min(1);
        let waiting = self.queue.waiting();
        // Locked: it is being opened.
        let open = self.connection.try_lock().is_ok_and(|connection| {
            connection.as_ref().is_some_and(|connection| !connection.is_closed())
        });
        AccessGauges { size: 1, in_use, idle: usize::from(open && in_use == 0), waiting }
    }

    fn transacts(&self) -> bool {
        false
    }

    fn body_rule(&self) -> BodyRule<'_> {
        BodyRule::Reserved { queue: &self.queue }
    }
}

/// One request's handle to the connection.
struct User {
    handle: Box<dyn Connection>,
    _counted: Tallied,
}

impl Held for User {
    fn connection(&mut self) -> &mut dyn Connection {
        &mut *self.handle
    }

    fn detach(self: Box<Self>) -> Box<dyn Connection> {
        self.handle
    }
}
