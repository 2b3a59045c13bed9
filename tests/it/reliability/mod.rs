//! What faults cost clients: the figures of docs/RELIABILITY.md, each printed on a line that begins
//! with "figure:". Counts and states are asserted exactly, times at five times what is wanted.
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

use crate::harness::{Client, Dataset, FEW, Fate, Filter, Outcomes};

/// Clients at a time.
const CLIENTS: usize = 20;

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

    /// Waits until it says so after `from`; the time that took.
    async fn says(&self, state: &str, from: Instant) -> Duration {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            {
                let log = self.1.lock().expect("nobody panics with it");
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
