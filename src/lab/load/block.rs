//! What the workers of a block share, and how a block ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::header::{ACCEPT_ENCODING, HOST, HeaderValue};
use hyper::{Request, Uri};
use tokio::sync::SetOnce;
use tokio::time::Instant;

use crate::lab::base::Base;
use crate::lab::plan::{Model, Task};

use super::clock::Clock;
use super::connection::Plain;
use super::keys::path_and_query;
use super::levels::Levels;
use super::outcome::{Exchange, Outcome};
use super::pacer::{Arrivals, Pacer, Pauses, Start, User};
use super::recorder::Recorder;
use super::schedule::Schedule;
use super::{Driven, Job, Keys, LOST_AFTER, LaneTarget, Live, Shop};

/// What the workers of a block share.
pub(super) struct Block {
    pub base: Base,
    pub begin: Instant,
    pub timeout: Duration,
    pub clock: Clock,
    pub live: Arc<Live>,
    pub health: Health,
    /// One for each worker.
    pub pacers: Vec<Pacer>,
    requests: Requests,
    recorder: Recorder,
    from: Instant,
    to: Instant,
    halted_at: OnceLock<Instant>,
    /// What workers had taken and not begun when the block ended.
    not_begun: Mutex<Vec<Start>>,
}

impl Block {
    /// Everything that can be made ready before it begins.
    ///
    /// # Errors
    /// A block that was cut short before it began: a path is none, or there is no thread left.
    pub fn new(job: Job) -> Result<Self, Box<Driven>> {
        let levels = Arc::new(Levels::new(job.warm_up, &job.stages));
        let from = job.begin + job.warm_up;
        let to = from + job.stages.iter().map(|stage| stage.duration).sum::<Duration>();
        let recorder = Recorder::new(&job.lanes, (from, to), job.shop.is_some());
        let ready = Requests::new(&job).and_then(|requests| {
            let clock = Clock::start().map_err(|error| format!("no thread for the clock: {error}"));
            Ok((requests, clock?))
        });
        let (requests, clock) = match ready {
            Ok(ready) => ready,
            Err(why) => {
                let lanes = recorder.finish(from);
                return Err(Box::new(Driven { lanes, cut: Some(why), measured: (from, from) }));
            }
        };
        Ok(Self {
            pacers: pacers(&job, &levels),
            base: job.base,
            begin: job.begin,
            timeout: job.timeout,
            clock,
            live: job.live,
            health: Health::default(),
            requests,
            recorder,
            from,
            to,
            halted_at: OnceLock::new(),
            not_begun: Mutex::default(),
        })
    }

    /// The planned end of the measured part.
    pub fn end(&self) -> Instant {
        self.to
    }

    /// The number of a request that begins now.
    pub fn number(&self, start: Start) -> u64 {
        start.number.unwrap_or_else(|| self.requests.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The request of this number.
    pub fn request(&self, number: u64) -> Plain {
        self.requests.request(number)
    }

    /// A request has ended.
    pub fn record(&self, number: u64, exchange: &Exchange, error: Option<String>) {
        self.live.record(exchange);
        self.recorder.record(self.requests.lane(number), self.requests.task(number), exchange);
        self.health.record(exchange, error);
    }

    /// A worker has ended without beginning this one.
    pub fn leave(&self, start: Start) {
        self.not_begun.lock().unwrap_or_else(PoisonError::into_inner).push(start);
    }

    /// Nothing begins any more.
    pub fn halt(&self, now: Instant) {
        self.clock.halt();
        let _ = self.halted_at.set(now);
    }

    /// What was measured, once all workers have ended.
    pub fn finish(&self, cut: Option<String>) -> Driven {
        let ended = self.halted_at.get().map_or(self.to, |&at| at.clamp(self.from, self.to));
        let mut left =
            std::mem::take(&mut *self.not_begun.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(Pacer::Arrivals(arrivals)) = self.pacers.first() {
            left.extend(
                std::iter::from_fn(|| arrivals.next()).take_while(|start| start.due < ended),
            );
        }
        for start in left {
            // Users that were to begin have no number: nothing was due of them.
            if let Some(number) = start.number
                && start.due < ended
            {
                self.recorder.drop_arrival(self.requests.lane(number), start.due);
            }
        }
        Driven { lanes: self.recorder.finish(ended), cut, measured: (self.from, ended) }
    }
}

fn pacers(job: &Job, levels: &Arc<Levels>) -> Vec<Pacer> {
    match job.model {
        Model::Closed { pause } => {
            let user = |number| {
                let spread = job.pause_spread.min(pause);
                let pauses = Pauses { mean: pause, spread, seed: job.seed, drawn: 0 };
                Pacer::User(User { number, pauses, levels: levels.clone(), begin: job.begin })
            };
            (0..levels.highest().ceil() as u32).map(user).collect()
        }
        Model::Open { arrivals, connections } => {
            let schedule = Mutex::new(Schedule::new(levels, arrivals, job.seed).enumerate());
            let arrivals = Arc::new(Arrivals { schedule, begin: job.begin });
            vec![Pacer::Arrivals(arrivals); connections.max(1) as usize]
        }
        Model::Watched => unreachable!("what another tool drives is not a job"),
    }
}

/// Which request is the next, and what it asks for.
struct Requests {
    keys: Arc<Keys>,
    shop: Option<Arc<Shop>>,
    /// Of each lane.
    strategies: Vec<String>,
    /// For each lane, each value.
    uris: Vec<Vec<Uri>>,
    host: HeaderValue,
    next: AtomicU64,
}

impl Requests {
    fn new(job: &Job) -> Result<Self, String> {
        let uri = |path: &str, query: &str| {
            let text = path_and_query(path, query);
            let uri = text.parse::<Uri>().ok().filter(|_| text.starts_with('/'));
            uri.ok_or_else(|| {
                format!("{text:?} cannot be asked for: it is not a path with a query")
            })
        };
        let lane = |lane: &LaneTarget| -> Result<Vec<Uri>, String> {
            job.keys.values().iter().map(|query| uri(&lane.path, query)).collect()
        };
        let uris = job.lanes.iter().map(lane).collect::<Result<Vec<_>, _>>()?;
        if uris.is_empty() {
            return Err("there is no strategy to drive".into());
        }
        let host = HeaderValue::from_str(job.base.authority()).expect("it was part of a URL");
        let strategies = job.lanes.iter().map(|lane| lane.strategy.clone()).collect();
        let (keys, shop) = (job.keys.clone(), job.shop.clone());
        Ok(Self { keys, shop, strategies, uris, host, next: AtomicU64::new(0) })
    }

    fn lane(&self, number: u64) -> usize {
        (number % self.uris.len() as u64) as usize
    }

    /// Its number among those of its lane: every lane does the same.
    fn of_lane(&self, number: u64) -> u64 {
        number / self.uris.len() as u64
    }

    fn task(&self, number: u64) -> Task {
        self.shop.as_ref().map_or(Task::List, |shop| shop.task(self.of_lane(number)))
    }

    fn request(&self, number: u64) -> Plain {
        let (lane, i) = (self.lane(number), self.of_lane(number));
        let mut request = match (&self.shop, self.task(number)) {
            (None, _) | (_, Task::List) => {
                let mut list = Request::new(Full::default());
                *list.uri_mut() = self.uris[lane][self.keys.place(i)].clone();
                list
            }
            (Some(shop), task) => shop.request(task, i, &self.strategies[lane]),
        };
        request.headers_mut().insert(HOST, self.host.clone());
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        request
    }
}

/// Whether the target still answers.
#[derive(Debug, Default)]
pub(super) struct Health {
    failing_since: Mutex<Option<Instant>>,
    lost: SetOnce<String>,
}

impl Health {
    fn record(&self, exchange: &Exchange, error: Option<String>) {
        let mut failing_since = self.failing_since.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(exchange.outcome, Outcome::Refused | Outcome::Reset) {
            *failing_since = None;
        } else if exchange.ended - *failing_since.get_or_insert(exchange.ended) >= LOST_AFTER {
            let _ = self.lost.set(error.unwrap_or_default());
        }
    }

    /// Ends when it has refused and reset everything for [`LOST_AFTER`]; with the last error.
    pub async fn lost(&self) -> &str {
        self.lost.wait().await
    }
}
