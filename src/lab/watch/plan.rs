//! The plan of a run that another tool drives: what is known of it, in the shape that reports read.

use std::path::Path;
use std::time::Duration;

use crate::lab::plan::{
    Distribution, Level, Limits, Model, Parameters, Plan, PlannedStrategy, Point, Stage, Tasks,
};
use crate::lab::record::Watched;

/// How long nothing is driven first, for what the components use without load.
pub(super) const IDLE: Duration = Duration::from_secs(2);

/// The name of a program, for headings and folders. One that is called `run`, `run.sh` or the like is
/// named after its folder: `load/k6/run.sh` is `k6`.
pub(super) fn tool(program: &str) -> String {
    let path = Path::new(program);
    let folder = path.parent().and_then(Path::file_name);
    let name = match path.file_stem() {
        Some(stem) if stem == "run" => folder.or(path.file_name()),
        _ => path.file_name(),
    };
    let name = name.map_or(program.into(), |name| name.to_string_lossy());
    let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || "._-".contains(*letter);
    let name: String = name.chars().filter(is_plain).take(40).collect();
    if name.is_empty() { "command".to_owned() } else { name }
}

/// The plan before anything is known: no strategies, which means all.
pub(super) fn of(name: &str, tool: &str, windows: u32) -> Plan {
    let stage = Stage {
        name: String::new(),
        level: Level::Users { users: 0 },
        ramp: Duration::ZERO,
        duration: Duration::ZERO,
    };
    Plan {
        name: name.to_owned(),
        title: format!("Watched: {tool}"),
        question: format!("What does the load of {tool} cost the service, the database and Redis?"),
        reading: None,
        strategies: Vec::new(),
        baseline: String::new(),
        mixed: false,
        rounds: windows,
        warm_up: Duration::ZERO,
        again: false,
        ceiling: Duration::ZERO,
        idle: IDLE,
        timeout: Duration::ZERO,
        parameters: Parameters { values: Vec::new(), distribution: Distribution::Fixed },
        tasks: Tasks::default(),
        users: Default::default(),
        staleness: None,
        pause_spread: Duration::ZERO,
        points: vec![Point { name: tool.to_owned(), model: Model::Watched, stages: vec![stage] }],
        search: None,
        limits: Limits::default(),
        targets: Default::default(),
        seed: 1,
    }
}

/// What became known: who was driven, in how many windows of which length.
pub(super) fn complete(
    plan: &mut Plan,
    watched: &mut Watched,
    driven: Vec<String>,
    (windows, length): (u32, f64),
    tasks: Tasks,
) {
    if !driven.contains(&plan.baseline) {
        let wanted = std::mem::take(&mut plan.baseline);
        let direct = driven.iter().find(|name| *name == "direct");
        plan.baseline = direct.or(driven.first()).cloned().unwrap_or_default();
        watched.missing_baseline =
            Some(wanted).filter(|name| !name.is_empty() && !watched.is_unrecorded());
    }
    let planned = |name| PlannedStrategy { name, definition: None, pool_size: None };
    plan.mixed = driven.len() > 1 || watched.others() > 0;
    plan.strategies = driven.into_iter().map(planned).collect();
    plan.rounds = windows;
    plan.warm_up = Duration::from_secs_f64(watched.skip_seconds);
    plan.tasks = tasks;
    for stage in plan.points.iter_mut().flat_map(|point| &mut point.stages) {
        // To a tenth of a second, as people read it.
        stage.duration = Duration::from_millis(100 * (length * 10.0).round() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_only_called_run_is_named_after_its_folder() {
        for (program, expected) in [
            ("locust", "locust"),
            ("/opt/k6/bin/k6", "k6"),
            ("scripts/newman.sh", "newman.sh"),
            ("load/jmeter/run.sh", "jmeter"),
            ("/srv/load/k6/run", "k6"),
            ("./run.sh", "run.sh"),
            ("run", "run"),
            ("../run.sh", "run.sh"),
            ("a b/%", "command"),
        ] {
            assert_eq!(tool(program), expected, "{program}");
        }
    }
}
