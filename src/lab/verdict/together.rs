//! Mixed blocks with all their lanes as one: what a component used can be said of all strategies
//! together, where it cannot be told apart. Requests to other routes are among them.

use super::Row;
use super::cell::Cell;
use super::context::Context;
use super::tables::row;
use crate::lab::plan::Point;
use crate::lab::record::{Block, Lane, Reported, Second, TOGETHER};

/// The row of everything that the service did at a point.
pub(super) fn together<'a>(
    context: &Context,
    point: &Point,
    blocks: impl Iterator<Item = &'a Block>,
) -> Row {
    let merged = merged(blocks);
    row(context, point, &Cell::new(context, TOGETHER, merged.iter()), None)
}

/// Blocks with one lane each.
pub(super) fn merged<'a>(blocks: impl Iterator<Item = &'a Block>) -> Vec<Block> {
    blocks.map(|block| Block { lanes: vec![lane(&block.lanes)], ..block.clone() }).collect()
}

fn lane(lanes: &[Lane]) -> Lane {
    let mut sum = Lane { strategy: TOGETHER.to_owned(), ..Lane::default() };
    let mut reported = (0.0, 0.0);
    for lane in lanes {
        sum.scheduled += lane.scheduled;
        sum.late += lane.late;
        sum.dropped += lane.dropped;
        sum.first_byte.add(&lane.first_byte);
        for (outcome, count) in &lane.outcomes {
            *sum.outcomes.entry(outcome.clone()).or_default() += count;
        }
        if sum.seconds.len() < lane.seconds.len() {
            sum.seconds.resize_with(lane.seconds.len(), Second::default);
        }
        sum.seconds.iter_mut().zip(&lane.seconds).for_each(|(sum, second)| add(sum, second));
        if let Some(mean) = lane.reported.and_then(|reported| reported.mean_ms) {
            let requests = (lane.answers() + lane.errors()) as f64;
            reported = (reported.0 + mean * requests, reported.1 + requests);
        }
    }
    if reported.1 > 0.0 {
        // Percentiles of several cannot be merged.
        let mean_ms = Some(reported.0 / reported.1);
        sum.reported = Some(Reported { mean_ms, ..Reported::default() });
    }
    sum
}

fn add(sum: &mut Second, second: &Second) {
    sum.answers += second.answers;
    sum.errors += second.errors;
    sum.body_bytes += second.body_bytes;
    for (word, count) in &second.cache {
        *sum.cache.entry(word.clone()).or_default() += count;
    }
    sum.latency.add(&second.latency);
    sum.service_time.add(&second.service_time);
}
