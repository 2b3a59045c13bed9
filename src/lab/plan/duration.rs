//! How long a plan takes, from what it says.

use std::time::Duration;

use super::{Plan, Point, Search};

impl Point {
    /// How long one block of it is measured: all of its stages.
    pub fn block(&self) -> Duration {
        self.stages.iter().map(|stage| stage.duration).sum()
    }
}

impl Search {
    /// The most levels that are tried for one strategy: multiplying from the first to the highest,
    /// then halving the gap until it is as small as the resolution.
    pub fn most_steps(&self) -> u32 {
        let up = ((self.to / self.from).ln() / self.factor.ln()).ceil().max(0.0);
        let halvings = ((self.factor - 1.0) / self.resolution).log2().ceil().max(0.0);
        1 + up as u32 + halvings as u32
    }
}

impl Plan {
    /// How many lanes a round has: all strategies share one where the plan is mixed.
    pub fn blocks_in_a_round(&self) -> u32 {
        if self.mixed { 1 } else { self.strategies.len() as u32 }
    }

    /// The time for which each strategy is measured in all, over its points and rounds; warm-ups, the
    /// A/A run and a search are not in it.
    pub fn measured_for_each(&self) -> Duration {
        self.points.iter().map(Point::block).sum::<Duration>() * self.rounds
    }

    /// The time for which anything is measured: [`Plan::measured_for_each`] for all blocks of a round.
    pub fn measured(&self) -> Duration {
        self.measured_for_each() * self.blocks_in_a_round()
    }

    /// How long the whole plan takes: idle time, the driver's ceiling, and every block with its
    /// warm-up, those of the A/A run among them. A search counts with the most steps that it can
    /// take. Starting the service and answers that outlive their block come on top.
    pub fn expected_duration(&self) -> Duration {
        let in_a_round = self.blocks_in_a_round() + u32::from(self.again);
        let blocks: Duration =
            self.points.iter().map(|point| self.warm_up + point.block()).sum::<Duration>();
        let search = self.search.as_ref().map_or(Duration::ZERO, |search| {
            (self.warm_up + search.probe) * search.most_steps() * self.strategies.len() as u32
        });
        self.idle + self.ceiling + blocks * in_a_round * self.rounds + search
    }
}
