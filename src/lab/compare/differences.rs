//! What differs between two runs besides their figures: a change there may be the reason for a change
//! here.

use serde_json::Value;

use crate::lab::record::RunRecord;
use crate::lab::verdict::units;

/// Parts of a plan that only describe it.
const DESCRIPTION: [&str; 4] = ["title", "question", "reading", "targets"];
/// At most so many lines of the configuration are shown of each run.
const LINES: usize = 5;

/// A sentence for each difference.
pub(super) fn notes(a: &RunRecord, b: &RunRecord) -> Vec<String> {
    let mut notes = Vec::new();
    let plans = plan(a, b);
    if !plans.is_empty() {
        notes.push(format!("The plans differ in {}.", plans.join(", ")));
    }
    let hosts = [a, b].map(|run| {
        let host = &run.host;
        let memory = units::bytes(host.memory_bytes as f64);
        let pinned = |cores: &Option<Vec<u32>>, who| match cores {
            Some(cores) => format!(", {who} on cores {cores:?}"),
            None => String::new(),
        };
        format!(
            "{} ({} cores, {memory}, {}{}{})",
            host.cpu_model,
            host.cores,
            host.system,
            pinned(&host.driver_cores, "load driver"),
            pinned(&host.service_cores, "service")
        )
    });
    different(&mut notes, "machines", hosts);
    let versions = [a, b].map(|run| {
        let versions = run.target.versions.iter();
        let named = versions.map(|(name, version)| format!("{name} {version}"));
        let all: Vec<String> =
            [format!("poolwise {}", run.poolwise)].into_iter().chain(named).collect();
        all.join(", ")
    });
    different(&mut notes, "versions", versions);
    let backends = [a, b].map(|run| run.target.backend.clone().unwrap_or_default());
    different(&mut notes, "backends", backends);
    notes.extend(config(a, b));
    notes
}

fn different(notes: &mut Vec<String>, what: &str, [a, b]: [String; 2]) {
    if a != b {
        notes.push(format!("The {what} differ: {a} against {b}."));
    }
}

/// The parts of the plans that are not the same.
fn plan(a: &RunRecord, b: &RunRecord) -> Vec<String> {
    let [a, b] = [a, b].map(|run| match serde_json::to_value(&run.plan) {
        Ok(Value::Object(plan)) => plan,
        _ => serde_json::Map::new(),
    });
    let keys = a.keys().filter(|key| !DESCRIPTION.contains(&key.as_str()));
    keys.filter(|key| a.get(*key) != b.get(*key)).cloned().collect()
}

/// The lines of the configuration that are in one run only.
fn config(a: &RunRecord, b: &RunRecord) -> Option<String> {
    let (a, b) = (a.target.config.as_ref()?, b.target.config.as_ref()?);
    let only = |of: &str, other: &str| -> String {
        let lines: Vec<&str> =
            of.lines().filter(|line| !other.lines().any(|l| l == *line)).collect();
        let shown: Vec<String> = lines.iter().take(LINES).map(|line| format!("`{line}`")).collect();
        match lines.len() {
            0 => "nothing".to_owned(),
            n if n > LINES => format!("{} and {} more lines", shown.join(", "), n - LINES),
            _ => shown.join(", "),
        }
    };
    (a != b).then(|| format!("The configurations differ: {} against {}.", only(a, b), only(b, a)))
}
