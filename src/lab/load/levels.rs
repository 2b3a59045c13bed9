//! The level of the load over time: straight lines, one after the other. It knows neither requests
//! nor clocks; times are seconds since the load began.

use std::time::Duration;

use super::StageLevel;

/// The level over time: the warm-up, then the stages.
#[derive(Debug, Clone)]
pub(super) struct Levels {
    segments: Vec<Segment>,
    /// When the measured part begins.
    pub measured_from: f64,
    /// When it ends.
    pub end: f64,
}

/// A straight line; never of length 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Segment {
    pub from: f64,
    pub to: f64,
    /// At the begin and at the end.
    pub level: (f64, f64),
}

/// When a user comes in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Entry {
    pub at: f64,
    /// Its place among those who come at the same moment, from 0 to below 1; 0 for one on a ramp.
    pub place: f64,
}

impl Segment {
    fn level_at(&self, at: f64) -> f64 {
        let share = (at - self.from) / (self.to - self.from);
        self.level.0 + (self.level.1 - self.level.0) * share
    }

    /// The area below it: of a rate, how many arrivals.
    pub fn area(&self) -> f64 {
        (self.level.0 + self.level.1) / 2.0 * (self.to - self.from)
    }

    /// Where the area since its begin is `area`: the root of `slope/2 x^2 + level x = area`, in the
    /// form that does not cancel.
    pub fn where_area_is(&self, area: f64) -> f64 {
        let (first, last) = self.level;
        let slope = (last - first) / (self.to - self.from);
        let root = (first * first + 2.0 * slope * area).max(0.0).sqrt();
        self.from + if area > 0.0 { 2.0 * area / (first + root) } else { 0.0 }
    }
}

impl Levels {
    /// The warm-up has the level of the first stage; a ramp in the first stage begins at 0 all the
    /// same.
    pub fn new(warm_up: Duration, stages: &[StageLevel]) -> Self {
        let mut levels =
            Self { segments: Vec::new(), measured_from: warm_up.as_secs_f64(), end: 0.0 };
        let first = stages.first().map_or(0.0, |stage| stage.level);
        levels.push(warm_up, (first, first));
        let mut before = 0.0;
        for stage in stages {
            let ramp = stage.ramp.min(stage.duration);
            levels.push(ramp, (before, stage.level));
            levels.push(stage.duration - ramp, (stage.level, stage.level));
            before = stage.level;
        }
        levels
    }

    fn push(&mut self, length: Duration, level: (f64, f64)) {
        if !length.is_zero() {
            let from = self.end;
            self.end += length.as_secs_f64();
            self.segments.push(Segment { from, to: self.end, level });
        }
    }

    /// Those of the warm-up, or those of the measured part.
    pub fn segments(&self, measured: bool) -> impl Iterator<Item = Segment> {
        let segments = self.segments.iter().copied();
        // The warm-up is one segment, which ends where the measured part begins.
        segments.filter(move |segment| (segment.from >= self.measured_from) == measured)
    }

    /// The highest level there is.
    pub fn highest(&self) -> f64 {
        self.segments.iter().map(|s| s.level.0.max(s.level.1)).fold(0.0, f64::max)
    }

    /// Whether user number `user` (from 0) is in at that moment: the level is above its number.
    pub fn includes(&self, user: u32, at: f64) -> bool {
        let segment = self.segments.iter().find(|segment| at < segment.to);
        segment.is_some_and(|segment| segment.level_at(at) > f64::from(user))
    }

    /// When user number `user` is in for the first time from `not_before` on.
    pub fn entry(&self, user: u32, not_before: f64) -> Option<Entry> {
        let user = f64::from(user);
        let mut before = 0.0;
        for segment in &self.segments {
            let Segment { from, to, level: (first, last) } = *segment;
            if not_before < to {
                let at = from.max(not_before);
                if segment.level_at(at) > user {
                    let is_step = at == from && before <= user;
                    let place = if is_step { (user - before) / (first - before) } else { 0.0 };
                    return Some(Entry { at, place });
                }
                if last > user {
                    let share = (user - first) / (last - first);
                    return Some(Entry { at: from + (to - from) * share, place: 0.0 });
                }
            }
            before = last;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(warm_up: u64, stages: &[(f64, u64, u64)]) -> Levels {
        let seconds = Duration::from_secs;
        let stage = |&(level, ramp, duration)| StageLevel {
            level,
            ramp: seconds(ramp),
            duration: seconds(duration),
        };
        Levels::new(seconds(warm_up), &stages.iter().map(stage).collect::<Vec<_>>())
    }

    #[test]
    fn users_come_one_by_one_on_a_ramp_and_spread_over_the_pause_at_a_step() {
        let entry = |at, place| Some(Entry { at, place });
        let ramp = levels(0, &[(10.0, 5, 20)]);
        assert_eq!(ramp.entry(0, 0.0), entry(0.0, 0.0));
        assert_eq!(ramp.entry(4, 0.0), entry(2.0, 0.0));
        assert_eq!(ramp.entry(10, 0.0), None);
        let step = levels(3, &[(4.0, 0, 10), (8.0, 0, 10)]);
        assert_eq!(step.entry(3, 0.0), entry(0.0, 0.75));
        assert_eq!(step.entry(3, 5.5), entry(5.5, 0.0), "it is in already");
        assert_eq!(step.entry(6, 0.0), entry(13.0, 0.5));
    }

    #[test]
    fn users_above_the_level_sleep_until_it_includes_them_again() {
        let peak = levels(0, &[(2.0, 0, 10), (6.0, 4, 10), (2.0, 4, 10), (6.0, 0, 10)]);
        assert!(peak.includes(5, 15.0) && peak.includes(1, 25.0) && !peak.includes(2, 25.0));
        // Down from 6 to 2 in 4 s: user 4 (the fifth) goes when the level is 4.
        assert!(peak.includes(4, 21.9) && !peak.includes(4, 22.0));
        assert_eq!(peak.entry(4, 22.0), Some(Entry { at: 30.0, place: 0.5 }));
        assert_eq!(peak.entry(4, 40.0), None);
        assert_eq!(peak.highest(), 6.0);
    }

    #[test]
    fn the_area_below_a_ramp_is_found_again() {
        for (first, last) in [(0.0, 100.0), (100.0, 0.0), (50.0, 50.0), (30.0, 90.0)] {
            let segment = Segment { from: 5.0, to: 15.0, level: (first, last) };
            for share in [0.0, 0.1, 0.5, 0.999, 1.0] {
                let at = segment.where_area_is(segment.area() * share);
                let below = Segment {
                    to: at.max(5.0 + 1e-12),
                    level: (first, segment.level_at(at)),
                    ..segment
                };
                assert!(
                    (below.area() - segment.area() * share).abs() < 1e-6,
                    "{first} {last} {share}"
                );
            }
        }
    }
}
