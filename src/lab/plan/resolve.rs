//! From what was written to a [`Plan`]: defaults are filled in, and what is missing or written in the
//! wrong place is named. Ranges and references are for [`super::check`].

use std::collections::BTreeMap;
use std::time::Duration;

use super::file::{self, File};
use super::points;
use super::{
    Distribution, Limits, Parameters, Plan, PlannedStrategy, Staleness, Target, Tasks, Users,
};

/// A plan, and what is not part of it because the command line decides it.
pub(super) struct Resolved {
    pub plan: Plan,
    /// What `--short` multiplies durations by.
    pub short: f64,
    /// The reading that holds when `--mixed` is given.
    pub mixed_reading: Option<String>,
}

/// Resolves `file`. Where a value is missing, the problem is noted and something stands in for it, so
/// that the rest is still looked at.
pub(super) fn resolve(name: &str, file: File, problems: &mut Vec<String>) -> Resolved {
    let mut text = |key: &str, value: Option<String>, example: &str| match value {
        Some(text) if !text.trim().is_empty() => text,
        _ => {
            problems.push(format!("`{key}` is missing; write {key} = {example:?}"));
            String::new()
        }
    };
    let title = text("title", file.title, "Pools of four sizes");
    let question = text("question", file.question, "How many connections does a pool need?");
    let strategies = strategies(file.strategies, file.strategy, file.sweep, problems);
    let first = strategies.first().map(|strategy| strategy.name.clone());
    let block = file.block.unwrap_or(Duration::from_secs(4));
    let points = points::points(file.load, file.point, block, problems);
    let search = file.search.map(|search| points::search(search, problems));
    let short = file.short.unwrap_or(0.1);
    if !(short > 0.0 && short <= 1.0) {
        problems
            .push(format!("`short` is {short}; write a share above 0 and up to 1, such as 0.1"));
    }
    let limits = Limits::default();
    let plan = Plan {
        name: name.to_owned(),
        title,
        question,
        reading: file.reading,
        baseline: file.baseline.or(first).unwrap_or_default(),
        strategies,
        mixed: file.mixed.unwrap_or(false),
        rounds: file.rounds.unwrap_or(5),
        warm_up: file.warm_up.unwrap_or(Duration::from_secs(1)),
        again: file.again.unwrap_or(true),
        ceiling: file.ceiling.unwrap_or(Duration::from_secs(2)),
        idle: file.idle.unwrap_or(Duration::from_secs(3)),
        timeout: file.timeout.unwrap_or(Duration::from_secs(30)),
        parameters: parameters(file.parameters, problems),
        tasks: file.tasks.map_or_else(Tasks::default, tasks),
        users: users(&file.users),
        staleness: file.staleness.as_ref().map(staleness),
        pause_spread: file.pause_spread.unwrap_or_default(),
        points,
        search,
        limits: Limits {
            errors: file.limits.errors.unwrap_or(limits.errors),
            steal: file.limits.steal.unwrap_or(limits.steal),
            swapped_pages: file.limits.swapped_pages.unwrap_or(limits.swapped_pages),
        },
        targets: targets(file.targets, problems),
        seed: file.seed.unwrap_or(1),
    };
    Resolved { plan, short, mixed_reading: file.mixed_reading }
}

/// The keys of a suite that only one plan can have.
pub(super) fn keys_beside_plans(file: &File) -> Vec<&'static str> {
    let keys = [
        ("extends", file.extends.is_some()),
        ("reading", file.reading.is_some()),
        ("mixed_reading", file.mixed_reading.is_some()),
        ("strategies", file.strategies.is_some()),
        ("baseline", file.baseline.is_some()),
        ("mixed", file.mixed.is_some()),
        ("rounds", file.rounds.is_some()),
        ("block", file.block.is_some()),
        ("warm_up", file.warm_up.is_some()),
        ("again", file.again.is_some()),
        ("ceiling", file.ceiling.is_some()),
        ("idle", file.idle.is_some()),
        ("timeout", file.timeout.is_some()),
        ("seed", file.seed.is_some()),
        ("short", file.short.is_some()),
        ("strategy", !file.strategy.is_empty()),
        ("sweep", file.sweep.is_some()),
        ("load", file.load.is_some()),
        ("point", !file.point.is_empty()),
        ("search", file.search.is_some()),
        ("parameters", !file.parameters.values.is_empty()),
        ("targets", !file.targets.is_empty()),
        ("pause_spread", file.pause_spread.is_some()),
        ("tasks", file.tasks.is_some()),
        ("staleness", file.staleness.is_some()),
    ];
    keys.into_iter().filter_map(|(key, given)| given.then_some(key)).collect()
}

/// The strategies that are named, with the plan's own definitions, then those of the sweep.
fn strategies(
    names: Option<Vec<String>>,
    mut defined: BTreeMap<String, file::Strategy>,
    sweep: Option<file::Sweep>,
    problems: &mut Vec<String>,
) -> Vec<PlannedStrategy> {
    if names.is_none() && sweep.is_none() {
        problems
            .push("`strategies` is missing; write strategies = [\"direct\", \"pooled\"]".into());
    }
    let mut found: Vec<PlannedStrategy> = Vec::new();
    for name in names.unwrap_or_default() {
        let definition = defined.remove(&name).map(|own| definition(&name, own, problems));
        found.push(PlannedStrategy { name, definition, pool_size: None });
    }
    for name in defined.keys() {
        problems.push(format!(
            "`strategy.{name}` is not driven; add {name:?} to `strategies` or remove it"
        ));
    }
    let Some(sweep) = sweep else { return found };
    if sweep.pool_sizes.is_empty() {
        problems.push("`sweep.pool_sizes` is empty; write pool_sizes = [1, 2, 4, 8]".into());
    }
    if sweep.direct {
        found.push(PlannedStrategy { name: "direct".into(), definition: None, pool_size: None });
    }
    for size in sweep.pool_sizes {
        if size == 0 {
            problems.push("`sweep.pool_sizes` holds 0; a pool has at least 1 connection".into());
        }
        found.push(PlannedStrategy {
            name: format!("pool-{size}"),
            definition: Some(format!(
                "access = {{ kind = \"pool\", size = {size} }}\ncache = \"none\"\n"
            )),
            pool_size: Some(size),
        });
    }
    found
}

/// The lines of a strategy's table, each value on its own line so that a header can stand above.
fn definition(name: &str, own: file::Strategy, problems: &mut Vec<String>) -> String {
    if own.access.is_none() {
        problems.push(format!(
            "`strategy.{name}.access` is missing; write access = \"pool\" or access = {{ kind = \"pool\", size = 4 }}"
        ));
    }
    let keys = [("access", own.access), ("cache", own.cache)];
    keys.into_iter().filter_map(|(key, value)| Some(format!("{key} = {}\n", value?))).collect()
}

fn parameters(raw: file::Parameters, problems: &mut Vec<String>) -> Parameters {
    let distribution = match (raw.distribution, raw.exponent) {
        (None | Some(file::Distribution::Zipf), exponent) => {
            Distribution::Zipf { exponent: exponent.unwrap_or(1.0) }
        }
        (Some(other), exponent) => {
            if exponent.is_some() {
                problems.push(
                    "`parameters.exponent` means something to distribution = \"zipf\" only; remove it".into(),
                );
            }
            match other {
                file::Distribution::Fixed => Distribution::Fixed,
                _ => Distribution::Uniform,
            }
        }
    };
    let mut values = raw.values;
    if let Some(limit) = raw.limit {
        if limit == 0 {
            problems.push("`parameters.limit` is 0; write the rows of a page, such as 100".into());
        }
        values.iter_mut().for_each(|value| *value = with_limit(value, limit));
    }
    Parameters { values, distribution }
}

fn tasks(raw: file::Tasks) -> Tasks {
    let file::Tasks { list, detail, order, update } = raw;
    Tasks { list, detail, order, update }
}

fn users(raw: &file::Users) -> Users {
    let standard = Users::default();
    Users {
        count: raw.count.unwrap_or(standard.count),
        sign_ins_per_second: raw.sign_ins_per_second.unwrap_or(standard.sign_ins_per_second),
    }
}

fn staleness(raw: &file::Staleness) -> Staleness {
    Staleness {
        write_every: raw.write_every.unwrap_or(Duration::from_secs(1)),
        read_every: raw.read_every.unwrap_or(Duration::from_millis(50)),
    }
}

/// The query string with this `limit`, in place of the one that it may have.
pub(super) fn with_limit(value: &str, limit: u32) -> String {
    let others = value.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("limit="));
    let limit = format!("limit={limit}");
    others.chain([limit.as_str()]).collect::<Vec<_>>().join("&")
}

fn targets(
    raw: BTreeMap<String, file::Target>,
    problems: &mut Vec<String>,
) -> BTreeMap<String, Target> {
    let mut found = BTreeMap::new();
    for (figure, target) in raw {
        match (target.target, target.critical) {
            (Some(target), Some(critical)) => {
                found.insert(figure, Target { target, critical });
            }
            _ => problems.push(format!(
                "`targets.{figure}` needs both values; write {figure} = {{ target = 200, critical = 500 }}"
            )),
        }
    }
    found
}
