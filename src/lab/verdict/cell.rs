//! One strategy under one load, as its rounds: every figure for any weights of them. It knows no
//! intervals and no other strategies.

use std::collections::BTreeMap;

use super::Figure;
use super::context::Context;
use super::grid::Grid;
use super::measures::{self, Quotient, difference};
use crate::lab::histogram::Times;
use crate::lab::record::{Block, Lane, Load};

/// The whole blocks of one strategy under one load, by round.
pub(super) struct Cell<'a> {
    /// Which strategy.
    pub(super) strategy: &'a str,
    /// Ascending.
    pub(super) rounds: Vec<Round<'a>>,
    latency: Grid,
    first_byte: Grid,
    /// The 95th percentiles that only some plans have.
    others: BTreeMap<Figure, Grid>,
}

/// The blocks of one round; nearly always there is one.
pub(super) struct Round<'a> {
    /// Its number.
    pub(super) round: u32,
    /// Each with the lane of the strategy.
    pub(super) blocks: Vec<(&'a Block, &'a Lane)>,
    quotients: BTreeMap<Figure, Quotient>,
    highest: BTreeMap<Figure, f64>,
}

impl<'a> Cell<'a> {
    /// Of those blocks that drove the strategy.
    pub(super) fn new(
        context: &Context,
        strategy: &'a str,
        blocks: impl Iterator<Item = &'a Block>,
    ) -> Self {
        let mut by_round: BTreeMap<u32, Vec<(&Block, &Lane)>> = BTreeMap::new();
        for block in blocks {
            let lanes = block.lanes.iter().filter(|lane| lane.strategy == strategy);
            lanes.for_each(|lane| by_round.entry(block.round).or_default().push((block, lane)));
        }
        let (mut rounds, mut latencies, mut first_bytes) = (vec![], vec![], vec![]);
        for (round, blocks) in by_round {
            let (mut quotients, mut highest) = (Vec::new(), Vec::new());
            let (mut latency, mut first_byte) = (Times::default(), Times::default());
            for (block, lane) in &blocks {
                let (mut lane_latency, mut service_time) = (Times::default(), Times::default());
                for second in &lane.seconds {
                    lane_latency.add(&second.latency);
                    service_time.add(&second.service_time);
                }
                let times = [&lane_latency, &service_time];
                quotients.push(measures::quotients(context, block, lane, times));
                highest.push(measures::highest(context, block));
                latency.add(&lane_latency);
                first_byte.add(&lane.first_byte);
            }
            let quotients = in_all(quotients, |a, b| (a.0 + b.0, a.1 + b.1));
            let highest = in_all(highest, f64::max);
            rounds.push(Round { round, blocks, quotients, highest });
            latencies.push(latency);
            first_bytes.push(first_byte);
        }
        let [latency, first_byte] = [latencies, first_bytes].map(|times| Grid::new(times.iter()));
        let others =
            OTHERS.into_iter().filter_map(|figure| Some((figure, other(figure, &rounds)?)));
        let others = others.collect();
        Self { strategy, rounds, latency, first_byte, others }
    }

    /// A figure, ready to be computed for any weights; `None` where some round lacks it.
    pub(super) fn terms(&self, figure: Figure) -> Option<Terms<'_>> {
        let quantile = |grid, q| Some(Terms::Quantile(grid, q));
        if let Some(value) = self.reported(figure) {
            return Some(Terms::Quotient(vec![(value, 1.0)]));
        }
        match figure {
            Figure::LatencyP50 => quantile(&self.latency, 0.50),
            Figure::LatencyP95 => quantile(&self.latency, 0.95),
            Figure::LatencyP99 => quantile(&self.latency, 0.99),
            Figure::FirstByteP50 => quantile(&self.first_byte, 0.50),
            figure if OTHERS.contains(&figure) => quantile(self.others.get(&figure)?, 0.95),
            _ if self.rounds.iter().any(|round| round.highest.contains_key(&figure)) => {
                let values = self.rounds.iter().map(|round| round.highest.get(&figure).copied());
                Some(Terms::Highest(values.collect::<Option<_>>()?))
            }
            _ => {
                let values = self.rounds.iter().map(|round| round.quotients.get(&figure).copied());
                Some(Terms::Quotient(values.collect::<Option<_>>()?))
            }
        }
    }

    /// A percentile that a tool computed itself, of the only round that there is.
    fn reported(&self, figure: Figure) -> Option<f64> {
        let [Round { blocks, .. }] = self.rounds.as_slice() else { return None };
        let [(_, lane)] = blocks.as_slice() else { return None };
        let reported = lane.reported?;
        match figure {
            Figure::LatencyP50 => reported.p50_ms,
            Figure::LatencyP95 => reported.p95_ms,
            Figure::LatencyP99 => reported.p99_ms,
            _ => None,
        }
    }

    /// Its blocks with their lanes, by round.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (&'a Block, &'a Lane)> {
        self.rounds.iter().flat_map(|round| round.blocks.iter().copied())
    }

    /// The load of its first block; the others have the same.
    pub(super) fn load(&self) -> Option<Load> {
        self.blocks().next().map(|(block, _)| block.load)
    }

    /// The measured parts of its blocks together, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.blocks().map(|(block, _)| block.seconds()).sum()
    }

    /// A count of its lanes, in all.
    pub(super) fn sum(&self, count: impl Fn(&Lane) -> u64) -> u64 {
        self.blocks().map(|(_, lane)| count(lane)).sum()
    }

    /// Whole answers in all.
    pub(super) fn answers(&self) -> u64 {
        self.sum(Lane::answers)
    }

    /// Requests that failed, in all.
    pub(super) fn failed(&self) -> u64 {
        self.sum(Lane::errors)
    }

    /// Pages swapped during its blocks; `None` where the machine does not say.
    pub(super) fn swapped_pages(&self) -> Option<u64> {
        let swapped = self.blocks().map(|(block, _)| swapped_pages(block));
        swapped.sum::<Option<u64>>()
    }
}

const OTHERS: [Figure; 5] =
    [Figure::ListP95, Figure::DetailP95, Figure::OrderP95, Figure::UpdateP95, Figure::StaleAgeP95];

/// The times of such a figure by round; `None` where none of them has any.
fn other(figure: Figure, rounds: &[Round<'_>]) -> Option<Grid> {
    let of_lane = |lane: &Lane| match figure.task() {
        Some(task) => lane.tasks.get(task.name()).map(|task| task.latency.clone()),
        None => lane.staleness.as_ref().map(|seen| seen.age.clone()),
    };
    let rounds: Vec<Times> = rounds
        .iter()
        .map(|round| {
            let mut times = Times::default();
            round.blocks.iter().filter_map(|(_, lane)| of_lane(lane)).for_each(|t| times.add(&t));
            times
        })
        .collect();
    rounds.iter().any(|times| times.count() > 0).then(|| Grid::new(rounds.iter()))
}

/// Pages swapped during a block; `None` where the machine does not say.
pub(super) fn swapped_pages(block: &Block) -> Option<u64> {
    let counter =
        |sample: &crate::lab::record::Sample| Some(sample.host.as_ref()?.swapped_pages as f64);
    difference(&block.samples, counter).map(|pages| pages.amount as u64)
}

/// What all of the maps have, folded.
fn in_all<V>(maps: Vec<BTreeMap<Figure, V>>, fold: impl Fn(V, V) -> V) -> BTreeMap<Figure, V> {
    let together = |a: BTreeMap<Figure, V>, mut b: BTreeMap<Figure, V>| {
        let pairs = a.into_iter().filter_map(|(figure, a)| Some((figure, a, b.remove(&figure)?)));
        pairs.map(|(figure, a, b)| (figure, fold(a, b))).collect()
    };
    maps.into_iter().reduce(together).unwrap_or_default()
}

/// A figure of a cell, by round.
pub(super) enum Terms<'a> {
    /// Numerators and denominators, to be summed.
    Quotient(Vec<Quotient>),
    /// A percentile of merged histograms.
    Quantile(&'a Grid, f64),
    /// The highest of these.
    Highest(Vec<f64>),
}

impl Terms<'_> {
    /// The figure with each round taken so many times. `None` where it is undefined.
    pub(super) fn value(&self, weights: &[u32]) -> Option<f64> {
        match self {
            Terms::Quotient(terms) => {
                let terms = terms.iter().zip(weights);
                let (above, below) = terms.fold((0.0, 0.0), |sum, ((above, below), weight)| {
                    (sum.0 + above * f64::from(*weight), sum.1 + below * f64::from(*weight))
                });
                (below > 0.0).then(|| above / below)
            }
            Terms::Quantile(grid, q) => grid.quantile_ms(*q, weights),
            Terms::Highest(values) => {
                let values = values.iter().zip(weights).filter(|(_, weight)| **weight > 0);
                values.map(|(value, _)| *value).reduce(f64::max)
            }
        }
    }

    /// The same, to be shown: a percentile needs enough samples.
    pub(super) fn shown(&self, weights: &[u32]) -> Option<f64> {
        match self {
            Terms::Quantile(grid, q) if !grid.is_enough_for(*q, weights) => None,
            _ => self.value(weights),
        }
    }

    /// Whether drawing rounds says how far it can be trusted. Of a highest sample it does not: no
    /// draw is above it (Efron and Tibshirani, section 7.4).
    pub(super) fn has_interval(&self) -> bool {
        !matches!(self, Terms::Highest(_))
    }
}
