//! The tables of a point: figures, costs per 1,000 requests, comparisons.

use serde::Serialize;

use crate::lab::record::{RunRecord, Watched};
use crate::lab::verdict::{Analysis, CellRef, Estimate, Figure, PointTable, Row, Trust};

use super::super::format;
use super::cells::{Anchors, Section, absence, section_of};
use super::compared::Compared;
use super::findings::{Numbering, Said};
use super::{Badge, words};

/// Everything in tables about one point.
#[derive(Debug, Serialize)]
pub struct PointView {
    point: String,
    load: String,
    ceiling: Option<String>,
    mixed: bool,
    columns: Vec<Column>,
    counts: Vec<Line>,
    sections: Vec<SectionView>,
    costs: Vec<SectionView>,
    /// What stands in empty cells, of which figures, and why.
    legend: Vec<Absent>,
    /// The same of the costs.
    costs_legend: Vec<Absent>,
    /// How far the figures of a strategy can be used, where that is not all the way.
    stamps: Vec<StampNote>,
    compared: Option<Compared>,
    limits: Vec<LimitView>,
}

#[derive(Debug, Serialize)]
struct Absent {
    mark: &'static str,
    why: &'static str,
    figures: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct StampNote {
    strategies: Vec<String>,
    stamp: &'static str,
    meaning: &'static str,
}

#[derive(Debug, Serialize)]
struct Column {
    strategy: String,
    pool_size: Option<String>,
    stamp: Badge,
}

#[derive(Debug, Serialize)]
struct SectionView {
    title: &'static str,
    none_because: Option<String>,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    label: String,
    unit: &'static str,
    cells: Vec<Cell>,
}

/// A cell: a number with its interval, or why there is none.
#[derive(Debug, Default, Serialize)]
struct Cell {
    id: Option<String>,
    text: String,
    interval: Option<String>,
    absent: bool,
    void: bool,
}

#[derive(Debug, Serialize)]
struct LimitView {
    strategy: String,
    by: &'static str,
    because: Said,
    stamp: Badge,
}

impl PointView {
    /// One for each point of the analysis.
    pub fn all(
        run: &RunRecord,
        analysis: &Analysis,
        anchors: &Anchors,
        said: &mut Numbering<'_>,
    ) -> Vec<Self> {
        let tables = analysis.tables.iter();
        tables.map(|table| Self::of(run, table, anchors, said)).collect()
    }

    fn of(
        run: &RunRecord,
        table: &PointTable,
        anchors: &Anchors,
        said: &mut Numbering<'_>,
    ) -> Self {
        let unrecorded = run.watched.as_ref().is_some_and(Watched::is_unrecorded);
        let sections = |per_1000: bool| -> (Vec<SectionView>, Vec<Absent>) {
            let mut legend = Vec::new();
            let of = |section| section_view(run, table, anchors, section, per_1000, &mut legend);
            let shown = |view: &SectionView| view.none_because.is_some() || !view.lines.is_empty();
            // Where nothing is known of requests, neither is anything per 1,000 of them.
            let of_requests = [Section::Answers, Section::Pool];
            let known =
                |section: &Section| !unrecorded || !(per_1000 || of_requests.contains(section));
            let all = Section::ALL.into_iter().filter(known);
            (all.map(of).filter(shown).collect(), legend)
        };
        let ((figures, legend), (costs, costs_legend)) = (sections(false), sections(true));
        let limits = table.rows.iter().map(|row| LimitView {
            strategy: row.strategy.clone(),
            by: row.limit.by.words(),
            because: said.one(&row.limit.because),
            stamp: unsaid(row),
        });
        Self {
            point: table.point.clone(),
            load: table.load.clone(),
            ceiling: table.client_ceiling.map(|rate| format::figure(Figure::Rate, rate)),
            mixed: table.mixed,
            columns: table.rows.iter().map(column).collect(),
            counts: counts(run, table),
            sections: figures,
            costs,
            legend,
            costs_legend,
            stamps: stamps(table),
            compared: Compared::of(table),
            limits: limits.collect(),
        }
    }
}

fn column(row: &Row) -> Column {
    let pool_size = row.pool_size.map(|size| match size {
        1 => "1 connection".to_owned(),
        size => format!("{size} connections"),
    });
    Column { strategy: row.strategy.clone(), pool_size, stamp: Badge::of(&row.stamp) }
}

/// The stamp of a row with those of its reasons that are not why it was limited.
fn unsaid(row: &Row) -> Badge {
    let mut stamp = Badge::of(&row.stamp);
    let because = &row.limit.because.text;
    stamp.reasons.retain(|reason| because.is_empty() || !reason.contains(because));
    stamp
}

/// What was counted, not estimated.
fn counts(run: &RunRecord, table: &PointTable) -> Vec<Line> {
    type Count = (&'static str, fn(&Row) -> u64);
    let open = table.rows.iter().any(|row| row.late + row.dropped > 0);
    let mut counts: Vec<Count> = vec![
        ("blocks", |row| u64::from(row.blocks)),
        ("whole answers", |row| row.answers),
        ("failed requests", |row| row.failed),
    ];
    if let Some(watched) = &run.watched {
        counts[0].0 = "windows";
        if watched.is_unrecorded() {
            counts.truncate(1);
        }
    }
    if open {
        counts.push(("begun late", |row| row.late));
        counts.push(("never begun", |row| row.dropped));
    }
    let cell = |count| Cell { text: format::count(count), ..Cell::default() };
    let line = |(label, of): Count| Line {
        label: label.to_owned(),
        unit: "",
        cells: table.rows.iter().map(|row| cell(of(row))).collect(),
    };
    counts.into_iter().map(line).collect()
}

fn section_view(
    run: &RunRecord,
    table: &PointTable,
    anchors: &Anchors,
    section: Section,
    per_1000: bool,
    legend: &mut Vec<Absent>,
) -> SectionView {
    let title = section.title();
    let of_plan = Figure::ALL.iter().copied().filter(|figure| figure.is_of(&run.plan));
    let figures = of_plan.filter(|f| section_of(*f) == (section, per_1000));
    let figures: Vec<Figure> = figures.collect();
    let known = |figure: &Figure| table.rows.iter().any(|row| row.figures.contains_key(figure));
    // Connections that the service opened are known even where the database is part of it.
    if let Some(why) = section.none_because(run)
        && !figures.iter().any(known)
    {
        let none_because = (!figures.is_empty()).then(|| why.to_owned());
        return SectionView { title, none_because, lines: Vec::new() };
    }
    let lines = figures.into_iter().map(|figure| {
        let cells = table.rows.iter().map(|row| match row.figures.get(&figure) {
            Some(estimate) => known_cell(anchors, table, row, figure, estimate),
            None => {
                let (mark, why) = absence(run, table, figure);
                explain(legend, mark, why, figure.label());
                Cell { text: mark.to_owned(), absent: true, ..Cell::default() }
            }
        });
        Line {
            label: words::short_label(figure, section),
            unit: words::unit(figure),
            cells: cells.collect(),
        }
    });
    SectionView { title, none_because: None, lines: lines.collect() }
}

fn known_cell(
    anchors: &Anchors,
    table: &PointTable,
    row: &Row,
    figure: Figure,
    estimate: &Estimate,
) -> Cell {
    let cell = CellRef { point: table.point.clone(), strategy: row.strategy.clone(), figure };
    Cell {
        id: anchors.get(&cell).map(str::to_owned),
        text: format::figure(figure, estimate.value),
        // One of no width says nothing more than the number.
        interval: estimate
            .interval
            .filter(|(low, high)| low < high)
            .map(|interval| format::range(figure, interval)),
        absent: false,
        void: row.stamp.level == Trust::Void,
    }
}

fn explain(legend: &mut Vec<Absent>, mark: &'static str, why: &'static str, figure: &'static str) {
    match legend.iter_mut().find(|entry| (entry.mark, entry.why) == (mark, why)) {
        None => legend.push(Absent { mark, why, figures: vec![figure] }),
        Some(entry) if entry.figures.contains(&figure) => (),
        Some(entry) => entry.figures.push(figure),
    }
}

/// Which strategies' figures cannot be used just so, and what that means.
fn stamps(table: &PointTable) -> Vec<StampNote> {
    let of = |level: Trust, meaning| {
        let rows = table.rows.iter().filter(|row| row.stamp.level == level);
        let strategies: Vec<String> = rows.map(|row| row.strategy.clone()).collect();
        (!strategies.is_empty()).then(|| StampNote { strategies, stamp: level.word(), meaning })
    };
    let notes = [
        of(Trust::Void, "these figures, and every ratio with them, must not be used."),
        of(Trust::LowerBound, "what stands here can be done at least."),
    ];
    notes.into_iter().flatten().collect()
}
