//! Waiting for moments, more exactly than a runtime's timer does.
//!
//! Tokio rounds deadlines up to the next millisecond, and the kernel's wait for sockets does so once
//! more: a wait ends 1 to 2 ms late. That would be in the latency of every request, and an answer
//! from a cache takes less. A thread that sleeps ends within some 0.1 ms, and costs nothing while
//! users do not pause and arrivals are behind.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

use tokio::time::Instant;

/// Wakes tasks at their moments, until it is halted. Its thread ends when it is dropped.
#[derive(Debug)]
pub(super) struct Clock {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    is_halted: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By moment; the number tells apart those who wait for the same one.
    wakers: BTreeMap<(Instant, u64), Waker>,
    next_number: u64,
    is_over: bool,
}

impl Clock {
    /// A clock with a thread of its own.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new().name("load clock".into());
        let thread = Some(thread.spawn(move || of_thread.wake_in_time())?);
        Ok(Self { shared, thread })
    }

    /// Waits until `due`, not at all if that has passed. `false`: the clock was halted, and nothing
    /// may begin any more.
    pub fn wait_until(&self, due: Instant) -> WaitUntil<'_> {
        WaitUntil { shared: &self.shared, due, number: None }
    }

    /// Ends every wait, now and from now on.
    pub fn halt(&self) {
        self.shared.is_halted.store(true, Ordering::SeqCst);
        let wakers = std::mem::take(&mut self.shared.lock().wakers);
        wakers.into_values().for_each(Waker::wake);
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_in_time(&self) {
        // The kernel may end sleeps 50 us late to save power; that would be in every latency.
        #[cfg(target_os = "linux")]
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        let mut waiting = self.lock();
        while !waiting.is_over {
            let now = Instant::now();
            let mut due = Vec::new();
            while let Some(first) = waiting.wakers.first_entry()
                && first.key().0 <= now
            {
                due.push(first.remove());
            }
            if !due.is_empty() {
                drop(waiting);
                due.into_iter().for_each(Waker::wake);
                waiting = self.lock();
                continue;
            }
            waiting = match waiting.wakers.first_key_value() {
                Some((&(first, _), _)) => {
                    let woken = self.changed.wait_timeout(waiting, first - now);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// See [`Clock::wait_until`].
#[derive(Debug)]
pub(super) struct WaitUntil<'a> {
    shared: &'a Shared,
    due: Instant,
    number: Option<u64>,
}

impl Future for WaitUntil<'_> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let is_halted = || self.shared.is_halted.load(Ordering::SeqCst);
        if is_halted() {
            return Poll::Ready(false);
        }
        if self.due <= Instant::now() {
            return Poll::Ready(true);
        }
        let mut waiting = self.shared.lock();
        // Once more under the lock: whoever halts takes it afterwards.
        if is_halted() {
            return Poll::Ready(false);
        }
        let number = self.number.unwrap_or_else(|| {
            waiting.next_number += 1;
            waiting.next_number
        });
        let key = (self.due, number);
        let is_first = waiting.wakers.first_key_value().is_none_or(|(first, _)| key < *first);
        waiting.wakers.insert(key, context.waker().clone());
        drop(waiting);
        if is_first {
            self.shared.changed.notify_one();
        }
        self.number = Some(number);
        Poll::Pending
    }
}

impl Drop for WaitUntil<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.shared.lock().wakers.remove(&(self.due, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn waits_end_after_their_moment_and_in_its_order() {
        let clock = Arc::new(Clock::start().expect("a thread"));
        let begin = Instant::now();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for after_ms in [60, 20, 40, 20, 0] {
            let (clock, order) = (clock.clone(), order.clone());
            tasks.spawn(async move {
                let due = begin + Duration::from_millis(after_ms);
                assert!(clock.wait_until(due).await);
                assert!(Instant::now() >= due);
                order.lock().expect("nobody panics").push(after_ms);
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no panic");
        }
        assert_eq!(*order.lock().expect("nobody panics"), [0, 20, 20, 40, 60]);
    }

    #[tokio::test]
    async fn a_halt_ends_every_wait_also_those_that_come_later() {
        let clock = Arc::new(Clock::start().expect("a thread"));
        let later = Instant::now() + Duration::from_secs(3600);
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.wait_until(later).await }
        });
        tokio::task::yield_now().await;
        clock.halt();
        assert!(!waiting.await.expect("no panic"));
        assert!(!clock.wait_until(later).await);
        assert!(!clock.wait_until(Instant::now()).await, "also one that is due");
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_leaves_nothing_behind() {
        let clock = Clock::start().expect("a thread");
        let wait = clock.wait_until(Instant::now() + Duration::from_secs(3600));
        let _ = tokio::time::timeout(Duration::from_millis(5), wait).await;
        assert!(clock.shared.lock().wakers.is_empty());
    }
}
