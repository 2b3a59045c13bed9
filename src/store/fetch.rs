//! The innermost source: lease a connection, run the statement, encode its rows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::access::{Access, BodyRule, Lease};
use super::backend::COLUMNS;
use super::breaker::is_out_of_reach;
use super::{Body, Breaker, ErrorKind, Reply, RequestContext, Source, StoreError, Timing};
use crate::encode::{BodyLimits, Charge, Encoded, Layout, encode, encode_reserved};
use crate::query::ProductQuery;

/// Answers from the database through an access method.
pub struct Fetch {
    access: Arc<dyn Access>,
    limits: BodyLimits,
    breaker: Option<Arc<Breaker>>,
}

impl Fetch {
    /// Answers through `access`, within `limits`, as long as `breaker` lets it.
    pub fn new(access: Arc<dyn Access>, limits: BodyLimits, breaker: Option<Arc<Breaker>>) -> Self {
        Self { access, limits, breaker }
    }

    /// A connection, given up when the breaker opens meanwhile: there will be none.
    async fn lease(&self, context: &RequestContext, again: bool) -> Result<Lease, StoreError> {
        let leasing = match again {
            false => self.access.lease(context),
            true => self.access.lease_alive(context),
        };
        let Some(breaker) = &self.breaker else { return leasing.await };
        tokio::select! {
            biased;
            lease = leasing => lease,
            error = breaker.opens() => Err(error),
        }
    }

    async fn attempt(
        &self,
        query: &ProductQuery,
        context: &RequestContext,
        again: bool,
    ) -> Result<Reply, StoreError> {
        let asked = Instant::now();
        let reserved = match self.access.body_rule() {
            BodyRule::AsItComes => None,
            BodyRule::Reserved { queue } => {
                let waiting = queue.enter(context)?;
                Some(self.reserve(waiting.limit).await?)
            }
        };
        let reserving = asked.elapsed();
        let lease = self.lease(context, again).await?;
        let wait = Some(lease.waited() + reserving);
        let mut timing = Timing { wait, connect: lease.connected(), ..Timing::default() };
        let started = Instant::now();
        let run = async {
            let rows = lease.rows(query).await?;
            let layout = if query.id().is_some() { Layout::Object } else { Layout::Array };
            let Some(reserved) = reserved else {
                return Ok(match encode(rows, &COLUMNS, layout, &self.limits).await? {
                    Encoded::Whole(whole) => Body::Whole(whole),
                    Encoded::Streaming(stream) => Body::Stream(stream),
                });
            };
            let memory = (self.limits.buffer, reserved);
            let whole = encode_reserved(rows, &COLUMNS, layout, memory).await?;
            whole.map(Body::Whole).ok_or_else(|| {
                StoreError::new(ErrorKind::TooLarge, "the answer is above server.body_buffer")
            })
        };
        let body =
            tokio::time::timeout_at(context.deadline.into(), run).await.map_err(|_| {
                StoreError::new(ErrorKind::Unanswered, "the request's deadline passed")
            })??;
        timing.execute = Some(started.elapsed());
        Ok(Reply::fresh(body, timing))
    }

    /// Memory for the largest body that there may be.
    async fn reserve(&self, timeout: Duration) -> Result<Charge, StoreError> {
        let reserving = self.limits.budget.reserve(self.limits.buffer);
        let reserved = tokio::time::timeout(timeout, reserving).await.map_err(|_| {
            let taken = "other bodies take all of server.body_budget";
            StoreError::new(ErrorKind::Saturated, taken)
        })?;
        reserved.ok_or_else(|| {
            let never = "server.body_buffer is above server.body_budget";
            StoreError::new(ErrorKind::TooLarge, never)
        })
    }
}

impl Fetch {
    /// How many products `query` finds on all its pages together.
    ///
    /// # Errors
    /// As [`Source::fetch`].
    ///
    /// # Cancellation safety
    /// Dropping the future abandons the statement.
    pub async fn total(
        &self,
        query: &ProductQuery,
        context: &RequestContext,
    ) -> Result<u64, StoreError> {
        self.twice(context, |again| self.count(query, context, again)).await
    }

    async fn count(
        &self,
        query: &ProductQuery,
        context: &RequestContext,
        again: bool,
    ) -> Result<u64, StoreError> {
        let count = async { self.lease(context, again).await?.count(query).await };
        tokio::time::timeout_at(context.deadline.into(), count).await.unwrap_or_else(|_| {
            Err(StoreError::new(ErrorKind::Unanswered, "the request's deadline passed"))
        })
    }

    /// Nothing has been sent while this runs, so a connection that turns out to be closed, or a
    /// statement that lost against another, costs one more attempt, not an error.
    async fn twice<T, Attempt: Future<Output = Result<T, StoreError>>>(
        &self,
        context: &RequestContext,
        attempt: impl Fn(bool) -> Attempt,
    ) -> Result<T, StoreError> {
        if let Some(breaker) = &self.breaker {
            breaker.admit()?;
        }
        let outcome = match attempt(false).await {
            Err(error) if error.kind().is_worth_another_attempt() => {
                tracing::debug!(request_id = %context.request_id, %error, "retrying once");
                attempt(true).await
            }
            outcome => outcome,
        };
        if let (Err(error), Some(breaker)) = (&outcome, &self.breaker)
            && is_out_of_reach(error.kind())
        {
            breaker.suspect();
        }
        outcome
    }
}

impl Source for Fetch {
    fn fetch<'a>(
        &'a self,
        query: &'a ProductQuery,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Reply, StoreError>> {
        Box::pin(self.twice(context, move |again| self.attempt(query, context, again)))
    }
}
