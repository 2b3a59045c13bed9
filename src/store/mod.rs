//! From a query to encoded bytes: strategies, made of layers that are chosen once at start-up.
//!
//! A strategy is a [`Source`]: an access method over a backend ([`access`]), with what its cache
//! plugin put around it ([`cache`]). Knows nothing of HTTP.

pub mod access;
pub mod backend;
mod breaker;
pub mod cache;
mod error;
mod fetch;
mod open;
pub mod plugin;
pub mod versions;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

pub use breaker::Breaker;
pub use error::{ErrorKind, StoreError};
pub use fetch::Fetch;
pub use open::{Backends, ConnectionSum, Running, Strategies, Strategy, open};
pub use versions::{Hearing, Remote, RemoteView, Tag, Token, Version, Versions};

use crate::encode::{RowBytes, Whole};
use crate::query::ProductQuery;

/// A way to the data: answers a query with encoded bytes.
pub trait Source: Send + Sync {
    /// Answers `query`.
    ///
    /// # Errors
    /// As long as nothing was sent; what fails later ends the stream of the reply.
    ///
    /// # Cancellation safety
    /// Dropping the future gives back or closes every connection that it held.
    fn fetch<'a>(
        &'a self,
        query: &'a ProductQuery,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Reply, StoreError>>;

    /// The answer, where it is at hand without waiting for anything.
    fn ready(&self, _query: &ProductQuery, _context: &RequestContext) -> Option<Reply> {
        None
    }
}

/// What a request brings along besides its query.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// Names the request in the log.
    pub request_id: Arc<str>,
    /// When the answer must have begun.
    pub deadline: Instant,
    /// The content coding that the client likes best; `None` is identity, which is always taken.
    pub coding: Option<Coding>,
}

impl RequestContext {
    /// The time until the deadline, at most `limit`.
    pub fn remaining(&self, limit: Duration) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).min(limit)
    }
}

/// A content coding other than identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// Every coding, the one that we like best first.
    pub const ALL: [Coding; 2] = [Coding::Zstd, Coding::Gzip];

    /// Its name in `Content-Encoding`, entity tags and cache keys.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }
}

/// An answer and what happened on the way to it.
pub struct Reply {
    /// The bytes.
    pub body: Body,
    /// The coding that they are in; `None` is identity.
    pub coding: Option<Coding>,
    /// What the cache did; `None` where the strategy has none.
    pub cache: Option<CacheStatus>,
    /// Where the time went.
    pub timing: Timing,
    /// Until when a cache keeps this answer.
    pub expires: Option<Instant>,
    /// The version under which it does.
    pub version: Version,
    /// The task that is still storing the answer in a cache.
    pub filling: Option<tokio::task::JoinHandle<()>>,
}

impl Reply {
    /// A fresh answer of the database.
    pub fn fresh(body: Body, timing: Timing) -> Self {
        Self {
            body,
            coding: None,
            cache: None,
            timing,
            expires: None,
            version: Version::default(),
            filling: None,
        }
    }
}

/// The bytes of an answer.
pub enum Body {
    /// All of them, in memory.
    Whole(Whole),
    /// As the database gives them.
    Stream(RowBytes<StoreError>),
}

impl Body {
    /// Whether there is not a single byte.
    pub fn is_empty(&self) -> bool {
        match self {
            Body::Whole(body) => body.is_empty(),
            Body::Stream(rows) => rows.is_empty(),
        }
    }
}

/// What the cache did for an answer, as `X-Cache` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheStatus {
    /// It had the answer.
    Hit,
    /// It did not have it.
    Miss,
    /// Somebody else was fetching it already.
    Coalesced,
    /// It was not used: it failed, had no room, or the answer is known to be too large.
    Bypass,
}

impl CacheStatus {
    /// The value of `X-Cache`.
    pub fn name(self) -> &'static str {
        match self {
            CacheStatus::Hit => "hit",
            CacheStatus::Miss => "miss",
            CacheStatus::Coalesced => "coalesced",
            CacheStatus::Bypass => "bypass",
        }
    }
}

/// Where the time of one answer went, as `Server-Timing` says it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timing {
    /// Waiting for a free connection.
    pub wait: Option<Duration>,
    /// Opening a connection.
    pub connect: Option<Duration>,
    /// From the statement to the last row in memory, or to the first one of a stream.
    pub execute: Option<Duration>,
    /// Asking the cache, or waiting for another request that was fetching the same.
    pub cache: Option<Duration>,
}
