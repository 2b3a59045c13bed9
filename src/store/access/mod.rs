//! Ways to get a connection. Each yields a [`Lease`]; nobody else asks which one it was.

mod direct;
mod places;
mod pool;
mod queue;
mod shared;
mod tally;
mod transaction;

use std::any::Any;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio_util::task::TaskTracker;

pub use direct::Direct;
pub use pool::Pooled;
pub use queue::{Place, Queue, Rules};
pub use shared::Shared;
pub use transaction::Transaction;

use super::backend::{Backend, Boundary, Command, Connection, Done, Ran};
use super::{ErrorKind, RequestContext, StoreError};
use crate::config::Database;
use crate::observe::{AccessGauges, AccessMeter, Closing};
use crate::query::ProductQuery;
use crate::rows::{Failed, Guard, RowStream};

/// A way to get a connection.
pub trait Access: Any + Send + Sync {
    /// A connection for one statement.
    ///
    /// # Errors
    /// [`ErrorKind::Saturated`] when none came free in time, [`ErrorKind::Unreachable`] when none
    /// could be opened.
    fn lease<'a>(&'a self, context: &'a RequestContext)
    -> BoxFuture<'a, Result<Lease, StoreError>>;

    /// A connection that gave a sign of life just now, for a statement whose first connection
    /// turned out to be closed: another that was idle as long may be closed as well.
    ///
    /// # Errors
    /// As [`Access::lease`].
    fn lease_alive<'a>(
        &'a self,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Lease, StoreError>> {
        self.lease(context)
    }

    /// Its connections as they are now.
    fn gauges(&self) -> AccessGauges;

    /// Whether its connections belong to one request at a time, as a transaction needs it.
    fn transacts(&self) -> bool {
        true
    }

    /// Whether its connections stay open between requests, a fixed number of them.
    fn is_fixed(&self) -> bool {
        true
    }

    /// From now on requests come here and no longer to the predecessor that it was opened with.
    /// Whoever waits there must be served all the same.
    fn take_over(&self) {}

    /// What a statement needs before it is sent.
    fn body_rule(&self) -> BodyRule<'_> {
        BodyRule::AsItComes
    }
}

/// Where the body of an answer goes.
#[derive(Clone, Copy)]
pub enum BodyRule<'a> {
    /// Into memory as far as there is room, then to the client as it takes it.
    AsItComes,
    /// Into memory, which is reserved before the statement is sent: rows that waited for a client
    /// would hold up others.
    Reserved {
        /// Those who wait for that memory.
        queue: &'a Queue,
    },
}

/// A plugin's constructor: a way to get a connection that config can name.
pub trait AccessPlugin: Send + Sync + 'static {
    /// The `kind` in config.
    const NAME: &'static str;
    /// The options that stand beside `kind`; unknown ones are refused.
    type Options: serde::de::DeserializeOwned + Send;

    /// Whether its connections belong to one request at a time ([`Access::transacts`]).
    const TRANSACTS: bool = true;

    /// What is wrong with options that could be read, or with using it on this database, one
    /// sentence each.
    fn problems(_options: &Self::Options, _database: &Database) -> Vec<String> {
        Vec::new()
    }

    /// How many connections it will hold all the time; `None`: as many as are left.
    fn connections(options: &Self::Options, database: &Database) -> Option<usize>;

    /// Makes it ready.
    fn open(
        options: Self::Options,
        setup: AccessSetup,
    ) -> impl Future<Output = Result<Arc<dyn Access>, StoreError>> + Send;
}

/// What an access plugin is made from.
pub struct AccessSetup {
    /// The database.
    pub backend: Arc<dyn Backend>,
    /// The defaults of every option.
    pub database: Database,
    /// Connections that the server's limit leaves to this strategy, where there is a limit.
    pub left: Option<usize>,
    /// Where to count.
    pub meter: Arc<AccessMeter>,
    /// What served the strategy until now, when its configuration changed while it runs. A plugin
    /// need not look at it: then the two have connections side by side until those of the
    /// predecessor are done.
    pub predecessor: Option<Predecessor>,
}

/// An access method that is about to be replaced. It goes on serving until [`Access::take_over`],
/// and for good if that is never called.
pub struct Predecessor {
    /// It, of whatever kind.
    pub access: Arc<dyn Access>,
    /// Whether both have the same database, so that their connections add up.
    pub same_server: bool,
}

impl Predecessor {
    /// It, where it is of this kind.
    pub fn as_a<A: Access>(&self) -> Option<&A> {
        let access: &dyn Any = &*self.access;
        access.downcast_ref()
    }
}

/// What becomes of a connection whose rows nobody wants any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandon {
    /// Cancel the statement and take the connection out of its pool: a half-read connection makes
    /// the next statement on it wait until all rows have been thrown away.
    CancelAndDetach,
    /// Cancel the statement and close the connection, which belongs to this request alone.
    Close,
    /// Nothing: the connection reads to the end of the rows and throws them away, because
    /// statements of others follow.
    Drain,
}

/// A connection together with the place that it came from.
pub trait Held: Send {
    /// The connection.
    fn connection(&mut self) -> &mut dyn Connection;

    /// Takes the connection out of its place, which is free from then on.
    fn detach(self: Box<Self>) -> Box<dyn Connection>;
}

/// A connection for one statement. Dropping it gives it back.
pub struct Lease {
    held: Box<dyn Held>,
    abandon: Abandon,
    waited: Duration,
    connected: Option<Duration>,
}

impl Lease {
    /// A lease of what `held` holds.
    pub fn new(held: Box<dyn Held>, abandon: Abandon, waited: Duration) -> Self {
        Self { held, abandon, waited, connected: None }
    }

    /// Notes how long it took to open the connection.
    pub fn opened_in(mut self, connected: Duration) -> Self {
        self.connected = Some(connected);
        self
    }

    /// Time spent waiting for it.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Time spent opening it, where it was opened for this lease.
    pub fn connected(&self) -> Option<Duration> {
        self.connected
    }

    /// Runs `query`; its rows own the lease from here on and give it back when they end.
    ///
    /// # Cancellation safety
    /// Dropping the future abandons the statement.
    pub async fn rows(self, query: &ProductQuery) -> Result<RowStream<StoreError>, StoreError> {
        let mut running = Running(Some(self));
        let lease = running.0.as_mut().expect("set above");
        let source = match lease.held.connection().rows(query).await {
            Ok(source) => source,
            Err(failed) => {
                let lease = running.0.take().expect("set above");
                if !failed.settled {
                    Box::new(lease).abandoned();
                }
                return Err(failed.error);
            }
        };
        let lease = running.0.take().expect("set above");
        Ok(RowStream::new(source, Box::new(lease)))
    }

    /// Runs a statement that only reads to its end, outside of any transaction.
    ///
    /// # Cancellation safety
    /// Dropping the future abandons the statement.
    pub async fn read(self, command: &Command<'_>) -> Result<Done, StoreError> {
        let mut running = Running(Some(self));
        let done = running.connection().run(command).await;
        running.ended(done)
    }

    /// How many products `query` finds on all its pages together.
    ///
    /// # Cancellation safety
    /// Dropping the future abandons the statement.
    pub async fn count(self, query: &ProductQuery) -> Result<u64, StoreError> {
        let mut running = Running(Some(self));
        let done = running.connection().count(query).await;
        running.ended(done)
    }
}

/// A lease whose statement may have been sent: dropped in that state, it is abandoned.
struct Running(Option<Lease>);

impl Running {
    fn connection(&mut self) -> &mut dyn Connection {
        self.0.as_mut().expect("it has not ended").held.connection()
    }

    /// Gives a connection that is at rest back.
    fn ended<T>(mut self, done: Result<T, Failed<StoreError>>) -> Result<T, StoreError> {
        if let Ok(_) | Err(Failed { settled: true, .. }) = &done {
            drop(self.0.take());
        }
        done.map_err(|failed| failed.error)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(lease) = self.0.take() {
            Box::new(lease).abandoned();
        }
    }
}

impl Guard for Lease {
    fn finished(self: Box<Self>) {}

    fn abandoned(mut self: Box<Self>) {
        let connection = self.held.connection();
        let cancel = connection.cancel();
        if self.abandon != Abandon::Drain {
            connection.closes(Closing::Abandoned);
        }
        match self.abandon {
            // Its place is free at once. The connection stays until the server has heard, because a
            // pooler forgets whose statement it was when the client is gone.
            Abandon::CancelAndDetach => {
                let detached = self.held.detach();
                CANCELLING.spawn(async move {
                    cancel.await;
                    drop(detached);
                });
            }
            Abandon::Drain => drop(self.held),
            // The place stays taken until the server has heard of it, so that the connections
            // that it still counts never exceed the limit.
            Abandon::Close => {
                let held = self.held;
                CANCELLING.spawn(async move {
                    cancel.await;
                    drop(held);
                });
            }
        }
    }
}

/// Every request to cancel that is under way. PgBouncer 1.18 does not survive one that is given
/// up half-way, so that nobody may end while there are any.
static CANCELLING: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);

/// How many abandoned statements of this process are being cancelled.
pub fn cancelling() -> usize {
    CANCELLING.len()
}

/// Waits until no abandoned statement is being cancelled; each has a limit of its own.
pub async fn cancelled() {
    while cancelling() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A connection that is counted when it opens and when it closes.
struct Counted {
    connection: Box<dyn Connection>,
    meter: Arc<AccessMeter>,
    /// Why it is about to be closed, where somebody has said so.
    closes: Option<Closing>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let why = match self.closes {
            _ if self.is_closed() => Closing::Broken,
            Some(why) => why,
            None => Closing::Unneeded,
        };
        self.meter.closed.inc(why);
    }
}

impl Connection for Counted {
    fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    fn check(&mut self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.connection.check()
    }

    fn rows<'a>(&'a mut self, query: &'a ProductQuery) -> super::backend::StartedRows<'a> {
        self.connection.rows(query)
    }

    fn run<'a>(&'a mut self, command: &'a Command<'a>) -> Ran<'a, Done> {
        self.connection.run(command)
    }

    fn count<'a>(&'a mut self, query: &'a ProductQuery) -> Ran<'a, u64> {
        self.connection.count(query)
    }

    fn bound(&mut self, boundary: Boundary) -> Ran<'_, ()> {
        self.connection.bound(boundary)
    }

    fn writes_many(&self) -> bool {
        self.connection.writes_many()
    }

    fn cancel(&self) -> BoxFuture<'static, ()> {
        self.connection.cancel()
    }

    fn closes(&mut self, why: Closing) {
        self.closes = Some(why);
    }

    fn share(&self) -> Option<Box<dyn Connection>> {
        self.connection.share()
    }
}

/// Opens a connection within `timeout`; it is counted now and again when it closes. For access
/// plugins.
///
/// # Errors
/// [`ErrorKind::Unreachable`] when there is none in time, or what the backend fails with.
pub async fn connect(
    backend: &dyn Backend,
    timeout: Duration,
    meter: &Arc<AccessMeter>,
) -> Result<Box<dyn Connection>, StoreError> {
    let started = Instant::now();
    let connection = tokio::time::timeout(timeout, backend.connect()).await.map_err(|_| {
        let waited = humantime::format_duration(timeout);
        StoreError::new(ErrorKind::Unreachable, format_args!("no connection within {waited}"))
    })??;
    meter.opened.inc();
    meter.connect.record(started.elapsed());
    Ok(Box::new(Counted { connection, meter: meter.clone(), closes: None }))
}
