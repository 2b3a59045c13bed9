//! Percentiles of merged histograms, for any weights of the rounds that they are merged from. It
//! knows times, not whose they are.
//!
//! The histogram of each round is decoded once into running counts over one list of values. The
//! percentile of a draw is then a binary search, instead of a merge of histograms.

use std::collections::BTreeSet;

use crate::lab::histogram::Times;

/// The histograms of several rounds over one list of values.
pub(super) struct Grid {
    /// Milliseconds, ascending.
    values: Vec<f64>,
    /// For each round: how many samples are at most the value at the same place.
    running: Vec<Vec<u64>>,
}

impl Grid {
    /// Decodes one histogram for each round.
    pub(super) fn new<'a>(rounds: impl Iterator<Item = &'a Times>) -> Self {
        let rounds: Vec<Vec<(f64, u64)>> = rounds.map(|times| times.recorded().collect()).collect();
        // Positive floats are in the order of their bits.
        let values = rounds.iter().flatten().map(|(value, _)| value.to_bits());
        let values: Vec<f64> =
            values.collect::<BTreeSet<u64>>().into_iter().map(f64::from_bits).collect();
        let running = rounds.iter().map(|recorded| {
            let mut recorded = recorded.iter().peekable();
            let mut sum = 0;
            let up_to = values.iter().map(|value| {
                sum += recorded.next_if(|(at, _)| at == value).map_or(0, |(_, count)| *count);
                sum
            });
            up_to.collect()
        });
        let running = running.collect();
        Self { values, running }
    }

    /// How many samples the rounds have with these weights.
    pub(super) fn count(&self, weights: &[u32]) -> u64 {
        self.values.len().checked_sub(1).map_or(0, |last| self.up_to(last, weights))
    }

    /// The quantile `q` (0 to 1) in milliseconds: the smallest recorded value that at least this
    /// share of the samples do not exceed, as [`Times::quantile_ms`]; `None` without samples.
    pub(super) fn quantile_ms(&self, q: f64, weights: &[u32]) -> Option<f64> {
        let count = self.count(weights);
        if count == 0 {
            return None;
        }
        let wanted = ((q * count as f64).ceil() as u64).max(1);
        let (mut from, mut to) = (0, self.values.len());
        while from < to {
            let middle = (from + to) / 2;
            match self.up_to(middle, weights) < wanted {
                true => from = middle + 1,
                false => to = middle,
            }
        }
        self.values.get(from).copied()
    }

    /// Whether at least 5 samples lie beyond the quantile `q`: the rule of [`Times::quantile_ms`].
    pub(super) fn is_enough_for(&self, q: f64, weights: &[u32]) -> bool {
        self.count(weights) as f64 * (1.0 - q) > 5.0 - 1e-9
    }

    fn up_to(&self, place: usize, weights: &[u32]) -> u64 {
        let rounds = self.running.iter().zip(weights);
        rounds.map(|(running, weight)| running[place] * u64::from(*weight)).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_percentile_is_that_of_the_merged_histogram() {
        let rounds: Vec<Times> = (1..=3u64)
            .map(|round| {
                let mut times = Times::default();
                (1..400 * round).for_each(|i| {
                    times.record(Duration::from_micros(900 * round + i * i * 7 % 90_000));
                });
                times
            })
            .collect();
        let grid = Grid::new(rounds.iter());
        for weights in [[1, 1, 1], [2, 0, 1], [0, 3, 0]] {
            let mut merged = Times::default();
            for (times, weight) in rounds.iter().zip(weights) {
                (0..weight).for_each(|_| merged.add(times));
            }
            assert_eq!(grid.count(&weights), merged.count());
            for q in [0.5, 0.95, 0.99] {
                assert_eq!(grid.quantile_ms(q, &weights), merged.quantile_ms(q));
            }
        }
        assert_eq!(grid.quantile_ms(0.5, &[0, 0, 0]), None);
        assert_eq!(Grid::new([].into_iter()).quantile_ms(0.5, &[]), None);
    }
}
