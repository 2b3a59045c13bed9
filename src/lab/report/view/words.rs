//! Loads, figures and terms in words.

use crate::lab::plan::{
    Arrivals, Distribution, Level, Model, Parameters, Plan, Point, Reference, Stage, Staleness,
    Task,
};
use crate::lab::verdict::{Better, Figure, Meaning};

use super::super::format;
use super::cells::Section;

/// The label of a figure under the heading of its section: "memory, highest".
pub fn short_label(figure: Figure, section: Section) -> String {
    match section.repeated() {
        "" => figure.label().to_owned(),
        repeated => figure.label().replacen(repeated, "", 1),
    }
    .replace(" per 1,000", "")
}

/// What a label has to add to the units of the cells.
pub fn unit(figure: Figure) -> &'static str {
    match figure.unit() {
        "% of a core" => "of a core",
        _ => "",
    }
}

/// Which direction of a figure is good.
pub fn better(figure: Figure) -> &'static str {
    match figure.better() {
        Better::Less => "less is better",
        Better::More => "more is better",
        Better::Neither => "",
    }
}

/// What a ratio means.
pub fn meaning(meaning: Meaning) -> &'static str {
    match meaning {
        Meaning::Better => "better",
        Meaning::Worse => "worse",
        Meaning::Different => "different",
        Meaning::NoMeasurableDifference => "no measurable difference",
        Meaning::NotKnown => "not known: no interval",
    }
}

/// A point as the plan describes it: "closed: 20 users, each pausing 233 ms after an answer; 4 s".
pub fn load_words(point: &Point) -> String {
    let model = match &point.model {
        Model::Watched => return format!("what {} asked for", point.name),
        Model::Closed { pause } if pause.is_zero() => "closed, without a pause".to_owned(),
        Model::Closed { pause } => {
            format!("closed, each user pauses {} after an answer", format::duration(*pause))
        }
        Model::Open { arrivals, connections } => {
            let spaced = match arrivals {
                Arrivals::Constant => "evenly spaced arrivals",
                Arrivals::Poisson => "Poisson arrivals",
            };
            format!("open, {spaced}, at most {connections} requests on their way at once")
        }
    };
    let stages: Vec<String> = point.stages.iter().map(stage_words).collect();
    format!("{model}: {}", stages.join(", then "))
}

fn stage_words(stage: &Stage) -> String {
    let level = level_words(&stage.level);
    let held = format::duration(stage.duration);
    let ramp = match stage.ramp.is_zero() {
        true => String::new(),
        false => format!(", reached over {}", format::duration(stage.ramp)),
    };
    let name = if stage.name.is_empty() { String::new() } else { format!("{}: ", stage.name) };
    format!("{name}{level} for {held}{ramp}")
}

fn level_words(level: &Level) -> String {
    match level {
        Level::Users { users: 1 } => "1 user".to_owned(),
        Level::Users { users } => format!("{} users", format::count(u64::from(*users))),
        Level::Rate { rate } => format!("{}/s", format::number(*rate)),
        Level::Share { share, point, of } => {
            let whose = match of {
                Reference::Slowest => "the slowest strategy",
                Reference::Fastest => "the fastest strategy",
                Reference::Own => "each strategy's own rate",
            };
            format!("{} of {whose} at {point:?}", format::share(*share))
        }
    }
}

/// What the requests ask for.
pub fn parameter_words(parameters: &Parameters) -> String {
    let values = format::count(parameters.values.len() as u64);
    match (parameters.distribution, &*parameters.values) {
        (_, [only]) if only.is_empty() => "always the same, without parameters".to_owned(),
        (Distribution::Fixed, [first, ..]) | (_, [first]) => format!("always {first:?}"),
        (Distribution::Fixed, []) => "without parameters".to_owned(),
        (Distribution::Uniform, _) => {
            format!("{values} query strings, each as often as the others")
        }
        (Distribution::Zipf { exponent }, _) => format!(
            "{values} query strings, the first most often, by Zipf's law with exponent {exponent}"
        ),
    }
}

/// What requests do: "50 % list, 33.3 % detail, 16.7 % order, by 20 users".
pub fn task_words(plan: &Plan) -> String {
    let planned = Task::ALL.into_iter().filter(|task| plan.tasks.weight(*task) > 0);
    let share = |task: Task| format!("{} {}", format::share(plan.tasks.share(task)), task.name());
    let shares: Vec<String> = planned.map(share).collect();
    let by = match plan.tasks.write() {
        true => format!(", by {} users who are signed in", format::count(plan.users.count.into())),
        false => String::new(),
    };
    format!("{}{by}", shares.join(", "))
}

/// How stale answers are looked at.
pub fn staleness_words(looks: &Staleness) -> String {
    format!(
        "beside the load one product is written to every {} and looked at through the strategy every {}",
        format::duration(looks.write_every),
        format::duration(looks.read_every),
    )
}

/// Terms of the report.
pub const GLOSSARY: &[(&str, &str)] = &[
    (
        "closed",
        "A load of so many users: each waits for its answer, pauses, and asks again. A slow service is asked less.",
    ),
    (
        "open",
        "A load of so many requests a second, whether answers have come or not, as independent clients make it.",
    ),
    (
        "stale",
        "An answer that lacks a write which had been answered before it was asked for. Its age is how long ago the oldest such write had been answered; that of an answer that lacks none is 0.",
    ),
    ("arrival rate", "Requests that begin each second in an open load."),
    ("service time", "From when a request was sent to the last byte of its answer."),
    (
        "intended start",
        "When a request was due. Response times count from then, so waiting for a free connection is part of them.",
    ),
    (
        "goodput",
        "Requests a second that were answered whole and without an error: what the rates of this report are.",
    ),
    (
        "saturation",
        "More load brings no more goodput: something is fully used and requests wait for it.",
    ),
    ("knee", "The highest load at which the limits on response time and errors still hold."),
    (
        "utilisation",
        "The share of time that something is busy. Of CPU it is given in percent of one core.",
    ),
    (
        "Little's law",
        "Requests under way = goodput × response time, on average (J. D. C. Little, 1961).",
    ),
    (
        "coordinated omission",
        "The error of a driver that, while it waits for a slow answer, does not ask and so does not notice that others would wait too (Gil Tene).",
    ),
    ("A/A", "The same strategy measured twice, to see how far apart two equal things come out."),
    (
        "confidence interval",
        "A range made such that 95 of 100 of them hold the true figure, were the run repeated; found by bootstrap over the rounds (Efron and Tibshirani).",
    ),
    (
        "noise floor",
        "How far the A/A run was apart. A difference inside it is called no measurable difference.",
    ),
];
