//! When the arrivals of the open model are due: decided by levels and seed alone, never by answers.

use std::collections::VecDeque;

use crate::lab::plan::Arrivals;

use super::levels::{Levels, Segment};
use crate::lab::random;

/// The arrivals of a block in order, as seconds since the load began.
///
/// For a rate that changes, an arrival is where the area below the rate (the number of arrivals so
/// far) reaches a mark. Constant arrivals have marks at 0.5, 1.5, ..., so that a rate of `r` over
/// `d` seconds gives exactly `r * d` of them, evenly spaced. Poisson arrivals have exponentially
/// distributed gaps of mean 1 between marks, which is a Poisson process of just that rate (the
/// time-rescaling theorem; Cinlar, Introduction to Stochastic Processes, 1975). Marks
/// begin anew with the measured part, so that the warm-up does not change its count.
#[derive(Debug)]
pub(super) struct Schedule {
    arrivals: Arrivals,
    seed: u64,
    drawn: u64,
    warm_up: VecDeque<Segment>,
    measured: VecDeque<Segment>,
    /// The next mark, as area from the begin of the current segment.
    mark: f64,
}

impl Schedule {
    /// The arrivals at these rates.
    pub fn new(levels: &Levels, arrivals: Arrivals, seed: u64) -> Self {
        let [warm_up, measured] = [false, true].map(|measured| levels.segments(measured).collect());
        let mut schedule = Self { arrivals, seed, drawn: 0, warm_up, measured, mark: 0.0 };
        schedule.mark = schedule.first();
        schedule
    }

    fn first(&mut self) -> f64 {
        match self.arrivals {
            Arrivals::Constant => 0.5,
            Arrivals::Poisson => self.gap(),
        }
    }

    fn gap(&mut self) -> f64 {
        match self.arrivals {
            Arrivals::Constant => 1.0,
            Arrivals::Poisson => {
                self.drawn += 1;
                // Never the logarithm of 0: shares are below 1.
                -(1.0 - random::share(self.seed, self.drawn)).ln()
            }
        }
    }
}

impl Iterator for Schedule {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        loop {
            let in_warm_up = !self.warm_up.is_empty();
            let segments = if in_warm_up { &mut self.warm_up } else { &mut self.measured };
            let segment = segments.front()?;
            if self.mark < segment.area() {
                let at = segment.where_area_is(self.mark);
                self.mark += self.gap();
                return Some(at);
            }
            self.mark -= segment.area();
            segments.pop_front();
            if in_warm_up && self.warm_up.is_empty() {
                self.mark = self.first();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::StageLevel;
    use super::*;

    fn schedule(arrivals: Arrivals, warm_up: f64, stages: &[(f64, f64, f64)]) -> Vec<f64> {
        let seconds = Duration::from_secs_f64;
        let stage = |&(level, ramp, duration)| StageLevel {
            level,
            ramp: seconds(ramp),
            duration: seconds(duration),
        };
        let stages: Vec<StageLevel> = stages.iter().map(stage).collect();
        Schedule::new(&Levels::new(seconds(warm_up), &stages), arrivals, 11).collect()
    }

    #[test]
    fn a_constant_rate_has_exactly_rate_times_duration_arrivals_evenly_spaced() {
        let due = schedule(Arrivals::Constant, 0.0, &[(150.0, 0.0, 8.0)]);
        assert_eq!(due.len(), 1200);
        assert!(due.windows(2).all(|pair| (pair[1] - pair[0] - 1.0 / 150.0).abs() < 1e-9));
    }

    #[test]
    fn the_warm_up_does_not_change_how_many_are_measured() {
        for warm_up in [0.0, 0.7, 1.0, 3.333] {
            let due = schedule(Arrivals::Constant, warm_up, &[(7.0, 0.0, 2.0), (30.0, 0.0, 1.0)]);
            let measured = due.iter().filter(|&&at| at >= warm_up).count();
            assert_eq!(measured, 44, "after a warm-up of {warm_up} s");
            assert_eq!(due.len() - measured, (7.0 * warm_up).round() as usize);
        }
    }

    #[test]
    fn ramps_integrate_to_the_area_below_them() {
        // Up to 100/s in 10 s, 5 s there, down to 40/s in 4 s, 6 s there.
        let due = schedule(Arrivals::Constant, 0.0, &[(100.0, 10.0, 15.0), (40.0, 4.0, 10.0)]);
        assert_eq!(due.len(), 500 + 500 + 280 + 240);
        let within = |from: f64, to: f64| due.iter().filter(|&&at| from <= at && at < to).count();
        assert_eq!([within(0.0, 5.0), within(5.0, 10.0), within(10.0, 15.0)], [125, 375, 500]);
        assert!(due.is_sorted());
    }

    #[test]
    fn poisson_arrivals_have_the_right_count_and_exponential_gaps() {
        let due = schedule(Arrivals::Poisson, 2.0, &[(200.0, 0.0, 100.0)]);
        let due: Vec<f64> = due.into_iter().filter(|&at| at >= 2.0).collect();
        // Standard deviation of the count is sqrt(20,000) = 141.
        assert!((due.len() as f64 - 20_000.0).abs() < 5.0 * 141.0, "{}", due.len());
        let gaps: Vec<f64> = due.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((mean * 200.0 - 1.0).abs() < 0.04, "{mean}");
        // Of exponential gaps, e^-1 = 36.8 % are longer than the mean, e^-2 = 13.5 % than two.
        for (times, expected) in [(1.0, 0.3679), (2.0, 0.1353)] {
            let longer = gaps.iter().filter(|&&gap| gap > times / 200.0).count() as f64;
            assert!((longer / gaps.len() as f64 - expected).abs() < 0.02);
        }
        assert_eq!(
            due,
            schedule(Arrivals::Poisson, 2.0, &[(200.0, 0.0, 100.0)])[due_before(2.0)..]
        );
    }

    /// How many arrivals the warm-up of that test has.
    fn due_before(at: f64) -> usize {
        let due = schedule(Arrivals::Poisson, 2.0, &[(200.0, 0.0, 100.0)]);
        due.iter().filter(|&&due| due < at).count()
    }

    #[test]
    fn a_poisson_ramp_follows_the_rate() {
        let due = schedule(Arrivals::Poisson, 0.0, &[(400.0, 100.0, 100.0)]);
        let first_half = due.iter().filter(|&&at| at < 50.0).count() as f64;
        assert!((due.len() as f64 - 20_000.0).abs() < 5.0 * 141.0);
        assert!((first_half / due.len() as f64 - 0.25).abs() < 0.02);
    }
}
