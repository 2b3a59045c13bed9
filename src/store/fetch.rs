//! The innermost source: lease a connection, run the statement, encode its rows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::access::{Access, BodyRule};
use super::backend::COLUMNS;
use super::{Body, ErrorKind, Reply, RequestContext, Source, StoreError, Timing};
use crate::encode::{BodyLimits, Charge, Encoded, Layout, encode, encode_reserved};
use crate::query::ProductQuery;

/// Answers from the database through an access method.
pub struct Fetch {
    access: Arc<dyn Access>,
    limits: BodyLimits,
}

impl Fetch {
    /// Answers through `access`, within `limits`.
    pub fn new(access: Arc<dyn Access>, limits: BodyLimits) -> Self {
        Self { access, limits }
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
            BodyRule::Reserved { wait_timeout } => {
                Some(self.reserve(context.remaining(wait_timeout)).await?)
            }
        };
        let reserving = asked.elapsed();
        let lease = match again {
            false => self.access.lease(context).await?,
            true => self.access.lease_alive(context).await?,
        };
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
                StoreError::new(ErrorKind::StatementTimeout, "the request's deadline passed")
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

fn is_worth_another_attempt(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Disconnected | ErrorKind::Conflict)
}

impl Source for Fetch {
    /// Nothing has been sent while this runs, so a connection that turns out to be closed, or a
    /// statement that lost against another, costs one more attempt, not an error.
    fn fetch<'a>(
        &'a self,
        query: &'a ProductQuery,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Reply, StoreError>> {
        Box::pin(async move {
            match self.attempt(query, context, false).await {
                Err(error) if is_worth_another_attempt(error.kind()) => {
                    tracing::debug!(request_id = %context.request_id, %error, "retrying once");
                    self.attempt(query, context, true).await
                }
                outcome => outcome,
            }
        })
    }
}
