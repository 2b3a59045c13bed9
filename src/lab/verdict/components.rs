//! A sentence for each component: what it used with each strategy, or why that is not known.

use super::context::{Component, Context};
use super::limits::cpu;
use super::say::{Place, Say, capital, listed};
use super::tables::Measured;
use super::{Figure, Row, Sentence};
use crate::lab::record::{Source, TOGETHER};

/// At most so many strategies are named; of more, the baseline and the best.
const NAMED: usize = 4;

/// What each component used at a point.
pub(super) fn sentences(context: &Context, point: &Measured, best: Option<&str>) -> Vec<Sentence> {
    let components = [Component::Api, Component::Database, Component::Redis];
    components.map(|component| sentence(context, point, best, component)).into()
}

fn sentence(
    context: &Context,
    point: &Measured,
    best: Option<&str>,
    component: Component,
) -> Sentence {
    let name = capital(component.name());
    let not_visible = match context.source(component) {
        Source::Absent { why } => {
            return Say::new(format!("{name}: there is none in this set-up: {why}.")).done();
        }
        Source::Seen { not_visible, .. } => not_visible,
    };
    let figures = figures(component);
    if point.table.mixed {
        let why = "all strategies were driven at once, so its cost cannot be told apart";
        let said = Say::new(format!("{name}: {why}"));
        let together = point.row(TOGETHER).filter(|row| row.figures.contains_key(&figures[0].0));
        return match together {
            Some(row) => used(said.text("; together they took "), &point.place(row), &figures),
            None => said,
        }
        .text(".")
        .done();
    }
    let rows: Vec<&Row> = point.usable().map(|(row, _)| row).collect();
    let is_named = |row: &&Row| {
        let known = figures.iter().any(|(figure, _)| row.figures.contains_key(figure));
        let baseline = context.run.plan.baseline == row.strategy;
        known && (rows.len() <= NAMED || baseline || best == Some(&row.strategy))
    };
    let named: Vec<&Row> = rows.iter().copied().filter(is_named).collect();
    if named.is_empty() {
        let why = match not_visible.is_empty() {
            true => "no sample shows it".to_owned(),
            false => listed(not_visible),
        };
        return Say::new(format!("{name}: not visible from here: {why}.")).done();
    }
    let mut said = Say::new(format!("{name} used, at {}, ", point.table.point));
    for (number, row) in named.iter().enumerate() {
        said = used(said.text(if number == 0 { "" } else { "; " }), &point.place(row), &figures);
        said = said.text(format!(" with {}", row.strategy));
    }
    said.text(".").done()
}

fn used(mut said: Say, place: &Place, figures: &[(Figure, &str)]) -> Say {
    let known = figures.iter().filter(|(figure, _)| place.value(*figure).is_some());
    for (number, (figure, what)) in known.enumerate() {
        said = said.text(if number == 0 { "" } else { ", " }).figure(place, *figure).text(*what);
    }
    said
}

/// What is said of a component: CPU, memory and connections.
fn figures(component: Component) -> Vec<(Figure, &'static str)> {
    let (memory, connections) = match component {
        Component::Api | Component::Driver => (Figure::ApiMemory, Figure::ApiConnections),
        Component::Database => (Figure::DatabaseMemory, Figure::DatabaseConnections),
        Component::Redis => (Figure::RedisMemory, Figure::RedisConnections),
    };
    vec![(cpu(component), " of a core"), (memory, " of memory"), (connections, " connections")]
}
