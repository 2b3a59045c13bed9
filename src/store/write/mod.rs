//! Writing: products and orders, each in one transaction, with what must follow a commit.
//!
//! A write is a `Work`: what it does inside a transaction, from the beginning and as often as it takes.
//! [`Catalogue`] runs it in a task of its own, so that a client who leaves never comes between a commit
//! and what follows it. Knows strategies' connections, nothing of HTTP.

mod categories;
mod keys;
mod orders;
mod products;
mod row;
mod transact;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use tokio_util::task::TaskTracker;

pub use categories::Categories;
pub use keys::Key;
pub use orders::{OrderPage, Placed};
pub use products::{Change, Created, Expected};

use super::access::{Access, Transaction};
use super::backend::{Command, Done};
use super::{Breaker, RequestContext, StoreError, Strategy, Tag, Versions};
use crate::catalogue::{NewOrder, NewProduct};
use crate::observe::{StrategyMeter, WriteOutcome};
use transact::transact;

/// Why a write did not take place.
#[derive(Debug)]
pub enum Refusal {
    /// There is no product of this number.
    NotFound,
    /// The product is no longer what the client knows.
    Stale,
    /// Others have these skus.
    SkusTaken(Vec<String>),
    /// There is not enough of these products.
    NotEnough(Vec<Shortage>),
    /// There are no products of these numbers.
    UnknownProducts(Vec<i64>),
    /// The total of an order would be above 99,999,999,999.99.
    TooMuch,
    /// Another request had this key.
    KeyReused,
    /// A request with this key is still under way.
    KeyInUse,
    /// The connection was lost while the database was asked to make it hold: nobody here knows whether
    /// it does.
    Unknown(StoreError),
    /// Anything else, before it could hold.
    Failed(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Refusal::Failed(error)
    }
}

/// Somebody wants more of a product than there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// The product's number.
    pub product_id: i64,
    /// So many are wanted.
    pub asked: i64,
    /// So many there are.
    pub available: i64,
}

/// What a write does inside a transaction. It may run several times, each time from the beginning.
trait Work: Send + Sync + 'static {
    /// What it leads to.
    type Done: Send + 'static;

    /// Whether a client asked for it.
    const COUNTED: bool = true;

    /// Runs every statement.
    fn run(
        &self,
        transaction: &mut Transaction,
    ) -> impl Future<Output = Result<Worked<Self::Done>, Refusal>> + Send;

    /// The skus that it gives out, of which one may be taken.
    fn skus(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// What came of a [`Work`].
struct Worked<T> {
    done: T,
    /// Which answers that makes old; `None` where nothing was written.
    changed: Option<Vec<Tag>>,
}

impl<T> Worked<T> {
    /// Something was written that makes these answers old.
    fn changed(done: T, tags: Vec<Tag>) -> Self {
        Self { done, changed: Some(tags) }
    }

    /// Nothing was written.
    fn unchanged(done: T) -> Self {
        Self { done, changed: None }
    }
}

/// What is written to and read from, by the connections of one strategy.
#[derive(Clone)]
pub struct Catalogue {
    access: Arc<dyn Access>,
    breaker: Option<Arc<Breaker>>,
    meter: Arc<StrategyMeter>,
    versions: Arc<Versions>,
}

/// Every write that is under way, also those whose client has left.
static WRITING: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);

/// Runs something else that writes in a task that is waited for as a write is.
pub fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    WRITING.spawn(work)
}

/// Waits until no write is under way, for at most `limit`.
pub async fn settled(limit: Duration) {
    let settled = async {
        while !WRITING.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // Whoever stops the process has been patient for long enough.
    let _ = tokio::time::timeout(limit, settled).await;
}

impl Catalogue {
    /// The one behind `strategy`. What is written is told to `versions`.
    pub fn of(strategy: &Strategy, versions: &Arc<Versions>) -> Self {
        Self {
            access: strategy.access.clone(),
            breaker: strategy.breaker.clone(),
            meter: strategy.meter.clone(),
            versions: versions.clone(),
        }
    }

    /// Makes one product.
    ///
    /// # Errors
    /// [`Refusal::SkusTaken`], and what concerns the key.
    pub async fn create(
        &self,
        product: NewProduct,
        key: Option<Key>,
        context: &RequestContext,
    ) -> Result<Created, Refusal> {
        let work = products::Create { products: vec![product], single: true, key };
        self.run(work, context).await
    }

    /// Makes all of these products or none.
    ///
    /// # Errors
    /// As [`Catalogue::create`].
    pub async fn create_all(
        &self,
        products: Vec<NewProduct>,
        key: Option<Key>,
        context: &RequestContext,
    ) -> Result<Created, Refusal> {
        self.run(products::Create { products, single: false, key }, context).await
    }

    /// Changes the product of this number if it is what the client knows. The JSON of the product as it
    /// is then; empty when it is gone.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::Stale`], [`Refusal::SkusTaken`].
    pub async fn change(
        &self,
        id: i64,
        expected: Expected,
        change: Change,
        context: &RequestContext,
    ) -> Result<Vec<u8>, Refusal> {
        self.run(products::ChangeOne { id, expected, change }, context).await
    }

    /// Places an order of this user.
    ///
    /// # Errors
    /// [`Refusal::NotEnough`], [`Refusal::UnknownProducts`], [`Refusal::TooMuch`], and what concerns
    /// the key.
    pub async fn place(
        &self,
        order: NewOrder,
        user: i64,
        key: Option<Key>,
        context: &RequestContext,
    ) -> Result<Placed, Refusal> {
        self.run(orders::Place::new(order, user, key), context).await
    }

    /// An order of this user as JSON.
    ///
    /// # Errors
    /// As any statement.
    pub async fn order(
        &self,
        id: i64,
        user: i64,
        context: &RequestContext,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        orders::read(self, id, user, context).await
    }

    /// A page of this user's orders as JSON, the newest first.
    ///
    /// # Errors
    /// As any statement.
    pub async fn orders(
        &self,
        page: OrderPage,
        user: i64,
        context: &RequestContext,
    ) -> Result<Vec<u8>, StoreError> {
        orders::list(self, page, user, context).await
    }

    /// Forgets what repeats of requests from before `keep` ago would be told, some of them at a time:
    /// how many.
    ///
    /// # Errors
    /// As any write.
    pub async fn forget_keys(
        &self,
        keep: Duration,
        context: &RequestContext,
    ) -> Result<u64, Refusal> {
        let keep = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
        self.run(keys::Forget { before: now().saturating_sub(keep) }, context).await
    }

    /// Runs `work` to its end, whether somebody waits for it or not.
    async fn run<W: Work>(&self, work: W, context: &RequestContext) -> Result<W::Done, Refusal> {
        let (catalogue, context) = (self.clone(), context.clone());
        let task = WRITING.spawn(async move {
            let done = transact(&catalogue, &work, &context).await;
            if W::COUNTED {
                catalogue.meter.writes.inc(outcome(&done));
            }
            done
        });
        task.await.unwrap_or_else(|panicked| {
            let detail = format_args!("a write panicked: {panicked}");
            Err(Refusal::Failed(StoreError::new(super::ErrorKind::Internal, detail)))
        })
    }

    /// What a statement that only reads gives; tried once more where its connection was closed.
    async fn read(
        &self,
        command: &Command<'_>,
        context: &RequestContext,
    ) -> Result<Done, StoreError> {
        let attempt = async |again| {
            let run = async { self.lease(context, again).await?.read(command).await };
            transact::in_time(context, run).await
        };
        let done = match attempt(false).await {
            Err(error) if error.kind().is_worth_another_attempt() => attempt(true).await,
            done => done,
        };
        if let Err(error) = &done {
            self.suspect(error);
        }
        done
    }
}

fn outcome<T>(done: &Result<T, Refusal>) -> WriteOutcome {
    match done {
        Ok(_) => WriteOutcome::Done,
        Err(Refusal::Failed(_)) => WriteOutcome::Failed,
        Err(Refusal::Unknown(_)) => WriteOutcome::Unknown,
        Err(_) => WriteOutcome::Refused,
    }
}

/// Microseconds since 1970-01-01T00:00:00Z.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
