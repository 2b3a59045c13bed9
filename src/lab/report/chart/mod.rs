//! Charts as SVG, drawn from the record where an analysis keeps no curve. A chart without data is left
//! out, with a sentence that says why.

mod canvas;
mod clock;
mod cost;
mod frame;
mod knee;
mod latency;
mod stages;
mod sweep;
mod timeline;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::lab::histogram::Times;
use crate::lab::plan::Plan;
use crate::lab::record::{Block, Role, RunRecord};
use crate::lab::verdict::{Analysis, Row, Trust};

use canvas::{Canvas, Ink, STRATEGY_COLOURS, Stroke};

/// The width of every chart in pixels.
const WIDTH: f64 = 880.0;

/// A chart with its words, or why there is none.
#[derive(Debug, Serialize)]
pub struct Chart {
    id: String,
    title: String,
    /// What to see in it; for one that is left out, why.
    caption: String,
    svg: Option<String>,
}

impl Chart {
    /// A chart of this height.
    fn drawn(
        id: &str,
        title: &str,
        caption: &str,
        height: f64,
        drawing: impl FnOnce(&Canvas<'_>),
    ) -> Self {
        let svg = canvas::draw((WIDTH, height), id, title, caption, drawing);
        Self { svg: Some(svg), ..Self::missing(id, title, caption) }
    }

    /// One that is left out.
    fn missing(id: &str, title: &str, why: &str) -> Self {
        Self { id: id.to_owned(), title: title.to_owned(), caption: why.to_owned(), svg: None }
    }
}

/// Every chart of a run, in the order of the page.
pub fn all(run: &RunRecord, analysis: &Analysis) -> Vec<Chart> {
    let mut charts = Vec::new();
    for (place, table) in analysis.tables.iter().enumerate() {
        // With one load only, its name says nothing.
        let under = match analysis.tables.len() {
            1 => String::new(),
            _ => format!(" under load {:?}", table.point),
        };
        let id = |kind: &str| format!("chart-{kind}-{}", place + 1);
        charts.push(latency::distribution(run, table, &id("latency"), &under));
        charts.push(cost::per_1000(run, table, &id("cost"), &under));
        for sweep in analysis.sweeps.iter().filter(|sweep| sweep.point == table.point) {
            charts.push(sweep::sizes(table, sweep, &id("sweep"), &under));
        }
        if let Some(point) = run.plan.points.iter().find(|point| point.name == table.point) {
            charts.extend(stages::stages(run, point, &id("stages"), &under));
        }
    }
    charts.extend(knee::knees(run, analysis));
    charts.extend(timeline::all(run));
    charts
}

/// The stroke of a strategy, the same in every chart.
fn stroke_of(plan: &Plan, strategy: &str, width: f64) -> Stroke {
    match plan.strategies.iter().position(|planned| planned.name == strategy) {
        Some(place) => {
            let dashed = place >= STRATEGY_COLOURS;
            Stroke { ink: Ink::Strategy(place), width, dashed }
        }
        // `noop`, which is no strategy.
        None => Stroke::solid(Ink::Driver, width),
    }
}

/// The name of a strategy, with a warning where its figures must not be used.
fn shown_name(row: &Row) -> String {
    match row.stamp.level {
        Trust::Void => format!("{} ({})", row.strategy, Trust::Void.word()),
        Trust::Valid | Trust::LowerBound => row.strategy.clone(),
    }
}

/// What an analysis is made of: whole blocks that are there to be compared.
fn measured<'a>(run: &'a RunRecord, point: &'a str) -> impl Iterator<Item = &'a Block> {
    let of_point = run.blocks.iter().filter(move |block| block.point == point);
    of_point.filter(|block| block.role == Role::Measure && block.cut.is_none())
}

/// The response times of a strategy at a point by the second of its blocks, all rounds together.
fn by_second(run: &RunRecord, point: &str, strategy: &str) -> BTreeMap<usize, Times> {
    let mut seconds: BTreeMap<usize, Times> = BTreeMap::new();
    let lanes = measured(run, point).flat_map(|block| &block.lanes);
    for lane in lanes.filter(|lane| lane.strategy == strategy) {
        for (second, answers) in lane.seconds.iter().enumerate() {
            seconds.entry(second).or_default().add(&answers.latency);
        }
    }
    seconds
}
