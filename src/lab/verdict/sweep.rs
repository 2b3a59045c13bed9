//! The sweep over pool sizes: the smallest pool that is not measurably worse than the best one.

use super::cell::Cell;
use super::compared::is_bounded;
use super::tables::Measured;
use super::{Figure, Meaning, Ratio, Row, Sweep, ratio};

/// One for each point at which pools of several sizes were measured. In the closed model the rate
/// decides. In the open model every pool that holds the rate has the same one: there p95 does, and
/// only those compete that never dropped an arrival.
pub(super) fn sweeps(seed: u64, points: &[Measured]) -> Vec<Sweep> {
    points.iter().filter_map(|point| sweep(seed, point)).collect()
}

fn sweep(seed: u64, point: &Measured) -> Option<Sweep> {
    let figure = if point.is_open() { Figure::LatencyP95 } else { Figure::Rate };
    let sized = |(row, cell)| Some((pool_size(row)?, row, cell));
    let mut pools: Vec<(u32, &Row, &Cell)> = point.usable().filter_map(sized).collect();
    pools.retain(|(_, row, _)| {
        let holds = !point.is_open() || row.dropped == 0;
        holds && row.figures.contains_key(&figure)
    });
    pools.sort_by_key(|(size, ..)| *size);
    if pools.len() < 2 {
        return None;
    }
    let value = |row: &Row| row.figures[&figure].value;
    let better = |a: f64, b: f64| if point.is_open() { a < b } else { a > b };
    let best = pools
        .iter()
        .copied()
        .reduce(|best, pool| if better(value(pool.1), value(best.1)) { pool } else { best })?;
    let noise = point.table.noise.get(&figure).copied().unwrap_or(0.0);
    let against_best = |cell: &Cell| ratio::ratio(seed, cell, best.2, figure, noise);
    let same = |pool: &(u32, &Row, &Cell)| -> Option<(u32, String, Ratio)> {
        let ratio = against_best(pool.2)?;
        let same = ratio.meaning == Meaning::NoMeasurableDifference;
        same.then(|| (pool.0, pool.1.strategy.clone(), ratio))
    };
    let swept = || point.table.rows.iter().filter_map(pool_size);
    let missing: Vec<String> = swept()
        .filter(|size| pools.iter().all(|(known, ..)| known != size))
        .map(|size| size.to_string())
        .collect();
    // Where something else held every size back, equal rates say nothing of the sizes.
    let is_held_back = !point.is_open() && pools.iter().all(|(_, row, _)| is_bounded(row));
    let as_good: Vec<(u32, String, Ratio)> = match is_held_back {
        true => Vec::new(),
        false => pools.iter().filter_map(same).collect(),
    };
    let largest = pools.last().map(|(size, ..)| *size);
    let note = match as_good.first() {
        None if is_held_back => Some(
            "the pause of the users or the load driver held every size back, so their rates do not tell them apart".to_owned(),
        ),
        None => {
            Some("fewer than 3 rounds: what is chance and what is not cannot be told".to_owned())
        }
        Some(_) if !missing.is_empty() => Some(format!(
            "left out, because their figures must not be used or they could not hold the rate: {}",
            missing.join(", ")
        )),
        Some(_) if as_good.len() == pools.len() => {
            Some("no size was measurably better than another: any of them will do".to_owned())
        }
        Some((size, ..)) if Some(*size) == largest => {
            Some("the largest size that was tried was the best: try larger ones".to_owned())
        }
        Some(_) => None,
    };
    Some(Sweep {
        point: point.table.point.clone(),
        figure,
        sizes: pools.iter().map(|(size, row, _)| (*size, row.strategy.clone())).collect(),
        best: best.1.strategy.clone(),
        smallest: as_good.into_iter().next(),
        note,
    })
}

fn pool_size(row: &Row) -> Option<u32> {
    row.pool_size
}
