//! The search for the knee: rate and response time against the level of the load.

use crate::lab::record::RunRecord;
use crate::lab::verdict::{Analysis, Figure, KneeStep};

use super::super::format;
use super::canvas::{Canvas, Ink, Stroke};
use super::frame::{Axis, Frame, legend};
use super::{Chart, WIDTH, stroke_of};

const HEIGHT: f64 = 340.0;

/// Every strategy's steps; nothing for a plan without a search.
pub fn knees(run: &RunRecord, analysis: &Analysis) -> Option<Chart> {
    let search = run.plan.search.as_ref()?;
    let (id, title) = ("chart-knee", "The search for the knee");
    let steps = || analysis.knees.iter().flat_map(|knee| &knee.steps);
    if steps().next().is_none() {
        return Some(Chart::missing(id, title, "The run ended before the search made a step."));
    }
    let caption = "Filled points held the limits, rings broke one. The upright lines are the highest \
                   levels that held: the knees. Beyond its knee a strategy answers later, not more.";
    Some(Chart::drawn(id, title, caption, HEIGHT, |canvas| {
        let mut names: Vec<_> = analysis
            .knees
            .iter()
            .map(|knee| (knee.strategy.clone(), stroke_of(&run.plan, &knee.strategy, 2.0)))
            .collect();
        let limit = format!("limit of {}", format::figure(Figure::LatencyP95, search.p95_ms));
        names.push((limit, Stroke::dashed(Ink::Mark, 2.0)));
        let top = legend(canvas, (16.0, 2.0), WIDTH, &names) + 34.0;
        let unit = analysis.knees.first().map_or("", |knee| knee.unit);
        let levels = Axis::fitting(unit, steps().map(|step| step.level));
        let rates = steps().map(|step| step.rate).fold(0.0, f64::max);
        let times = steps().filter_map(|step| step.p95_ms).chain([search.p95_ms]);
        let half = WIDTH / 2.0;
        let edges = |left: f64| (left + 64.0, top, left + half - 28.0, HEIGHT - 48.0);
        let rate =
            Frame::new(canvas, edges(0.0), levels.clone(), Axis::from_zero("requests /s", rates));
        let p95 = Axis::fitting("p95, ms", times);
        let p95 = Frame::new(canvas, edges(half), levels.clone(), p95);
        p95.level(search.p95_ms, Stroke::dashed(Ink::Mark, 1.75));
        plot(canvas, run, analysis, &rate, |step| Some(step.rate));
        plot(canvas, run, analysis, &p95, |step| step.p95_ms);
    }))
}

fn plot(
    canvas: &Canvas<'_>,
    run: &RunRecord,
    analysis: &Analysis,
    frame: &Frame<'_, '_>,
    of: fn(&KneeStep) -> Option<f64>,
) {
    for (place, knee) in analysis.knees.iter().enumerate() {
        let stroke = stroke_of(&run.plan, &knee.strategy, 1.75);
        let mut steps: Vec<&KneeStep> = knee.steps.iter().collect();
        steps.sort_by(|a, b| a.level.total_cmp(&b.level));
        if let Some(held) = knee.held {
            // Beside each other where several have the same knee.
            let aside = 2.5 * place as f64;
            let ((x, top), (_, bottom)) =
                (frame.place(held, f64::INFINITY), frame.place(held, 0.0));
            let upright = [(x + aside, top), (x + aside, bottom)];
            canvas.line(&upright, Stroke { width: 1.25, ..stroke });
        }
        let line: Vec<_> = steps.iter().filter_map(|step| Some((step.level, of(step)?))).collect();
        frame.line(&line, stroke);
        for (step, value) in steps.iter().filter_map(|step| Some((step, of(step)?))) {
            canvas.dot(frame.place(step.level, value), 3.5, stroke.ink, step.held);
        }
    }
}
