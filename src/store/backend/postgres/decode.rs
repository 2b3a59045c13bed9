//! Column bytes to cells, in place.

use std::error::Error;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use super::super::{COLUMNS, Datum, KINDS, Kind, ProductRow};
use super::numeric;
use crate::rows::Cell;
use crate::store::{ErrorKind, StoreError};

/// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL's timestamps start.
pub(super) const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The types of a column that can be read as `kind`.
pub(super) fn types(kind: Kind) -> &'static [Type] {
    match kind {
        Kind::Int => &[Type::INT8, Type::INT4, Type::INT2],
        Kind::Text => &[Type::TEXT, Type::VARCHAR],
        Kind::Price => &[Type::NUMERIC],
        Kind::Timestamp => &[Type::TIMESTAMPTZ],
    }
}

/// Whether a column of this type can be read as `kind`.
pub(super) fn accepts(ty: &Type, kind: Kind) -> bool {
    types(kind).contains(ty)
}

/// The bytes of a column as the server sent them; `None` is null.
struct Raw<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Raw(Some(bytes)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Raw(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Reads a product, column by column as in [`super::super::KINDS`].
#[inline]
pub(super) fn product(row: &Row) -> Result<ProductRow<'_>, StoreError> {
    let read = || {
        Some([
            cell(row, 0, whole_number)?,
            cell(row, 1, text)?,
            cell(row, 2, text)?,
            cell(row, 3, text)?,
            cell(row, 4, price)?,
            cell(row, 5, whole_number)?,
            cell(row, 6, instant)?,
            cell(row, 7, instant)?,
        ])
    };
    read().ok_or_else(|| unreadable(row))
}

/// Names the column of which [`product`] could not read the value.
#[cold]
fn unreadable(row: &Row) -> StoreError {
    let is_unreadable =
        |(index, kind): &(usize, &Kind)| cell_of_kind(row, *index, **kind).is_none();
    let column = KINDS.iter().enumerate().find(is_unreadable).map_or("?", |(i, _)| COLUMNS[i]);
    let detail = format_args!(
        "column products.{column} holds a value that cannot be read, such as an infinite \
         timestamp or a price that is not a number"
    );
    StoreError::new(ErrorKind::Internal, detail)
}

/// One value of any statement; `None` where it cannot be read as `kind`.
pub(super) fn datum(row: &Row, index: usize, kind: Kind) -> Option<Datum> {
    let column = row.columns().get(index)?;
    accepts(column.type_(), kind).then(|| cell_of_kind(row, index, kind))?.and_then(Datum::of)
}

fn cell_of_kind(row: &Row, index: usize, kind: Kind) -> Option<Cell<'_>> {
    match kind {
        Kind::Int => cell(row, index, whole_number),
        Kind::Text => cell(row, index, text),
        Kind::Price => cell(row, index, price),
        Kind::Timestamp => cell(row, index, instant),
    }
}

/// `None` for a value that cannot be read: a small type, because 21,000 rows have 168,000 cells.
#[inline]
fn cell<'a>(
    row: &'a Row,
    index: usize,
    read: impl FnOnce(&'a [u8]) -> Option<Cell<'a>>,
) -> Option<Cell<'a>> {
    match row.try_get(index) {
        Ok(Raw(Some(bytes))) => read(bytes),
        Ok(Raw(None)) => Some(Cell::Null),
        Err(_) => None,
    }
}

/// The encoder checks it on the way: PostgreSQL promises UTF-8 unless its database is SQL_ASCII.
#[inline]
fn text(bytes: &[u8]) -> Option<Cell<'_>> {
    Some(Cell::Unchecked(bytes))
}

#[inline]
fn price(bytes: &[u8]) -> Option<Cell<'_>> {
    let (unscaled, scale) = numeric::read(bytes)?;
    Some(Cell::Decimal { unscaled, scale })
}

#[inline]
fn whole_number(bytes: &[u8]) -> Option<Cell<'_>> {
    let value = match *bytes {
        [a, b, c, d, e, f, g, h] => i64::from_be_bytes([a, b, c, d, e, f, g, h]),
        [a, b, c, d] => i64::from(i32::from_be_bytes([a, b, c, d])),
        [a, b] => i64::from(i16::from_be_bytes([a, b])),
        _ => return None,
    };
    Some(Cell::Int(value))
}

/// Microseconds since 1970; `None` for the infinities, which are the ends of the range.
#[inline]
fn instant(bytes: &[u8]) -> Option<Cell<'_>> {
    let micros = i64::from_be_bytes(bytes.try_into().ok()?);
    if micros == i64::MAX || micros == i64::MIN {
        return None;
    }
    micros.checked_add(POSTGRES_EPOCH_MICROS).map(Cell::Timestamp)
}
