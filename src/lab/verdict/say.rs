//! Builds sentences: every number of a cell goes in through the cell, so text and tables agree.

use std::collections::BTreeMap;

use super::{CellRef, Estimate, Figure, Ratio, Sentence, units};

/// One strategy at one point, to take numbers from.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// The point.
    pub(super) point: &'a str,
    /// The strategy.
    pub(super) strategy: &'a str,
    /// Its figures.
    pub(super) figures: &'a BTreeMap<Figure, Estimate>,
    /// Whether there is a row of a table with these figures: a step of a search has none.
    pub(super) in_table: bool,
}

impl Place<'_> {
    /// A figure, where it is known.
    pub(super) fn value(&self, figure: Figure) -> Option<f64> {
        self.figures.get(&figure).map(|estimate| estimate.value)
    }

    /// Whether a figure is known and at least this.
    pub(super) fn is_at_least(&self, figure: Figure, least: f64) -> bool {
        self.value(figure).is_some_and(|value| value >= least)
    }

    /// Where a figure of it stands.
    pub(super) fn cell(&self, figure: Figure) -> CellRef {
        CellRef { point: self.point.to_owned(), strategy: self.strategy.to_owned(), figure }
    }
}

/// A sentence in the making.
#[derive(Default)]
pub(super) struct Say(Sentence);

impl Say {
    /// Begins with a text.
    pub(super) fn new(text: impl AsRef<str>) -> Self {
        Self::default().text(text)
    }

    /// Adds a text.
    pub(super) fn text(mut self, text: impl AsRef<str>) -> Self {
        self.0.text.push_str(text.as_ref());
        self
    }

    /// Adds a figure with its unit; "an unknown value" where it is not known, which callers avoid.
    pub(super) fn figure(self, place: &Place, figure: Figure) -> Self {
        let text = place.value(figure).map(|value| units::figure(figure, value));
        self.text(text.as_deref().unwrap_or("an unknown value")).cell(place, figure)
    }

    /// Adds a figure and, in brackets, its interval.
    pub(super) fn estimate(self, place: &Place, figure: Figure) -> Self {
        let interval = place.figures.get(&figure).and_then(|estimate| estimate.interval);
        let said = self.figure(place, figure);
        match interval {
            Some(interval) => {
                said.text(format!(" (95 % interval {})", units::interval(figure, interval)))
            }
            None => said,
        }
    }

    /// Adds a ratio and, in brackets, its interval. `between` is put before the bracket.
    pub(super) fn ratio(
        self,
        [place, other]: [&Place; 2],
        figure: Figure,
        ratio: &Ratio,
        between: &str,
    ) -> Self {
        let said = self.text(units::ratio(ratio.value)).text(between);
        let said = said.cell(place, figure).cell(other, figure);
        match ratio.interval {
            Some(interval) => {
                said.text(format!(" (95 % interval {})", units::ratio_interval(interval)))
            }
            None => said.text(" (fewer than 3 rounds: no interval)"),
        }
    }

    /// Names a cell without a text of its own.
    pub(super) fn cell(mut self, place: &Place, figure: Figure) -> Self {
        let cell = place.cell(figure);
        if place.in_table && !self.0.cells.contains(&cell) {
            self.0.cells.push(cell);
        }
        self
    }

    /// Adds another sentence's text and cells.
    pub(super) fn sentence(mut self, other: &Sentence) -> Self {
        self.0.text.push_str(&other.text);
        let cells = other.cells.iter().filter(|cell| !self.0.cells.contains(cell));
        let cells: Vec<CellRef> = cells.cloned().collect();
        self.0.cells.extend(cells);
        self
    }

    /// The sentence.
    pub(super) fn done(self) -> Sentence {
        self.0
    }
}

/// "a", "a and b", "a, b and c".
pub(super) fn listed<T: AsRef<str>>(items: &[T]) -> String {
    let texts: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match texts.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// With a capital at its beginning, for the begin of a sentence.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
