//! What was done, to what, and on which machine.

use std::time::Duration;

use serde::Serialize;

use crate::lab::plan::{Plan, Point};
use crate::lab::record::{Host, RunRecord, Source, Target, Watched};
use crate::lab::verdict::{Analysis, Figure};

use super::super::format;
use super::words;

/// The set-up of a run.
#[derive(Debug, Serialize)]
pub struct Setup {
    strategies: Vec<StrategyView>,
    plan: Vec<Fact>,
    host: Vec<Fact>,
    sources: Vec<SourceView>,
    not_visible: Vec<(&'static str, String)>,
    idle: Vec<(String, String)>,
    config: Option<String>,
}

/// A name and what it is.
#[derive(Debug, Serialize)]
struct Fact {
    name: String,
    value: String,
}

#[derive(Debug, Serialize)]
struct StrategyView {
    name: String,
    access: String,
    cache: String,
    connections: String,
    definition: Option<String>,
    baseline: bool,
}

#[derive(Debug, Serialize)]
struct SourceView {
    component: &'static str,
    usage: String,
    counters: String,
    shares_cores: &'static str,
}

impl Setup {
    /// The set-up as texts.
    pub fn of(run: &RunRecord, analysis: &Analysis) -> Self {
        let idle = analysis.idle.iter();
        Self {
            strategies: strategies(run),
            plan: match &run.watched {
                Some(watched) => watched_facts(run, watched),
                None => plan(&run.plan, analysis),
            },
            host: host(&run.host, &run.target),
            sources: sources(run),
            not_visible: not_visible(run),
            idle: idle.map(idle_view).collect(),
            config: run.target.config.clone(),
        }
    }
}

fn idle_view((figure, value): (&Figure, &f64)) -> (String, String) {
    let label = figure.label().to_owned();
    let value = format::figure(*figure, *value);
    match words::unit(*figure) {
        "" => (label, value),
        unit => (label, format!("{value} {unit}")),
    }
}

fn fact(name: &str, value: String) -> Fact {
    Fact { name: name.to_owned(), value }
}

fn strategies(run: &RunRecord) -> Vec<StrategyView> {
    if run.watched.as_ref().is_some_and(Watched::is_unrecorded) {
        // Nobody knows which of them were asked.
        let view = run.target.strategies.iter().map(|known| StrategyView {
            name: known.name.clone(),
            access: known.access.clone(),
            cache: known.cache.clone(),
            connections: known.connections.map_or(format::NOTHING.to_owned(), format::count),
            definition: None,
            baseline: false,
        });
        return view.collect();
    }
    let planned = run.plan.strategies.iter();
    let view = planned.map(|planned| {
        let described = run.target.strategies.iter().find(|s| s.name == planned.name);
        let of = |text: fn(&crate::lab::record::StrategyRecord) -> &str| {
            described.map_or(format::NOTHING, text).to_owned()
        };
        let connections = described.and_then(|described| described.connections);
        StrategyView {
            name: planned.name.clone(),
            access: of(|described| &described.access),
            cache: of(|described| &described.cache),
            connections: connections.map_or(format::NOTHING.to_owned(), format::count),
            definition: planned.definition.clone(),
            baseline: planned.name == run.plan.baseline,
        }
    });
    view.collect()
}

fn plan(plan: &Plan, analysis: &Analysis) -> Vec<Fact> {
    let mut facts = Vec::new();
    for point in &plan.points {
        let name = match plan.points.len() {
            1 => "load".to_owned(),
            _ => format!("load {:?}", point.name),
        };
        facts.push(Fact { name, value: words::load_words(point) });
    }
    if let Some(search) = &plan.search {
        let words = format!(
            "from {}, times {} while the limits hold (p95 at most {}, errors at most {}), up to {}, \
             each level for {}; then halved until the step is at most {}",
            format::number(search.from),
            format::number(search.factor),
            format::figure(Figure::LatencyP95, search.p95_ms),
            format::share(search.errors),
            format::number(search.to),
            format::duration(search.probe),
            format::share(search.resolution),
        );
        facts.push(fact("search for the knee", words));
    }
    facts.push(fact("requests", words::parameter_words(&plan.parameters)));
    if !plan.tasks.only_lists() {
        facts.push(fact("tasks", words::task_words(plan)));
    }
    if !plan.pause_spread.is_zero() {
        let spread = format::duration(plan.pause_spread);
        facts.push(fact("pauses", format!("each up to {spread} shorter or longer, drawn evenly")));
    }
    if let Some(looks) = &plan.staleness {
        facts.push(fact("staleness", words::staleness_words(looks)));
    }
    facts.push(fact("blocks", blocks(plan)));
    facts.push(fact(
        "A/A run",
        match plan.again {
            true => format!("each round measures {:?} twice", plan.baseline),
            false => "none: how noisy the machine is, is not known".to_owned(),
        },
    ));
    if let Some(rate) = analysis.driver_ceiling {
        let rate = format::figure(Figure::Rate, rate);
        facts.push(fact("ceiling of the load driver", format!("{rate} at /noop")));
    }
    facts.push(fact("an answer is given up after", format::duration(plan.timeout)));
    facts.push(fact("void if", void_words(plan)));
    facts.push(fact("seed", plan.seed.to_string()));
    facts
}

/// What is known of a load that another tool drove.
fn watched_facts(run: &RunRecord, watched: &Watched) -> Vec<Fact> {
    let tenths = |seconds: f64| Duration::from_millis(100 * (seconds * 10.0).round() as u64);
    let seconds = |seconds: f64| format::duration(tenths(seconds));
    let plan = &run.plan;
    let mut facts = vec![
        fact("driven by", format!("{}, for {}", watched.tool, seconds(watched.took_seconds))),
        fact("windows", format!("{} of about {}", plan.rounds, length_words(plan))),
        fact("not measured at the begin", seconds(watched.skip_seconds)),
    ];
    if let Some(how) = &watched.ended_with {
        facts.push(fact("it ended with", how.clone()));
    }
    for file in &watched.records {
        let requests = format::count(file.requests);
        facts.push(fact("records", format!("{}, {}: {requests} requests", file.file, file.format)));
    }
    if watched.is_unrecorded() {
        facts.push(fact("records", "none".to_owned()));
    }
    if !plan.tasks.only_lists() {
        facts.push(fact("tasks", words::task_words(plan)));
    }
    facts.push(fact("void if", void_words(plan)));
    facts
}

fn length_words(plan: &Plan) -> String {
    plan.points.first().map_or_else(String::new, |point| format::duration(length(point)))
}

fn void_words(plan: &Plan) -> String {
    format!(
        "more than {} of the requests fail, more than {} of the CPU time is stolen, or more than {} \
         pages are swapped",
        format::share(plan.limits.errors),
        format::share(plan.limits.steal),
        format::count(plan.limits.swapped_pages),
    )
}

fn blocks(plan: &Plan) -> String {
    let mut lengths: Vec<Duration> = plan.points.iter().map(length).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let lengths: Vec<String> = lengths.into_iter().map(format::duration).collect();
    let rounds = match plan.rounds {
        1 => "1 round".to_owned(),
        rounds => format!("{rounds} rounds"),
    };
    let warm_up = match plan.warm_up.is_zero() {
        true => "no warm-up".to_owned(),
        false => format!(
            "each after a warm-up of {} that is not measured",
            format::duration(plan.warm_up)
        ),
    };
    let order = match plan.mixed {
        true => "all strategies at once",
        false => "one strategy a block, in a random order that is new in each round",
    };
    match lengths.is_empty() {
        true => format!("{rounds}, {warm_up}; {order}"),
        false => format!("{rounds}, blocks of {}, {warm_up}; {order}", lengths.join(" or ")),
    }
}

fn length(point: &Point) -> Duration {
    point.stages.iter().map(|stage| stage.duration).sum()
}

fn host(host: &Host, target: &Target) -> Vec<Fact> {
    let mut facts = vec![
        fact("processor", host.cpu_model.clone()),
        fact("cores", host.cores.to_string()),
        fact("memory", format::memory(host.memory_bytes)),
        fact("system", host.system.clone()),
    ];
    let list = |cores: &Vec<u32>| {
        let cores: Vec<String> = cores.iter().map(u32::to_string).collect();
        cores.join(", ")
    };
    let pinned = |cores: &Option<Vec<u32>>| cores.as_ref().map_or("any".to_owned(), list);
    facts.push(fact("cores of the load driver", pinned(&host.driver_cores)));
    facts.push(fact("cores of the API", pinned(&host.service_cores)));
    let started = match target.started_by_the_lab {
        true => "started by the lab",
        false => "was running already",
    };
    facts.push(fact("service", format!("{} ({started})", target.url)));
    facts.push(fact("database", target.backend.clone().unwrap_or_else(|| "not known".to_owned())));
    if let Some(most) = target.max_connections {
        let reserved = target.reserved_connections.map_or(String::new(), |reserved| {
            format!(", {} of them reserved", format::count(reserved))
        });
        let most = format!("{}{reserved}", format::count(most));
        facts.push(fact("connections that the database allows", most));
    }
    for (server, version) in &target.versions {
        facts.push(Fact { name: server.clone(), value: version.clone() });
    }
    facts
}

fn components(run: &RunRecord) -> [(&'static str, &Source); 4] {
    let sources = &run.target.sources;
    [
        ("API", &sources.api),
        ("database", &sources.database),
        ("Redis", &sources.redis),
        ("load driver", &sources.driver),
    ]
}

fn sources(run: &RunRecord) -> Vec<SourceView> {
    let from = |from: &Option<String>| from.clone().unwrap_or("not visible from here".to_owned());
    let view = components(run).map(|(component, source)| match source {
        Source::Absent { why } => {
            let usage = format!("none in this set-up: {why}");
            SourceView {
                component,
                usage,
                counters: format::NOTHING.to_owned(),
                shares_cores: format::NOTHING,
            }
        }
        Source::Seen { usage, counters, shares_cores, .. } => SourceView {
            component,
            usage: from(usage),
            counters: from(counters),
            shares_cores: match (component, shares_cores) {
                ("load driver", _) => format::NOTHING,
                (_, Some(true)) => "yes",
                (_, Some(false)) => "no",
                (_, None) => "not known",
            },
        },
    });
    view.into()
}

fn not_visible(run: &RunRecord) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    for (component, source) in components(run) {
        if let Source::Seen { not_visible, .. } = source {
            all.extend(not_visible.iter().map(|what| (component, what.clone())));
        }
    }
    all
}
