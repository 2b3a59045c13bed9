//! A run in the terminal: the stamp, the main figures, the verdict.

use std::fmt::Write;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};

use super::format;
use crate::lab::record::RunRecord;
use crate::lab::verdict::{Analysis, Figure, PointTable, Row};

/// The columns that fit into a terminal.
const COLUMNS: [(Figure, &str); 8] = [
    (Figure::Rate, "requests"),
    (Figure::LatencyMean, "mean"),
    (Figure::LatencyP95, "p95"),
    (Figure::Errors, "errors"),
    (Figure::HitRate, "hit rate"),
    (Figure::ApiCpuCost, "API CPU\nper 1,000"),
    (Figure::DatabaseCpuCost, "database CPU\nper 1,000"),
    (Figure::PoolConnections, "own\nconnections"),
];

/// Those of a load whose requests are not known.
const COSTS: [(Figure, &str); 6] = [
    (Figure::ApiCpu, "API CPU,\nof a core"),
    (Figure::ApiMemory, "API\nmemory"),
    (Figure::DatabaseCpu, "database CPU,\nof a core"),
    (Figure::RedisCpu, "Redis CPU,\nof a core"),
    (Figure::DriverCpu, "driver CPU,\nof a core"),
    (Figure::HostBusy, "machine\nin use"),
];

/// What a person wants to read before the report.
pub fn summary(run: &RunRecord, analysis: &Analysis) -> String {
    let mut text = String::new();
    let stamp = &analysis.stamp;
    let _ = writeln!(text, "\n{} - {}", stamp.level.word(), run.plan.title);
    for reason in &stamp.reasons {
        let _ = writeln!(text, "  {reason}");
    }
    for table in &analysis.tables {
        let _ = writeln!(text, "\n{}: {}\n{}", table.point, table.load, lines(table));
    }
    for sentence in analysis.preface.iter().chain(analysis.verdict.iter().map(|s| &s.text)) {
        let _ = writeln!(text, "\n{sentence}");
    }
    text
}

fn lines(table: &PointTable) -> Table {
    let known = |figure: &Figure| table.rows.iter().any(|row| row.figures.contains_key(figure));
    let columns = if known(&Figure::Rate) { &COLUMNS[..] } else { &COSTS[..] };
    let columns: Vec<&(Figure, &str)> =
        columns.iter().filter(|(figure, _)| known(figure)).collect();
    let mut drawn = Table::new();
    drawn.load_style(UTF8_FULL_CONDENSED);
    let right = |cell: Cell| cell.set_alignment(CellAlignment::Right);
    let names = columns.iter().map(|(_, name)| right(Cell::new(name)));
    drawn.set_header([Cell::new("")].into_iter().chain(names).chain([Cell::new("limited by")]));
    for row in &table.rows {
        let cells = columns.iter().map(|(figure, _)| right(Cell::new(value(row, *figure))));
        let limit = Cell::new(row.limit.by.words());
        drawn.add_row([Cell::new(&row.strategy)].into_iter().chain(cells).chain([limit]));
    }
    drawn
}

fn value(row: &Row, figure: Figure) -> String {
    let known = row.figures.get(&figure);
    known.map_or_else(|| format::NOTHING.to_owned(), |known| format::figure(figure, known.value))
}
