//! What other replicas share with this one, seen from here.

use std::any::Any;
use std::time::Instant;

use futures_util::future::BoxFuture;

use super::{Tag, Token};

/// A place where replicas keep the versions that they share.
pub trait Remote: Any + Send + Sync {
    /// These have changed. Returns when all who ask there see it, or when that failed: then it is tried
    /// again until it succeeds, and nothing that depends on it may be served here until then.
    fn changed<'a>(&'a self, tags: &'a [Tag]) -> BoxFuture<'a, ()>;

    /// The version of `tag` there; `None` when it cannot be asked.
    fn token<'a>(&'a self, tag: &'a Tag) -> BoxFuture<'a, Option<Token>>;

    /// How it is.
    fn view(&self) -> RemoteView;
}

/// A [`Remote`] at one moment.
#[derive(Debug, Clone, Copy)]
pub struct RemoteView {
    /// Tags that have changed and that it could not be told yet.
    pub queued: usize,
    /// Since when there are some.
    pub since: Option<Instant>,
    /// Whether this process hears of what other replicas change; `None` where nobody needs to.
    pub hearing: Option<Hearing>,
}

/// Whether this process hears of what other replicas change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hearing {
    /// Whether it does.
    pub hears: bool,
    /// How often it did not any more, since the start.
    pub lost: u64,
}
