//! Sentences with the cells that they were computed from, and what follows from the tables: knees,
//! sweeps, targets, recoveries, drifts, warnings.

use serde::Serialize;

use crate::lab::record::RunRecord;
use crate::lab::verdict::{
    Analysis, CellRef, Drift, Estimate, Figure, Knee, Recovery, Sentence, Sweep, TargetMark,
};

use super::super::format;
use super::{Anchors, mark_word};

/// A sentence with links to its cells.
#[derive(Debug, Serialize)]
pub struct Said {
    text: String,
    links: Vec<Link>,
}

/// A numbered link to a cell.
#[derive(Debug, Serialize)]
struct Link {
    number: usize,
    id: String,
    title: String,
}

/// Numbers the links of a report, and resolves the cells behind them. A cell that the tables do not
/// have gets no link: a link that leads nowhere is worse than none.
#[derive(Debug)]
pub struct Numbering<'a> {
    anchors: &'a Anchors,
    analysis: &'a Analysis,
    numbered: Vec<CellRef>,
}

impl<'a> Numbering<'a> {
    /// Begins at 1.
    pub fn new(anchors: &'a Anchors, analysis: &'a Analysis) -> Self {
        Self { anchors, analysis, numbered: Vec::new() }
    }

    /// Each sentence with its links.
    pub fn all(&mut self, sentences: &[Sentence]) -> Vec<Said> {
        sentences.iter().map(|sentence| self.one(sentence)).collect()
    }

    /// A sentence with its links. The same cell has the same number everywhere.
    pub fn one(&mut self, sentence: &Sentence) -> Said {
        let links = sentence.cells.iter().filter_map(|cell| {
            let id = self.anchors.get(cell)?.to_owned();
            let estimate = estimate(self.analysis, cell)?;
            let known = self.numbered.iter().position(|numbered| numbered == cell);
            let place = known.unwrap_or_else(|| {
                self.numbered.push(cell.clone());
                self.numbered.len() - 1
            });
            let value = format::figure(cell.figure, estimate.value);
            let CellRef { point, strategy, figure } = cell;
            let title = format!("{point}, {strategy}: {} = {value}", figure.label());
            Some(Link { number: place + 1, id, title })
        });
        Said { text: sentence.text.clone(), links: links.collect() }
    }
}

fn estimate<'a>(analysis: &'a Analysis, cell: &CellRef) -> Option<&'a Estimate> {
    let table = analysis.tables.iter().find(|table| table.point == cell.point)?;
    let row = table.rows.iter().find(|row| row.strategy == cell.strategy)?;
    row.figures.get(&cell.figure)
}

/// The first sentence of the verdict, for a list of runs; `None` where nothing was measured.
pub fn verdict_of(analysis: &Analysis) -> Option<&str> {
    analysis.verdict.first().map(|sentence| &*sentence.text)
}

/// A sweep over pool sizes.
#[derive(Debug, Serialize)]
pub struct SweepView {
    point: String,
    chosen: String,
    note: Option<String>,
    columns: Vec<&'static str>,
    lines: Vec<SweepLine>,
}

#[derive(Debug, Serialize)]
struct SweepLine {
    size: u32,
    strategy: String,
    chosen: bool,
    cells: Vec<SweepCell>,
}

#[derive(Debug, Serialize)]
struct SweepCell {
    text: String,
    id: Option<String>,
}

/// What a sweep is drawn and listed by.
pub const SWEPT: [Figure; 5] = [
    Figure::Rate,
    Figure::LatencyP95,
    Figure::PoolWaitP95,
    Figure::DatabaseCpu,
    Figure::PoolConnections,
];

/// The sweeps over pool sizes.
pub fn sweeps(analysis: &Analysis, anchors: &Anchors) -> Vec<SweepView> {
    let cell = |sweep: &Sweep, strategy: &str, figure| {
        let point = sweep.point.clone();
        let cell = CellRef { point, strategy: strategy.to_owned(), figure };
        match estimate(analysis, &cell) {
            None => SweepCell { text: format::NOTHING.to_owned(), id: None },
            Some(known) => SweepCell {
                text: format::figure(figure, known.value),
                id: anchors.get(&cell).map(str::to_owned),
            },
        }
    };
    let view = |sweep: &Sweep| SweepView {
        point: sweep.point.clone(),
        chosen: chosen_words(sweep),
        note: sweep.note.clone(),
        columns: SWEPT.iter().map(|figure| figure.label()).collect(),
        lines: sweep
            .sizes
            .iter()
            .map(|(size, strategy)| SweepLine {
                size: *size,
                strategy: strategy.clone(),
                chosen: sweep.smallest.as_ref().is_some_and(|(chosen, ..)| chosen == size),
                cells: SWEPT.iter().map(|figure| cell(sweep, strategy, *figure)).collect(),
            })
            .collect(),
    };
    analysis.sweeps.iter().map(view).collect()
}

fn chosen_words(sweep: &Sweep) -> String {
    let by = sweep.figure.label();
    match &sweep.smallest {
        None => format!("No size is chosen; by {by}, {} was best.", sweep.best),
        Some((size, strategy, _)) if *strategy == sweep.best => format!(
            "By {by}, {size} connections ({strategy}) were best, and no smaller size did as well."
        ),
        Some((size, strategy, ratio)) => format!(
            "By {by}, {size} connections ({strategy}) are the smallest size that is not measurably \
             worse than the best, {}: {}{} of what that does.",
            sweep.best,
            format::ratio(ratio),
            ratio.interval.map_or(String::new(), |(low, high)| {
                format!(" ({} to {})", format::number(low), format::times(high))
            }),
        ),
    }
}

/// A knee.
#[derive(Debug, Serialize)]
pub struct KneeView {
    strategy: String,
    unit: &'static str,
    held: String,
    broke: String,
    why: String,
    limit: Option<(&'static str, Said)>,
    steps: Vec<StepView>,
}

#[derive(Debug, Serialize)]
struct StepView {
    level: String,
    rate: String,
    p95: String,
    errors: String,
    held: &'static str,
}

/// The knee of each strategy.
pub fn knees(analysis: &Analysis, said: &mut Numbering<'_>) -> Vec<KneeView> {
    let level = |level: Option<f64>, none: &str| level.map_or(none.to_owned(), format::number);
    let mut view = |knee: &Knee| KneeView {
        strategy: knee.strategy.clone(),
        unit: knee.unit,
        held: level(knee.held, "none"),
        broke: level(knee.broke, "none that was tried"),
        why: knee.why.clone(),
        limit: knee.limit.as_ref().map(|limit| (limit.by.words(), said.one(&limit.because))),
        steps: knee
            .steps
            .iter()
            .map(|step| StepView {
                level: format::number(step.level),
                rate: format::figure(Figure::Rate, step.rate),
                p95: optional(Figure::LatencyP95, step.p95_ms),
                errors: format::share(step.errors),
                held: if step.held { "held" } else { "broke" },
            })
            .collect(),
    };
    analysis.knees.iter().map(&mut view).collect()
}

fn optional(figure: Figure, value: Option<f64>) -> String {
    value.map_or(format::NOTHING.to_owned(), |value| format::figure(figure, value))
}

/// A target and what became of it.
#[derive(Debug, Serialize)]
pub struct TargetView {
    point: String,
    strategy: String,
    figure: &'static str,
    measured: String,
    id: Option<String>,
    target: String,
    critical: String,
    mark: &'static str,
    class: &'static str,
}

/// The targets of the plan.
pub fn targets(analysis: &Analysis, anchors: &Anchors) -> Vec<TargetView> {
    let view = |mark: &TargetMark| {
        let word = mark_word(mark.mark);
        let (point, strategy) = (mark.point.clone(), mark.strategy.clone());
        let cell =
            CellRef { point: point.clone(), strategy: strategy.clone(), figure: mark.figure };
        TargetView {
            point,
            strategy,
            figure: mark.figure.label(),
            measured: optional(mark.figure, mark.measured),
            id: mark.measured.and_then(|_| anchors.get(&cell)).map(str::to_owned),
            target: format::figure(mark.figure, mark.target),
            critical: format::figure(mark.figure, mark.critical),
            mark: word,
            class: word.split(' ').next().unwrap_or(word),
        }
    };
    analysis.targets.iter().map(view).collect()
}

/// How a strategy came through a peak.
#[derive(Debug, Serialize)]
pub struct RecoveryView {
    point: String,
    strategy: String,
    before: String,
    peak: String,
    failed: String,
    after: String,
}

/// How each strategy came through a peak.
pub fn recoveries(analysis: &Analysis) -> Vec<RecoveryView> {
    let view = |recovery: &Recovery| RecoveryView {
        point: recovery.point.clone(),
        strategy: recovery.strategy.clone(),
        before: optional(Figure::LatencyP50, recovery.before_ms),
        peak: optional(Figure::LatencyP50, recovery.peak_ms),
        failed: format::count(recovery.failed),
        after: match recovery.after_seconds {
            Some(seconds) => format!("after {} s", format::number(seconds)),
            None => "not before the end".to_owned(),
        },
    };
    analysis.recoveries.iter().map(view).collect()
}

/// A slope over time.
#[derive(Debug, Serialize)]
pub struct DriftView {
    strategy: String,
    figure: &'static str,
    per_hour: String,
    interval: String,
}

/// The slopes over time.
pub fn drifts(analysis: &Analysis) -> Vec<DriftView> {
    let view = |drift: &Drift| DriftView {
        strategy: drift.strategy.clone(),
        figure: drift.figure.label(),
        per_hour: format::figure(drift.figure, drift.per_hour),
        interval: format::range(drift.figure, drift.interval),
    };
    analysis.drifts.iter().map(view).collect()
}

/// A fact and what to try.
#[derive(Debug, Serialize)]
pub struct Advice {
    id: Option<String>,
    fact: String,
    advice: String,
}

/// The warnings of the analysis.
pub fn warnings(analysis: &Analysis) -> Vec<Advice> {
    let warnings = analysis.warnings.iter();
    let view =
        warnings.map(|w| Advice { id: None, fact: w.fact.clone(), advice: w.advice.clone() });
    view.collect()
}

/// What the doctor found before the run.
pub fn of_the_doctor(run: &RunRecord) -> Vec<Advice> {
    let findings = run.findings.iter().map(|finding| Advice {
        id: Some(finding.id.clone()),
        fact: finding.fact.clone(),
        advice: finding.advice.clone(),
    });
    findings.collect()
}
