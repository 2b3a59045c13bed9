//! Several lines to Redis: who asks on which, and how long an answer may take.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use redis::{FromRedisValue, Pipeline};
use tokio::time::timeout_at;

use super::door::{Door, Link};
use super::line::Line;
use crate::config;
use crate::observe::BreakerView;
use crate::redis_client::{Client, why};

/// An answer that flows may take so many times the time that Redis may say nothing.
const WHILE_IT_FLOWS: u32 = 10;
/// A link that repairs itself is given up when nothing was answered for so many times that time.
const GIVE_UP: u32 = 5;

/// Which of the two may be so large that it takes its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    OfQuestion,
    OfAnswer,
}

/// Lines to the same Redis.
pub(crate) struct Lines {
    lines: Vec<Line>,
    turn: AtomicUsize,
    timeout: Duration,
    /// Requests that found their line down.
    refused: Counter,
}

impl Lines {
    /// # Errors
    /// A sentence, when the settings cannot be used.
    pub fn new(settings: &config::Cache, client: &Client) -> Result<Self, String> {
        let door = Door::new(settings, client)?;
        let lines = (0..settings.redis_connections).map(|_| Line::new(door.clone())).collect();
        let timeout = settings.redis_timeout;
        Ok(Self { lines, turn: AtomicUsize::new(0), timeout, refused: Counter::default() })
    }

    /// The least burdened line; equal ones take turns. A reply that is stuck, or that is large,
    /// then holds up only those few that came while it did not show.
    fn line(&self) -> &Line {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.lines.len();
        let in_turn = (0..count).map(|step| &self.lines[(turn + step) % count]);
        in_turn.min_by_key(|line| line.burden()).expect("there is at least one")
    }

    /// Open when every line is down, half-open while one of those is being opened again.
    pub fn breaker(&self) -> BreakerView {
        let best = self.lines.iter().map(Line::breaker).min_by_key(|(state, _)| *state);
        let (state, reason) = best.expect("there is at least one");
        BreakerView { state, since: None, reason, opened: None, refused: self.refused.get() }
    }

    /// Asks, and once more when the server had closed the connection.
    ///
    /// # Errors
    /// What went wrong, for the log.
    pub async fn ask<T: FromRedisValue>(
        &self,
        size: Size,
        command: &Pipeline,
    ) -> Result<T, String> {
        let started = Instant::now();
        let line = self.line();
        let _busy = line.enter();
        let mut again = true;
        loop {
            let link = line.link(started + self.timeout).await;
            let mut link = link.map_err(|why| {
                self.refused.inc();
                why.to_string()
            })?;
            let of_link = link.clone();
            let answer = command.query_async::<T>(&mut link);
            match self.while_it_flows(answer, started, size, &of_link).await {
                Some(Ok(answer)) => {
                    line.has_answered();
                    return Ok(answer);
                }
                Some(Err(error)) if error.is_unrecoverable_error() => {
                    if !of_link.repairs_itself() {
                        line.closed(&of_link);
                        if std::mem::take(&mut again) {
                            continue;
                        }
                    }
                    return Err(why(&error));
                }
                Some(Err(error)) => {
                    line.has_answered();
                    return Err(why(&error));
                }
                None => {
                    let limit = humantime::format_duration(self.timeout);
                    let why = format!("no answer within {limit} (cache.redis_timeout)");
                    if !of_link.repairs_itself() || line.unanswered() > self.timeout * GIVE_UP {
                        line.silent(&of_link, &why);
                    }
                    return Err(why);
                }
            }
        }
    }

    /// What comes of `answer`; `None` when nothing moves for as long as Redis may say nothing, or
    /// when even a flow took too long.
    async fn while_it_flows<T>(
        &self,
        answer: impl Future<Output = T>,
        started: Instant,
        size: Size,
        link: &Link,
    ) -> Option<T> {
        let moved = || match (link.flow(), size) {
            (None, _) => started,
            (Some(flow), Size::OfAnswer) => flow.read.get().max(started),
            (Some(flow), Size::OfQuestion) => flow.read.get().max(flow.written.get()).max(started),
        };
        let last = started + self.timeout * WHILE_IT_FLOWS;
        let mut answer = pin!(answer);
        loop {
            let until = (moved() + self.timeout).min(last);
            if let Ok(answer) = timeout_at(until.into(), &mut answer).await {
                return Some(answer);
            }
            if Instant::now() >= (moved() + self.timeout).min(last) {
                return None;
            }
        }
    }
}
