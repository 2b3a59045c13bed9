//! The knee of each strategy: the highest level of a search at which its limits held.

use super::cell::Cell;
use super::context::Context;
use super::say::Place;
use super::{Knee, KneeStep, ratio, tables, units};
use crate::lab::histogram::Times;
use crate::lab::plan::{Model, Search};
use crate::lab::record::{Block, Load, Role};

/// One for each strategy that was searched.
pub(super) fn knees(context: &Context) -> Vec<Knee> {
    let Some(search) = &context.run.plan.search else { return Vec::new() };
    let strategies = context.run.plan.strategies.iter();
    strategies.filter_map(|planned| knee(context, search, &planned.name)).collect()
}

fn knee(context: &Context, search: &Search, strategy: &str) -> Option<Knee> {
    let lane = |block: &&'_ Block| block.lanes.iter().any(|lane| lane.strategy == strategy);
    let probes: Vec<&Block> = context.run.blocks.iter().filter(|b| b.role == Role::Probe).collect();
    let mut levels: Vec<f64> = probes.iter().filter(|b| lane(b)).map(|b| level(b.load)).collect();
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    let mut steps = Vec::new();
    for at in levels {
        let blocks = || probes.iter().copied().filter(move |b| lane(b) && level(b.load) == at);
        let judged = judge(search, strategy, blocks());
        // A block that was cut short says nothing, unless it broke a limit before.
        if blocks().any(|block| block.cut.is_none()) || !judged.step.held {
            steps.push((judged, Cell::new(context, strategy, blocks())));
        }
    }
    let broke = steps.iter().position(|(judged, _)| !judged.step.held);
    let held = match broke {
        Some(broke) => broke.checked_sub(1),
        None => steps.len().checked_sub(1),
    };
    let limit = broke.or(held).map(|step| {
        let cell = &steps[step].1;
        let figures = ratio::estimates(context.run.plan.seed, cell);
        let place = Place { point: "search", strategy, figures: &figures, in_table: false };
        tables::limit(context, None, cell, place)
    });
    let level = |step: Option<usize>| step.map(|step| steps[step].0.step.level);
    let why = broke.map(|step| steps[step].0.why.join(", and ")).unwrap_or_default();
    (!steps.is_empty()).then(|| Knee {
        strategy: strategy.to_owned(),
        unit: unit(search.model),
        held: level(held),
        broke: level(broke),
        why,
        limit,
        steps: steps.iter().map(|(judged, _)| judged.step.clone()).collect(),
    })
}

/// A step of a search, judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Its numbers, and whether the limits held.
    pub step: KneeStep,
    /// Which limits broke, each with its number; empty where they held.
    pub why: Vec<String>,
}

/// Judges the blocks of one level by the limits of the search. Arrivals that were never begun count as
/// failed: nobody answered them. p95 counts here even where there are too few samples to show it.
pub fn judge<'a>(
    search: &Search,
    strategy: &str,
    blocks: impl Iterator<Item = &'a Block>,
) -> Judged {
    let (mut times, mut answers, mut failed, mut seconds, mut at) =
        (Times::default(), 0, 0, 0.0, 0.0);
    for block in blocks {
        at = level(block.load);
        seconds += block.seconds();
        for lane in block.lanes.iter().filter(|lane| lane.strategy == strategy) {
            lane.seconds.iter().for_each(|second| times.add(&second.latency));
            answers += lane.answers();
            failed += lane.errors() + lane.dropped;
        }
    }
    let errors = if failed == 0 { 0.0 } else { failed as f64 / (answers + failed) as f64 };
    let beyond = times.recorded().filter(|(ms, _)| *ms > search.p95_ms).map(|(_, count)| count);
    let is_slow = beyond.sum::<u64>() as f64 > 0.05 * times.count() as f64;
    let p95_ms = times.quantile_ms(0.95);
    let mut why = Vec::new();
    if answers + failed == 0 {
        why.push("nothing was answered".to_owned());
    }
    if is_slow {
        let limit = units::milliseconds(search.p95_ms);
        why.push(match p95_ms {
            Some(p95) => format!("p95 was {}, above {limit}", units::milliseconds(p95)),
            None => format!("p95 was above {limit}"),
        });
    }
    if errors > search.errors {
        let [errors, limit] = [errors, search.errors].map(units::percent);
        why.push(format!("{errors} of the requests failed, more than {limit}"));
    }
    let rate = if seconds > 0.0 { answers as f64 / seconds } else { 0.0 };
    Judged { step: KneeStep { level: at, rate, p95_ms, errors, held: why.is_empty() }, why }
}

fn level(load: Load) -> f64 {
    match load {
        Load::Closed { users, .. } => f64::from(users),
        Load::Open { rate, .. } => rate,
        Load::Watched => 0.0,
    }
}

fn unit(model: Model) -> &'static str {
    match model {
        Model::Closed { .. } | Model::Watched => "users",
        Model::Open { .. } => "requests a second",
    }
}
