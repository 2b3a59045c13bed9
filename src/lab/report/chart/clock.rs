//! The axis of a run: its time, its loads, and whose turn it was.

use crate::lab::record::{Role, RunRecord};

use super::canvas::{Align, Canvas, Ink, Stroke, text_width};
use super::frame::{Axis, Frame, legend};
use super::{WIDTH, stroke_of};

/// The axis of time: seconds since the run began, or minutes for a long run.
pub struct Clock<'a> {
    from: f64,
    to: f64,
    divisor: f64,
    title: &'static str,
    /// The loads, and when each began.
    pub loads: Vec<(&'a str, f64)>,
}

impl<'a> Clock<'a> {
    /// The whole run.
    pub fn of(run: &'a RunRecord) -> Self {
        let begins = run.blocks.iter().map(|block| block.from_seconds);
        let begins = begins.chain(run.idle.iter().map(|sample| sample.at_seconds));
        let from = begins.fold(f64::INFINITY, f64::min);
        let ends = run.blocks.iter().map(|block| block.to_seconds);
        let to = ends.chain(run.idle.iter().map(|sample| sample.at_seconds)).fold(0.0, f64::max);
        let mut loads: Vec<(&str, f64)> = Vec::new();
        for block in run.blocks.iter().filter(|block| block.role != Role::Ceiling) {
            let name = if block.role == Role::Probe { "search" } else { &*block.point };
            if loads.last().is_none_or(|(last, _)| *last != name) {
                loads.push((name, block.from_seconds));
            }
        }
        let (divisor, title) = match to - from > 600.0 {
            true => (60.0, "minutes since the run began"),
            false => (1.0, "seconds since the run began"),
        };
        Self { from, to, divisor, title, loads }
    }

    /// A moment as it stands on the axis.
    pub fn shown(&self, seconds: f64) -> f64 {
        seconds / self.divisor
    }

    /// A plot over the whole run between `top` and `bottom`, with a strip of blocks above it and the
    /// names of the loads.
    pub fn frame<'c, 'd>(
        &self,
        canvas: &'c Canvas<'d>,
        run: &RunRecord,
        (top, bottom): (f64, f64),
        right: f64,
        y: Axis,
    ) -> Frame<'c, 'd> {
        let x = Axis::over(self.title, (self.shown(self.from), self.shown(self.to)));
        let edges = (64.0, top + 46.0, right, bottom - 48.0);
        let frame = Frame::new(canvas, edges, x, y);
        let (_, above) = frame.place(0.0, f64::INFINITY);
        for block in &run.blocks {
            let range = (self.shown(block.from_seconds), self.shown(block.to_seconds));
            let ink = match &*block.lanes {
                [only] => stroke_of(&run.plan, &only.strategy, 1.0).ink,
                _ => Ink::Driver,
            };
            frame.shade(range, ink, 0.07);
            let (left, right) = (frame.place(range.0, 0.0).0, frame.place(range.1, 0.0).0);
            let strip = [(left, above - 6.0), (right.max(left + 0.5), above - 1.0)];
            canvas.rectangle(strip, ink, 1.0);
        }
        if self.loads.len() > 1 {
            self.names(canvas, &frame);
        }
        frame
    }

    fn names(&self, canvas: &Canvas<'_>, frame: &Frame<'_, '_>) {
        for (place, (name, from)) in self.loads.iter().enumerate() {
            let until = self.loads.get(place + 1).map_or(self.to, |(_, next)| *next);
            let (left, top) = frame.place(self.shown(*from), f64::INFINITY);
            let (right, _) = frame.place(self.shown(until), f64::INFINITY);
            frame.upright(self.shown(*from), Stroke::dashed(Ink::Soft, 1.0));
            if text_width(name) + 8.0 < right - left {
                canvas.text(name, (left + 5.0, top + 9.0), Align::Start, Ink::Soft, false);
            }
        }
    }
}

/// The names of what the strip above a plot shows, behind those of its lines. Returns where the plot may
/// begin.
pub fn blocks_legend(canvas: &Canvas<'_>, run: &RunRecord, mut keys: Vec<(String, Stroke)>) -> f64 {
    let lanes = || run.blocks.iter().flat_map(|block| &block.lanes);
    for planned in &run.plan.strategies {
        if lanes().any(|lane| lane.strategy == planned.name) {
            keys.push((planned.name.clone(), stroke_of(&run.plan, &planned.name, 9.0)));
        }
    }
    if run.blocks.iter().any(|block| block.role == Role::Ceiling) {
        keys.push(("/noop".to_owned(), Stroke::solid(Ink::Driver, 9.0)));
    }
    legend(canvas, (16.0, 2.0), WIDTH, &keys)
}
