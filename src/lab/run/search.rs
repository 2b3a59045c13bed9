//! The search for the knee: up by a factor while the limits hold, then bisect.

use crate::lab::plan::{Model, Search};

/// The levels of a search, one after the other.
#[derive(Debug)]
pub(super) struct Steps<'a> {
    search: &'a Search,
    held: Option<f64>,
    broke: Option<f64>,
}

impl<'a> Steps<'a> {
    pub fn new(search: &'a Search) -> Self {
        Self { search, held: None, broke: None }
    }

    /// The level to try next; `None` when the knee is known as closely as the plan asks for, or there
    /// is none up to its highest level.
    pub fn next(&self) -> Option<f64> {
        let Search { from, factor, to, resolution, .. } = *self.search;
        let level = match (self.held, self.broke) {
            (None, None) => from,
            (Some(held), None) if held < to => (held * factor).min(to),
            (Some(_), None) => return None,
            // Even the first level was too much: downwards until one holds.
            (None, Some(broke)) => broke / factor,
            (Some(held), Some(broke)) if broke / held - 1.0 > resolution => (held + broke) / 2.0,
            (Some(_), Some(_)) => return None,
        };
        let level = if self.whole() { level.round() } else { level };
        let known = [self.held, self.broke].contains(&Some(level));
        let too_small = level < if self.whole() { 1.0 } else { 0.1 };
        (!known && !too_small).then_some(level)
    }

    /// Says what came of a level.
    pub fn tried(&mut self, level: f64, held: bool) {
        *(if held { &mut self.held } else { &mut self.broke }) = Some(level);
    }

    /// Users are whole.
    fn whole(&self) -> bool {
        matches!(self.search.model, Model::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn levels(from: f64, to: f64, knee: f64) -> (Vec<f64>, Option<f64>, Option<f64>) {
        let search = Search {
            model: Model::Closed { pause: Duration::ZERO },
            from,
            factor: 2.0,
            to,
            resolution: 0.1,
            probe: Duration::from_secs(1),
            p95_ms: 100.0,
            errors: 0.01,
        };
        let mut steps = Steps::new(&search);
        let mut tried = Vec::new();
        while let Some(level) = steps.next() {
            steps.tried(level, level <= knee);
            tried.push(level);
            assert!(tried.len() < 40, "it never ends: {tried:?}");
        }
        (tried, steps.held, steps.broke)
    }

    #[test]
    fn the_knee_is_between_the_last_level_that_held_and_the_first_that_broke() {
        for knee in [20.0, 33.0, 100.0, 331.0, 999.0] {
            let (tried, held, broke) = levels(20.0, 2000.0, knee);
            let (held, broke) = (held.expect("one held"), broke.expect("one broke"));
            assert!(held <= knee && knee < broke && broke / held <= 1.1 + 1.0 / held, "{tried:?}");
        }
    }

    #[test]
    fn a_search_that_never_breaks_ends_at_the_highest_level() {
        let (tried, held, broke) = levels(20.0, 100.0, 1e9);
        assert_eq!((tried, held, broke), (vec![20.0, 40.0, 80.0, 100.0], Some(100.0), None));
    }

    #[test]
    fn a_search_that_begins_too_high_goes_down() {
        let (tried, held, _) = levels(64.0, 100.0, 5.0);
        assert_eq!(held, Some(5.0), "{tried:?}");
        let (tried, held, broke) = levels(8.0, 100.0, 0.0);
        assert_eq!((held, broke), (None, Some(1.0)), "{tried:?}");
    }
}
