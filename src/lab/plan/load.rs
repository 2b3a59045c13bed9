//! The way in: from a name or a path to a [`Plan`] or a suite of them, or to all that is wrong.

use std::fmt;

use super::file::File;
use super::overrides::Overrides;
use super::resolve::{self, Resolved};
use super::source::{self, Text};
use super::{Plan, builtin, check, read};

/// What a name or a path stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum Loaded {
    /// One plan.
    One(Box<Plan>),
    /// Several, run one after the other.
    Suite {
        /// Its name.
        name: String,
        /// A line for headings.
        title: String,
        /// In the order in which they run.
        plans: Vec<Plan>,
    },
}

/// Everything wrong with a plan and with what the command line changes in it, one sentence each:
/// where, what is wrong, what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanProblems(pub Vec<String>);

impl fmt::Display for PlanProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        writeln!(f, "the plan has {count} problem{}:", if count == 1 { "" } else { "s" })?;
        for problem in &self.0 {
            writeln!(f, "  - {problem}")?;
        }
        write!(f, "Every key of a plan is explained in config/lab/case.toml.")
    }
}

impl std::error::Error for PlanProblems {}

/// The compiled-in plans: name and title of each.
pub fn names() -> impl Iterator<Item = (&'static str, String)> {
    builtin::ALL.iter().map(|(name, text)| {
        let table = read::parse(text).expect("the compiled-in plans are TOML: a test holds it");
        let title = table.get("title").and_then(|title| title.as_str()).unwrap_or(name);
        (*name, title.to_owned())
    })
}

/// Loads a compiled-in plan by its name, or a file by its path (which ends in `.toml` or contains a
/// `/`), with `overrides` on top. A suite applies them to each of its plans.
///
/// # Errors
/// Every problem at once: a plan that is not there, unknown keys, values of the wrong type,
/// contradictions in the plan, and overrides that do not fit it.
pub fn load(name_or_path: &str, overrides: &Overrides) -> Result<Loaded, PlanProblems> {
    let one = |problem: String| PlanProblems(vec![problem]);
    let text = source::find(name_or_path, None).map_err(one)?;
    let mut problems = Vec::new();
    let loaded = load_text(&text, overrides, &mut problems);
    match loaded {
        Some(loaded) if problems.is_empty() => Ok(loaded),
        _ => Err(PlanProblems(problems)),
    }
}

fn load_text(text: &Text, overrides: &Overrides, problems: &mut Vec<String>) -> Option<Loaded> {
    let file = read_file(text, problems)?;
    match file.plans.is_some() {
        true => suite(text, file, overrides, problems),
        false => one(text, file, overrides, problems).map(|plan| Loaded::One(Box::new(plan))),
    }
}

/// Reads the text; every problem starts with where it is.
fn read_file(text: &Text, problems: &mut Vec<String>) -> Option<File> {
    let mut found = Vec::new();
    let file = match source::table(text) {
        Ok(table) => read::read(table, builtin::MANUAL, &mut found),
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    problems.extend(found.into_iter().map(|problem| format!("{}: {problem}", text.label)));
    file
}

fn one(text: &Text, file: File, overrides: &Overrides, problems: &mut Vec<String>) -> Option<Plan> {
    let mut found = Vec::new();
    let wrong_before = problems.len();
    let Resolved { mut plan, short, mixed_reading } =
        resolve::resolve(&text.name, file, &mut found);
    check::check(&plan, &mut found);
    problems.extend(found.into_iter().map(|problem| format!("{}: {problem}", text.label)));
    // What is wrong already would only be reported twice, under other names.
    if problems.len() == wrong_before {
        overrides.apply(&mut plan, short, mixed_reading, problems);
    }
    Some(plan)
}

fn suite(
    text: &Text,
    file: File,
    overrides: &Overrides,
    problems: &mut Vec<String>,
) -> Option<Loaded> {
    let label = &text.label;
    let title = file.title.clone().unwrap_or_else(|| text.name.clone());
    let names = file.plans.clone().unwrap_or_default();
    if names.is_empty() {
        problems.push(format!("{label}: `plans` is empty; name the plans of the suite"));
    }
    let keys = resolve::keys_beside_plans(&file);
    if !keys.is_empty() {
        problems.push(format!(
            "{label}: `{}` says nothing in a suite, which is only a list of `plans`; remove it, or write it in one of them",
            keys.join("`, `")
        ));
    }
    let mut plans: Vec<Plan> = Vec::new();
    for name in &names {
        let loaded = source::find(name, Some(text)).map(|text| {
            let file = read_file(&text, problems)?;
            if file.plans.is_some() {
                let inner = "is a suite itself; name its plans here";
                problems.push(format!("{label}: `plans`: {name:?} {inner}"));
                return None;
            }
            one(&text, file, overrides, problems)
        });
        match loaded {
            Ok(plan) => plans.extend(plan),
            Err(problem) => problems.push(format!("{label}: `plans`: {problem}")),
        }
    }
    for (place, plan) in plans.iter().enumerate() {
        if plans[..place].iter().any(|earlier| earlier.name == plan.name) {
            problems.push(format!("{label}: `plans` names {:?} twice; keep one", plan.name));
        }
    }
    Some(Loaded::Suite { name: text.name.clone(), title, plans })
}
