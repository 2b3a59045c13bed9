//! Every rule that a plan must keep, once it has all its values: ranges, names, references.

use std::collections::HashSet;
use std::time::Duration;

use super::{Distribution, Level, Limits, Model, Parameters, Plan, Point, Search, Target, Task};
use crate::lab::verdict::{Better, Figure};

/// The shortest block that is measured: samples are taken once a second.
pub(super) const SHORTEST_BLOCK: Duration = Duration::from_secs(1);
/// The longest time that a plan may write.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Recorded times end here.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(3600);
/// How often somebody may look at how stale answers are.
const SHORTEST_LOOK: Duration = Duration::from_millis(10);
const LONGEST_LOOK: Duration = Duration::from_secs(60);
/// More is a slip of the pen.
const MOST_USERS: u32 = 10_000;
const MOST_SIGN_INS: f64 = 1000.0;
/// More is a slip of the pen.
pub(super) const MOST_ROUNDS: u32 = 1000;

/// Adds a sentence for each rule that `plan` breaks.
pub(super) fn check(plan: &Plan, problems: &mut Vec<String>) {
    if !(1..=MOST_ROUNDS).contains(&plan.rounds) {
        let rounds = plan.rounds;
        problems.push(format!("`rounds` is {rounds}; write 1 to {MOST_ROUNDS}, such as 5"));
    }
    for (key, time, longest) in [
        ("warm_up", plan.warm_up, LONGEST),
        ("ceiling", plan.ceiling, LONGEST),
        ("idle", plan.idle, LONGEST),
        ("timeout", plan.timeout, LONGEST_TIMEOUT),
    ] {
        not_longer(key, time, longest, problems);
    }
    if plan.timeout.is_zero() {
        problems.push("`timeout` is 0: no answer could come in time; write \"30s\"".into());
    }
    strategies(plan, problems);
    parameters(&plan.parameters, problems);
    not_longer("pause_spread", plan.pause_spread, LONGEST, problems);
    tasks(plan, problems);
    staleness(plan, problems);
    if plan.points.is_empty() && plan.search.is_none() {
        problems.push("there is no load; write [load], [[point]] or [search]".into());
    }
    for (place, point) in plan.points.iter().enumerate() {
        let at = if point.name == "load" { "load".into() } else { format!("point[{place}]") };
        check_point(&at, plan, place, point, problems);
    }
    if let Some(search) = &plan.search {
        check_search(search, problems);
    }
    limits(&plan.limits, problems);
    for (figure, target) in &plan.targets {
        check_target(figure, target, problems);
    }
}

fn tasks(plan: &Plan, problems: &mut Vec<String>) {
    if Task::ALL.iter().all(|task| plan.tasks.weight(*task) == 0) {
        problems.push("`tasks`: every weight is 0; write list = 3, detail = 2, order = 1".into());
    }
    if !(1..=MOST_USERS).contains(&plan.users.count) {
        let count = plan.users.count;
        problems.push(format!("`users.count` is {count}; write 1 to {MOST_USERS}, such as 20"));
    }
    let pace = plan.users.sign_ins_per_second;
    if !(pace > 0.0 && pace <= MOST_SIGN_INS) {
        problems.push(format!(
            "`users.sign_ins_per_second` is {pace}; write a number above 0 and up to {MOST_SIGN_INS}, such as 10"
        ));
    }
}

fn staleness(plan: &Plan, problems: &mut Vec<String>) {
    let Some(looks) = &plan.staleness else { return };
    for (key, every) in [("write_every", looks.write_every), ("read_every", looks.read_every)] {
        if !(SHORTEST_LOOK..=LONGEST_LOOK).contains(&every) {
            problems.push(format!("`staleness.{key}` must be 10ms to 1m; write \"100ms\""));
        }
    }
    if plan.mixed {
        problems.push(
            "`staleness` cannot be told apart by strategy when all are driven at once; write mixed = false".into(),
        );
    }
}

/// Names of strategies and points: they are part of paths, files and anchors.
pub(super) fn name_problem(name: &str) -> Option<&'static str> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 32 || !name.bytes().all(legal) {
        return Some("a name has 1 to 32 of the characters a-z, 0-9 and -");
    }
    (name == "noop").then_some("this name is kept for the driver's ceiling; choose another one")
}

fn strategies(plan: &Plan, problems: &mut Vec<String>) {
    if plan.strategies.is_empty() {
        problems.push("`strategies` is empty; write strategies = [\"direct\", \"pooled\"]".into());
        return;
    }
    let mut seen = HashSet::new();
    for strategy in &plan.strategies {
        let name = &strategy.name;
        if let Some(problem) = name_problem(name) {
            problems.push(format!("`strategies`: {name:?}: {problem}"));
        }
        if !seen.insert(name) {
            problems.push(format!("`strategies`: {name:?} is there twice; keep one"));
        }
    }
    if !seen.contains(&plan.baseline) {
        let names: Vec<&str> = plan.strategies.iter().map(|s| s.name.as_str()).collect();
        problems.push(format!(
            "`baseline` is {:?}, which is not driven; write one of {}",
            plan.baseline,
            names.join(", ")
        ));
    }
}

fn parameters(parameters: &Parameters, problems: &mut Vec<String>) {
    if parameters.values.is_empty() {
        problems.push(
            "`parameters.values` is missing or empty; write values = [\"category=electronics\"]"
                .into(),
        );
    }
    for value in &parameters.values {
        let pair = |pair: &str| pair.split_once('=').is_some_and(|(name, _)| !name.is_empty());
        let legal = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>?\\^`{|}".contains(&byte);
        if !value.bytes().all(legal) || !(value.is_empty() || value.split('&').all(pair)) {
            problems.push(format!(
                "`parameters.values`: {value:?} is not a query string; write it as \"category=books&limit=20\", without ?, with other characters percent-encoded"
            ));
        }
    }
    if let Distribution::Zipf { exponent } = parameters.distribution
        && !(exponent.is_finite() && (0.0..=10.0).contains(&exponent))
    {
        problems.push(format!("`parameters.exponent` is {exponent}; write 0 to 10, such as 1.0"));
    }
}

fn check_point(at: &str, plan: &Plan, place: usize, point: &Point, problems: &mut Vec<String>) {
    let name = &point.name;
    if let Some(problem) = name_problem(name).filter(|_| !name.is_empty()) {
        problems.push(format!("`{at}.name`: {name:?}: {problem}"));
    }
    if plan.points[..place].iter().any(|earlier| earlier.name == *name && !name.is_empty()) {
        problems.push(format!("`{at}.name`: {name:?} is there twice; choose another name"));
    }
    check_model(at, &point.model, problems);
    let single = point.stages.len() == 1;
    let mut most: f64 = 0.0;
    for (number, stage) in point.stages.iter().enumerate() {
        let at = if single { at.to_owned() } else { format!("{at}.stages[{number}]") };
        most = most.max(check_level(&at, plan, place, &stage.level, problems));
        not_longer(&format!("{at}.duration"), stage.duration, LONGEST, problems);
        if stage.ramp > stage.duration {
            problems.push(format!(
                "`{at}.ramp` ({}) is longer than the duration ({}) that it is part of; shorten it",
                humantime::format_duration(stage.ramp),
                humantime::format_duration(stage.duration),
            ));
        }
    }
    if most <= 0.0 {
        problems.push(format!("`{at}`: the load is 0 all the time; write users = 20 or rate = 50"));
    }
    let block = point.block();
    if block < SHORTEST_BLOCK {
        problems.push(format!(
            "`{at}`: a block of {} is shorter than 1s, the time between two samples; write a longer `block` or duration",
            humantime::format_duration(block)
        ));
    }
}

fn check_model(at: &str, model: &Model, problems: &mut Vec<String>) {
    match model {
        Model::Closed { pause } => not_longer(&format!("{at}.pause"), *pause, LONGEST, problems),
        Model::Open { connections: 0, .. } => {
            problems.push(format!("`{at}.connections` is 0: nothing could be sent; write 256"));
        }
        Model::Open { .. } | Model::Watched => {}
    }
}

/// How high the level is; only whether it is above 0 matters.
fn check_level(
    at: &str,
    plan: &Plan,
    place: usize,
    level: &Level,
    problems: &mut Vec<String>,
) -> f64 {
    let positive = |value: f64| value.is_finite() && value >= 0.0;
    match level {
        Level::Users { users } => f64::from(*users),
        Level::Rate { rate } => {
            if !positive(*rate) {
                problems
                    .push(format!("`{at}.rate` is {rate}; write requests a second, such as 50"));
            }
            rate.abs()
        }
        Level::Share { share, point, of } => {
            if !positive(*share) {
                problems.push(format!("`{at}.share` is {share}; write a share such as 0.7"));
            }
            let earlier = plan.points[..place].iter().find(|earlier| earlier.name == *point);
            let closed = |found: &Point| matches!(found.model, Model::Closed { .. });
            if !point.is_empty() && !earlier.is_some_and(closed) {
                let what = if earlier.is_some() { "not closed" } else { "not an earlier point" };
                problems.push(format!(
                    "`{at}.of_point`: {point:?} is {what}; name a closed point above this one"
                ));
            }
            if plan.mixed && *of == super::Reference::Own {
                problems.push(format!(
                    "`{at}.of` is \"own\", but `mixed` drives all strategies at one rate; write \"slowest\" or \"fastest\""
                ));
            }
            share.abs()
        }
    }
}

fn check_search(search: &Search, problems: &mut Vec<String>) {
    check_model("search", &search.model, problems);
    let mut wrong = |key: &str, value: f64, right: bool, write: &str| {
        if !(value.is_finite() && right) {
            problems.push(format!("`search.{key}` is {value}; write {write}"));
        }
    };
    wrong("from", search.from, search.from >= 1.0, "1 or more users, or requests a second");
    wrong("to", search.to, search.to >= search.from, "a level of at least `search.from`");
    wrong("factor", search.factor, (1.05..=10.0).contains(&search.factor), "1.05 to 10, such as 2");
    let resolution = search.resolution;
    wrong("resolution", resolution, (0.01..=1.0).contains(&resolution), "0.01 to 1, such as 0.1");
    wrong("p95_ms", search.p95_ms, search.p95_ms > 0.0, "milliseconds, such as 1000");
    let errors = search.errors;
    wrong("errors", errors, (0.0..=1.0).contains(&errors), "a share from 0 to 1, such as 0.01");
    not_longer("search.probe", search.probe, LONGEST, problems);
    if search.probe < SHORTEST_BLOCK {
        problems.push(
            "`search.probe` is shorter than 1s, the time between two samples; write \"5s\"".into(),
        );
    }
}

fn limits(limits: &Limits, problems: &mut Vec<String>) {
    for (key, value) in [("errors", limits.errors), ("steal", limits.steal)] {
        if !(0.0..=1.0).contains(&value) {
            problems.push(format!(
                "`limits.{key}` is {value}; write a share from 0 to 1, such as 0.05"
            ));
        }
    }
}

fn check_target(name: &str, target: &Target, problems: &mut Vec<String>) {
    let Target { target, critical } = target;
    let figure = match name.parse::<Figure>() {
        Ok(figure) => figure,
        Err(problem) => return problems.push(format!("`targets.{name}`: {problem}")),
    };
    if !(target.is_finite() && critical.is_finite() && *target >= 0.0 && *critical >= 0.0) {
        return problems.push(format!("`targets.{name}`: write two numbers of 0 or more"));
    }
    if figure.unit() == "%" && (*target > 1.0 || *critical > 1.0) {
        problems.push(format!(
            "`targets.{name}`: {target} and {critical}: shares are written from 0 to 1; 70 % is 0.7"
        ));
    }
    let (wrong, side) = match figure.better() {
        Better::Less => (critical < target, "below"),
        Better::More => (critical > target, "above"),
        // The higher value is the worse one where a figure has no direction, such as pool use.
        Better::Neither => (critical < target, "below"),
    };
    if wrong {
        problems.push(format!(
            "`targets.{name}`: critical ({critical}) is {side} target ({target}), on the good side of it; exchange them"
        ));
    }
}

fn not_longer(key: &str, time: Duration, longest: Duration, problems: &mut Vec<String>) {
    if time > longest {
        let longest = humantime::format_duration(longest);
        problems.push(format!("`{key}` is longer than {longest}; shorten it"));
    }
}
