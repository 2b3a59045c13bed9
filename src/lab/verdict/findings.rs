//! Sentences about what a plan looked for besides its tables: pool sizes, knees, recoveries, drifts
//! and targets.

use std::collections::BTreeMap;

use super::compared::named;
use super::recovery::{AS_BEFORE, FIGURE};
use super::say::{Say, capital, listed};
use super::tables::Measured;
use super::{Drift, Figure, Knee, Mark, Recovery, Sentence, Sweep, TargetMark, units};

/// The smallest pool that will do.
pub(super) fn sweep(sweep: &Sweep, points: &[Measured]) -> Option<Sentence> {
    let point = points.iter().find(|point| point.table.point == sweep.point)?;
    let best = point.place(point.row(&sweep.best)?);
    let figure = sweep.figure;
    let what = if figure == Figure::Rate { "requests a second" } else { named(figure) };
    let note = sweep.note.as_ref().map(|note| format!(" {}.", capital(note)));
    let said = match &sweep.smallest {
        None => {
            let said =
                Say::new(format!("At {}, {} was best in {what} with ", sweep.point, sweep.best));
            said.figure(&best, figure).text(".")
        }
        Some((size, strategy, ratio)) => {
            let place = point.place(point.row(strategy)?);
            let connections = if *size == 1 { "connection is" } else { "connections are" };
            let said = Say::new(format!(
                "At {}, {size} {connections} the smallest pool that was not measurably worse in {what} than the best: ",
                sweep.point
            ));
            let said = said.figure(&place, figure).text(format!(" with {strategy}"));
            match strategy == &sweep.best {
                true => said.text(", which was the best itself."),
                false => {
                    let said = said.text(" against ").figure(&best, figure);
                    let said = said.text(format!(" with {}, a ratio of ", sweep.best));
                    said.ratio([&place, &best], figure, ratio, "").text(".")
                }
            }
        }
    };
    Some(said.text(note.unwrap_or_default()).done())
}

/// How much a strategy held.
pub(super) fn knee(knee: &Knee) -> Sentence {
    let level = |level: f64| format!("{} {}", units::plain(level), knee.unit);
    let strategy = &knee.strategy;
    let said = Say::new(match (knee.held, knee.broke) {
        (Some(held), Some(broke)) => {
            format!("{strategy} held {}; at {} {}.", level(held), level(broke), knee.why)
        }
        (Some(held), None) => format!(
            "{strategy} held {}, the most that was tried: raise the highest level of the search.",
            level(held)
        ),
        (None, Some(broke)) => format!(
            "{strategy} did not even hold {}, the least that was tried: {}.",
            level(broke),
            knee.why
        ),
        (None, None) => format!("{strategy} was not searched to the end."),
    });
    match &knee.limit {
        Some(limit) if knee.broke.is_some() => said
            .text(format!(" What was used up there: {} (", limit.by.words()))
            .sentence(&limit.because)
            .text(").")
            .done(),
        _ => said.done(),
    }
}

/// How a strategy came through a peak.
pub(super) fn recovery(recovery: &Recovery, points: &[Measured]) -> Option<Sentence> {
    let point = points.iter().find(|point| point.table.point == recovery.point)?;
    let place = point.place(point.row(&recovery.strategy)?);
    let (before, peak) = (recovery.before_ms?, recovery.peak_ms?);
    let said = Say::new(format!(
        "{} answered within {} before the peak of {} (median) and within {} in its slowest second; {} requests failed in it; ",
        recovery.strategy,
        units::milliseconds(before),
        recovery.point,
        units::milliseconds(peak),
        units::count(recovery.failed)
    ));
    let said = said.text(match recovery.after_seconds {
        Some(0.0) => "it was as before at once.".to_owned(),
        Some(after) => format!("it was as before {} after it.", units::duration(after)),
        None => format!(
            "it never came back to {} times the response time before.",
            units::plain(AS_BEFORE)
        ),
    });
    Some(said.cell(&place, FIGURE).cell(&place, Figure::Errors).done())
}

/// What changed over time: only what the interval tells from nothing.
pub(super) fn drifts(drifts: &[Drift]) -> Vec<Sentence> {
    let is_real = |drift: &&Drift| drift.interval.0 > 0.0 || drift.interval.1 < 0.0;
    let mut said: Vec<Sentence> = drifts.iter().filter(is_real).map(drift).collect();
    let still = drifts.iter().filter(|drift| !is_real(drift));
    let mut still_by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    still.for_each(|drift| still_by.entry(&drift.strategy).or_default().push(drift.figure.label()));
    said.extend(still_by.into_iter().map(|(strategy, labels)| {
        Say::new(format!("No drift could be measured with {strategy} in {}.", listed(&labels)))
            .done()
    }));
    said
}

fn drift(drift: &Drift) -> Sentence {
    let show = |value: f64| units::figure(drift.figure, value);
    let (low, high) = drift.interval;
    let (verb, sign) = if drift.per_hour > 0.0 { ("grew", 1.0) } else { ("fell", -1.0) };
    let (low, high) = if sign > 0.0 { (low, high) } else { (-high, -low) };
    Say::new(format!(
        "The {} with {} {verb} by {} an hour (95 % interval {} to {}).",
        drift.figure.label(),
        drift.strategy,
        show(sign * drift.per_hour),
        show(low),
        show(high)
    ))
    .done()
}

/// The targets of a strategy at a point, in one sentence.
pub(super) fn targets(marks: &[TargetMark], points: &[Measured]) -> Vec<Sentence> {
    let mut by_row: BTreeMap<(usize, usize), Vec<&TargetMark>> = BTreeMap::new();
    for mark in marks {
        let point = points.iter().position(|point| point.table.point == mark.point);
        let row = point.and_then(|point| {
            points[point].table.rows.iter().position(|row| row.strategy == mark.strategy)
        });
        if let (Some(point), Some(row)) = (point, row) {
            by_row.entry((point, row)).or_default().push(mark);
        }
    }
    let sentence = |((point, row), marks): ((usize, usize), Vec<&TargetMark>)| {
        let point = &points[point];
        let row = &point.table.rows[row];
        let place = point.place(row);
        let known = marks.iter().filter(|mark| mark.mark != Mark::Unknown).count();
        let met = marks.iter().filter(|mark| mark.mark == Mark::Met).count();
        let mut said = Say::new(format!(
            "{} at {} met {met} of {known} targets that could be measured",
            row.strategy, point.table.point
        ));
        for mark in &marks {
            let target = units::figure(mark.figure, mark.target);
            let critical = units::figure(mark.figure, mark.critical);
            let word = match mark.mark {
                Mark::Missed => format!(", where {target} is wanted"),
                Mark::Critical => format!(", where {target} is wanted and {critical} is critical"),
                Mark::Met | Mark::Unknown => {
                    said = said.cell(&place, mark.figure);
                    continue;
                }
            };
            said = said.text(format!("; {} was ", mark.figure.label()));
            said = said.figure(&place, mark.figure).text(word);
        }
        said.text(".").done()
    };
    by_row.into_iter().map(sentence).collect()
}
