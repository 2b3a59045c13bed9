//! Two runs side by side: better, worse, or no measurable difference. It knows what two runs say, not
//! how a table looks ([`render`] does) nor what the caller does about it.

mod differences;
mod table;

use std::collections::BTreeMap;

use super::record::RunRecord;
use super::verdict::side::Side;
use super::verdict::{Better, Figure, Meaning, PointTable, Ratio, Row, Trust, units};

pub use table::render;

/// The figures that decide whether a run is worse than another, and that are shown unless all are.
/// Of all figures one in twenty would seem different by chance alone.
pub const MAIN: [Figure; 10] = [
    Figure::Rate,
    Figure::LatencyP50,
    Figure::LatencyP95,
    Figure::LatencyP99,
    Figure::Errors,
    Figure::ApiCpuCost,
    Figure::DatabaseCpuCost,
    Figure::RedisCpuCost,
    Figure::ApiMemory,
    Figure::DatabaseMemory,
];

/// What two runs have in common, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// What the runs are: plan, version and date.
    pub names: [String; 2],
    /// By how much a figure may be worse, as a share: 0.05 is 5 %.
    pub threshold: f64,
    /// What else differs between the runs, a sentence each: plans, hosts, versions, configuration,
    /// and which figures must not be used.
    pub notes: Vec<String>,
    /// What both have.
    pub endpoints: Vec<ComparedEndpoint>,
    /// What one run has only, a sentence each.
    pub only_in_one: Vec<String>,
    /// What is measurably worse by more than the threshold, a sentence each. Empty: nothing is.
    pub worse: Vec<String>,
}

/// One strategy at one point, in both runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedEndpoint {
    /// The point.
    pub point: String,
    /// The strategy.
    pub strategy: String,
    /// Its stamps.
    pub stamps: [Trust; 2],
    /// Each figure that both have.
    pub changes: Vec<Change>,
}

/// A figure in both runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Which.
    pub figure: Figure,
    /// In the first run.
    pub before: f64,
    /// In the second run.
    pub after: f64,
    /// Second divided by first, with its 95 % interval; `None` where the first is 0.
    pub ratio: Option<Ratio>,
    /// What it means.
    pub meaning: Meaning,
}

/// Compares the second run with the first. A figure counts as worse where its 95 % interval says so,
/// the change is beyond the noise floor of both runs, and it is worse by more than `threshold` (a
/// share). Rounds of different runs are not neighbours in time, so each run's are drawn by themselves.
pub fn compare(a: &RunRecord, b: &RunRecord, threshold: f64) -> Compared {
    let sides = [Side::new(a), Side::new(b)];
    let [rows, others] = [&sides[0], &sides[1]].map(rows);
    let mut compared = Compared {
        names: [a, b].map(name),
        threshold,
        notes: differences::notes(a, b),
        endpoints: Vec::new(),
        only_in_one: Vec::new(),
        worse: Vec::new(),
    };
    for (key, row) in &rows {
        let [point, strategy] = [&key.0, &key.1].map(|name| (*name).to_owned());
        match others.iter().find(|(other, _)| other == key) {
            None => compared
                .only_in_one
                .push(format!("{strategy} at {point} is in the first run only.")),
            Some((_, other)) => {
                let ratios = sides[0].ratios(&sides[1], &point, &strategy);
                let changes = changes(row, other, &ratios);
                let stamps = [row.stamp.level, other.stamp.level];
                compared.endpoints.push(ComparedEndpoint { point, strategy, stamps, changes });
                judge(&mut compared, row, other);
            }
        }
    }
    for ((point, strategy), _) in &others {
        if !rows.iter().any(|(key, _)| key == &(*point, *strategy)) {
            compared.only_in_one.push(format!("{strategy} at {point} is in the second run only."));
        }
    }
    compared
}

type Rows<'a> = Vec<((&'a str, &'a str), &'a Row)>;

fn rows<'a>(side: &'a Side) -> Rows<'a> {
    let of = |table: &'a PointTable| {
        table.rows.iter().map(|row| ((table.point.as_str(), row.strategy.as_str()), row))
    };
    side.tables().flat_map(of).collect()
}

fn name(run: &RunRecord) -> String {
    format!("{} of {} (poolwise {})", run.plan.name, run.started_at, run.poolwise)
}

fn changes(row: &Row, other: &Row, ratios: &BTreeMap<Figure, Ratio>) -> Vec<Change> {
    let change = |(figure, before): (&Figure, &super::verdict::Estimate)| {
        let after = other.figures.get(figure)?;
        let ratio = ratios.get(figure).copied();
        let meaning = ratio.map_or_else(
            || without_ratio(*figure, before.value, after.value, after.interval),
            |ratio| ratio.meaning,
        );
        Some(Change { figure: *figure, before: before.value, after: after.value, ratio, meaning })
    };
    row.figures.iter().filter_map(change).collect()
}

/// What became of a figure that was 0: it has no ratio, but errors where there were none are worse.
fn without_ratio(figure: Figure, before: f64, after: f64, interval: Option<(f64, f64)>) -> Meaning {
    match (interval, figure.better()) {
        _ if before == after => Meaning::NoMeasurableDifference,
        (None, _) => Meaning::NotKnown,
        (Some((low, _)), _) if low <= 0.0 => Meaning::NoMeasurableDifference,
        (_, Better::Less) => Meaning::Worse,
        (_, Better::More) => Meaning::Better,
        (_, Better::Neither) => Meaning::Different,
    }
}

/// Adds what is worse in the endpoint that was added last.
fn judge(compared: &mut Compared, row: &Row, other: &Row) {
    let Some(endpoint) = compared.endpoints.last() else { return };
    let name = format!("{} at {}", endpoint.strategy, endpoint.point);
    if row.answers > 0 && other.answers == 0 {
        let reasons = other.stamp.reasons.join("; ");
        compared.worse.push(format!("{name} answered nothing in the second run: {reasons}."));
    }
    for (row, which) in [(row, "first"), (other, "second")] {
        if row.stamp.level == Trust::Void && row.answers > 0 {
            let reasons = row.stamp.reasons.join("; ");
            let note =
                format!("The figures of {name} in the {which} run must not be used: {reasons}.");
            compared.notes.push(note);
        }
    }
    let usable = endpoint.stamps.iter().all(|stamp| *stamp < Trust::Void);
    let counts = |change: &&Change| {
        // Errors are what makes figures unusable, and the reason to look.
        let counts = usable || change.figure == Figure::Errors;
        counts && MAIN.contains(&change.figure) && is_beyond(change, compared.threshold)
    };
    let worse = endpoint.changes.iter().filter(counts).map(|change| {
        let times = change.ratio.map_or(String::new(), |ratio| {
            let interval = ratio.interval.map_or(String::new(), |interval| {
                format!(" (95 % interval {})", units::ratio_interval(interval))
            });
            format!(", {} times{interval}", units::ratio(ratio.value))
        });
        let [before, after] =
            [change.before, change.after].map(|value| units::figure(change.figure, value));
        format!("{} of {name} went from {before} to {after}{times}.", change.figure.label())
    });
    let worse: Vec<String> = worse.collect();
    compared.worse.extend(worse);
}

/// Whether a figure is measurably worse by more than the threshold.
fn is_beyond(change: &Change, threshold: f64) -> bool {
    let by = change.ratio.map_or(f64::INFINITY, |ratio| (ratio.value - 1.0).abs());
    change.meaning == Meaning::Worse && by > threshold
}
