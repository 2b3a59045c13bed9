//! The configuration while the service runs: what an edit changes, what it leaves, what it may not
//! cost.

mod command;
mod edits;
mod files;
mod pools;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::Service;

/// Time in which an edit takes effect.
const EFFECT: Duration = Duration::from_secs(2);
/// What the tests allow for it: the machines are noisy.
const ALLOWED: Duration = Duration::from_secs(30);

/// What `/stats` says of the configuration.
async fn config_stats(service: &Service) -> Value {
    service.client.get("/stats").await.json()["config"].clone()
}

/// Writes `text` to `file` and waits for what becomes of it.
async fn edit(service: &Service, file: &Path, text: &str) -> Value {
    attempt(service, || std::fs::write(file, text).expect("it can be written to")).await
}

/// What becomes of an edit that `make` makes.
async fn attempt(service: &Service, make: impl FnOnce()) -> Value {
    let before = config_stats(service).await["last_reload"].clone();
    let edited = Instant::now();
    make();
    loop {
        let now = config_stats(service).await["last_reload"].clone();
        if now != before {
            let took = edited.elapsed();
            println!("an edit took effect in {took:?}, of {EFFECT:?}");
            return now;
        }
        assert!(edited.elapsed() < ALLOWED, "no reload: {now}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Edits and expects it to be in force.
async fn applied(service: &Service, file: &Path, text: &str) -> Value {
    let reload = edit(service, file, text).await;
    assert_eq!(reload["outcome"], "applied", "{reload}");
    reload
}

/// Edits and expects it to be refused; every problem on a line.
async fn refused(service: &Service, file: &Path, text: &str) -> String {
    let reload = edit(service, file, text).await;
    assert_eq!(reload["outcome"], "refused", "{reload}");
    let problems = reload["problems"].as_array().expect("a list");
    problems.iter().map(|problem| problem.as_str().expect("text")).collect::<Vec<_>>().join("\n")
}
