//! Sentences about one strategy against another: times as many, no measurable difference, or not
//! known; weaker where a limit of the measurement stood between them.

use super::say::{Place, Say};
use super::tables::Measured;
use super::{Comparison, Figure, LimitedBy, Meaning, Ratio, Row, Sentence, Trust};

/// Requests a second of a strategy against the baseline.
pub(super) fn rate(point: &Measured, comparison: &Comparison) -> Option<Sentence> {
    let (row, other) = usable(point, comparison)?;
    let ratio = comparison.ratios.get(&Figure::Rate)?;
    let places = [&point.place(row), &point.place(other)];
    let (name, baseline) = (&row.strategy, &other.strategy);
    if is_bounded(row) && is_bounded(other) {
        let said = Say::new(format!("Requests a second do not tell {name} and {baseline} apart: "));
        let said = said.text(match row.limit.by == other.limit.by {
            true => format!("{} held both back, at ", row.limit.by.words()),
            false => format!(
                "{} and {} held them back, at ",
                row.limit.by.words(),
                other.limit.by.words()
            ),
        });
        return Some(against(said, places, Figure::Rate).text(".").done());
    }
    let bound = match (is_bounded(row), is_bounded(other)) {
        (true, false) => "at least ",
        (false, true) => "at most ",
        _ => "",
    };
    let said = match ratio.meaning {
        Meaning::NoMeasurableDifference => {
            no_difference(places, Figure::Rate, ratio, "requests a second")
        }
        meaning => {
            let said = Say::new(format!("{name} answered {bound}"));
            let between = format!(" times as many requests a second as {baseline}");
            let said = said.ratio(places, Figure::Rate, ratio, &between).text(", ");
            doubt(against(said, places, Figure::Rate), meaning)
        }
    };
    Some(said.text(".").done())
}

/// A time of a strategy against the baseline's.
pub(super) fn time(point: &Measured, comparison: &Comparison, figure: Figure) -> Option<Sentence> {
    let (row, other) = usable(point, comparison)?;
    let ratio = comparison.ratios.get(&figure)?;
    let places = [&point.place(row), &point.place(other)];
    let said = match ratio.meaning {
        Meaning::NoMeasurableDifference => no_difference(places, figure, ratio, named(figure)),
        meaning => {
            let said = Say::new(format!("The {} of {} was ", named(figure), row.strategy));
            let between = format!(" times that of {}", other.strategy);
            let said = said.ratio(places, figure, ratio, &between).text(", ");
            doubt(against(said, places, figure), meaning)
        }
    };
    Some(said.text(".").done())
}

/// What an answer of one strategy costs against the baseline's, in every component that is seen.
pub(super) fn cost(point: &Measured, comparison: &Comparison) -> Option<Sentence> {
    let (row, other) = usable(point, comparison)?;
    let places = [&point.place(row), &point.place(other)];
    let costs = [
        (Figure::ApiCpuCost, "of CPU of the API"),
        (Figure::DatabaseCpuCost, "of CPU of the database"),
        (Figure::RedisCpuCost, "of CPU of Redis"),
        (Figure::ConnectionsOpened, "connections opened"),
        (Figure::DatabaseOperations, "transactions"),
    ];
    let seen = costs.into_iter().filter(|(figure, _)| places[0].value(*figure).is_some());
    let mut said = Say::new(format!("Per 1,000 requests {} took ", row.strategy));
    let mut number = 0;
    for (figure, what) in seen {
        said = said.text(if number == 0 { "" } else { "; " }).figure(places[0], figure);
        said = said.text(format!(" {what}"));
        number += 1;
        let Some(ratio) = comparison.ratios.get(&figure) else { continue };
        let baseline = &other.strategy;
        said = match ratio.meaning {
            Meaning::NoMeasurableDifference => said
                .text(format!(", not measurably different from {baseline}'s "))
                .figure(places[1], figure),
            _ => said.text(", ").ratio(places, figure, ratio, &format!(" times {baseline}'s")),
        };
    }
    (number > 0).then(|| said.text(".").done())
}

/// The rows of a comparison, where both may be used.
fn usable<'a>(point: &'a Measured, comparison: &Comparison) -> Option<(&'a Row, &'a Row)> {
    let row = |strategy| point.row(strategy).filter(|row| row.stamp.level < Trust::Void);
    Some((row(&comparison.strategy)?, row(&comparison.baseline)?))
}

/// Whether the strategy could have done more than was asked of it.
pub(super) fn is_bounded(row: &Row) -> bool {
    matches!(row.limit.by, LimitedBy::Pause | LimitedBy::Driver)
}

fn no_difference(places: [&Place; 2], figure: Figure, ratio: &Ratio, what: &str) -> Say {
    let [place, other] = places;
    let (name, baseline) = (place.strategy, other.strategy);
    let said =
        Say::new(format!("No measurable difference between {name} and {baseline} in {what}: "));
    let said = against(said, places, figure).text(", a ratio of ");
    said.ratio(places, figure, ratio, "")
}

fn against(said: Say, [place, other]: [&Place; 2], figure: Figure) -> Say {
    said.figure(place, figure).text(" against ").figure(other, figure)
}

fn doubt(said: Say, meaning: Meaning) -> Say {
    match meaning {
        Meaning::NotKnown => said.text("; whether that is more than chance is not known"),
        _ => said,
    }
}

/// A time's name in a sentence.
pub(super) fn named(figure: Figure) -> &'static str {
    match figure {
        Figure::LatencyP95 => "p95 of the response time",
        Figure::LatencyP50 => "median response time",
        Figure::LatencyMean => "mean response time",
        _ => figure.label(),
    }
}
