//! The one loop of the driver: wait until a request is due, make it, note what became of it. How
//! requests are spaced and when they end are values that it is given.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::LATE;
use super::block::Block;
use super::connection::{Broken, Connection};
use super::outcome::{Exchange, Outcome, Seen};
use super::pacer::{Pacer, Start};

/// How long a worker rests after it got no connection, so that it does not spin.
const REST: Duration = Duration::from_millis(100);
/// Connections are opened this long before they are needed, the last ones `READY` before.
const AHEAD: Duration = Duration::from_millis(500);
const READY: Duration = Duration::from_millis(100);

/// A user, or a connection of the open model.
pub(super) struct Worker {
    block: Arc<Block>,
    pacer: Pacer,
    connection: Option<Connection>,
    /// Its place among all, from 0 to below 1.
    place: f64,
}

/// Why a request has no answer, and whether it is too early to try again.
struct Failed {
    outcome: Outcome,
    error: String,
    must_rest: bool,
}

impl Worker {
    /// All workers of a block.
    pub fn all(block: &Arc<Block>) -> Vec<Worker> {
        let count = block.pacers.len() as f64;
        let worker = |(number, pacer): (usize, &Pacer)| Worker {
            block: block.clone(),
            pacer: pacer.clone(),
            connection: None,
            place: number as f64 / count,
        };
        block.pacers.iter().enumerate().map(worker).collect()
    }

    /// Works until there is nothing to do any more.
    pub async fn run(mut self) {
        let mut next = self.pacer.next(None);
        if let Some(first) = next {
            self.connect_before(first).await;
        }
        while let Some(start) = next {
            let may_begin = self.block.clock.wait_until(start.due).await;
            let begun = Instant::now();
            if !may_begin || (start.number.is_some() && begun >= self.block.end() + LATE) {
                return self.block.leave(start);
            }
            let free = self.request(start.due, begun, self.block.number(start)).await;
            next = self.pacer.next(Some(free));
        }
    }

    /// Opens the connection, so that the first request need not. It is no matter if it fails.
    async fn connect_before(&mut self, first: Start) {
        let needed = match self.pacer {
            Pacer::User(_) => first.due,
            Pacer::Arrivals(_) => self.block.begin,
        };
        let ahead = AHEAD - (AHEAD - READY).mul_f64(self.place);
        let at = needed.checked_sub(ahead).unwrap_or(needed);
        if self.block.clock.wait_until(at).await {
            let opened = timeout_at(needed, Connection::open(&self.block.base)).await;
            self.connection = opened.ok().and_then(Result::ok);
        }
    }

    /// Makes one request; says since when the worker is free for the next one.
    async fn request(&mut self, due: Instant, begun: Instant, number: u64) -> Instant {
        let block = self.block.clone();
        let in_flight = block.live.begin();
        let mut seen = Seen::default();
        let ended = timeout(block.timeout, self.attempt(number, &mut seen)).await;
        drop(in_flight);
        let now = Instant::now();
        let (outcome, error, must_rest) = match ended {
            Ok(Ok(outcome)) => (outcome, None, false),
            Ok(Err(failed)) => (failed.outcome, Some(failed.error), failed.must_rest),
            Err(_) => (Outcome::Timeout, None, false),
        };
        block.record(number, &Exchange { due, begun, ended: now, outcome, seen }, error);
        if !must_rest {
            return now;
        }
        let free = now + REST.saturating_sub(self.pacer.pause());
        block.clock.wait_until(free).await;
        free
    }

    /// The connection is kept only after a whole answer: whoever stops waiting drops it.
    async fn attempt(&mut self, number: u64, seen: &mut Seen) -> Result<Outcome, Failed> {
        loop {
            let kept = self.connection.take();
            let is_new = kept.is_none();
            let mut connection = match kept {
                Some(connection) => connection,
                None => Connection::open(&self.block.base).await.map_err(|error| Failed {
                    outcome: Outcome::Refused,
                    error: error.to_string(),
                    must_rest: true,
                })?,
            };
            let failed = |outcome, error: String| Err(Failed { outcome, error, must_rest: is_new });
            match connection.exchange(self.block.request(number), seen).await {
                Ok(status) => {
                    self.connection = Some(connection);
                    return Ok(Outcome::Answered(status));
                }
                // The target closed it while it was idle, as it may.
                Err(Broken::Before) if !is_new => {}
                Err(Broken::Before) => {
                    return failed(Outcome::Reset, "it closes connections at once".into());
                }
                Err(Broken::Reset(error)) => return failed(Outcome::Reset, error.to_string()),
                Err(Broken::Truncated) => {
                    return Err(Failed {
                        outcome: Outcome::Truncated,
                        error: String::new(),
                        must_rest: false,
                    });
                }
            }
        }
    }
}
