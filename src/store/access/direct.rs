//! `direct`: a connection for each request, opened and closed; bounded in number.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::places::{Place, Places};
use super::{Abandon, Access, AccessPlugin, AccessSetup, Held, Lease, Queue, Rules, connect};
use crate::config::Database;
use crate::observe::{AccessGauges, AccessMeter};
use crate::store::backend::{Backend, Connection};
use crate::store::{ErrorKind, RequestContext, StoreError};

/// Connections open at once where neither config nor a server's limit says how many.
const DEFAULT_LIMIT: usize = 32;

/// Opens a connection for each request.
pub struct Direct {
    backend: Arc<dyn Backend>,
    places: Arc<Places>,
    limit: usize,
    queue: Queue,
    connect_timeout: Duration,
    meter: Arc<AccessMeter>,
}

/// `{ kind = "direct", ... }`
#[derive(Debug, Deserialize)]
pub struct Options {
    /// Connections open at once. Absent: what the server's limit leaves.
    limit: Option<usize>,
    /// Time to wait for a place.
    #[serde(default, with = "humantime_serde")]
    wait_timeout: Option<Duration>,
    /// Requests that may wait for one; 0 for no limit.
    max_waiting: Option<usize>,
    /// Time to wait for one when there is always somebody who waits; 0 for no difference.
    #[serde(default, with = "humantime_serde")]
    shed_after: Option<Duration>,
    /// Time to open a connection.
    #[serde(default, with = "humantime_serde")]
    connect_timeout: Option<Duration>,
}

impl AccessPlugin for Direct {
    const NAME: &'static str = "direct";
    type Options = Options;

    fn problems(options: &Options, _: &Database) -> Vec<String> {
        match options.limit {
            Some(0) => vec!["`limit` must be at least 1".into()],
            _ => Vec::new(),
        }
    }

    fn connections(options: &Options, _: &Database) -> Option<usize> {
        options.limit
    }

    async fn open(options: Options, setup: AccessSetup) -> Result<Arc<dyn Access>, StoreError> {
        let limit = options.limit.or(setup.left).unwrap_or(DEFAULT_LIMIT);
        let Options { wait_timeout, max_waiting, shed_after, .. } = options;
        let rules = Rules { wait_timeout, max_waiting, shed_after };
        let former = setup.predecessor.filter(|former| former.same_server);
        let places = former.and_then(|former| Some(former.as_a::<Self>()?.places.clone()));
        Ok(Arc::new(Self {
            backend: setup.backend,
            places: places.unwrap_or_else(|| Places::new(limit)),
            limit,
            queue: Queue::new(&rules, &setup.database),
            connect_timeout: options.connect_timeout.unwrap_or(setup.database.connect_timeout),
            meter: setup.meter,
        }))
    }
}

impl Direct {
    async fn place(&self, context: &RequestContext) -> Result<Place, StoreError> {
        if let Some(place) = self.places.try_take() {
            return Ok(place);
        }
        let waiting = self.queue.enter(context)?;
        self.places.take(waiting.limit).await.ok_or_else(|| {
            StoreError::new(
                ErrorKind::Saturated,
                format_args!("all {} connections of a direct strategy are in use", self.limit),
            )
        })
    }
}

impl Access for Direct {
    fn lease<'a>(
        &'a self,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Lease, StoreError>> {
        Box::pin(async move {
            let started = Instant::now();
            let place = self.place(context).await?;
            let waited = started.elapsed();
            self.meter.wait.record(waited);
            let timeout = context.remaining(self.connect_timeout);
            let connection = connect(&*self.backend, timeout, &self.meter).await?;
            let connected = started.elapsed() - waited;
            let held = Box::new(Own { connection, _place: place });
            Ok(Lease::new(held, Abandon::Close, waited).opened_in(connected))
        })
    }

    fn gauges(&self) -> AccessGauges {
        AccessGauges {
            size: self.limit,
            in_use: self.places.taken(),
            idle: 0,
            waiting: self.queue.waiting(),
        }
    }

    fn is_fixed(&self) -> bool {
        false
    }

    /// Who waits does so for the same places.
    fn take_over(&self) {
        self.places.resize(self.limit);
    }
}

/// A connection of this request alone. Fields drop in order: the connection closes, then its place
/// is free.
struct Own {
    connection: Box<dyn Connection>,
    _place: Place,
}

impl Held for Own {
    fn connection(&mut self) -> &mut dyn Connection {
        &mut *self.connection
    }

    fn detach(self: Box<Self>) -> Box<dyn Connection> {
        self.connection
    }
}
