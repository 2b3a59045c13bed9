//! Levels of load in numbers, once what they refer to has been measured, and the order of blocks.

use crate::lab::load::StageLevel;
use crate::lab::plan::{Level, Plan, Point, Reference};
use crate::lab::random::Sequence;
use crate::lab::record::{Block, Role};

/// The stages of `point` for `strategy`, given what was measured so far.
///
/// # Errors
/// A sentence, when a rate refers to a point at which nothing was measured.
pub(super) fn of_stages(
    point: &Point,
    strategy: &str,
    measured: &[Block],
) -> Result<Vec<StageLevel>, String> {
    let level = |level: &Level| match level {
        Level::Users { users } => Ok(f64::from(*users)),
        Level::Rate { rate } => Ok(*rate),
        Level::Share { share, point, of } => {
            let found = reference(point, *of, strategy, measured);
            let found = found.filter(|rate| *rate > 0.0);
            found.map(|rate| rate * share).ok_or_else(|| {
                format!("no answers were measured at {point:?}, which the rate refers to")
            })
        }
    };
    let stages = point.stages.iter();
    stages
        .map(|stage| {
            let (ramp, duration) = (stage.ramp, stage.duration);
            Ok(StageLevel { level: level(&stage.level)?, ramp, duration })
        })
        .collect()
}

/// Requests a second at a point, of the strategy that is meant.
fn reference(point: &str, of: Reference, strategy: &str, measured: &[Block]) -> Option<f64> {
    let blocks = measured
        .iter()
        .filter(|block| block.point == point && block.role == Role::Measure && block.cut.is_none());
    let mut rates: Vec<(&str, f64, f64)> = Vec::new();
    for block in blocks {
        let seconds = block.seconds();
        for lane in &block.lanes {
            let answers = lane.answers() as f64;
            match rates.iter_mut().find(|(name, ..)| *name == lane.strategy) {
                Some(found) => (found.1, found.2) = (found.1 + answers, found.2 + seconds),
                None => rates.push((&lane.strategy, answers, seconds)),
            }
        }
    }
    let rates = rates.iter().map(|(name, answers, seconds)| (*name, answers / seconds));
    match of {
        Reference::Own => rates.clone().find(|(name, _)| *name == strategy).map(|(_, rate)| rate),
        Reference::Slowest => rates.map(|(_, rate)| rate).min_by(f64::total_cmp),
        Reference::Fastest => rates.map(|(_, rate)| rate).max_by(f64::total_cmp),
    }
}

/// What is measured in a round, in random order: each strategy once, the baseline twice when there
/// is an A/A run. Mixed plans have one block with all of them.
pub(super) fn order(plan: &Plan, point: usize, round: u32) -> Vec<(Vec<String>, Role)> {
    let mut blocks: Vec<(Vec<String>, Role)> = if plan.mixed {
        vec![(
            plan.strategies.iter().map(|strategy| strategy.name.clone()).collect(),
            Role::Measure,
        )]
    } else {
        let each = plan.strategies.iter();
        each.map(|strategy| (vec![strategy.name.clone()], Role::Measure)).collect()
    };
    if plan.again && !plan.mixed {
        blocks.push((vec![plan.baseline.clone()], Role::Again));
    }
    let seed = plan.seed ^ ((point as u64) << 32) ^ u64::from(round);
    // Fisher and Yates.
    let mut random = Sequence::new(seed);
    for last in (1..blocks.len()).rev() {
        blocks.swap(last, random.below(last + 1));
    }
    // Whichever of the baseline's two comes first is the measurement: the A/A run is the other one.
    let mut of_baseline = blocks.iter_mut().filter(|(names, _)| *names == [plan.baseline.as_str()]);
    if let (Some(first), Some(second)) = (of_baseline.next(), of_baseline.next()) {
        (first.1, second.1) = (Role::Measure, Role::Again);
    }
    blocks
}
