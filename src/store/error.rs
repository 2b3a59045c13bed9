//! What can go wrong on the way to the data, sorted by what the caller should do.

use std::fmt;
use std::sync::Arc;

/// What the caller should do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Come back a little later: every connection is busy.
    Saturated,
    /// Come back when the database is there again.
    Unreachable,
    /// Ask for less: the statement took too long.
    StatementTimeout,
    /// Ask for less, or come back: the database said nothing until the request's time was over.
    Unanswered,
    /// Try again at once, once: the connection turned out to be closed.
    Disconnected,
    /// Try again at once, once: the statement lost against another (SQLSTATE class 40). If that
    /// does not help, come back a little later.
    Conflict,
    /// Choose another: a value that there may be only once is there already.
    Taken,
    /// Call the operator: the database does not let us in, or is none that we can use.
    Refused,
    /// Ask for less: the answer does not fit into the memory that there may be for one.
    TooLarge,
    /// Call the operator: the tables are missing or of another shape.
    NotPrepared,
    /// Call the operator: anything else.
    Internal,
}

impl ErrorKind {
    /// Whether another attempt is worth it, as long as nothing was sent to the client and no commit to the
    /// database.
    pub(crate) fn is_worth_another_attempt(self) -> bool {
        matches!(self, ErrorKind::Disconnected | ErrorKind::Conflict)
    }
}

/// A failure with its detail, which is for the log only. Cheap to clone, so that all who wait for
/// one fetch can have it.
#[derive(Debug, Clone)]
pub struct StoreError {
    kind: ErrorKind,
    detail: Arc<str>,
}

impl StoreError {
    /// A failure of this kind.
    pub fn new(kind: ErrorKind, detail: impl fmt::Display) -> Self {
        Self { kind, detail: detail.to_string().into() }
    }

    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The same failure with what was being done when it happened.
    pub fn during(self, what: &str) -> Self {
        Self::new(self.kind, format_args!("{what}: {}", self.detail))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for StoreError {}

/// An error with its causes, on one line: drivers keep the useful half in `source`.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
