//! What faults cost clients: the figures of docs/RELIABILITY.md, each printed on a line that begins
//! with "figure:". Counts and states are asserted exactly, times at so many times what is wanted
//! that a busy machine does not fail.
//!
//! `POOLWISE_LONG=1` makes the faults as long as the document has them.

mod clients;
mod database;
mod disk;
mod redis;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::harness::{Client, Dataset, FEW, Fate, Filter, Outcomes, Service, eventually};

/// Clients at a time.
const CLIENTS: usize = 20;
/// Fifteen times the second within which a good answer comes, or a change shows.
const SOON: Duration = Duration::from_secs(15);

/// The first products of the small data set, as they are answered.
fn first(limit: usize) -> Bytes {
    let filter = Filter { limit: Some(limit), ..Filter::default() };
    Dataset::of(FEW).answer(&filter).into()
}

fn figure(what: &str, outcomes: &Outcomes, more: &str) {
    let mut counts: Vec<String> = Vec::new();
    for (fate, count) in outcomes.counts() {
        counts.push(format!("{count} {fate:?}"));
    }
    println!("figure: {what}: {}; {more}", counts.join(", "));
}

/// Nothing but 503, with one of these words.
fn assert_only_503(outcomes: &Outcomes, words: &[&str]) {
    for fate in outcomes.other_fates() {
        match &fate {
            Fate::Refused(503, word) if words.contains(&word.as_str()) => {}
            _ => panic!("{fate:?} among {:?}", outcomes.counts()),
        }
    }
}

/// Waits until a strategy answers well again, and its crowd must have had such an answer, too.
async fn good_again(service: &Service, strategy: &str, path: &str) {
    let deadline = Instant::now() + 2 * SOON;
    while service.client.get(path).await.status != 200 {
        assert!(Instant::now() < deadline, "{path} never gives a good answer");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Some of so many were asked only now.
    let strategy = service.strategy(strategy);
    let enough = strategy.meter.requests.get() + 2 * CLIENTS as u64;
    eventually("the clients go on", || strategy.meter.requests.get() > enough).await;
}

/// Asks `/health` again and again.
struct HealthLog(JoinHandle<()>, Changes);

/// When the state became which.
type Changes = Arc<Mutex<Vec<(Instant, String)>>>;

fn note(changes: &Changes, state: String) {
    let mut changes = changes.lock().expect("nobody panics with it");
    if changes.last().is_none_or(|(_, last)| *last != state) {
        changes.push((Instant::now(), state));
    }
}

impl HealthLog {
    fn of(client: Client) -> Self {
        let log = Changes::default();
        let entries = log.clone();
        let asking = tokio::spawn(async move {
            loop {
                let said = client.get("/health").await.json();
                let state = said["status"].as_str().expect("it has a state").to_owned();
                note(&entries, state);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self(asking, log)
    }

    /// Waits until it says so after `from`; the time that took, none if it said so before already.
    async fn says(&self, state: &str, from: Instant) -> Duration {
        let deadline = Instant::now() + 2 * SOON;
        loop {
            {
                let log = self.1.lock().expect("nobody panics with it");
                // Only changes are noted.
                if log.last().is_some_and(|(at, said)| *at < from && said == state) {
                    return Duration::ZERO;
                }
                let found = log.iter().rev().take_while(|(at, _)| *at >= from);
                if let Some((at, _)) = found.filter(|(_, said)| said == state).last() {
                    return *at - from;
                }
                assert!(Instant::now() < deadline, "/health is never {state}: {log:?}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for HealthLog {
    fn drop(&mut self) {
        self.0.abort();
    }
}
