//! What the reader must know before the first number.

use super::context::{Component, Context, is_whole};
use super::say::{capital, listed};
use super::{units, watched};
use crate::lab::plan::Point;
use crate::lab::record::{Ended, Role, StrategyRecord};

/// One sentence for each fact; the set-up first.
pub(super) fn sentences(context: &Context) -> Vec<String> {
    let cut_short = match context.run.watched {
        Some(_) => watched::cut_short(context),
        None => cut_short(context),
    };
    let mut said: Vec<String> = cut_short.into_iter().collect();
    said.extend(watched::sentences(context));
    let mut found = vec![set_up(context)];
    found.extend(said.into_iter().map(Some));
    found.extend([shared_cores(context), mixed(context)]);
    found.into_iter().flatten().collect()
}

fn set_up(context: &Context) -> Option<String> {
    let target = &context.run.target;
    let mut differences = Vec::new();
    if target.backend.as_deref() == Some("sqlite") {
        differences.push(
            "the database is SQLite, which runs inside the service, instead of PostgreSQL or MySQL: its cost is part of the API's".to_owned(),
        );
    }
    let in_process = |strategy: &&StrategyRecord| strategy.cache == "memory";
    let names: Vec<&str> =
        target.strategies.iter().filter(in_process).map(|strategy| &*strategy.name).collect();
    if !names.is_empty() {
        differences.push(format!(
            "the cache of {} is in the service's own memory instead of Redis",
            listed(&names)
        ));
    }
    (!differences.is_empty())
        .then(|| format!("This is not the assignment's set-up: {}.", differences.join("; ")))
}

fn cut_short(context: &Context) -> Option<String> {
    let why = match &context.run.ended {
        Ended::Finished => return None,
        Ended::Running => {
            "it was still going on when this was written, or it was killed".to_owned()
        }
        Ended::Interrupted => "it was interrupted".to_owned(),
        Ended::Failed { why } => why.trim_end_matches('.').to_owned(),
    };
    let plan = &context.run.plan;
    let done = |point: &Point| {
        let rounds = whole_rounds(context, point);
        format!("{rounds} of {} rounds", plan.rounds)
    };
    let after = match plan.points.as_slice() {
        [] => return Some(format!("This run was cut short: {why}.")),
        [point] => done(point),
        points => {
            let each = points.iter().map(|point| format!("{} at {}", done(point), point.name));
            listed(&each.collect::<Vec<_>>())
        }
    };
    Some(format!("This run was cut short after {after}: {why}."))
}

/// Rounds in which every strategy has a whole block.
fn whole_rounds(context: &Context, point: &Point) -> usize {
    let plan = &context.run.plan;
    let has = |round: u32, strategy: &str| {
        let blocks = context.run.blocks.iter();
        let mut blocks = blocks.filter(|block| {
            block.point == point.name && block.round == round && is_whole(block, Role::Measure)
        });
        blocks.any(|block| block.lanes.iter().any(|lane| lane.strategy == strategy))
    };
    let is_whole = |round: &u32| plan.strategies.iter().all(|planned| has(*round, &planned.name));
    (1..=plan.rounds).filter(is_whole).count()
}

fn shared_cores(context: &Context) -> Option<String> {
    let sharing = names_sharing(context);
    (!sharing.is_empty()).then(|| {
        format!(
            "{} the load driver's {}: what one uses, the others lack.",
            capital(&format!(
                "{} {}",
                listed(&sharing),
                if sharing.len() == 1 { "shares" } else { "share" }
            )),
            match context.driver_cores() {
                1 => "one core".to_owned(),
                cores => format!("{} cores", units::count(u64::from(cores))),
            }
        )
    })
}

/// The components that use the driver's cores.
pub(super) fn names_sharing(context: &Context) -> Vec<&'static str> {
    let components = Component::ALL.into_iter().filter(|c| *c != Component::Driver);
    components.filter(|component| context.shares_cores(*component)).map(Component::name).collect()
}

fn mixed(context: &Context) -> Option<String> {
    context.run.plan.mixed.then(|| {
        "All strategies were driven at once, so CPU, memory and connections of a component cannot be told apart by strategy; response times and requests can. What they used is in the column \"all together\".".to_owned()
    })
}
