//! The queue for a connection: bounded in length, and shorter in time once it stands.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Database;
use crate::store::{ErrorKind, RequestContext, StoreError};

/// A queue stands when it was never empty for so many times `shed_after`. Shorter ones are bursts,
/// which it is there for. (Controlled delay, as in Nichols and Jacobson, "Controlling Queue Delay",
/// ACM Queue 10(5), 2012, with the adaptive timeout of Maurer, "Fail at Scale", ACM Queue 13(8), 2015.)
const STANDING: u32 = 5;

/// What a strategy may set of its queue for itself.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// How long a request waits at most.
    pub wait_timeout: Option<Duration>,
    /// How many may wait; 0 for no limit.
    pub max_waiting: Option<usize>,
    /// How long a request waits at most once the queue stands; 0 for no difference.
    pub shed_after: Option<Duration>,
}

/// Requests that wait for a connection.
pub struct Queue {
    wait_timeout: Duration,
    /// 0 for no limit.
    max_waiting: usize,
    /// 0 for never.
    shed_after: Duration,
    waiting: AtomicUsize,
    /// Since when it was never empty.
    busy_since: Mutex<Option<Instant>>,
}

/// A place in a queue; dropping it leaves.
pub struct Place<'a> {
    queue: &'a Queue,
    /// How long to wait at most.
    pub limit: Duration,
}

impl Queue {
    /// An empty queue; what `rules` leaves open is as in `database`.
    pub fn new(rules: &Rules, database: &Database) -> Self {
        Self {
            wait_timeout: rules.wait_timeout.unwrap_or(database.wait_timeout),
            max_waiting: rules.max_waiting.unwrap_or(database.max_waiting),
            shed_after: rules.shed_after.unwrap_or(database.shed_after),
            waiting: AtomicUsize::new(0),
            busy_since: Mutex::new(None),
        }
    }

    /// Takes a place, for at most the time that `context` has left.
    ///
    /// # Errors
    /// [`ErrorKind::Saturated`], at once, when the queue is full.
    pub fn enter(&self, context: &RequestContext) -> Result<Place<'_>, StoreError> {
        let ahead = self.waiting.fetch_add(1, Ordering::Relaxed);
        let mut place = Place { queue: self, limit: context.remaining(self.wait_timeout) };
        if self.max_waiting > 0 && ahead >= self.max_waiting {
            let full = format_args!("{ahead} requests wait already (database.max_waiting)");
            return Err(StoreError::new(ErrorKind::Saturated, full));
        }
        if !self.shed_after.is_zero() {
            let mut busy_since = self.busy_since();
            let since = *busy_since.get_or_insert_with(Instant::now);
            if since.elapsed() > self.shed_after * STANDING {
                place.limit = place.limit.min(self.shed_after);
            }
        }
        Ok(place)
    }

    /// Takes a place although it may be full: for one who has waited in another queue already.
    pub fn join(&self, context: &RequestContext) -> Place<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Place { queue: self, limit: context.remaining(self.wait_timeout) }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How long a request may wait while the queue does not stand.
    pub fn wait_timeout(&self) -> Duration {
        self.wait_timeout
    }

    fn busy_since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.busy_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let queue = self.queue;
        if queue.shed_after.is_zero() {
            queue.waiting.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        // Under the lock, so that nobody enters between the two.
        let mut busy_since = queue.busy_since();
        if queue.waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
            *busy_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(max_waiting: usize, shed_after: Duration) -> Queue {
        Queue {
            wait_timeout: Duration::from_secs(5),
            max_waiting,
            shed_after,
            waiting: AtomicUsize::new(0),
            busy_since: Mutex::new(None),
        }
    }

    fn context() -> RequestContext {
        let deadline = Instant::now() + Duration::from_secs(60);
        RequestContext { request_id: "test".into(), deadline, coding: None }
    }

    #[test]
    fn who_comes_when_it_is_full_is_refused_until_somebody_leaves() {
        let queue = queue(2, Duration::ZERO);
        let first = queue.enter(&context()).unwrap();
        let second = queue.enter(&context()).unwrap();
        let refused = queue.enter(&context()).err().expect("it is full");
        assert_eq!(refused.kind(), ErrorKind::Saturated);
        assert_eq!(queue.waiting(), 2);
        drop(first);
        let third = queue.enter(&context()).unwrap();
        assert_eq!(third.limit, Duration::from_secs(5));
        drop((second, third));
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn the_deadline_of_the_request_bounds_the_wait() {
        let queue = queue(0, Duration::ZERO);
        let deadline = Instant::now() + Duration::from_millis(10);
        let place = queue.enter(&RequestContext { deadline, ..context() }).unwrap();
        assert!(place.limit <= Duration::from_millis(10));
    }

    #[test]
    fn waits_are_short_once_the_queue_stands_and_long_again_when_it_was_empty() {
        let shed_after = Duration::from_millis(2);
        let queue = queue(0, shed_after);
        let first = queue.enter(&context()).unwrap();
        assert_eq!(first.limit, Duration::from_secs(5));
        std::thread::sleep(shed_after * (STANDING + 1));
        let late = queue.enter(&context()).unwrap();
        assert_eq!(late.limit, shed_after);
        drop((first, late));
        assert_eq!(queue.enter(&context()).unwrap().limit, Duration::from_secs(5));
    }
}
