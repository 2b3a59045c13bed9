//! The run as it went: response times, CPU, memory and connections over time, with the strategy whose
//! turn it was.

use crate::lab::histogram::Times;
use crate::lab::record::{Block, PoolSample, Role, RunRecord, Sample, Usage};

use super::canvas::{Ink, Stroke, text_width};
use super::clock::{Clock, blocks_legend};
use super::frame::Axis;
use super::{Chart, WIDTH, stroke_of};

const HEIGHT: f64 = 340.0;

/// How many points a line has at most, over all blocks.
const MOST: usize = 500;

/// A line in pieces: it is broken between blocks, where nothing was measured.
struct Series {
    name: &'static str,
    stroke: Stroke,
    pieces: Vec<Vec<(f64, f64)>>,
}

/// The four charts over time.
pub fn all(run: &RunRecord) -> Vec<Chart> {
    vec![response_times(run), processor(run), memory(run), connections(run)]
}

fn processor(run: &RunRecord) -> Chart {
    let of =
        |name, stroke, of: fn(&Sample) -> &Usage| Series { name, stroke, pieces: cpu(run, of) };
    let caption = "CPU time used between two samples. What belongs to the strategy of a block and not \
                   to the machine comes and goes with its colour.";
    let series = vec![
        of("API", Stroke::solid(Ink::Api, 2.0), |sample| &sample.api),
        of("database", Stroke::solid(Ink::Database, 2.0), |sample| &sample.database),
        of("Redis", Stroke::solid(Ink::Redis, 2.0), |sample| &sample.redis),
        of("load driver", Stroke::dashed(Ink::Driver, 1.5), |sample| &sample.driver),
    ];
    chart(run, ("chart-cpu", "CPU over time"), "CPU, % of a core", caption, series)
}

fn memory(run: &RunRecord) -> Chart {
    let mib = |usage: &Usage| usage.memory_bytes.map(|bytes| bytes as f64 / 1_048_576.0);
    let caption = "A line that still rises at the end has not reached its level: a longer run would \
                   say more.";
    chart(run, ("chart-memory", "Memory over time"), "memory, MiB", caption, components(run, mib))
}

fn connections(run: &RunRecord) -> Chart {
    let pools = |sample: &Sample, block: Option<&Block>, of: fn(&PoolSample) -> u64| {
        let lanes = block?.lanes.iter();
        let pools: Vec<_> = lanes.filter_map(|lane| sample.pools.get(&lane.strategy)).collect();
        (!pools.is_empty()).then(|| pools.iter().map(|pool| of(pool) as f64).sum())
    };
    let mut series = components(run, |usage| usage.connections.map(|open| open as f64));
    series.push(Series {
        name: "in use",
        stroke: Stroke::solid(Ink::Text, 1.5),
        pieces: gauge(run, |sample, block| pools(sample, block, |pool| pool.in_use)),
    });
    series.push(Series {
        name: "waiting",
        stroke: Stroke::dashed(Ink::Mark, 1.75),
        pieces: gauge(run, |sample, block| pools(sample, block, |pool| pool.waiting)),
    });
    let caption = "Open connections to the API, the database and Redis; and, of the strategy whose turn \
                   it is, those in use and the requests that wait for one. Where all are in use and \
                   requests wait, there are too few for this load; where most are idle, more than it \
                   needs.";
    chart(run, ("chart-connections", "Connections over time"), "connections", caption, series)
}

/// A figure of the moment of API, database and Redis.
fn components(run: &RunRecord, figure: fn(&Usage) -> Option<f64>) -> Vec<Series> {
    let of = |name, ink, of: fn(&Sample) -> &Usage| {
        let pieces = gauge(run, move |sample, _| figure(of(sample)));
        Series { name, stroke: Stroke::solid(ink, 2.0), pieces }
    };
    vec![
        of("API", Ink::Api, |sample| &sample.api),
        of("database", Ink::Database, |sample| &sample.database),
        of("Redis", Ink::Redis, |sample| &sample.redis),
    ]
}

/// Response times of one strategy in one block.
struct Line<'a> {
    strategy: &'a str,
    /// The 95th percentile, not the median.
    tail: bool,
    values: Vec<(f64, f64)>,
}

fn response_times(run: &RunRecord) -> Chart {
    let (id, title) = ("chart-time", "Response time over time");
    let lanes = run.blocks.iter().flat_map(|block| &block.lanes);
    let each = lanes.map(|lane| lane.seconds.len()).sum::<usize>().div_ceil(MOST).max(1);
    let blocks = run.blocks.iter().filter(|block| block.role != Role::Ceiling);
    let mut lines: Vec<Line<'_>> = blocks.flat_map(|block| lines_of(block, each)).collect();
    lines.retain(|line| !line.values.is_empty());
    if lines.is_empty() {
        return Chart::missing(id, title, "No second has the 10 answers that a median needs.");
    }
    let caption = "Each block in the colour of its strategy: the median of each second (solid), and \
                   the 95th percentile (dashed; of the whole block where its seconds have fewer than \
                   100 answers). Blocks of one colour at one height say that nothing drifted.";
    Chart::drawn(id, title, caption, HEIGHT, |canvas| {
        let keys = [
            ("p50".to_owned(), Stroke::solid(Ink::Text, 2.25)),
            ("p95".to_owned(), Stroke::dashed(Ink::Text, 1.5)),
        ];
        let top = blocks_legend(canvas, run, keys.to_vec());
        let values = lines.iter().flat_map(|line| line.values.iter().map(|(_, ms)| *ms));
        let y = Axis::fitting("response time, ms", values);
        let clock = Clock::of(run);
        let frame = clock.frame(canvas, run, (top, HEIGHT), WIDTH - 16.0, y);
        for Line { strategy, tail, values } in &lines {
            let stroke = stroke_of(&run.plan, strategy, if *tail { 1.5 } else { 2.25 });
            let values: Vec<_> = values.iter().map(|(at, ms)| (clock.shown(*at), *ms)).collect();
            frame.line(&values, Stroke { dashed: *tail, ..stroke });
        }
    })
}

/// Median and 95th percentile of every `each` seconds of a block, for each of its strategies.
fn lines_of(block: &Block, each: usize) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let measured = block.seconds().ceil().max(1.0) as usize;
    for lane in &block.lanes {
        let mut whole = Times::default();
        let (mut p50, mut p95, mut every_p95) = (Vec::new(), Vec::new(), true);
        let seconds = &lane.seconds[..lane.seconds.len().min(measured)];
        for (place, seconds) in seconds.chunks(each).enumerate() {
            let mut times = Times::default();
            seconds.iter().for_each(|second| times.add(&second.latency));
            whole.add(&times);
            let at = block.from_seconds + (place as f64 + 0.5) * each as f64;
            let at = at.min(block.to_seconds);
            p50.extend(times.quantile_ms(0.5).map(|ms| (at, ms)));
            p95.extend(times.quantile_ms(0.95).map(|ms| (at, ms)));
            every_p95 &= times.quantile_ms(0.95).is_some();
        }
        if !every_p95 && let Some(ms) = whole.quantile_ms(0.95) {
            p95 = vec![(block.from_seconds, ms), (block.to_seconds, ms)];
        }
        let strategy = &*lane.strategy;
        lines.push(Line { strategy, tail: false, values: p50 });
        lines.push(Line { strategy, tail: true, values: p95 });
    }
    lines
}

fn chart(
    run: &RunRecord,
    (id, title): (&str, &str),
    unit: &str,
    caption: &str,
    mut all: Vec<Series>,
) -> Chart {
    all.retain(|series| series.pieces.iter().any(|piece| !piece.is_empty()));
    if all.is_empty() {
        return Chart::missing(
            id,
            title,
            "No sample has a figure for it: it is not visible from here.",
        );
    }
    Chart::drawn(id, title, caption, HEIGHT, |canvas| {
        let top = blocks_legend(canvas, run, Vec::new());
        let values =
            || all.iter().flat_map(|series| series.pieces.iter().flatten()).map(|(_, v)| *v);
        let clock = Clock::of(run);
        // The names of the loads stand above the lines.
        let room = if clock.loads.len() > 1 { 1.12 } else { 1.0 };
        let y = Axis::from_zero(unit, room * values().fold(0.0, f64::max));
        let names = all.iter().map(|series| text_width(series.name)).fold(0.0, f64::max);
        let frame = clock.frame(canvas, run, (top, HEIGHT), WIDTH - names - 20.0, y);
        let mut labels = Vec::new();
        for series in &all {
            let mut last = (0.0, 0.0);
            for piece in series.pieces.iter().filter(|piece| !piece.is_empty()) {
                let line: Vec<_> = piece.iter().map(|(at, v)| (clock.shown(*at), *v)).collect();
                frame.line(&line, series.stroke);
                last = line[line.len() - 1];
            }
            // Beside the plot, also where a line ends before it does.
            labels.push(((f64::INFINITY, last.1), series.name.to_owned(), series.stroke.ink));
        }
        frame.end_labels(labels);
    })
}

/// The samples of each block, thinned to what a chart can show; those without load first. Windows in time
/// are one piece: nothing lies between them.
fn samples(run: &RunRecord) -> impl Iterator<Item = (Option<&Block>, Vec<&Sample>)> {
    let all = run.idle.len() + run.blocks.iter().map(|block| block.samples.len()).sum::<usize>();
    let each = all.div_ceil(MOST).max(1);
    let idle = std::iter::once((None, run.idle.iter().step_by(each).collect()));
    let pieces: Vec<&[Block]> = match run.watched {
        Some(_) => vec![&run.blocks],
        None => run.blocks.chunks(1).collect(),
    };
    idle.chain(pieces.into_iter().map(move |blocks| (blocks.first(), piece(blocks, each))))
}

/// Every so many samples of blocks that follow each other. Windows share the sample at their border.
fn piece(blocks: &[Block], each: usize) -> Vec<&Sample> {
    let mut samples: Vec<&Sample> = blocks.iter().flat_map(|block| &block.samples).collect();
    samples.dedup_by_key(|sample| sample.at_seconds);
    samples.into_iter().step_by(each).collect()
}

/// A figure of the moment, as it was at each sample.
fn gauge(
    run: &RunRecord,
    of: impl Fn(&Sample, Option<&Block>) -> Option<f64>,
) -> Vec<Vec<(f64, f64)>> {
    let pieces = samples(run).map(|(block, samples)| {
        let known =
            samples.iter().filter_map(|sample| Some((sample.at_seconds, of(sample, block)?)));
        known.collect()
    });
    pieces.collect()
}

/// CPU in percent of a core between each two samples, halfway between them.
fn cpu(run: &RunRecord, of: fn(&Sample) -> &Usage) -> Vec<Vec<(f64, f64)>> {
    let pieces = samples(run).map(|(_, samples)| {
        let between = samples.windows(2).filter_map(|pair| {
            let (from, to) = (pair[0].at_seconds, pair[1].at_seconds);
            let used = of(pair[1]).cpu_seconds? - of(pair[0]).cpu_seconds?;
            // Two samples that are close (the last of a block) say what the clock's grain is.
            (to - from > 0.25).then(|| ((from + to) / 2.0, 100.0 * used.max(0.0) / (to - from)))
        });
        between.collect()
    });
    pieces.collect()
}
