//! Statements of fixed texts, and the transactions around them: what writes, and whatever is not a
//! list of products.

use crate::rows::Cell;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Int,
    /// Text.
    Text,
    /// An amount with two decimals.
    Price,
    /// An instant in microseconds.
    Timestamp,
}

/// A value to bind, in the order of its placeholder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bind<'a> {
    /// Text.
    Text(&'a str),
    /// An amount in cents, from 0 to 9,999,999,999.
    Price(i64),
    /// A whole number.
    Int(i64),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}

/// A statement whose text stands under this name in `sql/*/`.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    /// The name of its text.
    pub name: &'static str,
    /// Its values.
    pub binds: &'a [Bind<'a>],
    /// What the columns of its rows hold; none where it gives no rows.
    pub columns: &'static [Kind],
}

/// What every statement that counts looks like, besides its text and values.
pub(super) const COUNT: Command<'_> = Command { name: "count", binds: &[], columns: &[Kind::Int] };

impl Done {
    /// What a statement that counts found.
    pub(super) fn count(&self) -> u64 {
        match self.rows.first().and_then(|row| row.first()) {
            Some(Datum::Int(count)) => u64::try_from(*count).unwrap_or_default(),
            _ => 0,
        }
    }
}

/// One value of a row, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Datum {
    /// SQL null.
    Null,
    /// A whole number.
    Int(i64),
    /// Text.
    Text(String),
    /// An amount in cents.
    Price(i64),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}

impl Datum {
    /// The value of a cell; `None` for one that a column of our tables cannot hold.
    pub(super) fn of(cell: Cell<'_>) -> Option<Self> {
        Some(match cell {
            Cell::Null => Datum::Null,
            Cell::Bool(value) => Datum::Int(i64::from(value)),
            Cell::Int(value) => Datum::Int(value),
            Cell::Text(text) => Datum::Text(text.to_owned()),
            Cell::Unchecked(bytes) => Datum::Text(String::from_utf8_lossy(bytes).into_owned()),
            Cell::Decimal { unscaled, scale: 2 } => Datum::Price(unscaled),
            Cell::Decimal { .. } => return None,
            Cell::Timestamp(micros) => Datum::Timestamp(micros),
        })
    }
}

/// What a statement did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// How many rows it changed; nothing is promised of one that changes none.
    pub affected: u64,
    /// The rows that it gave.
    pub rows: Vec<Vec<Datum>>,
}

/// An end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// It begins, with the right to write.
    Begin,
    /// It ends, and what it did holds.
    Commit,
    /// It ends, and nothing happened.
    RollBack,
}

impl Boundary {
    /// The statement, in a dialect that begins with `begin`.
    pub(super) fn text(self, begin: &'static str) -> &'static str {
        match self {
            Boundary::Begin => begin,
            Boundary::Commit => "commit",
            Boundary::RollBack => "rollback",
        }
    }
}
