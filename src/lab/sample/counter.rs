//! Counters that never go backwards, whatever happens to what they count. Knows nothing of what
//! that is.

/// A counter over all lives of a component: a restart adds to what was there instead of losing it.
///
/// What was counted between the last reading and the end of a life is lost, so a sum over a restart
/// is a lower bound.
#[derive(Debug, Default, Clone)]
pub(super) struct Counter {
    before: f64,
    highest: f64,
}

impl Counter {
    /// What it counts began anew.
    pub fn restart(&mut self) {
        self.before += std::mem::take(&mut self.highest);
    }

    /// The sum, after a reading that may miss something that an earlier one had, such as one over
    /// processes that end meanwhile.
    pub fn at_least(&mut self, reading: f64) -> f64 {
        self.highest = self.highest.max(reading);
        self.before + self.highest
    }

    /// The sum, after a reading that cannot be too low: one below the last means that somebody set
    /// the counter back.
    pub fn exact(&mut self, reading: f64) -> f64 {
        if reading < self.highest {
            self.restart();
        }
        self.at_least(reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_that_misses_something_changes_nothing() {
        let mut counter = Counter::default();
        assert_eq!([5.0, 4.0, 6.0].map(|reading| counter.at_least(reading)), [5.0, 5.0, 6.0]);
    }

    #[test]
    fn a_counter_goes_on_after_a_restart_and_after_it_was_set_back() {
        let mut counter = Counter::default();
        assert_eq!([5.0, 2.0, 3.0].map(|reading| counter.exact(reading)), [5.0, 7.0, 8.0]);
        counter.restart();
        assert_eq!(counter.exact(10.0), 18.0);
    }
}
