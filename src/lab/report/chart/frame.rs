//! A plot: two axes with ticks and units, lines, and labels that do not overlap. It knows scales, and
//! nothing of what is plotted.

use super::super::format;
use super::canvas::{Align, Canvas, Ink, Place, Stroke, text_width};

/// How values become places on an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// In proportion.
    Linear,
    /// By their logarithm; values must be above 0.
    Logarithmic,
}

/// An axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What it shows, with its unit.
    pub title: String,
    /// How values become places.
    pub scale: Scale,
    /// Its lowest and highest value.
    pub range: (f64, f64),
    /// Values with a label.
    pub ticks: Vec<(f64, String)>,
}

/// The height of a line of text in pixels.
pub const LINE: f64 = 17.0;

/// How many times larger the largest value must be for a logarithmic axis.
const WIDE: f64 = 12.0;

impl Axis {
    /// An axis from 0 to the highest value or a little more, with round ticks.
    pub fn from_zero(title: &str, highest: f64) -> Self {
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let step = round_step(highest / 5.0);
        let steps = (highest / step - 1e-9).ceil().max(1.0);
        let ticks = (0..=steps as u32).map(|n| f64::from(n) * step);
        Self {
            title: title.to_owned(),
            scale: Scale::Linear,
            range: (0.0, steps * step),
            ticks: ticks.map(|tick| (tick, format::trimmed(tick))).collect(),
        }
    }

    /// An axis over exactly these values, with round ticks inside.
    pub fn over(title: &str, (low, high): (f64, f64)) -> Self {
        let step = round_step((high - low).max(1e-9) / 8.0);
        let (first, last) = ((low / step).ceil() as i64, (high / step + 1e-9).floor() as i64);
        let ticks = (first..=last).map(|n| n as f64 * step);
        Self {
            title: title.to_owned(),
            scale: Scale::Linear,
            range: (low, high),
            ticks: ticks.map(|tick| (tick, format::trimmed(tick))).collect(),
        }
    }

    /// An axis for these values: from zero, or logarithmic where the largest is more than 12 times the
    /// smallest, since small ones could not be told from nothing. The title says which.
    pub fn fitting(title: &str, values: impl Iterator<Item = f64> + Clone) -> Self {
        let highest = values.clone().fold(0.0, f64::max);
        let lowest = values.filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        if !lowest.is_finite() || highest / lowest <= WIDE {
            return Self::from_zero(title, highest);
        }
        let exponents = lowest.log10().floor() as i32..=highest.log10().ceil() as i32;
        let decades = exponents.clone().count();
        let inside: &[f64] = if decades <= 4 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let all = exponents.flat_map(|e| inside.iter().map(move |digit| digit * 10f64.powi(e)));
        let all: Vec<f64> = all.collect();
        let low = all.iter().rposition(|tick| *tick <= lowest).unwrap_or(0);
        let high = all.iter().position(|tick| *tick >= highest).unwrap_or(all.len() - 1);
        Self {
            title: format!("{title} (logarithmic)"),
            scale: Scale::Logarithmic,
            range: (all[low], all[high]),
            ticks: all[low..=high].iter().map(|tick| (*tick, format::trimmed(*tick))).collect(),
        }
    }

    /// Where a value is between the ends of the axis, 0 to 1. Values beyond it stay at its end.
    fn part(&self, value: f64) -> f64 {
        let (low, high) = self.range;
        let part = match self.scale {
            Scale::Linear => (value - low) / (high - low),
            Scale::Logarithmic => (value.max(low) / low).ln() / (high / low).ln(),
        };
        part.clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, at least as large as asked for.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= least * (1.0 - 1e-9));
    digit.unwrap_or(10.0) * power
}

/// A plot in a part of a canvas.
pub struct Frame<'a, 'c> {
    canvas: &'a Canvas<'c>,
    x: Axis,
    y: Axis,
    /// Left, top, right and bottom of the plot itself, without its labels.
    edges: (f64, f64, f64, f64),
}

impl<'a, 'c> Frame<'a, 'c> {
    /// Draws the axes inside of `left, top, right, bottom`, which must leave room: 56 px on the left
    /// and 40 px below for labels, 22 px above for the title of the upright axis.
    pub fn new(canvas: &'a Canvas<'c>, edges: (f64, f64, f64, f64), x: Axis, y: Axis) -> Self {
        let frame = Self { canvas, x, y, edges };
        let (left, top, right, bottom) = edges;
        for (value, label) in &frame.y.ticks {
            let (_, at) = frame.place(frame.x.range.0, *value);
            canvas.line(&[(left, at), (right, at)], Stroke::solid(Ink::Grid, 1.0));
            canvas.text(label, (left - 8.0, at), Align::End, Ink::Soft, false);
        }
        for (value, label) in &frame.x.ticks {
            let (at, _) = frame.place(*value, frame.y.range.0);
            canvas.line(&[(at, bottom), (at, bottom + 5.0)], Stroke::solid(Ink::Soft, 1.0));
            canvas.text(label, (at, bottom + 15.0), Align::Middle, Ink::Soft, false);
        }
        canvas.line(&[(left, bottom), (right, bottom)], Stroke::solid(Ink::Soft, 1.0));
        canvas.text(&frame.y.title, (left - 48.0, top - 16.0), Align::Start, Ink::Soft, false);
        let below = ((left + right) / 2.0, bottom + 33.0);
        canvas.text(&frame.x.title, below, Align::Middle, Ink::Soft, false);
        frame
    }

    /// Where a pair of values is.
    pub fn place(&self, x: f64, y: f64) -> Place {
        let (left, top, right, bottom) = self.edges;
        let across = left + self.x.part(x) * (right - left);
        (across, bottom - self.y.part(y) * (bottom - top))
    }

    /// A line through values; one of a single value is a dot.
    pub fn line(&self, values: &[(f64, f64)], stroke: Stroke) {
        let places: Vec<Place> = values.iter().map(|(x, y)| self.place(*x, *y)).collect();
        match &*places {
            [] => (),
            [only] => self.canvas.dot(*only, stroke.width, stroke.ink, true),
            _ => self.canvas.line(&places, stroke),
        }
    }

    /// A level line across the whole plot.
    pub fn level(&self, y: f64, stroke: Stroke) {
        let (low, high) = self.x.range;
        self.line(&[(low, y), (high, y)], stroke);
    }

    /// An upright line through the whole plot.
    pub fn upright(&self, x: f64, stroke: Stroke) {
        let (low, high) = self.y.range;
        self.line(&[(x, low), (x, high)], stroke);
    }

    /// A shade over a range of the level axis.
    pub fn shade(&self, (from, to): (f64, f64), ink: Ink, opacity: f64) {
        let (_, top, _, bottom) = self.edges;
        let (left, right) = (self.place(from, self.y.range.0).0, self.place(to, self.y.range.0).0);
        self.canvas.rectangle([(left, top), (right.max(left + 1.0), bottom)], ink, opacity);
    }

    /// An interval around a value.
    pub fn whisker(&self, x: f64, (low, high): (f64, f64), ink: Ink) {
        let (low, high) = (self.place(x, low), self.place(x, high));
        let stroke = Stroke::solid(ink, 1.25);
        self.canvas.line(&[low, high], stroke);
        for (x, y) in [low, high] {
            self.canvas.line(&[(x - 3.5, y), (x + 3.5, y)], stroke);
        }
    }

    /// Labels beside the ends of lines, moved apart where they would overlap: `(x, y)` of the end, the
    /// text, its colour.
    pub fn end_labels(&self, mut labels: Vec<((f64, f64), String, Ink)>) {
        let (_, top, _, bottom) = self.edges;
        labels.sort_by(|a, b| b.0.1.total_cmp(&a.0.1));
        let at = labels.iter().map(|((x, y), ..)| self.place(*x, *y).1);
        let mut places: Vec<f64> = at.collect();
        for next in 1..places.len() {
            places[next] = places[next].max(places[next - 1] + LINE);
        }
        // What was pushed below the plot goes up again, and pushes those above it.
        let mut lowest = bottom;
        for place in places.iter_mut().rev() {
            *place = place.min(lowest).max(top - LINE);
            lowest = *place - LINE;
        }
        for (((x, value), label, ink), y) in labels.iter().zip(places) {
            let (end, _) = self.place(*x, *value);
            self.canvas.text(label, (end + 8.0, y), Align::Start, *ink, true);
        }
    }
}

/// A legend: names beside samples of their lines, in as many lines as they need. Returns where the
/// next thing below it may begin.
pub fn legend(
    canvas: &Canvas<'_>,
    (left, top): Place,
    right: f64,
    names: &[(String, Stroke)],
) -> f64 {
    let (mut x, mut y) = (left, top + LINE / 2.0);
    for (name, stroke) in names {
        let width = 26.0 + text_width(name) + 18.0;
        if x > left && x + width > right {
            (x, y) = (left, y + LINE + 2.0);
        }
        canvas.line(&[(x, y), (x + 20.0, y)], Stroke { width: stroke.width.max(2.5), ..*stroke });
        canvas.text(name, (x + 26.0, y), Align::Start, Ink::Text, false);
        x += width;
    }
    y + LINE / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_ticks_and_holds_its_values() {
        for highest in [0.0, 0.003, 0.7, 9.0, 86.0, 1234.0, 5e7] {
            let axis = Axis::from_zero("", highest);
            assert!(axis.range.1 >= highest, "{axis:?}");
            assert!((2..=7).contains(&axis.ticks.len()), "{axis:?}");
        }
        let axis = Axis::fitting("ms", [3.0, 40.0, 900.0].into_iter());
        assert_eq!(axis.scale, Scale::Logarithmic);
        assert_eq!(axis.range, (2.0, 1000.0));
        let labels: Vec<&str> = axis.ticks.iter().map(|(_, label)| &**label).collect();
        assert_eq!(labels, ["2", "5", "10", "20", "50", "100", "200", "500", "1,000"]);
        assert_eq!(Axis::fitting("ms", [3.0, 9.0].into_iter()).scale, Scale::Linear);
        assert_eq!(Axis::fitting("ms", [].into_iter()).range, (0.0, 1.0));
    }
}
