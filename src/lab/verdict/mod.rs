//! What a run says: a pure function from [`crate::lab::record::RunRecord`] to [`Analysis`]. Reports
//! only lay it out: every number in them is a cell of it, and every sentence names its cells.
//!
//! ```text
//! blocks -> measures -> cell      numerators and denominators by round; histograms by round
//!                        | ratio, resample    estimates and ratios with their intervals
//!                        | limits, stamp      what limited a row, how far it can be trusted
//!                        v
//!                      tables -> sweep, recovery, drift, targets     knee (from the probes)
//!                        | say: compared, components, findings
//!                        v
//!                      preface, summary, conclusions, warnings
//! ```
//!
//! Only whole blocks make rows. The same record gives the same analysis on every machine, bit for
//! bit: no clock, no order of a hash map, no function of the C library's mathematics, and a generator
//! of random numbers that is seeded from the plan. It must not know how anything is laid out.

mod analysis;
mod cell;
mod compared;
mod components;
mod conclusions;
mod context;
mod drift;
mod figure;
mod findings;
mod grid;
mod knee;
mod limits;
mod load;
mod measures;
mod preface;
mod ratio;
mod recovery;
mod resample;
mod say;
pub(crate) mod side;
mod stamp;
mod student;
mod summary;
mod sweep;
mod tables;
mod targets;
mod together;
pub mod units;
mod warnings;
mod watched;

use std::collections::BTreeMap;

pub use analysis::*;
pub use figure::{Better, Figure};
pub use knee::{Judged, judge};

use super::record::RunRecord;
use context::{Component, Context};

/// Everything that a run says.
pub fn analyse(run: &RunRecord) -> Analysis {
    let context = &Context::new(run);
    let points = &tables::measure(context);
    let knees = knee::knees(context);
    let rows = points
        .iter()
        .flat_map(|point| point.table.rows.iter().map(|row| (point.table.point.as_str(), row)));
    let mut analysis = Analysis {
        stamp: stamp::of_run(context, rows, &knees),
        preface: preface::sentences(context),
        verdict: Vec::new(),
        driver_ceiling: context.ceiling,
        noise: largest(points.iter().map(|point| &point.table.noise)),
        idle: idle(context),
        sweeps: sweep::sweeps(run.plan.seed, points),
        recoveries: recovery::recoveries(points),
        drifts: drift::drifts(context, points),
        targets: targets::marks(&run.plan, points),
        conclusions: Vec::new(),
        warnings: warnings::warnings(context, points),
        tables: Vec::new(),
        knees,
    };
    analysis.verdict = summary::paragraph(&summary::Findings {
        points,
        baseline: &run.plan.baseline,
        stamp: &analysis.stamp,
        noise: &analysis.noise,
        sweeps: &analysis.sweeps,
        knees: &analysis.knees,
    });
    analysis.conclusions = conclusions::sentences(context, points, &analysis);
    analysis.tables = points.iter().map(|point| point.table.clone()).collect();
    analysis
}

/// The largest noise floor of each figure.
fn largest<'a>(floors: impl Iterator<Item = &'a BTreeMap<Figure, f64>>) -> BTreeMap<Figure, f64> {
    let mut largest: BTreeMap<Figure, f64> = BTreeMap::new();
    for (figure, floor) in floors.flatten() {
        let largest = largest.entry(*figure).or_insert(*floor);
        *largest = largest.max(*floor);
    }
    largest
}

/// What the components used when nothing was driven.
fn idle(context: &Context) -> BTreeMap<Figure, f64> {
    let components = Component::ALL.into_iter().filter(|component| context.has(*component));
    components.flat_map(|component| measures::idle(component, &context.run.idle)).collect()
}
