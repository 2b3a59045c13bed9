//! What the command line changes in a plan. A plan that was right stays right: what does not fit is a
//! problem that names the flag.

use std::time::Duration;

use super::check::{MOST_ROUNDS, SHORTEST_BLOCK, name_problem};
use super::points::CONNECTIONS;
use super::resolve::with_limit;
use super::{Arrivals, Level, Model, Plan, PlannedStrategy, Point};

/// What `lab run` was told beside the plan; what is `None`, empty or false changes nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// `--users`: users at once in closed loads. Where there are stages, the highest gets it, and the
    /// others as many in proportion.
    pub users: Option<u32>,
    /// `--rate`: requests a second in open loads, in stages likewise. A plan whose loads are all closed
    /// becomes open: each strategy gets the same rate.
    pub rate: Option<f64>,
    /// `--pause`: pause of each user in closed loads and searches.
    pub pause: Option<Duration>,
    /// `--each`: measured time of each strategy in all.
    pub each: Option<Duration>,
    /// `--duration`: measured time of all strategies together.
    pub duration: Option<Duration>,
    /// `--rounds`
    pub rounds: Option<u32>,
    /// `--strategies`: these instead of the plan's; what the plan does not know, the service must.
    pub strategies: Vec<String>,
    /// `--baseline`
    pub baseline: Option<String>,
    /// `--limit`: rows of an answer, as `limit=` in every query.
    pub limit: Option<u32>,
    /// `--seed`
    pub seed: Option<u64>,
    /// `--mixed`: all strategies at once, for as long as they would have taken one after the other.
    pub mixed: bool,
    /// `--short`: times are multiplied by the plan's `short`.
    pub short: bool,
}

impl Overrides {
    /// Changes `plan`, which must be right; what does not fit it is left out and added to `problems`.
    pub(super) fn apply(
        &self,
        plan: &mut Plan,
        short: f64,
        mixed_reading: Option<String>,
        problems: &mut Vec<String>,
    ) {
        self.strategies(plan, problems);
        self.loads(plan, problems);
        match self.rounds {
            Some(rounds) if (1..=MOST_ROUNDS).contains(&rounds) => plan.rounds = rounds,
            Some(rounds) => problems.push(format!("--rounds {rounds}: give 1 to {MOST_ROUNDS}")),
            None => {}
        }
        if self.mixed && !plan.mixed {
            self.mix(plan, mixed_reading, problems);
        }
        self.times(plan, short, problems);
        match self.limit {
            Some(0) => problems.push("--limit 0: give the rows of a page, such as 100".into()),
            Some(limit) => {
                let values = plan.parameters.values.iter_mut();
                values.for_each(|value| *value = with_limit(value, limit));
            }
            None => {}
        }
        plan.seed = self.seed.unwrap_or(plan.seed);
        plan.reading = plan.reading.take().map(|reading| filled_in(&reading, plan));
    }

    fn strategies(&self, plan: &mut Plan, problems: &mut Vec<String>) {
        let mut chosen: Vec<PlannedStrategy> = Vec::new();
        for name in &self.strategies {
            if let Some(problem) = name_problem(name) {
                problems.push(format!("--strategies: {name:?}: {problem}"));
            }
            if chosen.iter().any(|other| other.name == *name) {
                problems.push(format!("--strategies: {name:?} is there twice; keep one"));
            }
            let known = plan.strategies.iter().find(|known| known.name == *name).cloned();
            chosen.push(known.unwrap_or_else(|| PlannedStrategy {
                name: name.clone(),
                definition: None,
                pool_size: None,
            }));
        }
        if !chosen.is_empty() {
            plan.strategies = chosen;
        }
        let names: Vec<&str> = plan.strategies.iter().map(|known| known.name.as_str()).collect();
        match &self.baseline {
            Some(name) if names.contains(&name.as_str()) => plan.baseline = name.clone(),
            Some(name) => problems.push(format!(
                "--baseline {name}: it is not driven; give one of {}",
                names.join(", ")
            )),
            None if !names.contains(&plan.baseline.as_str()) => {
                plan.baseline = names[0].to_owned();
            }
            None => {}
        }
    }

    fn loads(&self, plan: &mut Plan, problems: &mut Vec<String>) {
        let name = plan.name.clone();
        let rates = |plan: &Plan| plan.points.iter().any(|point| highest_rate(point).is_some());
        if let Some(rate) = self.rate {
            let all_closed = plan.points.iter().all(is_closed) && !plan.points.is_empty();
            if !(rate.is_finite() && rate > 0.0) {
                problems.push(format!("--rate {rate}: give requests a second, such as 50"));
            } else if rates(plan) {
                plan.points.iter_mut().for_each(|point| scale_rate(point, rate));
            } else if all_closed && (self.users.is_some() || self.pause.is_some()) {
                problems.push("--rate makes the loads open, where --users and --pause mean nothing; keep one kind".into());
                return;
            } else if all_closed {
                plan.points.iter_mut().for_each(|point| open(point, rate));
            } else {
                problems.push(format!(
                    "--rate: the rates of plan {name:?} are shares of what it measures first, or found by a search; write a plan with `extends = {name:?}` and a load of your own"
                ));
            }
        }
        if let Some(users) = self.users {
            let closed = plan.points.iter().any(is_closed);
            if users == 0 {
                problems.push("--users 0: give at least 1".into());
            } else if !closed {
                problems.push(format!("--users: plan {name:?} has no closed load; give --rate"));
            }
            plan.points.iter_mut().for_each(|point| scale_users(point, users.max(1)));
        }
        if let Some(pause) = self.pause {
            let search = plan.search.iter_mut().map(|search| &mut search.model);
            let models = plan.points.iter_mut().map(|point| &mut point.model).chain(search);
            let closed = models.filter(|model| matches!(model, Model::Closed { .. }));
            if closed.map(|model| *model = Model::Closed { pause }).count() == 0 {
                problems.push(format!("--pause: plan {name:?} has no closed load; remove it"));
            }
        }
    }

    /// All strategies at once, for as long as they would have taken one after the other.
    fn mix(&self, plan: &mut Plan, reading: Option<String>, problems: &mut Vec<String>) {
        let own = |point: &Point| {
            let of_its_own =
                |level: &Level| matches!(level, Level::Share { of: super::Reference::Own, .. });
            point.stages.iter().any(|stage| of_its_own(&stage.level))
        };
        if plan.points.iter().any(own) {
            problems.push(format!(
                "--mixed: plan {:?} loads each strategy by its own rate; remove --mixed",
                plan.name
            ));
            return;
        }
        if plan.staleness.is_some() {
            problems.push(format!(
                "--mixed: plan {:?} looks at how stale the answers of each strategy are, one after the other; remove --mixed",
                plan.name
            ));
            return;
        }
        let strategies = plan.strategies.len() as f64;
        plan.points.iter_mut().for_each(|point| stretch(point, strategies));
        plan.mixed = true;
        plan.reading = reading;
    }

    fn times(&self, plan: &mut Plan, short: f64, problems: &mut Vec<String>) {
        let wanted = [self.each.is_some(), self.duration.is_some(), self.short];
        if wanted.into_iter().filter(|given| *given).count() > 1 {
            problems.push("--each, --duration and --short: give one of them".into());
            return;
        }
        if plan.points.is_empty() && (self.each.is_some() || self.duration.is_some()) {
            problems.push(format!(
                "--each and --duration: plan {:?} has only a search, which ends by itself; give --short",
                plan.name
            ));
            return;
        }
        let shortest = plan.points.iter().map(Point::block).min().unwrap_or(SHORTEST_BLOCK);
        let now = [
            ("--each", self.each, plan.measured_for_each()),
            ("--duration", self.duration, plan.measured()),
        ];
        for (flag, wanted, now) in now {
            let Some(wanted) = wanted else { continue };
            let factor = wanted.as_secs_f64() / now.as_secs_f64();
            // Half a millisecond for the rounding of the factor.
            if shortest.as_secs_f64() * factor < SHORTEST_BLOCK.as_secs_f64() - 0.0005 {
                let least = now.as_secs_f64() / shortest.as_secs_f64();
                problems.push(format!(
                    "{flag} {}: blocks would be shorter than 1s, the time between two samples; give at least {}s, or fewer --rounds",
                    humantime::format_duration(wanted),
                    least.ceil()
                ));
            } else if wanted > Duration::from_secs(7 * 24 * 3600) {
                problems.push(format!("{flag}: give at most 7days"));
            } else {
                plan.points.iter_mut().for_each(|point| stretch(point, factor));
            }
        }
        if self.short {
            shorten(plan, short);
        }
    }
}

/// Multiplies every time of the plan; no block becomes shorter than can be sampled.
fn shorten(plan: &mut Plan, short: f64) {
    for point in &mut plan.points {
        let least = SHORTEST_BLOCK.as_secs_f64() / point.block().as_secs_f64();
        stretch(point, short.max(least).min(1.0));
    }
    let least = |time: Duration, least: Duration| times(time, short).max(time.min(least));
    let moment = Duration::from_millis(500);
    for time in [&mut plan.warm_up, &mut plan.ceiling, &mut plan.idle] {
        *time = least(*time, moment);
    }
    if let Some(search) = &mut plan.search {
        search.probe = least(search.probe, SHORTEST_BLOCK);
    }
}

/// To the millisecond, so that a plan reads well.
fn times(time: Duration, factor: f64) -> Duration {
    Duration::from_millis((time.as_secs_f64() * factor * 1000.0).round() as u64)
}

fn stretch(point: &mut Point, factor: f64) {
    for stage in &mut point.stages {
        stage.duration = times(stage.duration, factor);
        stage.ramp = times(stage.ramp, factor).min(stage.duration);
    }
}

fn is_closed(point: &Point) -> bool {
    matches!(point.model, Model::Closed { .. })
}

fn highest_rate(point: &Point) -> Option<f64> {
    let rates = point.stages.iter().filter_map(|stage| match stage.level {
        Level::Rate { rate } => Some(rate),
        _ => None,
    });
    rates.reduce(f64::max).filter(|rate| *rate > 0.0)
}

fn highest_users(point: &Point) -> u32 {
    let users = point.stages.iter().map(|stage| match stage.level {
        Level::Users { users } => users,
        _ => 0,
    });
    users.max().unwrap_or(0).max(1)
}

fn scale_rate(point: &mut Point, to: f64) {
    let Some(highest) = highest_rate(point) else { return };
    for stage in &mut point.stages {
        if let Level::Rate { rate } = &mut stage.level {
            *rate *= to / highest;
        }
    }
}

fn scale_users(point: &mut Point, to: u32) {
    let highest = highest_users(point);
    for stage in &mut point.stages {
        if let Level::Users { users } = &mut stage.level
            && *users > 0
        {
            let scaled = f64::from(*users) * f64::from(to) / f64::from(highest);
            *users = (scaled.round() as u32).max(1);
        }
    }
}

/// Turns a closed load into an open one whose highest level is `rate`.
fn open(point: &mut Point, rate: f64) {
    let highest = highest_users(point);
    let connections = highest.max(CONNECTIONS);
    point.model = Model::Open { arrivals: Arrivals::Poisson, connections };
    for stage in &mut point.stages {
        if let Level::Users { users } = stage.level {
            stage.level = Level::Rate { rate: rate * f64::from(users) / f64::from(highest) };
        }
    }
}

/// The reading with its numbers: `{each}` and `{all}` are the measured times, `{block}` the length of
/// a block, `{rounds}` how many each strategy gets.
fn filled_in(reading: &str, plan: &Plan) -> String {
    // "7.5 s", not "7s 500ms".
    let time = |time: Duration| match time.as_secs() {
        seconds if seconds < 60 => format!("{} s", time.as_millis() as f64 / 1000.0),
        _ => humantime::format_duration(time).to_string(),
    };
    let block = plan.points.first().map(Point::block).unwrap_or_default();
    reading
        .replace("{each}", &time(plan.measured_for_each()))
        .replace("{all}", &time(plan.measured()))
        .replace("{block}", &time(block))
        .replace("{rounds}", &plan.rounds.to_string())
}
