//! Many clients that ask again and again, and what became of each of their requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Client;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// 200 and every byte as it should be.
    Right,
    /// 200 and other bytes, all that were announced.
    Wrong,
    /// An error: its status and the last word of its type.
    Refused(u16, String),
    /// It broke off after it had begun.
    Truncated,
    /// The connection ended without a byte of it.
    Unanswered,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub asked: Instant,
    pub took: Duration,
    pub fate: Fate,
}

impl Outcome {
    /// When it was over.
    pub fn ended(&self) -> Instant {
        self.asked + self.took
    }
}

/// Clients at work.
pub struct Crowd {
    stop: watch::Sender<bool>,
    clients: Vec<JoinHandle<Vec<Outcome>>>,
}

impl Crowd {
    /// So many `clients` ask for `path` until they are told to stop, each as soon as it has its answer,
    /// which should be `expected`.
    pub fn of(clients: usize, client: Client, path: &str, expected: Bytes) -> Self {
        Self::waiting(clients, client, path, expected, Duration::ZERO)
    }

    /// Clients that, when told to come back later, wait for `retry_after` first.
    pub fn waiting(
        clients: usize,
        client: Client,
        path: &str,
        expected: Bytes,
        retry_after: Duration,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let path: Arc<str> = path.into();
        let ask = |_| {
            let (path, expected, mut stopped) = (path.clone(), expected.clone(), stopped.clone());
            tokio::spawn(async move {
                let mut outcomes = Vec::new();
                while !*stopped.borrow() {
                    let asked = Instant::now();
                    let fate = client.attempt(&path, &expected).await;
                    let refused = fate != Fate::Right;
                    outcomes.push(Outcome { asked, took: asked.elapsed(), fate });
                    if refused && !retry_after.is_zero() {
                        let stopping = stopped.wait_for(|stopped| *stopped);
                        let _ = tokio::time::timeout(retry_after, stopping).await;
                    }
                }
                outcomes
            })
        };
        Self { stop, clients: (0..clients).map(ask).collect() }
    }

    /// Lets them finish what they are at, and says what became of each request, in the order in
    /// which they were over.
    pub async fn leaves(self) -> Outcomes {
        self.stop.send_replace(true);
        let mut all = Vec::new();
        for client in self.clients {
            all.extend(client.await.expect("a client does not panic"));
        }
        all.sort_by_key(Outcome::ended);
        Outcomes(all)
    }
}

/// What became of requests.
#[derive(Debug)]
pub struct Outcomes(pub Vec<Outcome>);

impl Outcomes {
    /// How many had each fate.
    pub fn counts(&self) -> BTreeMap<Fate, usize> {
        let mut counts = BTreeMap::new();
        for outcome in &self.0 {
            *counts.entry(outcome.fate.clone()).or_default() += 1;
        }
        counts
    }

    /// How many were as they should be.
    pub fn right(&self) -> usize {
        self.0.iter().filter(|outcome| outcome.fate == Fate::Right).count()
    }

    /// Every fate but the right one.
    pub fn other_fates(&self) -> Vec<Fate> {
        self.counts().into_keys().filter(|fate| *fate != Fate::Right).collect()
    }

    /// The time from `from` to the first good answer that was over after it.
    pub fn first_good_after(&self, from: Instant) -> Duration {
        let good = |outcome: &&Outcome| outcome.fate == Fate::Right && outcome.ended() >= from;
        self.0.iter().find(good).expect("there is a good answer again").ended() - from
    }

    /// The time within which 95 % of the right answers came.
    pub fn p95(&self) -> Duration {
        let right = self.0.iter().filter(|outcome| outcome.fate == Fate::Right);
        let mut took: Vec<Duration> = right.map(|outcome| outcome.took).collect();
        took.sort_unstable();
        took[(took.len() * 95).div_ceil(100) - 1]
    }
}
