//! Every number of a report, one a line, for spreadsheets and scripts.

use csv::Writer;

use crate::lab::record::{RunRecord, Watched};
use crate::lab::verdict::{Analysis, Figure, Meaning, PointTable, Row, Trust};

use super::view::{absence, mark_word};

/// A line of the file. What does not apply or is not known is empty.
#[derive(Default)]
struct Line<'a> {
    section: &'a str,
    point: &'a str,
    strategy: &'a str,
    figure: &'a str,
    unit: &'a str,
    value: Option<f64>,
    interval: Option<(f64, f64)>,
    stamp: &'a str,
    note: &'a str,
}

const HEADER: [&str; 10] =
    ["section", "point", "strategy", "figure", "unit", "value", "low", "high", "stamp", "note"];

/// `tables.csv` in long form: `section, point, strategy, figure, unit, value, low, high, stamp, note`.
///
/// Values are as precise as they are known, in the unit that the name of the figure ends with; shares
/// are 0 to 1. `low` and `high` are the 95 % confidence interval. Sections: `figure` (the cells of the
/// tables; an empty value has its reason in `note`), `count`, `ratio` (against the baseline in `note`),
/// `noise`, `idle`, `ceiling`, `sweep`, `knee`, `step`, `recovery`, `drift`, `target`.
pub fn csv(run: &RunRecord, analysis: &Analysis) -> String {
    let mut file = File(Writer::from_writer(Vec::new()));
    file.fields(&HEADER);
    for table in &analysis.tables {
        for row in &table.rows {
            figures(&mut file, run, table, row);
        }
        comparisons(&mut file, table);
    }
    of_the_run(&mut file, analysis);
    searches(&mut file, analysis);
    over_time(&mut file, analysis);
    let bytes = file.0.into_inner().expect("memory can be written to");
    String::from_utf8(bytes).expect("it was written from texts")
}

struct File(Writer<Vec<u8>>);

impl File {
    fn fields(&mut self, fields: &[&str]) {
        self.0.write_record(fields).expect("memory can be written to, and all lines are as long");
    }

    fn line(&mut self, line: Line<'_>) {
        let number = |value: Option<f64>| match value {
            Some(value) if value.is_finite() => value.to_string(),
            _ => String::new(),
        };
        let (low, high) = (line.interval.map(|i| i.0), line.interval.map(|i| i.1));
        let (value, low, high) = (number(line.value), number(low), number(high));
        let Line { section, point, strategy, figure, unit, stamp, note, .. } = line;
        self.fields(&[section, point, strategy, figure, unit, &value, &low, &high, stamp, note]);
    }
}

/// The unit of the value itself, which for a share is not the percent that tables show.
fn unit(figure: Figure) -> &'static str {
    match figure.unit() {
        "%" => "share",
        unit => unit,
    }
}

fn figures(file: &mut File, run: &RunRecord, table: &PointTable, row: &Row) {
    let (point, strategy, stamp) = (&*table.point, &*row.strategy, row.stamp.level.word());
    for &figure in Figure::ALL.iter().filter(|figure| figure.is_of(&run.plan)) {
        let known = row.figures.get(&figure);
        file.line(Line {
            section: "figure",
            point,
            strategy,
            figure: figure.name(),
            unit: unit(figure),
            value: known.map(|estimate| estimate.value),
            interval: known.and_then(|estimate| estimate.interval),
            stamp,
            note: if known.is_some() { "" } else { absence(run, table, figure).1 },
        });
    }
    for (figure, count) in [
        ("blocks", u64::from(row.blocks)),
        ("answers", row.answers),
        ("failed", row.failed),
        ("scheduled", row.scheduled),
        ("late", row.late),
        ("dropped", row.dropped),
    ] {
        let is_known =
            figure == "blocks" || !run.watched.as_ref().is_some_and(Watched::is_unrecorded);
        let value = is_known.then_some(count as f64);
        file.line(Line {
            section: "count",
            point,
            strategy,
            figure,
            value,
            stamp,
            ..Line::default()
        });
    }
}

fn comparisons(file: &mut File, table: &PointTable) {
    for comparison in &table.comparisons {
        let row = table.rows.iter().find(|row| row.strategy == comparison.strategy);
        for (figure, ratio) in &comparison.ratios {
            let meaning = match ratio.meaning {
                Meaning::Better => "better",
                Meaning::Worse => "worse",
                Meaning::Different => "different",
                Meaning::NoMeasurableDifference => "no measurable difference",
                Meaning::NotKnown => "not known",
            };
            file.line(Line {
                section: "ratio",
                point: &comparison.point,
                strategy: &comparison.strategy,
                figure: figure.name(),
                unit: "ratio",
                value: Some(ratio.value),
                interval: ratio.interval,
                stamp: row.map_or("", |row| row.stamp.level.word()),
                note: &format!("{meaning}; baseline {}", comparison.baseline),
            });
        }
    }
}

fn of_the_run(file: &mut File, analysis: &Analysis) {
    let stamp = Trust::word(analysis.stamp.level);
    for (figure, noise) in &analysis.noise {
        let (figure, value) = (figure.name(), Some(*noise));
        file.line(Line {
            section: "noise",
            figure,
            unit: "share",
            value,
            stamp,
            ..Line::default()
        });
    }
    for (figure, value) in &analysis.idle {
        let (unit, value) = (unit(*figure), Some(*value));
        let figure = figure.name();
        file.line(Line { section: "idle", figure, unit, value, stamp, ..Line::default() });
    }
    if let Some(rate) = analysis.driver_ceiling {
        let (figure, unit, value) = (Figure::Rate.name(), "/s", Some(rate));
        file.line(Line { section: "ceiling", figure, unit, value, stamp, ..Line::default() });
    }
}

fn searches(file: &mut File, analysis: &Analysis) {
    for sweep in &analysis.sweeps {
        let chosen = sweep.smallest.as_ref();
        file.line(Line {
            section: "sweep",
            point: &sweep.point,
            strategy: chosen.map_or("", |(_, strategy, _)| strategy),
            figure: "smallest_pool_size",
            unit: "connections",
            value: chosen.map(|(size, ..)| f64::from(*size)),
            note: sweep.note.as_deref().unwrap_or(""),
            ..Line::default()
        });
    }
    for knee in &analysis.knees {
        let strategy = &*knee.strategy;
        for (figure, value) in [("held", knee.held), ("broke", knee.broke)] {
            let (unit, note) = (knee.unit, &*knee.why);
            file.line(Line {
                section: "knee",
                strategy,
                figure,
                unit,
                value,
                note,
                ..Line::default()
            });
        }
        for step in &knee.steps {
            let held = if step.held { "held" } else { "broke" };
            let note = &*format!("{held} at {} {}", step.level, knee.unit);
            for (figure, value) in [
                (Figure::Rate, Some(step.rate)),
                (Figure::LatencyP95, step.p95_ms),
                (Figure::Errors, Some(step.errors)),
            ] {
                let (unit, figure) = (unit(figure), figure.name());
                file.line(Line {
                    section: "step",
                    strategy,
                    figure,
                    unit,
                    value,
                    note,
                    ..Line::default()
                });
            }
        }
    }
}

fn over_time(file: &mut File, analysis: &Analysis) {
    for recovery in &analysis.recoveries {
        let (point, strategy) = (&*recovery.point, &*recovery.strategy);
        for (figure, unit, value) in [
            ("before_ms", "ms", recovery.before_ms),
            ("peak_ms", "ms", recovery.peak_ms),
            ("failed", "", Some(recovery.failed as f64)),
            ("after_seconds", "s", recovery.after_seconds),
        ] {
            file.line(Line {
                section: "recovery",
                point,
                strategy,
                figure,
                unit,
                value,
                ..Line::default()
            });
        }
    }
    for drift in &analysis.drifts {
        file.line(Line {
            section: "drift",
            strategy: &drift.strategy,
            figure: drift.figure.name(),
            unit: &format!("{} per hour", unit(drift.figure)),
            value: Some(drift.per_hour),
            interval: Some(drift.interval),
            ..Line::default()
        });
    }
    for mark in &analysis.targets {
        file.line(Line {
            section: "target",
            point: &mark.point,
            strategy: &mark.strategy,
            figure: mark.figure.name(),
            unit: unit(mark.figure),
            value: mark.measured,
            note: &format!(
                "{}; target {}, critical {}",
                mark_word(mark.mark),
                mark.target,
                mark.critical
            ),
            ..Line::default()
        });
    }
}
