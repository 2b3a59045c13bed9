//! The verdict: two to five sentences for somebody who was not there. Which strategy did best and by
//! how much, what it cost, what limited it, and how far all that can be trusted.

use std::collections::BTreeMap;

use super::compared::{self, is_bounded};
use super::findings;
use super::say::{Say, capital};
use super::tables::Measured;
use super::{
    Better, Comparison, Figure, Knee, LimitedBy, Meaning, Row, Sentence, Stamp, Sweep, Trust, units,
};
use crate::lab::record::TOGETHER;

/// What the paragraph is made from.
pub(super) struct Findings<'a, 'b> {
    /// The points.
    pub(super) points: &'b [Measured<'a>],
    /// The strategy that the others are compared with.
    pub(super) baseline: &'b str,
    /// The run's stamp.
    pub(super) stamp: &'b Stamp,
    /// The noise floors.
    pub(super) noise: &'b BTreeMap<Figure, f64>,
    /// The sweeps.
    pub(super) sweeps: &'b [Sweep],
    /// The knees.
    pub(super) knees: &'b [Knee],
}

/// The paragraph.
pub(super) fn paragraph(found: &Findings) -> Vec<Sentence> {
    let mut said = Vec::new();
    let main = main_point(found.points);
    if found.stamp.level == Trust::Void {
        said.push(void(found.stamp, main.is_some() || !found.knees.is_empty()));
    }
    for sweep in found.sweeps.iter().take(2) {
        said.extend(findings::sweep(sweep, found.points));
    }
    said.extend(found.knees.iter().map(findings::knee).take(3));
    if let Some(main) = main {
        let best = best_row(main);
        if found.sweeps.is_empty() {
            said.extend(winner(main, best, found.baseline));
        }
        said.extend(cost(main, best, found.baseline));
        said.push(limits(main, best, found.baseline));
    }
    said.truncate(4);
    if found.stamp.level < Trust::Void {
        said.push(trust(found));
    }
    said
}

/// The first point of users with figures that may be used; else the first of an arrival rate.
pub(super) fn main_point<'a, 'b>(points: &'b [Measured<'a>]) -> Option<&'b Measured<'a>> {
    let usable = || points.iter().filter(|point| point.usable().next().is_some());
    usable().find(|point| !point.is_open()).or_else(|| usable().next())
}

/// What decides at a point: requests a second, or p95 where the rate is set, or where strategies were driven
/// at once, by users who ask them in turn; the mean response time where a pause or the driver held all back.
pub(super) fn deciding(point: &Measured) -> Figure {
    let has = |figure| point.usable().all(|(row, _)| row.figures.contains_key(&figure));
    let is_set = point.is_open() || point.table.mixed;
    match point.usable().all(|(row, _)| is_bounded(row)) {
        _ if is_set && has(Figure::LatencyP95) => Figure::LatencyP95,
        _ if is_set && has(Figure::LatencyMean) => Figure::LatencyMean,
        _ if point.is_open() => Figure::LatencyMean,
        true if has(Figure::LatencyMean) => Figure::LatencyMean,
        _ => Figure::Rate,
    }
}

/// The best row of a point, of those that may be used.
pub(super) fn best_row<'b>(point: &'b Measured<'_>) -> &'b Row {
    let figure = deciding(point);
    let value = |row: &Row| row.figures.get(&figure).map(|estimate| estimate.value);
    let better = |row: &Row, best: &Row| match (value(row), value(best), figure.better()) {
        (Some(row), Some(best), Better::More) => row > best,
        (Some(row), Some(best), _) => row < best,
        (row, best, _) => row.is_some() && best.is_none(),
    };
    let rows = point.usable().map(|(row, _)| row);
    let best = rows.reduce(|best, row| if better(row, best) { row } else { best });
    best.expect("main points have a usable row")
}

fn void(stamp: &Stamp, some_usable: bool) -> Sentence {
    let begin = match some_usable {
        true => "not all of these figures may be used",
        false => "these figures must not be used",
    };
    Say::new(format!("{}: {}.", capital(begin), first_few(&stamp.reasons, 3))).done()
}

fn first_few(reasons: &[String], few: usize) -> String {
    let shown = reasons.iter().take(few).cloned().collect::<Vec<_>>().join("; ");
    match reasons.len().saturating_sub(few) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

/// Which strategy did best, against the baseline or, where that is itself, against the one that came
/// closest; of three strategies the third as well.
fn winner(point: &Measured, best: &Row, baseline: &str) -> Vec<Sentence> {
    let figure = deciding(point);
    let load = &point.table.load;
    let is_usable = |name: &str| point.usable().any(|(row, _)| row.strategy == name);
    let comparisons = point.table.comparisons.iter();
    let usable: Vec<&Comparison> =
        comparisons.filter(|c| is_usable(&c.strategy) && is_usable(&c.baseline)).collect();
    let comparison = match best.strategy == baseline {
        true => closest(&usable, figure),
        false => usable.iter().copied().find(|comparison| comparison.strategy == best.strategy),
    };
    if !best.figures.contains_key(&Figure::Rate) {
        return Vec::new();
    }
    let Some(comparison) = comparison else {
        let said = Say::new(format!("With {load}, {} answered ", best.strategy));
        let said = said.estimate(&point.place(best), Figure::Rate);
        return vec![said.text("; there is no baseline to compare it with.").done()];
    };
    let meaning = comparison.ratios.get(&figure).map(|ratio| ratio.meaning);
    let is_set = point.is_open() || point.table.mixed;
    let is_held_back = !is_set && figure == Figure::LatencyMean;
    let begin = match meaning {
        _ if is_held_back => format!(
            "With {load}, every strategy answered nearly all that was asked for{}, so only response times and costs tell them apart.",
            point
                .table
                .client_ceiling
                .map_or(String::new(), |most| { format!(" ({} at most)", units::rate(most)) })
        ),
        Some(Meaning::NoMeasurableDifference) => {
            format!("With {load}, {} was ahead, but not measurably.", best.strategy)
        }
        Some(Meaning::NotKnown) | None => format!("With {load}, {} was ahead.", best.strategy),
        Some(_) => format!("With {load}, {} did best.", best.strategy),
    };
    let compared = |comparison| match figure {
        Figure::Rate => compared::rate(point, comparison),
        figure => compared::time(point, comparison, figure),
    };
    let said = match compared(comparison) {
        Some(because) => Say::new(begin).text(" ").sentence(&because).done(),
        None => Say::new(begin).done(),
    };
    let others = usable.iter().filter(|other| other.strategy != comparison.strategy);
    let third = others.filter(|_| usable.len() == 2).filter_map(|other| compared(other));
    [said].into_iter().chain(third).collect()
}

fn closest<'a>(comparisons: &[&'a Comparison], figure: Figure) -> Option<&'a Comparison> {
    let ratio = |comparison: &Comparison| comparison.ratios.get(&figure).map(|ratio| ratio.value);
    let known = comparisons.iter().copied().filter(|comparison| ratio(comparison).is_some());
    known.reduce(|a, b| {
        let b_is_better = match figure.better() {
            Better::More => ratio(b) > ratio(a),
            _ => ratio(b) < ratio(a),
        };
        if b_is_better { b } else { a }
    })
}

fn cost(point: &Measured, best: &Row, baseline: &str) -> Option<Sentence> {
    let costs = [
        (Figure::ApiCpuCost, "in the API"),
        (Figure::DatabaseCpuCost, "in the database"),
        (Figure::RedisCpuCost, "in Redis"),
    ];
    let other = point.usable().map(|(row, _)| row);
    let other =
        other.into_iter().find(|row| row.strategy == baseline && row.strategy != best.strategy);
    let rows = match point.table.mixed {
        true => [point.row(TOGETHER), None],
        false => [Some(best), other],
    };
    let mut said = Say::new("Per 1,000 requests ");
    let mut number = 0;
    for row in rows.into_iter().flatten() {
        let place = point.place(row);
        let known: Vec<_> = costs.iter().filter(|(cost, _)| place.value(*cost).is_some()).collect();
        if known.is_empty() {
            continue;
        }
        said = said.text(if number == 0 { "" } else { "; " });
        said = said.text(match row.strategy == TOGETHER {
            true => "all strategies together took ".to_owned(),
            false => format!("{} took ", row.strategy),
        });
        for (place_in_list, (cost, at)) in known.iter().enumerate() {
            said = said.text(match place_in_list {
                0 => "",
                last if last + 1 == known.len() => " and ",
                _ => ", ",
            });
            said = said.figure(&place, *cost).text(" of CPU ").text(at);
        }
        number += 1;
    }
    (number > 0).then(|| said.text(".").done())
}

fn limits(point: &Measured, best: &Row, baseline: &str) -> Sentence {
    let said = limit(Say::default(), best, true);
    let other = point.row(baseline).filter(|row| row.strategy != best.strategy);
    match other.filter(|row| row.stamp.level < Trust::Void) {
        Some(other) if other.limit.by == best.limit.by => {
            said.text(format!(", and so it was with {}.", other.strategy)).done()
        }
        Some(other) => limit(said.text("; "), other, false).text(".").done(),
        None => said.text(".").done(),
    }
}

fn limit(said: Say, row: &Row, is_first: bool) -> Say {
    let what = if is_first { "What" } else { "what" };
    let said = said.text(match row.limit.by {
        LimitedBy::Unknown => format!("{what} limited {} could not be determined: ", row.strategy),
        by => format!("{what} limited {} was {}: ", row.strategy, by.words()),
    });
    said.sentence(&row.limit.because)
}

/// Whether nothing is known of requests.
fn has_no_rate(point: &Measured) -> bool {
    point.table.rows.iter().all(|row| !row.figures.contains_key(&Figure::Rate))
}

fn trust(found: &Findings) -> Sentence {
    let mut rows = found.points.iter().flat_map(|point| &point.table.rows);
    let watched = rows.any(|row| row.figures.contains_key(&Figure::HostSteal));
    let quiet = if watched { ", and nothing disturbed the machine" } else { "" };
    let noise = found.noise.get(&Figure::Rate).map_or(String::new(), |noise| {
        format!(
            "; two measurements of the same were {} apart in requests a second",
            units::percent(*noise)
        )
    });
    match found.stamp.level {
        Trust::LowerBound if found.points.iter().all(|point| has_no_rate(point)) => Say::new(
            format!("Read these figures with care: {}.", first_few(&found.stamp.reasons, 1)),
        ),
        Trust::LowerBound => Say::new(format!(
            "Read the requests a second as \"at least\": {}{noise}.",
            first_few(&found.stamp.reasons, 1)
        )),
        _ => Say::new(format!("Neither the load driver nor a pause was the limit{quiet}{noise}.")),
    }
    .done()
}
