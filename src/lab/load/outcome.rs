//! What became of a request.

use hyper::StatusCode;
use hyper::header::HeaderMap;
use tokio::time::Instant;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With a whole answer.
    Answered(StatusCode),
    /// No whole answer in time.
    Timeout,
    /// No connection.
    Refused,
    /// The connection ended before the head of the answer was there, or what came was not HTTP.
    Reset,
    /// The connection ended before the body did.
    Truncated,
}

impl Outcome {
    /// Its name in the record.
    pub fn name(&self) -> &str {
        match self {
            Outcome::Answered(status) => status.as_str(),
            Outcome::Timeout => "timeout",
            Outcome::Refused => "refused",
            Outcome::Reset => "reset",
            Outcome::Truncated => "truncated",
        }
    }

    /// Whether it is a whole answer with a status below 400.
    pub fn is_good(&self) -> bool {
        matches!(self, Outcome::Answered(status) if status.as_u16() < 400)
    }

    /// Whether its times are recorded: a good answer, or none.
    pub fn is_timed(&self) -> bool {
        self.is_good() || !matches!(self, Outcome::Answered(_))
    }
}

/// What was seen of an answer so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// When the request was handed to an open connection.
    pub sent: Option<Instant>,
    /// When the first byte of the body came.
    pub first_byte: Option<Instant>,
    /// Bytes of the body.
    pub body_bytes: u64,
    /// What the cache did.
    pub cache: Option<&'static str>,
}

/// A request from its begin to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exchange {
    /// When it should have begun.
    pub due: Instant,
    /// When it did.
    pub begun: Instant,
    /// When its last byte came, or waiting for it ended.
    pub ended: Instant,
    /// How it ended.
    pub outcome: Outcome,
    /// What came.
    pub seen: Seen,
}

/// What the cache did, as the header says; a word that is not ours is `other`, so that a server
/// cannot fill the record with words.
pub(super) fn cache_word(headers: &HeaderMap) -> Option<&'static str> {
    const WORDS: [&str; 4] = ["hit", "miss", "coalesced", "bypass"];
    let value = headers.get("x-cache")?.as_bytes();
    let known = WORDS.into_iter().find(|word| value.eq_ignore_ascii_case(word.as_bytes()));
    Some(known.unwrap_or("other"))
}
