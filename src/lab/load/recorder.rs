//! Counts what belongs to the measured part, by lane and second. The rules stand in
//! [`crate::lab::load`].

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::lab::plan::Task;
use crate::lab::record::{Lane, Second, TaskRecord};

use super::outcome::Exchange;
use super::{LATE, LaneTarget};

/// What has been counted so far.
///
/// One lock for each lane: recording is little beside the system calls of a request, so that the two
/// threads of a driver seldom meet there.
#[derive(Debug)]
pub(super) struct Recorder {
    lanes: Vec<Mutex<Lane>>,
    from: Instant,
    to: Instant,
    /// Whether there is more than one task.
    by_task: bool,
}

impl Recorder {
    /// For requests that are due from `from` on and before `to`.
    pub fn new(lanes: &[LaneTarget], (from, to): (Instant, Instant), by_task: bool) -> Self {
        let lane = |lane: &LaneTarget| {
            Mutex::new(Lane { strategy: lane.strategy.clone(), ..Lane::default() })
        };
        Self { lanes: lanes.iter().map(lane).collect(), from, to, by_task }
    }

    fn belongs(&self, due: Instant) -> bool {
        (self.from..self.to).contains(&due)
    }

    /// A request that has ended.
    pub fn record(&self, lane: usize, task: Task, exchange: &Exchange) {
        if self.belongs(exchange.due) {
            let mut lane = self.lanes[lane].lock().unwrap_or_else(PoisonError::into_inner);
            record(&mut lane, exchange, exchange.ended - self.from);
            if self.by_task {
                record_task(lane.tasks.entry(task.name().to_owned()).or_default(), exchange);
            }
        }
    }

    /// An arrival that was never begun.
    pub fn drop_arrival(&self, lane: usize, due: Instant) {
        if self.belongs(due) {
            let mut lane = self.lanes[lane].lock().unwrap_or_else(PoisonError::into_inner);
            lane.scheduled += 1;
            lane.dropped += 1;
        }
    }

    /// What was counted in a measured part that has come to its end at `ended`: every second of it
    /// is there, also without answers.
    pub fn finish(&self, ended: Instant) -> Vec<Lane> {
        let seconds = (ended - self.from).as_secs_f64().ceil() as usize;
        let finished = self.lanes.iter().map(|lane| {
            let mut lane = lane.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if lane.seconds.len() < seconds {
                lane.seconds.resize_with(seconds, Second::default);
            }
            lane
        });
        finished.collect()
    }
}

fn record(lane: &mut Lane, exchange: &Exchange, into: Duration) {
    let Exchange { due, begun, ended, outcome, seen } = *exchange;
    lane.scheduled += 1;
    lane.late += u64::from(begun - due > LATE);
    count(&mut lane.outcomes, outcome.name());
    let place = into.as_secs() as usize;
    if lane.seconds.len() <= place {
        lane.seconds.resize_with(place + 1, Second::default);
    }
    let second = &mut lane.seconds[place];
    second.body_bytes += seen.body_bytes;
    let served_from = seen.sent.unwrap_or(begun);
    if outcome.is_good() {
        second.answers += 1;
        if let Some(word) = seen.cache {
            count(&mut second.cache, word);
        }
        lane.first_byte.record(seen.first_byte.unwrap_or(ended) - served_from);
    } else {
        second.errors += 1;
    }
    if outcome.is_timed() {
        second.latency.record(ended - due);
        second.service_time.record(ended - served_from);
    }
}

fn record_task(task: &mut TaskRecord, exchange: &Exchange) {
    if exchange.outcome.is_good() {
        task.answers += 1;
    } else {
        task.errors += 1;
    }
    if exchange.outcome.is_timed() {
        task.latency.record(exchange.ended - exchange.due);
    }
}

/// Adds 1 without making a new text where there is one.
fn count(counts: &mut std::collections::BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(counts.insert(name.to_owned(), 1)),
    }
}
