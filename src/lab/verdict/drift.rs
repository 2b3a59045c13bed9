//! What changed over a long run: least-squares slopes of memory and latency over time.
//!
//! Samples a second apart are not independent: memory now is nearly memory a second ago, and a slope
//! over 1,800 of them would seem far too certain. So they are first averaged into [`BATCHES`] batches
//! (the method of batch means: Law, *Simulation Modeling and Analysis*, section 9.5.3), and the slope
//! and its interval by Student's t with `batches - 2` degrees of freedom are those of the batches
//! (Draper and Smith, *Applied Regression Analysis*, section 1.4).

use super::cell::Cell;
use super::context::{Component, Context};
use super::student::t95;
use super::tables::Measured;
use super::{Drift, Figure};
use crate::lab::histogram::Times;

/// Batches of a run.
const BATCHES: usize = 20;
/// Fewer batches with a value say nothing.
const FEWEST: usize = 6;
/// Shorter runs of a strategy have no drift worth the name, unless the plan is a soak.
const SHORTEST_SECONDS: f64 = 300.0;

/// The slopes of each strategy that was driven long enough, at the point where it was longest.
pub(super) fn drifts(context: &Context, points: &[Measured]) -> Vec<Drift> {
    let plan = &context.run.plan;
    let shortest = if plan.name.contains("soak") { 0.0 } else { SHORTEST_SECONDS };
    let mut found = Vec::new();
    for planned in &plan.strategies {
        let cells = points.iter().flat_map(|point| &point.cells);
        let cells = cells.filter(|cell| cell.strategy == planned.name);
        let longest = cells.reduce(|a, b| if b.seconds() > a.seconds() { b } else { a });
        if let Some(cell) = longest.filter(|cell| cell.seconds() >= shortest) {
            found.extend(of_cell(context, cell));
        }
    }
    found
}

fn of_cell(context: &Context, cell: &Cell) -> Vec<Drift> {
    let memory = |component: Component| -> Vec<(f64, f64)> {
        let alone = |samples: usize| if samples == 1 { context.has(component) } else { false };
        let blocks = cell.blocks().filter(|(block, _)| alone(block.lanes.len()));
        let samples = blocks.flat_map(|(block, _)| &block.samples);
        let at = |sample: &crate::lab::record::Sample| {
            let bytes = component.usage(sample).memory_bytes?;
            Some((sample.at_seconds / 3600.0, bytes as f64))
        };
        batches(&samples.filter_map(at).collect::<Vec<_>>(), |values| {
            Some(values.iter().sum::<f64>() / values.len() as f64)
        })
    };
    let seconds: Vec<(f64, &Times)> = cell
        .blocks()
        .flat_map(|(block, lane)| {
            let at = move |second: usize| (block.from_seconds + second as f64 + 0.5) / 3600.0;
            lane.seconds.iter().enumerate().map(move |(i, second)| (at(i), &second.latency))
        })
        .collect();
    let latency = |quantity: fn(&Times) -> Option<f64>| {
        batches(&seconds, |times| {
            let mut merged = Times::default();
            times.iter().for_each(|times| merged.add(times));
            quantity(&merged)
        })
    };
    let series = [
        (Figure::ApiMemory, memory(Component::Api)),
        (Figure::DatabaseMemory, memory(Component::Database)),
        (Figure::LatencyMean, latency(Times::mean_ms)),
        (Figure::LatencyP95, latency(|times| times.quantile_ms(0.95))),
    ];
    let drift = |(figure, points): (Figure, Vec<(f64, f64)>)| {
        let (per_hour, interval) = slope(&points)?;
        Some(Drift { strategy: cell.strategy.to_owned(), figure, per_hour, interval })
    };
    series.into_iter().filter_map(drift).collect()
}

/// Equal parts of a series: the mean time of each, and what its values are together.
fn batches<V: Copy>(
    series: &[(f64, V)],
    together: impl Fn(&[V]) -> Option<f64>,
) -> Vec<(f64, f64)> {
    let size = series.len().div_ceil(BATCHES).max(1);
    let batch = |part: &[(f64, V)]| {
        let (times, values): (Vec<f64>, Vec<V>) = part.iter().copied().unzip();
        Some((times.iter().sum::<f64>() / times.len() as f64, together(&values)?))
    };
    series.chunks(size).filter_map(batch).collect()
}

/// The slope of a line through the points, and its 95 % interval. `None` with too few points.
fn slope(points: &[(f64, f64)]) -> Option<(f64, (f64, f64))> {
    if points.len() < FEWEST {
        return None;
    }
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
        points.iter().map(|(at, value)| of(at - x, value - y)).sum()
    };
    let spread = sum(&|x, _| x * x);
    let slope = sum(&|x, y| x * y) / spread;
    let residuals = sum(&|x, y| (y - slope * x) * (y - slope * x));
    let error = (residuals / (n - 2.0) / spread).sqrt() * t95(points.len() - 2);
    slope.is_finite().then_some((slope, (slope - error, slope + error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_of_a_line_is_found_and_its_interval_is_the_textbook_one() {
        let line: Vec<(f64, f64)> =
            (0..10).map(|i| (f64::from(i), 5.0 + 2.0 * f64::from(i))).collect();
        assert_eq!(slope(&line), Some((2.0, (2.0, 2.0))));
        // y alternates by 1 around the line: residual variance and Sxx by hand.
        let noisy: Vec<(f64, f64)> = line
            .iter()
            .map(|(x, y)| (*x, y + if (*x as u32).is_multiple_of(2) { 1.0 } else { -1.0 }))
            .collect();
        let (found, (low, high)) = slope(&noisy).expect("enough points");
        // Sxy = 2 * 82.5 - 5, Sxx = 82.5; residuals = 10 - 25 / 82.5
        assert!((found - (2.0 - 5.0 / 82.5)).abs() < 1e-12);
        let error = ((10.0 - 25.0 / 82.5) / 8.0 / 82.5f64).sqrt() * 2.306;
        assert!((high - found - error).abs() < 1e-12 && (found - low - error).abs() < 1e-12);
        assert_eq!(slope(&line[..5]), None);
    }

    #[test]
    fn a_series_becomes_at_most_twenty_batches() {
        let series: Vec<(f64, f64)> = (0..1805).map(|i| (f64::from(i), 1.0)).collect();
        let means =
            batches(&series, |values| Some(values.iter().sum::<f64>() / values.len() as f64));
        assert_eq!(means.len(), 20);
        assert!(means.iter().all(|(_, mean)| *mean == 1.0));
    }
}
