//! How stale the answers of a strategy are: beside the load, one product is written to, and looked at
//! through the strategy.
//!
//! A write is known by the stock that it sets, which goes up by one each time, and is remembered over all
//! blocks of a run: an answer may be kept from one block to the next. Nothing else in the run writes to that product. A look is **stale** if it
//! lacks a write that had been answered before the look began; its **age** is the time from when the
//! oldest such write was answered to when the look began, and 0 where there is none. So the time that
//! a look takes itself, and a write that is on its way, never count.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, IF_MATCH};
use hyper::{Method, Request};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout_at};

use super::people::authorization;
use crate::lab::base::Base;
use crate::lab::load::{Shop, detail};
use crate::lab::plan::Staleness;
use crate::lab::record::StalenessRecord;

/// How long a look or a write may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Looks from `from` to `to`, or until it is dropped: `record` holds what was seen so far.
pub(super) async fn look(
    looks: Staleness,
    (base, shop, watched): (&Base, Arc<Shop>, &Watched),
    strategy: &str,
    (from, to): (Instant, Instant),
    record: &Mutex<StalenessRecord>,
) {
    let product = watched.product;
    let subject = Subject { base, shop, path: detail(strategy, product), product };
    sleep_until(from).await;
    let writing = every(looks.write_every, from, async || {
        let stock = 1 + watched.stock.fetch_add(1, Ordering::Relaxed);
        match subject.write(stock).await {
            Ok(()) => {
                lock(&watched.history).answered(stock, Instant::now());
                lock(record).writes += 1;
            }
            Err(()) => lock(record).errors += 1,
        }
    });
    let reading = every(looks.read_every, from, async || {
        let begun = Instant::now();
        let found = subject.read().await;
        let mut record = lock(record);
        match found {
            Ok(stock) => {
                let age = lock(&watched.history).age(stock, begun);
                record.looks += 1;
                record.stale += u64::from(!age.is_zero());
                record.age.record(age);
                record.age_seconds += age.as_secs_f64();
            }
            Err(()) => record.errors += 1,
        }
    });
    let both = async { tokio::join!(writing, reading) };
    let _ = timeout_at(to, both).await;
}

async fn every(period: Duration, from: Instant, act: impl AsyncFn()) {
    let mut due = interval_at(from, period);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        act().await;
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The product that is written to and looked at.
struct Subject<'a> {
    base: &'a Base,
    shop: Arc<Shop>,
    path: String,
    product: i64,
}

impl Subject<'_> {
    async fn write(&self, stock: i64) -> Result<(), ()> {
        let mut request = Request::new(Full::new(Bytes::from(json!({"stock": stock}).to_string())));
        *request.method_mut() = Method::PATCH;
        let path = format!("/products/{}", self.product);
        *request.uri_mut() = path.parse().expect("a number makes a path");
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, "application/json".parse().expect("it is one"));
        headers.insert(IF_MATCH, "*".parse().expect("it is one"));
        headers.extend(authorization(&self.shop));
        let answer = self.base.ask(request, TIMEOUT).await.map_err(drop)?;
        if answer.status.is_success() { Ok(()) } else { Err(()) }
    }

    async fn read(&self) -> Result<i64, ()> {
        #[derive(Deserialize)]
        struct Product {
            stock: i64,
        }
        let (status, body) = self.base.get(&self.path, TIMEOUT).await.map_err(drop)?;
        let product: Product = serde_json::from_slice(&body).map_err(drop)?;
        if status.is_success() { Ok(product.stock) } else { Err(()) }
    }
}

/// Which product is written to, over all blocks of a run.
pub(super) struct Watched {
    product: i64,
    /// The last stock that it was given.
    stock: AtomicI64,
    history: Mutex<History>,
}

impl Watched {
    /// One that has this stock.
    pub fn new(product: i64, stock: i64) -> Self {
        Self { product, stock: stock.into(), history: Mutex::default() }
    }
}

/// The writes that were answered, oldest first: both columns only rise.
#[derive(Default)]
struct History {
    answered: Vec<(i64, Instant)>,
}

impl History {
    fn answered(&mut self, stock: i64, at: Instant) {
        self.answered.push((stock, at));
    }

    /// How old an answer with this stock is that was asked for at `begun`.
    fn age(&self, stock: i64, begun: Instant) -> Duration {
        let oldest = self.answered.partition_point(|(written, _)| *written <= stock);
        let lacks = self.answered.get(oldest).filter(|(_, at)| *at < begun);
        lacks.map_or(Duration::ZERO, |(_, at)| begun - *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_that_of_the_oldest_write_that_an_answer_lacks() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut history = History::default();
        assert_eq!(history.age(17, at(0)), Duration::ZERO, "nothing was written");
        for (stock, seconds) in [(101, 1), (102, 3), (103, 5)] {
            history.answered(stock, at(seconds));
        }
        for (stock, begun, age) in [
            (17, 1, 0),
            (17, 2, 1),
            (17, 6, 5),
            (101, 3, 0),
            (101, 4, 1),
            (102, 6, 1),
            (103, 9, 0),
            // Written meanwhile: newer than asked for.
            (104, 9, 0),
        ] {
            let found = history.age(stock, at(begun));
            assert_eq!(found, Duration::from_secs(age), "stock {stock} asked for at {begun}");
        }
    }
}
