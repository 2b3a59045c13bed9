//! Two cells against each other: the ratio of a figure, its interval, and what it means.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::cell::Cell;
use super::resample::Resamples;
use super::{Better, Estimate, Figure, Meaning, Ratio};

/// Every figure of a cell with its interval over the rounds.
pub(super) fn estimates(seed: u64, cell: &Cell) -> BTreeMap<Figure, Estimate> {
    let resamples = Resamples::new(seed, cell.rounds.len());
    let estimate = |figure: Figure| {
        let terms = cell.terms(figure)?;
        let value = terms.shown(&vec![1; cell.rounds.len()])?;
        let interval = match terms.has_interval() {
            true => resamples.interval(value, |weights| terms.value(weights)),
            false => None,
        };
        let most = if figure.unit() == "%" { 1.0 } else { f64::INFINITY };
        let interval = interval.map(|(low, high)| (low, high.min(most.max(value))));
        Some((figure, Estimate { value, interval }))
    };
    Figure::ALL.iter().filter_map(|figure| estimate(*figure)).collect()
}

/// A figure of one cell divided by that of another, over the rounds that both have: their blocks are
/// neighbours, so the same rounds are drawn for both. `None` where either lacks the figure, or the
/// other one's is 0.
pub(super) fn ratio(
    seed: u64,
    cell: &Cell,
    other: &Cell,
    figure: Figure,
    noise: f64,
) -> Option<Ratio> {
    let (terms, others) = (cell.terms(figure)?, other.terms(figure)?);
    let (mine, theirs) = paired(cell, other);
    let divide = |weights: &[u32], shown: bool| -> Option<f64> {
        let (mine, theirs) = (spread(&mine, weights), spread(&theirs, weights));
        let (above, below) = match shown {
            true => (terms.shown(&mine)?, others.shown(&theirs)?),
            false => (terms.value(&mine)?, others.value(&theirs)?),
        };
        (below > least(figure)).then(|| above / below)
    };
    let rounds = mine.iter().flatten().count();
    let value = divide(&vec![1; rounds], true)?;
    let interval = match terms.has_interval() {
        true => Resamples::new(seed, rounds).interval(value, |weights| divide(weights, false)),
        false => None,
    };
    Some(Ratio { value, interval, meaning: meaning(figure, value, interval, noise) })
}

/// A figure that is not above this is nothing that another could be a multiple of.
fn least(figure: Figure) -> f64 {
    match figure {
        // In ms: taking a free connection takes microseconds, and is no wait.
        Figure::PoolWaitP95 => 0.1,
        _ => 0.0,
    }
}

/// The weights of the common rounds as weights of all rounds of one cell.
fn spread<'a>(places: &[Option<usize>], weights: &'a [u32]) -> Cow<'a, [u32]> {
    if places.len() == weights.len() {
        return Cow::Borrowed(weights);
    }
    places.iter().map(|place| place.map_or(0, |place| weights[place])).collect()
}

/// For each round of either cell its place among the rounds that both have.
fn paired(cell: &Cell, other: &Cell) -> (Vec<Option<usize>>, Vec<Option<usize>>) {
    let numbers = |cell: &Cell| cell.rounds.iter().map(|round| round.round).collect();
    let (mine, theirs): (BTreeSet<u32>, BTreeSet<u32>) = (numbers(cell), numbers(other));
    let common: Vec<u32> = mine.intersection(&theirs).copied().collect();
    let places = |rounds: BTreeSet<u32>| {
        rounds.into_iter().map(|round| common.iter().position(|common| *common == round)).collect()
    };
    (places(mine), places(theirs))
}

/// What a ratio means: nothing that can be told where its interval holds 1 or it is no further from 1
/// than two measurements of the same were.
pub(super) fn meaning(
    figure: Figure,
    value: f64,
    interval: Option<(f64, f64)>,
    noise: f64,
) -> Meaning {
    let Some((low, high)) = interval else { return Meaning::NotKnown };
    if (low <= 1.0 && high >= 1.0) || (value - 1.0).abs() <= noise {
        return Meaning::NoMeasurableDifference;
    }
    match (figure.better(), value > 1.0) {
        (Better::Neither, _) => Meaning::Different,
        (Better::More, true) | (Better::Less, false) => Meaning::Better,
        (Better::More, false) | (Better::Less, true) => Meaning::Worse,
    }
}

/// The noise floor of each figure: how far the A/A run's second measurement of the baseline was from
/// its first, as a share. The point estimate, not the far end of its interval: what the rounds of one
/// strategy vary by is in the interval of every ratio already, and adding it twice would hide real
/// differences. The floor is for what those intervals cannot see, such as the place in a round.
pub(super) fn noise(first: &Cell, again: &Cell) -> BTreeMap<Figure, f64> {
    let of = |figure: &Figure| {
        let (terms, others) = (again.terms(*figure)?, first.terms(*figure)?);
        let (mine, theirs) = paired(again, first);
        let weights = |places: Vec<Option<usize>>| -> Vec<u32> {
            places.iter().map(|place| u32::from(place.is_some())).collect()
        };
        let (above, below) = (terms.shown(&weights(mine))?, others.shown(&weights(theirs))?);
        (below > 0.0).then(|| (*figure, (above / below - 1.0).abs()))
    };
    Figure::ALL.iter().filter_map(of).collect()
}
