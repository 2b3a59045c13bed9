//! A run as one side of a comparison with another run: its cells, for [`crate::lab::compare`].

use std::collections::BTreeMap;

use super::cell::Cell;
use super::context::{Context, is_whole};
use super::resample::{DRAWS, Resamples, interval, widening};
use super::{Figure, PointTable, Ratio, ratio, tables, together};
use crate::lab::record::{Block, Role, RunRecord, TOGETHER};

/// One side.
pub(crate) struct Side<'a> {
    seed: u64,
    run: &'a RunRecord,
    points: Vec<tables::Measured<'a>>,
}

impl<'a> Side<'a> {
    /// Of a run.
    pub(crate) fn new(run: &'a RunRecord) -> Self {
        Self { seed: run.plan.seed, run, points: tables::measure(&Context::new(run)) }
    }

    /// Its tables.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &PointTable> {
        self.points.iter().map(|point| &point.table)
    }

    fn point(&self, point: &str) -> Option<&tables::Measured<'a>> {
        self.points.iter().find(|measured| measured.table.point == point)
    }

    fn cell(&self, point: &str, strategy: &str) -> Option<&Cell<'a>> {
        self.point(point)?.cells.iter().find(|cell| cell.strategy == strategy)
    }

    /// The blocks of a mixed point with all their lanes as one.
    fn merged(&self, point: &str) -> Vec<Block> {
        let blocks = self.run.blocks.iter();
        together::merged(
            blocks.filter(|block| block.point == point && is_whole(block, Role::Measure)),
        )
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
        if strategy == TOGETHER {
            let blocks = [self, other].map(|side| side.merged(point));
            let contexts = [self, other].map(|side| Context::new(side.run));
            let cell = |side: usize| Cell::new(&contexts[side], TOGETHER, blocks[side].iter());
            return self.between(other, point, [&cell(0), &cell(1)]);
        }
        match (self.cell(point, strategy), other.cell(point, strategy)) {
            (Some(mine), Some(theirs)) => self.between(other, point, [mine, theirs]),
            _ => BTreeMap::new(),
        }
    }

    fn between(
        &self,
        other: &Side,
        point: &str,
        [mine, theirs]: [&Cell; 2],
    ) -> BTreeMap<Figure, Ratio> {
        let my_draws = Resamples::new(self.seed, mine.rounds.len());
        let their_draws = Resamples::new(!other.seed, theirs.rounds.len());
        let found = Figure::ALL.iter().filter_map(|figure| {
            let noise =
                [self, other].map(|side| side.point(point)?.table.noise.get(figure).copied());
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
