//! What the figures say, a sentence each: the strategies against each other, what they cost, what
//! limited them, what each component used, and what to try next.

use super::context::Context;
use super::findings;
use super::say::Say;
use super::summary::{best_row, main_point};
use super::tables::Measured;
use super::{Analysis, Comparison, Figure, LimitedBy, Row, Sentence, Trust, compared, components};

/// Every conclusion, in the order of the report.
pub(super) fn sentences(
    context: &Context,
    points: &[Measured],
    analysis: &Analysis,
) -> Vec<Sentence> {
    let mut said = Vec::new();
    for point in points {
        said.extend(against_baseline(point, analysis, points.len() == 1));
        said.extend(point.table.rows.iter().map(|row| limited(point, row)));
    }
    said.extend(analysis.sweeps.iter().filter_map(|sweep| findings::sweep(sweep, points)));
    if let Some(main) = main_point(points) {
        let best = best_row(main);
        said.extend(components::sentences(context, main, Some(&best.strategy)));
    }
    said.extend(analysis.knees.iter().map(findings::knee));
    said.extend(analysis.recoveries.iter().filter_map(|r| findings::recovery(r, points)));
    said.extend(findings::drifts(&analysis.drifts));
    said.extend(findings::targets(&analysis.targets, points));
    said.extend(next(context, points));
    said
}

fn against_baseline(point: &Measured, analysis: &Analysis, only: bool) -> Vec<Sentence> {
    let chosen = |strategy: &str| {
        let sweeps = analysis.sweeps.iter().filter(|sweep| sweep.point == point.table.point);
        let smallest = sweeps.filter_map(|sweep| sweep.smallest.as_ref());
        smallest.into_iter().any(|(_, smallest, _)| smallest == strategy)
    };
    let is_said = |comparison: &&Comparison| {
        let swept = point.row(&comparison.strategy).is_some_and(|row| row.pool_size.is_some());
        // Of a sweep the size that was chosen stands for all.
        !swept || chosen(&comparison.strategy)
    };
    let sentences = |comparison: &Comparison| {
        let rate = (!point.is_open()).then(|| compared::rate(point, comparison)).flatten();
        let p95 = compared::time(point, comparison, Figure::LatencyP95);
        let time = p95.or_else(|| compared::time(point, comparison, Figure::LatencyMean));
        let said = [rate, time, compared::cost(point, comparison)];
        // Where there is one point only, nobody asks which.
        let at = if only { String::new() } else { format!("At {}: ", point.table.point) };
        said.into_iter().flatten().map(move |sentence| at_point(&at, &sentence)).collect::<Vec<_>>()
    };
    point.table.comparisons.iter().filter(is_said).flat_map(sentences).collect()
}

fn at_point(at: &str, sentence: &Sentence) -> Sentence {
    Say::new(at).sentence(sentence).done()
}

fn limited(point: &Measured, row: &Row) -> Sentence {
    let (name, at) = (&row.strategy, &point.table.point);
    if row.stamp.level == Trust::Void {
        let place = point.place(row);
        let why = row.stamp.reasons.join("; ");
        let said = Say::new(format!("The figures of {name} at {at} must not be used: {why}."));
        return said.cell(&place, Figure::Errors).cell(&place, Figure::HostSteal).done();
    }
    let said = Say::new(match row.limit.by {
        LimitedBy::Unknown => format!("What limited {name} at {at} could not be determined: "),
        by => format!("What limited {name} at {at} was {}: ", by.words()),
    });
    said.sentence(&row.limit.because).text(".").done()
}

/// What to try next, by what limited the best strategy.
fn next(context: &Context, points: &[Measured]) -> Option<Sentence> {
    let main = main_point(points)?;
    let best = best_row(main);
    let advice = match best.limit.by {
        LimitedBy::Pause => {
            "ask for more than the pause allows: run without a pause, or with arrivals at a set rate (`poolwise lab run open`)"
        }
        LimitedBy::ArrivalRate => {
            "raise the arrival rate until it is not held any more (`poolwise lab run break-point`)"
        }
        LimitedBy::Driver if context.run.watched.is_some() => {
            "give the load tool more processes, or cores of its own, or run it on another machine"
        }
        LimitedBy::Driver => {
            "give the load driver cores of its own (`--cpus`), or run it on another machine"
        }
        LimitedBy::ApiCpu => {
            "give the service more cores or replicas, or return fewer rows a request: more connections will not help"
        }
        LimitedBy::DatabaseCpu => {
            "spare the database: a cache, fewer rows or a better index; more connections will not help"
        }
        LimitedBy::RedisCpu => {
            "keep the hottest answers in the service as well (cache = \"tiered\")"
        }
        LimitedBy::Pool => "try larger pools (`poolwise lab run pool-size`)",
        LimitedBy::Bandwidth => "return fewer rows a request, or compress bodies",
        LimitedBy::Unknown => match context.run.plan.search {
            Some(_) => "look at where requests wait: `Server-Timing` of single answers says it",
            None => "raise the load until something is used up (`poolwise lab run break-point`)",
        },
    };
    Some(Say::new(format!("To get further than {} did, {advice}.", best.strategy)).done())
}
