//! `/health`, `/health/live` and `/health/ready`: what they say of each fault, and how soon; and that
//! they say it when everything else hangs.

mod faults;
mod pools;
mod report;
mod starting;
mod stopping;

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Client, Service};

/// A change must show within a second; this tells only whether it ever does.
const MOST: Duration = Duration::from_secs(15);

/// What `/health` says; its status is that of what it says, and it took no time.
async fn health(client: Client) -> Value {
    let asked = Instant::now();
    let answer = client.get("/health").await;
    let took = asked.elapsed();
    assert!(took < MOST, "/health took {took:?}");
    let said = answer.json();
    let expected = if said["status"] == "critical" { 503 } else { 200 };
    assert_eq!(answer.status.as_u16(), expected, "{said}");
    assert_eq!(said["reasons"].as_array().expect("a list").is_empty(), said["status"] == "healthy");
    said
}

/// The status of `/health/ready` and its reason.
async fn ready(client: Client) -> (u16, String) {
    let answer = client.get("/health/ready").await;
    let said = answer.json();
    assert_eq!(said["ready"] == true, answer.status == 200, "{said}");
    (answer.status.as_u16(), said["status"].as_str().expect("a word").to_owned())
}

/// Waits until `/health` says so, prints how long that took since `from`, and returns what it says.
async fn becomes(service: &Service, state: &str, what: &str, from: Instant) -> Value {
    loop {
        let said = health(service.client).await;
        let took = from.elapsed();
        if said["status"] == state {
            println!("{what}: {state} after {} ms", took.as_millis());
            return said;
        }
        assert!(took < MOST, "{what}: not {state} after {took:?}: {said}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The first reason.
fn reason(said: &Value) -> &str {
    said["reasons"][0].as_str().expect("there is a reason")
}

/// What is known of a strategy's connections.
fn pool<'a>(said: &'a Value, name: &str) -> &'a Value {
    let pools = said["checks"]["db_pool"]["strategies"].as_array().expect("a list");
    pools.iter().find(|pool| pool["strategy"] == name).expect("every strategy is listed")
}
