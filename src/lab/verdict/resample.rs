//! The bootstrap over rounds: intervals for whatever can be computed from weighted rounds. It knows
//! rounds as places in a list, not what they measured.
//!
//! Efron and Tibshirani, *An Introduction to the Bootstrap* (1993), chapter 13: rounds are drawn with
//! replacement [`DRAWS`] times, the figure is computed each time, and the 2.5 % and 97.5 % quantiles
//! of the results are the interval (the percentile method). Blocks of one round are neighbours in
//! time, so a ratio draws the same rounds for both sides.
//!
//! With the 3 to 10 rounds of a plan that interval is too narrow: it ignores that the spread itself
//! is estimated from few rounds, and with 3 it cannot reach beyond the data, which covers 75 % at
//! best. Hesterberg (2015), *What Teachers Should Know About the Bootstrap*, section 4.2, names the
//! factor: `sqrt(n / (n - 1)) * t(n - 1) / z`. Both ends are moved away from the estimate by it, the
//! lower one in reciprocals, so that it stays above zero and the interval of `a / b` is that of
//! `b / a` turned over.

use super::student::{NORMAL, t95};
use crate::lab::random::Sequence;

/// How often rounds are drawn.
pub(super) const DRAWS: usize = 2000;

/// Fewer rounds give no interval.
pub(super) const FEWEST_ROUNDS: usize = 3;

/// How often each of `n` rounds was drawn, [`DRAWS`] times: the same seed gives the same draws.
pub(super) struct Resamples {
    n: usize,
    weights: Vec<u32>,
}

impl Resamples {
    /// Draws from `n` rounds.
    pub(super) fn new(seed: u64, n: usize) -> Self {
        let mut random = Sequence::new(seed);
        let mut weights = vec![0; if n < FEWEST_ROUNDS { 0 } else { DRAWS * n }];
        for draw in weights.chunks_exact_mut(n.max(1)) {
            for _ in 0..n {
                draw[random.below(n)] += 1;
            }
        }
        Self { n, weights }
    }

    /// The draws; none for fewer than [`FEWEST_ROUNDS`] rounds.
    pub(super) fn draws(&self) -> impl Iterator<Item = &[u32]> {
        self.weights.chunks_exact(self.n.max(1))
    }

    /// The interval of an estimate from its value in each draw. `None` with too few rounds, or where
    /// more than a twentieth of the draws left it undefined.
    pub(super) fn interval(
        &self,
        estimate: f64,
        value: impl Fn(&[u32]) -> Option<f64>,
    ) -> Option<(f64, f64)> {
        let found = self.draws().filter_map(value).collect();
        interval(estimate, found, widening(self.n)?)
    }
}

/// By how much the percentile interval of `n` rounds is too narrow; `None` with too few.
pub(super) fn widening(n: usize) -> Option<f64> {
    let rounds = n as f64;
    (n >= FEWEST_ROUNDS).then(|| (rounds / (rounds - 1.0)).sqrt() * t95(n - 1) / NORMAL)
}

/// The percentile interval of the values of the draws, widened.
pub(super) fn interval(estimate: f64, mut values: Vec<f64>, widening: f64) -> Option<(f64, f64)> {
    values.retain(|value| value.is_finite());
    if values.len() < DRAWS - DRAWS / 20 {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let beyond = values.len() / 40;
    let (low, high) = (values[beyond - 1], values[values.len() - beyond]);
    let high = estimate + (high - estimate).max(0.0) * widening;
    let low = match low {
        low if low >= estimate => estimate,
        low if low > 0.0 => 1.0 / (1.0 / estimate + (1.0 / low - 1.0 / estimate) * widening),
        low => (estimate - (estimate - low) * widening).max(0.0),
    };
    Some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve uniform numbers less 6 are nearly normal with a standard deviation of 1.
    fn noise(random: &mut Sequence) -> f64 {
        (0..12).map(|_| (random.next() >> 11) as f64 / (1u64 << 53) as f64).sum::<f64>() - 6.0
    }

    #[test]
    fn the_interval_of_a_ratio_holds_it_in_about_95_of_100_runs() {
        for rounds in [3, 5, 10] {
            let mut random = Sequence::new(rounds as u64);
            let runs = 400;
            let missed = (0..runs).filter(|run| {
                let mut side = || -> Vec<f64> {
                    (0..rounds).map(|_| 100.0 * (1.0 + 0.05 * noise(&mut random))).collect()
                };
                let (a, b) = (side(), side());
                let ratio = |weights: &[u32]| -> Option<f64> {
                    let sum = |side: &[f64]| -> f64 {
                        side.iter().zip(weights).map(|(x, w)| x * f64::from(*w)).sum()
                    };
                    Some(sum(&a) / sum(&b))
                };
                let resamples = Resamples::new(*run, rounds);
                let estimate = ratio(&vec![1; rounds]).expect("it has one");
                let (low, high) = resamples.interval(estimate, ratio).expect("enough rounds");
                assert!(low > 0.0 && low <= estimate && estimate <= high);
                low > 1.0 || high < 1.0
            });
            let share = missed.count() as f64 / runs as f64;
            println!("{rounds} rounds: {:.1} % of the intervals miss the truth", share * 100.0);
            assert!(share < 0.09, "{rounds} rounds: {share}");
        }
    }

    #[test]
    fn two_rounds_give_no_interval() {
        assert_eq!(Resamples::new(1, 2).interval(1.0, |_| Some(1.0)), None);
    }

    #[test]
    fn the_interval_of_a_ratio_is_the_other_ones_turned_over() {
        let values: Vec<f64> = (1..=DRAWS).map(|i| 0.5 + i as f64 / DRAWS as f64).collect();
        let turned = values.iter().map(|value| 1.0 / value).collect();
        let (low, high) = interval(1.0, values, 1.5).expect("enough");
        let (turned_low, turned_high) = interval(1.0, turned, 1.5).expect("enough");
        assert!((low * turned_high - 1.0).abs() < 1e-9);
        assert!((high * turned_low - 1.0).abs() < 1e-9);
        assert!(low > 0.0);
    }
}
