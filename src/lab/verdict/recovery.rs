//! How each strategy came through a peak: points whose level goes up and down again.

use super::cell::Cell;
use super::load::{Span, spans};
use super::tables::Measured;
use super::{Figure, Recovery};
use crate::lab::histogram::Times;

/// A second is as before when its median is at most this many times the median before the peak.
pub(super) const AS_BEFORE: f64 = 1.5;
/// So many seconds in a row have to be as before.
const IN_A_ROW: usize = 3;
/// Fewer answers in a second have no median worth the name.
const FEWEST: u64 = 5;

/// One for each strategy at each point whose highest level is neither first nor last.
pub(super) fn recoveries(points: &[Measured]) -> Vec<Recovery> {
    let peaks = points.iter().filter_map(|point| Some((point, peak(&spans(point.point))?)));
    let of = |(point, peak): (&Measured, Span)| -> Vec<Recovery> {
        let name = &point.table.point;
        let cells = point.cells.iter().filter(|cell| !cell.rounds.is_empty());
        cells.map(|cell| recovery(name, cell, peak)).collect()
    };
    peaks.flat_map(of).collect()
}

/// The stages of the highest level, where they have lower ones on both sides.
fn peak(spans: &[Span]) -> Option<Span> {
    let highest = spans.iter().map(|span| span.level).reduce(f64::max)?;
    let first = spans.iter().position(|span| span.level == highest)?;
    let last = spans.iter().rposition(|span| span.level == highest)?;
    let is_inside = first > 0 && last + 1 < spans.len();
    is_inside.then(|| Span { to: spans[last].to, ..spans[first] })
}

fn recovery(point: &str, cell: &Cell, peak: Span) -> Recovery {
    let seconds = cell.blocks().map(|(_, lane)| lane.seconds.len()).max().unwrap_or(0);
    let medians: Vec<Option<f64>> = (0..seconds).map(|second| median(cell, second)).collect();
    let [from, to] = [peak.from, peak.to].map(|at| (at.ceil() as usize).min(seconds));
    let before_ms = middle(medians[..from].iter().flatten().copied().collect());
    let peak_ms = medians[from..to].iter().flatten().copied().reduce(f64::max);
    let failed = cell.sum(|lane| {
        let peak = lane.seconds.get(from..to.min(lane.seconds.len())).unwrap_or(&[]);
        peak.iter().map(|second| second.errors).sum()
    });
    let after_seconds = before_ms.and_then(|before| {
        let is_as_before =
            |median: &Option<f64>| median.is_some_and(|median| median <= AS_BEFORE * before);
        let after = &medians[to..];
        let found = after.windows(IN_A_ROW).position(|row| row.iter().all(is_as_before));
        found.map(|seconds| seconds as f64)
    });
    let (point, strategy) = (point.to_owned(), cell.strategy.to_owned());
    Recovery { point, strategy, before_ms, peak_ms, failed, after_seconds }
}

/// The median latency of a second of the measured part, over all rounds.
fn median(cell: &Cell, second: usize) -> Option<f64> {
    let mut times = Times::default();
    for (_, lane) in cell.blocks() {
        lane.seconds.get(second).into_iter().for_each(|second| times.add(&second.latency));
    }
    let half = times.count().div_ceil(2);
    let mut up_to = 0;
    let mut recorded = times.recorded().filter(|_| times.count() >= FEWEST);
    recorded.find_map(|(ms, count)| {
        up_to += count;
        (up_to >= half).then_some(ms)
    })
}

fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

/// The figure that recoveries speak of.
pub(super) const FIGURE: Figure = Figure::LatencyP50;
