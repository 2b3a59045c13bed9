//! Column bytes to cells, in place.

use std::error::Error;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use super::super::{COLUMNS, Kind};
use super::numeric;
use crate::rows::Cell;
use crate::store::{ErrorKind, StoreError};

/// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL's timestamps start.
pub(super) const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Whether a column of this type can be read as `kind`.
pub(super) fn accepts(ty: &Type, kind: Kind) -> bool {
    match kind {
        Kind::Int => [Type::INT8, Type::INT4, Type::INT2].contains(ty),
        Kind::Text => [Type::TEXT, Type::VARCHAR].contains(ty),
        Kind::Price => *ty == Type::NUMERIC,
        Kind::Timestamp => *ty == Type::TIMESTAMPTZ,
    }
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

/// Reads column `index` of `row`.
pub(super) fn cell<'a>(row: &'a Row, index: usize, kind: Kind) -> Result<Cell<'a>, StoreError> {
    let Raw(bytes) = row.try_get(index).map_err(|error| unreadable(index, &error.to_string()))?;
    let Some(bytes) = bytes else { return Ok(Cell::Null) };
    let cell = match kind {
        Kind::Int => whole_number(bytes).map(Cell::Int),
        Kind::Text => std::str::from_utf8(bytes).ok().map(Cell::Text),
        Kind::Price => {
            numeric::read(bytes).map(|(unscaled, scale)| Cell::Decimal { unscaled, scale })
        }
        Kind::Timestamp => instant(bytes).map(Cell::Timestamp),
    };
    cell.ok_or_else(|| unreadable(index, "a value out of range"))
}

fn whole_number(bytes: &[u8]) -> Option<i64> {
    match *bytes {
        [a, b, c, d, e, f, g, h] => Some(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
        [a, b, c, d] => Some(i64::from(i32::from_be_bytes([a, b, c, d]))),
        [a, b] => Some(i64::from(i16::from_be_bytes([a, b]))),
        _ => None,
    }
}

/// Microseconds since 1970; `None` for the infinities, which are the ends of the range.
fn instant(bytes: &[u8]) -> Option<i64> {
    let micros = i64::from_be_bytes(bytes.try_into().ok()?);
    let infinite = micros == i64::MAX || micros == i64::MIN;
    if infinite { None } else { micros.checked_add(POSTGRES_EPOCH_MICROS) }
}

#[cold]
fn unreadable(index: usize, reason: &str) -> StoreError {
    let column = COLUMNS[index];
    StoreError::new(
        ErrorKind::Internal,
        format_args!("column products.{column} cannot be read: {reason}"),
    )
}
