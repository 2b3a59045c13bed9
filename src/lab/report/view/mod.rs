//! What the templates lay out: texts only, every number formatted, every link resolved. It knows no
//! markup, so that page and Markdown say the same.

mod cells;
mod compared;
mod findings;
mod setup;
mod tables;
mod words;

use serde::Serialize;

pub use cells::{Anchors, absence};
pub use findings::{SWEPT, verdict_of};

use crate::lab::record::{Ended, RunRecord};
use crate::lab::verdict::{Analysis, Mark, Stamp, Trust};

use super::format;

/// A report, ready for a template.
#[derive(Debug, Serialize)]
pub struct Page {
    title: String,
    question: String,
    stamp: Badge,
    started: String,
    took: String,
    ended: Option<String>,
    poolwise: String,
    reading: Option<String>,
    preface: Vec<String>,
    verdict: Vec<findings::Said>,
    setup: setup::Setup,
    tables: Vec<tables::PointView>,
    sweeps: Vec<findings::SweepView>,
    knees: Vec<findings::KneeView>,
    conclusions: Vec<findings::Said>,
    targets: Vec<findings::TargetView>,
    recoveries: Vec<findings::RecoveryView>,
    drifts: Vec<findings::DriftView>,
    warnings: Vec<findings::Advice>,
    findings: Vec<findings::Advice>,
    glossary: &'static [(&'static str, &'static str)],
}

/// A stamp as it is shown.
#[derive(Debug, Serialize)]
pub struct Badge {
    /// `VALID`, `LOWER BOUND` or `VOID`.
    pub word: &'static str,
    /// The same as a name for styles.
    pub class: &'static str,
    /// Why, a sentence each.
    pub reasons: Vec<String>,
}

impl Badge {
    /// The badge of a stamp.
    pub fn of(stamp: &Stamp) -> Self {
        let class = match stamp.level {
            Trust::Valid => "valid",
            Trust::LowerBound => "lower",
            Trust::Void => "void",
        };
        Self { word: stamp.level.word(), class, reasons: stamp.reasons.clone() }
    }
}

impl Page {
    /// Everything that a report says, as texts.
    pub fn of(run: &RunRecord, analysis: &Analysis) -> Self {
        let anchors = Anchors::of(analysis);
        let mut said = findings::Numbering::new(&anchors, analysis);
        Self {
            title: run.plan.title.clone(),
            question: run.plan.question.clone(),
            stamp: Badge::of(&analysis.stamp),
            started: format::moment(&run.started_at),
            took: format::duration(std::time::Duration::from_secs(run.took_seconds as u64)),
            ended: ended(&run.ended),
            poolwise: run.poolwise.clone(),
            reading: run.plan.reading.clone(),
            preface: analysis.preface.clone(),
            verdict: said.all(&analysis.verdict),
            setup: setup::Setup::of(run, analysis),
            tables: tables::PointView::all(run, analysis, &anchors, &mut said),
            sweeps: findings::sweeps(analysis, &anchors),
            knees: findings::knees(analysis, &mut said),
            conclusions: said.all(&analysis.conclusions),
            targets: findings::targets(analysis, &anchors),
            recoveries: findings::recoveries(analysis),
            drifts: findings::drifts(analysis),
            warnings: findings::warnings(analysis),
            findings: findings::of_the_doctor(run),
            glossary: words::GLOSSARY,
        }
    }
}

/// How a run ended, where that was not as planned.
fn ended(ended: &Ended) -> Option<String> {
    match ended {
        Ended::Finished => None,
        Ended::Running => Some("The run had not ended when this file was written.".to_owned()),
        Ended::Interrupted => Some("The run was interrupted.".to_owned()),
        Ended::Failed { why } => Some(format!("The run failed: {why}")),
    }
}

/// What became of a target, as it is shown.
pub fn mark_word(mark: Mark) -> &'static str {
    match mark {
        Mark::Met => "met",
        Mark::Missed => "missed",
        Mark::Critical => "critical",
        Mark::Unknown => "not measured",
    }
}
