//! Loads that change within a block: response times above the level that was asked for.

use crate::lab::plan::{Level, Model, Point, Stage};
use crate::lab::record::RunRecord;

use super::canvas::{Align, Canvas, Ink, Stroke, text_width};
use super::frame::{Axis, Frame};
use super::{Chart, WIDTH, by_second, stroke_of};

const HEIGHT: f64 = 460.0;

/// How many points a line has at most.
const MOST: usize = 400;

/// Median response time and level by the second of a block; nothing for a load that does not change.
pub fn stages(run: &RunRecord, point: &Point, id: &str, under: &str) -> Option<Chart> {
    let changes = point.stages.len() > 1 || point.stages.iter().any(|stage| !stage.ramp.is_zero());
    if !changes {
        return None;
    }
    let title = format!("Response time as the load changes{under}");
    let end: f64 = point.stages.iter().map(|stage| stage.duration.as_secs_f64()).sum();
    let each = (end as usize).div_ceil(MOST).max(1);
    let lines = run.plan.strategies.iter().map(|strategy| {
        let seconds = by_second(run, &point.name, &strategy.name);
        let mut line = Vec::new();
        for from in (0..end.ceil() as usize).step_by(each) {
            let mut times = crate::lab::histogram::Times::default();
            seconds.range(from..from + each).for_each(|(_, answers)| times.add(answers));
            let middle = (from as f64 + each as f64 / 2.0).min(end);
            line.extend(times.quantile_ms(0.5).map(|ms| (middle, ms)));
        }
        (&*strategy.name, line)
    });
    let lines: Vec<(&str, Vec<(f64, f64)>)> = lines.filter(|(_, line)| !line.is_empty()).collect();
    if lines.is_empty() {
        let why = "No second of a block has the 10 answers that a median needs.";
        return Some(Chart::missing(id, &title, why));
    }
    let caption = "Above, the median response time of each second, all rounds together; below, the \
                   level that was asked for. A strategy has recovered when its line is back where it \
                   was before the peak.";
    Some(Chart::drawn(id, &title, caption, HEIGHT, |canvas| {
        let names = lines.iter().map(|(name, _)| text_width(name)).fold(0.0, f64::max);
        let right = WIDTH - names - 16.0;
        let values = lines.iter().flat_map(|(_, line)| line.iter().map(|(_, ms)| *ms));
        let y = Axis::fitting("median response time, ms", values);
        let bare = Axis { title: String::new(), ..Axis::over("", (0.0, end)) };
        let frame = Frame::new(canvas, (64.0, 36.0, right, 250.0), bare, y);
        bounds(&frame, point);
        let mut labels = Vec::new();
        for (name, line) in &lines {
            let stroke = stroke_of(&run.plan, name, 2.0);
            frame.line(line, stroke);
            labels.push((line[line.len() - 1], (*name).to_owned(), stroke.ink));
        }
        frame.end_labels(labels);
        level(canvas, point, end, right);
    }))
}

fn bounds(frame: &Frame<'_, '_>, point: &Point) {
    let mut at = 0.0;
    for stage in &point.stages {
        at += stage.duration.as_secs_f64();
        frame.upright(at, Stroke::solid(Ink::Grid, 1.0));
    }
}

fn level(canvas: &Canvas<'_>, point: &Point, end: f64, right: f64) {
    let (shape, words) = shape(point);
    let highest = shape.iter().map(|(_, level)| *level).fold(0.0, f64::max);
    let x = Axis::over("seconds since the block began", (0.0, end));
    let frame =
        Frame::new(canvas, (64.0, 316.0, right, HEIGHT - 48.0), x, Axis::from_zero(words, highest));
    bounds(&frame, point);
    frame.line(&shape, Stroke::solid(Ink::Text, 2.0));
    let mut from = 0.0;
    for Stage { name, duration, .. } in &point.stages {
        let to = from + duration.as_secs_f64();
        let (left, top) = frame.place(from, f64::INFINITY);
        let (until, _) = frame.place(to, 0.0);
        // A name that does not fit would lie on its neighbour's.
        if text_width(name) < until - left {
            let middle = ((left + until) / 2.0, top - 10.0);
            canvas.text(name, middle, Align::Middle, Ink::Text, false);
        }
        from = to;
    }
}

/// The corners of the level over time, and its unit.
fn shape(point: &Point) -> (Vec<(f64, f64)>, &'static str) {
    let value = |stage: &Stage| match &stage.level {
        Level::Users { users } => f64::from(*users),
        Level::Rate { rate } => *rate,
        Level::Share { share, .. } => share * 100.0,
    };
    let shares = point.stages.iter().any(|stage| matches!(stage.level, Level::Share { .. }));
    let unit = match point.model {
        Model::Closed { .. } | Model::Watched => "users",
        Model::Open { .. } if shares => "% of the rate",
        Model::Open { .. } => "requests /s",
    };
    let (mut corners, mut from, mut before) = (Vec::new(), 0.0, 0.0);
    for stage in &point.stages {
        let to = from + stage.duration.as_secs_f64();
        let level = value(stage);
        corners.push((from, if stage.ramp.is_zero() { level } else { before }));
        corners.push((from + stage.ramp.as_secs_f64(), level));
        corners.push((to, level));
        (from, before) = (to, level);
    }
    (corners, unit)
}
