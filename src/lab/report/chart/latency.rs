//! The distribution of response times: one curve of percentiles for each strategy.

use crate::lab::histogram::Times;
use crate::lab::record::RunRecord;
use crate::lab::verdict::PointTable;

use super::canvas::{Ink, Stroke, text_width};
use super::frame::{Axis, Frame, Scale};
use super::{Chart, WIDTH, by_second, shown_name, stroke_of};

const HEIGHT: f64 = 360.0;

/// Percentiles with a label.
const PERCENTILES: [f64; 7] = [0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999];

/// How many points a curve has over the whole axis.
const STEPS: u32 = 160;

/// Percentiles of each strategy. The level axis is log(1 / (1 - p)), as HdrHistogram's plots have it:
/// it gives the slowest tenth as much room as the next hundredth.
pub fn distribution(run: &RunRecord, table: &PointTable, id: &str, under: &str) -> Chart {
    let title = format!("Distribution of response times{under}");
    let mut curves = Vec::new();
    for row in &table.rows {
        let mut times = Times::default();
        by_second(run, &table.point, &row.strategy).values().for_each(|second| times.add(second));
        let curve = curve(&times);
        if curve.len() > 1 {
            curves.push((row, curve));
        }
    }
    if curves.is_empty() {
        return Chart::missing(id, &title, "No strategy has enough answers for a curve.");
    }
    let caption = "The share of answers on the level axis took at most the time on the upright one: at \
                   95 % one answer in twenty took longer. A curve that stays low to the right keeps its \
                   slow answers fast too. Each ends where fewer than 5 answers are left.";
    Chart::drawn(id, &title, caption, HEIGHT, |canvas| {
        let names = curves.iter().map(|(row, _)| text_width(&shown_name(row))).fold(0.0, f64::max);
        let edges = (64.0, 36.0, WIDTH - names - 16.0, HEIGHT - 48.0);
        let values = curves.iter().flat_map(|(_, curve)| curve.iter().map(|(_, ms)| *ms));
        let furthest =
            curves.iter().filter_map(|(_, curve)| Some(curve.last()?.0)).fold(0.0, f64::max);
        let y = Axis::fitting("response time, ms", values);
        let frame = Frame::new(canvas, edges, percentile_axis(furthest), y);
        for percentile in PERCENTILES.into_iter().filter(|p| (0.5..1.0).contains(p)) {
            if across(percentile) > furthest {
                break;
            }
            frame.upright(across(percentile), Stroke::solid(Ink::Grid, 1.0));
        }
        let mut labels = Vec::new();
        for (row, curve) in &curves {
            let stroke = stroke_of(&run.plan, &row.strategy, 2.25);
            frame.line(curve, stroke);
            labels.push((curve[curve.len() - 1], shown_name(row), stroke.ink));
        }
        frame.end_labels(labels);
    })
}

/// Where a percentile (0 to 1) is on the level axis.
fn across(percentile: f64) -> f64 {
    -(1.0 - percentile).log10()
}

/// To where the longest curve ends, but at least to 95 %.
fn percentile_axis(furthest: f64) -> Axis {
    let end = furthest.max(across(0.95));
    let shown = PERCENTILES.iter().filter(|percentile| across(**percentile) <= end + 1e-9);
    Axis {
        title: "share of the answers".to_owned(),
        scale: Scale::Linear,
        range: (0.0, end),
        ticks: shown.map(|p| (across(*p), format!("{} %", (p * 1e6).round() / 1e4))).collect(),
    }
}

fn curve(times: &Times) -> Vec<(f64, f64)> {
    let end = across(PERCENTILES[PERCENTILES.len() - 1]);
    let points = (0..=STEPS).map_while(|step| {
        let x = end * f64::from(step) / f64::from(STEPS);
        Some((x, times.quantile_ms(1.0 - 10f64.powf(-x))?))
    });
    points.collect()
}
