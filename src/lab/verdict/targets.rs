//! The plan's targets: met, missed or critical, for each strategy at each point.

use super::tables::Measured;
use super::{Better, Figure, Mark, TargetMark};
use crate::lab::plan::{Plan, Target};

/// Every target of a plan. A name that is no figure has no mark: plans are checked before.
pub(super) fn marks(plan: &Plan, points: &[Measured]) -> Vec<TargetMark> {
    let figures = Figure::ALL.iter().filter_map(|figure| {
        let target = plan.targets.get(figure.name())?;
        Some((*figure, *target))
    });
    let mut marks = Vec::new();
    for point in points {
        for (figure, Target { target, critical }) in figures.clone() {
            for row in &point.table.rows {
                let measured = row.figures.get(&figure).map(|estimate| estimate.value);
                marks.push(TargetMark {
                    point: point.table.point.clone(),
                    strategy: row.strategy.clone(),
                    figure,
                    measured,
                    target,
                    critical,
                    mark: mark(figure, measured, target, critical),
                });
            }
        }
    }
    marks
}

/// At most the target where less is better, at least it where more is. Of a figure that only describes
/// the critical value says which: it lies on the bad side of the target.
fn mark(figure: Figure, measured: Option<f64>, target: f64, critical: f64) -> Mark {
    let Some(measured) = measured else { return Mark::Unknown };
    let less_is_better = match figure.better() {
        Better::Less => true,
        Better::More => false,
        Better::Neither => critical >= target,
    };
    let [measured, target, critical] =
        [measured, target, critical].map(|value| if less_is_better { value } else { -value });
    match measured {
        _ if measured <= target => Mark::Met,
        _ if measured > critical => Mark::Critical,
        _ => Mark::Missed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_missed_or_critical_in_its_own_direction() {
        let p95 = |measured| mark(Figure::LatencyP95, Some(measured), 200.0, 500.0);
        assert_eq!(
            [200.0, 200.1, 500.0, 500.1].map(p95),
            [Mark::Met, Mark::Missed, Mark::Missed, Mark::Critical]
        );
        let rate = |measured| mark(Figure::Rate, Some(measured), 100.0, 80.0);
        assert_eq!(
            [100.0, 99.9, 80.0, 79.9].map(rate),
            [Mark::Met, Mark::Missed, Mark::Missed, Mark::Critical]
        );
        let pool = |measured| mark(Figure::PoolUse, Some(measured), 0.7, 0.9);
        assert_eq!([0.7, 0.8, 0.95].map(pool), [Mark::Met, Mark::Missed, Mark::Critical]);
        assert_eq!(mark(Figure::HitRate, None, 0.7, 0.5), Mark::Unknown);
    }
}
