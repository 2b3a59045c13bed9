//! Ratios to the baseline, with the noise beside them.

use serde::Serialize;

use crate::lab::verdict::{Comparison, Figure, Meaning, PointTable, Trust};

use super::super::format;
use super::words;

/// Each other strategy against the baseline at a point.
#[derive(Debug, Serialize)]
pub struct Compared {
    baseline: String,
    strategies: Vec<String>,
    lines: Vec<ComparedLine>,
}

#[derive(Debug, Serialize)]
struct ComparedLine {
    label: &'static str,
    better: &'static str,
    noise: String,
    cells: Vec<ComparedCell>,
}

#[derive(Debug, Default, Serialize)]
struct ComparedCell {
    text: String,
    interval: Option<String>,
    meaning: &'static str,
    class: &'static str,
}

impl Compared {
    /// The comparisons of a point; `None` where there are none.
    pub fn of(table: &PointTable) -> Option<Self> {
        let comparisons = &table.comparisons;
        let baseline = comparisons.first()?.baseline.clone();
        let has = |figure: &Figure| comparisons.iter().any(|c| c.ratios.contains_key(figure));
        let lines = Figure::ALL.iter().copied().filter(has).map(|figure| ComparedLine {
            label: figure.label(),
            better: words::better(figure),
            noise: table
                .noise
                .get(&figure)
                .map_or(format::NOTHING.to_owned(), |noise| format::share(*noise)),
            cells: comparisons.iter().map(|c| cell(table, c, figure)).collect(),
        });
        Some(Compared {
            baseline,
            strategies: comparisons.iter().map(|c| c.strategy.clone()).collect(),
            lines: lines.collect(),
        })
    }
}

fn cell(table: &PointTable, comparison: &Comparison, figure: Figure) -> ComparedCell {
    let Some(ratio) = comparison.ratios.get(&figure) else {
        return ComparedCell {
            text: format::NOTHING.to_owned(),
            class: "absent",
            ..Default::default()
        };
    };
    let void = table.rows.iter().any(|row| {
        row.stamp.level == Trust::Void
            && [&comparison.strategy, &comparison.baseline].contains(&&row.strategy)
    });
    let interval = ratio.interval.filter(|(low, high)| low.is_finite() && high.is_finite());
    ComparedCell {
        text: format::ratio(ratio),
        interval: interval
            .map(|(low, high)| format!("{} to {}", format::number(low), format::times(high))),
        meaning: if void { Trust::Void.word() } else { words::meaning(ratio.meaning) },
        class: match ratio.meaning {
            // A ratio with a figure that must not be used must not be used either.
            _ if void => "same",
            Meaning::Better => "better",
            Meaning::Worse => "worse",
            Meaning::Different => "different",
            Meaning::NoMeasurableDifference | Meaning::NotKnown => "same",
        },
    }
}
