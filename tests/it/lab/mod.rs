//! The lab: part by part, and whole with the real command. It asserts what is measured, not how fast.

mod command;
mod compare;
mod doctor;
mod findings;
mod known;
mod load;
mod load_cut;
mod report;
mod report_page;
mod sample;
#[cfg(feature = "mysql")]
mod sample_mysql;
mod sample_service;
mod sentences;
mod synthetic;
mod synthetic_analysis;
mod synthetic_report;
mod target;
mod verdict;
mod watch;
mod watch_ended;
mod watch_tools;
mod watch_verdict;
mod writing;

use std::collections::BTreeMap;
use std::time::Duration;

use poolwise::lab::plan::{
    Distribution, Level, Limits, Model, Parameters, Plan, PlannedStrategy, Point, Stage,
};

/// Takes a measurement until it could be taken, so many times at most: on a busy machine there may
/// have been too little to measure.
async fn retried<T>(times: u32, mut measure: impl AsyncFnMut() -> Result<T, String>) -> T {
    let mut why = String::new();
    for _ in 0..times {
        match measure().await {
            Ok(taken) => return taken,
            Err(lacking) => why = lacking,
        }
    }
    panic!("it was not to be had in {times} times: {why}");
}

/// A small plan over strategies, each with its definition where the plan gives one.
fn plan(strategies: &[(&str, Option<&str>)]) -> Plan {
    let second = Duration::from_secs(1);
    let stage = Stage {
        name: String::new(),
        level: Level::Users { users: 20 },
        ramp: Duration::ZERO,
        duration: second,
    };
    Plan {
        name: "small".into(),
        title: "A small plan".into(),
        question: "Does it work?".into(),
        reading: None,
        strategies: strategies
            .iter()
            .map(|(name, definition)| PlannedStrategy {
                name: (*name).into(),
                definition: definition.map(Into::into),
                pool_size: None,
            })
            .collect(),
        baseline: strategies[0].0.into(),
        mixed: false,
        rounds: 1,
        warm_up: second,
        again: false,
        ceiling: Duration::ZERO,
        idle: Duration::ZERO,
        timeout: second,
        parameters: Parameters {
            values: vec!["category=electronics".into()],
            distribution: Distribution::Fixed,
        },
        tasks: Default::default(),
        users: Default::default(),
        staleness: None,
        pause_spread: Duration::ZERO,
        points: vec![Point {
            name: "load".into(),
            model: Model::Closed { pause: Duration::from_millis(233) },
            stages: vec![stage],
        }],
        search: None,
        limits: Limits::default(),
        targets: BTreeMap::new(),
        seed: 1,
    }
}
