//! The innermost source: lease a connection, run the statement, encode its rows.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;

use super::access::Access;
use super::{Body, ErrorKind, Reply, RequestContext, Source, StoreError, Timing};
use crate::encode::{BodyLimits, Encoded, Layout, encode};
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
    ) -> Result<Reply, StoreError> {
        let lease = self.access.lease(context).await?;
        let mut timing =
            Timing { wait: Some(lease.waited()), connect: lease.connected(), ..Timing::default() };
        let started = Instant::now();
        let run = async {
            let rows = lease.rows(query).await?;
            let layout = if query.id().is_some() { Layout::Object } else { Layout::Array };
            encode(rows, &super::backend::COLUMNS, layout, &self.limits).await
        };
        let encoded =
            tokio::time::timeout_at(context.deadline.into(), run).await.map_err(|_| {
                StoreError::new(ErrorKind::StatementTimeout, "the request's deadline passed")
            })??;
        timing.execute = Some(started.elapsed());
        let body = match encoded {
            Encoded::Whole(whole) => Body::Whole(whole),
            Encoded::Streaming(stream) => Body::Stream(stream),
        };
        Ok(Reply::fresh(body, timing))
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
            match self.attempt(query, context).await {
                Err(error) if is_worth_another_attempt(error.kind()) => {
                    tracing::debug!(request_id = %context.request_id, %error, "retrying once");
                    self.attempt(query, context).await
                }
                outcome => outcome,
            }
        })
    }
}
