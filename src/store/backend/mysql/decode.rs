//! Values of the driver to cells, in place.

use mysql_async::consts::ColumnType;
use mysql_async::{Column, Row, Value};

use super::super::{COLUMNS, Datum, KINDS, Kind, ProductRow};
use super::datetime::DateTime;
use crate::rows::Cell;
use crate::store::{ErrorKind, StoreError};

/// The number of the character set of bytes that are no text.
const BINARY: u16 = 63;

/// Whether the query gives the columns that we decode.
pub(super) fn check_columns(columns: &[Column]) -> Result<(), StoreError> {
    let named = |column: &Column| (column.name_str().into_owned(), type_name(column));
    super::super::check_columns(columns, accepts, named)
}

/// Whether a column of this type can be read as `kind`.
fn accepts(column: &Column, kind: Kind) -> bool {
    use ColumnType::*;
    let ty = column.column_type();
    match kind {
        Kind::Int => matches!(
            ty,
            MYSQL_TYPE_LONGLONG
                | MYSQL_TYPE_LONG
                | MYSQL_TYPE_INT24
                | MYSQL_TYPE_SHORT
                | MYSQL_TYPE_TINY
        ),
        Kind::Text => {
            matches!(ty, MYSQL_TYPE_VAR_STRING | MYSQL_TYPE_STRING | MYSQL_TYPE_BLOB)
                && column.character_set() != BINARY
        }
        Kind::Price => ty == MYSQL_TYPE_NEWDECIMAL,
        Kind::Timestamp => matches!(ty, MYSQL_TYPE_DATETIME | MYSQL_TYPE_TIMESTAMP),
    }
}

/// As in the protocol: `double`, `long` (an `int`), `var_string` (a `varchar`).
fn type_name(column: &Column) -> String {
    let name = format!("{:?}", column.column_type());
    name.trim_start_matches("MYSQL_TYPE_").to_lowercase()
}

/// Reads a product, column by column as in [`super::super::KINDS`].
#[inline]
pub(super) fn product(row: &Row) -> Result<ProductRow<'_>, StoreError> {
    let read = || {
        Some([
            cell(row, 0, Kind::Int)?,
            cell(row, 1, Kind::Text)?,
            cell(row, 2, Kind::Text)?,
            cell(row, 3, Kind::Text)?,
            cell(row, 4, Kind::Price)?,
            cell(row, 5, Kind::Int)?,
            cell(row, 6, Kind::Timestamp)?,
            cell(row, 7, Kind::Timestamp)?,
        ])
    };
    read().ok_or_else(|| unreadable(row))
}

/// Names the column of which [`product`] could not read the value.
#[cold]
fn unreadable(row: &Row) -> StoreError {
    let column = KINDS.iter().enumerate().find(|(index, kind)| cell(row, *index, **kind).is_none());
    let column = column.map_or("?", |(index, _)| COLUMNS[index]);
    let detail = format_args!(
        "column products.{column} holds a value that cannot be read, such as the date 0000-00-00"
    );
    StoreError::new(ErrorKind::Internal, detail)
}

/// One value of any statement; `None` where it cannot be read as `kind`.
pub(super) fn datum(row: &Row, index: usize, kind: Kind) -> Option<Datum> {
    cell(row, index, kind).and_then(Datum::of)
}

/// `None` for a value that cannot be read: a small type, because 21,000 rows have 168,000 cells.
#[inline(always)]
fn cell(row: &Row, index: usize, kind: Kind) -> Option<Cell<'_>> {
    match (row.as_ref(index)?, kind) {
        (Value::NULL, _) => Some(Cell::Null),
        (Value::Int(value), Kind::Int) => Some(Cell::Int(*value)),
        (Value::UInt(value), Kind::Int) => i64::try_from(*value).ok().map(Cell::Int),
        // The encoder checks it on the way.
        (Value::Bytes(text), Kind::Text) => Some(Cell::Unchecked(text)),
        (Value::Bytes(digits), Kind::Price) => decimal(digits),
        (&Value::Date(year, month, day, hour, minute, second, micros), Kind::Timestamp) => {
            let at = DateTime { year, month, day, hour, minute, second, micros };
            at.micros_since_1970().map(Cell::Timestamp)
        }
        _ => None,
    }
}

/// A decimal as the server writes it, without a float in between: `-12.50`.
#[inline]
fn decimal(text: &[u8]) -> Option<Cell<'static>> {
    let (negative, digits) = match text.split_first()? {
        (b'-', digits) => (true, digits),
        _ => (false, text),
    };
    let (mut unscaled, mut scale) = (0i64, None);
    for byte in digits {
        match byte {
            b'0'..=b'9' => {
                unscaled = unscaled.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
                scale = scale.map(|scale: u8| scale + 1);
            }
            b'.' if scale.is_none() => scale = Some(0),
            _ => return None,
        }
    }
    let unscaled = if negative { -unscaled } else { unscaled };
    Some(Cell::Decimal { unscaled, scale: scale.unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        for (text, unscaled, scale) in [
            ("12.50", 1250, 2),
            ("-0.05", -5, 2),
            ("0.00", 0, 2),
            ("7", 7, 0),
            ("99999999.99", 9_999_999_999, 2),
            ("-92233720368547758.07", -i64::MAX, 2),
        ] {
            assert_eq!(decimal(text.as_bytes()), Some(Cell::Decimal { unscaled, scale }));
        }
        for text in ["", "1e3", "1.2.3", "9223372036854775808"] {
            assert_eq!(decimal(text.as_bytes()), None, "{text:?}");
        }
    }
}
