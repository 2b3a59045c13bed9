//! A run as one side of a comparison with another run: its cells, for [`crate::lab::compare`].

use std::collections::BTreeMap;

use super::cell::Cell;
use super::context::Context;
use super::resample::{DRAWS, Resamples, interval, widening};
use super::{Figure, PointTable, Ratio, ratio, tables};
use crate::lab::record::RunRecord;

/// One side.
pub(crate) struct Side<'a> {
    seed: u64,
    points: Vec<tables::Measured<'a>>,
}

impl<'a> Side<'a> {
    /// Of a run.
    pub(crate) fn new(run: &'a RunRecord) -> Self {
        Self { seed: run.plan.seed, points: tables::measure(&Context::new(run)) }
    }

    /// Its tables.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &PointTable> {
        self.points.iter().map(|point| &point.table)
    }

    fn cell(&self, point: &str, strategy: &str) -> Option<(&Cell<'a>, &BTreeMap<Figure, f64>)> {
        let point = self.points.iter().find(|measured| measured.table.point == point)?;
        let cell = point.cells.iter().find(|cell| cell.strategy == strategy)?;
        Some((cell, &point.table.noise))
    }

    /// Every figure of one strategy at one point on the other side, divided by that on this side.
    /// Rounds of two runs are no neighbours, so each side is drawn by itself: with a generator of its
    /// own, also where both plans have the same seed. The noise floor is the larger of both.
    pub(crate) fn ratios(
        &self,
        other: &Side,
        point: &str,
        strategy: &str,
    ) -> BTreeMap<Figure, Ratio> {
        let sides = self.cell(point, strategy).zip(other.cell(point, strategy));
        let Some(((mine, my_noise), (theirs, their_noise))) = sides else {
            return BTreeMap::new();
        };
        let my_draws = Resamples::new(self.seed, mine.rounds.len());
        let their_draws = Resamples::new(!other.seed, theirs.rounds.len());
        let found = Figure::ALL.iter().filter_map(|figure| {
            let noise = [my_noise, their_noise].map(|noise| noise.get(figure).copied());
            let noise = noise.into_iter().flatten().fold(0.0, f64::max);
            let (above, below) = (theirs.terms(*figure)?, mine.terms(*figure)?);
            let all = |cell: &Cell| vec![1; cell.rounds.len()];
            let value = above.shown(&all(theirs))? / below.shown(&all(mine))?;
            let draws = their_draws.draws().zip(my_draws.draws());
            let drawn =
                draws.filter_map(|(theirs, mine)| Some(above.value(theirs)? / below.value(mine)?));
            let rounds = mine.rounds.len().min(theirs.rounds.len());
            let widening = widening(rounds).filter(|_| above.has_interval());
            let interval = widening.and_then(|widening| interval(value, drawn.collect(), widening));
            let meaning = ratio::meaning(*figure, value, interval, noise);
            value.is_finite().then_some((*figure, Ratio { value, interval, meaning }))
        });
        found.collect()
    }
}

const _: () = assert!(DRAWS.is_multiple_of(40), "the ends of an interval are whole places");
