//! The table of each point: a row for each strategy, and each against the baseline.

use std::collections::BTreeMap;

use super::cell::Cell;
use super::context::{Context, is_whole};
use super::limits::Evidence;
use super::say::Place;
use super::{Comparison, Figure, PointTable, Ratio, Row, Trust, load, ratio, stamp, together};
use super::{Limit, LimitedBy, Sentence};
use crate::lab::plan::Point;
use crate::lab::record::{Block, Load, Role};

/// A point with the cells that its table was made from: one for each row, in the same order.
pub(super) struct Measured<'a> {
    /// The point of the plan.
    pub(super) point: &'a Point,
    /// One for each strategy.
    pub(super) cells: Vec<Cell<'a>>,
    /// Its table.
    pub(super) table: PointTable,
}

/// Every point of the plan that was begun.
pub(super) fn measure<'a>(context: &Context<'a>) -> Vec<Measured<'a>> {
    let points = context.run.plan.points.iter();
    points.filter_map(|point| measure_point(context, point)).collect()
}

fn measure_point<'a>(context: &Context<'a>, point: &'a Point) -> Option<Measured<'a>> {
    let plan = &context.run.plan;
    let of = move |role| {
        let blocks = context.run.blocks.iter();
        blocks.filter(move |block| block.point == point.name && is_whole(block, role))
    };
    let begun = context.run.blocks.iter().any(|block| block.point == point.name);
    if !begun {
        return None;
    }
    let cell = |strategy| Cell::new(context, strategy, of(Role::Measure));
    let cells: Vec<Cell> = plan.strategies.iter().map(|planned| cell(&*planned.name)).collect();
    let again = Cell::new(context, &plan.baseline, of(Role::Again));
    let baseline = cells.iter().find(|cell| cell.strategy == plan.baseline);
    let noise = baseline.map(|baseline| ratio::noise(baseline, &again)).unwrap_or_default();
    let compare = |cell: &Cell| {
        let baseline = baseline.filter(|baseline| baseline.strategy != cell.strategy)?;
        let ratios = ratios(plan.seed, cell, baseline, &noise);
        let names = [&point.name, &plan.baseline].map(String::clone);
        let [point, baseline] = names;
        let strategy = cell.strategy.to_owned();
        (!ratios.is_empty()).then_some(Comparison { point, baseline, strategy, ratios })
    };
    let comparisons = cells.iter().filter_map(compare).collect();
    let together = plan.mixed.then(|| together::together(context, point, of(Role::Measure)));
    let one = |cell| row(context, point, cell, together.as_ref());
    let mut rows: Vec<Row> = cells.iter().map(one).collect();
    rows.extend(together);
    let loads: Vec<Load> = of(Role::Measure).map(|block: &Block| block.load).collect();
    let table = PointTable {
        point: point.name.clone(),
        load: load::words(point, &loads),
        mixed: plan.mixed,
        client_ceiling: loads.first().and_then(|load| load::client_ceiling(point, *load)),
        rows,
        comparisons,
        noise,
    };
    Some(Measured { point, cells, table })
}

/// The ratio of every figure that both have.
pub(super) fn ratios(
    seed: u64,
    cell: &Cell,
    other: &Cell,
    noise: &BTreeMap<Figure, f64>,
) -> BTreeMap<Figure, Ratio> {
    // What the machine did is nobody's merit, and a ratio of ages that are mostly 0 says nothing.
    let alone = [
        Figure::HostBusy,
        Figure::HostSteal,
        Figure::StaleShare,
        Figure::StaleAgeMean,
        Figure::StaleAgeP95,
    ];
    // Nor is what the driver used for all of them at once.
    let at_once = cell.blocks().any(|(block, _)| block.lanes.len() > 1);
    let of_driver = [Figure::DriverCpu, Figure::DriverThread];
    let is_shared = |figure: &Figure| at_once && of_driver.contains(figure);
    let figures = Figure::ALL.iter().filter(|figure| !alone.contains(figure) && !is_shared(figure));
    let ratio = |figure: &Figure| {
        let noise = noise.get(figure).copied().unwrap_or(0.0);
        Some((*figure, ratio::ratio(seed, cell, other, *figure, noise)?))
    };
    figures.filter_map(ratio).collect()
}

/// The row of a cell. Where strategies were driven at once, what limited them is what limited all `together`.
pub(super) fn row(context: &Context, point: &Point, cell: &Cell, together: Option<&Row>) -> Row {
    let figures = ratio::estimates(context.run.plan.seed, cell);
    let place =
        Place { point: &point.name, strategy: cell.strategy, figures: &figures, in_table: true };
    let known = together.filter(|all| cell.answers() > 0 && all.limit.by != LimitedBy::Unknown);
    let limit = match known {
        Some(together) => together.limit.clone(),
        None => limit(context, Some(point), cell, place),
    };
    let stamp = stamp::of_row(context, cell, &place, &limit);
    // Whatever was in the way of all was in the way of each.
    let bound = together.map(|all| &all.stamp).filter(|all| all.level == Trust::LowerBound);
    let stamp = bound.filter(|_| stamp.level == Trust::Valid).cloned().unwrap_or(stamp);
    let planned = context.run.plan.strategies.iter().find(|planned| planned.name == cell.strategy);
    Row {
        strategy: cell.strategy.to_owned(),
        pool_size: planned.and_then(|planned| planned.pool_size),
        blocks: cell.blocks().count() as u32,
        answers: cell.answers(),
        failed: cell.failed(),
        scheduled: cell.sum(|lane| lane.scheduled),
        late: cell.sum(|lane| lane.late),
        dropped: cell.sum(|lane| lane.dropped),
        stamp,
        limit,
        figures,
    }
}

/// What limited the blocks of a cell. `point` is `None` for a step of a search: it has one stage.
pub(super) fn limit(context: &Context, point: Option<&Point>, cell: &Cell, place: Place) -> Limit {
    let Some(load) = cell.load() else {
        let because = Sentence { text: "nothing was measured".to_owned(), cells: Vec::new() };
        return Limit { by: LimitedBy::Unknown, because };
    };
    let client_ceiling = match (point, load) {
        (Some(point), _) => load::client_ceiling(point, load),
        (None, Load::Closed { users, pause_seconds }) if pause_seconds > 0.0 => {
            Some(f64::from(users) / pause_seconds)
        }
        _ => None,
    };
    let seconds = cell.seconds();
    let due = if seconds > 0.0 { cell.sum(|lane| lane.scheduled) as f64 / seconds } else { 0.0 };
    Evidence { context, place, load, due, client_ceiling }.limit()
}

impl Measured<'_> {
    /// A row as a place to take numbers from.
    pub(super) fn place<'a>(&'a self, row: &'a Row) -> Place<'a> {
        let Row { strategy, figures, .. } = row;
        Place { point: &self.table.point, strategy, figures, in_table: true }
    }

    /// The row of a strategy.
    pub(super) fn row(&self, strategy: &str) -> Option<&Row> {
        self.table.rows.iter().find(|row| row.strategy == strategy)
    }

    /// The rows whose figures may be used, each with its cell.
    pub(super) fn usable(&self) -> impl Iterator<Item = (&Row, &Cell<'_>)> {
        let rows = self.table.rows.iter().zip(&self.cells);
        rows.filter(|(row, _)| row.stamp.level < Trust::Void)
    }

    /// Whether its load is a rate: then every strategy that holds it has the same one.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.point.model, crate::lab::plan::Model::Open { .. })
    }
}
