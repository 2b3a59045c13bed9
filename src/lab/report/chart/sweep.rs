//! A sweep over pool sizes: a small plot for each figure.

use crate::lab::verdict::{Figure, PointTable, Row, Sweep};

use super::super::format;
use super::super::view::SWEPT;
use super::canvas::{Align, Canvas, Ink, Place, Stroke};
use super::frame::{Axis, Frame, LINE, Scale};
use super::{Chart, WIDTH};

const PANEL: (f64, f64) = (WIDTH / 3.0, 236.0);

/// Each swept figure against the pool size, with intervals and the chosen size.
pub fn sizes(table: &PointTable, sweep: &Sweep, id: &str, under: &str) -> Chart {
    let title = format!("Pool size{under}");
    let rows: Vec<(f64, &Row)> = sweep
        .sizes
        .iter()
        .filter_map(|(size, name)| {
            Some((f64::from(*size), table.rows.iter().find(|row| row.strategy == *name)?))
        })
        .collect();
    if rows.len() < 2 {
        return Chart::missing(id, &title, "Fewer than two pool sizes were measured.");
    }
    let other = table.rows.iter().find(|row| row.pool_size.is_none());
    let caption = "More connections help as long as the rate rises; then they only cost. Lines on a \
                   point are its 95 % confidence interval: sizes whose intervals overlap widely are not \
                   told apart.";
    let known: Vec<Figure> = SWEPT
        .into_iter()
        .filter(|figure| rows.iter().any(|(_, row)| row.figures.contains_key(figure)))
        .collect();
    if known.is_empty() {
        return Chart::missing(id, &title, "No pool size gave an answer.");
    }
    // One more place than figures: for the legend.
    let lines = (known.len() + 1).div_ceil(3) as f64;
    Chart::drawn(id, &title, caption, lines * PANEL.1, |canvas| {
        let corner = |place: usize| -> Place {
            ((place % 3) as f64 * PANEL.0, (place / 3) as f64 * PANEL.1)
        };
        for (place, figure) in known.iter().enumerate() {
            panel(canvas, corner(place), *figure, &rows, other, sweep);
        }
        keys(canvas, corner(known.len()), other, sweep);
    })
}

fn panel(
    canvas: &Canvas<'_>,
    (left, top): Place,
    figure: Figure,
    rows: &[(f64, &Row)],
    other: Option<&Row>,
    sweep: &Sweep,
) {
    let level = other.and_then(|row| row.figures.get(&figure)).map(|estimate| estimate.value);
    let highest = rows.iter().filter_map(|(_, row)| {
        let estimate = row.figures.get(&figure)?;
        Some(estimate.interval.map_or(estimate.value, |(_, high)| high.max(estimate.value)))
    });
    let highest = highest.chain(level).fold(0.0, f64::max);
    let unit = match figure.unit() {
        "" => String::new(),
        "/s" => " /s".to_owned(),
        unit => format!(", {unit}"),
    };
    let y = Axis::from_zero(&format!("{}{unit}", figure.label()), highest);
    let sizes = || rows.iter().map(|(size, _)| *size);
    let ends = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
    let x = Axis {
        title: "pool size".to_owned(),
        scale: Scale::Logarithmic,
        range: (ends.0 / 1.25, ends.1 * 1.25),
        ticks: sizes().map(|size| (size, format::number(size))).collect(),
    };
    let edges = (left + 58.0, top + 34.0, left + PANEL.0 - 14.0, top + PANEL.1 - 52.0);
    let frame = Frame::new(canvas, edges, x, y);
    if let Some((size, ..)) = &sweep.smallest {
        let size = f64::from(*size);
        frame.shade((size / 1.15, size * 1.15), Ink::Mark, 0.22);
    }
    if let Some(level) = level {
        frame.level(level, Stroke::dashed(Ink::Soft, 1.5));
    }
    let ink = Ink::Strategy(0);
    let known = rows.iter().filter_map(|(size, row)| Some((*size, row.figures.get(&figure)?)));
    let known: Vec<_> = known.collect();
    let line: Vec<(f64, f64)> = known.iter().map(|(size, e)| (*size, e.value)).collect();
    frame.line(&line, Stroke::solid(ink, 1.5));
    for (size, estimate) in known {
        if let Some(interval) = estimate.interval {
            frame.whisker(size, interval, ink);
        }
        canvas.dot(frame.place(size, estimate.value), 3.5, ink, true);
    }
}

fn keys(canvas: &Canvas<'_>, (left, top): Place, other: Option<&Row>, sweep: &Sweep) {
    let (left, mut y) = (left + 24.0, top + 48.0);
    let middle = left + 12.0;
    let ink = Ink::Strategy(0);
    canvas.line(&[(left, y), (left + 24.0, y)], Stroke::solid(ink, 1.5));
    canvas.line(&[(middle, y - 7.0), (middle, y + 7.0)], Stroke::solid(ink, 1.25));
    canvas.dot((middle, y), 3.5, ink, true);
    canvas.text("a pool, 95 % interval", (left + 34.0, y), Align::Start, Ink::Text, false);
    if let Some(other) = other {
        y += LINE + 8.0;
        canvas.line(&[(left, y), (left + 24.0, y)], Stroke::dashed(Ink::Soft, 1.5));
        canvas.text(&other.strategy, (left + 34.0, y), Align::Start, Ink::Text, false);
    }
    if let Some((size, ..)) = &sweep.smallest {
        y += LINE + 8.0;
        canvas.rectangle([(left + 6.0, y - 9.0), (left + 18.0, y + 9.0)], Ink::Mark, 0.22);
        canvas.text(&format!("chosen: {size}"), (left + 34.0, y), Align::Start, Ink::Text, true);
        y += LINE;
        let why = "the smallest not measurably";
        canvas.text(why, (left + 34.0, y), Align::Start, Ink::Soft, false);
        y += LINE;
        canvas.text("worse than the best", (left + 34.0, y), Align::Start, Ink::Soft, false);
    }
}
